"""The rest of what a server is asked: changes, kept searches, retention, workers, figures, alerts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.engine.alerts import ALERTS_AT_MOST, Alerts, AlertView, checked_state
from holdfast.engine.auditing import QUERY_CHARACTERS, Auditing, AuditView, SavedView, _is_sound, _uid
from holdfast.engine.fleet import Fleet, WorkerView
from holdfast.engine.keeping import DEFAULT_SECONDS, Keeping, RetentionView
from holdfast.engine.overview import STEPS, Fineness, Overview, Overviews, Stats
from holdfast.engine.remote.part import RemotePart, not_from_here
from holdfast.engine.remote.refusals import Refusal
from holdfast.engine.remote.wire import cursor, instant_text, path
from holdfast.errors import UsageError
from holdfast.model.alerting import AlertState
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id


class RemoteLooking(RemotePart, Keeping, Auditing, Overviews, Fleet, Alerts):
    """The part of a remote client that has to do with changes, retention, workers, figures and alerts."""

    # Changes

    async def audit(
        self,
        *,
        limit: int = 50,
        before: str | None = None,
        actor: str | None = None,
        action: str | None = None,
        target: str | None = None,
    ) -> list[AuditView]:
        """See `Client.audit`."""
        wanted: dict[str, Any] = {
            what: None if value is None else check_id(value, what)
            for what, value in (("actor", actor), ("action", action), ("target", target))
        }
        behind = None if before is None else cursor(_uid(before).hex())
        return await self._some("/audit", AuditView, limit, cursor=behind, **wanted)

    async def record(self, action: str, target: str, /, **detail: Any) -> None:
        """Not through a server: it records by itself what is done through it.

        Raises:
            UsageError: always.
        """
        not_from_here("recording a change", "the server records by itself what is changed through it")

    # Kept searches

    async def saved_views(self, page: str) -> list[SavedView]:
        """See `Client.saved_views`."""
        return await self._whole(path("views", check_id(page, "the page")), SavedView)

    async def put_view(self, page: str, name: str, query: str) -> None:
        """See `Client.put_view`."""
        address = _view(page, name)
        if not isinstance(query, str) or len(query) > QUERY_CHARACTERS or not _is_sound(query):
            raise UsageError(
                f"the query of a view is {query!r:.300}; give a text of at most {QUERY_CHARACTERS} characters, "
                "without NUL and half pairs of surrogates"
            )
        await self._call("PUT", address, {"query": query})

    async def delete_view(self, page: str, name: str) -> bool:
        """See `Client.delete_view`."""
        return await self._deleted(_view(page, name), "not-found")

    # Retention

    async def set_retention(self, keep: Duration | None, *, workflow: str = "", status: str = "") -> None:
        """See `Client.set_retention`."""
        if status not in ("", *DEFAULT_SECONDS):
            raise UsageError(f"status is {status!r}; a run is kept when it has ended: {', '.join(DEFAULT_SECONDS)}")
        if workflow != "":
            check_id(workflow, "the workflow")
        kept = None if keep is None else seconds(keep, what="how long runs are kept")
        await self._call("PUT", "/retention", {"keep": kept, "workflow": workflow, "status": status})

    async def retention(self) -> list[RetentionView]:
        """See `Client.retention`."""
        return await self._whole("/retention", RetentionView)

    # Workers

    async def workers(self) -> list[WorkerView]:
        """See `Client.workers`."""
        return await self._whole("/workers", WorkerView)

    async def drain_worker(self, worker_id: str) -> bool:
        """See `Client.drain_worker`."""
        try:
            worker = bytes.fromhex(worker_id)
        except (TypeError, ValueError):
            worker = b""
        if len(worker) != 16:
            raise UsageError(f"worker_id is {worker_id!r:.300}; give the id of a worker, 32 hexadecimal digits")
        try:
            await self.server.ask("POST", path("workers", worker.hex(), "drain"))
        except Refusal as refusal:
            if refusal.kind == "not-found":
                return False
            raise refusal.error() from None
        return True

    # Figures

    async def stats(self, *, since: datetime, until: datetime | None = None, step: Fineness = "minute") -> Stats:
        """See `Client.stats`."""
        if not isinstance(step, str) or step not in STEPS:
            raise UsageError(f"step is {step!r:.300}; it is one of {', '.join(STEPS)}")
        for what, at in (("since", since), *((("until", until),) if until is not None else ())):
            if not isinstance(at, datetime) or at.tzinfo is None:
                raise UsageError(f"{what} is {at!r:.300}; give an aware instant, such as datetime(…, tzinfo=UTC)")
        end = until if until is not None else datetime.now(UTC)
        span, most = STEPS[step]
        if end < since - timedelta(seconds=span):
            raise UsageError(f"stats: since {since} is after until {end}")
        if (end - since) // timedelta(seconds=span) > most + 1:
            raise UsageError(f"stats by the {step} are for at most {most:,} of them; ask for a shorter time")
        query = {"since": instant_text(since), "until": None if until is None else instant_text(until), "step": step}
        return await self._get("/stats", Stats, **query)

    async def overview(self) -> Overview:
        """See `Client.overview`."""
        return await self._get("/overview", Overview)

    async def alerts(self, state: AlertState | None = None, *, limit: int = 100) -> list[AlertView]:
        """See `Client.alerts`."""
        return await self._some("/alerts", AlertView, limit, ALERTS_AT_MOST, state=checked_state(state))


def _view(page: str, name: str) -> str:
    return path("views", check_id(page, "the page"), check_id(name, "the name of a view"))
