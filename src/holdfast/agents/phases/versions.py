"""Which version of a file of phases a run goes by: the one in force when it came to its first phase, for good."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.agents.models.outputs import Output, output_of
from holdfast.agents.phases.files import PhaseSource, phase_file_from, read_phase_file
from holdfast.agents.prompts.rendering import Prompter
from holdfast.engine.context import Scope
from holdfast.engine.core import Core
from holdfast.engine.execution import Execution
from holdfast.engine.phase_calls import PINNED
from holdfast.engine.step import Step
from holdfast.errors import PhaseFileError, StepNotFound, UsageError
from holdfast.model.payload import codec_of
from holdfast.model.phases import Phase, PhaseFile
from holdfast.model.run import Entry, JournalEntry, Kind, Outcome
from holdfast.store.agent_rows import PhaseFileRow

if TYPE_CHECKING:
    from holdfast.engine.client import Client

log = logging.getLogger("holdfast.phases")

LOOK_SECONDS = 1.0
"""The file is looked at again after so long."""

KEPT_AT_MOST = 1000
"""So many versions stay in memory."""

PATCH, OK = str(Kind.PATCH), str(Outcome.OK)

_TEXT = codec_of(str)


class Edition:
    """A version of a file of phases, with all that its phases need to run.

    Attributes:
        steps: made for its phases so far, by what they are made of.
    """

    def __init__(self, file: PhaseFile, types: Mapping[str, Any]) -> None:
        self.file = file
        self.prompter = Prompter(file)
        self.outputs: dict[str, Output] = {
            phase.name: output_of(phase.output, types) for phase in file.phases.values()
        }  # fmt: skip
        self.steps: dict[tuple[object, ...], Step[Any, Any]] = {}

    def phase(self, name: str) -> Phase:
        """A phase.

        Raises:
            UsageError: there is none of this name.
        """
        phase = self.file.phases.get(name)
        if phase is None:
            raise UsageError(
                f"{self.file.name} has no phase {name!r}, as version {self.file.version} has it; "
                f"it has: {', '.join(self.file.phases)}"
            )
        return phase


class Versions:
    """The versions of one file: the one in force, and those that runs go by.

    Args:
        path: of the file.
        types: the outputs that code gives, by name.

    Attributes:
        name: of its registry; it stays while the file changes.

    Raises:
        UsageError: something is wrong in the file; says each, with its line.
    """

    def __init__(self, path: Path, types: Mapping[str, Any]) -> None:
        self._path = path
        self._types = dict(types)
        self._editions: dict[str, Edition] = {}
        self._in_force: dict[str, Edition] = {}
        self._known: set[tuple[str, str]] = set()  # versions that a tenant has
        self._trouble = ""
        self.name = ""
        self._source = self._read()
        self._look_at = time.monotonic() + LOOK_SECONDS

    @property
    def files(self) -> list[PhaseFile]:
        """What is in force, for each tenant that the file names and for all others."""
        return [self.in_force(tenant).file for tenant in ("default", *self._source.tenants)]

    def in_force(self, tenant: str) -> Edition:
        """What a new run of a tenant goes by. The file is read again when it has changed."""
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_SECONDS
            self._look()
        edition = self._in_force.get(tenant)
        if edition is None:
            edition = self._in_force[tenant] = self._edition(self._source.for_tenant(tenant))
        return edition

    async def pinned(self, here: Scope) -> Edition:
        """What a run goes by: chosen and recorded once.

        It is recorded with the run's next write, at a place of its own: it takes no position, so that a run's branches
        may come to their first phases in any order.
        """
        execution = here.execution
        found: Edition | None = execution.companions.get(self)
        if found is not None:
            return found
        position = PINNED + self.name.encode()
        entry = execution.journal.get(position)
        if entry is None:
            found = self.in_force(execution.run.tenant)
            await self._keep(execution, found.file)
            # While it was kept, another branch may have come here too.
            entry = execution.journal.get(position)
            if entry is None:
                execution.check()
                self._pin(execution, position, found.file.version)
        if entry is not None:
            found = await self.of(execution, _TEXT.decode(entry.output or b"", "the version of a file of phases"))
        assert found is not None
        execution.companions[self] = found
        return found

    def _pin(self, execution: Execution, position: bytes, version: str) -> None:
        run, now, output = execution.run, execution.core.now_us(), _TEXT.encode(version, "a version")
        name = f"phases {self.name}"
        seq = execution.next_seq()
        execution.committer.note(
            (run.uid, position, run.generation, seq, PATCH, name, OK, None, output, 1, now, now, run.epoch)
        )
        execution.journal[position] = Entry(PATCH, name, OK, output, seq, run.generation)

    async def of(self, execution: Execution, version: str) -> Edition:
        """A version that was pinned, here or elsewhere.

        Raises:
            UsageError: the database has no such version of the run's tenant.
        """
        tenant, name = execution.run.tenant, self.name
        found = self._editions.get(version)
        # What is in memory may be another tenant's.
        if found is not None and (tenant, version) in self._known:
            return found
        row = await execution.read(lambda store: store.agents.phases(tenant, name, version))
        if row is None:
            raise UsageError(
                f"run {execution.run.id!r} goes by version {version} of {name}, which is not kept any more"
            )
        if found is None:
            found = self._edition(phase_file_from(row.content))
        self._know(tenant, version)
        return found

    async def recorded(self, client: Client, run_id: str, history: Sequence[JournalEntry]) -> Edition:
        """The version that a run of a client's tenant goes by, by what is in force of its journal.

        Raises:
            StepNotFound: the run has come to none of the phases.
            UsageError: the version is not kept any more, or a server has it and it is not in force here; or it names an
                output that the code does not give.
        """
        pins = [one.output for one in history if one.kind == Kind.PATCH and one.name == f"phases {self.name}"]
        if not pins:
            raise StepNotFound(f"run {run_id!r} has come to none of the phases of {self.name}", run_id=run_id)
        version: str = pins[0]
        found = self.in_force(client.tenant)
        if found.file.version == version:
            return found
        try:
            agents = client.reads.agents
        except UsageError:  # the database is a server's
            raise UsageError(
                f"run {run_id!r} goes by version {version} of {self.name}, and in force here is {found.file.version}: "
                "ask the database itself, which keeps them all, instead of its server"
            ) from None
        row = await client._patiently(agents.phases(client.tenant, self.name, version))
        if row is None:
            raise UsageError(f"run {run_id!r} goes by version {version} of {self.name}, which is not kept any more")
        return self._edition(phase_file_from(row.content))

    def _know(self, tenant: str, version: str) -> None:
        if len(self._known) >= KEPT_AT_MOST:
            self._known.clear()
        self._known.add((tenant, version))

    async def _keep(self, execution: Execution, file: PhaseFile) -> None:
        """Keep a version in the database, once for each process."""
        kept = _kept(execution.core)
        tenant = execution.run.tenant
        self._know(tenant, file.version)
        key = (tenant, file.name)
        if kept.get(key) == file.version:
            return
        row = PhaseFileRow(tenant, file.name, file.version, file.content, execution.core.now_us())
        await execution.read(lambda store: store.agents.keep_phases(row))
        kept[key] = file.version

    def _edition(self, file: PhaseFile) -> Edition:
        found = self._editions.get(file.version)
        if found is None:
            found = Edition(file, self._types)
            if len(self._editions) >= KEPT_AT_MOST:
                del self._editions[next(iter(self._editions))]
            self._editions[file.version] = found
        return found

    def _read(self) -> PhaseSource:
        """The file, checked for every tenant that it names."""
        source = read_phase_file(self._path, self._types)
        name = source.for_tenant("default").name
        self.name = self.name or name
        if name != self.name:
            raise UsageError(
                f"{self._path} is called {name!r} now, and was {self.name!r}; start the workers anew for that"
            )
        self._in_force = {tenant: self._edition(source.for_tenant(tenant)) for tenant in ("default", *source.tenants)}
        return source

    def _look(self) -> None:
        if not self._source.stale():
            return
        try:
            self._source = self._read()
        except (UsageError, PhaseFileError, OSError) as error:
            if str(error) != self._trouble:
                self._trouble = str(error)
                log.error("%s cannot be used as it is now; what was in force before stays: %s", self._path, error)
        else:
            self._trouble = ""
            log.info("%s has changed: new runs go by version %s", self._path, self.in_force("default").file.version)


def _kept(core: Core) -> dict[tuple[str, str], str]:
    """The newest version that this process has kept, by tenant and name."""
    kept: Any = core.companions.setdefault("phases", {})
    return kept  # type: ignore[no-any-return]
