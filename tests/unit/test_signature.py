"""Calls are bound, stored by parameter name, and come back typed by the function's annotations."""

from __future__ import annotations

import dataclasses
import typing
from datetime import UTC, datetime
from typing import Any, Unpack

import msgspec
import pytest
import typing_extensions
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from holdfast.errors import PayloadError, UsageError
from holdfast.model.payload import HEADER, MAX_PAYLOAD_BYTES, Codec
from holdfast.model.signature import Signature

if typing.TYPE_CHECKING:
    from nowhere import Unseen  # type: ignore[import-not-found]


async def checkout(order_id: str, cents: int) -> dict[str, Any]:
    return {}


async def everything(a: int, /, b: str, *rest: float, c: datetime | None = None, d: Later, **more: bool) -> Later:
    return d


async def bare(x, y=1):  # type: ignore[no-untyped-def]
    return x


async def lacking(x: Unseen, y: list[Unseen], z: int) -> Unseen:
    return x


class Later(BaseModel):
    n: int


@dataclasses.dataclass
class Order:
    id: str
    at: datetime
    items: list[Later] = dataclasses.field(default_factory=list)


class Options(typing_extensions.TypedDict, total=False):
    fast: bool
    size: typing_extensions.Required[int]


NOW = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)


def body(data: bytes) -> Any:
    assert data[:1] == HEADER
    return msgspec.json.decode(data[1:])


def test_bind_applies_defaults_in_the_order_of_the_parameters() -> None:
    signature = Signature(checkout)
    assert signature.bind(("o-1",), {"cents": 5}) == {"order_id": "o-1", "cents": 5}
    assert list(signature.bind((), {"cents": 5, "order_id": "o-1"})) == ["order_id", "cents"]
    assert Signature(bare).bind((2,), {}) == {"x": 2, "y": 1}
    later = Later(n=1)
    assert Signature(everything).bind((1, "b", 2.0, 3.0), {"d": later, "e": True}) == {
        "a": 1, "b": "b", "rest": (2.0, 3.0), "c": None, "d": later, "more": {"e": True},
    }  # fmt: skip
    assert Signature(everything).bind((1,), {"b": "b", "d": later})["rest"] == ()


@given(st.data())
def test_bind_takes_what_python_takes(data: st.DataObject) -> None:
    async def by_name(a: int, b: int = 2, *, c: int, d: int = 4) -> None: ...

    async def mixed(a: int, /, b: int = 2, *rest: int, c: int = 3, **more: int) -> None: ...

    async def strict(a: int, /, b: int, *, c: int = 3) -> None: ...

    fn = data.draw(st.sampled_from([by_name, mixed, strict, checkout, bare]))
    signature = Signature(fn)
    args = tuple(data.draw(st.lists(st.integers(), max_size=5)))
    kwargs = data.draw(
        st.dictionaries(st.sampled_from(["a", "b", "c", "d", "x", "order_id", "rest", "more"]), st.integers())
    )
    try:
        expected = signature._signature.bind(*args, **kwargs)
    except TypeError:
        with pytest.raises(UsageError, match="cannot be called so: it") as caught:
            signature.bind(args, kwargs)
        assert str(caught.value).endswith(str(signature))
    else:
        expected.apply_defaults()
        assert list(signature.bind(args, kwargs).items()) == list(expected.arguments.items())


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ((), {}, "it misses 'order_id', 'cents'"),
        (("o",), {"cent": 1}, "it misses 'cents', and it does not take 'cent'"),
        (("o", 1, 2), {}, "it takes 2 positional arguments and was given 3"),
        (("o", 1), {"order_id": "p"}, "it was given 'order_id' twice"),
    ],
)
def test_a_misfit_is_told_with_the_signature(args: tuple[Any, ...], kwargs: dict[str, Any], said: str) -> None:
    for call in (Signature(checkout).bind, Signature(checkout).encode_input):
        with pytest.raises(UsageError) as caught:
            call(args, kwargs)
        assert str(caught.value).startswith(
            f"checkout() cannot be called so: {said}; its signature is checkout(order_id"
        )


