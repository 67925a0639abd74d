"""Nulls in what people fill in: none is lost, though the data of an item holds none."""

from __future__ import annotations

import pydantic
import pytest

from holdfast.agents.phases.nulls import null_form
from holdfast.errors import PayloadError
from holdfast.model.work import ItemDocument
from holdfast.workqueue.forms import check_answers, form_of


class Line(pydantic.BaseModel):
    name: str
    note: str | None


class Order(pydantic.BaseModel):
    title: str
    lines: list[Line]
    first: Line
    other: Line | None
    count: int | None = 5


def order(**fields: object) -> Order:
    given = {"title": "a", "lines": [], "first": {"name": "b", "note": None}, "other": None, **fields}
    return Order.model_validate(given)


@pytest.mark.parametrize(
    "shown",
    [
        order(),
        order(count=None),
        order(other={"name": "c", "note": None}),
        order(lines=[{"name": "d", "note": None}, {"name": "e", "note": "f"}]),
    ],
)
def test_what_is_shown_comes_back_as_it_was(shown: Order) -> None:
    plain = shown.model_dump()
    form = null_form(form_of(Order), plain)
    kept = _without_nulls(plain)
    check_answers(ItemDocument(form=form.schema), kept)
    assert form.answer(kept, "the answer") == shown


def test_a_field_that_was_changed_is_changed() -> None:
    plain = order(count=None).model_dump()
    form = null_form(form_of(Order), plain)
    kept = {**_without_nulls(plain), "count": 7, "other": {"name": "x"}}
    assert form.answer(kept, "the answer") == order(count=7, other={"name": "x", "note": None})


def test_without_anything_shown_what_must_be_there_and_may_be_null_is_null() -> None:
    form = null_form(form_of(Order))
    given = {"title": "a", "first": {"name": "b"}, "lines": [{"name": "c"}]}
    check_answers(ItemDocument(form=form.schema), given)
    assert form.answer(given, "the answer") == order(lines=[{"name": "c", "note": None}])


def test_what_may_not_be_null_is_still_required() -> None:
    form = null_form(form_of(Order))
    with pytest.raises(PayloadError, match="'title'"):
        check_answers(ItemDocument(form=form.schema), {"first": {"name": "b"}, "lines": []})


def test_a_value_that_is_no_object_may_be_null_too() -> None:
    form = null_form(form_of(int | None), {"answer": None})
    check_answers(ItemDocument(form=form.schema), {})
    assert form.answer({}, "the answer") is None


def _without_nulls(value: object) -> object:
    """As the data of an item is kept: nulls delete fields, and stay in lists."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return value
