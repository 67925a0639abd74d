"""`Turns` has the turns of an engine: in line, by the engine's functions in their order, stored whole or not at all."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import Any, NamedTuple, NoReturn

import msgspec

from holdfast.conversations import measures
from holdfast.conversations.asked import Asked
from holdfast.conversations.calling import Sink, awaited
from holdfast.conversations.documents import (
    change_of,
    decode_state,
    encode_state,
    exchanges_of,
    repeated_result,
    response_of,
    turn_progress,
)
from holdfast.conversations.engine import TurnEngine
from holdfast.conversations.handover import Handing, Handover, Plan
from holdfast.conversations.holding import Holding, Line
from holdfast.conversations.tending import hand_over
from holdfast.conversations.turns import Message, Parsed, Query, Reply, State, Turn, TurnResult
from holdfast.engine.core import Core
from holdfast.engine.eager import rest
from holdfast.errors import (
    ConversationBusy,
    ConversationEnded,
    ConversationExpired,
    ConversationNotFound,
    HoldfastError,
    PayloadError,
    StoreError,
    TurnConflict,
    TurnFailed,
    TurnLost,
    TurnTimeout,
)
from holdfast.model.dialogues import progress_of
from holdfast.model.merging import merge
from holdfast.store.base import Rejected
from holdfast.store.conversation_rows import ConversationRow, ConversationStatus, Save, Take, Taken, TurnRow

log = logging.getLogger("holdfast.conversations")

BEFORE = 10
"""So many exchanges before are given to the model."""

TURNS_AT_ONCE = 500
"""So many are read at a time."""

LEASE_BEYOND_SECONDS = 15.0
"""So much longer than a turn may take a conversation is kept from others, if nothing is heard of its turn."""

SAVES = 5
"""So often a turn is stored anew on top of what others made meanwhile of the items that it completes."""


class _Had(NamedTuple):
    """A turn that was had and is to be stored."""

    result: TurnResult
    save: Save
    plan: Plan | None


class Turns:
    """Has turns of an engine, for one tenant.

    Args:
        engine: what a turn does.
        holding: the conversations of a state store.
        core: the database of runs and items.
        tenant: whose.
    """

    def __init__(self, engine: TurnEngine, holding: Holding, core: Core, tenant: str) -> None:
        self.engine = engine
        self.tenant = tenant
        self._holding = holding
        self._core = core
        self._handing = Handing()
        self._handing.core, self._handing.tenant = core, tenant
        self._lease_us = round((engine.times.budget_seconds + LEASE_BEYOND_SECONDS) * 1e6)

    async def had(self, asked: Asked, sink: Sink | None = None) -> TurnResult:
        """Have a turn: all of it is stored, or nothing.

        Args:
            asked: the turn.
            sink: is given the model's text as it comes.

        Raises:
            As `Conversations.turn`.
        """
        began, outcome = time.monotonic(), "error"
        try:
            result = await self._turn(asked, began, sink)
            outcome = "repeated" if result.repeated else "ok"
        except Exception as error:
            outcome = type(error).__name__
            raise
        finally:
            measures.count_turn(self.engine.definition.id, outcome, time.monotonic() - began)
        return result

    async def _turn(self, asked: Asked, began: float, sink: Sink | None) -> TurnResult:
        take = Take(
            self.tenant, asked.conversation_id, asked.user, secrets.token_bytes(16), asked.id, asked.fingerprint,
            self._lease_us, self.engine.times.wait_seconds > 0, asked.new, BEFORE,
        )  # fmt: skip
        line = await self._taken(take)
        if line.taken.outcome == "finished":
            return await self._repeated(line.taken)
        if line.taken.outcome != "yours":
            refuse(line.taken, asked.conversation_id, asked.id)
        saved = False
        try:
            running = self._within_budget(asked, line, began, sink)
            try:
                first = running.send(None)
            except StopIteration as stop:
                had: _Had = stop.value  # it waited for nothing, so there was nothing to keep it from
            else:
                with self._holding.kept(take):
                    had = await rest(running, first)
            # Not kept any more: once it is stored it is given back, and that is no loss. Whether it is held is checked.
            await self._save(had)
            saved = True
        except Rejected as error:
            raise PayloadError("the turn", str(error)) from None
        finally:
            if not saved:
                self._holding.give_up(take)
        result = had.result
        log.info(
            "turn %d of conversation %s", result.number, result.conversation_id,
            extra={
                "event": "turn", "conversation": result.conversation_id, "turn": result.number, "tenant": self.tenant,
                "waited_seconds": line.waited_seconds, "took_seconds": result.latency_seconds,
            },
        )  # fmt: skip
        return result

    async def _repeated(self, taken: Taken) -> TurnResult:
        """What a turn gave that is over."""
        turn, row = taken.turn, taken.row
        assert turn is not None
        newest = row is not None and row.turns == turn.number
        found = repeated_result(turn, msgspec.json.decode(row.state) if row is not None and newest else None)
        if found is None:
            found = repeated_result(turn, await self._state_after(turn))
        assert found is not None
        return found

    async def _state_after(self, turn: TurnRow) -> dict[str, Any]:
        """The state after a turn, from the changes of all turns up to it."""
        state: dict[str, Any] = {}
        after = 0
        while after < turn.number:
            rows = await self._holding.store.turns(turn.tenant, turn.conversation, after=after, limit=TURNS_AT_ONCE)
            for row in rows[: turn.number - after]:
                state = merge(state, msgspec.json.decode(row.change))
            after = rows[-1].number if rows else turn.number
        return state

    async def _taken(self, take: Take) -> Line:
        line = await self._holding.take(
            take, self.engine.times.wait_seconds, max(self.engine.times.wait_seconds, self.engine.times.budget_seconds)
        )
        if line.waited_seconds or line.taken.outcome in ("waits", "busy"):
            measures.count_line(self.engine.definition.id, line.taken.outcome, line.waited_seconds)
            log.info(
                "conversation %s was taken: %s after %.3f s in line", take.id, line.taken.outcome, line.waited_seconds,
                extra={
                    "event": "turn_contention", "conversation": take.id, "tenant": take.tenant,
                    "outcome": line.taken.outcome, "waited_seconds": line.waited_seconds,
                },
            )  # fmt: skip
        return line

    async def _within_budget(self, asked: Asked, line: Line, began: float, sink: Sink | None) -> _Had:
        id, seconds = asked.conversation_id, self.engine.times.budget_seconds
        budget = asyncio.timeout(seconds)
        running = self._run(asked, line, began, sink)
        try:
            try:
                first = running.send(None)
            except StopIteration as stop:
                had: _Had = stop.value
            else:
                async with budget:
                    had = await rest(running, first)
            return had
        except TimeoutError as error:
            if not budget.expired():
                raise TurnFailed(f"the turn failed: {error!r:.300}", conversation_id=id) from error
            raise TurnTimeout(
                f"the turn took longer than {seconds:g} s, and nothing of it is stored; say it again",
                conversation_id=id,
            ) from None
        except StoreError:
            raise
        except Exception as error:
            log.warning(
                "a turn of conversation %s failed", id, exc_info=True,
                extra={"event": "turn_failed", "conversation": id, "tenant": self.tenant},
            )  # fmt: skip
            why = f": {error}" if isinstance(error, HoldfastError) else ""
            raise TurnFailed(
                f"the turn failed, and nothing of it is stored: {type(error).__name__}{why}"[:1000], conversation_id=id
            ) from error

    async def _run(self, asked: Asked, line: Line, began: float, sink: Sink | None) -> _Had:
        engine, dialogue, row = self.engine, self.engine.definition, line.taken.row
        stored = None if row is None else row.state
        state: State[Any] = decode_state(stored, engine.data)
        if engine.load is not None:
            state = await awaited(engine.load(state))
        number = 1 if row is None else row.turns + 1
        turn = Turn(
            self.tenant, asked.user, asked.conversation_id, number, asked.id, asked.message, dialogue, state,
            exchanges_of(line.taken.recent), progress_of(dialogue, state.collected, state.passed),
        )  # fmt: skip
        query: Query = await awaited(engine.enrich(turn))
        said: list[str] = []

        def hear(piece: str) -> None:
            said.append(piece)
            if sink is not None:
                sink(piece)

        asked_model = time.monotonic()
        with measures.model_counted(dialogue.id):
            raw = await awaited(engine.call(engine.model, query, hear))
        model_seconds = time.monotonic() - asked_model
        reply: Reply = await awaited(engine.normalise(raw))
        parsed: Parsed = await awaited(engine.parse(reply, turn))
        await awaited(engine.update(turn, parsed))
        progress = progress_of(dialogue, turn.state.collected, turn.state.passed)
        over = parsed.ends or progress.is_over
        item = asked.item if row is None else row.item
        plan = await self._plan(turn, item) if over else None
        if engine.save is not None:
            await awaited(engine.save(turn, parsed))
        encoded = encode_state(turn.state, engine.data)
        shown = msgspec.json.decode(encoded)
        old: dict[str, Any] = {} if stored is None else msgspec.json.decode(stored)
        before = old.get("collected", {})
        collected = {
            name: value for name, value in shown["collected"].items() if name not in before or before[name] != value
        }
        latency = time.monotonic() - began
        status: ConversationStatus = "open" if not over else "ended" if plan is None else "handed_over"
        result = TurnResult(
            conversation_id=asked.conversation_id,
            number=number,
            id=asked.id,
            messages=[Message("assistant", one) for one in parsed.messages],
            extracted=dict(parsed.extracted),
            refused=turn.refused,
            collected=collected,
            state_changed=encoded != stored,
            state=shown,
            progress=turn_progress(progress),
            status=status,
            started=[] if plan is None else [start.id for start in plan.starts],
            completed=[] if plan is None else [one.item for one in plan.completions],
            latency_seconds=latency,
        )
        after = ConversationRow(
            tenant=self.tenant,
            id=asked.conversation_id,
            user=asked.user,
            definition=dialogue.id,
            version=dialogue.version,
            status=status,
            state=encoded,
            revision=1 if row is None else row.revision + 1,
            turns=number,
            created_at=0 if row is None else row.created_at,
            changed_at=0,
            expires_at=0,
            ended_at=None,
            handover=None,
            item=item,
            keep_us=engine.times.keep_us,
        )
        turn_row = TurnRow(
            tenant=self.tenant,
            conversation=asked.conversation_id,
            number=number,
            id=asked.id,
            fingerprint=asked.fingerprint,
            actor=asked.user,
            message=asked.message,
            response=response_of(result, encoded),
            text="".join(said) or "\n".join(parsed.messages),
            change=change_of(old, shown),
            model=reply.model,
            input_tokens=reply.input_tokens,
            output_tokens=reply.output_tokens,
            cost=reply.cost,
            waited_us=round(line.waited_seconds * 1e6),
            model_us=round(model_seconds * 1e6),
            took_us=round(latency * 1e6),
            at=0,
        )
        return _Had(result, Save(after, line.taken.token, turn_row, self.engine.times.ttl_us), plan)

    async def _plan(self, turn: Turn[Any], item: str | None) -> Plan | None:
        """What the conversation, which is over, hands over to."""
        if self.engine.hand_over is None:
            return None
        handover = Handover(item)
        await awaited(self.engine.hand_over(turn, handover))
        if handover.is_empty:
            return None
        plan = await self._handing.plan(handover, turn.conversation_id, turn.number, turn.user)
        # Whether the items can be completed so is told before anything is stored.
        await self._handing.changes(plan)
        return plan

    async def _save(self, had: _Had) -> None:
        """Store a turn, with what it hands over to where that is in the same database.

        Raises:
            TurnLost: another has the conversation.
            Rejected: it cannot be stored.
        """
        save, plan, id = had.save, had.plan, had.result.conversation_id
        if plan is not None and not self._holding.has_runs:
            save = save._replace(row=save.row._replace(handover=plan.note()))
        for tries in range(SAVES):
            changes = []
            if plan is not None and self._holding.has_runs:
                changes = await self._handing.changes(plan)
                save = save._replace(starts=tuple(plan.starts), changes=tuple(changes))
            try:
                stored = await self._holding.save(save)
            except Rejected:
                if changes and tries + 1 < SAVES:
                    continue
                raise
            break
        if not stored:
            raise TurnLost(f"conversation {id!r}: the turn lost it to another; say it again", conversation_id=id)
        if plan is None:
            return
        if self._holding.has_runs:
            await self._handing.tell(plan, changes)
        else:
            await hand_over(self._core, self._holding.store, save.row)


def refuse(taken: Taken, id: str, turn_id: str = "") -> NoReturn:
    """Say why a conversation was not had."""
    match taken.outcome:
        case "missing":
            raise ConversationNotFound(f"there is no conversation {id!r}; begin a new one", conversation_id=id)
        case "expired":
            raise ConversationExpired(f"conversation {id!r} has expired; begin a new one", conversation_id=id)
        case "over":
            status = taken.row.status.replace("_", " ") if taken.row is not None else "over"
            raise ConversationEnded(f"conversation {id!r} is {status}; begin a new one", conversation_id=id)
        case "other":
            raise TurnConflict(
                f"turn {turn_id!r} of conversation {id!r} said something else; give what is new a turn id of its own",
                conversation_id=id,
            )
    held = taken.held_us / 1e6
    raise ConversationBusy(
        f"conversation {id!r} has a turn in progress, for {held:.1f} s; say it again with the same turn id",
        conversation_id=id, held_seconds=held, retry_after_seconds=1.0 if taken.outcome == "waits" else 2.0,
    )  # fmt: skip
