"""Searches are read or refused at the right place, and SQL finds what their words say."""

from __future__ import annotations

import operator
import random
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import SearchError, UsageError
from holdfast.model.run import Status, microseconds
from holdfast.model.search import (
    MAX_LIST_VALUES,
    MAX_NESTING,
    MAX_SEARCH_CHARACTERS,
    And,
    Attribute,
    AttributeRow,
    Compare,
    Condition,
    In,
    Not,
    Or,
    Prefix,
    attribute_rows,
    parse,
)
from holdfast.store.search import compile_search, first_above

NOW = microseconds(datetime(2026, 3, 1, 12, tzinfo=UTC))
HOUR = 3_600_000_000
A, B, C = (Compare("id", "=", letter) for letter in "abc")


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("id = 'a'", A),
        ("id='a'", A),
        ("\n\tid\n=\n'a'\n", A),
        ("id = ''", Compare("id", "=", "")),
        ("id = 'it''s'", Compare("id", "=", "it's")),
        ("id = ''''", Compare("id", "=", "'")),
        ("id = 'a\nb \" -- é 😀'", Compare("id", "=", 'a\nb " -- é 😀')),
        *((f"workflow {op} 'w'", Compare("workflow", op, "w")) for op in ("=", "!=", "<", "<=", ">", ">=")),
        ("version = '2'", Compare("version", "=", "2")),
        ("queue = 'default'", Compare("queue", "=", "default")),
        ("parent = 'p'", Compare("parent", "=", "p")),
        *((f"status = '{status}'", Compare("status", "=", str(status))) for status in Status),
        ("status != 'failed'", Compare("status", "!=", "failed")),
        ("status in ('failed', 'held')", In("status", ("failed", "held"))),
        ("priority >= -10", Compare("priority", ">=", -10)),
        ("priority in (1,2)", In("priority", (1, 2))),
        (f"priority < {2**53}", Compare("priority", "<", 2**53)),
        ("priority = 0000000000000000000001", Compare("priority", "=", 1)),
        ("id prefix 'o-'", Prefix("id", "o-")),
        ("id in ('a')", In("id", ("a",))),
        ("id = 'a' and id = 'b'", And((A, B))),
        ("id = 'a' or id = 'b' and id = 'c'", Or((A, And((B, C))))),
        ("(id = 'a' or id = 'b') and id = 'c'", And((Or((A, B)), C))),
        ("id = 'a' and id = 'b' and id = 'c'", And((A, B, C))),
        ("not id = 'a' and id = 'b'", And((Not(A), B))),
        ("not (id = 'a' and id = 'b')", Not(And((A, B)))),
        ("NOT Not id = 'a' AND id = 'b' Or id = 'c'", Or((And((Not(Not(A)), B)), C))),
        ("id IN ('a') or id Prefix 'b'", Or((In("id", ("a",)), Prefix("id", "b")))),
        ("id='a'or(id='b')", Or((A, B))),
        ("attributes.order = 'o-1'", Compare(Attribute("order"), "=", "o-1")),
        ("attributes.order-no_2 < 'o'", Compare(Attribute("order-no_2"), "<", "o")),
        ('attributes."any text: ""é""" = \'x\'', Compare(Attribute('any text: "é"'), "=", "x")),
        ('attributes."" = 1', Compare(Attribute(""), "=", 1.0)),
        ("attributes.in in (1, -2.5, 1e3)", In(Attribute("in"), (1.0, -2.5, 1000.0))),
        ("attributes.attributes prefix ''", Prefix(Attribute("attributes"), "")),
        ("attributes.vip = true", Compare(Attribute("vip"), "=", True)),
        ("attributes.vip != FALSE", Compare(Attribute("vip"), "!=", False)),
        ("attributes.vip in (true, false)", In(Attribute("vip"), (True, False))),
        ("created_at < 'now'", Compare("created_at", "<", NOW)),
        ("created_at < 'now-1h'", Compare("created_at", "<", NOW - HOUR)),
        ("created_at < ' NOW - 1h30m '", Compare("created_at", "<", NOW - HOUR * 3 // 2)),
        ("started_at >= '2026-03-01T12:00:00Z'", Compare("started_at", ">=", NOW)),
        ("finished_at = '2026-03-01 14:00:00.000001+02:00'", Compare("finished_at", "=", NOW + 1)),
        ("finished_at in ('now', '1970-01-01T00:00Z')", In("finished_at", (NOW, 0))),
        ("created_at > '0001-01-01T00:00+14:00'", Compare("created_at", ">", -62135596800000000 - 14 * HOUR)),
    ],
)
def test_a_search_is_read(text: str, condition: Condition) -> None:
    found = parse(text, NOW)
    assert found == condition
    assert repr(found) == repr(condition)  # 1, 1.0 and True are equal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A caret in the text stands before the place of the error.
        ("^", "expected a field: id, workflow"),
        ("  ^", "expected a field"),
        ("^nonsense = 'a'", "expected a field"),
        ("^ID = 'a'", "expected a field"),
        ("^tenant = 'a'", "of its own tenant"),
        ("^'a' = id", "expected a field"),
        ("id^", "expected =, !=, <, <=, >, >=, in or prefix"),
        ("id ^'a'", "expected =, !="),
        ("id ^like 'a'", "expected =, !="),
        ("id ^! 'a'", "means nothing here"),
        ("id ^; 'a'", "means nothing here"),
        ("id =^", "expected a text"),
        ("id = ^= 'a'", "expected a text"),
        ("id = ^a", "expected a text"),
        ("id = ^1", "expected a text"),
        ("id = ^true", "expected a text"),
        ("id < ^true", "expected a text"),
        ('id = ^"a"', "double quotes are for names of attributes"),
        ("id = ^'a", "this quote is never closed"),
        ("id = ^'a''", "this quote is never closed"),
        ('attributes.^"a', "this quote is never closed"),
        ('attributes.^"a"" = 1', "this quote is never closed"),
        ("id = 'a' ^id = 'b'", "expected and, or, or the end"),
        ("id = 'a' ^'b'", "expected and, or, or the end"),
        ("id = 'a'^)", "expected and, or, or the end"),
        ("id = 'a' and^", "expected a field"),
        ("id = 'a' ^&& id = 'b'", "means nothing here"),
        ("not^", "expected a field"),
        ("(id = 'a'^", "a closing parenthesis"),
        ("(id = 'a' ^id", "a closing parenthesis"),
        ("(^)", "expected a field"),
        ("id in ^'a'", "expected a list of values in parentheses"),
        ("id in (^)", "expected a text"),
        ("id in ('a'^", "expected a comma or a closing parenthesis"),
        ("id in ('a' ^'b')", "expected a comma or a closing parenthesis"),
        ("id in ('a',^)", "expected a text"),
        ("id in ('a', ^1)", "expected a text"),
        ("attributes.a in ('a', ^1)", "of the same type as the first one: a text"),
        ("attributes.a in (1, ^true)", "of the same type as the first one: a number"),
        ("attributes.a in (true, ^'true')", "of the same type as the first one: true or false"),
        ("id prefix ^1", "expected a text in single quotes"),
        ("attributes.a prefix ^true", "expected a text in single quotes"),
        ("status ^prefix 'f'", "prefix is for texts, and status is a status"),
        ("priority ^prefix '1'", "prefix is for texts, and priority is a whole number"),
        ("created_at ^prefix '2026'", "prefix is for texts, and created_at is an instant"),
        ("status ^< 'failed'", "a status has no order"),
        ("status = ^'open'", "expected a status: queued, running"),
        ("status = ^'Failed'", "expected a status"),
        ("status in ('failed', ^'gone')", "expected a status"),
        ("status = ^1", "expected a status in single quotes"),
        ("priority = ^'1'", "expected a number"),
        ("priority = ^true", "expected a number"),
        ("priority = ^1.0", "a priority is a whole number"),
        ("priority = ^9007199254740993", "up to 2**53"),
        ("priority = ^-9007199254740993", "up to 2**53"),
        ("attributes.a = ^9007199254740993", "up to 2**53"),
        pytest.param(f"attributes.a = ^{'9' * 9000}", "up to 2**53", id="9,000 digits"),
        ("attributes.a = ^1e999", "the number is too large"),
        ("attributes.a = ^1.", "this is no number"),
        ("attributes.a = ^1x", "this is no number"),
        ("attributes.a = ^0x10", "this is no number"),
        ("attributes.a = ^1_000", "this is no number"),
        ("attributes.a = ^.5", "expected a text in single quotes, a number, true or false"),
        ("attributes.a = ^null", "expected a text in single quotes, a number, true or false"),
        ("attributes.a ^< true", "true and false have no order"),
        ("attributes.a ^>= false", "true and false have no order"),
        ("attributes^", "expected a dot"),
        ("attributes ^= 1", "expected a dot"),
        ("attributes.^", "expected an attribute's name"),
        ("attributes.^1 = 1", "expected an attribute's name"),
        ("attributes.^'a' = 1", "expected an attribute's name"),
        ("attributes.a^.b = 1", "expected =, !="),
        (f"attributes.^{'a' * 101} = 1", "more than 100 bytes"),
        (f'attributes.^"{"é" * 51}" = 1', "more than 100 bytes"),
        pytest.param(f"attributes.a = ^'{'a' * 513}'", "more than 512 bytes", id="513 bytes"),
        pytest.param(f"attributes.a prefix ^'{'é' * 257}'", "more than 512 bytes", id="514 bytes"),
        ("created_at < ^'yesterday'", "expected an instant in single quotes: ISO 8601 with a zone"),
        ("created_at < ^''", "expected an instant"),
        ("created_at < ^5", "expected an instant"),
        ("created_at < ^'2026-03-01'", "the instant has no zone"),
        ("created_at < ^'2026-03-01T12:00:00'", "the instant has no zone"),
        ("created_at < ^'2026-02-30T12:00:00Z'", "expected an instant"),
        ("created_at < ^'now+1h'", "expected an instant"),
        ("created_at < ^'now-'", "expected an instant"),
        ("created_at < ^'now-1'", "expected an instant"),
        ("created_at < ^'now-1y'", "expected an instant"),
        ("created_at < ^'now--1h'", "expected an instant"),
        ("created_at < ^'now-200000d'", "expected an instant"),
        ("id = 'a' and\n  id ^'b'\nor id = 'c'", "expected =, !="),
        ("id = ^\0", "here is a NUL character"),
        ("id = 'a^\0'", "here is a NUL character"),
        ("id = 'a^\ud83d'", "half of a surrogate pair"),
    ],
)
def test_a_search_is_refused_at_its_place(text: str, expected: str) -> None:
    position = text.index("^")
    with pytest.raises(SearchError) as caught:
        parse(text.replace("^", "", 1), NOW)
    assert caught.value.position == position
    assert expected in str(caught.value)
    assert f"(character {position})" in str(caught.value)
    str(caught.value).encode()


