"""Definitions of work: kept in versions, checked with their rules, switched on and off, and read from files."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from holdfast.errors import DefinitionNotFound, UsageError, WorkChanged
from holdfast.model.definitions import circle_of, definition_from, definitions_from
from holdfast.model.ids import check_id
from holdfast.model.work_kinds import Definition, decode_definition, encode_definition
from holdfast.store.work_rows import DefinitionRow
from holdfast.workqueue.part import TRIES, checked_revision
from holdfast.workqueue.settings import Settling
from holdfast.workqueue.showing import definition_view
from holdfast.workqueue.views import DefinitionView

FILE_BYTES = 4 * 1024 * 1024

DefinitionViews = list[DefinitionView]
"""Definitions, in an order that the giver says."""


class Definitions(Settling):
    """The part of a work queue that has to do with definitions."""

    async def put_definition(
        self, id: str, document: Mapping[str, Any], *, revision: int | None = None
    ) -> DefinitionView:
        """Make a definition, or its next version. What says the same as it is makes none.

        Args:
            id: unique within the tenant.
            document: its fields, see `holdfast.model.definitions.Definition`. With ``active`` it is switched on or off
                too; a new one is off unless it says.
            revision: only if this is its newest version; 0: only if there is none.

        Returns:
            The definition as it is now.

        Raises:
            UsageError: a field is missing, unknown or wrong.
            RuleError: a rule cannot be read, or can never be told; says where.
            WorkChanged: its newest version is another.
        """
        check_id(id, "the id of a definition")
        checked_revision(revision, "the definition: its version")
        if not isinstance(document, Mapping):
            raise UsageError(f"definition {id!r:.100} is {document!r:.100}; give an object with its fields by name")
        if document.get("id", id) != id:
            raise UsageError(f"definition {id!r:.100}: id is {document['id']!r:.100}; leave it out, or give the same")
        definition = definition_from({**document, "id": id})
        await self._refuse_circle_of([definition])
        return await self._put_version(definition, revision)

    async def load(self, path: str | Path) -> DefinitionViews:
        """Make the definitions of a TOML file, all of them or none: each is a table ``[definitions.ID]``.

        Args:
            path: of the file.

        Returns:
            The definitions as they are now, in the order of the file.

        Raises:
            UsageError: the file cannot be read, or a definition is wrong; names the file and the line.
            RuleError: likewise, a rule.
            WorkChanged: somebody else changes one of them at the same time.
        """
        text = await asyncio.to_thread(_text_of, Path(path))
        return await self.load_text(text, str(path))

    async def load_text(self, text: str, where: str = "") -> DefinitionViews:
        """Make the definitions of a TOML text, as `load` does.

        Args:
            text: the text.
            where: what it is called in messages.
        """
        found = read_definitions(text, where)
        await self._refuse_circle_of(found)
        return [await self._put_version(one, None) for one in found]

    async def get_definition(self, id: str, *, version: int | None = None) -> DefinitionView:
        """A definition.

        Args:
            id: its id.
            version: which of its versions; the newest unless given.

        Raises:
            DefinitionNotFound: the tenant has no definition of this id, or not this version of it.
        """
        return definition_view(await self._definition(id, version))

    async def definitions(self, *, active: bool | None = None) -> DefinitionViews:
        """The newest version of each definition, by id.

        Args:
            active: only those that are switched on, or off.
        """
        rows = await self._patiently(self._looks.list_definitions(self.tenant, active=active))
        return [definition_view(row) for row in rows]

    async def versions(self, id: str) -> DefinitionViews:
        """Every version of a definition, newest first.

        Raises:
            DefinitionNotFound: the tenant has no definition of this id.
        """
        await self._definition(id)
        return [definition_view(row) for row in await self._patiently(self._looks.list_versions(self.tenant, id))]

    async def activate(self, id: str, *, revision: int | None = None) -> DefinitionView:
        """Switch a definition on: from the next daily work on, items are made of it.

        Args:
            id: its id.
            revision: only if this is its newest version.

        Raises:
            DefinitionNotFound: the tenant has no definition of this id.
            UsageError: it belongs to the demo, of which items are made by `demo_initialize` alone.
            WorkChanged: its newest version is another.
        """
        return await self._switch(id, True, revision)

    async def retire(self, id: str, *, revision: int | None = None) -> DefinitionView:
        """Switch a definition off: no more items are made of it. Those that there are stay.

        Args:
            id: its id.
            revision: only if this is its newest version.

        Raises:
            DefinitionNotFound: the tenant has no definition of this id.
            WorkChanged: its newest version is another.
        """
        return await self._switch(id, False, revision)

    async def _switch(self, id: str, on: bool, revision: int | None) -> DefinitionView:
        checked_revision(revision, "the definition: its version")
        row = await self._definition(id)
        if on and row.demo:
            raise UsageError(f"definition {id!r} belongs to the demo: demo_initialize makes its items")
        return await self._put_version(msgspec.structs.replace(decode_definition(row.document), active=on), revision)

    async def _put_version(self, definition: Definition, revision: int | None) -> DefinitionView:
        """Store what becomes of a definition on top of what it is."""
        id = definition.id
        for _ in range(TRIES):
            stored = await self._patiently(self._work.find_definition(self.tenant, id))
            stands = 0 if stored is None else stored.version
            if revision is not None and revision != stands:
                how = f"was changed meanwhile and is at version {stands}" if stands else "does not exist"
                raise WorkChanged(
                    f"definition {id!r} {how if revision or not stands else 'exists'}; look and try again"
                )
            row = self._row(definition, stored)
            if stored is not None and _same(row, stored):
                if stored.active:
                    # Whoever switched it on may have been cut off before the rest.
                    await self._set_up(await self._settings())
                return definition_view(stored)
            if await self._patiently(self._work.put_definition(row)):
                switched = row.active != (stored is not None and stored.active)
                action = ("activate" if row.active else "retire") if switched and stored is not None else "put"
                await self._record(f"definition.{action}", id, version=row.version, name=row.name)
                if row.active:
                    await self._set_up(await self._settings())
                return definition_view(row)
        raise WorkChanged(f"definition {id!r} is changed by others at the same time; look and try again")

    def _row(self, definition: Definition, stored: DefinitionRow | None) -> DefinitionRow:
        """A definition's next version."""
        active = definition.active
        if active is None:
            active = stored is not None and stored.active
        return DefinitionRow(
            tenant=self.tenant,
            id=definition.id,
            version=1 if stored is None else stored.version + 1,
            name=definition.name,
            type=definition.type,
            weight=definition.base,
            active=active and not definition.demo,
            demo=definition.demo,
            position=definition.order,
            document=encode_definition(msgspec.structs.replace(definition, active=None)),
            created_by=self._actor,
            created_at=self.core.now_us(),
        )

    async def _definition(self, id: str, version: int | None = None) -> DefinitionRow:
        """The tenant's definition of this id, as stored.

        Raises:
            DefinitionNotFound: it has none, or not this version.
        """
        check_id(id, "the id of a definition")
        if version is not None and (isinstance(version, bool) or not isinstance(version, int) or version < 1):
            raise UsageError(f"version is {version!r:.100}; give a whole number, 1 or more")
        row = await self._patiently(self._looks.find_definition(self.tenant, id, version))
        if row is None:
            what = f"definition {id!r}" if version is None else f"version {version} of definition {id!r}"
            raise DefinitionNotFound(f"tenant {self.tenant!r} has no {what}")
        return row

    async def _refuse_circle_of(self, changed: Sequence[Definition]) -> None:
        """Refuse definitions that would come after one another in a circle."""
        if not any(one.after for one in changed):
            return
        rows = await self._patiently(self._work.list_definitions(self.tenant))
        after = {row.id: decode_definition(row.document).after for row in rows} | {one.id: one.after for one in changed}
        if circle := circle_of(after):
            raise UsageError(f"definition {circle[0]!r}: after goes round in a circle: {' after '.join(circle)}")


def read_definitions(text: str, where: str = "") -> list[Definition]:
    """The definitions of a TOML text, checked with their rules.

    Raises:
        UsageError: it cannot be read, or a definition is wrong; names ``where`` and the line.
        RuleError: likewise, a rule.
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{where or 'the text'} is no TOML: {error}") from None
    return definitions_from(document, where, source=text)


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"file {path} cannot be read: {error.strerror or error}") from None
    if len(data) > FILE_BYTES:
        raise UsageError(f"file {path} is larger than {FILE_BYTES:,} bytes; definitions take less")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"file {path} is not UTF-8: byte {error.start} is {data[error.start]:#04x}") from None


def _same(row: DefinitionRow, stored: DefinitionRow) -> bool:
    plain = row._replace(version=stored.version, created_by=stored.created_by, created_at=stored.created_at)
    documents = (msgspec.json.decode(one.document) for one in (row, stored))
    return plain._replace(document=stored.document) == stored and next(documents) == next(documents)
