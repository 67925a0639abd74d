"""What a client can say of artifacts: the files and blobs that a run made, and their bytes."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.engine.part import Part, check_whole
from holdfast.engine.workspaces import Elsewhere, Workspaces
from holdfast.errors import ArtifactChanged, ArtifactElsewhere, ArtifactNotFound, UsageError
from holdfast.model.position import format_position, parse_position
from holdfast.model.run import instant
from holdfast.store.agent_rows import ArtifactRow

ARTIFACTS_AT_MOST = 10_000
"""So many artifacts of a run are shown at most."""

CONTENT_BYTES = 64 * 1024 * 1024
"""The largest artifact whose bytes are given."""


@dataclass(frozen=True, slots=True)
class ArtifactView:
    """A file or blob that a step of a run made.

    Attributes:
        position: of the step in the run's journal.
        name: within the run, such as ``draft/prompt.md``.
        media_type: such as ``application/json``.
        size_bytes: of its bytes.
        sha256: of its bytes, in hexadecimal.
        location: where they are: the path of a file, or a URL; None where the database keeps them.
        at: when it was made.
    """

    position: str
    name: str
    media_type: str
    size_bytes: int
    sha256: str
    location: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class ArtifactContent:
    """An artifact with its bytes.

    Attributes:
        artifact: what is known of it.
        content: its bytes, those that were recorded.
    """

    artifact: ArtifactView
    content: bytes


class Artifacts(Part):
    """The part of a client that has to do with artifacts.

    Attributes:
        workspaces: the folders whose files may be read.
    """

    workspaces = Workspaces()

    async def artifacts(self, run_id: str, *, limit: int = 1000) -> list[ArtifactView]:
        """What a run made, in the order of its journal, then of names; what was made anew is told as it is now.

        Args:
            run_id: the run.
            limit: at most so many, 1 to 10,000.

        Raises:
            RunNotFound: the tenant has no run of this id.
            UsageError: a limit out of range.
        """
        check_whole(limit, "limit", ARTIFACTS_AT_MOST)
        row = await self._find(run_id)
        found = await self._patiently(self.reads.agents.artifacts(self.tenant, row.uid, limit=limit))
        return [_view(one) for one in found]

    async def artifact(self, run_id: str, name: str, position: str | None = None) -> ArtifactContent:
        """One of them with its bytes, from the database or from the file that was written.

        A file is read below the folders of ``workspaces`` only. Bytes that are no longer those that were recorded are
        not given.

        Args:
            run_id: the run.
            name: of the artifact.
            position: of the step that made it; the last that was made of this name unless given.

        Raises:
            RunNotFound: the tenant has no run of this id.
            ArtifactNotFound: it made none of this name, or not there.
            ArtifactElsewhere: its bytes are where they cannot be read from here, or more than 64 MiB.
            ArtifactChanged: the file has other bytes now, or is gone.
            UsageError: not a name or a position.
        """
        check_asked(name, position)
        run = await self._find(run_id)
        agents = self.reads.agents
        rows = await self._patiently(agents.artifacts(self.tenant, run.uid, limit=ARTIFACTS_AT_MOST))
        named = {_view(row): row for row in rows if row.name == name}
        row = named[chosen(list(named), run_id, name, position)]
        found = await self._patiently(agents.artifact(self.tenant, run.uid, row.position, row.generation, name))
        if found is None:
            raise _none(run_id, name, position)
        view, content = _view(found[0]), found[1]
        if content is None:
            content = await self._from_file(run_id, view)
        if await asyncio.to_thread(sha256_of, content) != view.sha256:
            raise ArtifactChanged(
                f"artifact {name!r} of run {run_id!r} is not what was recorded: {view.location or 'its row'} has other "
                "bytes now",
                location=view.location or "",
            )
        return ArtifactContent(view, content)

    async def _from_file(self, run_id: str, view: ArtifactView) -> bytes:
        location = view.location or ""
        told = f"the bytes of artifact {view.name!r} of run {run_id!r} are at {location!r}"
        if view.size_bytes > CONTENT_BYTES:
            raise ArtifactElsewhere(
                f"{told}, and are {view.size_bytes:,}; as many as {CONTENT_BYTES:,} are given here, read more there",
                location=location,
            )
        try:
            # One more than was recorded tells a file that has grown.
            return await asyncio.to_thread(self.workspaces.read, location, view.size_bytes + 1)
        except Elsewhere:
            way = "" if "://" in location else ", or have its folder added to serve.workspaces"
            raise ArtifactElsewhere(
                f"{told}, which is no file below a folder that may be read from here; read them there{way}",
                location=location,
            ) from None
        except FileNotFoundError:
            raise ArtifactChanged(f"{told}, and the file is gone", location=location) from None
        except OSError as error:
            raise ArtifactElsewhere(f"{told}, which cannot be read: {error.strerror}", location=location) from None


def sha256_of(content: bytes) -> str:
    """The digest of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def check_asked(name: object, position: object) -> None:
    """Refuse what names no artifact.

    Raises:
        UsageError: it does not.
    """
    if not isinstance(name, str) or not name:
        raise UsageError(f"the name of an artifact is {name!r:.300}; give a text, such as 'draft/prompt.md'")
    if position is not None:
        parse_position(position)  # type: ignore[arg-type]


def chosen(views: Sequence[ArtifactView], run_id: str, name: str, position: str | None) -> ArtifactView:
    """Which of a run's artifacts is asked for: the last that was made of those that have the name.

    Raises:
        ArtifactNotFound: none.
    """
    found = [one for one in views if one.name == name and position in (None, one.position)]
    if not found:
        raise _none(run_id, name, position)
    return max(found, key=lambda one: one.at)


def _none(run_id: str, name: str, position: str | None) -> ArtifactNotFound:
    where = "" if position is None else f" at {position}"
    return ArtifactNotFound(f"run {run_id!r} made no artifact {name!r:.600}{where}", name=name)


def _view(row: ArtifactRow) -> ArtifactView:
    return ArtifactView(
        position=format_position(row.position),
        name=row.name,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        sha256=row.sha256.hex(),
        location=row.location,
        at=instant(row.at),
    )
