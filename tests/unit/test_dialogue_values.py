"""What a step collects: each type with what it takes and what it refuses, and the schema that a model is given."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import UsageError
from holdfast.model.dialogues import DialogueField, check_value, dialogue_from, json_schema

LONG = "x" * 10_001
PRAGUE = timezone(timedelta(hours=1))


def short(value: Any) -> str:
    return repr(value)[:30]


def field(said: Any) -> DialogueField:
    [step] = dialogue_from({"conversation": {"id": "d"}, "steps": [{"id": "s", "collects": {"x": said}}]}).steps
    return step.fields[0]


@pytest.mark.parametrize(
    ("said", "value", "taken"),
    [
        ("text", "Acme\nLtd.", "Acme\nLtd."),
        ("text", " x ", " x "),
        ("text", "x" * 10_000, "x" * 10_000),
        ({"type": "text", "max_characters": 100_000}, "x" * 100_000, "x" * 100_000),
        ({"type": "text", "pattern": "[A-Z]{2}"}, "AB", "AB"),
        ("integer", -3, -3),
        ("integer", 2**53, 2**53),
        ("integer", 3.0, 3),
        ({"type": "integer", "minimum": 1, "maximum": 3}, 1, 1),
        ({"type": "integer", "minimum": 1, "maximum": 3}, 3, 3),
        ("number", 0.5, 0.5),
        ("number", 7, 7),
        ("number", 10**300, 1e300),
        ({"type": "number", "minimum": 0.5}, 0.5, 0.5),
        ({"type": "number", "maximum": 10**300}, 10**299, 1e299),
        ("boolean", True, True),
        ("boolean", False, False),
        ("date", "2028-02-29", "2028-02-29"),
        ("date", date(2026, 1, 31), "2026-01-31"),
        ("datetime", "2026-01-31T14:30:00+01:00", "2026-01-31T14:30:00+01:00"),
        ("datetime", "2026-01-31 14:30z", "2026-01-31T14:30:00+00:00"),
        ("datetime", "2026-01-31t14:30:00.5Z", "2026-01-31T14:30:00.500000+00:00"),
        ("datetime", datetime(2026, 1, 31, 14, 30, tzinfo=PRAGUE), "2026-01-31T14:30:00+01:00"),
        ("email", "Ann@Example.COM", "ann@example.com"),
        ({"type": "email", "pattern": ".*@example[.]com"}, "ANN@example.com", "ann@example.com"),
        ({"type": "choice", "choices": ["Small", "large"]}, "Small", "Small"),
        ("texts", ["a", "b", "a"], ["a", "b", "a"]),
        ("texts", ("a",), ["a"]),
        ("texts", ["a"] * 100, ["a"] * 100),
    ],
    ids=short,
)  # fmt: skip
def test_a_value_that_fits_is_taken_as_plain_json(said: Any, value: Any, taken: Any) -> None:
    found = check_value(field(said), value)
    assert found == taken
    assert type(found) is type(taken)
    assert msgspec.json.decode(msgspec.json.encode(found)) == taken


@pytest.mark.parametrize(
    ("said", "value", "told"),
    [
        ("text", 7, "x is 7; give a text"),
        ("text", True, "x is true; give a text"),
        ("text", None, "x is null; give a text"),
        ("text", ["a"], "x is a list; give a text"),
        ("text", "", "give a text that is not blank, or leave it out"),
        ("text", " \n", "give a text that is not blank"),
        ("text", LONG, "give at most 10,000 characters; these are 10,001"),
        ("text", "a\0b", "give it without the NUL character at 1"),
        ("text", "a\udfff", "give it without half of a surrogate pair at 1"),
        ({"type": "text", "pattern": "[A-Z]{2}"}, "ABC", "x is 'ABC'; give a text that matches '[A-Z]{2}'"),
        ({"type": "text", "pattern": "[A-Z]{2}"}, "AB\n", "give a text that matches"),
        ("integer", True, "x is true; give a whole number"),
        ("integer", "7", "x is '7'; give a whole number"),
        ("integer", 1.5, "x is 1.5; give a whole number"),
        ("integer", float("nan"), "x is nan; give a whole number"),
        ("integer", float("inf"), "x is inf; give a whole number"),
        ("integer", 1e300, "x is 1e+300; give a whole number"),
        ("integer", 2**53 + 1, "x is 9,007,199,254,740,993; give a whole number"),
        ({"type": "integer", "minimum": 1}, 0, "x is 0; give a whole number, at least 1"),
        ({"type": "integer", "maximum": 1000}, 1001, "x is 1,001; give a whole number, at most 1,000"),
        ({"type": "integer", "minimum": 1, "maximum": 3}, 4, "x is 4; give a whole number, 1 to 3"),
        ("number", False, "x is false; give a number"),
        ("number", "0.5", "x is '0.5'; give a number"),
        ("number", float("nan"), "x is nan; give a number"),
        ("number", float("-inf"), "x is -inf; give a number"),
        ("number", 10**400, "x is a number of many digits; give a number"),
        ({"type": "number", "minimum": 0.5, "maximum": 2}, 0.4, "x is 0.4; give a number, 0.5 to 2"),
        ("boolean", 1, "x is 1; give true or false"),
        ("boolean", "yes", "x is 'yes'; give true or false"),
        ("boolean", None, "x is null; give true or false"),
        ("date", "2026-02-29", "x is '2026-02-29'; give a date of the calendar, such as 2026-01-31"),
        ("date", "31.1.2026", "give a date of the calendar"),
        ("date", "2026-W05-6", "give a date of the calendar"),
        ("date", "20260131", "give a date of the calendar"),
        ("date", "٢٠٢٦-01-31", "give a date of the calendar"),
        ("date", "2026-01-31T00:00:00Z", "give a date of the calendar"),
        ("date", datetime(2026, 1, 31, tzinfo=UTC), "give a date of the calendar"),
        ("date", 20260131, "x is 20,260,131; give a date of the calendar"),
        ("datetime", "2026-01-31T14:30:00", "give date, time and offset from UTC, such as"),
        ("datetime", datetime(2026, 1, 31), "give date, time and offset from UTC"),
        ("datetime", "2026-01-31T25:30:00Z", "give date, time and offset from UTC"),
        ("datetime", "2026-01-31T14:30:00+99:00", "give date, time and offset from UTC"),
        ("datetime", "2026-01-31", "give date, time and offset from UTC"),
        ("datetime", 1_769_869_800, "give date, time and offset from UTC"),
        ("email", "ann", "x is 'ann'; give an e-mail address of at most 254 characters, such as ann@example.com"),
        ("email", "ann@b@example.com", "give an e-mail address"),
        ("email", "ann @example.com", "give an e-mail address"),
        ("email", f"{'a' * 250}@b.cz", "give an e-mail address"),
        ("email", 7, "x is 7; give an e-mail address"),
        ({"type": "email", "max_characters": 5}, "ann@example.com", "give at most 5 characters"),
        ({"type": "email", "pattern": ".*@example[.]com"}, "ann@example.org", "give a text that matches"),
        ({"type": "choice", "choices": ["small", "large"]}, "smal", "one of small, large. Did you mean small?"),
        ({"type": "choice", "choices": ["small", "large"]}, "LARGE", "x is 'LARGE'; give one of small, large"),
        ({"type": "choice", "choices": ["1"]}, 1, "x is 1; give one of 1"),
        ({"type": "choice", "choices": ["true"]}, True, "x is true; give one of true"),
        ({"type": "choice", "choices": ["a"]}, ["a"], "x is a list; give one of a"),
        ("texts", "a", "x is 'a'; give a list of texts, or leave it out"),
        ("texts", [], "x is a list; give a list of texts, or leave it out"),
        ("texts", {"a": 1}, "x is a table; give a list of texts"),
        ("texts", ["a"] * 101, "give at most 100 texts; these are 101"),
        ("texts", ["a", 7], "x is 7; give a text"),
        ("texts", ["a", "\0"], "give it without the NUL character"),
        ({"type": "texts", "max_characters": 3}, ["abc", "abcd"], "give at most 3 characters; these are 4"),
    ],
    ids=short,
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused_with_what_to_give(said: Any, value: Any, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_value(field(said), value)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 1500


def test_a_number_too_long_to_be_written_is_refused() -> None:
    for type in ("integer", "number", "text", "date", "boolean"):
        with pytest.raises(UsageError, match="x is a number of many digits; give"):
            check_value(field(type), 10**5000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
FIELDS = [
    field(said)
    for said in (
        "text", "integer", "number", "boolean", "date", "datetime", "email", "texts",
        {"type": "text", "pattern": "a+", "max_characters": 3},
        {"type": "integer", "minimum": -5, "maximum": 5},
        {"type": "number", "maximum": 0.5},
        {"type": "texts", "max_characters": 2},
        {"type": "choice", "choices": ["a", "b"]},
    )
]  # fmt: skip


@given(st.sampled_from(FIELDS), JSON)
def test_whatever_comes_is_refused_or_taken_once_and_for_all(one: DialogueField, value: Any) -> None:
    try:
        taken = check_value(one, value)
    except UsageError:
        return
    assert check_value(one, taken) == taken
    assert msgspec.json.decode(msgspec.json.encode(taken)) == taken


DIALOGUE = dialogue_from(
    {
        "conversation": {"id": "d"},
        "steps": [
            {
                "id": "first",
                "ask": "Who is it?",
                "collects": {
                    "name": {"type": "text", "pattern": "[a-z]+", "max_characters": 5},
                    "mail": "email",
                    "age": {"type": "integer", "minimum": 0, "maximum": 150},
                    "share": {"type": "number", "maximum": 0.5},
                },
            },
            {
                "id": "second",
                "title": "More",
                "collects": {
                    "kind": {"type": "choice", "choices": ["a", "b"]},
                    "tags": {"type": "texts", "max_characters": 3},
                    "on": "date",
                    "at": "datetime",
                    "sure": "boolean",
                },
            },
        ],
    }
)
GOOD = {
    "name": "anna", "mail": "ann@example.com", "age": 40, "share": 0.25, "kind": "a", "tags": ["x", "yz"],
    "on": "2026-01-31", "at": "2026-01-31T14:30:00+01:00", "sure": True,
}  # fmt: skip


def test_a_model_is_told_all_fields_as_json_schema() -> None:
    schema = json_schema(DIALOGUE)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert list(schema["properties"]) == list(GOOD)
    assert schema["properties"]["age"] == {
        "type": "integer", "minimum": 0, "maximum": 150, "description": "Who is it?",
    }  # fmt: skip
    assert schema["properties"]["kind"] == {"type": "string", "enum": ["a", "b"], "description": "More"}
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({})
    assert validator.is_valid(GOOD)
    assert {name: check_value(DIALOGUE.fields[name], value) for name, value in GOOD.items()} == GOOD


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "Anna"}, {"name": "annabel"}, {"name": ""}, {"mail": 7}, {"age": -1}, {"age": True}, {"age": 1.5},
        {"share": 0.6}, {"kind": "c"}, {"tags": "x"}, {"tags": []}, {"tags": ["long"]}, {"on": 1}, {"at": None},
        {"sure": "yes"}, {"other": 1},
    ],
)  # fmt: skip
def test_the_schema_refuses_what_is_refused(bad: dict[str, Any]) -> None:
    assert not jsonschema.Draft202012Validator(json_schema(DIALOGUE)).is_valid(bad)
    [(name, value)] = bad.items()
    if name in DIALOGUE.fields:
        with pytest.raises(UsageError):
            check_value(DIALOGUE.fields[name], value)


def test_a_step_has_a_schema_of_its_own_fields() -> None:
    assert list(json_schema(DIALOGUE.steps[1])["properties"]) == ["kind", "tags", "on", "at", "sure"]
