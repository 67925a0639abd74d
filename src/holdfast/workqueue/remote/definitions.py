"""Definitions and settings of work through a server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from holdfast.engine.part import UNSET, Unset
from holdfast.engine.remote.part import check_revision
from holdfast.engine.remote.wire import path as path_of
from holdfast.engine.remote.wire import raw
from holdfast.errors import UsageError
from holdfast.model.definitions import definition_from
from holdfast.model.ids import check_id
from holdfast.model.people import checked_zone
from holdfast.workqueue.definitions import DefinitionViews, _text_of, read_definitions
from holdfast.workqueue.presetting import Presetting
from holdfast.workqueue.remote.part import RemoteWork
from holdfast.workqueue.settings import _checked_document
from holdfast.workqueue.views import DefinitionView, DryRun, SettingsView

SETTINGS = "/work-settings"


class RemoteDefinitions(RemoteWork, Presetting):
    """The part of a remote work queue that has to do with definitions and settings."""

    async def put_definition(
        self, id: str, document: Mapping[str, Any], *, revision: int | None = None
    ) -> DefinitionView:
        """See `WorkQueue.put_definition`."""
        check_revision(revision, "the definition: its version")
        body = _document(check_id(id, "the id of a definition"), document)
        return await self._of_definition("PUT", id, body, revision)

    async def get_definition(self, id: str, *, version: int | None = None) -> DefinitionView:
        """See `WorkQueue.get_definition`."""
        if version is not None and (isinstance(version, bool) or not isinstance(version, int) or version < 1):
            raise UsageError(f"version is {version!r:.100}; give a whole number, 1 or more")
        return await self._get(_definition(id), DefinitionView, version=version)

    async def definitions(self, *, active: bool | None = None) -> DefinitionViews:
        """See `WorkQueue.definitions`."""
        return await self._every("/definitions", DefinitionView, active=active)

    async def versions(self, id: str) -> DefinitionViews:
        """See `WorkQueue.versions`."""
        return await self._every(_definition(id, "versions"), DefinitionView)

    async def activate(self, id: str, *, revision: int | None = None) -> DefinitionView:
        """See `WorkQueue.activate`."""
        check_revision(revision, "the definition: its version")
        return await self._of_definition("POST", id, None, revision, "/activate")

    async def retire(self, id: str, *, revision: int | None = None) -> DefinitionView:
        """See `WorkQueue.retire`."""
        check_revision(revision, "the definition: its version")
        return await self._of_definition("POST", id, None, revision, "/retire")

    async def load(self, path: str | Path) -> DefinitionViews:
        """See `WorkQueue.load`. The file is one of this machine."""
        return await self.load_text(await asyncio.to_thread(_text_of, Path(path)), str(path))

    async def load_text(self, text: str, where: str = "") -> DefinitionViews:
        """See `WorkQueue.load_text`."""
        read_definitions(text, where)
        page = await self._call("POST", "/definitions:load", {"text": text, "name": where[:200]})
        return self._items(page, DefinitionView)

    async def dry_run(self, definition: str | Mapping[str, Any]) -> DryRun:
        """See `WorkQueue.dry_run`."""
        if isinstance(definition, str):
            return await self._post(_definition(definition, "dry-run"), None, DryRun)
        return await self._post("/definitions:dry-run", raw(dict(definition), "document"), DryRun)

    # Settings

    async def get_settings(self) -> SettingsView:
        """See `WorkQueue.get_settings`."""
        return await self._get(SETTINGS, SettingsView)

    async def put_settings(
        self,
        *,
        zone: str | Unset = UNSET,
        country: str | Unset | None = UNSET,
        preset: str | Unset = UNSET,
        policy: Mapping[str, Any] | Unset | None = UNSET,
        revision: int | None = None,
    ) -> SettingsView:
        """See `WorkQueue.put_settings`."""
        check_revision(revision, "the settings")
        if not isinstance(policy, Unset) and policy is not None and not isinstance(preset, Unset):
            raise UsageError("give a policy of your own, or the name of a preset, and not both")
        body: dict[str, Any] = {}
        if not isinstance(zone, Unset):
            body["zone"] = checked_zone(zone)
        if not isinstance(country, Unset):
            body["country"] = country
        if not isinstance(preset, Unset):
            body["preset"] = check_id(preset, "preset")
        if not isinstance(policy, Unset):
            body["policy"] = None if policy is None else raw(_checked_document(policy), "policy")
        moved_on = "the settings were changed meanwhile"
        return await self._changed(
            "PUT", SETTINGS, body, SettingsView, revision=revision, field="revision", moved_on=moved_on, always=True
        )

    async def use_preset(self, name: str) -> SettingsView:
        """See `WorkQueue.use_preset`."""
        return await self._post(f"{SETTINGS}/preset", {"name": check_id(name, "preset")}, SettingsView)

    async def _of_definition(
        self, method: str, id: str, body: Any, revision: int | None, more: str = ""
    ) -> DefinitionView:
        return await self._changed(
            method,
            _definition(id),
            body,
            DefinitionView,
            revision=revision,
            field="version",
            moved_on=f"definition {id!r} was changed meanwhile",
            more=more,
        )


def _document(id: str, document: object) -> Any:
    if not isinstance(document, Mapping):
        raise UsageError(f"definition {id!r:.100} is {document!r:.100}; give an object with its fields by name")
    if document.get("id", id) != id:
        raise UsageError(f"definition {id!r:.100}: id is {document['id']!r:.100}; leave it out, or give the same")
    definition_from({**document, "id": id})
    return raw(dict(document), "document")


def _definition(id: object, *more: str) -> str:
    return path_of("definitions", check_id(id, "the id of a definition"), *more)