def refusal(text: str) -> SearchError:
    with pytest.raises(SearchError) as caught:
        parse(text, NOW)
    return caught.value


def test_the_message_points_at_the_place() -> None:
    assert str(refusal("id = 'a' and\n\tqueue like 'b'\nor id = 'c'")).splitlines() == [
        "expected =, !=, <, <=, >, >=, in or prefix (character 20)",
        "     queue like 'b'",
        "           ^",
    ]
    assert str(refusal("id = '你好' and")).splitlines()[1:] == ["    id = '你好' and", "    " + " " * 15 + "^"]
    long = "id = 'a' or " * 50
    assert str(refusal(f"{long}id == 'b' or {long}id = 'c'")).splitlines()[1:] == [
        "    ..." + (long + "id =")[-60:] + "= 'b' or " + long[:31] + "...",
        "    " + " " * 63 + "^",
    ]


def test_a_search_has_its_limits() -> None:
    fits = "id = '" + "a" * (MAX_SEARCH_CHARACTERS - 7) + "'"
    assert parse(fits, NOW) == Compare("id", "=", fits[6:-1])
    assert refusal(fits + " ").position == MAX_SEARCH_CHARACTERS

    for opening, closed in (("(", ")"), ("not ", ""), ("not (", ")")):
        times = MAX_NESTING // (2 if opening == "not (" else 1)
        parse(opening * times + "id = 'a'" + closed * times, NOW)
        error = refusal(opening * (times + 1) + "id = 'a'" + closed * (times + 1))
        assert error.position == len(opening) * times
        assert "nested more than 50 deep" in str(error)
    parse(" or ".join(["(id = 'a')"] * 200), NOW)

    most = "priority in (" + "1," * (MAX_LIST_VALUES - 1) + "2"
    parse(most + ")", NOW)
    error = refusal(most + ",3)")
    assert (error.position, "more than 1,000 values" in str(error)) == (len(most) + 1, True)


