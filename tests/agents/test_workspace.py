"""Artifacts in a folder: written whole, readable, and never outside it."""

import asyncio
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import holdfast as hf
from holdfast.agents.artifacts import folders
from holdfast.agents.artifacts.workspace import ArtifactInfo, Workspace
from holdfast.errors import ArtifactNotFound, PayloadError, UsageError, WorkspaceError
from tests.agents import workspace_victim


class Part(BaseModel):
    title: str
    hours: int


class Plan(BaseModel):
    zeal: float
    parts: list[Part]


PLAN = Plan(zeal=0.5, parts=[Part(title="käse", hours=1), Part(title="b", hours=2)])


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


async def test_what_is_put_lies_there_readable_and_is_loaded_typed(work: Workspace, tmp_path: Path) -> None:
    info = await work.put("plan.json", PLAN)
    data = (tmp_path / "work" / "plan.json").read_bytes()
    assert info == ArtifactInfo(
        "plan.json", len(data), hashlib.sha256(data).hexdigest(), "application/json", str(tmp_path / "work/plan.json")
    )
    # Fields in their order, one a line, letters as they are, a newline at the end: a person reads and compares it.
    assert data.decode().startswith('{\n  "zeal": 0.5,\n  "parts": [\n    {\n      "title": "käse",')
    assert data.endswith(b"}\n")
    assert await work.load("plan.json", Plan) == PLAN
    assert await work.get("plan.json") == data


async def test_bytes_text_dataclasses_and_plain_json_are_put_as_they_are(work: Workspace) -> None:
    @dataclass
    class Note:
        text: str

    infos = [
        await work.put("a.bin", b"\x00\xff"),
        await work.put("notes/b.md", "# Hé"),
        await work.put("notes/c.json", Note("hi")),
        await work.put("d.json", [1, None, {"x": "\n"}]),
        await work.put("e.dat", b"", "application/x-own"),
    ]
    assert [info.media_type for info in infos] == [
        "application/octet-stream", "text/markdown", "application/json", "application/json", "application/x-own",
    ]  # fmt: skip
    assert await work.get("a.bin") == b"\x00\xff"
    assert await work.get("notes/b.md") == "# Hé".encode()
    assert json.loads(await work.get("notes/c.json")) == {"text": "hi"}
    assert await work.load("d.json", list) == [1, None, {"x": "\n"}]
    assert await work.names() == ["a.bin", "d.json", "e.dat", "notes/b.md", "notes/c.json"]


async def test_a_workspace_whose_folder_is_not_there_yet_has_no_artifacts(work: Workspace) -> None:
    assert await work.names() == []
    with pytest.raises(ArtifactNotFound, match=r"has no artifact 'plan\.json'") as raised:
        await work.get("plan.json")
    assert raised.value.name == "plan.json"
    await work.put("plan.json", "x")
    with pytest.raises(ArtifactNotFound):
        await work.get("other/plan.json")


async def test_changed_tells_other_bytes_and_a_file_that_is_gone(work: Workspace, tmp_path: Path) -> None:
    info = await work.put("plan.json", PLAN)
    assert not await work.changed("plan.json", info.sha256)
    file = tmp_path / "work" / "plan.json"
    file.write_text(file.read_text().replace("0.5", "0.6"))
    assert await work.changed("plan.json", info.sha256)
    file.unlink()
    assert await work.changed("plan.json", info.sha256)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"zeal": 1, "parts": [{"title": "a", "hours": 1}, {"title": 3, "hours": 1}]}', r"value\.parts\[1\]\.title: "),
        ('{"zeal": 1}', r"value\.parts: Field required"),
        ('{"zeal": 1,\n "parts": [}', r"value: Invalid JSON.* line 2 column 12"),
        ("\ud800".encode("utf-8", "surrogatepass"), "value: "),
        ("", "value: Invalid JSON"),
    ],
)
async def test_load_names_the_file_and_the_place_that_do_not_fit(
    work: Workspace, tmp_path: Path, text: str | bytes, said: str
) -> None:
    await work.put("plan.json", text)
    with pytest.raises(PayloadError, match=said) as raised:
        await work.load("plan.json", Plan)
    assert str(raised.value).startswith(str(tmp_path / "work" / "plan.json"))


