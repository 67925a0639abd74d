"""The mail desk as people run it: a process of its own, killed and started again, on each database."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from email_desk.demo import run_demo
from email_desk.desk import mail_desk
from email_desk.message import MAX_BYTES, run_id
from email_desk.settings import settings

import holdfast as hf
from tests.examples.desk_kit import SAMPLE, STEPS

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLE_COUNTS = {"messages": 14, "succeeded": 8, "failed": 1, "withheld": 5}

pytestmark = pytest.mark.slow


def command(mail: Path, url: str, out: Path, *flags: str) -> list[str]:
    given = ["--mail", str(mail), "--url", url, "--out", str(out), *flags]
    return [sys.executable, "-m", "email_desk", *given]


def environment() -> dict[str, str]:
    path = os.pathsep.join((str(EXAMPLES), str(EXAMPLES.parent / "src"), os.environ.get("PYTHONPATH", "")))
    return {**os.environ, "PYTHONPATH": path, "COLUMNS": "200"}


def run(mail: Path, url: str, out: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(mail, url, out, *flags), env=environment(), capture_output=True, text=True, timeout=100, check=False
    )


def counts(mail: Path, url: str, out: Path) -> dict[str, int]:
    done = run(mail, url, out, "--exit", "--json")
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    told: dict[str, int] = json.loads(line)
    assert told.pop("seconds") >= 0
    assert told["succeeded"] + told["failed"] + told["withheld"] == told["messages"]
    return told


@contextmanager
def running(mail: Path, url: str, out: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    desk = subprocess.Popen(
        command(mail, url, out, *flags), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield desk
    finally:
        desk.kill()
        desk.communicate()


def wait_until(desk: subprocess.Popen[str], out: Path, drafts: int) -> None:
    deadline = time.monotonic() + 60
    while len(list(out.glob("mail-*.eml"))) < drafts:
        assert desk.poll() is None, read(desk.stderr)
        assert time.monotonic() < deadline, f"{len(list(out.glob('*')))} of {drafts} drafts"
        time.sleep(0.005)


def read(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.read()


def marks(out: Path) -> dict[str, tuple[int, int]]:
    """The drafts, with what changes when one is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.glob("*.eml")}


def many(folder: Path, number: int) -> list[bytes]:
    folder.mkdir()
    raws = []
    for n in range(number):
        raw = f"From: a{n}@b.example\nMessage-ID: <{n}@b.example>\nSubject: Lamp {n}\n\nWhere is it?\n".encode()
        (folder / f"{n}.eml").write_bytes(raw)
        raws.append(raw)
    return raws


