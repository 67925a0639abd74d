"""Commands as agents: what they are told, what they give, and that nothing of them is left behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from holdfast.agents.pipelines import commands
from holdfast.agents.pipelines.agents import agent
from holdfast.agents.pipelines.commands import Command
from holdfast.agents.pipelines.results import PipelineResult
from holdfast.agents.pipelines.shapes import LoopPipeline, SequentialPipeline
from holdfast.errors import AgentFailed, CommandFailed, UsageError
from holdfast.model.retry import Retry
from tests.engine.helpers import until

ONCE = Retry(max_attempts=1)


class Plan(BaseModel):
    steps: list[str]


def python(code: str, **options: Any) -> Command:
    return Command([sys.executable, "-c", code], **{"name": "tool", **options})


async def run(command: Command, task: Any = None, **terms: Any) -> PipelineResult:
    return await SequentialPipeline([agent(command, retry=ONCE, **terms)]).run(task)


async def failure(command: Command, task: Any = None) -> CommandFailed:
    with pytest.raises(AgentFailed) as raised:
        await run(command, task)
    assert isinstance(raised.value.__cause__, CommandFailed)
    return raised.value.__cause__


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"  # ended, and somebody else's to bury


async def ended(pid: int) -> None:
    async def over() -> bool:
        return gone(pid)

    await until(over, 30)


async def written(file: Path) -> list[int]:
    async def full() -> bool:
        return file.exists() and file.read_text().endswith("\n")

    await until(full, 30)
    return [int(word) for word in file.read_text().split()]


async def test_a_command_reads_json_and_gives_json() -> None:
    doubled = python("import json, sys; json.dump([2 * n for n in json.load(sys.stdin)], sys.stdout)")
    assert (await run(doubled, [1, 2])).review == [2, 4]


async def test_its_text_is_given_as_it_is() -> None:
    assert (await run(python("print('héé'); print(1)", output="text"), artifact="x.txt")).review == "héé\n1\n"


async def test_its_json_is_checked_against_a_type() -> None:
    good = python("""print('{"steps": ["a"]}')""", output=Plan)

    def last(plan: Any) -> str:
        return type(plan).__name__

    assert (await SequentialPipeline([good, last]).run(None)).review == "Plan"
    error = await failure(python("""print('{"steps": ["a", 3]}')""", output=Plan))
    assert "its output.steps[1]: Input should be a valid string" in str(error)


@pytest.mark.parametrize(
    ("code", "output", "said"),
    [
        ("print('not json')", "json", 'for plain text, write output="text"'),
        ("", "json", "gave no JSON"),
        ("print('NaN')", "json", "gave no JSON"),
        ("import sys; sys.stdout.buffer.write(b'\\xff')", "text", "gave no text in UTF-8"),
    ],
)
async def test_output_that_is_not_what_it_should_be_is_an_error(code: str, output: str, said: str) -> None:
    error = await failure(python(code, output=output))
    assert said in str(error)
    assert error.exit_code == 0


async def test_an_exit_code_is_told_with_the_end_of_stderr() -> None:
    error = await failure(
        python("import sys; print('x' * 9000 + ' the end\\0', file=sys.stderr); print('{}'); sys.exit(3)")
    )
    assert error.exit_code == 3
    assert len(error.stderr) <= commands.STDERR_BYTES
    assert str(error).startswith("command 'tool' ended with exit code 3; the end of its stderr:\nxxx")
    assert error.stderr.endswith("x the end␀")


async def test_a_signal_is_told() -> None:
    error = await failure(python("import os; os.kill(os.getpid(), 11)"))
    assert error.exit_code == -11
    assert "ended with signal 11" in str(error)


@pytest.mark.slow
async def test_a_command_that_takes_too_long_is_killed_with_all_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"child = subprocess.Popen(['sleep', '600']); print('begun', file=sys.stderr, flush=True)\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}\\n'); time.sleep(600)"
    )
    error = await failure(python(code, timeout=2.0))
    assert "took longer than 2 s and was killed" in str(error)
    assert (error.exit_code, error.stderr) == (None, "begun")
    for pid in await written(pids):
        await ended(pid)


@pytest.mark.slow
async def test_a_command_whose_pipeline_is_cancelled_is_killed_with_all_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import os, subprocess, time; child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}\\n'); time.sleep(600)"
    )
    running = asyncio.create_task(run(python(code)))
    found = await written(pids)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    for pid in found:
        await ended(pid)


async def test_what_a_command_leaves_behind_does_not_outlive_it() -> None:
    result = await run(python("import subprocess; print(subprocess.Popen(['sleep', '600']).pid)"))
    await ended(result.review)


@pytest.mark.slow
async def test_one_that_got_away_with_its_output_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "CLOSING_SECONDS", 0.2)
    code = "import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True)"
    result = await run(python(code))
    os.kill(result.review, signal.SIGKILL)


async def test_a_command_need_not_read_what_it_is_told_and_may_say_much_before() -> None:
    much = "x" * 1_000_000
    assert (await run(python("print('1')"), much)).review == 1
    echo = python("import sys; sys.stderr.write('e' * 1000000); print(sys.stdin.read(), end='')", output="text")
    assert (await run(echo, much)).review == f'"{much}"\n'


@pytest.mark.slow
async def test_more_output_than_can_be_kept_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "MAX_PAYLOAD_BYTES", 100_000)
    error = await failure(python("while True: print('x' * 1000)"))
    assert "gave more than 100,000 bytes and was killed" in str(error)


async def test_the_environment_has_no_secrets_unless_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    monkeypatch.setenv("HOLDFAST_URL", "postgresql://user:password@host/db")
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    seen = (await run(python(show))).review
    assert seen["PATH"] == os.environ["PATH"]
    assert not {"OPENAI_API_KEY", "HOLDFAST_URL"} & set(seen)
    assert (await run(python(show, env=["OPENAI_API_KEY"]))).review["OPENAI_API_KEY"] == "sk-very-secret"
    assert (await run(python(show, env={"MODE": "fast"}))).review["MODE"] == "fast"
    inside = SequentialPipeline([python(show)], workspace=tmp_path / "work")
    assert (await inside.run(None)).review["HOLDFAST_WORKSPACE"] == str(tmp_path / "work")


async def test_a_secret_that_a_command_prints_is_not_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "very-secret")
    error = await failure(python("import os; raise SystemExit(f'bad token {os.environ[\"TOKEN\"]}')", env=["TOKEN"]))
    assert error.stderr == "bad token <TOKEN>"
    assert "very-secret" not in str(error)


async def test_there_is_no_shell() -> None:
    assert (await run(Command(["echo", "$HOME; *"], output="text"))).review == "$HOME; *\n"


async def test_it_runs_in_the_folder_it_is_told(tmp_path: Path) -> None:
    assert (await run(Command(["pwd"], output="text", cwd=tmp_path))).review == f"{tmp_path}\n"


async def test_a_command_can_see_all_there_is() -> None:
    def coder(task: str) -> Plan:
        return Plan(steps=[task])

    see = python(
        "import json, sys; work = json.load(sys.stdin); work['ok'] = work['round'] == 2; print(json.dumps(work))",
        input="work",
        name="reviewer",
    )
    loop = LoopPipeline([coder, see], until=lambda seen: seen["ok"])
    assert (await loop.run("x")).review | {"review": None, "results": None} == {
        "task": "x", "given": {"steps": ["x"]}, "failures": {}, "round": 2, "ok": True, "review": None, "results": None,
    }  # fmt: skip
    work = (await loop.run("x")).review
    assert work["results"]["coder"] == {"steps": ["x"]}
    assert work["review"]["round"] == 1


async def test_a_command_can_be_told_nothing() -> None:
    silent = python("import sys; print(len(sys.stdin.read()))", input="none")
    assert (await run(silent, "x")).review == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["/no/such/program"], "No such file"), ([str(Path(__file__).parent)], "Permission denied")],
)
async def test_a_program_that_cannot_be_started_is_told_at_once(arguments: list[str], said: str) -> None:
    with pytest.raises(AgentFailed, match=f"cannot be started: .*{said}") as raised:
        await SequentialPipeline([Command(arguments, name="tool")]).run(None)  # without trying again
    assert isinstance(raised.value.__cause__, UsageError)


async def test_a_variable_that_is_not_set_is_told() -> None:
    with pytest.raises(AgentFailed, match="needs the variable NO_SUCH_TOKEN, which is not set"):
        await run(python("print(1)", env=["NO_SUCH_TOKEN"]))


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ("ls -l", {}, "as a list"),
        ([], {}, "as a list"),
        (["ls", 3], {}, "give text"),
        (["ls", "a\0"], {}, "a NUL"),
        (["ls"], {"input": "all"}, "input is 'all'"),
        (["ls"], {"output": "yaml"}, "output is 'yaml'"),
        (["ls"], {"env": "TOKEN"}, "a list of names"),
        (["ls"], {"timeout": "soon"}, "timeout of command 'ls'"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(arguments: Any, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Command(arguments, **options)
