"""Logs of the commands: their two forms, what they say of a run, and what they hide."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

import holdfast as hf
from holdfast.cli import logs
from tests.cli.tool import environment

log = logging.getLogger("holdfast.test")

KEY = "hf_ab12cd34_" + "x7Y" * 13 + "z"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def configured_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def stream() -> io.StringIO:
    """Where the logs of a test go, in the form for programs."""
    stream = io.StringIO()
    logs.configure("info", stream)
    return stream


def lines(stream: io.StringIO, logger: str = "holdfast.test") -> list[dict[str, Any]]:
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    return [line for line in found if line["logger"] == logger]


def test_lines_for_programs(stream: io.StringIO) -> None:
    log.debug("not this")
    log.info("connecting to %s", "postgresql://me:hunter2@db/shop?password=hunter3&x=1")
    try:
        raise ValueError("token=abc")
    except ValueError:
        log.exception("failed")
    first, second = lines(stream)
    assert list(first) == ["time", "level", "logger", "message"]
    assert first["level"] == "info"
    assert first["message"] == "connecting to postgresql://me:***@db/shop?password=***&x=1"
    assert first["time"].endswith("+00:00")
    assert second["exception"].startswith("Traceback (most recent call last):\n")
    assert "ValueError: token=***" in second["exception"]


@pytest.mark.parametrize("colour", [True, False])
def test_lines_for_people(monkeypatch: pytest.MonkeyPatch, colour: bool) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colour:
        monkeypatch.setenv("NO_COLOR", "1")
    stream = _Terminal()
    logs.configure("warning", stream)
    log.info("not this")
    log.warning("careful")
    assert stream.getvalue().rstrip().endswith("holdfast.test  careful")
    assert ("\x1b[" in stream.getvalue()) is colour
    logs.configure("warning", stream)
    assert len([one for one in logging.getLogger().handlers if getattr(one, "holdfast", False)]) == 1


def test_a_terminal_is_told_the_run_and_no_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = _Terminal()
    logs.configure("info", stream)
    log.info("said \x1b[2J", extra={"order": "o\x1b]0;x\a-1", "tenant": "t", "trace_id": "0" * 32})
    line = stream.getvalue()
    assert "\x1b" not in line
    assert "\a" not in line
    assert "order=o" in line
    assert "tenant=" not in line
    assert "trace_id=" not in line


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (f"key {KEY} was refused", "key hf_ab12cd34_*** was refused"),
        ("Authorization: Bearer abc.def-123456", "Authorization: Bearer ***"),
        ("bearer of bad news", "bearer of bad news"),
        ("at redis://:p@ss@host:1/0", "at redis://:***@host:1/0"),
        ("at postgresql://me@db/shop", "at postgresql://me@db/shop"),
        ("dsn password='two words' host=db", "dsn password=*** host=db"),
        ("client_secret=abc", "client_secret=***"),
        ("""{"password": "abc", "user": "me"}""", """{"password": ***, "user": "me"}"""),
        ("{'api_key': 'abc', 'user': 'me'}", "{'api_key': ***, 'user': 'me'}"),
        ("unexpected token: foo", "unexpected token: foo"),
        ("hf_map and hf_first", "hf_map and hf_first"),
    ],
)
def test_secrets_are_hidden(said: str, shown: str) -> None:
    assert logs.without_secrets(said) == shown


def test_a_long_text_is_looked_through_quickly() -> None:
    began = time.process_time()
    for piece in ("a", "password", "hf_", "://:", "bearer "):
        logs.without_secrets(piece * (200_000 // len(piece)))
    assert time.process_time() - began < 2.0  # about 0.3 s; for ever, if one part were looked through again and again


def test_fields_are_plain_json_with_nothing_secret(stream: io.StringIO) -> None:
    class Sullen:
        def __str__(self) -> str:
            raise RuntimeError("no")

    deep: list[Any] = []
    for _ in range(50):
        deep = [deep]
    given = {
        "order": "o-1", "count": 3, "ratio": float("nan"), "token": "abc", "tokens": 17, "level": "fake",
        "where": {"url": "http://me:hunter2@h/", "secret": "s", 1: ["\udfff"]}, "sullen": Sullen(), "deep": deep,
    }  # fmt: skip
    log.info("sold", extra=given)
    [line] = lines(stream)
    assert (line["order"], line["count"], line["ratio"], line["token"], line["tokens"]) == ("o-1", 3, "nan", "***", 17)
    assert line["where"] == {"url": "http://me:***@h/", "secret": "***", "1": ["\udfff"]}
    assert line["level"] == "info"
    assert "cannot be shown" in line["sullen"]


@hf.step(retry=hf.Retry(max_attempts=2, initial=0.001))
async def awaited(order: str) -> None:
    log.info("in an async step", extra={"run": "forged", "order": order})
    if hf.current().attempt == 1:
        raise ValueError("once")


@hf.step
def in_thread() -> None:
    log.info("in a plain step")


@hf.workflow
async def logged(order: str) -> None:
    log.info("in the workflow")
    await awaited(order)
    await hf.gather(in_thread(), in_thread())
    log.info("at its end")


async def test_every_record_of_a_run_says_where_it_was_made(stream: io.StringIO, disk_url: str) -> None:
    async with hf.connect(disk_url, tenant="north") as client, hf.Worker(client, [logged]):
        run = await client.start(logged.options(id="o/1"), "o-1")
        await run.result(timeout="20s")
        log.info("outside")
    said = lines(stream)
    where = {"run": "o/1", "workflow": "logged", "tenant": "north"}
    given = ("time", "level", "logger", "message", "order")
    assert [(line["message"], {key: line[key] for key in line if key not in given}) for line in said] == [
        ("in the workflow", where),
        ("in an async step", {**where, "step": "awaited", "attempt": 1}),
        ("in an async step", {**where, "step": "awaited", "attempt": 2}),
        ("in a plain step", {**where, "step": "in_thread", "attempt": 1}),
        ("in a plain step", {**where, "step": "in_thread", "attempt": 1}),
        ("at its end", where),
        ("outside", {}),
    ]
    [failed] = [line for line in lines(stream, "holdfast.run") if "failed" in line["message"]]
    assert {key: failed[key] for key in (*where, "step", "attempt")} == {**where, "step": "awaited", "attempt": 1}


async def test_a_format_of_ones_own_may_name_the_run() -> None:
    from holdfast.services.telemetry import RunFields

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RunFields())
    handler.setFormatter(logging.Formatter("%(run)s %(step)s %(attempt)s %(trace_id)s %(message)s"))
    log.addHandler(handler)
    log.setLevel("INFO")
    try:
        log.info("outside")
        await hf.execute(logged, "o-1")
    finally:
        log.removeHandler(handler)
        log.setLevel("NOTSET")
    said = stream.getvalue().splitlines()
    assert said[0] == "- - - - outside"
    assert said[2].endswith(" awaited 1 - in an async step")


STRUCTLOG = """
import json, sys
from holdfast.cli import logs
if {configured}:
    import structlog
    structlog.configure(processors=[structlog.processors.JSONRenderer(sort_keys=True)])
