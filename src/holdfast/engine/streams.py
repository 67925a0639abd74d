"""`hf.stream`: what a run produces while it executes, for whoever follows it.

In a workflow's own code the n-th write to a stream has its place: a replay leaves out what is stored. In a step an
attempt that follows another one withdraws what that wrote, by a reset, and writes anew; or goes on behind it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from holdfast.engine.chunks import CHUNK_BYTES, Written, streams_of
from holdfast.engine.context import Scope, StepFrame, place
from holdfast.engine.stream_handles import Stream
from holdfast.errors import NotDurable, PayloadError, UsageError
from holdfast.model.ids import check_id
from holdfast.model.payload import codec_of
from holdfast.model.position import encode_number
from holdfast.model.streams import step_writer, workflow_writer

_ANY = codec_of(Any)


def stream(name: str, *, resume: bool = False) -> Stream:
    """A stream of the run that the calling code belongs to, to write to.

    Args:
        name: of the stream, within the run.
        resume: in a step, leave what earlier attempts wrote, and go on behind it: `Stream.written` says how many values
            these are. Else they are withdrawn when the attempt first uses the stream.

    Raises:
        UsageError: not a name, called outside a run, or ``resume`` in a workflow, which always goes on where it was.
    """
    here = place.get()
    if here is None:
        raise UsageError(
            "hf.stream outside a run: call it in a workflow or in a step that a workflow called; to read a stream use "
            "client.read_stream(run_id, name)"
        )
    check_id(name, "the name of a stream")
    if isinstance(here, Scope):
        if resume:
            raise UsageError("hf.stream(…, resume=True) in a workflow: it goes on where it was by itself; leave it out")
        return _WorkflowStream(name, here)
    return _StepStream(name, here, resume)


class _WorkflowStream(Stream):
    """Of a branch of the workflow's own code."""

    def __init__(self, name: str, here: Scope) -> None:
        super().__init__(name, here)
        self._scope = here
        self._writer = workflow_writer(here.prefix)

    def write(self, value: Any) -> Coroutine[Any, Any, None]:
        return self._call("data", _encoded(value, self.name, self._number()))

    def close(self) -> Coroutine[Any, Any, None]:
        self._number()
        return self._call("end", b"")

    def written(self) -> Coroutine[Any, Any, int]:
        raise UsageError("the written() of a stream in a workflow: writes that are stored are left out by themselves")

    def _number(self) -> int:
        """How many calls of this branch there were."""
        if asyncio.current_task(self._execution.core.loop) is not self._scope.task:
            raise NotDurable(
                f"a write to stream {self.name!r} of run {self._execution.run.id!r} from a task that holdfast did not "
                "start: its place would differ from one execution to the next. Write in the run's own task, or in a "
                "step"
            )
        return streams_of(self._execution).calls[self.name, self._writer]

    def _call(self, kind: Any, data: bytes) -> Coroutine[Any, Any, None]:
        # Numbered at the call, not when it is awaited, so that the order is the same at each execution.
        streams = streams_of(self._execution)
        number = streams.calls[self.name, self._writer]
        streams.calls[self.name, self._writer] = number + 1
        call = self._put(kind, data, number)
        call.__qualname__ = "hf.stream"  # type: ignore[attr-defined]
        return call

    async def _put(self, kind: Any, data: bytes, number: int) -> None:
        execution = self._execution
        execution.check()
        streams = streams_of(execution)
        position = self._scope.prefix + encode_number(self._scope.count)
        execution.enter()
        try:
            async with streams.turn(self.name) as written:
                if number < written.kept.get(self._writer, 0):
                    return  # stored before this process had the run
                await streams.room(len(data))
                execution.check()
                if written.ended is None:
                    streams.add(self.name, kind, self._writer, data)
                elif kind == "data":
                    raise _closed(self.name, execution.run.id)
        except asyncio.CancelledError:
            execution.stopped_call(f"a write to stream {self.name!r}", position)
            raise
        finally:
            execution.leave_call(position)


class _StepStream(Stream):
    """Of an attempt of a step."""

    def __init__(self, name: str, here: StepFrame, resume: bool) -> None:
        super().__init__(name, here)
        self._frame = here
        self._resume = resume
        self._writer = step_writer(here.position)
        self._count = 0

    def write(self, value: Any) -> Coroutine[Any, Any, None]:
        data = _encoded(value, self.name, self._count)
        self._count += 1
        return self._write(data)

    async def _write(self, data: bytes) -> None:
        execution, streams = self._execution, streams_of(self._execution)
        self._check()
        async with streams.turn(self.name) as written:
            self._begin(written)
            await streams.room(len(data))
            self._check()
            if written.ended is not None or self.name in self._frame.closing:
                raise _closed(self.name, execution.run.id)
            streams.add(self.name, "data", self._writer, data)

    async def close(self) -> None:
        self._check()
        async with streams_of(self._execution).turn(self.name) as written:
            self._begin(written)
            if written.ended is None and self.name not in self._frame.closing:
                self._frame.closing = (*self._frame.closing, self.name)

    async def written(self) -> int:
        self._check()
        async with streams_of(self._execution).turn(self.name) as written:
            self._begin(written)
            return sum(last - first + 1 for first, last in written.own.get(self._writer, ()))

    def _check(self) -> None:
        if asyncio._get_running_loop() is not self._execution.core.loop:
            raise UsageError(f"stream {self.name!r} is used from another event loop: use write_now there")
        if self._frame.over:
            raise UsageError(
                f"stream {self.name!r} is used when step {self._frame.name!r} had ended: in the step, await whatever "
                "writes to it"
            )
        self._execution.check()

    def _begin(self, written: Written) -> None:
        """At the attempt's first use of the stream, withdraw what others before it wrote."""
        self._check()
        if written.attempts.get(self._writer) is self._frame:
            return
        written.attempts[self._writer] = self._frame
        own = written.own.get(self._writer, [])
        closed = written.ended is not None and all(last != written.ended for _, last in own)
        if own and not self._resume and not closed:
            streams_of(self._execution).withdraw(self.name, self._writer, own)


def _encoded(value: Any, name: str, number: int) -> bytes:
    what = f"stream {name!r}[{number}]"
    plain = value is None or isinstance(value, str | int | float | bool | dict | list)
    data = (_ANY if plain else codec_of(type(value))).encode(value, what)
    if len(data) > CHUNK_BYTES:
        raise PayloadError(
            what, f"takes {len(data):,} bytes, and at most {CHUNK_BYTES:,} are written at once: write it in parts"
        )
    return data


def _closed(name: str, run_id: str) -> UsageError:
    return UsageError(f"stream {name!r} of run {run_id!r} is closed: write before it is closed, or to another stream")
