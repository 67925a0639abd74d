"""The terms on which a workflow's runs are started: queue, lane, time limit, what cancels them, rules for starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from holdfast.errors import UsageError
from holdfast.model.keys import KeySpec, check_key, items_in, key_in, key_in_item, quick_key
from holdfast.model.start_rules import KINDS, Batch, Debounce, RateLimit, Singleton, plain_rule


@dataclass(frozen=True, slots=True)
class Terms:
    """What a workflow says of its runs.

    Attributes:
        queue: where they wait for a worker.
        lane: the lane whose slots they take; None for none.
        key: which lane of that name; None for the only one.
        slots: how many of them may hold the lane at once.
        cancel_on: the event that cancels them; None for none.
        cancel_key: the event's key; None for the event without a key.
        timeout_seconds: how long they may take from when they are due; None for any time.
        rate_limit: how many of them start in any stretch of time; None for any number.
        debounce: starts shortly after each other make one run.
        batch: starts bring items to the list of one run; every key is then one of an item.
        singleton: there is one open run at a time.
        share: between whose runs their queue is shared fairly; None for the tenant's as one.
    """

    queue: str = "default"
    lane: str | None = None
    key: KeySpec | None = None
    slots: int = 1
    cancel_on: str | None = None
    cancel_key: KeySpec | None = None
    timeout_seconds: float | None = None
    rate_limit: RateLimit | None = None
    debounce: Debounce | None = None
    batch: Batch | None = None
    singleton: Singleton | None = None
    share: KeySpec | None = None

    @property
    def plain(self) -> bool:
        """Whether nothing but rules in them depends on a run's arguments."""
        return self.lane is None and self.cancel_on is None and self.share is None

    @property
    def ruled(self) -> bool:
        """Whether there are rules for starts."""
        return (
            self.rate_limit is not None
            or self.debounce is not None
            or self.batch is not None
            or self.singleton is not None
        )

    @property
    def merging(self) -> str | None:
        """The name of the rule by which several starts make one run; None for none."""
        return next((name for name in ("debounce", "batch", "singleton") if getattr(self, name) is not None), None)


def specs(terms: Terms) -> Iterator[tuple[str, KeySpec | None]]:
    """Where each of the keys comes from, by the name of what it is the key of."""
    yield "key", terms.key
    yield "cancel_key", terms.cancel_key
    yield "share", terms.share
    for name in KINDS:
        rule = getattr(terms, name)
        if rule is not None:
            yield name, rule.key


def with_specs(terms: Terms, found: Mapping[str, KeySpec | None]) -> Terms:
    """The terms with other keys.

    Args:
        terms: as they are.
        found: by the names that `specs` gives; those that are not there stay.
    """
    if not found:
        return terms
    changed: dict[str, Any] = {
        name: replace(getattr(terms, name), key=spec) if name in KINDS else spec for name, spec in found.items()
    }
    return replace(terms, **changed)


def with_code(terms: Terms, code: Terms) -> Terms:
    """Registered terms with the functions that the workflow's code has for its keys."""
    theirs = dict(specs(code))
    return with_specs(terms, {name: theirs.get(name) for name, spec in specs(terms) if callable(spec)})


def needs_code(terms: Terms) -> bool:
    """Whether one of the keys is a function, which only the workflow's code has."""
    return any(callable(spec) for _, spec in specs(terms))


