"""Retries: how often, how long between, and what is seen of them meanwhile."""

from datetime import timedelta
from typing import Any

import pytest

import holdfast as hf
from tests.engine.helpers import QUICK, cause, outcome, serving, until, until_status


class Busy(ConnectionError):
    """An error that is worth another try."""


class Refused(Busy):
    """One that is not."""


def retry(**options: Any) -> hf.Retry:
    return hf.Retry(**{"initial": 0.001, "jitter": 0.0, **options})


@pytest.mark.parametrize(
    ("policy", "error", "attempts"),
    [
        (retry(max_attempts=1), Busy(), 1),
        (retry(max_attempts=4), Busy(), 4),
        (retry(), Busy(), 3),
        (retry(on=Busy), Busy(), 3),
        (retry(on=Busy), ValueError(), 1),
        (retry(on=(ValueError, Busy)), Refused(), 3),
        (retry(on=Busy, never=Refused), Refused(), 1),
        (retry(on=Busy, never=Refused), Busy(), 3),
        (retry(never=(Refused, Busy)), ValueError(), 3),
        (retry(on=()), ValueError(), 1),
        (retry(), hf.Fatal("no"), 1),
        (retry(on=ValueError), hf.RetryAfter(0), 3),
        (retry(max_attempts=2), hf.RetryAfter(0.001), 2),
        (retry(), hf.PayloadError("x", "y"), 1),
        (retry(), hf.UsageError("x"), 1),
    ],
)
@pytest.mark.parametrize("threaded", [False, True])
async def test_how_often_a_step_is_tried(policy: hf.Retry, error: Exception, attempts: int, threaded: bool) -> None:
    tried: list[int] = []

    @hf.step(retry=policy)
    async def fails() -> None:
        tried.append(hf.current().attempt)
        raise error

    @hf.step(retry=policy)
    def fails_in_thread() -> None:
        tried.append(hf.current().attempt)
        raise error

    @hf.workflow
    async def tries() -> None:
        await (fails_in_thread() if threaded else fails())

    async with serving("memory://", tries) as client:
        run = await client.start(tries)
        with pytest.raises(hf.RunFailed) as failed:
            await run.result()
        assert type(failed.value.__cause__) is type(error)
        [entry] = await client.history(run.id)
    assert tried == list(range(1, attempts + 1))
    assert (entry.attempts, len(entry.failed_attempts), entry.outcome) == (attempts, attempts - 1, "error")


async def test_a_result_that_cannot_be_stored_is_not_tried_again(store_url: str) -> None:
    calls = 0

    @hf.step(retry=QUICK)
    async def gives_socket() -> Any:
        nonlocal calls
        calls += 1
        return object()

    @hf.workflow
    async def tries() -> None:
        await gives_socket()

    async with serving(store_url, tries) as client:
        error = await cause(client, tries)
    assert calls == 1
    assert isinstance(error, hf.PayloadError)
    assert "gives_socket() result" in str(error)


async def test_each_delay_is_longer_by_the_factor_up_to_the_maximum(store_url: str) -> None:
    @hf.step(retry=hf.Retry(max_attempts=5, initial=0.002, factor=3, maximum=0.01, jitter=0))
    async def fails() -> None:
        raise Busy("again")

    @hf.workflow
    async def tries() -> None:
        await fails()

    async with serving(store_url, tries) as client:
        run = await client.start(tries)
        with pytest.raises(hf.RunFailed, match="Busy: again"):
            await run.result()
        [entry] = await client.history(run.id)
    delays = [tried.next_attempt_at - tried.finished_at for tried in entry.failed_attempts if tried.next_attempt_at]
    assert delays == [timedelta(milliseconds=ms) for ms in (2, 6, 10, 10)]
    assert [tried.attempt for tried in entry.failed_attempts] == [1, 2, 3, 4]
    for before, after in zip(entry.failed_attempts, entry.failed_attempts[1:], strict=False):
        assert before.next_attempt_at is not None
        assert before.next_attempt_at <= after.started_at
    assert entry.attempts == 5


