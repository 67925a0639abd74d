"""What those who may only look do not see: the values of fields that the configuration names.

A name hides every field of that name, at any depth; a dotted path hides the fields whose path ends so, lists passed
over. Case does not matter. What was hidden in a run is also taken out of its errors' texts. A key that was taken from a
hidden field, of a lane, a share or a rule for starts, is hidden too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from holdfast.api.hidden_keys import HiddenKeys
from holdfast.engine.diversion_views import DiversionView
from holdfast.engine.finding import LaneView
from holdfast.engine.overview import Overview
from holdfast.engine.queues import QueueView
from holdfast.engine.shares import ShareView
from holdfast.errors import Forbidden, UsageError
from holdfast.model.explanation import lane_name
from holdfast.model.run import RunView
from holdfast.model.search import And, Attribute, Compare, Condition, In, Not, Or, Prefix, parse
from holdfast.model.shares import whose

V = TypeVar("V")

HIDDEN = "[redacted]"

PAYLOADS = (
    "input", "output", "attributes", "detail", "payload", "progress",
    "data", "properties", "contacts", "changes", "execution_data", "state", "change",
    "body",
)  # fmt: skip
"""Fields of our own views that hold what users gave."""

TEXTS = (
    "error", "message", "content", "problem", "reason", "skip_reason", "text", "data", "changes", "execution_data",
    "change", "body", "detail",
)  # fmt: skip
"""Fields of our own views whose texts may repeat it."""

NUMBERS = ("signals", "signals_at", "inputs")
"""Fields of our own views with numbers by name; of a hidden one nothing is shown, not even that it is there."""

SHORTEST = 4
"""A hidden text of so many characters, at least, is taken out of other texts."""


class Redactor:
    """Hides fields.

    Args:
        hidden: names of fields, or dotted ends of paths.
    """

    def __init__(self, hidden: Sequence[str]) -> None:
        self._hidden = [tuple(one.lower().split(".")) for one in hidden]
        self.active = bool(self._hidden)
        self.keys = HiddenKeys(self.hides)

    def hides(self, *path: str) -> bool:
        """Whether the field at this path is hidden."""
        lower = tuple(part.lower() for part in path)
        return any(lower[-len(one) :] == one for one in self._hidden)

    def value(self, value: Any, above: tuple[str, ...] = (), secrets: set[str] | None = None) -> Any:
        """A value without what is hidden in it.

        Args:
            value: plain JSON.
            above: the names that lead to it.
            secrets: takes up the texts that were hidden.
        """
        if isinstance(value, Mapping):
            made = {}
            for name, inner in value.items():
                path = (*above, str(name))
                if self.hides(*path):
                    _collect(inner, secrets)
                    made[name] = HIDDEN
                else:
                    made[name] = self.value(inner, path, secrets)
            return made
        if isinstance(value, list):
            return [self.value(inner, above, secrets) for inner in value]
        return value

    def view(self, view: V, secrets: set[str] | None = None) -> V:
        """One of our own views, or a list or mapping of them, without what is hidden in them.

        Args:
            view: what a client gave.
            secrets: what else is taken out of texts, as from a run whose journal this is; takes up what is hidden here.
        """
        known = set() if secrets is None else secrets
        made: V = self._texts(self._payloads(view, known), known)
        return made

    def _payloads(self, view: Any, secrets: set[str]) -> Any:
        if isinstance(view, list):
            return [self._payloads(one, secrets) for one in view]
        if isinstance(view, dict):
            return {name: self._payloads(one, secrets) for name, one in view.items()}
        if not is_dataclass(view) or isinstance(view, type):
            return view
        changes = self._keys(view, secrets)
        for field in fields(view):
            value = getattr(view, field.name)
            if field.name in changes:
                continue
            if field.name in PAYLOADS and isinstance(value, dict | list):
                changes[field.name] = self.value(value, (field.name,), secrets)
            elif field.name in NUMBERS and isinstance(value, dict):
                changes[field.name] = {name: one for name, one in value.items() if not self.hides(field.name, name)}
            elif is_dataclass(value) or isinstance(value, list | dict):
                changes[field.name] = self._payloads(value, secrets)
        return replace(view, **changes) if changes else view

    def _keys(self, view: Any, secrets: set[str]) -> dict[str, Any]:
        """The fields of a view with keys that are hidden, as they are shown."""
        if not self.active:
            return {}
        if isinstance(view, RunView) and view.lane is not None:
            name, _, key = view.lane.partition("=")
            if key and self.keys.of_lane(name):
                secrets.add(view.lane)
                return {"lane": self.lane(name, key)}
        elif isinstance(view, LaneView) and view.key and self.keys.of_lane(view.name):
            return {"key": HIDDEN}
        elif isinstance(view, DiversionView) and view.key and self.keys.of_rule(view.workflow, view.version, view.rule):
            _collect(view.key, secrets)
            return {"key": HIDDEN, "reason": view.reason.replace(view.key, HIDDEN)}
        elif isinstance(view, ShareView) and view.key and self.keys.of_shares():
            return {"key": HIDDEN}
        elif isinstance(view, QueueView) and self.keys.of_shares():
            return {"weights": {share: weight for share, weight in view.weights.items() if whose(share)[1] is None}}
        return {}

    def _texts(self, view: Any, secrets: set[str]) -> Any:
        if not secrets:
            return view
        if isinstance(view, list):
            return [self._texts(one, secrets) for one in view]
        if isinstance(view, dict):
            return {name: self._texts(one, secrets) for name, one in view.items()}
        if not is_dataclass(view) or isinstance(view, type):
            return view
        changes = {}
        for field in fields(view):
            value = getattr(view, field.name)
            if field.name in TEXTS or field.name == "progress":
                changes[field.name] = cleaned(value, secrets)
            elif is_dataclass(value) or isinstance(value, list | dict):
                changes[field.name] = self._texts(value, secrets)
        return replace(view, **changes) if changes else view

    def lane(self, name: str, key: str) -> str:
        """A lane as it is named where its key may be hidden."""
        return lane_name(name, HIDDEN if key and self.keys.of_lane(name) else key)

    def overview(self, found: Overview) -> Overview:
        """An overview without the messages of failures: nothing here tells what in them is to be hidden."""
        return replace(found, failures=[replace(group, message=HIDDEN) for group in found.failures])

    def check_search(self, where: str | None, now_us: int) -> None:
        """Refuse a search by an attribute whose values are hidden: it would tell them.

        Raises:
            Forbidden: it is one.
        """
        if where is None or not self.active:
            return
        try:
            condition = parse(where, now_us)
        except UsageError:
            return  # whoever searches is told by the search itself
        for name in _attributes(condition):
            if self.hides("attributes", name):
                raise Forbidden(f"the attribute {name!r} is hidden from those who may only look, and not searched by")
        if any(self._tells_lane(one) for one in _leaves(condition)):
            raise Forbidden("the keys of this lane are hidden from those who may only look, and not searched by")

    def _tells_lane(self, condition: Compare | In | Prefix) -> bool:
        if condition.field != "lane":
            return False
        if isinstance(condition, Prefix) or (isinstance(condition, Compare) and condition.op not in ("=", "!=")):
            return self.keys.any_lane()
        values = condition.values if isinstance(condition, In) else (condition.value,)
        return any("=" in str(one) and self.keys.of_lane(str(one).partition("=")[0]) for one in values)

    def check_key(self, key: str | None, workflow: str | None) -> None:
        """Refuse a search for diverted starts by a key that is hidden: it would tell it.

        Raises:
            Forbidden: it is one.
        """
        if key is not None and self.active and self.keys.any_rule(workflow):
            raise Forbidden("keys of rules are hidden from those who may only look, and not searched by")


def cleaned(value: Any, secrets: set[str]) -> Any:
    """A text, or texts in a value, without what was hidden elsewhere."""
    if isinstance(value, str):
        for secret in sorted(secrets, key=len, reverse=True):
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, dict):
        return {name: cleaned(inner, secrets) for name, inner in value.items()}
    if isinstance(value, list):
        return [cleaned(inner, secrets) for inner in value]
    return value


def _collect(value: Any, secrets: set[str] | None) -> None:
    if secrets is None:
        return
    if isinstance(value, dict):
        for inner in value.values():
            _collect(inner, secrets)
    elif isinstance(value, list):
        for inner in value:
            _collect(inner, secrets)
    elif isinstance(value, str | int | float) and not isinstance(value, bool) and len(str(value)) >= SHORTEST:
        secrets.add(str(value))


def _attributes(condition: Condition) -> list[str]:
    return [one.field.name for one in _leaves(condition) if isinstance(one.field, Attribute)]


def _leaves(condition: Condition) -> list[Compare | In | Prefix]:
    if isinstance(condition, And | Or):
        return [leaf for one in condition.conditions for leaf in _leaves(one)]
    if isinstance(condition, Not):
        return _leaves(condition.condition)
    assert isinstance(condition, Compare | In | Prefix)
    return [condition]
