"""Histories in files: they come back as they were, or are refused with the file and the place."""

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import holdfast as hf
from holdfast.engine import histories
from holdfast.engine.histories import History
from holdfast.engine.history_parts import checksum
from holdfast.errors import HistoryError
from holdfast.model.payload import codec_of
from holdfast.store.rows import AttemptRow, ChildRow, JournalRow, RunRow
from tests.engine.helpers import QUICK, serving

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
payloads = st.binary(max_size=40) | plain.map(lambda value: codec_of(Any).encode(value, "")) | st.just(b"1764500000000")
instants = st.integers(0, 2**60)
texts = st.text(st.characters(codec="utf-8"), max_size=8)
uids = st.binary(min_size=16, max_size=16)
runs = st.builds(
    RunRow, uids, texts, texts, texts, texts, texts, st.integers(-1000, 1000), texts, st.integers(1, 9), payloads,
    st.none() | payloads, st.none() | payloads, st.none() | texts, st.integers(0, 9), st.none() | uids, instants,
    st.none() | instants, st.none() | instants, st.none() | instants, control=st.none() | payloads,
    cuts=st.none() | st.just(b"[[2,3]]"), lane=st.none() | uids, parent_position=st.none() | st.binary(max_size=4),
)  # fmt: skip
entries = st.builds(
    JournalRow, uids, st.binary(max_size=6), st.integers(1, 5), st.integers(0, 99), texts, texts, texts,
    st.none() | payloads, st.none() | payloads, st.integers(1, 9), instants, st.none() | instants,
)  # fmt: skip
attempts = st.builds(
    AttemptRow, uids, st.binary(max_size=6), st.integers(1, 5), st.integers(1, 9), texts, instants, instants, payloads,
    instants,
)  # fmt: skip
children = st.dictionaries(
    st.tuples(uids, st.integers(1, 5), st.binary(max_size=4)),
    st.lists(st.builds(ChildRow, uids, texts, st.binary(max_size=4), texts, st.none() | payloads), max_size=2),
    max_size=2,
)
kept = st.builds(
    History, runs, st.lists(entries, max_size=3), st.lists(attempts, max_size=2), instants, children,
    st.dictionaries(st.tuples(texts, texts), texts.map(str.encode), max_size=2),
)  # fmt: skip


@settings(max_examples=60)
@given(history=kept)
def test_what_is_written_is_read_as_it_was(history: History) -> None:
    assert History.from_json(history.to_json()) == history


@settings(max_examples=25)
@given(history=kept)
def test_a_part_of_a_file_is_no_file_and_a_file_laid_out_anew_is_one(history: History) -> None:
    text = history.to_json()
    for length in range(len(text)):
        with pytest.raises(HistoryError):
            History.from_json(text[:length], "it")
    assert History.from_json(json.dumps(json.loads(text), indent=4).encode() + b"\n") == history


@settings(max_examples=60)
@given(history=kept, where=st.floats(0, 1, exclude_max=True), by=st.integers(1, 255))
def test_a_byte_that_is_changed_is_found(history: History, where: float, by: int) -> None:
    text = bytearray(history.to_json())
    text[int(where * len(text))] ^= by
    with suppress(HistoryError):
        assert History.from_json(bytes(text), "it") == history  # the byte stands between values


@hf.step(retry=QUICK)
async def double(n: int) -> int:
    if hf.current().attempt == 1:
        raise ValueError(n)
    return n * 2


@hf.workflow
async def doubles(numbers: list[int]) -> list[int]:
    return [await double(n) for n in numbers]


async def exported(folder: Path, id: str = "it/is a run") -> Path:
    async with serving("memory://", doubles) as client:
        await (await client.start(doubles.options(id=id), [1, 2])).result()
        return (await client.export_history(id)).save(folder)


async def test_a_file_is_readable_and_says_where_it_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = await exported(tmp_path)
    assert file.name == "it%2Fis a run.json"
    assert os.listdir(tmp_path) == [file.name]
    document = json.loads(file.read_text())
    assert document["format"] == 1
    assert document["run"]["input"] == {"json": {"numbers": [1, 2]}}
    assert [entry["output"] for entry in document["entries"]] == [{"json": 2}, {"json": 4}]
    assert [attempt["attempt"] for attempt in document["attempts"]] == [1, 1]
    history = History.load(file)
    assert history.source == str(file)

    def wrong(said: str, change: dict[str, Any] | bytes, *, sound: bool = True) -> None:
        if isinstance(change, dict):
            changed = {name: value for name, value in {**document, **change}.items() if name != "checksum"}
            if sound:
                changed["checksum"] = checksum(changed)
            change = json.dumps(changed).encode()
        file.write_bytes(change)
        with pytest.raises(HistoryError) as error:
            History.load(file)
        assert str(file) in str(error.value)
        assert said in str(error.value)

    wrong("upgrade", {"format": 2}, sound=False)
    wrong("no checksum", {}, sound=False)
    wrong("no history", {"what": "a letter"})
    wrong("no history", b"[]")
    wrong("line 2, column 3", b'{\n  what: "x"}')
    wrong("byte 1 is 0xff", b"{\xff}")
    wrong("$.entries[1]", {"entries": [document["entries"][0], {**document["entries"][1], "seq": "two"}]})
    wrong("missing field 'uid' (at `$.run`)", {"run": {}})
    wrong("unknown field 'more'", {"run": {**document["run"], "more": 1}})
    wrong("neither json nor text nor base64 (at `$.run.input`)", {"run": {**document["run"], "input": {"a": 1}}})
    wrong("$.at", {"at": "today"})
    wrong("is damaged", json.dumps({**document, "at": 1}).encode())
    wrong("JSON", b"[" * 100_000)
    monkeypatch.setattr(histories, "MOST_BYTES", 10)
    wrong("files of at most 10 are read", b"{" * 11)
    file.unlink()
    with pytest.raises(HistoryError, match="No such file"):
        History.load(file)
    with pytest.raises(HistoryError, match="has no history"):
        histories.histories_in(tmp_path)
    with pytest.raises(HistoryError, match="there is no file or folder"):
        histories.histories_in(tmp_path / "none")


async def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = await exported(tmp_path)
    before, history = file.read_bytes(), History.load(file)

    def fails(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match="full"):
        history.save(tmp_path)
    assert os.listdir(tmp_path) == [file.name]
    assert file.read_bytes() == before


def test_the_name_of_a_file_is_safe_whatever_the_id(tmp_path: Path) -> None:
    names = set()
    ids = ["a", "../a", "..", ".a", "a/b", "a\\b", "ä", "x" * 500, "x" * 499 + "y", 'a"b', "a%2Fb"]
    for id in ids:
        row = RunRow(b"u" * 16, "t", id, "w", "1", "q", 0, "queued", 1, b"\x01{}", *[None] * 3, 0, None, 1, *[None] * 3)
        file = History(row, [], [], 1).save(tmp_path)
        assert file.parent == tmp_path
        assert History.load(file).run_id == id
        names.add(file.name)
    assert len(names) == len(ids)
