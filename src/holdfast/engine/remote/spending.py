"""What a server is asked of models, artifacts and phases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime

from holdfast.engine.artifacts import (
    ARTIFACTS_AT_MOST,
    ArtifactContent,
    Artifacts,
    ArtifactView,
    check_asked,
    chosen,
    sha256_of,
)
from holdfast.engine.part import check_whole
from holdfast.engine.phasing import PhaseFileView, Phasing
from holdfast.engine.remote.finding import checked_search
from holdfast.engine.remote.part import RemotePart, run_path
from holdfast.engine.remote.wire import REDACTED, path
from holdfast.engine.spending import CALLS_AT_MOST, CostReport, ModelCallView, Spending, asked_costs
from holdfast.errors import ArtifactChanged
from holdfast.model.ids import check_id
from holdfast.store.agent_rows import CostBy


class RemoteSpending(RemotePart, Spending, Artifacts, Phasing):
    """The part of a remote client that has to do with models, artifacts and phases."""

    async def model_calls(self, run_id: str, *, limit: int = 1000) -> list[ModelCallView]:
        """See `Client.model_calls`."""
        check_whole(limit, "limit", CALLS_AT_MOST)
        return await self._first(run_path(run_id, "model-calls"), ModelCallView, limit)

    async def artifacts(self, run_id: str, *, limit: int = 1000) -> list[ArtifactView]:
        """See `Client.artifacts`."""
        check_whole(limit, "limit", ARTIFACTS_AT_MOST)
        return await self._first(run_path(run_id, "artifacts"), ArtifactView, limit)

    async def artifact(self, run_id: str, name: str, position: str | None = None) -> ArtifactContent:
        """See `Client.artifact`."""
        check_asked(name, position)
        view = chosen(await self.artifacts(run_id, limit=ARTIFACTS_AT_MOST), run_id, name, position)
        found = await self._call("GET", run_path(run_id, "artifacts", name), query={"position": view.position})
        if not (found.etag or "").strip('W/"').startswith(REDACTED) and sha256_of(found.body) != view.sha256:
            raise ArtifactChanged(
                f"artifact {name!r} of run {run_id!r} was made anew, or was changed on its way; ask again",
                location=view.location or "",
            )
        return ArtifactContent(view, found.body)

    async def model_costs(
        self,
        *,
        since: date | None = None,
        until: date | None = None,
        by: Sequence[CostBy] = ("phase",),
        where: str | None = None,
    ) -> CostReport:
        """See `Client.model_costs`."""
        first, last, kinds = asked_costs(since, until, by, where, datetime.now(UTC))
        query = {
            "where": checked_search(where),
            "since": None if since is None else first.isoformat(),
            "until": None if until is None else last.isoformat(),
        }
        return await self._get("/model-costs", CostReport, by=",".join(kinds), **query)

    async def phase_files(self) -> list[PhaseFileView]:
        """See `Client.phase_files`."""
        return await self._whole("/phases", PhaseFileView)

    async def phase_file(self, name: str, version: str | None = None) -> PhaseFileView:
        """See `Client.phase_file`."""
        address = path("phases", check_id(name, "the name of a file of phases"))
        return await self._get(
            address, PhaseFileView, version=None if version is None else check_id(version, "version")
        )
