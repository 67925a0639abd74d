"""Exceptions are always storable, and come back as their class with their text, or as StepError."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import traceback
import types
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import errors
from holdfast.errors import PayloadError, StepError
from holdfast.model.failure import MAX_TEXT_CHARS, decode_failure, encode_failure, failure_view
from holdfast.model.payload import HEADER, MAX_PAYLOAD_BYTES


class Declined(Exception):
    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"declined: {reason} ({code})")
        self.code = code
        self.reason = reason
        self.live = object()


class Counting(Exception):
    made = 0

    def __new__(cls, *args: object) -> Counting:
        cls.made += 1
        return super().__new__(cls, *args)

    def __init__(self, *args: object) -> None:
        type(self).made += 1
        super().__init__(*args)


class Told(Exception):
    def __str__(self) -> str:
        return f"told {self.args[0]!r}"


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Hostile(Exception):
    @property
    def __cause__(self) -> Any:  # type: ignore[override]
        raise ValueError("no cause")

    def __getattribute__(self, name: str) -> Any:
        if name in ("args", "__dict__", "__traceback__"):
            raise KeyError(name)
        return super().__getattribute__(name)


class ApiError(OSError):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(status, text)
        self.status = status


class Both(KeyError, AttributeError):
    pass


@dataclasses.dataclass
class Shaped(Exception):
    code: int

    def __str__(self) -> str:
        return f"code {self.code}"


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except BaseException as caught:
        return caught


def record(data: bytes) -> Any:
    assert data[:1] == HEADER
    return msgspec.json.decode(data[1:])


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a", 1),
        ValueError(),
        KeyError("x"),
        KeyError(5),
        OSError(2, "No such file", "name"),
        FileNotFoundError(2, "No such file"),
        ConnectionResetError("gone"),
        ImportError("no"),
        Declined(5, reason="funds"),
        Counting(1, "a"),
        Told("x"),
        ApiError(404, "not found"),
        Both("k"),
        Shaped(7),
        errors.RunNotFound("no run", run_id="r"),
        errors.PayloadError("place", "reason"),
        errors.StepTimeout("late"),
        errors.RetryAfter(5),
        StepError("m", type="x.Y", attributes={"a": 1}),
        asyncio.QueueFull(),
        ValueError("\0", {"a": [1.5, None]}),
    ],
    ids=lambda error: type(error).__name__,
)
def test_imported_classes_come_back_with_text_args_and_attributes(error: Exception) -> None:
    made = Counting.made
    back = decode_failure(encode_failure(raised(error)))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.args == error.args
    kept = {name: value for name, value in vars(back).items() if name != "__notes__"}
    assert kept == {name: value for name, value in vars(error).items() if name != "live"}
    assert Counting.made == made
    for name in ("errno", "strerror", "filename"):
        assert getattr(back, name, None) == getattr(error, name, None)


def test_args_that_are_not_json_leave_the_type_and_the_text() -> None:
    back = decode_failure(encode_failure(Declined(1, reason="x").with_traceback(None)))
    assert type(back) is Declined
    back = decode_failure(encode_failure(ValueError((1, 2))))
    assert type(back) is ValueError
    assert (str(back), back.args) == ("(1, 2)", ("(1, 2)",))


class Local:
    class Inner(Exception):
        pass


def test_nested_classes_are_found_and_local_ones_are_not() -> None:
    class Hidden(Exception):
        pass

    assert type(decode_failure(encode_failure(Local.Inner("x")))) is Local.Inner
    back = decode_failure(encode_failure(Hidden("x")))
    assert isinstance(back, StepError)
    assert back.type.endswith("<locals>.Hidden")
    assert back.message == str(back) == "x"


def test_nothing_is_imported_and_only_exceptions_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = types.ModuleType("lazy_module")
    lazy.__getattr__ = lambda name: pytest.fail(f"looked up {name}")  # type: ignore[method-assign]
    lazy.Plain = type("Plain", (), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lazy_module", lazy)
    before = set(sys.modules)
    for name in ("antigravity.Error", "lazy_module.Error", "lazy_module.Plain", "builtins.SystemExit", "builtins.eval",
                 "os.path.join", "", ".", "ValueError", "builtins.int", "builtins.StopIteration"):  # fmt: skip
        data = HEADER + msgspec.json.encode({"type": name, "message": "m", "args": ["m"]})
        back = decode_failure(data)
        assert type(back) is StepError
        assert (back.type, str(back)) == (name, "m")
    assert set(sys.modules) == before


@pytest.mark.parametrize(
    "error",
    [
        SystemExit(3),
        KeyboardInterrupt(),
        asyncio.CancelledError("stop"),
        GeneratorExit(),
        StopIteration(1),
        errors.Evicted("e"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_is_no_plain_exception_comes_back_as_step_error(error: BaseException) -> None:
    back = decode_failure(encode_failure(error))
    assert type(back) is StepError
    assert back.type == f"{type(error).__module__}.{type(error).__qualname__}"
    assert str(back) == str(error)


def test_errors_that_cannot_be_rebuilt_come_back_as_step_error() -> None:
    unicode = raised(UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"))
    for error in (unicode, Broken("x"), KeyError((1, 2))):
        back = decode_failure(encode_failure(error))
        assert type(back) is StepError
    assert "could not be made: RuntimeError" in record(encode_failure(Broken()))["message"]
    assert str(decode_failure(encode_failure(unicode))) == str(unicode)


def test_a_hostile_class_does_not_make_encoding_fail() -> None:
    back = decode_failure(encode_failure(Hostile("x")))
    assert isinstance(back, (Hostile, StepError))


def test_attributes_that_are_not_json_are_dropped() -> None:
    error = Declined(1, reason="\ud800")
    error.big = "x" * MAX_PAYLOAD_BYTES  # type: ignore[attr-defined]
    error.__dict__["\udfff"] = 1
    stored = record(encode_failure(error))
    assert stored["attributes"] == {"code": 1}


def test_text_is_cut_with_a_note_and_always_storable() -> None:
    error = ValueError("\ud800\0" + "é" * 200_000)
    data = encode_failure(raised(error))
    message = record(data)["message"]
    assert message.startswith("\\ud800\0é")
    assert message.endswith("… cut: 200007 characters in all")
    assert len(message) < MAX_TEXT_CHARS + 100
    back = decode_failure(data)
    assert (type(back), str(back)) == (ValueError, message)
    assert len(data) < MAX_PAYLOAD_BYTES


def chain(length: int) -> BaseException:
    error: BaseException = ValueError("0")
    for number in range(1, length):
        outer = ValueError(str(number))
        outer.__cause__ = error
        error = outer
    return error


@pytest.mark.slow
def test_causes_come_back_and_are_bounded() -> None:
    back: BaseException = decode_failure(encode_failure(chain(3)))
    assert [str(back), str(back.__cause__)] == ["2", "1"]
    assert back.__cause__ is not None
    assert str(back.__cause__.__cause__) == "0"
    depth, error = 0, decode_failure(encode_failure(chain(5000)))
    while error.__cause__ is not None:
        depth, error = depth + 1, error.__cause__  # type: ignore[assignment]
    assert depth == 16
    loop = ValueError("loop")
    other = KeyError("other")
    loop.__cause__, other.__cause__ = other, loop
    back = decode_failure(encode_failure(loop))
    assert type(back.__cause__) is KeyError
    assert back.__cause__.__cause__ is None


def test_a_context_comes_back_as_context_unless_suppressed() -> None:
    def fail(*, hide: bool) -> BaseException:
        try:
            try:
                raise KeyError("first")
            except KeyError:
                if hide:
                    raise ValueError("second") from None
                raise ValueError("second")  # noqa: B904
        except ValueError as error:
            return error

    back = decode_failure(encode_failure(fail(hide=False)))
    assert back.__cause__ is None
    assert type(back.__context__) is KeyError
    assert decode_failure(encode_failure(fail(hide=True))).__context__ is None


def test_groups_come_back_with_their_members() -> None:
    group = ExceptionGroup("many", [ValueError("a"), ExceptionGroup("inner", [KeyError("k"), Declined(1, reason="r")])])
    back = decode_failure(encode_failure(raised(group)))
    assert type(back) is ExceptionGroup
    assert str(back) == str(group)
    assert back.message == "many"
    inner = back.exceptions[1]
    assert isinstance(inner, ExceptionGroup)
    assert [type(error) for error in inner.exceptions] == [KeyError, Declined]
    wide = BaseExceptionGroup("wide", [chain(30) for _ in range(500)])
    data = encode_failure(wide)
    assert len(data) <= MAX_PAYLOAD_BYTES
    assert isinstance(decode_failure(data), (ExceptionGroup, StepError))
    stopped = decode_failure(encode_failure(BaseExceptionGroup("base", [KeyboardInterrupt(), ValueError("v")])))
    assert type(stopped) is StepError
    assert str(stopped) == "base (2 sub-exceptions)"


def test_the_recorded_traceback_is_a_note_and_a_view() -> None:
    data = encode_failure(raised(Declined(1, reason="r")))
    view = failure_view(data)
    assert view["type"].endswith("Declined")
    assert view["message"] == "declined: r (1)"
    assert "in raised" in view["traceback"]
    printed = "".join(traceback.format_exception(decode_failure(data)))
    assert "Recorded traceback:\nTraceback (most recent call last):" in printed
    again = record(encode_failure(decode_failure(data)))
    assert "in raised" in again["traceback"]
    assert again["attributes"] == {"code": 1, "reason": "r"}


@given(st.text() | st.characters(categories=["Cs"]), st.lists(st.integers() | st.binary() | st.text() | st.floats()))
def test_any_text_and_args_are_storable_and_the_text_is_kept(text: str, args: list[Any]) -> None:
    for error in (ValueError(text), ValueError(*args), KeyError(text), Declined(1, reason=text), StepError(text)):
        data = encode_failure(error)
        back = decode_failure(data)
        assert str(back) == record(data)["message"]
        if str(error).isascii():
            assert str(back) == str(error)
        assert encode_failure(back)


@pytest.mark.parametrize("data", [b"", b"\x02{}", b"\x01[]", b"\x01{}", b"\x01{", b'\x01{"type":1}'])
def test_bytes_that_are_no_failure_are_refused(data: bytes) -> None:
    for read in (decode_failure, failure_view):
        with pytest.raises(PayloadError, match=r"^failure:"):
            read(data)


@pytest.mark.parametrize(
    "fields",
    [
        {"args": 5}, {"attributes": []}, {"cause": 5}, {"cause": {"type": 5}}, {"members": [1]}, {"members": []},
        {"message": None}, {"traceback": 7}, {"type": "builtins.OSError", "args": [1, 2, 3, 4, 5, 6]},
        {"type": "builtins.ExceptionGroup", "args": ["m"], "members": [{"type": "builtins.ValueError"}]},
        {"attributes": {"__notes__": 5}}, {"attributes": {"args": 5}}, {"args": [], "members": [{"type": ""}]},
    ],
)  # fmt: skip
def test_odd_records_still_give_an_exception(fields: dict[str, Any]) -> None:
    data = HEADER + msgspec.json.encode({"type": "builtins.ValueError", "message": "m", **fields})
    assert isinstance(decode_failure(data), Exception)
