"""CSV of subjects: what is a record, what is wrong with one, and what its columns say."""

import codecs
import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.engine.part import UNSET
from holdfast.errors import HoldfastError, UsageError
from holdfast.model.policies import Policy
from holdfast.workqueue import csv_records
from holdfast.workqueue.csv_columns import Columns, plain
from holdfast.workqueue.csv_records import CsvRecords, Record
from holdfast.workqueue.seen_ids import SeenIds

POLICY = Policy(signals={"usage_score": (0.0, 100.0), "yoy_growth": (float("-inf"), float("inf"))})
NOW = 1_780_000_000_000_000


def records(data: bytes, size: int = 1_000_000, delimiter: str | None = None) -> list[Record]:
    """The records of a file that comes in pieces of a size."""
    reader = CsvRecords(delimiter)
    found: list[Record] = []
    for first in range(0, len(data), size):
        found += reader.feed(data[first : first + size])
    return [*found, *reader.end()]


def good(data: bytes, size: int = 1_000_000) -> list[tuple[int, list[str]]]:
    return [(one.line, one.cells) for one in records(data, size) if one.fault is None]


def bad(data: bytes, size: int = 1_000_000) -> list[tuple[int, str]]:
    return [(one.line, one.fault) for one in records(data, size) if one.fault is not None]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000_000])
def test_records_have_the_lines_on_which_they_begin(size: int) -> None:
    data = 'id,name\r\na,"one\r\ntwo, ""three"""\n\nb,Ünal\nc,last'.encode()
    assert good(data, size) == [
        (1, ["id", "name"]),
        (2, ["a", 'one\r\ntwo, "three"']),
        (5, ["b", "Ünal"]),
        (6, ["c", "last"]),
    ]
    assert bad(data, size) == []


@pytest.mark.parametrize("size", [1, 5, 1_000_000])
def test_a_byte_order_mark_is_no_part_of_the_first_name(size: int) -> None:
    assert good(codecs.BOM_UTF8 + b"id,name\na,b\n", size) == [(1, ["id", "name"]), (2, ["a", "b"])]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_another_encoding_is_refused_as_such(encoding: str) -> None:
    data = "id,name\na,b\n".encode(encoding)
    with pytest.raises(UsageError, match="save it as UTF-8"):
        records(data)
    with pytest.raises(UsageError, match="save it as UTF-8"):
        records(data[:3])


def test_a_line_in_another_encoding_is_told_and_the_others_are_read() -> None:
    data = b"id,name\na,Andr\xe9\nb,Andr\xc3\xa9\n"
    assert good(data) == [(1, ["id", "name"]), (3, ["b", "André"])]
    [(line, fault)] = bad(data)
    assert line == 2
    assert "field 2 holds the byte 0xe9" in fault


def test_a_quote_that_nobody_closes_costs_its_own_line_only() -> None:
    data = b'id,name\na,"open\nb,two\nc,"three\nand more"\nd,four\n'
    assert good(data) == [(1, ["id", "name"]), (3, ["b", "two"]), (4, ["c", "three\nand more"]), (6, ["d", "four"])]
    [(line, fault)] = bad(data)
    assert line == 2
    assert "quote" in fault


@pytest.mark.parametrize("size", [3, 1_000_000])
def test_a_quote_that_is_open_at_the_end(size: int) -> None:
    data = b'id,name\na,one\nb,"open\nc,three\nd,four'
    assert good(data, size) == [(1, ["id", "name"]), (2, ["a", "one"]), (4, ["c", "three"]), (5, ["d", "four"])]
    assert bad(data, size) == [(3, "a quote opens in this line and nothing closes it")]


def test_an_open_quote_is_given_up_after_so_many_lines() -> None:
    lines = [b'a,"open', *(b"r%d,x" % n for n in range(csv_records.RECORD_LINES + 5))]
    found = records(b"id,name\n" + b"\n".join(lines))
    assert [one.line for one in found if one.fault] == [2]
    assert len([one for one in found if not one.fault]) == len(lines)


