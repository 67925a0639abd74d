"""The mail desk as a LangGraph graph: it ends as the plain one does, and goes on from its checkpoints."""

from __future__ import annotations

from pathlib import Path

import pytest
from email_desk import drafting, graph_desk
from email_desk.desk import mail_desk
from email_desk.message import NotUnderstood
from email_desk.settings import settings

import holdfast as hf
from tests.examples.desk_kit import SAMPLE, Fault, desk, incoming, letter, sample


async def plain(client: hf.Client, name: str, raw: bytes) -> object:
    """How the desk of steps ends, and what it publishes."""
    run = await client.start(mail_desk.options(id=name), incoming(raw))
    try:
        outcome = await run.result(timeout=60)
    except hf.RunFailed as failed:
        return str(failed.__cause__)
    return told(outcome, await client.message(outcome.reply))


async def graph(client: hf.Client, raw: bytes) -> object:
    """The same of the graph."""
    try:
        outcome = await graph_desk.answer(client, raw)
    except NotUnderstood as error:
        return str(error)
    return told(outcome, await client.message(outcome.reply))


def told(outcome: graph_desk.Outcome, reply: hf.MessageView) -> object:
    assert reply.workflow == "mail_desk"
    return (
        outcome.outcome, outcome.tier, outcome.subject, outcome.reason, outcome.missing, reply.body, reply.key,
        reply.verdict, reply.reason,
    )  # fmt: skip


@pytest.mark.slow
async def test_the_samples_end_as_in_the_plain_desk(disk_url: str, tmp_path: Path) -> None:
    names = sorted(path.stem for path in SAMPLE.glob("*.eml"))
    async with hf.connect(disk_url) as client, hf.connect(disk_url, tenant="graph") as other:
        with desk(tmp_path / "plain"):
            async with hf.Worker(client, [mail_desk]):
                expected = {name: await plain(client, name, sample(name)) for name in names}
        with desk(tmp_path / "graph"):
            assert {name: await graph(other, sample(name)) for name in names} == expected
    assert len({str(end) for end in expected.values()}) == 13


@pytest.mark.parametrize(
    "fault", [lambda path: (500, b""), lambda path: (200, b"{") if "contacts" in path else None], ids=["all", "contact"]
)
async def test_a_source_that_fails_degrades_it_as_the_plain_desk(sqlite_url: str, tmp_path: Path, fault: Fault) -> None:
    async with hf.connect(sqlite_url) as client, hf.connect(sqlite_url, tenant="graph") as other:
        with desk(tmp_path / "plain", fault):
            async with hf.Worker(client, [mail_desk]):
                expected = await plain(client, "m", letter())
        with desk(tmp_path / "graph", fault):
            assert await graph(other, letter()) == expected


async def test_conversations_that_cannot_be_kept_are_missing(sqlite_url: str, tmp_path: Path) -> None:
    (tmp_path / "threads").write_text("in the way")
    async with hf.connect(sqlite_url) as client:
        with desk(tmp_path):
            assert (await graph_desk.answer(client, letter())).missing == ("thread",)


async def test_it_goes_on_from_its_last_checkpoint(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    async with hf.connect(sqlite_url) as client:
        with desk(tmp_path, lambda path: asked.append(path)):
            with monkeypatch.context() as patch:
                patch.setattr(drafting, "draft", lambda *_: 1 // 0)
                with pytest.raises(ZeroDivisionError):
                    await graph_desk.answer(client, letter())
            assert len(asked) == 3
            outcome = await graph_desk.answer(client, letter())
            assert outcome.outcome == "published"
            assert await graph_desk.answer(client, letter()) == outcome
            assert len(asked) == 3
            [reply] = await client.messages()
            assert (reply.id, reply.repeats) == (outcome.reply, 0)
            assert settings.folder == tmp_path
