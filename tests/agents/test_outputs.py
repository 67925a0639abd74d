"""What phases give: read from answers, and written down."""

import contextlib
import datetime
import enum
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import TypedDict

from holdfast.agents.models.outputs import Output, output_of
from holdfast.errors import PayloadError, UsageError


class Line(pydantic.BaseModel):
    sku: str
    price: float


class Order(pydantic.BaseModel):
    """An order."""

    lines: list[Line]
    on: datetime.date | None = None


class Sum(pydantic.BaseModel, extra="forbid"):
    of: list[int] = pydantic.Field(alias="addends")

    @pydantic.computed_field
    def total(self) -> int:
        return sum(self.of)


@dataclass
class Point:
    x: int
    y: int = 0


class Reply(TypedDict):
    text: str
    tags: list[str]


class Tags(pydantic.BaseModel):
    tags: set[str]
    by_name: dict[str, frozenset[frozenset[int]]] = {}
    pairs: list[tuple[str, set[int]]] = []


class Checked(pydantic.BaseModel):
    odd: Annotated[int, pydantic.BeforeValidator(lambda given: object() if given == 1 else given["n"])]


class Tree(pydantic.BaseModel):
    name: str
    below: "list[Tree]" = []


class Grade(enum.Enum):
    GOOD = "good"
    BAD = "bad"


TYPES: dict[str, Any] = {
    "Order": Order, "Point": Point, "Reply": Reply, "Tree": Tree, "Grade": Grade, "Verdict": Literal["yes", "no"],
    "Count": int, "Names": list[str], "Either": Line | Point, "Note": str, "Much": Annotated[int, {"not": "hashable"}],
    "Open": dict[str, Any], "Sum": Sum, "Any": Any, "Tags": Tags,
}  # fmt: skip

SAMPLES: dict[str, Any] = {
    "Order": Order(lines=[Line(sku="a", price=1.5)], on=datetime.date(2026, 1, 2)),
    "Point": Point(3),
    "Reply": {"text": "yes", "tags": ["a"]},
    "Tree": Tree(name="a", below=[Tree(name="b")]),
    "Grade": Grade.BAD,
    "Verdict": "no",
    "Count": 7,
    "Names": ["Ann", "Bo"],
    "Either": Point(1, 2),
    "Note": "a text",
    "Much": 7,
    "Sum": Sum(addends=[1, 2]),
    "Any": [1, None, 10**30],
    "Tags": Tags(tags={"b", "a"}, by_name={"x": frozenset((frozenset((1, 2)), frozenset((3,))))}, pairs=[("a", {1})]),
    "Open": {"b": [1, None], "a": {"c": "ü"}},
}


@pytest.mark.parametrize("name", TYPES)
def test_what_is_written_down_is_read_again(name: str) -> None:
    output = output_of(name, TYPES)
    assert output.parse(output.dump(SAMPLES[name]).decode()) == SAMPLES[name]


@pytest.mark.parametrize("name", [name for name in TYPES if name != "Note"])
def test_a_model_is_asked_for_an_object_in_any_case(name: str) -> None:
    output = output_of(name, TYPES)
    asked = output.asked_schema
    assert asked is not None
    if "$ref" in asked:
        asked = {**asked, **asked["$defs"][asked["$ref"].rpartition("/")[2]]}
    assert asked["type"] == "object"
    whole = json.loads(output.dump(SAMPLES[name]))
    given = {"answer": whole} if "answer" in asked.get("properties", {}) else whole
    assert output.parse(json.dumps(given)) == SAMPLES[name]


def test_a_text_is_what_was_said() -> None:
    output = output_of("text")
    assert (output.schema, output.asked_schema, output.type) == (None, None, str)
    assert output.parse(" {not json} \n") == " {not json} \n"
    assert output.dump("Grüße\n") == "Grüße\n".encode()


@pytest.mark.parametrize(
    "said",
    [
        '{"x": 1}',
        '\n  {"x": 1}  ',
        '```json\n{"x": 1}\n```',
        '```\n{"x": 1}\n```',
        'Here it is:\n\n```json\n{\n  "x": 1\n}\n```\nAnything else?',
    ],
)
def test_json_is_found_with_and_without_fences(said: str) -> None:
    assert output_of("Point", TYPES).parse(said) == Point(1)