def test_text_behind_a_closing_quote() -> None:
    assert bad(b'id,name\na,"one"x\nb,two\n') == [
        (2, 'a quote ends in the middle of a field; write a quote inside quotes twice ("")')
    ]


@pytest.mark.parametrize("size", [1000, 100_000])
def test_a_line_that_is_too_long_is_passed_over(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_records, "LINE_BYTES", 5000)
    data = b"id,name\na," + b"x" * 20_000 + b"\nb,two\nc," + b"y" * 20_000
    assert good(data, size) == [(1, ["id", "name"]), (3, ["b", "two"])]
    assert [line for line, _ in bad(data, size)] == [2, 4]
    assert all("longer than 5,000 bytes" in fault for _, fault in bad(data, size))


def test_a_field_that_is_too_long_for_the_reader() -> None:
    [(line, fault)] = bad(b"id,name\na," + b"x" * (csv.field_size_limit() + 1) + b"\nb,two\n")
    assert line == 2
    assert "a field is longer" in fault


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_seen_from_the_first_line(delimiter: str) -> None:
    data = delimiter.join(["id", "name", "x"]) + "\n" + delimiter.join(["a", "b", "c"])
    assert good(data.encode()) == [(1, ["id", "name", "x"]), (2, ["a", "b", "c"])]


def test_a_delimiter_is_one_of_three() -> None:
    with pytest.raises(UsageError, match="a comma, a semicolon or a tab"):
        CsvRecords("|")


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8) | st.sampled_from(
    ["", '"', '""', "a,b", "one\ntwo", "one\r\ntwo", ";", "\t", "é", '",\n"']
)


@given(st.lists(st.lists(cells, min_size=2, max_size=4), min_size=1, max_size=8), st.integers(1, 50))
def test_what_is_written_is_read(rows: list[list[str]], size: int) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
    found = records(text.getvalue().encode(), size, ",")
    assert [one.cells for one in found] == rows
    assert all(one.fault is None for one in found)


@given(st.binary(max_size=200), st.integers(1, 20))
def test_any_bytes_are_read_or_told_alike_in_whatever_pieces(data: bytes, size: int) -> None:
    def outcome(pieces: int) -> Any:
        try:
            return records(b"id,n\n" + data, pieces)
        except UsageError as error:
            return str(error)

    assert outcome(size) == outcome(1_000_000)


# Columns


def draft(header: str, line: str) -> Any:
    return Columns(next(csv.reader([header])), POLICY).draft(next(csv.reader([line])), NOW)


def test_columns_say_what_they_are() -> None:
    one = draft(
        "id,name,assignee,usage_score,signal.logins,region,property.tier,seats,trial,contact.name,"
        "contact.relationship_strength,contact.2.name,signals_at",
        "acme,Acme,ines,97.5,12,EU,gold,40,true,Ada,Weak,Bo,2026-05-01T06:00:00Z",
    )
    assert (one.id, one.name, one.assignee) == ("acme", "Acme", "ines")
    assert one.signals == (("usage_score", 97.5), ("logins", 12.0))
    assert one.properties == {"region": "EU", "tier": "gold", "seats": 40, "trial": True}
    assert one.contacts == [{"name": "Ada", "relationship_strength": "weak"}, {"name": "Bo"}]
    assert one.at == 1_777_615_200_000_000


def test_nothing_in_a_field_says_nothing() -> None:
    one = draft("id,name,assignee,usage_score,region,contact.name", "acme,,  ,,,")
    assert (one.name, one.assignee, one.properties, one.contacts, one.signals) == (UNSET, UNSET, None, None, ())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12), ("-3", -3), ("12.50", 12.5), ("007", "007"), ("1e5", "1e5"), ("True", True), ("false", False),
        ("+4", "+4"), ("1234567890123456", "1234567890123456"), ("12,5", "12,5"), ("2026-03-01", "2026-03-01"),
        (".5", ".5"),
    ],
)  # fmt: skip
def test_properties_are_numbers_where_they_are_written_as_such(text: str, value: object) -> None:
    assert plain(text) == value
    assert type(plain(text)) is type(value)


