"""Which conversations a page is about: the filters of its address, and where a page of the list begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from holdfast.conversations.turns import ConversationView
from holdfast.errors import UsageError
from holdfast.model.ids import check_id
from holdfast.model.run import microseconds
from holdfast.web.conversation_parts import STATUSES


@dataclass(frozen=True, slots=True)
class Filters:
    """What a page's conversations have to meet. An empty text asks for nothing.

    Attributes:
        item: the work item that they belong to.
        expired: yes: those that have expired too.
    """

    user: str = ""
    status: str = ""
    definition: str = ""
    item: str = ""
    expired: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Filters:
        """The filters of an address; what is none of them is left out."""
        given = {one.name: query.get(one.name, "").strip() for one in fields(cls)}
        if given["status"] not in STATUSES:
            given["status"] = ""
        if given["expired"] != "yes":
            given["expired"] = ""
        return cls(**given)

    @property
    def given(self) -> dict[str, str]:
        """Those that ask for something."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in found.items() if value}

    @property
    def arguments(self) -> dict[str, Any]:
        """The same as arguments of `Conversations.list`.

        Raises:
            UsageError: one cannot be the id of anything.
        """
        for name in ("user", "definition", "item"):
            if value := getattr(self, name):
                check_id(value, name)
        return {
            "user": self.user or None,
            "status": self.status or None,
            "definition": self.definition or None,
            "item": self.item or None,
            "expired": self.expired == "yes",
        }

    def instead(self, **changes: str) -> dict[str, str]:
        """The parameters of an address with some filters changed; an empty one is left out."""
        return replace(self, **changes).given


class Place(NamedTuple):
    """Where a page of the list ends: behind this conversation, as it was then.

    Attributes:
        changed_at: microseconds since 1970.
    """

    changed_at: int
    id: str

    @classmethod
    def of(cls, view: ConversationView) -> Place:
        """Behind a conversation."""
        return cls(microseconds(view.changed_at), view.id)

    @classmethod
    def read(cls, text: str) -> Place:
        """A place, from an address.

        Raises:
            UsageError: it is none.
        """
        at, _, id = text.partition(".")
        if not (at.isascii() and at.isdecimal() and len(at) <= 16 and id):
            raise UsageError(f"before is {text!r:.100}, which no page of this list gives; begin at the first page")
        return cls(int(at), id)

    @property
    def text(self) -> str:
        """As it stands in an address."""
        return f"{self.changed_at}.{self.id}"