@pytest.mark.parametrize("text", [None, 5, b"id = 'a'", ["id"]])
def test_what_is_no_text_is_refused(text: Any) -> None:
    with pytest.raises(UsageError, match="give a text such as"):
        parse(text, NOW)


@given(st.text())
@settings(max_examples=50)
def test_any_text_is_read_or_refused_within_it(text: str) -> None:
    position = 0
    try:
        parse(text, NOW)
    except SearchError as error:
        position = error.position
    assert 0 <= position <= len(text)


def test_attributes_are_indexed() -> None:
    attributes = {
        "text": "é",
        "empty": "",
        "whole": -3,
        "float": 1.5,
        "yes": True,
        "no": False,
        "": "no name",
        "exact": 2**53,
        "inexact": 2**53 + 1,
        "huge": 10**400,
        "none": None,
        "list": [1],
        "dict": {"a": 1},
        "longest": "é" * 256,
        "longer": "a" + "é" * 256,
        "nul": "a\0b",
        "n\0l": 1,
        "n" * 100: 1,
        "n" * 101: 1,
        "infinite": float("inf"),
    }
    assert attribute_rows(attributes) == [
        AttributeRow("text", "é", None),
        AttributeRow("empty", "", None),
        AttributeRow("whole", None, -3.0),
        AttributeRow("float", None, 1.5),
        AttributeRow("yes", "true", 1.0),
        AttributeRow("no", "false", 0.0),
        AttributeRow("", "no name", None),
        AttributeRow("exact", None, 2.0**53),
        AttributeRow("longest", "é" * 256, None),
        AttributeRow("n" * 100, None, 1.0),
    ]