@pytest.mark.parametrize(
    ("header", "line", "reason"),
    [
        ("id,usage_score", "a,101", "signal usage_score is 101; policy 'custom' takes 0 to 100"),
        ("id,usage_score", "a,-1", "takes 0 to 100"),
        ("id,usage_score", "a,high", "column usage_score: it is 'high'; give a number"),
        ("id,usage_score", 'a,"12,5"', "give a number with a point"),
        ("id,usage_score", "a,12%", "give a number"),
        ("id,usage_score", "a,nan", "give a number"),
        ("id,signal.x", "a,1e999", "signal x is inf; give a number"),
        ("id,name", ",Acme", "it has no id"),
        ("id,name", "a", "it has 1 fields, and the first line names 2 columns"),
        ("id,name", "a,b,c", "it has 3 fields"),
        ("id,contacts", "a,nobody", "it is no JSON"),
        ("id,contacts", 'a,"{}"', "give a list"),
        ("id,contacts", 'a,"[1]"', "contacts[0] is 1; give an object"),
        ("id,contacts,contact.name", 'a,"[]",Ada', "use one of them"),
        ("id,contact.relationship_strength", "a,poor", "is 'poor'; give weak, moderate, strong"),
        ("id,signals_at", "a,yesterday", "signals_at is 'yesterday'"),
        ("id,signals_at", "a,2026-05-01T06:00:00", "give an instant with its zone"),
        ("id,signals_at", "a,2999-05-01T06:00:00Z", "in the future"),
        ("id,name", 'a,"two\nlines"', "on one line"),
        ("id", "x" * 600, "give 1 to 512"),
    ],
)
def test_a_bad_line_says_what_is_wrong(header: str, line: str, reason: str) -> None:
    columns = Columns(next(csv.reader([header])), POLICY)
    with pytest.raises(HoldfastError) as error:
        columns.draft(next(csv.reader(io.StringIO(line))), NOW)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("name,assignee", "one of them id"),
        ("a,b,c", "it has a, b, c"),
        ("", "it has nothing"),
        ("id,name,Name", "two columns are called 'name'"),
        ("id,region,region", "two columns are called 'region'"),
        ("id,,name", "column 2 has no name"),
        ("id,signal.", "the name of a signal"),
        ('id,"signal.a""b"', "leave out quotes"),
        ("id,contact.9999.name", "at most 1,000 contacts"),
        ("id," + ",".join(f"c{n}" for n in range(1001)), "at most 1,000"),
    ],
)
def test_a_bad_first_line(header: str, reason: str) -> None:
    with pytest.raises(UsageError) as error:
        Columns(next(csv.reader([header]), []), POLICY)
    assert reason in str(error.value)


def test_trailing_empty_columns_are_no_columns() -> None:
    assert draft("id,name,,", "a,Acme,,").name == "Acme"
    assert draft("ID, Name ", " a ,Acme").id == "a"


@given(st.lists(st.text(max_size=3), max_size=300))
def test_ids_are_seen_once(ids: list[str]) -> None:
    seen, lines = SeenIds(), dict[str, int]()
    for line, id in enumerate(ids, 1):
        assert seen.line_of(id, line) == lines.get(id)
        lines.setdefault(id, line)
    assert len(seen) == len(lines)


def test_many_ids_are_seen_in_little_memory() -> None:
    seen = SeenIds()
    assert all(seen.line_of(f"s-{n}", n + 1) is None for n in range(20_000))
    assert seen.line_of("s-777", 30_000) == 778
    assert len(seen._lines) * 12 < 20_000 * 50
