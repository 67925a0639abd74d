"""The supervisor of the mail desk: its stages are steps, and wherever it crashes there is one answer."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from email_desk.desk import PROGRESS, mail_desk
from email_desk.message import run_id
from email_desk.specialists import draft, intake, publish

import holdfast as hf
from holdfast.testing import Environment, in_turn
from tests.examples.desk_kit import REFUSED, STEPS, desk, incoming, letter, sample


async def test_stages_are_steps_and_their_results_are_recorded(tmp_path: Path) -> None:
    with desk(tmp_path):
        async with Environment([mail_desk]) as env:
            for name, expected in (
                ("html-only", Counter(STEPS)),
                ("shouting", Counter(STEPS) + Counter({"draft": 1, "tone": 1, "fact": 1, "qa": 1})),
                ("legal", Counter(REFUSED)),
                ("bounce", Counter(REFUSED)),
                ("angry-vip", Counter(STEPS)),
            ):
                run = await env.start(mail_desk.options(id=name), incoming(sample(name)))
                await run.result()
                assert Counter(entry.name for entry in await env.client.history(name)) == expected, name
            with pytest.raises(hf.RunFailed) as failed:
                await env.run(mail_desk.options(id="lost"), incoming(sample("broken-no-sender")))
            assert str(failed.value.__cause__) == "no sender: it has no From header"
            assert [entry.attempts for entry in await env.client.history("lost")] == [1, 1]


async def test_a_run_is_found_by_its_sender_and_its_conversation_and_says_how_far_it_is(tmp_path: Path) -> None:
    with desk(tmp_path):
        async with Environment([mail_desk]) as env:
            await env.run(mail_desk.options(id="m"), incoming(sample("thread-reply")))
            view = await env.client.get("m")
            assert view.attributes == {
                "sender": "tomas@paperworks.example", "tier": "normal", "thread": "lamp-1@paperworks.example",
            }  # fmt: skip
            assert view.progress is not None
            assert (view.progress["current"], view.progress["note"]) == (len(PROGRESS) - 1, PROGRESS[-1])


async def test_what_each_stage_made_is_kept(tmp_path: Path) -> None:
    with desk(tmp_path):
        async with Environment([mail_desk]) as env:
            await env.run(mail_desk.options(id="inbox/1"), incoming(sample("shouting")))
            kept = {artifact.name: Path(artifact.location or "") for artifact in await env.client.artifacts("inbox/1")}
            assert set(kept) == {"context.json", "draft-1.md", "draft-2.md", "decision.json"}
            assert all(path.parent == tmp_path / "artifacts" / "default" / "inbox%2F1" for path in kept.values())
            first, second = kept["draft-1.md"].read_text(), kept["draft-2.md"].read_text()
            assert "I WANT MY MONEY" in first
            assert "I WANT MY MONEY" not in second
            reply = await env.client.message(f"mail-{run_id(sample('shouting'))[5:]}")
            assert reply.body["text"] == second


async def test_what_is_no_mail_fails_and_says_so(tmp_path: Path) -> None:
    with desk(tmp_path):
        async with Environment([mail_desk]) as env:
            mail = hf.Incoming("lines", "", "ab", "x", env.now, "application/json", data={"a": 1})
            with pytest.raises(hf.RunFailed) as failed:
                await env.run(mail_desk, mail)
            assert "takes mails" in str(failed.value.__cause__)


async def test_a_message_with_25_megabytes_of_attachments(tmp_path: Path) -> None:
    raw = letter("See attached.", more='MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n')
    head, _, _ = raw.partition(b"\n\n")
    file = b"A" * 76 + b"\n"
    attached = b"--b\nContent-Type: image/png; name=a.png\nContent-Transfer-Encoding: base64\n\n" + file * 330_000
    whole = head + b"\n\n--b\nContent-Type: text/plain\n\nSee attached.\n" + attached + b"\n--b--\n"
    assert len(whole) > 25_000_000
    message = intake.fn(incoming(whole))
    assert (message.text, message.attachments) == ("See attached.", ("a.png",))


async def test_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    full = OSError(28, "No space left on device")
    with desk(tmp_path):
        async with Environment([mail_desk], fakes={publish: in_turn(full, full, "the id")}) as env:
            begun = env.now
            assert (await env.run(mail_desk, incoming(sample("html-only")))).reply == "the id"
            assert env.now - begun == timedelta(seconds=1 + 2)
            assert len(env.calls(publish)) == 3
            assert len(env.calls(draft)) == 1


@pytest.mark.slow
@pytest.mark.parametrize(("name", "crashes"), [("shouting", 58), ("broken-no-sender", None)])
async def test_the_outcome_is_the_same_wherever_the_worker_crashes(
    tmp_path: Path, name: str, crashes: int | None
) -> None:
    run = mail_desk.options(id=name)
    with desk(tmp_path):
        async with Environment([mail_desk]) as env:
            if crashes is None:
                with pytest.raises(hf.RunFailed, match="no sender"):
                    await env.crash_everywhere(run, incoming(sample(name)))
            else:
                assert await env.crash_everywhere(run, incoming(sample(name))) == crashes


async def test_a_crash_between_publishing_and_the_end_of_the_step_leaves_one_answer(tmp_path: Path) -> None:
    with desk(tmp_path):
        async with Environment([mail_desk]) as env:
            env.crash(publish, when="after")
            await env.run(mail_desk, incoming(sample("html-only")))
            assert len(env.calls(publish)) == 2
            [reply] = await env.client.messages()
            assert (reply.id, reply.repeats) == (run_id(sample("html-only")), 0)


async def test_a_message_that_comes_a_second_time_is_answered_once(tmp_path: Path) -> None:
    with desk(tmp_path):
        async with Environment([mail_desk]) as env:
            for run in ("first", "second"):
                await env.run(mail_desk.options(id=run), incoming(sample("html-only")))
            [reply] = await env.client.messages()
            assert (reply.run, reply.repeats) == ("first", 1)
