"""Errors: the same on the first execution, on replay, and for whoever waits for the run."""

import asyncio
import enum
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from tests.engine.helpers import ONCE, cause, outcome, serving


class Declined(Exception):
    """An error with an attribute and arguments of its own."""

    def __init__(self, order: str, *, cents: int) -> None:
        super().__init__(f"order {order} declined at {cents}")
        self.order = order
        self.cents = cents


class Shade(enum.Enum):
    DARK = "dark"


def local_error() -> Exception:
    class Local(Exception):
        pass

    error = Local("from a function")
    error.shade = "dark"  # type: ignore[attr-defined]
    return error


def chained() -> Exception:
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise Declined("o-1", cents=5) from error
    except Declined as error:
        return error


def file_error() -> Exception:
    try:
        Path("/nowhere/at/all").read_bytes()
    except OSError as error:
        return error
    raise AssertionError


ERRORS: list[tuple[Exception, type[Exception]]] = [
    (ValueError("plain"), ValueError),
    (KeyError("key"), KeyError),
    (Declined("o-1", cents=500), Declined),
    (chained(), Declined),
    (file_error(), FileNotFoundError),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), hf.StepError),  # its arguments are not plain JSON
    (ExceptionGroup("several", [ValueError("a"), Declined("o", cents=1)]), ExceptionGroup),
    (hf.RetryAfter(5, "later"), hf.RetryAfter),
    (hf.Fatal("no"), hf.Fatal),
    (local_error(), hf.StepError),
    (StopIteration(3), hf.StepError),
    (Declined(Shade.DARK, cents=1), Declined),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("error", "expected"), ERRORS, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("threaded", [False, True], ids=["async", "plain"])
async def test_a_replay_sees_the_error_of_the_first_execution(
    error: Exception, expected: type[Exception], threaded: bool, park_at_once: None
) -> None:
    seen: list[BaseException] = []

    @hf.step(retry=ONCE)
    async def fails() -> None:
        if isinstance(error, StopIteration):
            raise RuntimeError("an async function cannot raise it") from error
        raise error

    @hf.step(retry=ONCE)
    def fails_in_thread() -> None:
        raise error

    @hf.workflow
    async def tries() -> None:
        try:
            await (fails_in_thread() if threaded else fails())
        except Exception as found:
            seen.append(found)
            await hf.sleep(0.001)
            raise

    async with serving("memory://", tries) as client:
        last = await cause(client, tries)
    assert len(seen) == 2
    if isinstance(error, StopIteration):
        expected = RuntimeError
    for one in (*seen, last):
        assert type(one) is expected
        if expected is not RuntimeError:
            assert str(one) == str(error)
    for one in seen:
        assert repr(one.args) == repr(seen[0].args)
        assert {k: v for k, v in vars(one).items() if k != "__notes__"} == {
            k: v for k, v in vars(seen[0]).items() if k != "__notes__"
        }
    if isinstance(error, Declined) and error.order == "o-1":
        assert [(one.order, one.cents) for one in seen] == [("o-1", error.cents)] * 2  # type: ignore[attr-defined]
    if error.__cause__ is not None and not isinstance(error, StopIteration):
        assert [type(one.__cause__) for one in (*seen, last)] == [KeyError] * 3


async def test_an_error_whose_class_is_not_importable_is_a_step_error(store_url: str) -> None:
    @hf.step(retry=ONCE)
    async def fails() -> None:
        raise local_error()

    @hf.workflow
    async def tries() -> str:
        try:
            await fails()
        except hf.StepError as error:
            return f"{error.type} {error.message} {error.attributes}"
        return ""

    async with serving(store_url, tries) as client:
        said = await outcome(client, tries)
    assert said == "tests.engine.test_errors.local_error.<locals>.Local from a function {'shade': 'dark'}"


async def test_a_failed_run_shows_type_message_and_traceback(store_url: str) -> None:
    @hf.step(retry=ONCE)
    async def charge() -> None:
        raise Declined("o-1", cents=500)

    @hf.workflow
    async def order() -> None:
        await charge()

    async with serving(store_url, order) as client:
        run = await client.start(order.options(id="o-1"))
        with pytest.raises(hf.RunFailed, match="run 'o-1' failed: Declined: order o-1 declined at 500") as failed:
            await run.result()
        view = await client.get("o-1")
        [entry] = await client.history("o-1")
    assert failed.value.run_id == "o-1"
    found = failed.value.__cause__
    assert isinstance(found, Declined)
    assert (found.order, found.cents) == ("o-1", 500)
    assert view.status == "failed"
    assert view.output is None
    assert view.finished_at is not None
    for error in (view.error, entry.error):
        assert error is not None
        assert error["type"] == "tests.engine.test_errors.Declined"
        assert error["message"] == "order o-1 declined at 500"
    assert entry.error is not None
    assert 'raise Declined("o-1", cents=500)' in entry.error["traceback"]


