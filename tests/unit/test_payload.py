"""Values come back exactly as they were, or are refused with the place inside them."""

from __future__ import annotations

import copy
import dataclasses
import enum
import functools
import inspect
import math
import typing
from collections import OrderedDict, defaultdict, deque
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, Optional, Union
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
import typing_extensions
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, computed_field

from holdfast.errors import PayloadError, UsageError
from holdfast.model.exactness import MAX_DEPTH, difference
from holdfast.model.payload import HEADER, MAX_PAYLOAD_BYTES, codec_of

PLACE = "charge() result"


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Word(enum.StrEnum):
    YES = "yes"


class Name(str):
    __slots__ = ()


@dataclasses.dataclass
class Point:
    x: float
    y: float


@dataclasses.dataclass
class Line:
    sku: str
    price: Decimal
    at: datetime
    data: bytes = b""
    tags: frozenset[str] = frozenset()


class Pair(NamedTuple):
    left: int
    right: str


class Base(BaseModel):
    id: str


class Derived(Base):
    more: int = 0


class Order(BaseModel):
    id: UUID
    lines: list[Line]
    colour: Colour | None = None
    extra: Any = None


class Old(typing.TypedDict):
    when: date
    ratio: float


class Partial(typing_extensions.TypedDict, total=False):
    a: int
    b: typing_extensions.Required[str]


class Cat(BaseModel):
    name: str


class Dog(BaseModel):
    name: str


def same(a: object, b: object) -> bool:
    return difference(a, b, "") is None and type(a) is type(b)


def round_trip(annotation: Any, value: Any) -> Any:
    codec = codec_of(annotation)
    data, seen = codec.settle(value, PLACE)
    assert data[:1] == HEADER
    msgspec.json.decode(data[1:])
    back = codec.decode(data, PLACE)
    assert same(back, seen)
    again = codec.encode(back, PLACE)
    assert same(codec.decode(again, PLACE), seen)
    return back


def refused(annotation: Any, value: Any) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        codec_of(annotation).settle(value, PLACE)
    assert caught.value.place.startswith(PLACE)
    str(caught.value).encode()
    return caught.value


plain_scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.characters(categories=["Cs"])
wild_scalars = (
    plain_scalars
    | st.binary(max_size=8)
    | st.datetimes(timezones=st.none() | st.just(UTC))
    | st.dates()
    | st.timedeltas()
    | st.decimals()
    | st.uuids()
    | st.sampled_from([Colour.RED, Level.LOW, Word.YES, Name("n"), Point(1.0, 2.0), Base(id="a"), Pair(1, "a")])
)
wild = st.recursive(
    wild_scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.booleans() | st.none() | st.just(Word.YES), inner, max_size=4)
        | st.builds(OrderedDict, st.dictionaries(st.text(), inner, max_size=2))
    ),
    max_leaves=12,
)


def is_plain(value: object) -> bool:
    """What plain JSON is, said a second time."""
    if type(value) is list:
        return all(map(is_plain, value))
    if type(value) is dict:
        return all(type(key) is str and is_plain(key) and is_plain(part) for key, part in value.items())
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is str:
        return not any("\ud800" <= char <= "\udfff" for char in value)
    return value is None or type(value) in (bool, int)


@pytest.mark.slow
@given(wild)
@settings(max_examples=400)
def test_unannotated_values_come_back_exactly_if_and_only_if_they_are_plain_json(value: Any) -> None:
    before = copy.deepcopy(value)
    if is_plain(value):
        back = round_trip(inspect.Parameter.empty, value)
        assert same(back, before)
        assert repr(back) == repr(before)
    else:
        refused(Any, value)


