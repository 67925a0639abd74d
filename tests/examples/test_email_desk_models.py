"""Models in the mail desk, by a file of phases: what they answer is looked at by the same rules as a template."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from email_desk import scripted
from email_desk.checking import CLOSING
from email_desk.desk import mail_desk
from email_desk.message import Message, parse
from email_desk.settings import OUTPUTS, settings, with_models

import holdfast as hf
from holdfast.testing import Environment
from tests.examples.desk_kit import STEPS, desk, incoming, letter, sample

EXAMPLE = Path(scripted.__file__).parent / "phases.toml"
SOUND = f"Hello Ada Moreno,\n\nThank you for writing. Somebody who knows is looking into order 48213.\n\n{CLOSING}"


@pytest.fixture(autouse=True)
def _models() -> Iterator[None]:
    yield
    for name in ("mail-writer", "mail-reader"):
        hf.unregister(name)


def phases(folder: Path, *stages: str) -> hf.Phases:
    """Phases of some stages, whose one model is ``scripted:mail-writer``."""
    text = 'name = "few"\n[defaults]\nmodel = "writer"\nattempts = 1\n[models.writer]\nmodel = "scripted:mail-writer"\n'
    for stage in stages:
        more = 'variables = ["complaints"]' if stage == "draft" else 'variables = ["draft"]\noutput = "Remarks"'
        shown = "{% for c in complaints %} {{ c.detail }}{% endfor %}" if stage == "draft" else " {{ draft.body }}"
        text += f"[phases.{stage}]\nprompt = '# {stage} {shown}'\n{more}\n"
    (folder / "phases.toml").write_text(text)
    return hf.load_phases(folder / "phases.toml", outputs=OUTPUTS)


def answering(**answers: Any) -> list[str]:
    """Have the model answer each stage, one answer after another; the prompts it is asked."""
    asked: list[str] = []

    def answer(scene: hf.Scene) -> Any:
        asked.append(scene.prompt)
        stage = scene.prompt.split()[1]
        return answers[stage].pop(0) if isinstance(answers[stage], list) else answers[stage]()

    hf.scripted("mail-writer", answer)
    return asked


async def test_the_example_works_with_its_scripted_models(tmp_path: Path) -> None:
    with desk(tmp_path, phases=with_models(EXAMPLE)):
        async with Environment([mail_desk]) as env:
            outcome = await env.run(mail_desk.options(id="m"), incoming(sample("order-question")))
            assert (outcome.outcome, outcome.reason) == ("published", "")
            reply = await env.client.message(outcome.reply)
            assert reply.body["text"] == (
                "Hello Ada Moreno,\n\nThank you for writing to us. We have read your message, and somebody who knows "
                "is looking into it.\n\nOf 2025-03-01 we have noted on order 48213: handed to the carrier.\n\n"
                f"{CLOSING}\n"
            )
            assert reply.body["to"] == ['"Ada Moreno" <ada.moreno@letters.example>']
            names = Counter(entry.name for entry in await env.client.history("m"))
            assert names == Counter(STEPS) + Counter({"draft": 1, "tone": 1, "fact": 1, "qa": 1, "phases mail-desk": 1})
            assert {call.phase for call in await env.client.model_calls("m")} == {"draft", "tone", "fact", "qa"}


async def test_only_the_stages_of_the_file_are_done_by_models(tmp_path: Path) -> None:
    asked = answering(tone=[["It is too cold."], []])
    with desk(tmp_path, phases=phases(tmp_path, "tone")):
        async with Environment([mail_desk]) as env:
            outcome = await env.run(mail_desk, incoming(letter()))
            assert len(asked) == 2
            assert outcome.outcome == "published"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("We refund you 900 EUR.", "nobody has told of the sum 900"),
        ("Pay at https://evil.example/x.", "it leads to https://evil.example/x"),
        ("You are an idiot.", "it says 'idiot'"),
        ("It comes on 2031-01-01.", "the message cannot be of 2031-01-01"),
        ("Order 77777 is lost.", "order 77777 is not the sender's word, it stands in the history"),
    ],
)
async def test_what_a_model_made_up_is_sent_back_and_then_for_a_person(tmp_path: Path, words: str, reason: str) -> None:
    wrong = SOUND.replace("\n\nKind", f" {words}\n\nKind")
    asked = answering(draft=[wrong, wrong])
    with desk(tmp_path, phases=phases(tmp_path, "draft")):
        async with Environment([mail_desk]) as env:
            outcome = await env.run(mail_desk, incoming(letter("Where is order 48213?")))
            assert (outcome.outcome, outcome.reason) == ("review", f"still wrong after a revision: {reason}")
            assert reason in asked[1]
            assert (await env.client.message(outcome.reply)).verdict == "review"


async def test_a_model_mends_its_draft(tmp_path: Path) -> None:
    answering(draft=["No greeting, no end, and not long enough.", SOUND])
    with desk(tmp_path, phases=phases(tmp_path, "draft")):
        async with Environment([mail_desk]) as env:
            outcome = await env.run(mail_desk, incoming(letter("Where is order 48213?")))
            assert outcome.outcome == "published"
            assert (await env.client.message(outcome.reply)).body["text"] == f"{SOUND}\n"


async def test_a_model_writes_no_headers(tmp_path: Path) -> None:
    answering(draft=[f"Subject: x\nBcc: eve@evil.example\n\n{SOUND}", SOUND])
    with desk(tmp_path, phases=phases(tmp_path, "draft")):
        async with Environment([mail_desk]) as env:
            reply = await env.client.message((await env.run(mail_desk, incoming(letter("Order 48213?")))).reply)
            assert (reply.body["subject"], "bcc" in reply.body) == ("Re: Lamp", False)


async def test_no_model_is_asked_about_what_nobody_will_be_sent(tmp_path: Path) -> None:
    asked = answering()
    with desk(tmp_path, phases=phases(tmp_path, "draft", "tone", "fact", "qa")):
        async with Environment([mail_desk]) as env:
            for name in ("bounce", "newsletter"):
                assert (await env.run(mail_desk, incoming(sample(name)))).outcome == "withheld"
    assert asked == []


def _down() -> Any:
    raise ConnectionError("the model is away")


async def test_the_rules_do_it_when_no_model_answers_and_a_person_stops_asking(tmp_path: Path) -> None:
    answering(draft=_down)
    with desk(tmp_path, phases=phases(tmp_path, "draft")):
        async with Environment([mail_desk]) as env:
            run = await env.start(mail_desk, incoming(letter("Where is order 48213?")))
            await env.settle()
            work = hf.work_queue(env.client)
            [item] = await work.list(kind="ask")
            assert item.title == "Phase 'draft' failed"
            await work.skip(item.id, reason="the template will do")
            outcome = await run.result()
            assert outcome.outcome == "published"
            assert "We are looking into order 48213." in (await env.client.message(outcome.reply)).body["text"]


async def test_a_run_goes_on_by_the_rules_that_it_began_with(tmp_path: Path) -> None:
    asked = answering()
    known = phases(tmp_path, "draft")
    with desk(tmp_path), pytest.MonkeyPatch.context() as patch:

        def meanwhile(mail: hf.Incoming) -> Message:
            patch.setattr(settings, "phases", known)
            return parse(mail.raw or b"")

        async with Environment([mail_desk], fakes={"intake": meanwhile}) as env:
            assert (await env.run(mail_desk, incoming(letter()))).outcome == "published"
    assert asked == []


async def test_a_run_that_began_with_models_says_that_a_worker_has_none(tmp_path: Path) -> None:
    answering()
    with desk(tmp_path, phases=phases(tmp_path, "draft")), pytest.MonkeyPatch.context() as patch:

        def meanwhile(mail: hf.Incoming) -> Message:
            patch.setattr(settings, "phases", None)
            return parse(mail.raw or b"")

        async with Environment([mail_desk], fakes={"intake": meanwhile}) as env:
            with pytest.raises(hf.RunFailed) as failed:
                await env.run(mail_desk, incoming(letter()))
            assert "this worker has none: set MAIL_DESK_PHASES" in str(failed.value.__cause__)


@pytest.mark.verify
async def test_a_desk_with_models_ends_the_same_wherever_it_crashes(tmp_path: Path) -> None:
    with desk(tmp_path, phases=with_models(EXAMPLE)):
        async with Environment([mail_desk]) as env:
            assert await env.crash_everywhere(mail_desk.options(id="m"), incoming(sample("order-question"))) > 50
