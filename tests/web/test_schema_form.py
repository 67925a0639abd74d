"""Forms from schemas: which fields there are, and which input they give."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel

import holdfast as hf
from holdfast.web.form import Form
from holdfast.web.schema_form import example, fields_of, read_fields


class Line(BaseModel):
    sku: str
    pieces: int = 1


@hf.workflow
async def wide(
    name: str, count: int, share: float = 0.5, sure: bool = True,
    lines: list[Line] = [], note: str | None = None,  # noqa: B006
    *, size: Literal["s", "m"] = "m", level: Literal[1, 2] = 1, anything: Any = None,
) -> None:  # fmt: skip
    pass


FIELDS = fields_of(wide.signature.input_schema())


def test_each_argument_has_its_field() -> None:
    assert [(one.argument, one.kind, one.needed) for one in FIELDS] == [
        ("name", "text", True), ("count", "integer", True), ("share", "number", False), ("sure", "boolean", False),
        ("lines", "json", False), ("note", "text", False), ("size", "choice", False), ("level", "choice", False),
        ("anything", "json", False),
    ]  # fmt: skip


def test_what_is_left_empty_takes_its_default() -> None:
    form = Form({"in.name": "", "in.count": "3", "in.sure": "yes", "in.size": "", "in.level": "2"})
    assert read_fields(form, FIELDS) == {"name": "", "count": 3, "sure": True, "level": 2}
    assert form.sound


def test_values_are_read_as_what_they_are() -> None:
    form = Form(
        {"in.name": "7", "in.count": "-1", "in.share": "1e3", "in.lines": '[{"sku": "a"}]', "in.anything": "null"}
    )
    assert read_fields(form, FIELDS) == {
        "name": "7", "count": -1, "share": 1000.0, "sure": False, "lines": [{"sku": "a"}], "anything": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("in.count", "", "Give a value."),
        ("in.count", "1.5", "Give a whole number."),
        ("in.share", '"a"', "Give a number."),
        ("in.share", "true", "Give a number."),
        ("in.share", "1e999", "larger than a float"),
        ("in.lines", "[", "not JSON"),
        ("in.lines", "[" * 200 + "]" * 200, "deep"),
        ("in.lines", '{"a": 1, "a": 2}', "twice"),
        ("in.lines", "NaN", "no JSON"),
        ("in.size", "xl", "Choose one of these."),
    ],
)
def test_what_does_not_fit_is_told_at_its_field(field: str, value: str, words: str) -> None:
    form = Form({"in.name": "x", "in.count": "1", field: value})
    read_fields(form, FIELDS)
    assert words in form.errors[field]
    assert set(form.errors) == {field}


@pytest.mark.parametrize(
    "schema", [{}, {"properties": {"a": True}}, {"properties": {"a": {"enum": []}}, "required": ["a"]}]
)
def test_schemas_that_say_little_have_forms_too(schema: dict[str, Any]) -> None:
    assert [one.kind for one in fields_of(schema)] == ["json"] * len(schema.get("properties", {}))
    assert example(schema).startswith("{")