ANNOTATIONS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (int, st.integers()),
    (float, st.floats() | st.integers()),
    (str, st.text()),
    (bytes, st.binary()),
    (bool, st.booleans()),
    (Decimal, st.decimals()),
    (UUID, st.uuids()),
    (date, st.dates()),
    (datetime, st.datetimes(timezones=st.none() | st.timezones())),
    (time, st.times(timezones=st.none() | st.just(UTC))),
    (timedelta, st.timedeltas()),
    (list[int], st.lists(st.integers())),
    (list[float], st.lists(st.floats() | st.integers())),
    (dict[str, float | None], st.dictionaries(st.text(), st.none() | st.floats())),
    (dict[int, str], st.dictionaries(st.integers(), st.text())),
    (tuple[int, ...], st.lists(st.integers()).map(tuple)),
    (tuple[int, str, bytes], st.tuples(st.integers(), st.text(), st.binary())),
    (set[int], st.sets(st.integers())),
    (frozenset[str], st.frozensets(st.text())),
    (int | str | None, st.none() | st.text() | st.integers()),
    (float | str | bool, st.booleans() | st.text() | st.floats() | st.integers()),
    (datetime | str, st.text() | st.datetimes() | st.dates().map(str)),
    (Union[str, UUID], st.uuids() | st.uuids().map(str)),  # noqa: UP007
    (Decimal | float, st.decimals() | st.floats()),
    (Colour, st.sampled_from(Colour)),
    (Level | int, st.sampled_from(Level) | st.integers(0, 3)),
    (Literal[1, "a", True], st.sampled_from([1, "a", True])),
    (Point, st.builds(Point, st.floats(), st.floats())),
    (
        Line,
        st.builds(
            Line, st.text(), st.decimals(), st.datetimes(timezones=st.just(UTC)), st.binary(), st.just(frozenset("a"))
        ),
    ),
    (Pair, st.builds(Pair, st.integers(), st.text())),
    (Order, st.builds(Order, id=st.uuids(), lines=st.just([]), colour=st.sampled_from(Colour), extra=wild)),
    (Old, st.fixed_dictionaries({"when": st.dates(), "ratio": st.floats() | st.integers()})),
    (Cat | Dog, st.builds(Cat, name=st.text()) | st.builds(Dog, name=st.text())),
    (dict, wild),
    (list[Any], wild),
    (dict[str, list[Any]], wild),
    (Optional[Base], st.none() | st.builds(Derived, id=st.text())),  # noqa: UP045
    (tuple[Any, ...], st.lists(wild, max_size=3).map(tuple)),
]


@pytest.mark.slow
@given(st.sampled_from(ANNOTATIONS).flatmap(lambda pair: st.tuples(st.just(pair[0]), pair[1] | wild)))
@settings(max_examples=1000)
def test_annotated_values_come_back_exactly_or_are_refused(case: tuple[Any, Any]) -> None:
    annotation, value = case
    before = copy.deepcopy(value)
    try:
        back = round_trip(annotation, value)
    except PayloadError:
        refused(annotation, value)
    else:
        assert same(back, before)


