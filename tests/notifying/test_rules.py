"""The file of notifications: what is wrong in it is told with the line."""

from pathlib import Path

import pytest

import holdfast as hf
from holdfast.services.notifying.rules import read_rules

GOOD = """\
[[rules]]
name = "failed"
on = ["run.failed", "phase.finished"]
channels = ["ops"]
workflows = "order*"
title = "$workflow: $about costs $$5"
dedupe = "1h"
digest = "10m"
"""


def read(tmp_path: Path, text: str | bytes) -> object:
    path = tmp_path / "notifications.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_rules(path)


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "notifications.toml"
    path.write_text(GOOD)
    rules = read_rules(path)
    [rule] = rules
    assert (rule.name, rule.on, rule.channels) == ("failed", ("run.failed", "phase.finished"), ("ops",))
    assert (rule.workflows, rule.dedupe_seconds, rule.digest_seconds) == (("order*",), 3600, 600)
    assert len(read_rules(path, {"ops"})) == 1
    with pytest.raises(hf.UsageError, match=r"line 4: channels names channel 'ops', which there is not; there are"):
        read_rules(path, {"chat", "mail"})


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('name = "failed"', "name = 3", 2, "the name of a rule is 3"),
        ('"run.failed"', '"run.fails"', 3, "did you mean 'run.failed'?"),
        ('on = ["run.failed", "phase.finished"]', "on = []", 3, "has no on"),
        ('channels = ["ops"]', 'channels = ["ops", "ops"]', 4, "channels names 'ops' a second time; leave it out"),
        ('workflows = "order*"', "workflow = 'order*'", 5, "did you mean 'workflows'?"),
        ('workflows = "order*"', "workflows = [3]", 5, "give a text, or a list of texts"),
        ("$about", "$abuot", 6, "names $abuot; there are $event"),
        ("$$5", "$5", 6, "a $ without a name"),
        ("$$5", "\\u0000", 6, "without NUL"),
        ('"1h"', '"soon"', 7, "dedupe"),
        ('"10m"', "0", 8, "give a time"),
        ("[[rules]]", "[[rules]", 1, "is no TOML that can be read"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    with pytest.raises(hf.UsageError, match=rf"notifications\.toml, line {line}: ") as caught:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\xff", "line 1: is not UTF-8"),
        (b"# a comment\n# with a \0", "line 2: holds the NUL character"),
        (b"", "there is no rule"),
        (b'[channels.ops]\nurl = "env:OPS"\n', "line 1: channels are given in the file of channels"),
        (b"#" * 1024 * 1025, "larger than"),
        (GOOD.encode() + b'\n[[rules]]\nname = "failed"\non = "run.failed"\nchannels = "ops"\n', "two rules 'failed'"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path: Path, text: bytes, said: str) -> None:
    with pytest.raises(hf.UsageError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(hf.UsageError, match="cannot be read: No such file"):
        read_rules(tmp_path / "none.toml")
    with pytest.raises(hf.UsageError, match="cannot be read: No such file"):
        hf.Worker("memory://", [], notifications=tmp_path / "none.toml")
