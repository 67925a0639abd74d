"""Which diverted starts a page is about: the filters of its address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from holdfast.engine.diversion_views import RULES, WAYS


@dataclass(frozen=True, slots=True)
class DiversionFilters:
    """What a page's starts have to meet. An empty text asks for nothing.

    Attributes:
        run: the run that they went into, or because of which they were dropped.
        asked: the id that they asked for.
    """

    workflow: str = ""
    key: str = ""
    way: str = ""
    rule: str = ""
    run: str = ""
    asked: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> DiversionFilters:
        """The filters of an address; what is none of them is left out."""
        given = {one.name: query.get(one.name, "").strip() for one in fields(cls)}
        for name, known in (("way", WAYS), ("rule", RULES)):
            if given[name] not in known:
                given[name] = ""
        return cls(**given)

    @property
    def given(self) -> dict[str, str]:
        """Those that ask for something."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in found.items() if value}

    @property
    def arguments(self) -> dict[str, Any]:
        """The same as arguments of `Client.diversions`."""
        called = {"run": "run_id", "asked": "id"}
        return {called.get(name, name): value for name, value in self.given.items()}

    def instead(self, **changes: str) -> dict[str, str]:
        """The parameters of an address with some filters changed; an empty one is left out."""
        return replace(self, **changes).given
