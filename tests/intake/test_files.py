"""The file of sources: what it says is understood or told with the line, and its page names every key."""

import re
import sys
from datetime import date
from pathlib import Path

import pytest

from holdfast.errors import UsageError
from holdfast.intake.files import KEYS, read_intake
from holdfast.intake.opening import open_source
from holdfast.intake.reading import Found
from holdfast.intake.sorting import sort_out
from holdfast.intake.terms import SourceTerms

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "intake.md"
TODAY = date(2026, 1, 31)


def intake(folder: Path, text: str) -> tuple[SourceTerms, ...]:
    path = folder / "intake.toml"
    path.write_text(text)
    return read_intake(path)


def test_a_file_with_all_kinds_is_read(tmp_path: Path) -> None:
    orders, outcomes, desk, box, files, mail, pushed = intake(
        tmp_path,
        """
        [sources.orders]
        kind = "jsonl"
        path = "in/orders.jsonl"
        workflow = "order_desk"
        id = "order.id"
        when = "entry.kind == 'order' && entry.total > 0"
        dedupe = "id"
        max_waiting = 10
        max_bytes = "1.5 MB"
        batch = 50
        tenant = "shop"
        old_path = "legacy"
        priority = -3
        poll = "250ms"
        [sources.legacy-outcomes]
        kind = "jsonl"
        path = "/var/outcomes.jsonl"
        outcomes_of = "order_desk"
        [sources.desk]
        kind = "maildir"
        path = "Maildir"
        workflow = "desk"
        mark = true
        [sources.box]
        kind = "mbox"
        path = "box"
        workflow = "desk"
        settle = 5
        [sources.files]
        kind = "directory"
        path = "files"
        pattern = "*.csv"
        workflow = "loader"
        [sources.mail]
        kind = "imap"
        host = "mail.example"
        user = "desk"
        password = "env:MAIL_PASSWORD"
        workflow = "desk"
        [sources.pushed]
        kind = "http"
        workflow = "order_desk"
        """,
    )
    assert (orders.path, orders.id, orders.dedupe) == (tmp_path / "in" / "orders.jsonl", ("order", "id"), "id")
    assert (orders.max_waiting, orders.max_bytes, orders.batch, orders.poll_seconds) == (10, 1_500_000, 50, 0.25)
    assert (orders.tenant, orders.old_path, orders.priority) == ("shop", "legacy", -3)
    assert (outcomes.workflow, outcomes.outcomes, orders.outcomes) == ("order_desk", True, False)
    assert (desk.mark, box.settle_seconds, files.pattern) == (True, 5.0, "*.csv")
    assert mail.server is not None
    assert (mail.server.port, mail.server.security, str(mail.server.password)) == (993, "tls", "env:MAIL_PASSWORD")
    assert (mail.poll_seconds, desk.poll_seconds) == (30.0, 1.0)
    with pytest.raises(UsageError, match="handed in"):
        open_source(pushed)