@pytest.mark.parametrize(
    ("prefix", "above"),
    [
        ("", None),
        ("a", "b"),
        ("az", "a{"),
        ("\x7f", "\x80"),
        ("a\ud7ff", "a\ue000"),
        ("a\uffff", "a\U00010000"),
        ("a\U0010ffff", "b"),
        ("ab\U0010ffff\U0010ffff", "ac"),
        ("\U0010ffff", None),
    ],
)
def test_the_end_of_a_range_of_prefixes(prefix: str, above: str | None) -> None:
    assert first_above(prefix) == above


def test_no_user_text_is_in_the_sql() -> None:
    search = (
        "id = 'EVIL' and workflow in ('EVIL', 'b') and attributes.EVIL = 'EVIL' and status = 'failed' and "
        "(parent prefix 'EVIL' or not attributes.\"EVIL'\" != 77) and priority < 77 and created_at > 'now'"
    )
    sqlite = compile_search(parse(search, NOW), "sqlite")
    postgres = compile_search(parse(search, NOW), "postgres", first=4)
    assert "EVIL" not in sqlite.sql + postgres.sql
    assert "77" not in sqlite.sql + postgres.sql
    assert sqlite.parameters == [
        "EVIL", "EVIL", "b", "EVIL", "EVIL", "failed", "EVIL", "EVIM", "EVIL'", 77.0, 77, NOW,
    ]  # fmt: skip
    assert postgres.parameters == sqlite.parameters
    numbered = sqlite.sql
    for number in range(4, 4 + len(sqlite.parameters)):
        numbered = numbered.replace("?", f"${number}", 1)
    for table in ("runs", "running", "parked", "attributes"):
        numbered = numbered.replace(f"FROM {table} ", f"FROM holdfast.{table} ")
    assert postgres.sql == numbered


