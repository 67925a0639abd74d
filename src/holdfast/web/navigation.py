"""The dashboard's pages, as the navigation names them."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.model.access import Role


class Entry(NamedTuple):
    """A page in the navigation.

    Attributes:
        section: of the pages below it.
        path: its address.
        label: its name.
        icon: its picture, see ``ui.icon``.
        key: the letter that goes there, after g.
        needs: the role that it takes.
    """

    section: str
    path: str
    label: str
    icon: str
    key: str
    needs: Role = Role.VIEWER


NAVIGATION = (
    Entry("overview", "/", "Overview", "overview", "o"),
    Entry("work", "/work", "My work", "work", "m"),
    Entry("items", "/work/queue", "Work items", "items", "i"),
    Entry("conversations", "/conversations", "Conversations", "conversations", "c"),
    Entry("runs", "/runs", "Runs", "runs", "r"),
    Entry("diversions", "/diversions", "Diverted starts", "diverted", "v"),
    Entry("workflows", "/workflows", "Workflows", "workflows", "w"),
    Entry("phases", "/phases", "Phases", "phases", "p"),
    Entry("costs", "/costs", "Model cost", "costs", "l"),
    Entry("queues", "/queues", "Queues and lanes", "queues", "q"),
    Entry("schedules", "/schedules", "Schedules", "schedules", "s"),
    Entry("workers", "/workers", "Workers", "workers", "k"),
    Entry("intake", "/intake", "Intake", "intake", "n"),
    Entry("outbox", "/outbox", "Outbox", "outbox", "x"),
    Entry("alerts", "/alerts", "Alerts", "alerts", "b"),
    Entry("dead-letters", "/dead-letters", "Dead letters", "dead", "d"),
    Entry("audit", "/audit", "Audit", "audit", "a", Role.OPERATOR),
    Entry("settings", "/settings", "Settings", "settings", "e"),
)