def test_input_is_stored_by_name_and_comes_back_typed() -> None:
    signature = Signature(everything)
    args, kwargs = (1, "b", 2.5, 3), {"d": Later(n=1), "c": NOW, "e": True}
    data = signature.encode_input(args, kwargs)
    assert body(data) == {
        "a": 1, "b": "b", "rest": [2.5, 3], "c": "2024-01-02T03:04:05Z", "d": {"n": 1}, "more": {"e": True},
    }  # fmt: skip
    assert signature.decode_input(data) == (args, kwargs)
    assert isinstance(signature.decode_input(data)[1]["d"], Later)
    back_args, back_kwargs = signature.decode_input(data)
    assert signature.encode_input(back_args, back_kwargs) == data


def test_the_same_call_gives_the_same_bytes_however_it_is_written() -> None:
    signature = Signature(checkout)
    data = signature.encode_input(("o-1", 5), {})
    assert data == b'\x01{"order_id":"o-1","cents":5}'
    assert data == signature.encode_input(("o-1",), {"cents": 5})
    assert data == signature.encode_input((), {"cents": 5, "order_id": "o-1"})
    assert data == signature.check_input({"cents": 5, "order_id": "o-1"})


@given(st.text() | st.characters(categories=["Cs"]), st.integers() | st.booleans() | st.floats() | st.none())
def test_scalars_come_back_or_are_refused_by_name(order_id: str, cents: Any) -> None:
    for signature in (Signature(checkout), Signature(bare)):
        try:
            data = signature.encode_input((order_id, cents), {})
        except PayloadError:
            with pytest.raises(PayloadError, match=r"argument '(order_id|cents|x|y)'"):
                signature.encode_input((order_id, cents), {})
        else:
            (first, second), named = signature.decode_input(data)
            assert (first, repr(second), named) == (order_id, repr(cents), {})