@pytest.mark.parametrize(
    ("text", "drivers"),
    [
        ("attributes.a = 'x'", [("a", "x")]),
        ("attributes.a = 1", [("a", 1.0)]),
        ("id = 'a' and (workflow = 'w' and attributes.a = 'x') and attributes.b = 'y'", [("a", "x")]),
        ("attributes.a = 'x' or attributes.a = 1 or attributes.a = 'x'", [("a", "x"), ("a", 1.0)]),
        ("attributes.a = 'true' or attributes.a = true", [("a", "true")]),
        ("attributes.a in ('x', 'y', 'x') and id = 'a'", [("a", "x"), ("a", "y")]),
        (f"attributes.a in ({', '.join(str(n) for n in range(21))})", []),
        ("attributes.a = 'x' or attributes.b = 'x'", []),  # one run may have both
        ("attributes.a = true or attributes.a = 1", []),  # both find what is true
        ("attributes.a in (0, 2) or attributes.a = 'false'", []),
        ("attributes.a = 'x' or id = 'a'", []),
        ("attributes.a = 'x' or not attributes.a = 'y'", []),
        ("not attributes.a = 'x'", []),
        ("attributes.a != 'x'", []),
        ("attributes.a prefix 'x'", []),
        ("id = 'a'", []),
    ],
)
def test_equalities_drive_the_query(text: str, drivers: list[tuple[str, str | float]]) -> None:
    assert compile_search(parse(text, NOW), "sqlite").drivers == drivers


# Random searches over random runs: what the SQL finds is what plain Python says that they mean.


@dataclass
class Run:
    """A run as it is stored; its number is its uid."""

    id: str
    workflow: str
    stored: str
    priority: int
    created_at: int
    started_at: int | None
    finished_at: int | None
    parent: int | None
    claimed_at: int | None
    parked_epoch: int | None
    tenant: str
    attributes: dict[str, Any] = field(default_factory=dict)
    version: str = "1"
    queue: str = "default"

    @property
    def status(self) -> str:
        if self.stored != "open":
            return self.stored
        if self.claimed_at is not None:
            return "running"
        return "waiting" if self.parked_epoch else "queued"


COMPARISONS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
MISSING = object()


def value_of(run: Run, runs: list[Run], name: str | Attribute) -> Any:
    if isinstance(name, Attribute):
        return run.attributes.get(name.name, MISSING)
    if name == "parent":
        return MISSING if run.parent is None else runs[run.parent].id
    if name == "started_at" and run.started_at is None:
        return MISSING if run.claimed_at is None else run.claimed_at
    value = getattr(run, name)
    return MISSING if value is None else value


def type_of(value: object) -> str:
    return "boolean" if isinstance(value, bool) else "text" if isinstance(value, str) else "number"


