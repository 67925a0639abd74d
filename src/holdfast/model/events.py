"""Which wait gets which event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

ITEM_EVENT = "holdfast.item"
"""The event by which a run that asks a person learns that its work item has ended; its key is the item's id."""


class Waiting(NamedTuple):
    """A wait for an event. Waits sort in the order in which they are given events.

    ``due_at``: an event that is sent then or later does not satisfy it.
    """

    since: int
    run: bytes
    position: bytes
    generation: int
    due_at: int | None


class Kept(NamedTuple):
    """An event that is kept for runs that wait later. Events sort in the order in which they are given out."""

    sent_at: int
    id: bytes
    to_all: bool
    payload: bytes
    expires_at: int


def in_time(due_at: int | None, sent_at: int) -> bool:
    """Whether an event that is sent at this instant satisfies a wait that is due at that one."""
    return due_at is None or due_at > sent_at


def deliver(sent: Sequence[tuple[int, bool]], waiting: Sequence[Waiting]) -> list[list[Waiting]]:
    """Give events on one topic to those that wait for it.

    An event for all goes to every run that waits, once to each: to its first wait. Any other event goes
    to the first wait. A wait takes one event.

    Args:
        sent: (instant, whether it is for all) of each event, in the order in which they are given out.
        waiting: the waits on the topic, in order.

    Returns:
        For each event the waits that it satisfies.
    """
    left = list(waiting)
    given: list[list[Waiting]] = []
    for sent_at, to_all in sent:
        if to_all:
            firsts: dict[bytes, Waiting] = {}
            for wait in left:
                if in_time(wait.due_at, sent_at):
                    firsts.setdefault(wait.run, wait)
            given.append(list(firsts.values()))
            taken = set(given[-1])
            left = [wait for wait in left if wait not in taken]
        else:
            at = next((n for n, wait in enumerate(left) if in_time(wait.due_at, sent_at)), None)
            given.append([] if at is None else [left.pop(at)])
    return given


def receive(waits: Sequence[Waiting], single: Sequence[Kept], shared: Mapping[Waiting, Kept]) -> list[Kept | None]:
    """Give kept events on one topic to new waits: to each the oldest that it may have.

    Args:
        waits: in the order in which they are served, no two of one run.
        single: the kept events for one wait that nobody took yet, in order.
        shared: for each wait the oldest kept event for all that is unexpired, in time, and new to its run.

    Returns:
        For each wait its event, or None.
    """
    left = list(single)
    given: list[Kept | None] = []
    for wait in waits:
        own = (
            n for n, event in enumerate(left) if event.expires_at > wait.since and in_time(wait.due_at, event.sent_at)
        )
        at = next(own, None)
        event = shared.get(wait)
        if at is not None and (event is None or left[at][:2] < event[:2]):
            event = left.pop(at)
        given.append(event)
    return given
