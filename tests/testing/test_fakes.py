"""Fakes stand in for steps: their results are recorded, their errors tried again, their calls listed."""

import asyncio
from datetime import datetime

import pytest

import holdfast as hf
from holdfast.testing import Environment, in_turn


@hf.step(retry=hf.Retry(max_attempts=3, initial=3600.0))
async def charge(order_id: str, cents: int = 100) -> str:
    raise AssertionError("charged for real")


@hf.step
def post(order_id: str) -> str:
    return f"posted {order_id}"


@hf.workflow
async def checkout(order_id: str) -> list[str]:
    receipt = await charge(order_id, cents=500)
    await hf.sleep("1d")
    return [receipt, await post(order_id)]


async def _receipt(order_id: str, cents: int) -> str:
    await asyncio.sleep(0)
    return f"{order_id}: {cents}"


@pytest.mark.parametrize(
    ("fake", "receipt"),
    [
        ("r-1", "r-1"),
        (lambda order_id, cents: f"{order_id}: {cents}", "o-1: 500"),
        (_receipt, "o-1: 500"),
        (in_turn(TimeoutError("slow"), lambda order_id, cents: 1 // 0, "third"), "third"),
    ],
    ids=["result", "function", "async", "in_turn"],
)
@pytest.mark.parametrize("key", [charge, "charge"], ids=["step", "name"])
async def test_a_fake_is_recorded_like_the_step(key: hf.Step[..., str] | str, fake: object, receipt: str) -> None:
    attempts = 3 if receipt == "third" else 1
    fakes = {key: fake if attempts == 1 else in_turn(TimeoutError("slow"), lambda order_id, cents: 1 // 0, "third")}
    async with Environment([checkout], fakes=fakes) as env:
        run = await env.start(checkout, "o-1")
        assert await run.result() == [receipt, "posted o-1"]
        [charged, slept, posted] = await env.client.history(run.id)
        assert (charged.input, charged.output) == ({"order_id": "o-1", "cents": 500}, receipt)
        assert charged.attempts == attempts
        assert env.calls(charge) == env.calls("charge") == [{"order_id": "o-1", "cents": 500}] * attempts
        assert env.calls(post) == [{"order_id": "o-1"}]
        assert env.calls("nothing") == []
        assert slept.name == "hf.sleep"
        assert posted.outcome == "ok"


@pytest.mark.parametrize("error", [hf.Fatal("stolen card"), PermissionError])
async def test_a_fake_raises(error: object) -> None:
    async with Environment([checkout], fakes={charge: error}) as env:
        with pytest.raises(hf.RunFailed) as failed:
            await env.run(checkout, "o-1")
        kind = error if isinstance(error, type) else type(error)
        assert type(failed.value.__cause__) is kind
        assert len(env.calls(charge)) == (1 if kind is hf.Fatal else 3)


async def test_a_fake_gives_what_the_step_may_give() -> None:
    async with Environment([checkout], fakes={charge: 7}) as env:
        with pytest.raises(hf.RunFailed) as failed:
            await env.run(checkout, "o-1")
        assert isinstance(failed.value.__cause__, hf.PayloadError)
        assert "charge() result" in str(failed.value.__cause__)


async def test_fakes_are_of_one_environment_and_leave_the_step_as_it_was() -> None:
    before = dict(vars(post))
    async with (
        Environment([checkout], fakes={charge: "a", post: "one"}) as one,
        Environment([checkout], fakes={charge: "b"}) as other,
    ):
        assert await one.run(checkout, "o-1") == ["a", "one"]
        assert await other.run(checkout, "o-1") == ["b", "posted o-1"]
        assert (len(one.calls(post)), len(other.calls(post))) == (1, 1)
    assert vars(post) == before
    assert await post("o-1") == "posted o-1"


async def test_a_fake_is_cut_off_when_its_run_is_cancelled() -> None:
    cut: list[str] = []

    async def hang(order_id: str) -> str:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            cut.append(order_id)
            raise
        return ""

    async with Environment([checkout], fakes={charge: "r", post: hang}) as env:
        run = await env.start(checkout, "o-1")
        waiting = asyncio.create_task(run.result())
        while not env.calls(post):
            await asyncio.sleep(0.001)
        await env.client.cancel(run.id)
        with pytest.raises(hf.RunCancelled):
            await waiting
    assert cut == ["o-1"]


def test_what_cannot_be_a_fake_is_refused() -> None:
    with pytest.raises(hf.UsageError, match="name a step by itself"):
        Environment([checkout], fakes={len: 1})  # type: ignore[dict-item]
    with pytest.raises(hf.UsageError, match="in_turn was given nothing"):
        in_turn()


async def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(hf.UsageError, match=r"write \[checkout\]"):
        Environment(checkout)  # type: ignore[arg-type]
    with pytest.raises(hf.UsageError, match="aware instant"):
        Environment([checkout], start_at=datetime(2026, 1, 1))
    with pytest.raises(hf.UsageError, match=r"queues is 'fast'"):
        Environment([checkout], queues="fast")
    env = Environment([checkout])
    with pytest.raises(hf.UsageError, match="async with"):
        env.now  # noqa: B018
    with pytest.raises(hf.UsageError, match="at least one workflow"):
        async with Environment([]):
            pass
    async with env:
        with pytest.raises(hf.UsageError, match="give a function"):
            env.at("1d", env.client)  # type: ignore[arg-type]
        with pytest.raises(hf.UsageError, match="time is 'soon'"):
            env.at("soon", lambda: None)