def holds(condition: Condition, run: Run, runs: list[Run]) -> bool:
    match condition:
        case And(conditions):
            return all(holds(one, run, runs) for one in conditions)
        case Or(conditions):
            return any(holds(one, run, runs) for one in conditions)
        case Not(inner):
            return not holds(inner, run, runs)
    value = value_of(run, runs, condition.field)
    if value is MISSING:
        return False
    match condition:
        case Prefix(_, text):
            return isinstance(value, str) and value.startswith(text)
        case In(_, values):
            return any(type_of(one) == type_of(value) and one == value for one in values)
        case Compare(_, op, wanted):
            if type_of(value) != type_of(wanted):
                return op == "!="
            return bool(COMPARISONS[op](value, wanted))
    raise AssertionError(condition)


LETTERS = ["a", "b", "'", "%", "_", "é", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"]
TEXTS = st.text(st.sampled_from(LETTERS), max_size=3) | st.sampled_from(["true", "false", "1", "1.0"])
NUMBERS = st.sampled_from([0, 1, -1, 1.5, 1e300, -0.0, 2**53, 0.1])
SMALL = st.integers(-2, 2)
NAMES = st.sampled_from(["a", "b", "in", 'a "b"', "é"])
VALUES = TEXTS | NUMBERS | st.booleans()
RUNS = st.lists(
    st.builds(
        Run,
        id=TEXTS,
        workflow=TEXTS,
        stored=st.sampled_from(["open", "open", "open", "held", "succeeded", "failed", "cancelled"]),
        priority=SMALL,
        created_at=SMALL,
        started_at=st.none() | SMALL,
        finished_at=st.none() | SMALL,
        parent=st.none() | st.integers(0, 10),
        claimed_at=st.none() | SMALL,
        parked_epoch=st.none() | st.integers(0, 2),
        tenant=st.sampled_from(["t", "other"]),
        attributes=st.dictionaries(NAMES, VALUES, max_size=4),
    ),
    min_size=1,
    max_size=10,
)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "FALSE"
    return quoted(value) if isinstance(value, str) else repr(value)


def instant_text(us: int) -> str:
    return f"1970-01-01T00:00:00.{us:06}Z" if us >= 0 else f"1969-12-31T23:59:59.{1_000_000 + us}Z"


@st.composite
def comparisons(draw: st.DrawFn) -> str:
    """A comparison, as text."""
    kind = draw(st.sampled_from(["text", "status", "priority", "instant", "words", "numbers", "booleans"]))
    values: st.SearchStrategy[Any] = TEXTS
    operators = ["=", "!=", "in"] if kind in ("status", "booleans") else [*COMPARISONS, "in"]
    if kind in ("text", "words"):
        operators.append("prefix")
    if kind == "text":
        name = draw(st.sampled_from(["id", "workflow", "parent"]))
    elif kind == "status":
        name, values = "status", st.sampled_from([str(one) for one in Status])
    elif kind == "priority":
        name, values = "priority", SMALL
    elif kind == "instant":
        name, values = draw(st.sampled_from(["created_at", "started_at", "finished_at"])), SMALL.map(instant_text)
    else:
        name = 'attributes."' + draw(NAMES).replace('"', '""') + '"'
        values = {"words": TEXTS, "numbers": NUMBERS, "booleans": st.booleans()}[kind]
    chosen = draw(st.sampled_from(operators))
    if chosen != "in":
        return f"{name} {chosen} {written(draw(values))}"
    return f"{name} in ({', '.join(map(written, draw(st.lists(values, min_size=1, max_size=4))))})"


SEARCHES = st.recursive(
    comparisons(),
    lambda inner: (
        inner.map(lambda one: f"not ({one})")
        | st.lists(inner, min_size=2, max_size=3).map(lambda some: f"({' and '.join(some)})")
        | st.lists(inner, min_size=2, max_size=3).map(lambda some: f"({' or '.join(some)})")
    ),
    max_leaves=6,
)

SCHEMA = """
CREATE TABLE {0}runs (uid {1}, tenant {2}, id {2}, workflow {2}, version {2}, queue {2}, status {2}, priority bigint,
    parent_uid {1}, created_at bigint, started_at bigint, finished_at bigint);
CREATE TABLE {0}running (run {1}, claimed_at bigint);
CREATE TABLE {0}parked (run {1}, epoch bigint);
CREATE TABLE {0}attributes (tenant {2}, name {2}, text {2}, number {3}, run {1}, PRIMARY KEY (tenant, name, run));
CREATE INDEX attributes_text ON {0}attributes (tenant, name, text, run) WHERE text IS NOT NULL;
CREATE INDEX attributes_number ON {0}attributes (tenant, name, number, run) WHERE number IS NOT NULL;
"""
SQLITE_SCHEMA = SCHEMA.format("", "BLOB", "TEXT", "REAL")
POSTGRES_SCHEMA = "CREATE SCHEMA holdfast;" + SCHEMA.format(
    "holdfast.", "bytea", 'text COLLATE "C"', "double precision"
)


def rows_of(runs: list[Run]) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of each table."""
    rows: dict[str, list[tuple[Any, ...]]] = {"runs": [], "running": [], "parked": [], "attributes": []}
    for number, run in enumerate(runs):
        uid = bytes([number])
        parent = None if run.parent is None else bytes([run.parent])
        at = (run.created_at, run.started_at, run.finished_at)
        rows["runs"].append(
            (uid, run.tenant, run.id, run.workflow, run.version, run.queue, run.stored, run.priority, parent, *at)
        )
        if run.claimed_at is not None:
            rows["running"].append((uid, run.claimed_at))
        if run.parked_epoch is not None:
            rows["parked"].append((uid, run.parked_epoch))
        rows["attributes"] += [(run.tenant, *row, uid) for row in attribute_rows(run.attributes)]
    return rows


def sqlite_with(runs: list[Run]) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.executescript(SQLITE_SCHEMA)
    for table, rows in rows_of(runs).items():
        if rows:
            connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    return connection


def found_by_sqlite(connection: sqlite3.Connection, condition: Condition) -> list[int]:
    compiled = compile_search(condition, "sqlite")
    found = connection.execute(f"SELECT r.uid FROM runs AS r WHERE {compiled.sql} ORDER BY r.uid", compiled.parameters)
    return [uid[0] for (uid,) in found]


def found_by_hand(runs: list[Run], condition: Condition) -> list[int]:
    return [number for number, run in enumerate(runs) if holds(condition, run, runs)]


def grown(runs: list[Run]) -> list[Run]:
    """The runs, with parents that are among them."""
    for run in runs:
        run.parent = None if run.parent is None else run.parent % len(runs)
    return runs


@given(RUNS.map(grown), st.lists(SEARCHES, min_size=1, max_size=10))
@settings(max_examples=200)
@pytest.mark.slow
def test_sqlite_finds_what_the_words_say(runs: list[Run], searches: list[str]) -> None:
    with closing(sqlite_with(runs)) as connection:
        for search in searches:
            condition = parse(search, 0)
            assert found_by_sqlite(connection, condition) == found_by_hand(runs, condition), search


def some_runs() -> list[Run]:
    """Runs that differ in everything, the same ones each time."""
    draw = random.Random(1)
    words = [*LETTERS, "a\U0010ffff", "a\U0010ffffb", "ab", "\ud7ffa", "\U0010ffff\U0010ffff", "", "true", "1"]
    values = [*words, 0, 1, -1, 1.5, 1e300, 2**53, True, False]
    return [
        Run(
            id=draw.choice(words),
            workflow=draw.choice(words),
            stored=draw.choice(["open", "open", "open", "held", "succeeded", "failed", "cancelled"]),
            priority=draw.randint(-2, 2),
            created_at=draw.randint(-2, 2),
            started_at=draw.choice([None, -1, 0, 1]),
            finished_at=draw.choice([None, -1, 0, 1]),
            parent=draw.choice([None, draw.randrange(200)]),
            claimed_at=draw.choice([None, None, -1, 0, 1]),
            parked_epoch=draw.choice([None, 0, 1]),
            tenant=draw.choice(["t", "other"]),
            attributes={name: draw.choice(values) for name in ("a", "b", "é") if draw.random() < 0.8},
        )
        for _ in range(200)
    ]


EACH_FORM = [
    *(f"status = '{status}'" for status in Status),
    "status != 'running'",
    "status in ('queued', 'failed', 'queued')",
    "not status in ('waiting', 'held')",
    *(f"{name} {op} 'a'" for name in ("id", "parent", "attributes.a") for op in COMPARISONS),
    *(f"{name} {op} 1" for name in ("priority", "attributes.a") for op in COMPARISONS),
    *(f"{name} {op} 'now'" for name in ("created_at", "started_at", "finished_at") for op in COMPARISONS),
    *(
        f"{name} prefix {quoted(prefix)}"
        for name in ("id", "workflow", "parent", "attributes.a")
        for prefix in ("", "a", "%", "_", "\ud7ff", "\uffff", "a\U0010ffff", "\U0010ffff", "absent")
    ),
    "not finished_at > 'now'",
    "not parent = 'a'",
    "not attributes.a = 1",
    "attributes.a = true",
    "attributes.a != false",
    "attributes.a in (true, false)",
    "attributes.a = 'true'",
    "attributes.a = '1'",
    "attributes.a in (0, 1.5, -1)",
    "attributes.a in ('a', 'é', '')",
    "id in ('a', '_')",
    "parent in ('a', 'b')",
    "priority in (1, -2)",
    "finished_at in ('now', '1970-01-01T00:00:00.000001Z')",
    "version = '1' and queue = 'default' and (attributes.a = 'a' or attributes.\"é\" = 'b' or not attributes.b < 1)",
]


def test_each_form_on_sqlite() -> None:
    runs = some_runs()
    with closing(sqlite_with(runs)) as connection:
        for search in EACH_FORM:
            condition = parse(search, 0)
            found = found_by_sqlite(connection, condition)
            assert found == found_by_hand(runs, condition), search
            assert bool(found) is ("absent" not in search), search


@pytest.mark.slow
async def test_each_form_on_postgres(empty_postgres_database: str) -> None:
    runs = some_runs()
    connection = await asyncpg.connect(empty_postgres_database)
    try:
        await connection.execute(POSTGRES_SCHEMA)
        for table, rows in rows_of(runs).items():
            await connection.copy_records_to_table(table, schema_name="holdfast", records=rows)
        for search in EACH_FORM:
            condition = parse(search, 0)
            compiled = compile_search(condition, "postgres", first=2)
            sql = f"SELECT r.uid FROM holdfast.runs AS r WHERE r.uid >= $1 AND {compiled.sql} ORDER BY r.uid"
            found = [row[0][0] for row in await connection.fetch(sql, b"", *compiled.parameters)]
            assert found == found_by_hand(runs, condition), search

        # What is indexed fits the index, also of a tenant with the longest name, of bytes that do not compress.
        draw = random.Random(2)
        tenant, name, text = ("".join(chr(draw.randrange(0x10000, 0xD0000)) for _ in range(n)) for n in (512, 25, 128))
        (row,) = attribute_rows({name: text})
        await connection.execute(
            "INSERT INTO holdfast.attributes VALUES ($1, $2, $3, $4, $5)", tenant, *row, draw.randbytes(16)
        )
    finally:
        await connection.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    "search",
    [
        "id=''or " * 1249 + "id=''",
        "not(" * 25 + "id=''or " * 1200 + "id=''" + ")" * 25,
        "attributes.a=1 or " * 550 + "id=''",
    ],
    ids=["flat", "nested", "attributes"],
)
def test_the_largest_searches_are_not_too_much_for_sqlite(search: str) -> None:
    runs = some_runs()[:20]
    condition = parse(search, 0)
    with closing(sqlite_with(runs)) as connection:
        assert found_by_sqlite(connection, condition) == found_by_hand(runs, condition)