JSONL = '[sources.o]\nkind = "jsonl"\npath = "a"\nworkflow = "w"\n'
MAILDIR = '[sources.o]\nkind = "maildir"\npath = "a"\nworkflow = "w"\n'
IMAP = '[sources.o]\nkind = "imap"\nworkflow = "w"\nhost = "h"\nuser = "u"\n'


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", None, "there is no source"),
        ("[source.o]", 1, "'source' is no key here"),
        ("x = ", 1, "is no TOML that can be read"),
        ("[sources]\no = 1", 2, "begin it with [sources.o]"),
        ('[sources."a/b"]', 1, "a source is called 'a/b'"),
        ('[sources.o]\nkind = "jsnl"', 2, "kind is 'jsnl'; did you mean 'jsonl'?"),
        ("[sources.o]\npath = 'a'", 1, "kind is missing"),
        ('[sources.o]\nkind = "jsonl"\nworkflow = "w"', 1, "path is missing"),
        ('[sources.o]\nkind = "jsonl"\npath = "p"', 1, "workflow is missing"),
        (JSONL + 'wehn = "true"', 5, "'wehn' is no key of a source of kind 'jsonl'; did you mean 'when'?"),
        (JSONL + 'pattern = "*"', 5, "it is for directory"),
        (JSONL + 'outcomes_of = "w"', 4, "'workflow' says nothing of outcomes"),
        (JSONL + "path2 = 1", 5, "did you mean 'path'?"),
        (JSONL + 'id = "a..b"', 5, "id is 'a..b'"),
        (JSONL + "id = 3", 5, "id is 3"),
        (JSONL + "when = 3", 5, "when is 3"),
        (JSONL + 'when = "entry.total >"', 5, "(line 1, column 14)"),
        (JSONL + 'when = "total > 1"', 5, "total is not known here"),
        (JSONL + "when = \"entry.x.matches('[')\"", 5, "this is no regular expression"),
        (JSONL + 'dedupe = "ids"', 5, "did you mean 'id'?"),
        (JSONL + "batch = 1001", 5, "from 1 to 1,000"),
        (JSONL + "batch = true", 5, "batch is True"),
        (JSONL + 'max_bytes = "26 Mbit"', 5, "max_bytes is '26 Mbit'"),
        (JSONL + "max_bytes = 0", 5, "max_bytes is 0"),
        (JSONL + 'poll = "soon"', 5, "poll is 'soon'"),
        (JSONL + "poll = 0", 5, "poll is 0"),
        (JSONL + "priority = 1001", 5, "priority is 1001"),
        (JSONL + 'tenant = ""', 5, "tenant has 0 characters"),
        (JSONL.replace('"a"', '""'), 3, "path is ''"),
        (JSONL.replace('"a"', '"~no-such-user/a"'), 3, "path is '~no-such-user/a'"),
        (MAILDIR + 'when = "entry.subjet == 1"', 5, "did you mean subject?"),
        (MAILDIR + "when = \"entry.size > 'a'\"", 5, "entry.size is a number"),
        (MAILDIR + "mark = 1", 5, "mark is 1"),
        (IMAP + 'password = "hunter2"', 6, "password is not given as env:NAME or file:PATH"),
        (IMAP, 1, "password is missing"),
        (IMAP + 'password = "env:P"\nsecurity = "ssl"', 7, "security is 'ssl'"),
        (IMAP + 'password = "env:P"\nport = 0', 7, "port is 0"),
    ],
)
def test_what_is_wrong_is_told_with_the_line(tmp_path: Path, text: str, line: int | None, said: str) -> None:
    with pytest.raises(UsageError) as failed:
        intake(tmp_path, text)
    where = f"{tmp_path / 'intake.toml'}, line {line}: " if line else f"{tmp_path / 'intake.toml'}: "
    assert str(failed.value).startswith(where)
    assert said in str(failed.value)
    assert "hunter2" not in str(failed.value)


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_intake(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_bytes(b"a = 1\n\xff")
    with pytest.raises(UsageError, match=r"bad\.toml, line 2: is not UTF-8"):
        read_intake(tmp_path / "bad.toml")


def test_every_key_is_on_the_page_with_the_kinds_that_it_is_for() -> None:
    section = PAGE.read_text(encoding="utf-8").split("\n## ")[1]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", section, re.MULTILINE))
    for kind, keys in KEYS.items():
        for key in keys:
            assert rows[key].strip() == "all" or kind in rows[key].split(", "), (kind, key)
    assert set(rows) == {key for keys in KEYS.values() for key in keys}


@pytest.mark.parametrize(
    ("when", "facts", "sorted_as"),
    [
        ("entry.kind == 'order' && entry.total > 0", {"kind": "order", "total": 5}, "run"),
        ("entry.kind == 'order' && entry.total > 0", {"kind": "order", "total": "5"}, "filtered"),
        ("entry.kind == 'order' && entry.total > 0", {}, "filtered"),
        ("entry.lines.exists(l, l.sku.startsWith('a'))", {"lines": [{"sku": 3}, {"sku": "abc"}]}, "run"),
        ("entry.name.matches('^a+$')", {"name": "a" * 100_000 + "b"}, "filtered"),
        ("has(entry.total) && !(entry.total in [1, 2])", {"total": 3}, "run"),
        ("days_until(entry.due) <= 1", {"due": "2026-02-01"}, "run"),
        ("entry.total / entry.count > 1", {"total": 5, "count": 0}, "run"),
        ("size(entry) > 0", {"a": 1}, None),
    ],
)
def test_a_rule_tells_which_entries_count(
    tmp_path: Path, when: str, facts: dict[str, object], sorted_as: str | None
) -> None:
    text = f"{JSONL}when = '''{when}'''"
    if sorted_as is None:
        with pytest.raises(UsageError, match="entry has names behind a dot"):
            intake(tmp_path, text)
        return
    (terms,) = intake(tmp_path, text)
    found = Found("", "here", b"", b"", facts=facts)
    outcome, reason = sort_out(terms, found, TODAY)
    assert outcome == sorted_as
    assert bool(reason) is (outcome != "run")


def test_what_no_rule_can_tell_is_dead_with_the_reason(tmp_path: Path) -> None:
    (terms,) = intake(tmp_path, JSONL + "when = \"entry.a.matches('x')\"")
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    outcome, reason = sort_out(terms, Found("", "here", b"", b"", facts=deep), TODAY)
    assert outcome == "dead"
    assert "whether it counts cannot be told" in reason
    assert sort_out(terms, Found("", "here", b"", b"", problem="too large"), TODAY) == ("dead", "too large")
    while deep:  # or taking it apart would recurse as deep
        deep = deep["a"]  # type: ignore[assignment]


def test_a_rule_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cel", None)
    with pytest.raises(UsageError, match=r"intake.toml, line 5: this rule needs a library: .*'holdfast\[intake\]'"):
        intake(tmp_path, JSONL + "when = \"entry.x.matches('[a-z]')\"")