def test_every_message_ends_and_a_second_start_writes_nothing(disk_url: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert counts(SAMPLE, disk_url, out) == SAMPLE_COUNTS
    written = marks(out)
    assert len(written) == SAMPLE_COUNTS["succeeded"] - 1  # one of them came twice
    assert counts(SAMPLE, disk_url, out) == SAMPLE_COUNTS
    assert marks(out) == written


async def test_killed_and_started_again_it_goes_on(sqlite_url: str, tmp_path: Path) -> None:
    mail, out = tmp_path / "mail", tmp_path / "out"
    raws = many(mail, 100)
    with running(mail, sqlite_url, out, "--exit") as desk:
        wait_until(desk, out, 10)
        desk.send_signal(signal.SIGKILL)
        desk.wait()
    finished_at = {}
    async with hf.connect(sqlite_url) as client:
        for raw in raws:
            try:
                history = await client.history(run_id(raw))
            except hf.RunNotFound:
                continue
            finished_at.update({(run_id(raw), e.name): e.finished_at for e in history if e.outcome == "ok"})
        assert len(STEPS) * 10 < len(finished_at) < len(STEPS) * len(raws)
        assert counts(mail, sqlite_url, out) == {"messages": 100, "succeeded": 100, "failed": 0, "withheld": 0}
        assert set(marks(out)) == {f"{run_id(raw)}.eml" for raw in raws}
        for raw in raws:
            entries = {e.name: e for e in await client.history(run_id(raw))}
            assert set(entries) == set(STEPS)
            for name, entry in entries.items():
                if (run_id(raw), name) in finished_at:
                    assert entry.finished_at == finished_at[run_id(raw), name]
        assert all(reply.repeats == 0 for reply in await client.messages(channel="replies", limit=1000))


def test_it_watches_the_folder_until_interrupted(sqlite_url: str, tmp_path: Path) -> None:
    mail, out = tmp_path / "mail", tmp_path / "mail" / "drafts"
    many(mail, 2)
    with running(mail, sqlite_url, out, "--json") as desk:
        wait_until(desk, out, 2)
        shutil.copy(SAMPLE / "html-only.eml", mail)
        assert desk.stderr is not None
        assert any("html-only.eml" in line for line in desk.stderr)
        assert len(marks(out)) == 3
        desk.send_signal(signal.SIGINT)
        stdout, stderr = desk.communicate(timeout=30)
    assert desk.returncode == 0, stderr
    told = json.loads(stdout.splitlines()[-1])
    assert (told["messages"], told["succeeded"]) == (3, 3)


async def here(mail: Path, url: str, out: Path) -> tuple[int, str, str]:
    """The same in this process, to its end: exit code, stdout, stderr."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "folder", out)
        patch.setattr(settings, "crm", "")
        patch.setenv("COLUMNS", "200")
        code = await run_demo(
            mail=mail, url=url, out=out, exit_when_done=True, json_output=True, stdout=stdout, stderr=stderr
        )
    return code, stdout.getvalue(), stderr.getvalue()


async def test_a_message_that_cannot_be_started_counts_as_failed(sqlite_url: str, tmp_path: Path) -> None:
    mail, out = tmp_path / "mail", tmp_path / "out"
    many(mail, 2)
    with (mail / "big.eml").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    big = b"From: a@b.example\n\n" + b"x" * (MAX_BYTES - 100)
    (mail / "almost.eml").write_bytes(big)
    code, stdout, stderr = await here(mail, sqlite_url, out)
    told = json.loads(stdout)
    assert (code, told["messages"], told["succeeded"], told["failed"], told["withheld"]) == (0, 4, 3, 1, 0)
    assert "the desk takes at most 10 MiB" in stderr


async def test_another_folder_for_drafts_leaves_them_where_they_are(sqlite_url: str, tmp_path: Path) -> None:
    mail = tmp_path / "mail"
    many(mail, 2)
    for folder, where in (("one", ".eml"), ("two", "another folder")):
        code, stdout, stderr = await here(mail, sqlite_url, tmp_path / folder)
        assert (code, json.loads(stdout)["succeeded"]) == (0, 2)
        assert where in stderr
    assert len(marks(tmp_path / "one")) == 2
    assert marks(tmp_path / "two") == {}


async def test_a_mode_that_somebody_has_chosen_is_left(sqlite_url: str, tmp_path: Path) -> None:
    mail, out = tmp_path / "mail", tmp_path / "out"
    many(mail, 1)
    async with hf.connect(sqlite_url) as client:
        await client.set_publish_mode("draft", workflow=mail_desk.name)
    _, stdout, stderr = await here(mail, sqlite_url, out)
    assert json.loads(stdout)["withheld"] == 1
    assert "until a person has looked at it" in stderr
    assert marks(out) == {}


async def test_trouble_has_an_exit_code_and_a_sentence(sqlite_url: str, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    (tmp_path / "file").write_bytes(b"")
    out = tmp_path / "out"
    for mail, url, to, code, words in (
        (tmp_path / "missing", sqlite_url, out, 2, "there is no file or folder"),
        (empty, sqlite_url, out, 2, "there is no message"),
        (SAMPLE, sqlite_url, SAMPLE, 2, "folder for drafts"),
        (SAMPLE, sqlite_url, tmp_path / "file" / "out", 1, "cannot be made"),
        (SAMPLE, f"sqlite:///{tmp_path / 'none' / 'x.db'}", out, 1, "email desk: "),
        (SAMPLE, "nothing://x", out, 1, "email desk: "),
    ):
        ended = await here(mail, url, to)
        assert ended[:2] == (code, ""), ended
        assert words in ended[2]
        assert "Traceback" not in ended[2]