async def test_a_success_after_failures_keeps_them_in_the_history(store_url: str) -> None:
    @hf.step(retry=QUICK)
    async def flaky(x: int) -> int:
        if hf.current().attempt < 3:
            raise Busy(f"try {hf.current().attempt}")
        return x

    @hf.workflow
    async def tries() -> int:
        return await flaky(7)

    async with serving(store_url, tries) as client:
        run = await client.start(tries)
        assert await run.result() == 7
        [entry] = await client.history(run.id)
    assert (entry.outcome, entry.attempts, entry.output) == ("ok", 3, 7)
    assert [tried.error["message"] for tried in entry.failed_attempts] == ["try 1", "try 2"]
    assert all(tried.error["type"].endswith(".Busy") for tried in entry.failed_attempts)
    assert all("raise Busy" in tried.error["traceback"] for tried in entry.failed_attempts)


async def test_a_long_delay_leaves_memory_and_shows_what_failed(store_url: str) -> None:
    @hf.step(retry=hf.Retry(initial=3600, maximum=7200, jitter=0))
    async def flaky() -> int:
        raise Busy("closed")

    @hf.workflow
    async def tries() -> int:
        return await flaky()

    async with hf.connect(store_url) as client, hf.Worker(client, [tries], drain=0) as worker:
        run = await client.start(tries)
        view = await until_status(client, run.id, "waiting")

        async def gone() -> bool:
            return worker.busy == 0

        await until(gone)
        [entry] = await client.history(run.id)
    assert (entry.kind, entry.outcome, entry.attempts) == ("step", "pending", 1)
    assert entry.error is not None
    assert entry.error["message"] == "closed"
    [tried] = entry.failed_attempts
    assert tried.next_attempt_at == tried.finished_at + timedelta(hours=1)
    assert view.due_at == tried.next_attempt_at
    assert entry.name == "flaky"


async def test_a_parked_retry_goes_on_with_the_next_attempt(store_url: str, park_at_once: None) -> None:
    tried: list[int] = []

    @hf.step(retry=hf.Retry(max_attempts=3, initial=0.01, jitter=0))
    async def flaky() -> int:
        tried.append(hf.current().attempt)
        if len(tried) < 3:
            raise Busy
        return len(tried)

    @hf.workflow
    async def tries() -> int:
        return await flaky()

    async with serving(store_url, tries) as client:
        assert await outcome(client, tries) == 3
    assert tried == [1, 2, 3]


async def test_a_worker_that_leaves_between_attempts_does_not_reset_their_count(disk_url: str) -> None:
    tried: list[int] = []

    @hf.step(retry=hf.Retry(max_attempts=2, initial=0.2, jitter=0))
    async def flaky() -> None:
        tried.append(hf.current().attempt)
        raise Busy

    @hf.workflow
    async def tries() -> None:
        await flaky()

    async with hf.connect(disk_url) as client:
        async with hf.Worker(client, [tries], drain=0):
            run = await client.start(tries)

            async def once() -> bool:
                return bool(await client.history(run.id))

            await until(once)
        async with hf.Worker(client, [tries], drain=0):
            with pytest.raises(hf.RunFailed):
                await run.result(timeout="10s")
    assert tried == [1, 2]


async def test_one_failing_run_does_not_hold_up_the_others() -> None:
    @hf.step(retry=hf.Retry(max_attempts=2, initial=3600))
    async def flaky(bad: bool) -> bool:
        if bad:
            raise Busy
        return bad

    @hf.workflow
    async def tries(bad: bool) -> bool:
        return await flaky(bad)

    async with serving("memory://", tries, concurrency=1) as client:
        await client.start_many(tries, [(True,)] * 10)
        assert await outcome(client, tries, False) is False


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 1e300, 1e12, -5.0])
async def test_an_absurd_retry_after_does_not_lose_the_run(seconds: float, store_url: str) -> None:
    """A delay often comes from a header that another program wrote."""

    @hf.step(retry=hf.Retry(max_attempts=2))
    async def flaky() -> None:
        raise hf.RetryAfter(seconds)

    @hf.workflow
    async def tries() -> None:
        await flaky()

    async with serving(store_url, tries) as client:
        run = await client.start(tries)

        async def settled() -> bool:
            return (await run.view()).status in ("waiting", "failed")

        await until(settled, within=5)
        assert len(await client.list()) == 1
        assert len(await client.history(run.id)) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_attempts": 0},
        {"max_attempts": True},
        {"max_attempts": 2.0},
        {"initial": -1},
        {"initial": float("nan")},
        {"factor": 0.5},
        {"maximum": "1m"},
        {"jitter": 1.5},
        {"on": (BaseException,)},
        {"on": "ValueError"},
        {"never": (3,)},
    ],
)
def test_a_policy_out_of_range_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(hf.UsageError, match=f"Retry\\({next(iter(wrong))}="):
        hf.Retry(**wrong)
