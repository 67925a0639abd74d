"""What a client can decide of publishing: the mode of each workflow, and which path answers what comes in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from holdfast.engine.part import Part
from holdfast.errors import PublishingChanged, UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id
from holdfast.model.publishing import PUBLISH_MODES, USUAL_MODE, PublishMode, PublishPath
from holdfast.model.run import instant
from holdfast.store.outbox_rows import PublishSettingRow

ROLLBACK_WINDOW: Duration = "14d"
"""For so long the other path is given copies after a cut-over, unless it is said."""

TRIES = 20

Change = Callable[[PublishSettingRow, int], PublishSettingRow]
"""What becomes of a setting now."""


@dataclass(frozen=True, slots=True)
class PublishSettingView:
    """How the messages of a workflow's runs are published.

    Attributes:
        workflow: its name; None for all workflows of which nothing else is said.
        mode: ``off``, nothing is sent; ``draft``, a person sees each message first; ``auto``, all are sent; None where
            it is as for all workflows.
        mode_in_force: the mode that counts.
        path: which path answers what comes in: ``primary`` for this one; in ``shadow`` what this one publishes is not
            sent, and another path answers.
        path_since: when that was decided; None where it never was.
        copies_until: until then the other path is given copies of what comes in; None where it is not.
        revision: rises with each change.
        changed_by: who changed it last; None where nobody did.
        changed_at: when.
    """

    workflow: str | None
    mode: PublishMode | None
    mode_in_force: PublishMode
    path: PublishPath
    path_since: datetime | None
    copies_until: datetime | None
    revision: int
    changed_by: str | None
    changed_at: datetime | None


class PublishModes(Part):
    """The part of a client that has to do with modes and paths. Each change is recorded, without an actor too."""

    async def publish_settings(self) -> list[PublishSettingView]:
        """What was decided: first for all workflows, then for those of which something else is said, by name."""
        return _views(await self._publish_rows())

    async def set_publish_mode(self, mode: PublishMode | None, workflow: str | None = None) -> PublishSettingView:
        """Decide what is done with the messages that their code lets pass. It counts for those that wait already.

        Args:
            mode: ``"off"``, ``"draft"`` or ``"auto"``; None for a workflow that is to have no mode of its own.
            workflow: its name; all workflows that have no mode of their own unless given.

        Raises:
            UsageError: no such mode.
            PublishingChanged: others change it at the same time.
        """
        check_mode(mode, workflow)
        return await self._decide_publishing(
            workflow, lambda row, now: row._replace(mode=mode), "publishing.mode", mode=mode or "as for all"
        )

    async def cut_over(self, workflow: str, rollback_window: Duration = ROLLBACK_WINDOW) -> PublishSettingView:
        """Let this path answer what comes in for a workflow from now on; what began on the other one ends there.

        Args:
            workflow: its name.
            rollback_window: for so long the other path is given copies, so that it can be gone back to.

        Raises:
            UsageError: not a duration.
            PublishingChanged: others change it at the same time.
        """
        window = seconds(rollback_window, what="the rollback window")

        def change(row: PublishSettingRow, now: int) -> PublishSettingRow:
            since = now if row.path != "primary" or row.path_since == 0 else row.path_since
            return row._replace(path="primary", path_since=since, copies_until=now + int(window * 1e6))

        return await self._decide_publishing(workflow, change, "publishing.cut_over", rollback_seconds=window)

    async def roll_back(self, workflow: str) -> PublishSettingView:
        """Let the other path answer what comes in for a workflow; here its runs work in shadow from now on.

        Raises:
            PublishingChanged: others change it at the same time.
        """

        def change(row: PublishSettingRow, now: int) -> PublishSettingRow:
            since = now if row.path != "shadow" else row.path_since
            return row._replace(path="shadow", path_since=since, copies_until=0)

        return await self._decide_publishing(workflow, change, "publishing.roll_back")

    async def _publish_rows(self) -> list[PublishSettingRow]:
        return await self._patiently(self.reads.outbox.publish_settings(self.tenant))

    async def _decide_publishing(
        self, workflow: str | None, change: Change, action: str, **detail: Any
    ) -> PublishSettingView:
        """Store what becomes of a setting, on top of what it is."""
        name = "" if workflow is None else check_id(workflow, "the workflow")
        actor = self.actor or "local"
        for _ in range(TRIES):
            rows = {row.workflow: row for row in await self._publish_rows()}
            stands = rows.get(name) or _untouched(self.tenant, name)
            now = self.core.now_us()
            row = change(stands, now)._replace(revision=stands.revision + 1, changed_by=actor, changed_at=now)
            audit = self._audit(actor, action, name or "all workflows", detail)
            if await self._patiently(self.core.store.outbox.put_publish_setting(row, audit)):
                return _view(row, {**rows, name: row})
        raise PublishingChanged(f"how {name or 'everything'} is published is changed by others at the same time")


def check_mode(mode: object, workflow: object) -> None:
    """Refuse what is no mode.

    Raises:
        UsageError: it is none.
    """
    if mode not in PUBLISH_MODES and (mode is not None or workflow is None):
        raise UsageError(f"the publish mode is {mode!r:.300}; give one of {', '.join(PUBLISH_MODES)}")


def _untouched(tenant: str, workflow: str) -> PublishSettingRow:
    return PublishSettingRow(tenant, workflow, None, "primary", 0, 0, 0, "", 0)


def _views(rows: list[PublishSettingRow]) -> list[PublishSettingView]:
    found = {row.workflow: row for row in rows}
    tenant = rows[0].tenant if rows else ""
    found.setdefault("", _untouched(tenant, ""))
    return [_view(found[name], found) for name in sorted(found)]


def _view(row: PublishSettingRow, rows: dict[str, PublishSettingRow]) -> PublishSettingView:
    for_all = rows[""].mode if "" in rows else None
    return PublishSettingView(
        workflow=row.workflow or None,
        mode=row.mode,
        mode_in_force=row.mode or for_all or USUAL_MODE,
        path=row.path,
        path_since=_instant(row.path_since),
        copies_until=_instant(row.copies_until),
        revision=row.revision,
        changed_by=row.changed_by or None,
        changed_at=_instant(row.changed_at),
    )


def _instant(at: int) -> datetime | None:
    return None if at == 0 else instant(at)
