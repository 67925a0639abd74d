"""`on_failure`: the workflow that is started when a run fails, once for each failure."""

import pytest

import holdfast as hf
from tests.engine.helpers import ONCE, serving, until, until_status

seen: list[hf.RunFailure] = []
broken: list[str] = []


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()
    broken[:] = ["step"]


@hf.step(retry=ONCE)
async def step(text: str) -> str:
    if "step" in broken:
        raise ValueError(f"{text} is broken")
    return text


@hf.workflow
async def handles(failure: hf.RunFailure) -> str:
    seen.append(failure)
    if "handler" in broken:
        raise ValueError("the handler is broken")
    return failure.run_id


@hf.workflow(on_failure=handles)
async def works(text: str, n: int = 1) -> str:
    return await step(text)


async def fails(run: hf.RunHandle[object]) -> None:
    with pytest.raises(hf.RunFailed):
        await run.result("20s")


async def handlers(client: hf.Client, runs: int) -> list[hf.RunView]:
    async def ended() -> bool:
        views = await client.list(workflow="handles")
        return len(views) >= runs and all(view.finished_at for view in views)

    await until(ended)
    return await client.list(workflow="handles")


async def test_it_is_told_what_failed(store_url: str) -> None:
    async with serving(store_url, works) as client:
        run = await client.start(works, "it")
        await fails(run)
        [view] = await handlers(client, 1)
        assert (view.id, view.status, view.output) == (f"{run.id}/1.failed", "succeeded", run.id)
        assert view.parent == run.id
        [failure] = seen
        assert (failure.run_id, failure.workflow, failure.attempt) == (run.id, "works", 1)
        assert failure.input == {"text": "it", "n": 1}
        assert (failure.error["type"], failure.error["message"]) == ("builtins.ValueError", "it is broken")
        assert "Traceback" in failure.error["traceback"]


async def test_it_is_there_with_the_failure(store_url: str) -> None:
    """Nobody sees the one without the other."""

    @hf.workflow
    async def later(failure: hf.RunFailure) -> None: ...

    @hf.workflow(on_failure=later)
    async def raises() -> None:
        raise ValueError("no")

    async with serving(store_url, raises) as client:
        runs = await client.start_many(raises, [()] * 20)
        for run in runs:
            await fails(run)
            assert (await client.get(f"{run.id}/1.failed")).workflow == "later"


async def test_not_for_one_that_was_cancelled_or_succeeded(store_url: str) -> None:
    @hf.workflow(on_failure=handles)
    async def waits() -> object:
        return await hf.wait_for_event("go")

    async with serving(store_url, waits, works) as client:
        run = await client.start(waits)
        await until_status(client, run.id, "running")
        await client.cancel(run.id)
        with pytest.raises(hf.RunCancelled):
            await run.result("20s")
        broken.clear()
        assert await (await client.start(works, "x")).result("20s") == "x"
        assert await client.list(workflow="handles") == []


async def test_for_one_that_took_too_long(store_url: str) -> None:
    @hf.workflow(on_failure=handles, timeout=0.05)
    async def waits() -> object:
        return await hf.wait_for_event("go")

    async with serving(store_url, waits) as client:
        await fails(await client.start(waits))
        await handlers(client, 1)
        assert seen[0].error["type"] == "holdfast.errors.RunTimeout"


async def test_again_after_a_retry(store_url: str) -> None:
    async with serving(store_url, works) as client:
        run = await client.start(works, "it")
        await fails(run)
        await handlers(client, 1)
        await client.retry(run.id)
        await fails(await client.handle(run.id))
        views = await handlers(client, 2)
        assert sorted(view.id for view in views) == [f"{run.id}/1.failed", f"{run.id}/2.failed"]
        assert [failure.attempt for failure in seen] == [1, 2]
        broken.clear()
        await client.retry(run.id)
        assert await (await client.handle(run.id)).result("20s") == "it"
        assert len(await client.list(workflow="handles")) == 2


async def test_a_handler_that_fails_is_a_failed_run(store_url: str) -> None:
    broken.append("handler")
    async with serving(store_url, works) as client:
        run = await client.start(works, "it")
        await fails(run)
        [view] = await handlers(client, 1)
        assert view.status == "failed"
        assert len(seen) == 1
        broken.clear()
        await client.retry(view.id)
        assert await (await client.handle(view.id)).result("20s") == run.id


async def test_of_a_child_too(store_url: str) -> None:
    @hf.workflow
    async def parent() -> str:
        try:
            return await works("child")
        except hf.RunFailed:
            return "failed"

    async with serving(store_url, parent) as client:
        assert await (await client.start(parent)).result("20s") == "failed"
        await handlers(client, 1)
        assert seen[0].input["text"] == "child"


async def test_a_handler_whose_start_is_refused_does_not_keep_the_run_from_failing(store_url: str) -> None:
    """Its key is not there: the run fails all the same, and the log says what was not started."""

    @hf.workflow(key=lambda failure: failure.input["nothing"])
    async def keyed(failure: hf.RunFailure) -> None: ...

    @hf.workflow(on_failure=keyed)
    async def raises() -> None:
        raise ValueError("no")

    async with serving(store_url, raises) as client:
        run = await client.start(raises)
        with pytest.raises(hf.RunFailed, match="no"):
            await run.result("5s")
        assert await client.list(workflow="keyed") == []


def test_what_is_no_handler() -> None:
    @hf.workflow
    async def takes_nothing() -> None: ...

    @hf.workflow
    async def takes_two(failure: hf.RunFailure, n: int) -> None: ...

    @hf.workflow
    async def takes_more(failure: hf.RunFailure, n: int = 1) -> None: ...

    for given, said in (
        (step, "give it a workflow"),
        ("handles", "give it a workflow"),
        (takes_nothing, "one argument"),
        (takes_two, "one argument"),
    ):
        with pytest.raises(hf.UsageError, match=said):
            hf.workflow(on_failure=given)(works.fn)  # type: ignore[call-overload]
    hf.workflow(on_failure=takes_more)(works.fn)
