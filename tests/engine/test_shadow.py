"""Runs in shadow: what they and their descendants publish is recorded and not sent."""

from __future__ import annotations

import pytest

import holdfast as hf
from holdfast.model.publishing import SHADOW
from tests.engine.helpers import ONCE, outcome, serving, until, until_status


@hf.step
async def tell(what: str) -> None:
    await hf.publish("pages", what)


@hf.workflow
async def child(what: str) -> None:
    await hf.publish("pages", what)


@hf.workflow
async def grandparent(what: str) -> None:
    await child(f"{what} child")
    await hf.map(child, [f"{what} {n}" for n in range(3)])
    await hf.set_attributes(order="o-1")
    await tell(f"{what} step")


@hf.workflow
async def family() -> None:
    await grandparent("grand")
    await hf.publish("pages", "looks odd", review="odd")
    await hf.publish("pages", "is wrong", refuse="wrong")


async def verdicts(client: hf.Client) -> dict[str, tuple[str, str, str]]:
    found = [await client.message(one.id) for one in await client.messages()]
    return {one.body: (one.verdict, one.status, one.reason) for one in found}


async def test_a_run_in_shadow_and_all_its_descendants_send_nothing(store_url: str) -> None:
    async with serving(store_url, family) as client:
        run = await client.start(family.options(shadow=True, attributes={"order": "o-0"}))
        await run.result("20s")
        found = await verdicts(client)
        assert len(found) == 7
        assert {(verdict, status) for verdict, status, _ in found.values()} == {("shadow", "withheld")}
        assert found["looks odd"][2] == "review: odd"
        assert found["is wrong"][2] == "refused: wrong"
        for view in await client.list():
            assert view.shadow
            assert SHADOW not in view.attributes
        assert (await client.get(run.id)).attributes == {"order": "o-0"}
        assert await client.list(where=f"attributes.\"{SHADOW}\" = 'true'") == []
        assert len(await client.list(where="attributes.order = 'o-1'")) == 1


@hf.workflow
async def answers(order: str) -> list[str]:
    return [await hf.publish("pages", order, id=f"reply/{order}"), await hf.publish("pages", order, id="x" * 512)]


async def test_what_a_run_in_shadow_publishes_keeps_no_other_from_being_sent(store_url: str) -> None:
    async with serving(store_url, answers) as client:
        shadow = [await outcome(client, answers.options(shadow=True), "o-1") for _ in range(2)]
        sent = await outcome(client, answers, "o-1")
        assert sent == ["reply/o-1", "x" * 512]
        assert shadow[0] == shadow[1]
        assert shadow[0][0] == "shadow/reply/o-1"
        assert not set(sent) & set(shadow[0])
        found = {one.id: (one.verdict, one.repeats) for one in await client.messages()}
        assert found == dict.fromkeys(shadow[0], ("shadow", 1)) | dict.fromkeys(sent, ("mode", 0))


async def test_other_runs_are_not_in_shadow() -> None:
    async with serving("memory://", family) as client:
        await outcome(client, family.options(attributes={"note": f"not {SHADOW}"}))
        assert {verdict for verdict, _, _ in (await verdicts(client)).values()} == {"mode", "review", "refused"}
        assert not any(view.shadow for view in await client.list())


@hf.workflow
async def about(failure: hf.RunFailure) -> None:
    await hf.publish("pages", f"{failure.run_id} failed")


@hf.step(retry=ONCE)
async def breaks() -> None:
    raise LookupError("broken")


@hf.workflow(on_failure=about)
async def broken() -> None:
    await hf.publish("pages", "before")
    await breaks()


@hf.workflow
async def again(n: int) -> None:
    await hf.set_attributes(n=n)
    await hf.publish("pages", f"again {n}")
    if n < 2:
        hf.continue_as_new(n + 1)


async def test_forks_retries_and_what_a_failure_starts_stay_in_shadow(store_url: str) -> None:
    async with serving(store_url, broken) as client:
        run = await client.start(broken.options(id="b", shadow=True))
        await until_status(client, run.id, "failed")
        fork = await client.fork(run.id)
        await until_status(client, fork, "failed")
        assert (await client.get(fork)).shadow
        await client.retry(run.id)

        async def told() -> bool:
            return len(await client.messages()) == 5

        await until(told)
        assert {verdict for verdict, _, _ in (await verdicts(client)).values()} == {"shadow"}


@pytest.mark.usefixtures("park_at_once")
async def test_a_run_that_begins_anew_stays_in_shadow(store_url: str) -> None:
    async with serving(store_url, again) as client:
        run = await client.start(again.options(shadow=True), 0)
        await run.result("20s")
        assert {name: verdict for name, (verdict, _, _) in (await verdicts(client)).items()} == {
            "again 0": "shadow", "again 1": "shadow", "again 2": "shadow"
        }  # fmt: skip
        view = await client.get(run.id)
        assert (view.shadow, view.attributes) == (True, {"n": 2})


async def test_nobody_but_the_starter_brings_a_run_into_the_shadow() -> None:
    @hf.workflow
    async def sly() -> None:
        await hf.set_attributes(**{SHADOW: None})

    with pytest.raises(hf.UsageError, match="shadow=True"):
        sly.options(attributes={SHADOW: True})
    with pytest.raises(hf.UsageError, match="True or False"):
        sly.options(shadow="yes")  # type: ignore[arg-type]
    async with serving("memory://", sly) as client:
        run = await client.start(sly.options(shadow=True))
        with pytest.raises(hf.RunFailed, match="shadow=True"):
            await run.result("20s")
        assert (await client.get(run.id)).shadow
