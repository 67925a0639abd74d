"""A phase tried again aside, on the prompt that a run has recorded: what the same model or another one gives now.

Nothing is written: not to the run, nor to what is spent, and no place in a rate or a queue is taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.agents.models.calling import Asked, call_model
from holdfast.agents.models.outputs import Output
from holdfast.agents.phases.differing import by_lines, by_words
from holdfast.agents.phases.replays import PhaseAnswer, PhaseReplay
from holdfast.agents.phases.versions import Edition, Versions
from holdfast.agents.recording import Request
from holdfast.engine.artifacts import ARTIFACTS_AT_MOST, ArtifactView, sha256_of
from holdfast.engine.part import check_whole
from holdfast.engine.phase_calls import is_caller
from holdfast.engine.spending import CALLS_AT_MOST, ModelCallView, dollars
from holdfast.errors import Forbidden, ModelFailed, RunNotFound, StepNotFound, UsageError
from holdfast.model.payload import codec_of
from holdfast.model.phases import ModelTerms, Phase
from holdfast.model.run import JournalEntry, Kind, Outcome

if TYPE_CHECKING:
    from holdfast.engine.client import Client

_ANY = codec_of(Any)


class _Taken(NamedTuple):
    """A prompt that a run has recorded: the step that made it, and the entry that has the answer to it."""

    entry: JournalEntry
    answer: JournalEntry | None

    @property
    def by_queue(self) -> bool:
        return self.answer is not self.entry

    @property
    def gave(self) -> bool:
        answer = self.answer
        if answer is None or answer.outcome != Outcome.OK:
            return False
        return not self.by_queue or "answer" in answer.output


async def replay(
    versions: Versions, client: Client, run_id: str, name: str, model: str | None, occurrence: int | None
) -> PhaseReplay:
    """See `Phases.replay`."""
    if occurrence is not None:
        check_whole(occurrence, "occurrence")
    history = [one for one in await client.history(run_id) if one.in_force and one.kind != Kind.CANCEL]
    edition = await versions.recorded(client, run_id, history)
    phase = edition.phase(name)
    made = {(one.position, one.name): one for one in await client.artifacts(run_id, limit=ARTIFACTS_AT_MOST)}
    taken = _chosen(_prompts(history, edition, phase, made), run_id, name, occurrence)
    position, output = taken.entry.position, edition.outputs[name]
    prompt = await _text(client, run_id, made[position, f"{name}/prompt.md"])
    system = None if phase.system is None else await _text(client, run_id, made[position, f"{name}/system.md"])
    kept = f"{name}/output.{'txt' if output.schema is None else 'json'}"
    for place in () if taken.answer is None else (taken.answer.position, _next(taken.answer.position)):
        if (place, kept) in made:
            await _text(client, run_id, made[place, kept])  # refused to whom a part of it is hidden
    then, told = _given(await _recorded(client, run_id, taken, phase), taken, output)
    terms = _terms(versions, client, edition, model or then.model, run_id, name)
    asked = Asked(system, prompt, output, phase.output_tokens, phase.repairs, phase.timeout_seconds)
    now, said = await _asked(terms, asked)
    same = (then.error is None) == (now.error is None) and told == said
    lines, words = await asyncio.to_thread(lambda: (by_lines(told, said), by_words(told, said)))
    return PhaseReplay(
        run_id, name, position, edition.file.version, system, prompt, then, now, same, lines, words
    )  # fmt: skip


def _prompts(
    history: Sequence[JournalEntry], edition: Edition, phase: Phase, made: dict[tuple[str, str], ArtifactView]
) -> list[_Taken]:
    """The prompts of a phase that a run has recorded, in the order of its code: one for each model that was tried."""
    at = {one.position: one for one in history}
    found = []
    for entry in history:
        if entry.kind != Kind.STEP or (entry.position, f"{phase.name}/prompt.md") not in made:
            continue
        if entry.name == phase.name:
            found.append(_Taken(entry, entry))
        elif entry.name == f"{phase.name} prompt":
            call = at.get(_next(entry.position))
            found.append(_Taken(entry, call if call and is_caller(call.name, edition.file.name) else None))
    return found


def _next(position: str) -> str:
    """Where the next call of the same branch stands."""
    branch, dot, last = position.rpartition(".")
    return f"{branch}{dot}{int(last) + 1}"


def _chosen(found: list[_Taken], run_id: str, name: str, occurrence: int | None) -> _Taken:
    if not found:
        raise StepNotFound(f"run {run_id!r} has recorded no prompt of phase {name!r}", run_id=run_id)
    if occurrence is None:
        return next((one for one in reversed(found) if one.gave), found[-1])
    if occurrence > len(found):
        raise StepNotFound(
            f"run {run_id!r} has recorded {len(found)} of the prompts of phase {name!r}, and number {occurrence} is "
            "asked for",
            run_id=run_id,
        )
    return found[occurrence - 1]


async def _text(client: Client, run_id: str, view: ArtifactView) -> str:
    """The text of an artifact, whole.

    Raises:
        Forbidden: a part of it is hidden from whoever asks.
    """
    found = await client.artifact(run_id, view.name, view.position)
    if sha256_of(found.content) != found.artifact.sha256:
        raise Forbidden(
            f"artifact {view.name!r} of run {run_id!r} holds what is hidden from those who may only look; an operator "
            "may replay the phase"
        )
    return found.content.decode()


async def _recorded(client: Client, run_id: str, taken: _Taken, phase: Phase) -> PhaseAnswer:
    """Which model was asked then, and what that took."""
    answer, model = taken.answer, None
    if answer is None:
        return PhaseAnswer(None)
    if not taken.by_queue:
        model = (answer.input or {}).get("model")
    else:
        with contextlib.suppress(RunNotFound):  # it is kept no longer, or a fork kept the call only
            model = (await client.get(f"{run_id}/{answer.generation}.{answer.position}")).input["model"]
    calls = await client.model_calls(run_id, limit=CALLS_AT_MOST)
    place = answer.position, answer.generation, phase.name
    ours = [one for one in calls if (one.position, one.generation, one.phase) == place]
    failed = None if answer.outcome == Outcome.OK or not ours or ours[-1].outcome == "ok" else ours[-1].outcome
    return _counted(PhaseAnswer(model, failed=failed), ours, [one.cost for one in ours])


def _given(then: PhaseAnswer, taken: _Taken, output: Output) -> tuple[PhaseAnswer, str]:
    """What the model gave then, and its text to compare."""
    answer = taken.answer
    if answer is None:
        return then, ""
    if answer.outcome != Outcome.OK:
        return _failed(then, then.failed or "error", answer.error["message"]) if answer.error else (then, "")
    if not taken.by_queue:
        stored = _ANY.encode(answer.output, "the recorded output")
        text = output.dump(codec_of(output.type).decode(stored, "the recorded output")).decode()
        return _plain(then, output, text)
    told: dict[str, Any] = answer.output
    if "answer" in told:
        return _plain(then, output, told["answer"])
    return _failed(then, told.get("failed", "error"), told.get("said", "a budget was used up when its turn came"))


async def _asked(terms: ModelTerms, asked: Asked) -> tuple[PhaseAnswer, str]:
    """What the model gives now, and its text to compare."""
    answer = PhaseAnswer(terms.name)
    try:
        found = await call_model(terms, asked)
    except ModelFailed as failed:
        return _failed(_of_requests(answer, failed.requests), failed.kind, str(failed))
    text = asked.output.dump(found.output).decode()
    return _plain(_of_requests(answer, found.requests), asked.output, text)


def _terms(
    versions: Versions, client: Client, edition: Edition, model: str | None, run_id: str, phase: str
) -> ModelTerms:
    """A model of the version that the run goes by, or of the one in force."""
    if model is None:
        raise UsageError(f"which model run {run_id!r} asked for phase {phase!r} is not known; name one with model")
    known = {**versions.in_force(client.tenant).file.models, **edition.file.models}
    if model not in known:
        raise UsageError(f"{edition.file.name} has no model {model!r}; it has: {', '.join(known)}")
    return known[model]


def _plain(answer: PhaseAnswer, output: Output, text: str) -> tuple[PhaseAnswer, str]:
    if output.schema is None:
        return replace(answer, output=text), text
    return replace(answer, output=json.loads(text)), text.removesuffix("\n")


def _failed(answer: PhaseAnswer, kind: str, said: str) -> tuple[PhaseAnswer, str]:
    return replace(answer, failed=kind, error=said), said


def _of_requests(answer: PhaseAnswer, requests: Sequence[Request]) -> PhaseAnswer:
    return _counted(answer, requests, [None if one.cost is None else dollars(one.cost) for one in requests])


def _counted(
    answer: PhaseAnswer, calls: Sequence[Request | ModelCallView], costs: Iterable[Decimal | None]
) -> PhaseAnswer:
    known = [cost for cost in costs if cost is not None]
    return replace(
        answer,
        requests=len(calls),
        input_tokens=sum(one.input_tokens for one in calls),
        cached_tokens=sum(one.cached_tokens for one in calls),
        output_tokens=sum(one.output_tokens for one in calls),
        cost=sum(known, Decimal(0)) if len(known) == len(calls) else None,
    )
