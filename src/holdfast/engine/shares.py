"""Shares of queues as people see and set them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.engine.part import Unset, check_whole
from holdfast.errors import UsageError
from holdfast.model.ids import check_id, check_owner
from holdfast.model.shares import PLACE_BYTES, too_long, whose

LIMIT_AT_MOST = 1_000_000_000
"""More than any number of runs that execute."""

WEIGHT_AT_MOST = 1_000


@dataclass(frozen=True, slots=True)
class ShareView:
    """A share of a queue: the runs of a tenant, and within it of a key.

    Attributes:
        tenant: whose runs.
        key: of its workflows' ``share=``; empty for the runs that have none.
        ready: runs that could be claimed, counted up to 1,000.
        executing: runs that execute.
        weight: how much it takes in its turn: a key's among the keys of its tenant, else the tenant's among tenants.
    """

    tenant: str
    key: str
    ready: int
    executing: int
    weight: int


Shares = list[ShareView]
"""Shares, those with the most ready runs first."""


def checked_limits(**limits: int | Unset | None) -> dict[str, int | None]:
    """The limits of a queue that are given.

    Raises:
        UsageError: one is out of range.
    """
    given = {what: value for what, value in limits.items() if not isinstance(value, Unset)}
    for what, value in given.items():
        if value is not None:
            check_whole(value, what, LIMIT_AT_MOST)
    return given


def checked_weights(queue: str, weights: Mapping[str, int | None] | None) -> dict[str, int | None]:
    """The weights of a queue's shares.

    Raises:
        UsageError: one is out of range, or not for a share.
    """
    if weights is None:
        return {}
    if not isinstance(weights, Mapping):
        raise UsageError(f'weights is {weights!r}; give a weight for each share, such as {{"acme": 5, "acme/gold": 3}}')
    for share, weight in weights.items():
        try:
            tenant, key = whose(share) if isinstance(share, str) else whose("")
        except ValueError:
            raise UsageError(
                f'a weight is for {share!r}; give it for a tenant, "acme", or a key of it, "acme/gold"; before a slash '
                "in the tenant's name, and before a backslash, stands a backslash"
            ) from None
        check_owner(tenant, f"the tenant of the weight for {share!r}")
        if key is not None:
            check_id(key, f"the key of the weight for {share!r}")
        if taken := too_long(queue, share):
            raise UsageError(
                f"the queue and the share of the weight for {share[:80]!r}… have {taken:,} bytes together; give at "
                f"most {PLACE_BYTES:,}"
            )
        if weight is not None:
            check_whole(weight, f"the weight of {share!r}", WEIGHT_AT_MOST)
    return dict(weights)
