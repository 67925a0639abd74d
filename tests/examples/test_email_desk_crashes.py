"""The mail desk's workflow by itself: wherever its worker crashes, there is one draft, and it is written once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from email_desk.desk import draft, mail_desk, publish
from email_desk.message import run_id
from email_desk.stages import Draft

import holdfast as hf
from holdfast.testing import Environment, in_turn

SAMPLE = Path(__file__).parents[2] / "examples" / "email_desk" / "sample"


async def test_a_disk_that_is_full_for_a_while(tmp_path: Path) -> None:
    raw, path = (SAMPLE / "html-only.eml").read_bytes(), str(tmp_path / "draft.eml")
    full = OSError(28, "No space left on device")
    async with Environment([mail_desk], fakes={publish: in_turn(full, full, path)}) as env:
        begun = env.now
        assert (await env.run(mail_desk, raw, str(tmp_path))).draft == path
        assert env.now - begun == timedelta(seconds=1 + 2)
        assert len(env.calls(publish)) == 3
        assert len(env.calls(draft)) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "crashes"), [("html-only", 9 * 3), ("shouting", 13 * 3), ("legal", 8 * 3), ("broken-no-sender", None)]
)
async def test_the_outcome_is_the_same_wherever_the_worker_crashes(
    tmp_path: Path, name: str, crashes: int | None
) -> None:
    raw = (SAMPLE / f"{name}.eml").read_bytes()
    identity = run_id(raw)
    desk = mail_desk.options(id=identity)
    async with Environment([mail_desk]) as env:
        if crashes is None:
            with pytest.raises(hf.RunFailed, match="no sender"):
                await env.crash_everywhere(desk, raw, str(tmp_path))
        else:
            assert await env.crash_everywhere(desk, raw, str(tmp_path)) == crashes
    published = name in ("html-only", "shouting")
    assert [file.name for file in tmp_path.iterdir()] == [f"{identity}.eml"] * published


async def test_a_draft_that_was_written_before_the_crash_is_left_as_it_is(tmp_path: Path) -> None:
    raw = (SAMPLE / "html-only.eml").read_bytes()
    marks: list[tuple[int, int]] = []

    def watched(draft: Draft, out: str) -> str:
        path = publish.fn(draft, out)
        marks.append((Path(path).stat().st_ino, Path(path).stat().st_mtime_ns))
        return path

    async with Environment([mail_desk], fakes={publish: watched}) as env:
        env.crash(publish, when="after")
        await env.run(mail_desk, raw, str(tmp_path))
    assert len(marks) == 2
    assert marks[0] == marks[1]
