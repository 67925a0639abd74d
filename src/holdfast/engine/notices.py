"""Notices: what people may want to hear of a run, told in the commit in which it comes about.

Who listens turns a notice into messages of the outbox, or starts of runs that gather what is told together. They are
written in the same transaction as what the notice is about, so that neither is there without the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from holdfast.engine.attaching import attach
from holdfast.model.failure import failure_view
from holdfast.store.operations import NewMessage, Settle, Start

if TYPE_CHECKING:
    from holdfast.engine.context import StepFrame
    from holdfast.engine.execution import Execution

log = logging.getLogger("holdfast.run")

NoticeEvent = Literal["run.succeeded", "run.failed", "run.cancelled", "run.held", "phase.finished", "approval.wanted"]

NOTICE_EVENTS: tuple[NoticeEvent, ...] = (
    "run.succeeded", "run.failed", "run.cancelled", "run.held", "phase.finished", "approval.wanted"
)  # fmt: skip

TEXT_CHARACTERS = 1000
"""So much of an error is told."""


class Notice(NamedTuple):
    """Something that people may want to hear of.

    Attributes:
        id: unique within the tenant; the same when it is told again.
        run: the run's id.
        about: a phase's name, or the title of what is asked; empty for a run as a whole.
        text: why, in words; may be empty.
        at: microseconds since 1970, UTC.
    """

    event: NoticeEvent
    id: str
    tenant: str
    workflow: str
    run: str
    about: str
    text: str
    at: int


class Told(NamedTuple):
    """What tells people of a notice.

    Attributes:
        messages: of the outbox.
        starts: of runs that gather what is told together.
    """

    messages: Sequence[NewMessage] = ()
    starts: Sequence[Start] = ()


Listener = Callable[[Notice], Told]
"""Gives what tells people."""


def _told(execution: Execution, position: bytes, notice: Notice) -> Iterator[tuple[str, NewMessage | Start]]:
    """What is committed with what a notice is about, each with its kind, under the lease of the run."""
    listener, run = execution.core.listener, execution.run
    try:
        told = Told() if listener is None else listener(notice)
    except Exception:
        log.exception("nobody can be told that %s of run %s", notice.event, notice.run)
        return
    for message in told.messages:
        yield "messages", message._replace(
            workflow=run.workflow, run=run.uid, run_id=run.id, position=position, generation=run.generation,
            epoch=run.epoch,
        )  # fmt: skip
    for start in told.starts:
        yield "starts", start._replace(
            parent_uid=run.uid, parent_generation=run.generation, parent_epoch=run.epoch
        )  # fmt: skip


def tell(execution: Execution, position: bytes, notice: Notice) -> None:
    """Have people told with whatever of the run is committed next."""
    for kind, row in _told(execution, position, notice):
        execution.committer.post(kind, row)


def attach_notice(frame: StepFrame, event: NoticeEvent, about: str, text: str = "") -> None:
    """Have people told of something together with the result of an attempt.

    Args:
        frame: the attempt, which is still under way.
        about: what it is about within the run, such as a phase's name.
    """
    execution = frame.execution
    if execution.core.listener is None:
        return
    run = execution.run
    id = f"{event}:{run.uid.hex()}:{run.generation}:{frame.position.hex()}"
    notice = Notice(event, id, run.tenant, run.workflow, run.id, about, text[:TEXT_CHARACTERS], execution.core.now_us())
    for kind, row in _told(execution, frame.position, notice):
        attach(frame, kind, row)


def tell_end(execution: Execution, settle: Settle) -> None:
    """Have people told how a run ended, or that it is held: with the end itself, and only if that is recorded."""
    if execution.core.listener is None:
        return
    run = execution.run
    text = ""
    if settle.status != "succeeded":
        error = failure_view(settle.output)
        text = f"{error['type'].rpartition('.')[2]}: {error['message']}"[:TEXT_CHARACTERS]
    events: dict[str, NoticeEvent] = {
        "succeeded": "run.succeeded", "failed": "run.failed", "cancelled": "run.cancelled", "held": "run.held"
    }  # fmt: skip
    event = events[settle.status]
    # A run may be held again and again in one generation: each time it has recorded more.
    which = f".{execution.seq}" if event == "run.held" else ""
    notice = Notice(
        event, f"{event}:{run.uid.hex()}:{run.generation}{which}", run.tenant, run.workflow, run.id, "", text,
        settle.finished_at,
    )  # fmt: skip
    tell(execution, b"", notice)