@pytest.mark.parametrize("value", [{"x": float("nan")}, {1: 2}, [object()], "\ud800", {"when": time}])
async def test_what_is_no_json_is_refused_and_writes_nothing(work: Workspace, value: Any) -> None:
    with pytest.raises(PayloadError, match=r"artifact 'plan\.json'"):
        await work.put("plan.json", value)
    assert await work.names() == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "has 0 bytes"),
        ("/etc/passwd", "absolute"),
        ("../x", r"a part of it is '\.\.'"),
        ("a/../../x", r"a part of it is '\.\.'"),
        ("./x", r"a part of it is '\.'"),
        ("a//b", "a part of it is ''"),
        ("a/", "a part of it is ''"),
        ("a\0b", "not every system"),
        ("a\nb", "not every system"),
        ("a\u202eb", "not every system"),
        ("a\\b", "not every system"),
        ("C:x", "not every system"),
        ("what?", "not every system"),
        ("plan.json.", "ends with a dot"),
        ("plan ", "ends with a dot or a space"),
        ("con", "device"),
        ("x/NUL.json", "device"),
        ("com1", "device"),
        (".holdfast.json", "own files"),
        (".HOLDFAST-x.tmp", "own files"),
        ("x" * 201, "201 bytes"),
        ("ä" * 101, "202 bytes"),
        ("/".join(["abcd"] * 200), "999 bytes"),
        ("cafe\u0301", "normalize"),
        ("\ud800", "half a character"),
        (7, "must be text"),
        (None, "must be text"),
    ],
)
async def test_a_name_that_leads_elsewhere_or_that_some_system_cannot_store_is_refused(
    work: Workspace, tmp_path: Path, name: Any, said: str
) -> None:
    for call in (work.put(name, "x"), work.get(name), work.load(name, str), work.changed(name, "")):
        with pytest.raises(UsageError, match=said):
            await call
    assert not list(tmp_path.iterdir())


async def test_names_that_differ_in_case_alone_do_not_stand_side_by_side(work: Workspace) -> None:
    await work.put("notes/Plan.json", "1")
    for name in ("notes/plan.json", "Notes/other.json", "notes/PLAN.JSON"):
        with pytest.raises(WorkspaceError, match="not every system tells them apart"):
            await work.put(name, "2")
    await work.put("notes/Plan.json", "3")
    assert await work.names() == ["notes/Plan.json"]


async def test_links_in_the_workspace_are_neither_read_nor_written_through(work: Workspace, tmp_path: Path) -> None:
    await work.put("plan.json", "mine")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("theirs")
    (tmp_path / "work" / "file").symlink_to(outside / "secret")
    (tmp_path / "work" / "folder").symlink_to(outside)
    (tmp_path / "work" / "loop").symlink_to("loop")
    (tmp_path / "work" / "nowhere").symlink_to(outside / "new")
    for name in ("file", "folder/secret", "folder/new", "loop", "nowhere"):
        with pytest.raises(WorkspaceError, match="link"):
            await work.put(name, "x")
        with pytest.raises(WorkspaceError, match="link"):
            await work.get(name)
    assert await work.names() == ["plan.json"]
    assert {one.name: one.read_text() for one in outside.iterdir()} == {"secret": "theirs"}


async def test_a_folder_a_pipe_and_a_device_are_no_artifacts(work: Workspace, tmp_path: Path) -> None:
    await work.put("folder/plan.json", "x")
    os.mkfifo(tmp_path / "work" / "pipe")
    for name in ("folder", "pipe"):
        with pytest.raises(WorkspaceError, match="is not replaced"):
            await work.put(name, "x")
    with pytest.raises(WorkspaceError, match="is no file"):
        await work.get("pipe")  # and it does not wait for somebody to write into it
    with pytest.raises(WorkspaceError, match="is no file"):
        await work.get("folder")
    with pytest.raises(WorkspaceError, match="a file where a folder should be"):
        await work.put("folder/plan.json/deeper", "x")
    with pytest.raises(WorkspaceError, match="is no file"):
        await Workspace("/dev").get("null")
    assert await work.names() == ["folder/plan.json"]


def test_reading_what_is_no_file_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    folder = folders.Folder(tmp_path)
    before = sorted(os.listdir("/dev/fd"))
    for name in ("folder", "pipe", "missing"):
        with pytest.raises(WorkspaceError):
            folder.read("", name)
    assert sorted(os.listdir("/dev/fd")) == before


async def test_a_workspace_that_is_a_link_or_a_file_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "link").symlink_to(elsewhere)
    (tmp_path / "file").write_text("")
    for name, said in (("link", "is a link to elsewhere"), ("file", "is a file; name a folder")):
        work = Workspace(tmp_path / name)
        for call in (work.put("x", "x"), work.ready()):
            with pytest.raises(WorkspaceError, match=said) as raised:
                await call
        assert raised.value.location == str(tmp_path / name)
    assert not list(elsewhere.iterdir())


async def test_a_media_type_that_no_database_could_store_is_refused(work: Workspace) -> None:
    with pytest.raises(UsageError, match="the media type of artifact 'x'"):
        await work.put("x", "x", "text/\0")


@pytest.mark.parametrize("location", ["", "a\0b", 7, None, b"work"])
async def test_what_is_no_path_is_refused(location: Any) -> None:
    with pytest.raises(UsageError, match="the workspace is"):
        Workspace(location)


async def test_a_relative_path_is_that_of_the_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    work = Workspace("work/")
    monkeypatch.chdir("/")
    assert work.path == tmp_path / "work"
    await work.put("x", "x")
    assert (tmp_path / "work" / "x").exists()


