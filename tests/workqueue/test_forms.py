"""Forms: what a program may ask for, what a person fills in, and the answer that comes of it."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Literal, Optional, TypedDict

import pydantic
import pytest

from holdfast.errors import PayloadError, UsageError
from holdfast.model.work import ItemDocument
from holdfast.workqueue.forms import ANSWER, check_answers, form_of


class Kind(StrEnum):
    A = "a"
    B = "b"


class Line(pydantic.BaseModel):
    sku: str
    count: int = 1


class Order(pydantic.BaseModel):
    kind: Kind
    day: date
    lines: list[Line] = []


class Node(pydantic.BaseModel):
    name: str
    below: list["Node"] = []


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    good: bool


@dataclass
class Decision:
    approved: bool
    note: str = ""


class Fields(TypedDict):
    a: int


def answered(form: Any, data: dict[str, Any]) -> Any:
    """The answer that comes of what was filled in, as a person's browser or a program sends it."""
    made = form_of(form)
    check_answers(ItemDocument(form=made.schema), data)
    return made.answer(data, "the answer")


@pytest.mark.parametrize(
    ("form", "data", "answer"),
    [
        (Decision, {"approved": True}, Decision(True)),
        (Decision, {"approved": False, "note": "no", "next_steps": ["call"]}, Decision(False, "no")),
        (Order, {"kind": "a", "day": "2026-03-01"}, Order(kind=Kind.A, day=date(2026, 3, 1))),
        (Node, {"name": "x", "below": [{"name": "y"}]}, Node(name="x", below=[Node(name="y")])),
        (Fields, {"a": 1}, {"a": 1}),
        (dict[str, int], {"a": 1}, {"a": 1}),
        (bool, {ANSWER: True}, True),
        (int, {ANSWER: 5}, 5),
        (Literal["yes", "no"], {ANSWER: "no"}, "no"),
        (Kind, {ANSWER: "b"}, Kind.B),
        (Optional[int], {ANSWER: None}, None),  # noqa: UP045 - as people write it
        (list[Line], {ANSWER: [{"sku": "s"}]}, [Line(sku="s")]),
        (Cat | Dog, {ANSWER: {"kind": "dog", "good": True}}, Dog(kind="dog", good=True)),
        (date, {ANSWER: "2026-03-01"}, date(2026, 3, 1)),
        ({"type": "object", "properties": {"a": {"type": "integer"}}}, {"a": 1, "b": "x"}, {"a": 1, "b": "x"}),
        ({"type": "integer"}, {ANSWER: 3}, 3),
        ({"type": "object", "properties": {"next_steps": {"type": "array"}}}, {"next_steps": []}, {"next_steps": []}),
        (None, {"a": [1]}, {"a": [1]}),
        (Any, {ANSWER: [1]}, [1]),
    ],
)
def test_an_answer(form: Any, data: dict[str, Any], answer: Any) -> None:
    found = answered(form, data)
    assert found == answer
    assert type(found) is type(answer)


@pytest.mark.parametrize(
    ("form", "data", "place"),
    [
        (Decision, {}, "data"),
        (Decision, {"approved": 1}, "data.approved"),
        (Order, {"kind": "c", "day": "2026-03-01"}, "data.kind"),
        (Order, {"kind": "a", "day": "2026-03-01", "lines": [{"sku": "s"}, {"count": 1}]}, "data.lines[1]"),
        (Node, {"name": "x", "below": [{"name": 1}]}, "data.below[0].name"),
        (bool, {}, "data"),
        (bool, {ANSWER: "yes"}, "data.answer"),
        (Literal["yes", "no"], {ANSWER: "maybe"}, "data.answer"),
        ({"type": "integer", "minimum": 3}, {ANSWER: 2}, "data.answer"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(form: Any, data: dict[str, Any], place: str) -> None:
    with pytest.raises(PayloadError) as refused:
        answered(form, data)
    assert refused.value.place == place


def test_what_only_the_type_knows_is_found_when_the_answer_is_read() -> None:
    class Even(pydantic.BaseModel):
        n: int

        @pydantic.field_validator("n")
        @classmethod
        def even(cls, n: int) -> int:
            if n % 2:
                raise ValueError("give an even number")
            return n

    assert answered(Even, {"n": 2}) == Even(n=2)
    with pytest.raises(PayloadError, match="even number"):
        answered(Even, {"n": 3})


@pytest.mark.parametrize(
    "form", [5, "text", object(), {"type": "object", "properties": 5}, {"$ref": "https://example.org/form"}]
)
def test_what_is_no_form_is_refused(form: Any) -> None:
    with pytest.raises(UsageError, match="form"):
        form_of(form)
