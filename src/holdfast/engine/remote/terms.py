"""How a client that has a workflow's code tells a server on what terms its runs are started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from holdfast.engine.client import Known
from holdfast.engine.workflow import Workflow
from holdfast.model.keys import KeySpec, check_key
from holdfast.model.terms import Terms


class WithKeys(Protocol):
    """What is sent of one run: the keys that the client's code gave, if they are its to give."""

    @property
    def lane_key(self) -> str | None:
        """Of its lane."""

    @property
    def cancel_key(self) -> str | None:
        """Of the event that cancels it."""


def said_terms(terms: Terms) -> dict[str, Any]:
    """The terms as plain JSON; a key that is a function is left out, `said_keys` gives what it gave."""
    return {
        "queue": terms.queue,
        "lane": terms.lane,
        "key": None if callable(terms.key) else terms.key,
        "slots": terms.slots,
        "cancel_on": terms.cancel_on,
        "cancel_key": None if callable(terms.cancel_key) else terms.cancel_key,
        "timeout_seconds": terms.timeout_seconds,
    }


def said_keys(workflow: Workflow[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, str]:
    """What the functions that are keys give for one run.

    Raises:
        UsageError: one gives no key.
    """
    terms, keys = workflow.terms, {}
    if callable(terms.key):
        keys["lane_key"] = check_key(terms.key(*args, **kwargs), f"key of workflow {workflow.name!r}")
    if callable(terms.cancel_key):
        keys["cancel_key"] = check_key(terms.cancel_key(*args, **kwargs), f"cancel_on of workflow {workflow.name!r}")
    return keys


def known_from(name: str, version: str, terms: Terms, items: Sequence[WithKeys]) -> Known:
    """What a server then knows of the workflow.

    A run is started with its keys in the place of its arguments: ``(lane_key, cancel_key)``.
    """
    lane_keys = any(one.lane_key is not None for one in items)
    cancel_keys = any(one.cancel_key is not None for one in items)
    key: KeySpec | None = _first if lane_keys else terms.key
    cancel_key: KeySpec | None = _second if cancel_keys else terms.cancel_key
    return Known(name, version, replace(terms, key=key, cancel_key=cancel_key))


def _first(lane_key: str | None, cancel_key: str | None) -> str | None:
    return lane_key


def _second(lane_key: str | None, cancel_key: str | None) -> str | None:
    return cancel_key
