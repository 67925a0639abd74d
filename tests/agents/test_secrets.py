"""Keys by reference: what is found, what is refused, and that no key is ever said, logged or stored."""

import asyncio
import logging
import re
import sqlite3
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

import holdfast as hf
from holdfast.agents.models.calling import Asked, call_model
from holdfast.agents.models.keys import hide, key_of
from holdfast.agents.models.outputs import output_of
from holdfast.agents.models.reaching import model_for, reaching
from holdfast.agents.recording import record_requests
from holdfast.errors import ModelFailed, UsageError
from holdfast.model.phases import ModelTerms
from tests.agents.openai_server import OpenAIServer

KEY = "sk-very-secret-0123456789"
ASKED = Asked(None, "Go.", output_of("text"), timeout_seconds=60)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as one:
        yield one


def test_a_key_is_found_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "key"
    for key in (KEY, "another"):
        monkeypatch.setenv("A_KEY", key)
        file.write_text(f"{key}\n")
        assert key_of("env:A_KEY") == key_of(f"file:{file}") == key


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("env:NOT_THERE", "the API key: the variable NOT_THERE is not set"),
        ("env:EMPTY", "'env:EMPTY' is empty"),
        ("env:ODD", "'env:ODD' points to is no API key"),
        ("env:WORDS", "'env:WORDS' points to is no API key"),
        ("file:/not/there", "the API key: /not/there cannot be read: No such file"),
        (KEY, "the API key is not given as env:NAME or file:PATH"),
        ("env:", "not given as env:NAME or file:PATH"),
        ("vault:" + KEY, "not given as env:NAME or file:PATH"),
    ],
)
def test_a_bad_reference_is_named_and_what_is_there_is_not(
    reference: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMPTY", "  ")
    monkeypatch.setenv("WORDS", f"Bearer {KEY}")
    monkeypatch.setenv("ODD", f"{KEY}\nand more")
    with pytest.raises(UsageError, match=re.escape(said)) as caught:
        key_of(reference)
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("content", [b"\xff\xfe" + KEY.encode(), f"{KEY}\n{KEY}".encode(), b"a\0" + KEY.encode()])
def test_a_file_that_holds_something_else_is_not_shown(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    with pytest.raises(UsageError, match=r"is no API key|is not UTF-8 text") as caught:
        key_of(f"file:{file}")
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_key_is_hidden_in_a_text() -> None:
    assert hide(f"no: {KEY}!", KEY) == "no: [key]!"
    assert hide("as it is", None) == "as it is"


async def test_of_a_key_that_is_longer_than_what_is_shown_no_part_is_said(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", KEY * 100)
    server.plan.append("401")
    with pytest.raises(ModelFailed) as caught:
        await call_model(ModelTerms("m", "openai:gpt-5-mini", base_url=server.url, api_key="env:A_KEY"), ASKED)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("reference", ["env:A_KEY", None])
async def test_no_key_is_said_or_logged(
    server: OpenAIServer,
    reference: str | None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    # Without a reference it is found where the provider's package looks for it.
    monkeypatch.setenv("A_KEY" if reference else "OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    terms = ModelTerms("m", "openai:gpt-5-mini", base_url=server.url, api_key=reference)
    server.plan += ["401", "429:3", f'say:"{KEY}"', "say:no", "500"]
    async with reaching(terms) as reached:
        said = [repr(reached), repr(model_for(terms)), repr(terms)]
    for _ in range(2):
        with pytest.raises(ModelFailed) as caught:
            await call_model(terms, ASKED)
        assert "[key]" in str(caught.value)  # the server did say it
        said += traceback.format_exception(caught.value)
        said.append(repr((caught.value, vars(caught.value))))
    once = Asked(None, "Go.", output_of("Count", {"Count": int}), repairs=0, timeout_seconds=60)
    twice = Asked(None, "Go.", output_of("Count", {"Count": int}), timeout_seconds=60)
    for asked, sink in ((once, None), (twice, said.append)):
        with pytest.raises(ModelFailed) as caught:
            await call_model(terms, asked, sink=sink)
        said.append(repr((caught.value, vars(caught.value))))
    assert server.calls[0].headers["authorization"] == f"Bearer {KEY}"
    said += [record.getMessage() + repr(vars(record)) for record in caplog.records]
    said += capfd.readouterr()
    assert any("chat/completions" in one for one in said)  # the clients did log
    assert not [one for one in said if KEY in one]


@pytest.mark.parametrize("url", ["http://me:secret@127.0.0.1:1/v1", "https://me@127.0.0.1/v1"])
async def test_an_address_with_a_password_is_refused(url: str) -> None:
    with pytest.raises(ModelFailed, match="holds a password") as caught:
        await call_model(ModelTerms("m", "openai:gpt-5-mini", base_url=url), ASKED)
    assert "secret" not in str(caught.value)


async def test_a_key_that_was_changed_is_in_force_at_once(server: OpenAIServer, tmp_path: Path) -> None:
    file = tmp_path / "key"
    terms = ModelTerms("m", "openai:gpt-5-mini", base_url=server.url, api_key=f"file:{file}")
    models = []
    for key in ("first", "second", "first"):
        file.write_text(key)
        await call_model(terms, ASKED)
        models.append(model_for(terms))
    # What went with another key is closed, once its calls are over.
    assert [one.client.is_closed() for one in models] == [True, True, False]
    assert [one.headers["authorization"] for one in server.calls] == [
        "Bearer first", "Bearer second", "Bearer first"
    ]  # fmt: skip


async def test_a_call_that_is_under_way_goes_on_with_its_key(server: OpenAIServer, tmp_path: Path) -> None:
    file = tmp_path / "key"
    terms = ModelTerms("m", "openai:gpt-5-mini", base_url=server.url, api_key=f"file:{file}")
    file.write_text("first")
    server.plan.append("held")
    slow = asyncio.create_task(call_model(terms, ASKED))
    while not server.calls:
        await asyncio.sleep(0.01)
    old = model_for(terms)
    file.write_text("second")
    assert (await call_model(terms, ASKED)).output == "It is done."
    assert not old.client.is_closed()
    server.release.set()
    assert (await slow).output == "It is done."
    assert old.client.is_closed()


@hf.step(retry=hf.Retry(max_attempts=2, initial=0.01))
async def ask(url: str) -> str:
    try:
        terms = ModelTerms("m", "openai:gpt-5-mini", base_url=url, api_key="env:A_KEY")
        answered = await call_model(terms, ASKED)
    except ModelFailed as error:
        record_requests("ask", error.requests)
        raise
    record_requests("ask", answered.requests)
    return str(answered.output)


@hf.workflow
async def asking(url: str) -> str:
    return await ask(url)


async def test_no_key_is_stored(server: OpenAIServer, disk_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    server.plan += ["401", "401"]
    async with hf.connect(disk_url) as client, hf.Worker(client, [asking]):
        run = await client.start(asking, server.url)
        with pytest.raises(hf.RunFailed):
            await run.result(timeout="1m")
    stored = await _everything(disk_url)
    assert "[key]" in stored  # what the server said is there
    assert KEY not in stored


async def _everything(url: str) -> str:
    """All that a database holds, as text."""
    if url.startswith("sqlite"):
        database = sqlite3.connect(url.removeprefix("sqlite:///"))
        try:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return "".join(repr(row) for name in tables for row in database.execute(f"SELECT * FROM {name}"))
        finally:
            database.close()
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'holdfast'")
        rows = [await connection.fetch(f"SELECT * FROM holdfast.{one['tablename']}") for one in tables]
        return "".join(repr(tuple(row)) for found in rows for row in found)
    finally:
        await connection.close()
