"""What an agent needs of people: approvals of its tool calls, answers to its questions, results that others give.

Each becomes a work item that its run waits for, for weeks and through restarts. Where an approval stands in the run's
order is a digest of the tool and the arguments that were shown, so that it is good for these alone, and once: a call
with others finds no answer there and is asked about anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from pydantic import JsonValue
from pydantic_ai.exceptions import ToolFailed
from pydantic_ai.external_events import ExternalEventError, ExternalEventWaiter
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults, RunContext, ToolDenied

from holdfast.agents.pydantic_ai.arguments import digest_of, number_of, plain, storable, text_of
from holdfast.agents.pydantic_ai.places import AgentRun, Kind, branch
from holdfast.engine.context import scope
from holdfast.engine.durable import sleep
from holdfast.engine.fan_out import first, gather
from holdfast.engine.step import Step
from holdfast.errors import AskSkipped
from holdfast.model.definitions import TEXT_CHARACTERS
from holdfast.model.duration import Duration
from holdfast.model.position import encode_number
from holdfast.workqueue.asking import ask, item_id

TITLE_CHARACTERS = 150


@dataclass(frozen=True, slots=True)
class People:
    """Who is asked: as the arguments of ``hf.ask``."""

    assignee: str | None = None
    group: str | None = None
    due: Duration | datetime | None = None
    escalate_to: str | Sequence[str] | None = None

    def ask(self, title: str, text: str, form: Any, data: dict[str, Any] | None = None) -> Coroutine[Any, Any, Any]:
        """Make an item and wait for it: at the position of this call, not of its await."""
        shown = text if len(text) <= TEXT_CHARACTERS else text[: TEXT_CHARACTERS - 100] + "\n… (the rest is cut off)"
        return ask(
            storable(title).replace("\n", " ")[:TITLE_CHARACTERS],
            form=form,
            text=storable(shown),
            data=data,
            assignee=self.assignee,
            group=self.group,
            due=self.due,
            escalate_to=self.escalate_to,
        )


async def ask_people(
    agent_run: AgentRun, ctx: RunContext[Any], agent: str, requests: DeferredToolRequests, people: People
) -> DeferredToolResults:
    """Ask about each tool call that is put off, all at once, and wait for every answer."""
    calls = [*requests.approvals, *requests.calls]

    async def one(call: ToolCallPart) -> Any:
        arguments = _arguments(agent_run, call)
        digest = digest_of([(call.tool_name, arguments)])
        about = requests.metadata.get(call.tool_call_id)
        kind = requests.kind(call.tool_call_id)
        here = scope("a question to a person")
        with branch(agent_run, here.prefix + encode_number(number_of(digest))):
            answer = await _ask_about(agent, call, arguments, digest.hex(), kind, about, people)
        if answer is True and kind == "approval":
            agent_run.approved[call.tool_call_id] = digest
        return answer

    with branch(agent_run, agent_run.position(ctx.run_step, Kind.ASKING)):
        answers = await gather(*[one(call) for call in calls])
    by_id = {call.tool_call_id: answer for call, answer in zip(calls, answers, strict=True)}
    return requests.build_results(
        approvals={call.tool_call_id: by_id[call.tool_call_id] for call in requests.approvals},
        calls={call.tool_call_id: by_id[call.tool_call_id] for call in requests.calls},
    )


async def _ask_about(
    agent: str, call: ToolCallPart, arguments: Any, digest: str, kind: str, about: Any, people: People
) -> Any:
    shown = text_of(arguments)
    more = f"\n\n{text_of(plain(about))}" if about else ""
    what = f"{call.tool_name} with\n\n{shown}{more}"
    data = {"tool": call.tool_name, "arguments": shown, "digest": digest}
    fixed = {name: {"type": "string", "const": value, "readOnly": True} for name, value in data.items()}
    try:
        if kind == "approval":
            answer = await people.ask(
                f"Approve {call.tool_name}",
                f"The agent {agent!r} wants to call {what}",
                {
                    "type": "object",
                    "properties": {
                        "approved": {"type": "boolean", "title": "Approved"},
                        "reason": {"type": "string", "title": "Reason", "description": "Told to the agent."},
                        **fixed,
                    },
                    "required": ["approved"],
                },
                data,
            )
            return True if answer["approved"] is True else ToolDenied(answer.get("reason") or "A person denied it.")
        if kind == "question":
            return await people.ask(f"Answer {call.tool_name}", f"The agent {agent!r} asks by {what}", str)
        return await people.ask(f"Give the result of {call.tool_name}", f"The agent {agent!r} called {what}", Any)
    except AskSkipped as skipped:
        why = f"Nobody will answer: {skipped.reason}" if skipped.reason else "Nobody will answer."
        return ToolDenied(why) if kind == "approval" else ToolFailed(why)


@dataclass(eq=False)
class Waiter(ExternalEventWaiter):
    """Waits of an agent's run for what comes from outside: each is a work item, and its id the token that resolves it.

    Attributes:
        agent: its name.
        run: its run.
        people: who is asked.
    """

    agent: str
    run: AgentRun
    people: People

    async def wait(
        self, name: str, *, ask: Callable[[str], Awaitable[JsonValue]], timeout: timedelta | None
    ) -> JsonValue:
        """Let ``ask`` answer or hand the token on, and wait for the item that the token names."""
        execution = self.run.execution
        requests, at = self.run.pending or (None, 0)
        self.run.pending = None
        calls = [] if requests is None else [*requests.approvals, *requests.calls]
        digest = digest_of((call.tool_name, _arguments(self.run, call)) for call in calls)
        about = encode_number(number_of(digest))
        with branch(self.run, self.run.position(at, Kind.WAITING) + about) as here:
            token = item_id(execution, here.prefix + encode_number(1), execution.run.generation)

            async def handed_on() -> Any:
                return await ask(token)

            step: Step[[], Any] = Step(
                handed_on,
                name=f"{self.agent}__external_event.{name}.ask",
                retry=None,
                timeout=None,
                on_timeout="wait",
            )
            answer: JsonValue = await step()
            if answer is not None:
                _bind(self.run, requests, answer)
                return answer
            text, form = f"The agent {self.agent!r} waits for an answer.", cast(Any, Any)
            if requests is not None:
                text, form = _results_text(self.agent, self.run, requests), _results_form(requests)
            asked = self.people.ask(f"{self.agent}: {name}", text, form)
            try:
                if timeout is None:
                    answer = await asked
                else:
                    index, answer = await first(asked, sleep(timeout.total_seconds()))
                    if index == 1:
                        raise ExternalEventError(f"no answer came within {timeout}")
            except AskSkipped as skipped:
                raise ExternalEventError(skipped.reason or "a person skipped it") from skipped
            _bind(self.run, requests, answer)
            return answer


def _bind(run: AgentRun, requests: DeferredToolRequests | None, answer: JsonValue) -> None:
    """Have each approval that gives no arguments itself hold for those that it was asked about."""
    approvals = answer.get("approvals") if isinstance(answer, dict) else None
    if requests is None or not isinstance(approvals, dict):
        return
    for call in requests.approvals:
        given = approvals.get(call.tool_call_id)
        run.approved.pop(call.tool_call_id, None)  # of an earlier call that has the same id
        if given is True or (isinstance(given, dict) and given.get("override_args") is None):
            run.approved[call.tool_call_id] = digest_of([(call.tool_name, _arguments(run, call))])


def _results_form(requests: DeferredToolRequests) -> dict[str, Any]:
    """The form of the answer to calls that are put off, as pydantic-ai reads it."""

    def fields(calls: list[ToolCallPart], schema: dict[str, Any]) -> dict[str, Any]:
        properties = {call.tool_call_id: {"title": call.tool_name, **schema} for call in calls}
        return {
            "type": "object",
            "properties": properties,
            "required": list(properties),
            "additionalProperties": False,
        }

    parts = {
        "approvals": fields(requests.approvals, {"type": ["boolean", "object"]}) if requests.approvals else None,
        "calls": fields(requests.calls, {}) if requests.calls else None,
    }
    given = {name: part for name, part in parts.items() if part is not None}
    return {"type": "object", "properties": given, "required": list(given)}


def _results_text(agent: str, run: AgentRun, requests: DeferredToolRequests) -> str:
    lines = [f"The agent {agent!r} waits for what becomes of these calls."]
    for call in (*requests.approvals, *requests.calls):
        shown = text_of(_arguments(run, call))
        lines.append(f"{call.tool_call_id} ({requests.kind(call.tool_call_id)}): {call.tool_name} with\n\n{shown}")
    return "\n\n".join(lines)


def _arguments(run: AgentRun, call: ToolCallPart) -> Any:
    """As they were validated; those of a tool that others run, as the model gave them."""
    return plain(run.arguments.get(call.tool_call_id, call.args_as_dict()))
