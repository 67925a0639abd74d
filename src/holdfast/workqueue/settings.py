"""How a tenant's work queue is set up: its time zone and holidays, and its policy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from holdfast.engine.part import UNSET, Unset
from holdfast.errors import UsageError, WorkChanged
from holdfast.model.calendars import calendar_of
from holdfast.model.people import checked_zone
from holdfast.model.policies import Policy
from holdfast.model.policy_documents import policy_from
from holdfast.store.work_rows import SettingsRow
from holdfast.workqueue.part import TRIES, WorkPart, checked_revision
from holdfast.workqueue.policies import OWN, PRESET, document_named, policy_from_stored, policy_named
from holdfast.workqueue.views import SettingsView


class _Document(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is stored.

    Attributes:
        policy: a document of its own, as `policy_from` reads it; then ``preset`` does not count.
    """

    zone: str = "UTC"
    country: str | None = None
    preset: str = PRESET
    policy: dict[str, Any] | None = None


class Settings(NamedTuple):
    """A tenant's settings, as the parts of the work queue use them.

    Attributes:
        policy: the stored document of a policy of its own; None for the one that ``preset`` names.
        revision: 0 where nothing was ever set.
    """

    zone: str = "UTC"
    country: str | None = None
    preset: str = PRESET
    policy: bytes | None = None
    revision: int = 0


class Settling(WorkPart):
    """The part of a work queue that has to do with its settings."""

    async def get_settings(self) -> SettingsView:
        """How the tenant's work queue is set up."""
        return self._shown_settings(await self._settings())

    async def put_settings(
        self,
        *,
        zone: str | Unset = UNSET,
        country: str | Unset | None = UNSET,
        preset: str | Unset = UNSET,
        policy: Mapping[str, Any] | Unset | None = UNSET,
        revision: int | None = None,
    ) -> SettingsView:
        """Set up the tenant's work queue; what is not given stays as it is.

        Args:
            zone: the IANA name of the zone of its days: daily work is done there at 06:00.
            country: whose holidays are no business days: two letters (ISO 3166), such as ``"DE"``; with a part of it,
                ``"DE-BY"``; None for none.
            preset: the name of a policy that is known by name, instead of one of the tenant's own.
            policy: the scores and priorities as a document, see `holdfast.model.policy_documents`; None: as the preset
                has them.
            revision: change them only if they stand at this revision; 0: only if nothing was ever set.

        Returns:
            The settings as they are now.

        Raises:
            UsageError: a value is out of range, or the policy is none.
            WorkChanged: they are not at the revision.
        """
        checked_revision(revision, "the settings")
        if not isinstance(policy, Unset) and policy is not None and not isinstance(preset, Unset):
            raise UsageError("give a policy of your own, or the name of a preset, and not both")
        changes: dict[str, Any] = {}
        if not isinstance(zone, Unset):
            changes["zone"] = checked_zone(zone)
        if not isinstance(country, Unset):
            changes["country"] = calendar_of(country).country
        if not isinstance(preset, Unset):
            policy_named(preset)
            changes |= {"preset": preset, "policy": None}
        if not isinstance(policy, Unset):
            changes["policy"] = None if policy is None else _checked_document(policy)
        for _ in range(TRIES):
            row = await self._patiently(self._work.find_settings(self.tenant))
            stands = 0 if row is None else row.revision
            if revision is not None and revision != stands:
                raise WorkChanged(f"the settings are at revision {stands}; look at them and try again")
            before = _Document() if row is None else _decode(row.document)
            document = msgspec.structs.replace(before, **changes)
            if row is not None and document == before:
                return self._shown_settings(_settings_of(row))
            new = SettingsRow(self.tenant, msgspec.json.encode(document), stands + 1)
            if await self._patiently(self._work.put_settings(new)):
                await self._record(
                    "work.settings", self.tenant, **{what: _said(value) for what, value in changes.items()}
                )
                await self._set_up(_settings_of(new))
                return self._shown_settings(_settings_of(new))
        raise WorkChanged("the settings are changed by others at the same time; look at them and try again")

    async def _settings(self) -> Settings:
        """The tenant's settings."""
        row = await self._patiently(self._looks.find_settings(self.tenant))
        return Settings() if row is None else _settings_of(row)

    def _policy(self, settings: Settings) -> Policy:
        """The policy that settings say."""
        return policy_named(settings.preset) if settings.policy is None else policy_from_stored(settings.policy)

    async def _ranges(self) -> Policy:
        """The policy, as it says which signals there are and how they range."""
        return self._policy(await self._settings())

    async def _set_up(self, settings: Settings) -> None:
        """The settings have changed: what depends on them follows."""

    def _shown_settings(self, settings: Settings) -> SettingsView:
        return SettingsView(
            zone=settings.zone,
            country=settings.country,
            preset=settings.preset if settings.policy is None else None,
            policy=document_named(settings.preset) if settings.policy is None else msgspec.json.decode(settings.policy),
            revision=settings.revision,
        )


_decode = msgspec.json.Decoder(_Document).decode


def _settings_of(row: SettingsRow) -> Settings:
    document = _decode(row.document)
    policy = None if document.policy is None else msgspec.json.encode(document.policy)
    return Settings(document.zone, document.country, document.preset, policy, row.revision)


def _checked_document(policy: object) -> dict[str, Any]:
    if not isinstance(policy, Mapping):
        raise UsageError(f"policy is {policy!r:.100}; give its document, an object")
    document = {"name": OWN, **policy}
    policy_from(document)
    return document


def _said(value: object) -> object:
    """What the record of changes says of a setting."""
    return "none" if value is None else "its own" if isinstance(value, dict) else value
