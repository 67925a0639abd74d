"""How a client that has a workflow's code tells a server on what terms its runs are started."""

from __future__ import annotations

from typing import Any, Protocol

from holdfast.engine.workflow import Workflow
from holdfast.model.terms import Terms, plain_terms, told_keys, with_told


class WithKeys(Protocol):
    """What is sent of one run: the keys that the client's code gave, if they are its to give."""

    @property
    def lane_key(self) -> str | None:
        """Of its lane."""

    @property
    def cancel_key(self) -> str | None:
        """Of the event that cancels it."""

    @property
    def told_keys(self) -> dict[str, str] | None:
        """The others, by the names that `holdfast.model.terms.specs` gives."""


def said_terms(terms: Terms) -> dict[str, Any]:
    """The terms as plain JSON; a key that is a function is left out, `said_keys` gives what it gave."""
    return plain_terms(terms, None)


def said_keys(
    workflow: Workflow[Any, Any], given: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, Any]:
    """What the functions that are keys give for one run.

    Raises:
        UsageError: one gives no key.
    """
    told = told_keys(workflow.terms, workflow.name, given, args, kwargs)
    said: dict[str, Any] = {}
    if "key" in told:
        said["lane_key"] = told.pop("key")
    if "cancel_key" in told:
        said["cancel_key"] = told.pop("cancel_key")
    return {**said, "told_keys": told} if told else said


def terms_for(terms: Terms, item: WithKeys) -> Terms:
    """The terms of one run, as a server then has them: with the keys that were told."""
    return with_told(terms, {"key": item.lane_key, "cancel_key": item.cancel_key, **(item.told_keys or {})})
