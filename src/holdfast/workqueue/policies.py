"""The policies that this process knows by name: the presets, and classes of its own program.

A database names a policy and never brings its code: whoever names one has to have registered it.
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from holdfast.errors import UsageError
from holdfast.model.ids import check_id
from holdfast.model.policies import Policy, policy_of
from holdfast.model.policy_documents import policy_from
from holdfast.model.presets import PRESETS

PRESET = "customer_success"
"""The policy of a tenant that never chose one."""

OWN = "own"
"""What a document is called that does not say."""

_registered: dict[str, Policy] = {}


def register_policy(name: str, policy: object) -> None:
    """Make a policy known by a name, for settings to choose: in every process that uses the work queue.

    Args:
        name: under which settings name it; not that of a preset.
        policy: a class that derives from `Policy`, one of its objects, or any object with its attributes.

    Raises:
        UsageError: the name is that of a preset, or it is no policy.
    """
    check_id(name, "the name of a policy")
    if name in PRESETS:
        raise UsageError(f"the name {name!r} is that of a preset; give the policy another")
    _registered[name] = policy_of(policy)


def known_policies() -> list[str]:
    """The names of the policies that this process knows, in order."""
    return sorted({*PRESETS, *_registered})


def policy_named(name: str) -> Policy:
    """The policy of a name.

    Raises:
        UsageError: this process knows none of this name.
    """
    if name in PRESETS:
        return policy_from_stored(msgspec.json.encode(PRESETS[name]))
    found = _registered.get(name)
    if found is None:
        raise UsageError(
            f"this process knows no policy {name!r:.100}; known are {', '.join(known_policies())}. A policy of your "
            "own is made known by hf.register_policy, in every process that uses the work queue"
        )
    return found


def document_named(name: str) -> dict[str, Any]:
    """The document of a policy of a name; of one that is a class, its name alone."""
    return PRESETS.get(name) or {"name": name}


@functools.lru_cache(maxsize=256)
def policy_from_stored(document: bytes) -> Policy:
    """The policy that a stored document says."""
    return policy_from(msgspec.json.decode(document))