def told_keys(
    terms: Terms, workflow: str, given: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> dict[str, str]:
    """What the keys that are functions give for one run, by the names that `specs` gives.

    Raises:
        UsageError: one gives no key.
    """
    found = ((name, spec) for name, spec in specs(terms) if callable(spec))
    said = {"key": "key", "cancel_key": "cancel_on", "share": "share"}
    return {
        name: key_for(terms, spec, workflow, said.get(name, f"the key of {name}"), given, args, kwargs)
        for name, spec in found
    }


def with_told(terms: Terms, keys: Mapping[str, str | None]) -> Terms:
    """The terms with what `told_keys` gave, elsewhere or before, in the place of the functions."""
    return with_specs(terms, {name: _told(key) for name, key in keys.items() if key is not None and _has(terms, name)})


def plain_terms(terms: Terms, function: object) -> dict[str, Any]:
    """The terms as plain JSON.

    Args:
        terms: the terms.
        function: what stands for a key that is a function; None leaves it out.
    """
    said: dict[str, Any] = {}
    keys = {name: function if callable(spec) else spec for name, spec in specs(terms)}
    for name in Terms.__slots__:
        value = getattr(terms, name)
        if value is not None:
            said[name] = plain_rule(value, keys[name]) if name in KINDS else keys.get(name, value)
    return {name: value for name, value in said.items() if value is not None}


def terms_from(said: Mapping[str, Any]) -> Terms:
    """The terms from plain JSON; what is None counts as left out.

    Raises:
        UsageError: a value out of range.
    """
    known = {name: value for name, value in said.items() if value is not None}
    for name, kind in KINDS.items():
        if name in known:
            known[name] = kind(**{of: value for of, value in known[name].items() if value is not None})
    return Terms(**known)


def key_for(
    terms: Terms,
    spec: KeySpec | None,
    workflow: str,
    what: str,
    given: bytes,
    args: tuple[Any, ...] | None,
    kwargs: dict[str, Any],
) -> str:
    """The key of one run; empty without a spec.

    Args:
        terms: whose key; of a batch, it is the key of each of its items.
        spec: where it comes from.
        workflow: the workflow's name, for errors.
        what: "key" or "cancel_on", for errors.
        given: the run's stored input.
        args: its arguments, None when only the stored input is known.
        kwargs: its arguments by name.

    Raises:
        UsageError: there is no key in the input, or it cannot be one; or the items of a batch have different ones.
    """
    if spec is None:
        return ""
    if isinstance(spec, str) and terms.batch is None and (key := quick_key(spec, given)):
        return key
    place = f"{what} of workflow {workflow!r}"
    if callable(spec) and args is None:
        raise UsageError(_needs_function(place))
    if terms.batch is not None:
        return key_of_items(spec, workflow, what, items_in(given, f"workflow {workflow!r}"), args, kwargs)
    if isinstance(spec, str):
        return key_in(spec, given, place)
    return check_key(spec(*(args or ()), **kwargs), place)


def key_of_items(
    spec: KeySpec | None,
    workflow: str,
    what: str,
    raw: list[msgspec.Raw],
    args: tuple[Any, ...] | None,
    kwargs: dict[str, Any],
) -> str:
    """The one key of all items that a start brings to a batch; empty without a spec.

    Args:
        spec: where it comes from.
        workflow: the workflow's name, for errors.
        what: what it is the key of, for errors.
        raw: the items as they are stored.
        args: the start's arguments, None when only the stored input is known.
        kwargs: its arguments by name.

    Raises:
        UsageError: as `key_for`.
    """
    if spec is None:
        return ""
    place = f"{what} of workflow {workflow!r}"
    if not raw:
        raise UsageError(f"a start of workflow {workflow!r} brings no item to its batch; give a list of one or more")
    if isinstance(spec, str):
        if len(raw) == 1:
            return key_in_item(spec, raw[0], 0, place)
        keys = (key_in_item(spec, item, number, place) for number, item in enumerate(raw))
    else:
        if args is None:
            raise UsageError(_needs_function(place))
        items = args[0] if args else next(iter(kwargs.values()), raw)
        keys = (check_key(spec(item), f"{place}, for item {number},") for number, item in enumerate(items))
    first = next(keys, "")
    for number, key in enumerate(keys, start=1):
        if key != first:
            raise UsageError(
                f"item {number} of a start of workflow {workflow!r} has the key {key!r}, and item 0 has {first!r}; the "
                "items of one start have the same key: start those of another key by themselves"
            )
    return first


def _needs_function(place: str) -> str:
    return f"{place} is a function, whose code is needed: start the run with the workflow itself"


def _told(key: str) -> KeySpec:
    return lambda *args, **kwargs: key


def _has(terms: Terms, name: str) -> bool:
    return name not in KINDS or getattr(terms, name) is not None
