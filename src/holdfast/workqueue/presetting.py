"""Presets: a policy and definitions that come with holdfast, and are switched on together."""

from __future__ import annotations

from importlib.resources import files

import msgspec

from holdfast.errors import UsageError
from holdfast.model.presets import PRESETS
from holdfast.model.work_kinds import Definition
from holdfast.workqueue.definitions import Definitions, read_definitions
from holdfast.workqueue.views import SettingsView


class Presetting(Definitions):
    """The part of a work queue that has to do with presets."""

    async def use_preset(self, name: str) -> SettingsView:
        """Take a preset's policy, and switch its definitions on.

        A definition that is there already stays as it is, changed by somebody or switched off as it may be.

        Args:
            name: ``"customer_success"``.

        Returns:
            The settings as they are now.

        Raises:
            UsageError: there is no such preset.
            WorkChanged: somebody else changes the same at the same time.
        """
        found = preset_definitions(name)
        view = await self.put_settings(preset=name)
        rows = await self._patiently(self._work.list_definitions(self.tenant))
        there = {row.id for row in rows}
        new = [msgspec.structs.replace(one, active=True) for one in found if one.id not in there]
        await self._refuse_circle_of(new)
        for one in new:
            await self._put_version(one, None)
        await self._record("work.preset", name, definitions=len(new))
        return view


def preset_definitions(name: str) -> list[Definition]:
    """The definitions of a preset.

    Raises:
        UsageError: there is no such preset.
    """
    if name not in PRESETS:
        raise UsageError(f"preset is {name!r:.100}; give one of {', '.join(sorted(PRESETS))}")
    file = files("holdfast.workqueue") / "presets" / name / "definitions.toml"
    return read_definitions(file.read_text(encoding="utf-8"), f"preset {name}")
