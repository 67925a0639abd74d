"""`hf.load_phases`: the phases of a file, run inside workflows."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.agents.models.requesting import Sink
from holdfast.agents.phases.queued import Queues
from holdfast.agents.phases.replaying import replay
from holdfast.agents.phases.replays import PhaseReplay
from holdfast.agents.phases.running import Call, run_phase
from holdfast.agents.phases.versions import Edition, Versions
from holdfast.engine.context import scope
from holdfast.engine.execution import Execution
from holdfast.engine.fan_out import gather
from holdfast.engine.workflow import Workflow
from holdfast.errors import UsageError
from holdfast.model.phases import PhaseFile
from holdfast.model.position import encode_number, numbers_of

if TYPE_CHECKING:
    from holdfast.engine.client import Client

RESERVED = ("context", "outputs", "run_id", "tenant")
"""What every template may name; arguments of one's own are called something else."""


class Phases:
    """The phases of one file; made by `load_phases`.

    Each phase of a run is a step, or several: one for each model that is tried. A run goes by the version of the file
    that was in force when it came to its first phase.

    Attributes:
        name: of the file's registry.
    """

    def __init__(self, path: Path, outputs: Mapping[str, Any]) -> None:
        self._versions = Versions(path, outputs)
        self._queues = Queues(self._versions)
        self.name = self._versions.name

    def __repr__(self) -> str:
        return f"<phases {self.name}>"

    @property
    def workflows(self) -> list[Workflow[..., Any]]:
        """What calls models whose concurrency is limited: give them to each worker beside your own workflows."""
        return self._queues.workflows()

    def file(self, tenant: str = "default") -> PhaseFile:
        """The file as a new run of a tenant goes by it."""
        return self._versions.in_force(tenant).file

    async def run(
        self,
        name: str,
        *,
        context: Any = None,
        outputs: Mapping[str, Any] | None = None,
        sink: Sink | None = None,
        **variables: Any,
    ) -> Any:
        """Run one phase, in a workflow.

        Args:
            name: of the phase.
            context: what templates know as ``context``, such as what `gather_context` gave.
            outputs: of the phases that it needs, by name; unless given the last that this run has run before, not
                counting branches of ``hf.gather`` and the like that go on beside this one.
            sink: is called with the text of the answer, piece by piece as it comes: from its beginning when
                an attempt fails, not at all on replay, and not for models whose concurrency is limited.
            variables: what else templates may name.

        Returns:
            Its output: a text, or a value of the type that the file names.

        Raises:
            UsageError: there is no such phase, what it needs is missing, or its prompt cannot be made.
            PhaseFailed: no model gave an output, or a budget is used up, and a person stopped the run.
            Rejected: a person rejected the output.
        """
        here = scope("phases.run()")
        position = here.prefix + encode_number(here.count)
        edition = await self._versions.pinned(here)
        known = self._outputs(here.execution)
        value = await self._run(edition, name, context, {**known.before(position), **(outputs or {})}, sink, variables)
        known.add(here.prefix, position, {name: value})
        return value

    async def execute(self, *, context: Any = None, sink: Sink | None = None, **variables: Any) -> dict[str, Any]:
        """Run all phases, in a workflow: each as soon as those that it needs have ended, several at once.

        Args:
            context: as for `run`.
            sink: likewise.
            variables: likewise.

        Returns:
            The outputs by name, in the order of the file.

        Raises:
            HoldfastError: as `run`; that of the first phase that failed, after those that were under way have ended.
        """
        here = scope("phases.execute()")
        position = here.prefix + encode_number(here.count)
        edition = await self._versions.pinned(here)
        loop = asyncio.get_running_loop()
        # Whether each gave its output; what needs one that did not does not begin.
        ended: dict[str, asyncio.Future[bool]] = {name: loop.create_future() for name in edition.file.phases}
        found: dict[str, Any] = {}

        async def one(name: str, needs: tuple[str, ...]) -> None:
            try:
                for need in needs:
                    if not await asyncio.shield(ended[need]):
                        return
                found[name] = await self._run(edition, name, context, found, sink, variables)
                ended[name].set_result(True)
            finally:
                if not ended[name].done():
                    ended[name].set_result(False)

        await gather(*(one(phase.name, phase.needs) for phase in edition.file.phases.values()))
        self._outputs(here.execution).add(here.prefix, position, found)
        return {name: found[name] for name in edition.file.phases}

    async def replay(
        self, client: Client, run_id: str, name: str, *, model: str | None = None, occurrence: int | None = None
    ) -> PhaseReplay:
        """Have a model answer a recorded prompt again, aside: nothing of the run is changed, and nothing is recorded.

        The model is called here, in this process, in the version of the file that the run goes by. What it costs
        counts in no budget, and it takes no place in a rate or a queue. A model that fails is told in what this gives.

        Args:
            client: of the database that has the run; or of its server, if the version is in force here.
            run_id: the run.
            name: of the phase.
            model: the name of another model of that version, or of the one in force; the recorded one unless given.
            occurrence: which of the phase's prompts, in the order of the code, from 1: one for each model that was
                tried. The last that was answered unless given, or the last of all.

        Raises:
            RunNotFound: the tenant has no run of this id.
            StepNotFound: it has recorded no prompt of the phase, or not so many.
            ArtifactNotFound: a part of the prompt is not kept.
            Forbidden: a part of the prompt is hidden from whoever asks.
            PayloadError: the recorded output does not fit the type that the code gives now.
            UsageError: the version has no such phase, it is not kept, it names an output that the code does not give,
                or there is no such model.
        """
        return await replay(self._versions, client, run_id, name, model, occurrence)

    async def _run(
        self,
        edition: Edition,
        name: str,
        context: Any,
        outputs: Mapping[str, Any],
        sink: Sink | None,
        variables: Mapping[str, Any],
    ) -> Any:
        here = scope("phases.run()")
        phase = edition.phase(name)
        if missing := [need for need in phase.needs if need not in outputs]:
            raise UsageError(
                f"phase {name!r} needs the output of {', '.join(map(repr, missing))}: run it before in this run, "
                f"or give outputs={{{missing[0]!r}: ...}}"
            )
        if taken := [one for one in RESERVED if one in variables]:
            raise UsageError(f"phase {name!r} was given {taken[0]!r}, which is what templates know something else by")
        run = here.execution.run
        known = {
            **variables,
            "context": context,
            "outputs": {need: outputs[need] for need in phase.needs},
            "run_id": run.id,
            "tenant": run.tenant,
        }
        return await run_phase(Call(here, edition, phase, known, sink, self._queues))

    def _outputs(self, execution: Execution) -> _Outputs:
        known: _Outputs = execution.companions.setdefault((self, "outputs"), _Outputs())
        return known


