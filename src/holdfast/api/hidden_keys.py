"""Which keys of lanes, of shares and of rules for starts come from hidden fields.

A key is a value of an argument: where that is hidden, so is the key. Where it was taken from is in the terms of the
workflow, as it was registered; what a function gives, or a workflow that is not known, may come from anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from holdfast.model.keys import KeySpec
from holdfast.model.schema import terms_of
from holdfast.model.terms import Terms, specs
from holdfast.store.rows import WorkflowRow


class HiddenKeys:
    """What is known of keys.

    Args:
        hides: whether the field at a path is hidden.
    """

    def __init__(self, hides: Callable[..., bool]) -> None:
        self._hides = hides
        self._known: Sequence[WorkflowRow] = ()
        self._rules: dict[tuple[str, str, str], bool] = {}
        self._lanes: dict[str, bool] = {}
        self._shares = True

    def learn(self, registered: Sequence[WorkflowRow]) -> None:
        """Take up the registered workflows."""
        if registered is self._known:
            return
        self._known = registered
        self._rules, self._lanes = {}, {}
        shared: list[bool] = []
        for row in registered:
            terms = terms_of(row.input_schema)
            for name, spec in specs(terms):
                hidden = any(self._comes_from_hidden(spec, begin) for begin in _begins(row, terms))
                self._rules[row.name, row.version, name] = hidden
                if name == "key" and terms.lane is not None:
                    # Several workflows may share a lane.
                    self._lanes[terms.lane] = hidden or self._lanes.get(terms.lane, False)
                elif name == "share" and spec is not None:
                    shared.append(hidden)
        self._shares = any(shared) or not shared

    def of_rule(self, workflow: str, version: str, rule: str) -> bool:
        """Whether the key of a workflow's rule is hidden."""
        return self._rules.get((workflow, version, rule), True)

    def any_rule(self, workflow: str | None) -> bool:
        """Whether the key of any rule is hidden, of one workflow or of all."""
        return any(hidden for (of, _, _), hidden in self._rules.items() if workflow is None or of == workflow)

    def of_lane(self, name: str) -> bool:
        """Whether the keys of a lane are hidden."""
        return self._lanes.get(name, True)

    def any_lane(self) -> bool:
        """Whether the keys of any lane are hidden."""
        return any(self._lanes.values())

    def of_shares(self) -> bool:
        """Whether the keys of shares are hidden: a queue may have those of any workflow."""
        return self._shares

    def _comes_from_hidden(self, spec: KeySpec | None, begin: tuple[str, ...]) -> bool:
        if not isinstance(spec, str):
            return spec is not None
        parts = spec.split(".")
        return any(self._hides(*begin, *parts[:end]) for end in range(1, len(parts) + 1))


def _begins(row: WorkflowRow, terms: Terms) -> Iterator[tuple[str, ...]]:
    """Where the paths of keys begin: at the arguments, or, of a batch, at an item in one of them."""
    yield ("input",)
    if terms.batch is not None:
        for name in msgspec.json.decode(row.input_schema).get("properties", {}):
            yield ("input", name)