async def test_an_error_that_the_workflow_catches_does_not_fail_the_run(store_url: str) -> None:
    @hf.step(retry=ONCE)
    async def fails() -> None:
        raise ValueError("caught")

    @hf.workflow
    async def goes_on() -> str:
        try:
            await fails()
        except ValueError as error:
            return str(error)
        return ""

    async with serving(store_url, goes_on) as client:
        run = await client.start(goes_on)
        assert await run.result() == "caught"
        assert (await run.view()).error is None


HOSTILE = {
    "nul": "a\0b",
    "lone surrogates": "a\udc80\ud800b",
    "broken repr": None,
    "empty": "",
    "every control character": "".join(map(chr, range(32))),
    "far planes": "\U0010ffff\uffff\ufeff",
}


class Unprintable(Exception):
    """Its text cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_text_in_an_error_is_recorded_without_harm(text: str | None, store_url: str) -> None:
    @hf.step(retry=hf.Retry(max_attempts=2, initial=0))
    async def fails(bad: bool) -> int:
        if bad:
            raise Unprintable if text is None else ValueError(text, text)
        return 1

    @hf.workflow
    async def tries(bad: bool) -> int:
        return await fails(bad)

    @hf.workflow
    async def raises(bad: bool) -> int:
        if bad:
            error = Unprintable() if text is None else ValueError(text)
            error.note = text  # type: ignore[union-attr]
            raise error
        return 1

    async with serving(store_url, tries, raises) as client:
        for workflow in (tries, raises):
            runs = await client.start_many(workflow, [(True,), (False,), (True,), (False,)])
            results = await asyncio.gather(*(run.result("10s") for run in runs), return_exceptions=True)
            assert results[1::2] == [1, 1]
            for n in (0, 2):
                assert isinstance(results[n], hf.RunFailed)
                assert (await runs[n].view()).error is not None
        assert len(await client.list(status="failed")) == 4
        assert len(await client.list(status="succeeded")) == 4


@pytest.mark.slow
async def test_a_huge_error_is_cut_and_the_others_go_on(store_url: str) -> None:
    huge = "x" * 50_000_000

    class Bulky(Exception):
        def __init__(self) -> None:
            super().__init__(huge)
            self.text = huge

    @hf.step(retry=hf.Retry(max_attempts=2, initial=0))
    async def fails(bad: bool) -> int:
        if bad:
            raise Bulky
        return 1

    @hf.workflow
    async def tries(bad: bool) -> int:
        return await fails(bad)

    async with serving(store_url, tries) as client:
        runs = await client.start_many(tries, [(True,), (False,)])
        assert await runs[1].result() == 1
        with pytest.raises(hf.RunFailed) as failed:
            await runs[0].result()
        view = await runs[0].view()
        [entry] = await client.history(runs[0].id)
    assert len(str(failed.value)) < 100_000
    for error in (entry.failed_attempts[0].error, entry.error, view.error):
        assert error is not None
        assert error["message"].endswith("cut: 50000000 characters in all")


async def test_an_error_group_of_a_gathers_branches_is_kept(store_url: str) -> None:
    @hf.step(retry=ONCE)
    async def fails(n: int) -> Any:
        raise ExceptionGroup("both", [ValueError(str(n)), Declined("o", cents=n)])

    @hf.workflow
    async def tries() -> None:
        await hf.gather(fails(1), fails(2))

    async with serving(store_url, tries) as client:
        error = await cause(client, tries)
    assert isinstance(error, ExceptionGroup)
    assert [str(one) for one in error.exceptions] == ["1", "order o declined at 1"]


def test_every_error_is_drawn_in_the_tree_at_the_head_of_the_file() -> None:
    import holdfast.errors as errors

    drawn = {
        line.strip("│├└─ ").split()[0]: (len(line) - len(line.lstrip("│├└─ "))) // 4
        for line in (errors.__doc__ or "").splitlines()[2:]
        if line.strip()
    }
    classes = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    assert set(drawn) == set(classes)
    roots = (hf.HoldfastError, hf.Interruption)
    for name, kind in classes.items():
        assert issubclass(kind, roots)
        depth = [issubclass(one, roots) for one in kind.__mro__].count(True) - 1
        assert drawn[name] == depth, name
        assert getattr(hf, name) is kind
