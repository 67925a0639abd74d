"""What surrounds a message: sub-agents that ask a real CRM, which stops, slows or breaks, and read conversations."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from email_desk.crm import ask
from email_desk.desk import mail_desk
from email_desk.settings import settings
from email_desk.specialists import context
from email_desk.values import Contact, Context, Deal, Outcome, Update

from holdfast.testing import Environment
from tests.examples.desk_kit import desk, incoming, letter, sample

CRM = ("contact", "deal", "updates")


async def worked(raw: bytes, **options: Any) -> tuple[Outcome, Context, dict[str, Any], str]:
    """A message through the desk: how it ended, what was found out, the artifact that says so, and the answer."""
    async with Environment([mail_desk]) as env:
        run = await env.start(mail_desk, incoming(raw))
        outcome = await run.result()
        [called] = env.calls(context)
        [kept] = settings.folder.glob(f"artifacts/default/{run.id}/context.json")
        text = (await env.client.message(outcome.reply)).body["text"]
        names = {artifact.name for artifact in await env.client.artifacts(run.id)}
        assert names >= {"context.json", "draft-1.md", "decision.json"}
        return outcome, called["found"], json.loads(kept.read_bytes()), text


async def test_all_sources_are_merged_into_one_context(tmp_path: Path) -> None:
    with desk(tmp_path):
        outcome, found, kept, text = await worked(letter("Where is order 48213?"))
        assert found.contact == Contact("Ada Moreno", "Letters and Leather", False)
        assert found.updates[-1] == Update("2025-03-01", "48213", "handed to the carrier")
        assert (found.deal, found.thread, found.missing, outcome.missing) == (None, (), (), ())
        assert (kept["contact"]["company"], kept["missing"]) == ("Letters and Leather", [])
        assert "handed to the carrier" in text
        _, museum, *_ = await worked(sample("html-only"))
        assert museum.deal == Deal("New hall", "offer", 9200, "EUR", "Mara Lind")


async def test_nobody_known_at_an_address_is_nothing_missing(tmp_path: Path) -> None:
    with desk(tmp_path):
        outcome, found, *_ = await worked(letter(sender="x@nowhere.example"))
        assert (found.contact, found.deal, found.updates, outcome.missing) == (None, None, (), ())
        assert outcome.outcome == "published"


async def test_a_desk_without_a_crm_misses_nothing(tmp_path: Path) -> None:
    with desk(tmp_path), pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "crm", "")
        outcome, *_ = await worked(letter())
        assert (outcome.outcome, outcome.missing) == ("published", ())


def failing(kind: str, how: Callable[[], tuple[int, bytes] | None]) -> Callable[[str], tuple[int, bytes] | None]:
    return lambda path: how() if path.startswith(f"/{kind}/") else None


@pytest.mark.parametrize("kind", CRM)
@pytest.mark.parametrize(
    "answer",
    [
        (500, b"oh"),
        (200, b"<html>"),
        (200, b'{"unknown": 1}'),
        (302, b""),
        (204, b""),
        (200, b"\xff\xfe"),
        (200, b"[[1]]"),
    ],
)
async def test_a_broken_source_degrades_the_context_and_says_so(
    tmp_path: Path, kind: str, answer: tuple[int, bytes]
) -> None:
    with desk(tmp_path, failing("updates" if kind == "updates" else f"{kind}s", lambda: answer)):
        outcome, found, kept, text = await worked(letter("Where is order 48213?"))
    assert found.missing == outcome.missing == (kind,)
    assert kept["missing"] == [kind]
    assert "as soon as we have looked into it" in text
    assert "handed to the carrier" not in text
    reviewed = Outcome("review", "normal", "Lamp", "the CRM could not say who they are", outcome.reply, (kind,))
    passed = replace(reviewed, outcome="published", reason="")
    assert outcome == (reviewed if kind == "contact" else passed)


async def test_a_slow_source_is_given_up_and_the_others_are_not(tmp_path: Path) -> None:
    go_on = threading.Event()

    def wait() -> None:
        go_on.wait(60)

    with desk(tmp_path, failing("deals", wait)), pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "crm_seconds", 1.5)
        try:
            outcome, found, *_ = await worked(letter())
        finally:
            go_on.set()
    assert outcome.missing == ("deal",)
    assert found.contact is not None
    assert len(found.updates) == 2


async def test_a_source_that_fails_once_is_asked_again(tmp_path: Path) -> None:
    asked: list[str] = []

    def once(path: str) -> tuple[int, bytes] | None:
        asked.append(path)
        return (503, b"") if asked.count(path) == 1 else None

    with desk(tmp_path, once):
        outcome, found, *_ = await worked(letter())
    assert outcome.missing == ()
    assert found.contact is not None
    assert sorted(asked) == sorted(
        2 * [f"/{kind}/ada.moreno@letters.example" for kind in ("contacts", "deals", "updates")]
    )


async def test_a_crm_that_is_stopped_is_missed_as_a_whole(tmp_path: Path) -> None:
    with desk(tmp_path) as crm:
        crm.stop()
        outcome, *_ = await worked(letter())
    assert outcome.missing == CRM
    assert outcome.outcome == "review"


async def test_a_conversation_is_remembered(tmp_path: Path) -> None:
    with desk(tmp_path):
        for number in (1, 2, 3):
            more = "References: <m1@letters.example>\n" if number > 1 else ""
            outcome, found, *_ = await worked(
                letter(f"Part {number}", id=f"m{number}", more=f"{more}Date: Mon, 0{number} Mar 2025 09:12:00 +0100\n")
            )
            assert [one.text for one in found.thread] == [f"Part {n}" for n in range(1, number)]
        assert outcome.outcome == "review"
        assert outcome.reason == "they have written 3 times in this conversation"
        _, found, *_ = await worked(letter("Else", id="other"))
        assert found.thread == ()


async def test_a_message_that_comes_again_is_not_its_own_conversation(tmp_path: Path) -> None:
    with desk(tmp_path):
        for _ in range(4):
            outcome, found, *_ = await worked(letter())
        assert found.thread == ()
        assert outcome.outcome == "published"


async def test_conversations_that_cannot_be_kept_are_missing(tmp_path: Path) -> None:
    (tmp_path / "threads").write_text("in the way")
    with desk(tmp_path):
        outcome, _, kept, _ = await worked(letter())
    assert outcome.missing == ("thread",)
    assert kept["missing"] == ["thread"]
    assert outcome.outcome == "published"


async def test_tenants_do_not_see_each_others_conversations(tmp_path: Path) -> None:
    with desk(tmp_path):
        await worked(letter("Secret"))
        async with Environment([mail_desk], tenant="other") as env:
            await env.run(mail_desk, incoming(letter("Else", id="m2", more="References: <m1@letters.example>\n")))
            [called] = env.calls(context)
            assert called["found"].thread == ()


async def test_an_address_cannot_lead_to_another_place_of_the_crm(tmp_path: Path) -> None:
    asked: list[str] = []
    with desk(tmp_path, lambda path: asked.append(path)) as crm:
        assert await ask(crm.url, "contacts", "../deals/bruno@falk-tools.example", 30) is None
        assert await ask(crm.url, "contacts", "a?b#c@d.example", 30) is None
    assert asked == ["/contacts/..%2Fdeals%2Fbruno@falk-tools.example", "/contacts/a%3Fb%23c@d.example"]


@pytest.mark.verify
async def test_the_outcome_of_a_degraded_message_is_the_same_wherever_the_worker_crashes(tmp_path: Path) -> None:
    with desk(tmp_path, lambda path: (500, b"")):
        async with Environment([mail_desk]) as env:
            assert await env.crash_everywhere(mail_desk.options(id="m"), incoming(letter())) > 40


async def test_a_full_mailbox_does_not_make_the_crm_look_slow(tmp_path: Path) -> None:
    with desk(tmp_path):
        async with Environment([mail_desk]) as env:
            runs = [await env.start(mail_desk, incoming(letter(id=f"m{number}"))) for number in range(100)]
            assert {(await run.result()).missing for run in runs} == {()}