logs.configure("info")
import structlog
logs.bridge()
structlog.get_logger("mine").info("sold", order="o-1", password="hunter2")
"""


@pytest.mark.slow
@pytest.mark.parametrize("configured", [False, True])
def test_structlog_loggers_write_here_unless_they_are_set_up_already(configured: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STRUCTLOG.format(configured=configured)],
        capture_output=True, text=True, timeout=60, env=environment(), check=True,
    )  # fmt: skip
    if configured:
        assert json.loads(done.stdout)["event"] == "sold"
        assert done.stderr == ""
    else:
        line = json.loads(done.stderr)
        assert (line["logger"], line["message"], line["order"], line["password"]) == ("mine", "sold", "o-1", "***")


@pytest.mark.slow
@pytest.mark.parametrize(("level", "told"), [("info", 0), ("debug", 1)])
def test_requests_that_go_well_are_told_at_debug_only(level: str, told: int) -> None:
    stream = io.StringIO()
    logs.configure(level, stream)
    logging.getLogger("httpx").info("HTTP Request: GET http://127.0.0.1/")
    assert len(lines(stream, "httpx")) == told


def test_importing_holdfast_configures_nothing() -> None:
    code = (
        "import logging, sys; before = (list(logging.getLogger().handlers), logging.getLogger().level)\n"
        "import holdfast, holdfast.services.telemetry\n"
        "assert before == (logging.getLogger().handlers, logging.getLogger().level)\n"
        "assert not logging.getLogger('holdfast').handlers\n"
        "assert not {'structlog', 'opentelemetry', 'prometheus_client'} & set(sys.modules), sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, env=environment())