NOON = datetime(2024, 2, 29, 12, 0, 0, 123456)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (Any, {"a": [1, 2.5, None, True, "\0", {"b": -0.0}], "": 1e22}),
        (Any, 2**70),
        (int, 10**4000),
        (list[int], [2**70, -(2**64)]),
        (float, -0.0),
        (float, 3),
        (float, 2**70),
        (list[float], [1, 1.0, -0.0, 1e300]),
        (float | None, None),
        (Old, {"when": date(1, 1, 1), "ratio": 1}),
        (Partial, {"b": "x"}),
        (datetime, datetime.min),
        (datetime, datetime.max),
        (datetime, NOON.replace(tzinfo=timezone(timedelta(hours=5, minutes=30)))),
        (datetime, NOON.replace(tzinfo=BERLIN)),
        (datetime, datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN)),
        (set[datetime], {NOON.replace(tzinfo=UTC)}),
        (timedelta, timedelta(days=-1, microseconds=1)),
        (Decimal, Decimal("1.00")),
        (list[Decimal], [Decimal("1.0"), Decimal("-0"), Decimal("1E+3")]),
        (bytes, bytes(range(256))),
        (dict[str, bytes], {"a": b"\xff"}),
        (Line, Line("a", Decimal("1.10"), NOON, b"\xff\0", frozenset("ab"))),
        (list[Line], [Line("a", Decimal(1), NOON)]),
        (Order, Order(id=UUID(int=1), lines=[Line("\0", Decimal(1), NOON)], colour=Colour.RED)),
        (dict[Colour, int], {Colour.RED: 1}),
        (dict[int, str], {1: "a", 2**70: "b"}),
        (dict[date, int], {date(2024, 1, 1): 1}),
        (defaultdict[str, int], defaultdict(int, a=1)),
        (OrderedDict[str, int], OrderedDict(a=1)),
        (deque[int], deque([1])),
        (tuple[()], ()),
        (Pair | None, Pair(1, "a")),
        (dict | list, {"a": [1]}),
        (Annotated[int, {"not": "hashable"}], 5),
        (Annotated[float, Field(gt=0)], 5.0),
        (None, None),
        (object, [1]),
        (Word, Word.YES),
        (Literal["a"], "a"),
        (Dog | Cat, Dog(name="d")),
        (Cat | Dog, Cat(name="c")),
    ],
    ids=lambda part: type(part).__name__,
)
def test_round_trips(annotation: Any, value: Any) -> None:
    before = copy.deepcopy(value)
    assert same(round_trip(annotation, value), before)


class Utf8(BaseModel):
    data: bytes


class Hidden(BaseModel):
    token: SecretStr


class Secretive(BaseModel):
    _seen: int = PrivateAttr(0)


