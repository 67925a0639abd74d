"""Which items a page is about: the filters of its address, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from holdfast.web.work_parts import KINDS, STATUSES, TYPES

OPEN = "open"
"""In place of a status: every one in which something may still become of an item."""

OPEN_STATUSES = ("not_started", "underway", "snoozed")

NOBODY = "nobody"
"""In place of an assignee: items that nobody has. A person that is called so is meant by ``id:nobody``."""

YES_OR_NO = {"": "Any", "yes": "Yes", "no": "No"}


@dataclass(frozen=True, slots=True)
class Filters:
    """What a page's items have to meet. An empty text asks for nothing.

    Attributes:
        assignee: a person, or `NOBODY`.
        status: one of the statuses, or `OPEN`.
        what: the kind: work, ask or hold.
        overdue, blocked: yes or no.
        demo: yes for the demo's items and no others.
        q: a text in the title or the subject.
        batch: the bulk operation that changed them.
    """

    assignee: str = ""
    status: str = ""
    definition: str = ""
    type: str = ""
    group: str = ""
    subject: str = ""
    what: str = ""
    escalated_to: str = ""
    overdue: str = ""
    blocked: str = ""
    demo: str = ""
    q: str = ""
    batch: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str]) -> Filters:
        """The filters of an address; what is none of them is left out."""
        given = {one.name: query.get(one.name, "").strip() for one in fields(cls)}
        choices = {
            "status": (*STATUSES, OPEN), "type": tuple(TYPES), "what": tuple(KINDS), "overdue": ("yes", "no"),
            "blocked": ("yes", "no"), "demo": ("yes",),
        }  # fmt: skip
        return cls(
            **{name: value if name not in choices or value in choices[name] else "" for name, value in given.items()}
        )

    @classmethod
    def parse(cls, text: str) -> Filters:
        """The filters that a kept search holds."""
        return cls.read(dict(parse_qsl(text)))

    @property
    def given(self) -> dict[str, str]:
        """Those that ask for something."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in found.items() if value}

    @property
    def text(self) -> str:
        """The filters as the parameters of an address, as they are kept."""
        return urlencode(self.given)

    @property
    def arguments(self) -> dict[str, Any]:
        """The same as arguments of `WorkQueue.list` and `count`."""
        assignee = {"": None, NOBODY: ""}.get(self.assignee, self.assignee.removeprefix("id:"))
        status: object = list(OPEN_STATUSES) if self.status == OPEN else self.status or None
        demo: bool | None = self.demo == "yes"
        if self.batch:
            demo = None
        return {
            "assignee": assignee,
            "status": status,
            "definition": self.definition or None,
            "type": self.type or None,
            "group": self.group or None,
            "subject": self.subject or None,
            "kind": self.what or None,
            "escalated_to": self.escalated_to or None,
            "overdue": _flag(self.overdue),
            "blocked": _flag(self.blocked),
            "demo": demo,
            "text": self.q or None,
            "batch": self.batch or None,
        }

    def instead(self, **changes: str) -> dict[str, str]:
        """The parameters of an address with some filters changed; an empty one is left out."""
        return replace(self, **changes).given


def address(path: str, given: Mapping[str, str | None]) -> str:
    """A path with parameters; those that are empty are left out."""
    query = urlencode({name: value for name, value in given.items() if value})
    return f"{path}?{query}" if query else path


def _flag(text: str) -> bool | None:
    return {"yes": True, "no": False}.get(text)