@pytest.mark.parametrize(
    ("name", "said", "wrong"),
    [
        ("Order", '{"lines": [{"sku": "a", "price": "dear"}]}', "lines[0].price: Input should be a valid number"),
        ("Order", '{"lines": [{"sku": "a", "price": "dear"}]}', 'it is "dear"'),
        ("Order", "{}", "lines: Field required."),
        ("Order", '{"lines": [', "It is not JSON"),
        ("Order", "I cannot do that.", "Give JSON only, an object that fits the schema."),
        ("Order", "[" * 5000, "It is not JSON"),
        ("Order", "", "It is empty."),
        ("text", "  \n", "It is empty."),
        ("text", "a\0b", "NUL"),
        ("text", "a\ud800b", "surrogate"),
        ("Reply", r'{"text": "a\u0000b", "tags": []}', "NUL"),
        ("Reply", r'{"text": "", "tags": ["\u0000"]}', "NUL"),
        ("Open", r'{"\u0000": 1}', "NUL"),
        ("Reply", r'{"text": "\ud800", "tags": []}', "It is not JSON"),
        ("Order", '{"lines": [{"sku": "a", "price": NaN}]}', "It is not JSON"),
        ("Order", '{"lines": [{"sku": "a", "price": 1e999}]}', "It is not JSON"),
        ("Count", '{"answer": "many"}', "Input should be a valid integer"),
        ("Verdict", '"perhaps"', "Input should be 'yes' or 'no'"),
        ("Names", '{"answer": ["a\\u0000"]}', "NUL"),
        ("Open", '{"a": ' + "[" * 900 + r'"\u0000"' + "]" * 900 + "}", "NUL"),
        ("Order", "Here: ```\n" + " " * 500_000 + "that is all", "It is not JSON"),
    ],
)
def test_what_does_not_fit_is_said_so_that_a_model_can_mend_it(name: str, said: str, wrong: str) -> None:
    with pytest.raises(PayloadError) as caught:
        output_of(name, TYPES).parse(said)
    assert wrong in caught.value.reason


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        ('{"odd": 1}', "odd: Input should be a valid integer; it is"),
        ('{"odd": {}}', "Its check failed with KeyError: 'n'"),
    ],
)
def test_a_check_that_does_not_expect_an_answer_refuses_it(said: str, wrong: str) -> None:
    with pytest.raises(PayloadError) as caught:
        Output("Checked", Checked).parse(said)
    assert wrong in caught.value.reason


def test_a_backslash_before_u0000_is_no_nul() -> None:
    assert output_of("Open", TYPES).parse(r'{"a": "\\u0000"}') == {"a": "\\u0000"}


def test_of_many_faults_the_first_are_told() -> None:
    said = json.dumps({"lines": [{"sku": "a" * 10_000, "price": "dear"}] * 100})
    with pytest.raises(PayloadError) as caught:
        output_of("Order", TYPES).parse(said)
    assert "And 90 more." in caught.value.reason
    assert len(caught.value.reason) < 3000


def test_equal_values_are_written_as_the_same_bytes() -> None:
    output = output_of("Open", TYPES)
    assert output.dump({"b": 1, "a": [1]}) == output.dump({"a": [1], "b": 1})
    assert output.dump({"b": 1, "a": [1]}) == b'{\n  "a": [\n    1\n  ],\n  "b": 1\n}\n'


def test_sets_are_written_in_order() -> None:
    names = [f"name {n}" for n in range(100)]
    value = Tags(tags=set(names), by_name={"x": frozenset((frozenset((9, 10)), frozenset((2, 1))))}, pairs=[])
    written = json.loads(output_of("Tags", TYPES).dump(value))
    assert written == {"tags": sorted(names), "by_name": {"x": [[1, 2], [10, 9]]}, "pairs": []}


@pytest.mark.parametrize(("name", "value"), [("text", 3), ("Point", "no point"), ("Order", {"lines": 3})])
def test_a_value_of_another_type_is_not_written(name: str, value: object) -> None:
    with pytest.raises(PayloadError, match=f"the output '{name}'"):
        output_of(name, TYPES).dump(value)


def test_an_output_that_the_code_does_not_give_is_named_with_those_that_it_does() -> None:
    with pytest.raises(UsageError, match=r"no output 'Oder'; the code gives: .*Point.* Did you mean 'Order'\?"):
        output_of("Oder", TYPES)


def test_a_type_without_a_schema_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'Strange' is .* no JSON Schema"):
        output_of("Strange", {"Strange": Output})


@given(st.text(max_size=200))
def test_no_answer_breaks_the_reading(said: str) -> None:
    for name in ("Order", "Count", "Either", "text"):
        with contextlib.suppress(PayloadError):
            output_of(name, TYPES).parse(said)