class _Outputs:
    """What the phases of a run gave so far, by where in its code they were called.

    A call knows what is before it in the code. What goes on side by side with it may have ended or not: were that
    known too, a replay might know another.
    """

    def __init__(self) -> None:
        # Of each phase, the last call in each branch.
        self._given: dict[str, dict[bytes, tuple[tuple[int, ...], Any]]] = {}

    def add(self, prefix: bytes, position: bytes, outputs: Mapping[str, Any]) -> None:
        """Keep what phases gave at a position of a branch."""
        for name, value in outputs.items():
            self._given.setdefault(name, {})[prefix] = numbers_of(position), value

    def before(self, position: bytes) -> dict[str, Any]:
        """What a call at a position knows: of each phase the last output before it."""
        at = numbers_of(position)
        found = {}
        for name, given in self._given.items():
            if earlier := [one for one in given.values() if _is_before(one[0], at)]:
                found[name] = max(earlier, key=itemgetter(0))[1]
        return found


def _is_before(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether a call ends before another begins: numbers of calls and of branches take turns in a position."""
    for index, (first, second) in enumerate(zip(one, other, strict=False)):
        if first != second:
            return index % 2 == 0 and first < second
    return False


def load_phases(path: str | os.PathLike[str], *, outputs: Mapping[str, Any] | None = None) -> Phases:
    """Load a file of phases; it is looked at again when it has changed, and new runs go by it as it is then.

    Args:
        path: of the file, TOML.
        outputs: the types that phases give, by the names that the file has for them: pydantic models, dataclasses,
            TypedDicts and plain types.

    Raises:
        UsageError: something is wrong in the file; says each, with its line.
    """
    return Phases(Path(path), outputs or {})
