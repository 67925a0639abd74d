"""The mail desk as people run it: a process of its own, killed and started again, on each database."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from email_desk.desk import Outcome, mail_desk
from email_desk.message import MAX_BYTES, run_id

import holdfast as hf

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLE = EXAMPLES / "email_desk" / "sample"
SAMPLE_COUNTS = {"messages": 12, "succeeded": 8, "failed": 1, "withheld": 3}
STAGES = ("intake", "tier", "context", "draft", "tone", "fact", "qa", "policy", "publish")

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
    """What changes when a file is written again."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.iterdir()}


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


async def test_stages_are_steps_and_their_results_are_recorded(disk_url: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(SAMPLE, disk_url, out, "--exit")
    async with hf.connect(disk_url) as client:
        plain = run_id((SAMPLE / "html-only.eml").read_bytes())
        assert [entry.name for entry in await client.history(plain)] == list(STAGES)
        outcome = await (await client.handle(plain, mail_desk)).result(timeout=5)
        assert outcome == Outcome("published", "vip", "Display lights for the new hall", "", str(out / f"{plain}.eml"))
        sent_back = run_id((SAMPLE / "shouting.eml").read_bytes())
        names = Counter(entry.name for entry in await client.history(sent_back))
        assert names == Counter(STAGES) + Counter({"draft": 1, "tone": 1, "fact": 1, "qa": 1})
        withheld = run_id((SAMPLE / "legal.eml").read_bytes())
        assert [entry.name for entry in await client.history(withheld)] == list(STAGES[:-1])
        broken = await client.handle(run_id((SAMPLE / "broken-no-sender.eml").read_bytes()), mail_desk)
        with pytest.raises(hf.RunFailed) as failed:
            await broken.result(timeout=5)
        assert str(failed.value.__cause__) == "no sender: it has no From header"
        [tried] = await client.history(broken.id)
        assert tried.attempts == 1


async def test_killed_and_started_again_it_goes_on(disk_url: str, tmp_path: Path) -> None:
    mail, out = tmp_path / "mail", tmp_path / "out"
    raws = many(mail, 300)
    with running(mail, disk_url, out, "--exit") as desk:
        wait_until(desk, out, 30)
        desk.send_signal(signal.SIGKILL)
        desk.wait()
    before = marks(out)
    finished_at = {}
    async with hf.connect(disk_url) as client:
        for raw in raws:
            try:
                history = await client.history(run_id(raw))
            except hf.RunNotFound:
                continue
            finished_at.update({(run_id(raw), e.name): e.finished_at for e in history if e.outcome == "ok"})
        assert 9 * 20 < len(finished_at) < 9 * len(raws)
        assert counts(mail, disk_url, out) == {"messages": 300, "succeeded": 300, "failed": 0, "withheld": 0}
        drafts = marks(out)
        assert len(drafts) == 300
        assert {name: drafts.get(name) for name in before if name.endswith(".eml")} == {
            name: mark for name, mark in before.items() if name.endswith(".eml")
        }
        assert [name for name in drafts if name.endswith(".tmp")] == []
        for raw in raws:
            entries = {e.name: e for e in await client.history(run_id(raw))}
            assert tuple(entries) == STAGES
            for name, entry in entries.items():
                if (run_id(raw), name) in finished_at:
                    assert entry.finished_at == finished_at[run_id(raw), name]


def test_it_watches_the_folder_until_interrupted(disk_url: str, tmp_path: Path) -> None:
    mail, out = tmp_path / "mail", tmp_path / "mail" / "drafts"
    many(mail, 2)
    with running(mail, disk_url, out, "--json") as desk:
        wait_until(desk, out, 2)
        shutil.copy(SAMPLE / "html-only.eml", mail)
        assert desk.stderr is not None
        assert any("html-only.eml" in line for line in desk.stderr)
        assert len(list(out.iterdir())) == 3
        desk.send_signal(signal.SIGINT)
        stdout, stderr = desk.communicate(timeout=30)
    assert desk.returncode == 0, stderr
    told = json.loads(stdout.splitlines()[-1])
    assert (told["messages"], told["succeeded"]) == (3, 3)


async def test_a_run_does_not_need_its_file(disk_url: str, tmp_path: Path) -> None:
    mail, out = tmp_path / "mail", tmp_path / "out"
    many(mail, 200)
    with running(mail, disk_url, out, "--exit") as desk:
        wait_until(desk, out, 10)
        desk.send_signal(signal.SIGKILL)
        desk.wait()
    shutil.rmtree(mail)
    async with hf.connect(disk_url) as client:
        begun = await client.list(workflow="mail_desk", limit=1000)
        assert any(run.finished_at is None for run in begun)
        async with hf.Worker(client, [mail_desk]):
            for run in begun:
                assert (await (await client.handle(run.id, mail_desk)).result(timeout=60)).outcome == "published"
    assert {path.stem for path in out.glob("*.eml")} == {run.id for run in begun}


def test_a_message_that_cannot_be_started_counts_as_failed(disk_url: str, tmp_path: Path) -> None:
    mail, out = tmp_path / "mail", tmp_path / "out"
    many(mail, 2)
    with (mail / "big.eml").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    big = b"From: a@b.example\n\n" + b"x" * (MAX_BYTES - 100)
    (mail / "almost.eml").write_bytes(big)
    expected = {"messages": 4, "succeeded": 3, "failed": 1, "withheld": 0}
    assert counts(mail, disk_url, out) == expected
    assert counts(mail, disk_url, out) == expected


def test_another_folder_for_drafts_leaves_them_where_they_are(disk_url: str, tmp_path: Path) -> None:
    mail = tmp_path / "mail"
    many(mail, 2)
    expected = {"messages": 2, "succeeded": 2, "failed": 0, "withheld": 0}
    assert counts(mail, disk_url, tmp_path / "one") == expected
    assert counts(mail, disk_url, tmp_path / "two") == expected
    assert len(marks(tmp_path / "one")) == 2
    assert marks(tmp_path / "two") == {}


def test_trouble_has_an_exit_code_and_a_sentence(sqlite_url: str, tmp_path: Path) -> None:
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
        done = run(mail, url, to, "--exit", "--json")
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