@pytest.mark.parametrize(
    ("args", "place"),
    [
        ((5, 5), "checkout() argument 'order_id'"),
        (("o", "5"), "checkout() argument 'cents'"),
        (("o", True), "checkout() argument 'cents'"),
        (("o", 5.0), "checkout() argument 'cents'"),
        (("\ud800", 5), "checkout() argument 'order_id'"),
        (("o", 10**5000), "checkout() argument 'cents'"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(args: tuple[Any, ...], place: str) -> None:
    signature = Signature(checkout)
    for _ in range(2):
        with pytest.raises(PayloadError) as caught:
            signature.encode_input(args, {})
        assert caught.value.place == place
        signature.encode_input(("o", 1), {})


def test_types_once_seen_to_fit_do_not_let_nan_through() -> None:
    async def wait(seconds: float) -> None: ...

    signature = Signature(wait)
    assert signature.encode_input((1.5,), {}) == b'\x01{"seconds":1.5}'
    with pytest.raises(PayloadError, match=r"^wait\(\) argument 'seconds': nan"):
        signature.encode_input((float("nan"),), {})


def test_places_inside_arguments() -> None:
    signature = Signature(everything)
    for args, kwargs, place in [
        ((1, "b", 1.0, "x"), {"d": Later(n=1)}, "everything() argument 'rest'[1]"),
        ((1, "b"), {"d": Later(n=1), "e": 5}, "everything() argument 'more'.e"),
        ((1, "b"), {"d": Later.model_construct(n="x")}, "everything() argument 'd'.n"),
    ]:
        with pytest.raises(PayloadError) as caught:
            signature.encode_input(args, kwargs)  # type: ignore[arg-type]
        assert caught.value.place == place


def test_the_whole_input_is_bounded() -> None:
    half = "x" * (MAX_PAYLOAD_BYTES // 2)
    for args in ((half, half), ([half], half)):
        with pytest.raises(PayloadError, match=r"^bare\(\) input: takes"):
            Signature(bare).encode_input(args, {})


def test_an_input_may_be_as_large_as_its_largest_argument() -> None:
    class Roomy(str):
        __payload_bytes__ = MAX_PAYLOAD_BYTES + 1000

    async def takes(a: str, b: Roomy | None) -> None: ...

    fits = "x" * (MAX_PAYLOAD_BYTES - 10)
    data = Signature(takes, names={"Roomy": Roomy}).encode_input((fits, None), {})
    assert len(data) > MAX_PAYLOAD_BYTES
    with pytest.raises(PayloadError, match=r"argument 'a': takes .* at most 16,777,216"):
        Signature(takes, names={"Roomy": Roomy}).encode_input((fits + "x" * 10, None), {})


def test_code_that_changed_since_the_input_was_stored() -> None:
    async def before(a: int, b: int) -> None: ...

    async def after(a: int, b: int, c: int = 3) -> None: ...

    async def without(a: int) -> None: ...

    async def needing(a: int, b: int, c: int) -> None: ...

    data = Signature(before).encode_input((1, 2), {})
    assert Signature(after).decode_input(data) == ((1, 2, 3), {})
    with pytest.raises(PayloadError, match=r"^without\(\) argument 'b': is in the stored input"):
        Signature(without).decode_input(data)
    with pytest.raises(PayloadError, match=r"^needing\(\) argument 'c': is not in the stored input"):
        Signature(needing).decode_input(data)


@pytest.mark.parametrize("data", [b"", b"\x02{}", b"\x01[]", b"\x01{"])
def test_bytes_that_are_no_input_are_refused(data: bytes) -> None:
    with pytest.raises(PayloadError, match=r"^checkout\(\) input"):
        Signature(checkout).decode_input(data)


def test_check_input_takes_json_forms_and_names_what_does_not_fit() -> None:
    async def ship(order: Order, when: datetime, ratio: float = 0.5) -> None: ...

    signature = Signature(ship)
    given = {
        "order": {"id": "o", "at": "2024-01-02T03:04:05Z", "items": [{"n": 1}]},
        "when": "2024-01-02T03:04:05+00:00",
    }
    data = signature.check_input(given)
    args, kwargs = signature.decode_input(data)
    assert (args, kwargs) == ((Order("o", NOW, [Later(n=1)]), NOW, 0.5), {})
    assert data == signature.encode_input(args, kwargs)
    assert body(signature.check_input({**given, "ratio": 1}))["ratio"] == 1
    with pytest.raises(PayloadError) as caught:
        signature.check_input({**given, "order": {"id": "o", "at": "2024-01-02T00:00:00", "items": [{"n": "1"}]}})
    assert caught.value.place == "ship() argument 'order'.items[0].n"
    with pytest.raises(PayloadError) as caught:
        signature.check_input({**given, "order": {"id": "o"}})
    assert caught.value.place == "ship() argument 'order'.at"
    with pytest.raises(PayloadError, match=r"^ship\(\) argument 'ratio'"):
        signature.check_input({**given, "ratio": "0.5"})
    with pytest.raises(PayloadError, match=r"^ship\(\) argument 'when'"):
        signature.check_input({**given, "when": NOW})
    with pytest.raises(UsageError, match="it misses 'when', and it does not take 'whne'"):
        signature.check_input({"order": {}, "whne": 1})


def test_check_input_with_variadic_parameters() -> None:
    signature = Signature(everything)
    call = {"a": 1, "b": "b", "d": {"n": 1}}
    assert body(signature.check_input({**call, "e": True}))["more"] == {"e": True}
    assert body(signature.check_input({**call, "more": {"e": True}, "rest": [1.0]}))["more"] == {"e": True}
    assert signature.decode_input(signature.check_input({**call, "rest": [1.0]}))[0] == (1, "b", 1.0)
    with pytest.raises(PayloadError, match=r"^everything\(\) argument 'more'.e"):
        signature.check_input({**call, "e": "yes"})


def test_a_typed_dict_can_type_the_named_arguments() -> None:
    async def fn(**options: Unpack[Options]) -> None: ...

    signature = Signature(fn)
    data = signature.encode_input((), {"size": 1})
    assert signature.decode_input(data) == ((), {"size": 1})
    with pytest.raises(PayloadError, match=r"'options'\.size"):
        signature.encode_input((), {"size": "x"})


def test_names_resolve_late_in_closures_and_in_the_locals_given() -> None:
    def make() -> Any:
        class Inner(BaseModel):
            n: int

        async def closed(x: Inner) -> Inner:
            return Inner(n=x.n)

        async def open_(x: Inner) -> None: ...

        return Inner, closed, Signature(open_, names={"Inner": Inner})

    inner, closed, opened = make()
    for signature in (Signature(closed), opened):
        assert signature.decode_input(signature.check_input({"x": {"n": 1}})) == ((inner(n=1),), {})
    assert Signature(everything).result.annotation is Later


def test_a_name_that_does_not_exist_counts_as_plain_json_and_messages_say_so() -> None:
    signature = Signature(lacking)
    assert signature.decode_input(signature.encode_input(({"a": 1}, [1], 3), {})) == (({"a": 1}, [1], 3), {})
    with pytest.raises(PayloadError, match="the annotation Unseen could not be resolved"):
        signature.encode_input((NOW, [], 3), {})
    with pytest.raises(PayloadError, match=r"'z': is 'x'"):
        signature.encode_input((1, [], "x"), {})
    assert signature.result.settle([1], signature.result_place)[1] == [1]


def test_an_annotation_wrong_in_another_way_is_a_usage_error() -> None:
    async def fn(x: Later.nothing) -> None:  # type: ignore[name-defined]
        ...

    with pytest.raises(UsageError, match=r"fn\(\): the annotation 'Later.nothing' of 'x' cannot be resolved"):
        Signature(fn).encode_input((1,), {})


def test_none_as_the_default_makes_an_argument_optional() -> None:
    async def fn(x: int = None, y: Unseen = None) -> None:  # type: ignore[assignment]  # noqa: RUF013
        ...

    signature = Signature(fn)
    assert signature.decode_input(signature.encode_input((), {})) == ((None, None), {})


def test_result_and_names() -> None:
    signature = Signature(checkout, name="shop.checkout")
    assert isinstance(signature.result, Codec)
    assert signature.result_place == "shop.checkout() result"
    with pytest.raises(PayloadError, match=r"^shop.checkout\(\) argument 'cents'"):
        signature.encode_input(("o", None), {})

    async def none() -> None: ...

    with pytest.raises(PayloadError, match="says None"):
        Signature(none).result.settle(1, "none() result")


def test_input_schema() -> None:
    schema = Signature(everything).input_schema()
    assert schema["required"] == ["a", "b", "d"]
    assert schema["properties"]["d"] == {"$ref": "#/$defs/Later"}
    assert schema["$defs"]["Later"]["properties"]["n"]["type"] == "integer"
    assert schema["properties"]["rest"] == {"type": "array", "items": {"type": "number"}}
    assert schema["properties"]["c"]["default"] is None
    assert schema["additionalProperties"] == {"type": "boolean"}
    assert Signature(checkout).input_schema()["additionalProperties"] is False
    assert Signature(bare).input_schema()["properties"] == {"x": {}, "y": {"default": 1}}


@pytest.mark.parametrize(
    "body", [b'{"n": "\xff"}', b'{"n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"n": 1', b""]
)
def test_a_damaged_input_is_refused_as_one_that_cannot_be_read(body: bytes) -> None:
    def takes(n: Any) -> None: ...

    with pytest.raises(PayloadError):
        Signature(takes).decode_input(HEADER + body)
