"""Commands as agents: a program that reads JSON and writes JSON or text. No shell, and no secrets unless named."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, Literal

from pydantic_core import to_json

from holdfast.agents.artifacts.workspace import to_the_end
from holdfast.errors import CommandFailed, UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id
from holdfast.model.payload import MAX_PAYLOAD_BYTES, Codec, codec_of

if TYPE_CHECKING:
    from holdfast.agents.pipelines.agents import Work

STDERR_BYTES = 4096
"""So much of the end of what a command writes to stderr is kept."""

CLOSING_SECONDS = 5.0
"""A program may leave its output open to one that got away from it: so long it is still read."""

_PASSED = frozenset(
    {"HOME", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SHELL", "SSL_CERT_DIR", "SSL_CERT_FILE", "TERM", "TMPDIR", "TZ",
     "USER", "VIRTUAL_ENV"}
)  # fmt: skip
"""What a command gets of our environment; of the rest, where keys are, only what is named. And all of LC_*."""


class Command:
    """A program as an agent of a pipeline.

    Args:
        arguments: the program and its arguments; there is no shell.
        name: unique in its pipeline; the program's own name unless given.
        input: what is on its stdin: ``given``, the JSON of what the agent is given; ``work``, an object with the task,
            the given, results, failures, round and review; or ``none``.
        output: what is on its stdout: ``json``, ``text``, or a type, such as a model of pydantic, for JSON that is
            checked.
        timeout: it is killed after so long, with all it started; any time unless given.
        env: names of variables to pass on, or variables with their values. Without it the command gets PATH, HOME,
            the locale and the like, and HOLDFAST_WORKSPACE where the workspace is a folder.
        cwd: the folder it runs in; ours unless given.

    Raises:
        UsageError: an argument is wrong.
    """

    def __init__(
        self,
        arguments: Sequence[str | os.PathLike[str]],
        *,
        name: str | None = None,
        input: Literal["given", "work", "none"] = "given",
        output: Any = "json",
        timeout: Duration | None = None,
        env: Iterable[str] | Mapping[str, str] = (),
        cwd: str | os.PathLike[str] | None = None,
    ) -> None:
        if isinstance(arguments, str | bytes) or not arguments:
            raise UsageError(
                f"the command is {arguments!r}; give its program and arguments as a list, such as "
                '["python", "-m", "planner"]: there is no shell'
            )
        self.arguments = [os.fspath(one) if isinstance(one, os.PathLike) else one for one in arguments]
        self.name = check_id(name if name is not None else Path(str(self.arguments[0])).name, "the name of a command")
        for one in self.arguments:
            if not isinstance(one, str) or "\0" in one:
                raise UsageError(f"command {self.name!r}: an argument is {type(one).__name__} or has a NUL; give text")
        if input not in ("given", "work", "none"):
            raise UsageError(f'command {self.name!r}: input is {input!r}; give "given", "work" or "none"')
        if isinstance(output, str) and output not in ("json", "text"):
            raise UsageError(f'command {self.name!r}: output is {output!r}; give "json", "text" or a type')
        if isinstance(env, str):
            raise UsageError(f"command {self.name!r}: env is {env!r}; give a list of names, or a dict")
        self.input = input
        self.text = output == "text"
        self.gives: Codec = codec_of(str if self.text else Any if output == "json" else output)
        self.timeout_seconds = None if timeout is None else seconds(timeout, what=f"timeout of command {self.name!r}")
        self.env = dict(env) if isinstance(env, Mapping) else dict.fromkeys(env)
        self.cwd = None if cwd is None else os.fspath(cwd)

    def __repr__(self) -> str:
        return f"<command {self.name}>"

    async def __call__(self, given: Any, work: Work) -> Any:
        """Run it; what it gives.

        Raises:
            CommandFailed: it failed, took too long, or gave nothing that can be used.
            UsageError: there is no such program, or a variable that it needs is not set.
        """
        environment = self._environment(work)
        output, tail = bytearray(), bytearray()
        late = False
        with ExitStack() as stack:
            # Pipes of our own: of asyncio's a process is waited for until nobody at all holds their other ends.
            stdout, out = await _pipe(stack)
            stderr, err = await _pipe(stack)
            told = stack.enter_context(TemporaryFile())
            await asyncio.to_thread(_tell, told, self._input(given, work))
            try:
                process = await asyncio.create_subprocess_exec(
                    *self.arguments, stdin=told, stdout=out, stderr=err, env=environment, cwd=self.cwd,
                    start_new_session=True,
                )  # fmt: skip
            except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
                raise UsageError(f"command {self.name!r} cannot be started: {error}") from error
            finally:
                os.close(out)
                os.close(err)
            heard = asyncio.gather(_hear(process, stdout, output), _hear_end(stderr, tail))
            try:
                async with asyncio.timeout(self.timeout_seconds):
                    await process.wait()
            except TimeoutError:
                late = True
            finally:
                # Also what it started and left behind; and all of it when this attempt is cancelled.
                _kill(process)
                await to_the_end(_last_words(process, heard))
        if late:
            raise self._failed(f"took longer than {self.timeout_seconds:g} s and was killed", tail)
        if len(output) > MAX_PAYLOAD_BYTES:
            raise self._failed(f"gave more than {MAX_PAYLOAD_BYTES:,} bytes and was killed", tail)
        if process.returncode:
            how = "exit code" if process.returncode > 0 else "signal"
            raise self._failed(f"ended with {how} {abs(process.returncode)}", tail, process.returncode)
        return self._value(bytes(output), tail)

    def _value(self, output: bytes, tail: bytearray) -> Any:
        try:
            return output.decode() if self.text else self.gives.decode_body(output, "its output")
        except ValueError as error:
            kind = "text in UTF-8" if self.text else 'JSON as it should be (for plain text, write output="text")'
            raise self._failed(f"gave no {kind}: {error}", tail, 0) from error

    def _input(self, given: Any, work: Work) -> bytes:
        if self.input == "none":
            return b""
        names = ("task", "given", "results", "failures", "round", "review")
        return to_json(given if self.input == "given" else {name: getattr(work, name) for name in names}) + b"\n"

    def _environment(self, work: Work) -> dict[str, str]:
        ours = os.environ
        passed = {name: value for name, value in ours.items() if name in _PASSED or name.startswith("LC_")}
        if work.workspace is not None and work.workspace.path is not None:
            passed["HOLDFAST_WORKSPACE"] = str(work.workspace.path)
        for name, value in self.env.items():
            if value is None and name not in ours:
                raise UsageError(f"command {self.name!r} needs the variable {name}, which is not set")
            passed[name] = ours[name] if value is None else value
        return passed

    def _failed(self, what: str, tail: bytearray, exit_code: int | None = None) -> CommandFailed:
        said = tail.decode("utf-8", "replace").strip().replace("\0", "␀")
        for name, value in self.env.items():
            secret = os.environ.get(name, "") if value is None else value
            if len(secret) >= 4:
                said = said.replace(secret, f"<{name}>")
        message = f"command {self.name!r} {what}" + (f"; the end of its stderr:\n{said}" if said else "")
        return CommandFailed(message, exit_code=exit_code, stderr=said)


async def _pipe(stack: ExitStack) -> tuple[asyncio.StreamReader, int]:
    """A pipe: what reads one end, closed with the stack, and the other end."""
    read, write = os.pipe()
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read, "rb", 0)
    )
    stack.callback(transport.close)
    return reader, write


def _tell(file: IO[bytes], data: bytes) -> None:
    file.write(data)
    file.seek(0)


async def _hear(process: asyncio.subprocess.Process, stream: asyncio.StreamReader, into: bytearray) -> None:
    while chunk := await stream.read(65536):
        if len(into) <= MAX_PAYLOAD_BYTES:
            into += chunk
        else:
            _kill(process)


async def _hear_end(stream: asyncio.StreamReader, into: bytearray) -> None:
    while chunk := await stream.read(65536):
        into += chunk
        del into[:-STDERR_BYTES]


def _kill(process: asyncio.subprocess.Process) -> None:
    """Kill what is left of a process and its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


async def _last_words(process: asyncio.subprocess.Process, heard: asyncio.Future[Any]) -> None:
    """Hear what a process still said that has ended or is killed."""
    await process.wait()
    await asyncio.wait((heard,), timeout=CLOSING_SECONDS)
    heard.cancel()
    await asyncio.wait((heard,))
