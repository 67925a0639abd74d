"""The same desk as a LangGraph graph whose checkpoints holdfast keeps: its nodes are the functions of the specialists.

Started again with the same message it goes on from its last checkpoint, and the answer is in the same outbox, once.
It works by the rules, without models. ``python -m examples.email_desk.graph_desk MESSAGE.eml`` runs it on a message.
"""

from __future__ import annotations

import asyncio
import operator
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

import holdfast as hf
from holdfast.langgraph import Saver

from . import checking, deciding, drafting, sorting, threads
from .desk import mail_desk
from .enriching import PAUSE_SECONDS, contact, deal, updates
from .message import Message, parse, run_id
from .replies import reply
from .settings import settings
from .specialists import CHANNEL
from .values import ENDED, Complaint, Contact, Context, Deal, Decision, Draft, Earlier, Outcome, Tier, Update

TYPES = (Message, Tier, Earlier, Contact, Deal, Update, Context, Complaint, Draft, Decision, Outcome)
"""What the state holds: nothing else is read back from a checkpoint."""


class State(TypedDict, total=False):
    """What the graph knows of a message; ``missing`` and ``complaints`` come from several nodes at once.

    A complaint stands with the revision of the draft, and with the number of the check.
    """

    raw: bytes
    message: Message
    level: Tier
    seen: tuple[Earlier, ...]
    known: Contact | None
    open: Deal | None
    noted: tuple[Update, ...]
    missing: Annotated[list[str], operator.add]
    around: Context
    answer: Draft
    complaints: Annotated[list[tuple[int, int, Complaint]], operator.add]
    outcome: Outcome


def graph_desk(client: hf.Client) -> CompiledStateGraph[State]:
    """The graph, on the database of a client."""

    async def intake(state: State) -> State:
        return {"message": await asyncio.to_thread(parse, state["raw"])}

    async def tier(state: State) -> State:
        return {"level": sorting.tier(state["message"])}

    async def earlier(state: State) -> State:
        folder = settings.threads(client.tenant)
        try:
            return {"seen": await asyncio.to_thread(threads.seen, folder, state["message"])}
        except (OSError, ValueError):
            return {"seen": (), "missing": ["thread"]}

    async def crm_contact(state: State) -> State:
        found, missing = await _asked(contact, state["message"])
        return {"known": found, "missing": missing}

    async def crm_deal(state: State) -> State:
        found, missing = await _asked(deal, state["message"])
        return {"open": found, "missing": missing}

    async def crm_updates(state: State) -> State:
        found, missing = await _asked(updates, state["message"])
        return {"noted": found, "missing": missing}

    async def context(state: State) -> State:
        said = sorting.read(state["message"])
        order = ("thread", "contact", "deal", "updates")
        return {
            "around": Context(
                said.subject, said.references, said.own, said.history, state["seen"], state["known"], state["open"],
                state["noted"], tuple(sorted(state["missing"], key=order.index)),
            )
        }  # fmt: skip

    async def draft(state: State) -> State:
        complaints = _complaints(state) if "answer" in state else ()
        return {"answer": drafting.draft(state["message"], state["level"], state["around"], complaints)}

    async def tone(state: State) -> State:
        return _found(state, 0, checking.tone(state["answer"]))

    async def fact(state: State) -> State:
        return _found(state, 1, checking.fact(state["message"], state["around"], state["answer"]))

    async def qa(state: State) -> State:
        return _found(state, 2, checking.qa(state["answer"]))

    async def checked(state: State) -> State:
        return {}

    def goes_back(state: State) -> str:
        return "draft" if state["answer"].revision == 0 and _complaints(state) else "publish"

    async def publish(state: State) -> State:
        message, level, around = state["message"], state["level"], state["around"]
        decision = deciding.policy(message, around)
        if decision.verdict == "mode":
            decision = deciding.escalation(message, level, around, _complaints(state))
        id = await client.publish(
            CHANNEL,
            reply(state["answer"], settings.domain),
            id=message.key,
            key=sorting.conversation(around, message),
            refuse=decision.reason if decision.verdict == "refuse" else None,
            review=decision.reason if decision.verdict == "review" else None,
            workflow=mail_desk.name,
        )
        ended = ENDED[decision.verdict]
        return {"outcome": Outcome(ended, level.name, message.subject, decision.reason, id, around.missing)}

    graph = StateGraph(State)
    sources = (earlier, crm_contact, crm_deal, crm_updates)
    checks = (tone, fact, qa)
    for node in (intake, tier, *sources, context, draft, *checks, checked, publish):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "intake")
    graph.add_edge("intake", "tier")
    for source in sources:  # side by side
        graph.add_edge("tier", source.__name__)
    graph.add_edge([source.__name__ for source in sources], "context")
    graph.add_edge("context", "draft")
    for check in checks:
        graph.add_edge("draft", check.__name__)
    graph.add_edge([check.__name__ for check in checks], "checked")
    graph.add_conditional_edges("checked", goes_back, ["draft", "publish"])
    graph.add_edge("publish", END)
    return graph.compile(checkpointer=Saver(client=client, types=TYPES))


async def answer(client: hf.Client, raw: bytes) -> Outcome:
    """Take a message through the graph, from where it was left."""
    desk = graph_desk(client)
    thread: RunnableConfig = {"configurable": {"thread_id": run_id(raw)}}
    begun = (await desk.aget_state(thread)).values
    if "outcome" not in begun:
        begun = await desk.ainvoke(None if begun else {"raw": raw}, thread)
    outcome: Outcome = begun["outcome"]
    return replace(outcome, missing=tuple(outcome.missing))  # what is read back from a checkpoint has lists


async def _asked(source: hf.Source[[str], Any], message: Message) -> tuple[Any, list[str]]:
    """What a sub-agent gives in its own time and attempts, and its name if it gives nothing."""
    for attempt in range(source.retry.max_attempts):
        try:
            async with asyncio.timeout(source.timeout_seconds):
                return await source.fn(message.sender_address), []
        except Exception:  # whatever it is, the message is answered without it
            await asyncio.sleep(PAUSE_SECONDS if attempt + 1 < source.retry.max_attempts else 0)
    return source.default, [source.name]


def _found(state: State, check: int, complaints: tuple[Complaint, ...]) -> State:
    return {"complaints": [(state["answer"].revision, check, complaint) for complaint in complaints]}


def _complaints(state: State) -> tuple[Complaint, ...]:
    """Those of the last draft, in the order of the checks, whichever ended first."""
    found = [one for one in state.get("complaints", []) if one[0] == state["answer"].revision]
    return tuple(complaint for *_, complaint in sorted(found, key=lambda one: one[1]))


async def main(path: Path) -> None:
    """Answer the message of a file, on ``sqlite:///mail-desk.db``."""
    async with hf.connect("sqlite:///mail-desk.db") as client:
        print(await answer(client, path.read_bytes()))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
