"""The search line: what it means in the search language, and where it is wrong."""

from __future__ import annotations

from datetime import timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.search import parse
from holdfast.web.query import Query, QueryError, quoted, read_query, shown_place

NOW = 1_700_000_000_000_000
EAST = timezone(timedelta(hours=2))


def read(text: str) -> Query:
    return read_query(text, now_us=NOW, zone=EAST, tenant="acme")


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("", None),
        ("   ", None),
        ("tenant:acme", None),
        ("o-1", "id prefix 'o-1'"),
        ("id:o-1", "id = 'o-1'"),
        ("id:o-1*", "id prefix 'o-1'"),
        ('"an id"', "id prefix 'an id'"),
        ('"say ""hi"""', "id prefix 'say \"hi\"'"),
        ("it's", "id prefix 'it''s'"),
        ("workflow:checkout status:failed", "workflow = 'checkout' and status = 'failed'"),
        ("status:failed,held", "(status = 'failed' or status = 'held')"),
        ("-status:FAILED", "not status = 'failed'"),
        ("-queue:a,b*", "not (queue = 'a' or queue prefix 'b')"),
        ("lane:order=o-1 version:2 parent:p", "lane = 'order=o-1' and version = '2' and parent = 'p'"),
        ("priority:>=-5", "priority >= -5"),
        ("priority:3", "priority = 3"),
        ("attr.order:o-1", "attributes.\"order\" = 'o-1'"),
        ("attr.order:o-*", "attributes.\"order\" prefix 'o-'"),
        ("attr.cents:5", '(attributes."cents" = \'5\' or attributes."cents" = 5)'),
        ("attr.cents:>5.5", 'attributes."cents" > 5.5'),
        ('attr.cents:"5"', "attributes.\"cents\" = '5'"),
        ("attr.paid:true", '(attributes."paid" = \'true\' or attributes."paid" = true)'),
        ('attr."a b":x', "attributes.\"a b\" = 'x'"),
        ("attributes.x:y", "attributes.\"x\" = 'y'"),
        ("since:1h30m", "created_at >= 'now-1h30m'"),
        ("until:2026-12-01", "created_at < '2026-11-30T22:00:00+00:00'"),
        ("since:2026-12-01T10:00:00Z", "created_at >= '2026-12-01T10:00:00+00:00'"),
        ("started:>1h", "started_at > 'now-1h'"),
        ("finished:<2026-12-01", "finished_at < '2026-11-30T22:00:00+00:00'"),
    ],
)
def test_what_a_line_means(line: str, where: str | None) -> None:
    assert read(line).where == where
    if where is not None:
        parse(where, NOW)


@pytest.mark.parametrize(
    ("line", "place", "words"),
    [
        ("status:lost", "lost", "queued, running"),
        ("workflow:x colour:red", "colour:red", "there is no colour:"),
        ("workflow:", "⟨end⟩", "a value for workflow: is missing"),
        ('id:"open', '"open', "never closed"),
        ('id:a"b', '"b', "quotes"),
        ('id:"a"b', "b", "space"),
        ("priority:high", "high", "whole number"),
        ("since:yesterday", "yesterday", "so long ago"),
        ("status:>failed", ">failed", "no order"),
        ("status:fail*", "fail*", "takes none"),
        ("attr.:x", ":x", "name of an attribute is missing"),
        ("id.x:1", "id.x:1", "only an attribute has a dot"),
        ("tenant:other", "other", "tenant acme only"),
        ("started:=1h", "=1h", "put > or <"),
        ("a status:failed,,held", ",held", "missing"),
        (f"attr.{'n' * 101}:x", "x", "100 bytes"),
        ("id:a\0b", "a\0b", "NUL"),
        ("since:0001-01-01", "0001-01-01", "all time"),
    ],
)
def test_where_a_line_is_wrong(line: str, place: str, words: str) -> None:
    with pytest.raises(QueryError, match=words) as refused:
        read(line)
    assert shown_place(line, refused.value.position)[1] == place


def test_a_line_that_is_too_long_is_refused() -> None:
    with pytest.raises(QueryError, match="4,000"):
        read("x" * 4001)


def test_a_qualifier_is_replaced() -> None:
    query = read("workflow:checkout status:failed attr.order:o-1")
    assert query.value("status") == "failed"
    assert query.instead("status", "held") == "workflow:checkout attr.order:o-1 status:held"
    assert query.instead("status", None) == "workflow:checkout attr.order:o-1"
    assert read("status:failed,held").value("status") is None
    assert read("-status:failed").value("status") is None


@given(st.text(max_size=200))
def test_whatever_is_typed_is_read_or_refused_in_its_place(line: str) -> None:
    refused, found = None, None
    try:
        found = read(line)
    except QueryError as error:
        refused = error
    if refused is not None:
        assert 0 <= refused.position <= len(line.strip())
    elif found is not None and found.where is not None:
        parse(found.where, NOW)


@given(
    st.text(min_size=1, max_size=50).filter(
        lambda text: not any("\ud800" <= one <= "\udfff" or one == "\0" for one in text)
    )
)
def test_a_quoted_value_is_itself(text: str) -> None:
    if not text.strip():
        return
    [word] = read(f"workflow:{quoted(text)}").words
    assert [value.text for value in word.values] == [text]
    assert not word.values[0].prefix
