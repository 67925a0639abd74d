"""Short ways to read sources, make entries, and say what became of them, over any store."""

import hashlib
import itertools
from typing import Any

from holdfast.model.publishing import text_digest
from holdfast.store.base import Store
from holdfast.store.intake_rows import (
    EntryFilter,
    EntryRow,
    NewEntry,
    OutcomeRow,
    SettleEntry,
    SourceRow,
    TakeIn,
    TakenIn,
)
from holdfast.store.operations import Audit, NewMessage
from tests.conformance import outbox_kit
from tests.conformance.kit import KIND, claim, commit, settle, start, uid

AT = 1_700_000_000_000_000
"""When things are taken in, if nothing else is said; the kit's runs are made then too."""

_numbers = itertools.count(1)


def entry(text: str, **changes: Any) -> NewEntry:
    """An entry that is known by a text, and becomes a run."""
    key = hashlib.blake2b(text.encode(), digest_size=16).digest()
    row = NewEntry(
        uid=uid(), key=key, message_id=text, place=f"orders:{next(_numbers)}", outcome="run", reason="", content=None,
        start=start(f"orders/{text}"),
    )  # fmt: skip
    return row._replace(**changes)


def filtered(text: str, **changes: Any) -> NewEntry:
    """An entry that is not for us."""
    return entry(text, start=None, outcome="filtered", reason="no order", **changes)


def dead(text: str, **changes: Any) -> NewEntry:
    """An entry that cannot be read."""
    return entry(text, **({"start": None, "outcome": "dead", "reason": "no JSON", "content": b"{"} | changes))


async def opened(store: Store, tenant: str = "t", name: str = "orders", workflow: str = KIND[1]) -> SourceRow:
    """A source, new or not."""
    return await store.intake.open_source(tenant, name, "jsonl", workflow)


def taking(of: SourceRow, *entries: NewEntry, **changes: Any) -> TakeIn:
    """A call that takes in entries of a source as it stands."""
    position = b"at %d" % (of.revision + 1)
    return TakeIn(of.tenant, of.name, of.revision, position, entries, None, AT)._replace(**changes)


async def taken(store: Store, *entries: NewEntry, tenant: str = "t", **changes: Any) -> TakenIn:
    """Take in entries of the tenant's source."""
    found = await store.intake.take_in(taking(await opened(store, tenant), *entries, **changes))
    assert found.refused is None
    return found


async def known(store: Store, tenant: str = "t", **which: Any) -> list[EntryRow]:
    """The entries of a tenant, the newest first."""
    return await store.intake.entries(tenant, EntryFilter(**which), limit=100)


async def counts(store: Store) -> tuple[int, int, int, int]:
    """What the source says it made: runs, filtered, repeated, dead."""
    source = await opened(store)
    return source.runs, source.filtered, source.repeated, source.dead


def message(of: NewEntry | None = None, text: str = "hello", **changes: Any) -> NewMessage:
    """A message of an entry's run, or of nobody's, made when things are taken in, and newer than the last."""
    row = outbox_kit.message(uid().hex(), created_at=AT, body=text.encode(), text_digest=text_digest(text), uid=uid())
    if of is not None and of.start is not None:
        row = row._replace(run=of.start.uid, run_id=of.start.id)
    return row._replace(**changes)


def audit(action: str = "entry.settle", tenant: str = "t") -> Audit:
    """The record of a change."""
    return outbox_kit.audit("orders", tenant, action)


def settling(row: EntryRow, run: str | None = None, **changes: Any) -> SettleEntry:
    """A call that takes in a dead entry as a run after all, or discards it."""
    begin = None if run is None else start(run)
    return SettleEntry(row.tenant, row.uid, begin, "by hand", "ann", AT, audit())._replace(**changes)


def outcome(message_id: str, decided: Any = "sent", text: str = "hello", **changes: Any) -> OutcomeRow:
    """What the other path made of a message."""
    return OutcomeRow("t", KIND[1], message_id, decided, text, text_digest(text), AT)._replace(**changes)


async def end_all(store: Store, **status: str) -> None:
    """Let every run that is ready end: well, or as its id says."""
    runs = await claim(store)
    ends = [settle(run, status.get(run.id.rpartition("/")[2], "succeeded")) for run in runs]
    await commit(store, settles=ends)
