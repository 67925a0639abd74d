"""Which messages a page is about: the filters of its address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from holdfast.model.publishing import MESSAGE_STATUSES


@dataclass(frozen=True, slots=True)
class MessageFilters:
    """What a page's messages have to meet. An empty text asks for nothing.

    Attributes:
        doubt: yes: only those that may have been sent, though nobody knows; they are among the dead.
    """

    status: str = ""
    channel: str = ""
    workflow: str = ""
    run: str = ""
    key: str = ""
    doubt: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> MessageFilters:
        """The filters of an address; what is none of them is left out."""
        given = {one.name: query.get(one.name, "").strip() for one in fields(cls)}
        given["doubt"] = "yes" if given["doubt"] == "yes" else ""
        if given["doubt"]:
            given["status"] = "dead"
        if given["status"] not in MESSAGE_STATUSES:
            given["status"] = ""
        return cls(**given)

    @property
    def given(self) -> dict[str, str]:
        """Those that ask for something."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in found.items() if value}

    @property
    def arguments(self) -> dict[str, Any]:
        """The same as arguments of `Client.messages`."""
        return {**self.given, "doubt": True} if self.doubt else self.given

    def instead(self, **changes: str) -> dict[str, str]:
        """The parameters of an address with some filters changed; an empty one is left out."""
        return replace(self, **changes).given