async def test_a_write_that_is_cut_off_leaves_the_file_as_it_was(
    work: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await work.put("plan.json", "before")

    def broken(_: int) -> None:
        raise OSError(5, "a disk error")

    monkeypatch.setattr(folders.os, "fsync", broken)
    with pytest.raises(WorkspaceError, match="Input/output error"):
        await work.put("plan.json", "after")
    monkeypatch.undo()
    assert await work.get("plan.json") == b"before"
    assert os.listdir(tmp_path / "work") == ["plan.json"]


async def test_a_write_is_on_the_disk_with_its_name_when_it_has_ended(
    work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, rename = os.fsync, os.rename

    def syncs(file: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(file).st_mode) else "file")
        sync(file)

    def renames(*args: Any, **kwargs: Any) -> None:
        order.append("rename")
        rename(*args, **kwargs)

    monkeypatch.setattr(folders.os, "fsync", syncs)
    monkeypatch.setattr(folders.os, "rename", renames)
    await work.put("plan.json", "x")
    assert order == ["file", "rename", "folder"]


async def test_what_killed_writes_left_is_not_listed_and_deleted_after_a_while(work: Workspace, tmp_path: Path) -> None:
    await work.put("plan.json", "x")
    young, old = (tmp_path / "work" / f".holdfast-{name}.tmp" for name in ("young", "old"))
    young.write_text("")
    old.write_text("")
    long_ago = time.time() - folders.LEFTOVER_SECONDS - 60
    os.utime(old, (long_ago, long_ago))
    assert await work.names() == ["plan.json"]
    await work.put("plan.json", "y")
    assert (young.exists(), old.exists()) == (True, False)


async def test_many_writers_of_one_name_leave_one_whole_file(work: Workspace, tmp_path: Path) -> None:
    texts = [f"{n}" * 100_000 for n in range(8)]
    await asyncio.gather(*(work.put("plan.txt", text) for text in texts))
    assert (await work.get("plan.txt")).decode() in texts
    assert os.listdir(tmp_path / "work") == ["plan.txt"]


async def test_a_caller_that_is_cancelled_leaves_nothing_that_writes_later(
    work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    sync = os.fsync

    def slow(file: int) -> None:
        loop.call_soon_threadsafe(entered.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        sync(file)

    monkeypatch.setattr(folders.os, "fsync", slow)
    putting = asyncio.create_task(work.put("plan.txt", "x"))
    await entered.wait()
    putting.cancel()
    loop.call_later(0.05, go_on.set)
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert await work.get("plan.txt") == b"x"  # the write had ended before the caller went on


def victim(what: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, workspace_victim.__file__, what, str(folder)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
async def test_a_full_workspace_keeps_what_it_had(work: Workspace, tmp_path: Path) -> None:
    await work.put("plan.json", "before")
    said = victim("full", tmp_path / "work")
    assert f"the workspace {tmp_path / 'work'}: 'plan.json' cannot be written: it is full" in said
    assert await work.get("plan.json") == b"before"
    assert os.listdir(tmp_path / "work") == ["plan.json"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter: those of pytest are the user's own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


@pytest.mark.slow
async def test_a_workspace_that_is_read_only_says_so(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    assert "cannot be used: this process may not, or it is read-only" in victim("powerless", open_folder)
    assert os.listdir(open_folder) == []


async def test_what_a_step_puts_is_recorded_with_its_attempt(disk_url: str, tmp_path: Path) -> None:
    work = Workspace(tmp_path / "work")

    @hf.step
    async def plan() -> str:
        return (await work.put("plan.json", PLAN)).sha256

    @hf.workflow
    async def order() -> str:
        return await plan()

    async with hf.connect(disk_url) as client, hf.Worker(client, [order]):
        run = await client.start(order)
        sha256 = await run.result(timeout="30s")
        [found] = await client.core.store.find_runs("default", [run.id])
        [row] = await client.core.store.agents.artifacts("default", found.uid, limit=10)
    assert (row.name, row.media_type, row.location) == (
        "plan.json",
        "application/json",
        str(tmp_path / "work/plan.json"),
    )
    assert row.sha256.hex() == sha256


async def test_what_a_step_puts_twice_is_recorded_as_it_is_at_the_end(disk_url: str, tmp_path: Path) -> None:
    work = Workspace(tmp_path / "work")

    @hf.step
    async def notes() -> str:
        await work.put("notes.md", "first")
        return (await work.put("notes.md", "second")).sha256

    @hf.workflow
    async def order() -> str:
        return await notes()

    async with hf.connect(disk_url) as client, hf.Worker(client, [order]):
        run = await client.start(order)
        sha256 = await run.result(timeout="30s")
        [found] = await client.core.store.find_runs("default", [run.id])
        [row] = await client.core.store.agents.artifacts("default", found.uid, limit=10)
    assert row.sha256.hex() == sha256