class Shut(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int = Field(alias="theA")

    @computed_field
    def twice(self) -> int:
        return self.a * 2

    @functools.cached_property
    def thrice(self) -> int:
        return self.a * 3


class Marked(BaseModel):
    kept: int
    left: int = Field(default=0, exclude=True)


@pytest.mark.parametrize(
    ("annotation", "value", "place"),
    [
        (Any, (1,), ""),
        (Any, {"a": [1, (2,)]}, ".a[1]"),
        (Any, {"a b": NOON}, "['a b']"),
        (Any, [b"x"], "[0]"),
        (Any, {1: 2}, ""),
        (Any, {"a": {True: 2}}, ".a"),
        (Any, [float("nan")], "[0]"),
        (Any, float("inf"), ""),
        (Any, Level.LOW, ""),
        (Any, [Level.LOW], "[0]"),
        (Any, [Word.YES], "[0]"),
        (Any, {Word.YES: 1}, ""),
        (Any, [Name("x")], "[0]"),
        (Any, OrderedDict(a=1), ""),
        (Any, [Colour.RED], "[0]"),
        (Any, [Point(1.0, 2.0)], "[0]"),
        (Any, {1, 2}, ""),
        (Any, bytearray(b"x"), ""),
        (Any, object(), ""),
        (Any, "\ud800", ""),
        (Any, {"a": ["ok", "x\udfff"]}, ".a[1]"),
        (Any, {"\ud800": 1}, "['\\ud800']"),
        (Any, 10**5000, ""),
        (Any, {"n": [-(10**5000)]}, ".n[0]"),
        (int, 10**5000, ""),
        (list[int], [1, 10**5000], "[1]"),
        (int, True, ""),
        (bool, 1, ""),
        (str, 5, ""),
        (int, "5", ""),
        (int, 5.0, ""),
        (str, Word.YES, ""),
        (str, Name("x"), ""),
        (float, float("nan"), ""),
        (float, True, ""),
        (list[float], [0.0, float("nan")], "[1]"),
        (float | None, float("inf"), ""),
        (list[float | None], [float("nan")], "[0]"),
        (list[int], [1, True], "[1]"),
        (list[int], [1, Level.LOW], "[1]"),
        (list[str], ["a", Name("b")], "[1]"),
        (list[str], ["a", "\ud800"], "[1]"),
        (dict[str, int], {"a": 1, "\udc00": 1}, " key '\\udc00'"),
        (bytes, bytearray(b"x"), ""),
        (list[bytes], [bytearray(b"x")], "[0]"),
        (list[Any], [1, (2,)], "[1]"),
        (dict, {1: 2}, ""),
        (dict, [], ""),
        (dict[str, list[Any]], {"a": [1, NOON]}, ".a[1]"),
        (dict[str, list[Any]], {"a": [float("nan")]}, ".a[0]"),
        (Order, Order(id=UUID(int=1), lines=[], extra=(1,)), ".extra"),
        (Order, Order(id=UUID(int=1), lines=[], extra={"k": [Level.LOW]}), ".extra.k[0]"),
        (Order, Order(id=UUID(int=1), lines=[Line("", Decimal("nan"), NOON)]), ".lines[0].price"),
        (Order, Order.model_construct(id=UUID(int=1), lines=[Line("a", 5, NOON)], extra=None), ".lines[0].price"),
        (Order, Order.model_construct(id=UUID(int=1), lines=[Line("\ud800", Decimal(5), NOON)]), ".lines[0].sku"),
        (Base, Derived(id="a"), ""),
        (list[Base], [Base(id="a"), Derived(id="a")], "[1]"),
        (Cat | Dog, Dog(name="d"), ""),
        (Point, Point(1, 2), ".x"),
        (Utf8, Utf8(data=b"\xff"), ""),
        (Hidden, Hidden(token=SecretStr("s")), ".token"),
        (Marked, Marked(kept=1, left=2), ".left"),
        (tuple[int, int], [1, 2], ""),
        (list[int], (1, 2), ""),
        (set[float], {float("nan")}, "[0]"),
        (deque[int], deque([1], maxlen=3), ""),
        (defaultdict[str, int], defaultdict(lambda: 5, a=1), ""),
        (datetime, datetime(2024, 1, 1, fold=1), ""),
        (type, int, ""),
    ],
    ids=lambda part: type(part).__name__,
)
def test_refusals_name_the_place(annotation: Any, value: Any, place: str) -> None:
    assert refused(annotation, value).place == PLACE + place


def test_a_message_says_what_is_there_and_what_to_do() -> None:
    message = str(refused(Any, {"lines": [{"price": Decimal(1)}]}))
    assert message.startswith("charge() result.lines[0].price: is a value of type decimal.Decimal")
    assert "annotate it" in message
    assert "nan is not a number of JSON" in str(refused(list[float], [float("nan")]))
    assert "lone surrogate at character 1" in str(refused(str, "a\ud800"))


def test_fields_that_pydantic_computes_renames_or_caches_do_no_harm() -> None:
    value = Shut(theA=2)
    assert value.thrice == 6
    assert round_trip(Shut, value).a == 2
    private = Secretive()
    assert round_trip(Secretive, private) == private
    private._seen = 5
    assert "private attributes" in str(refused(Secretive, private))


def test_a_dataclass_with_an_attribute_that_is_no_field_is_refused() -> None:
    point = Point(1.0, 2.0)
    point.z = 3.0  # type: ignore[attr-defined]
    assert refused(Point, point).place == PLACE + ".z"


@pytest.mark.slow
def test_nesting_is_bounded() -> None:
    def nested(depth: int) -> list[Any]:
        value: list[Any] = []
        for _ in range(depth - 1):
            value = [value]
        return value

    for annotation in (Any, list, list[list[Any]]):
        assert same(round_trip(annotation, nested(MAX_DEPTH)), nested(MAX_DEPTH))
        for depth in (MAX_DEPTH + 2, 900, 100_000):
            assert "deep" in str(refused(annotation, nested(depth)))
    round_trip(Any, [[] for _ in range(10_000)])


def test_what_contains_itself_is_refused() -> None:
    loop: list[Any] = [1]
    loop.append({"again": loop})
    for annotation in (Any, list[Any], list, tuple[Any, ...], list[int | dict[str, Any]]):
        error = refused(annotation, loop if annotation != tuple[Any, ...] else (loop,))
        assert error.place.endswith("[1].again") or error.place.endswith("[1].again[1].again")
        assert "itself" in error.reason


@pytest.mark.slow
def test_what_is_too_large_is_refused_with_its_size() -> None:
    fits = "x" * (MAX_PAYLOAD_BYTES - 3)
    data, _ = codec_of(str).settle(fits, PLACE)
    assert len(data) == MAX_PAYLOAD_BYTES
    for annotation, value in [(str, fits + "x"), (Any, [fits]), (list[str], [fits]), (bytes, b"x" * MAX_PAYLOAD_BYTES)]:
        error = refused(annotation, value)
        assert "16,777,216" in error.reason
        assert "object store" in error.reason


class Roomy:
    """Says how large its payloads may be."""

    __payload_bytes__ = MAX_PAYLOAD_BYTES + 10


def test_a_class_says_how_large_its_payload_may_be() -> None:
    for annotation in (Roomy, Roomy | None, list[Roomy], dict[str, tuple[Roomy, ...]]):
        assert codec_of(annotation).most_bytes == MAX_PAYLOAD_BYTES + 10
    for annotation in (Any, str, list[str], Literal["Roomy"], Cat | Dog):
        assert codec_of(annotation).most_bytes == MAX_PAYLOAD_BYTES


def test_a_replay_sees_what_the_first_run_saw() -> None:
    value = {"a": [1]}
    _, seen = codec_of(Any).settle(value, PLACE)
    assert seen == value
    assert seen is not value
    assert seen["a"] is not value["a"]


@pytest.mark.parametrize("data", [b"", b"\x02{}", b"{}", b"\x00"])
def test_an_unknown_header_is_named(data: bytes) -> None:
    with pytest.raises(PayloadError, match="this version reads format 1 only"):
        codec_of(Any).decode(data, PLACE)


@pytest.mark.parametrize(
    ("annotation", "body"),
    [
        (Any, b"{"),
        (Any, b"\xff"),
        (str, b"5"),
        (dict, b"[]"),
        (list[int], b'["a"]'),
        (Base, b"{}"),
        (Any, b"1e999"),
        (int, b"1.5"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(annotation: Any, body: bytes) -> None:
    with pytest.raises(PayloadError, match=r"^charge\(\) result"):
        codec_of(annotation).decode(HEADER + body, PLACE)


def test_the_place_in_bytes_that_do_not_fit_leaves_out_the_members_of_a_union() -> None:
    body = b'{"id":"00000000-0000-0000-0000-000000000001","lines":[{"sku":"a","price":"x","at":"2024-01-01T00:00:00"}]}'
    with pytest.raises(PayloadError) as caught:
        codec_of(Order | list[int]).decode(HEADER + body, PLACE)
    assert caught.value.place == PLACE + ".lines[0].price"


def test_codecs_are_cached_and_keep_the_order_of_unions() -> None:
    assert codec_of(list[int]) is codec_of(list[int])
    assert codec_of(Cat | Dog) is not codec_of(Dog | Cat)
    assert codec_of(Literal[1]) is not codec_of(Literal[True])


def test_an_annotation_that_cannot_be_stored_is_a_usage_error() -> None:
    class Odd(BaseModel):
        later: Nowhere  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(UsageError, match="cannot be stored"):
        codec_of(Odd).settle(1, PLACE)
    assert codec_of(Odd).json_schema() == {}


def test_schemas() -> None:
    assert codec_of(Any).json_schema() == {}
    assert codec_of(float).json_schema() == {"type": "number"}
    assert codec_of(Old).json_schema()["properties"]["when"]["format"] == "date"
    assert codec_of(Order).json_schema()["properties"]["id"]["format"] == "uuid"
    assert codec_of(typing.Callable[[], int]).json_schema() == {}
