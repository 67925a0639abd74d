"""Seals payloads and keeps large ones apart on their way into a database; opens them on their way out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from holdfast.errors import CodecError, PayloadError
from holdfast.model.gathered import JOINED, join_inputs, split_inputs
from holdfast.model.payload import HEADER
from holdfast.model.references import APART, DATABASE, is_apart, reference_of, used_blob
from holdfast.model.sealed import SEALED, Unopened, reason_of, sealed_of, unopened
from holdfast.store.base import Rejected, Store
from holdfast.store.operations import Batch, Blob, BlobUse
from holdfast.store.values.apart import Apart
from holdfast.store.values.codec import seal, unseal
from holdfast.store.values.forms import MAP, Slot, is_special, row_slots, slots_of, with_data
from holdfast.store.values.quick import small_payloads, with_payloads
from holdfast.store.values.values import Values

T = TypeVar("T")

RAW = b"\x02hf-sealed-raw\x00"
"""Begins sealed bytes that are no payload, which may begin with any byte themselves."""

PLAIN_RAW = b"\x02hf-plain-raw\x00"
"""Before those of them that would be taken for the former, where there is no codec."""

NO_VALUE = "what the codec makes of its sealed bytes is no value"


class Sealing:
    """What is done to payloads of one database.

    Args:
        store: the database.
        values: how its values are stored.
    """

    def __init__(self, store: Store, values: Values) -> None:
        self.values = values
        self._codec = values.codec
        self._over = values.apart_over_bytes
        # With a codec every payload is looked at.
        self._least = 0 if values.codec is not None else self._over
        self.apart = Apart(store, values.apart)
        self._store = store
        self._elsewhere = values.apart != DATABASE
        self.ahead_over = self._over if self._elsewhere else 1 << 62
        """Payloads that are larger go through `ahead`."""
        self._made: dict[int, tuple[bytes, bytes, Blob | None]] = {}
        """What was made of large payloads of a batch that is not committed yet: it is the same when it is repeated."""

    # In

    async def batch(self, batch: Batch) -> Batch:
        """A batch as it is to be stored; the same one where nothing is to be done."""
        if batch.artifacts:
            made = [one._replace(content=await self.raw(one.content)) for one in batch.artifacts]
            batch = replace(batch, artifacts=made)
        # What is sealed grows a little: half as large as may be it is never kept apart.
        small = small_payloads(batch.checkpoints, self._over // 2) if self._codec is not None else None
        slots = slots_of(batch if small is None else replace(batch, checkpoints=[]), self._least, self._elsewhere)
        if not slots and not small:
            return batch
        forms, blobs, uses = await self._store_forms(slots, self._made, small or [])
        rows: dict[str, list[Any]] = {kind: list(getattr(batch, kind)) for kind in {slot.kind for slot in slots}}
        _place(rows, slots, forms[: len(slots)])
        if small:
            rows["checkpoints"] = with_payloads(batch.checkpoints, iter(forms[len(slots) :]))
        return replace(batch, blobs=[*batch.blobs, *blobs], blob_uses=[*batch.blob_uses, *uses], **rows)

    def committed(self) -> None:
        """The last batch is."""
        self._made.clear()

    async def rows(self, kind: str, rows: Sequence[T]) -> list[T]:
        """Operations of a kind that are stored by a verb of their own; what is kept apart is written before."""
        slots = list(row_slots(kind, rows, self._least))
        if not slots:
            return list(rows)
        made, blobs, uses = await self._store_forms(slots, {})
        await self._write(blobs, uses)
        changed: dict[str, list[Any]] = {kind: list(rows)}
        _place(changed, slots, made)
        return changed[kind]

    async def payload(self, data: bytes, *holders: bytes) -> bytes:
        """A payload that is stored by a verb of its own. Without holders it is not kept apart."""
        if not (len(data) > self._least or is_special(data) or type(data) is Unopened):
            return data
        if data[:1] != HEADER and not is_special(data) and type(data) is not Unopened:
            return data
        [made], blobs, uses = await self._store_forms([Slot("", 0, 0, data, holders)], {})
        await self._write(blobs, uses)
        return made

    async def ahead(self, data: bytes) -> bytes:
        """A large payload as it is to be stored, its bytes written to where they are kept, if that is elsewhere.

        Whoever stores it does not hold up others then. What it is stored with adds its use.
        """
        if len(data) <= self.ahead_over:
            return data
        [made], _, _ = await self._store_forms([Slot("", 0, 0, data, (b"",))], {})
        return made

    async def raw(self, data: bytes | None) -> bytes | None:
        """Bytes that are no payload, sealed."""
        if data is None:
            return None
        if self._codec is None:
            return PLAIN_RAW + data if data.startswith((RAW, PLAIN_RAW)) else data
        return RAW + (await self._sealed([data]))[0]

    async def _write(self, blobs: list[Blob], uses: list[BlobUse]) -> None:
        if blobs or uses:
            await self._store.commit(Batch(blobs=blobs, blob_uses=uses))

    async def _store_forms(
        self,
        slots: Sequence[Slot],
        made: dict[int, tuple[bytes, bytes, Blob | None]],
        small: Sequence[bytes] = (),
    ) -> tuple[list[bytes], list[Blob], list[BlobUse]]:
        """For each payload what is stored of it; the blobs that go with them, and who uses them.

        Args:
            slots: the payloads.
            made: what was made of those of a batch before it is committed.
            small: further ones that are only sealed; what is stored of them comes behind the others.
        """
        forms: list[bytes] = [sealed_of(slot.data) if type(slot.data) is Unopened else slot.data for slot in slots]
        # What has no holder is stored where it belongs, also where the same value is kept apart for another.
        new = [n for n, slot in enumerate(slots) if not slot.holders or id(slot.data) not in made]
        plain = [n for n in new if forms[n][:1] in (HEADER, JOINED)]
        sealed: list[bytes] = []
        if self._codec is not None and (plain or small):
            sealed = await self._sealed([*(forms[n] for n in plain), *small])
            for n, form in zip(plain, sealed, strict=False):
                forms[n] = form
        outside: list[tuple[Any, bytes]] = []
        promised: list[Blob] = []
        for n in new:
            form, slot = forms[n], slots[n]
            if not slot.holders or len(form) <= self._over or form[:1] == APART or id(slot.data) in made:
                continue
            reference, blob = await self.apart.refer(form)
            if self._elsewhere:
                outside.append((reference, form))
                promised.append(blob)
            forms[n] = reference.to_bytes()
            made[id(slot.data)] = slot.data, forms[n], None if self._elsewhere else blob
        if outside:
            await self.apart.put(outside, promised)
        blobs: dict[bytes, Blob] = {}
        uses: dict[BlobUse, None] = {}
        for n, slot in enumerate(slots):
            if slot.holders and id(slot.data) in made:
                _, forms[n], kept = made[id(slot.data)]
                if kept is not None:
                    blobs[kept.id] = kept
            used = used_blob(forms[n])
            if used is not None:
                uses.update((BlobUse(holder, used), None) for holder in slot.holders if holder)
        return [*forms, *sealed[len(plain) :]], list(blobs.values()), list(uses)

    async def _sealed(self, payloads: list[bytes]) -> list[bytes]:
        assert self._codec is not None
        try:
            return await seal(self._codec, payloads)
        except CodecError as error:
            raise Rejected(str(error)) from error

    # Out

    async def opened(self, rows: Sequence[T], *fields: str, fetch: bool = False) -> list[T]:
        """Rows with payloads that are plain, or references to what is kept apart.

        Args:
            fields: the names of their payloads.
            fetch: instead of references the bytes.
        """
        if not rows:
            return list(rows)
        places = [rows[0]._fields.index(field) for field in fields]  # type: ignore[attr-defined]
        found = [
            (number, place, row[place])  # type: ignore[index]
            for number, row in enumerate(rows)
            for place in places
            if is_special(row[place]) and not _is_map(row)  # type: ignore[index]
        ]
        if not found:
            return list(rows)
        plain = await self.plain([data for _, _, data in found], fetch=fetch)
        changes: dict[int, dict[int, bytes]] = {}
        for (number, place, _), data in zip(found, plain, strict=True):
            changes.setdefault(number, {})[place] = data
        return [with_data(row, changes[n]) if n in changes else row for n, row in enumerate(rows)]

    async def plain(self, payloads: Sequence[bytes], *, fetch: bool = True) -> list[bytes]:
        """Payloads as they were before they were stored; what stands for those that cannot be had."""
        found = list(payloads)
        if fetch and (apart := [n for n, data in enumerate(found) if is_apart(data)]):
            references = {found[n]: reference_of(found[n]) for n in apart}
            brought = await self.apart.fetch(list(references.values()))
            for n in apart:
                found[n] = brought[references[found[n]].id]
        if joined := [n for n, data in enumerate(found) if data[:1] == JOINED]:
            parts = [split_inputs(found[n]) for n in joined]
            opened = iter(await self.plain([one for part in parts for one in part], fetch=fetch))
            for n, part in zip(joined, parts, strict=True):
                found[n] = _joined(found[n], [next(opened) for _ in part])
        if sealed := [n for n, data in enumerate(found) if data[:1] == SEALED]:
            for n, data in zip(sealed, await unseal(self._codec, [found[n] for n in sealed]), strict=True):
                # A reference is never sealed: nobody's codec gives one, and so the bytes of another value.
                plain = data[:1] == HEADER or type(data) is Unopened
                found[n] = data if plain else unopened(found[n], CodecError("a value", NO_VALUE))
        return found

    async def raw_plain(self, data: bytes | None, place: str) -> bytes | None:
        """Bytes that are no payload, as they were before they were sealed.

        Raises:
            CodecError: they cannot be opened here.
        """
        if data is None or not data.startswith((RAW, PLAIN_RAW)):
            return data
        if data.startswith(PLAIN_RAW):
            return data[len(PLAIN_RAW) :]
        [found] = await unseal(self._codec, [data[len(RAW) :]])
        if isinstance(found, Unopened):
            raise CodecError(place, reason_of(found).why)
        return found


def _place(rows: dict[str, list[Any]], slots: Iterable[Slot], made: Iterable[bytes]) -> None:
    changes: dict[tuple[str, int], dict[int, bytes]] = {}
    for slot, data in zip(slots, made, strict=True):
        changes.setdefault((slot.kind, slot.row), {})[slot.field] = data
    for (kind, number), change in changes.items():
        rows[kind][number] = with_data(rows[kind][number], change)


def _is_map(row: Any) -> bool:
    """Whether it is the entry of a fan-out, whose output is no payload: it may begin with any byte."""
    return getattr(row, "kind", None) == MAP


def _joined(stored: bytes, parts: list[bytes]) -> bytes:
    """One input of several that were opened; what stands for it if one of them cannot be."""
    for part in parts:
        if isinstance(part, Unopened):
            reason = reason_of(part)
            return unopened(stored, PayloadError("a value", reason.why))
    return join_inputs(parts)
