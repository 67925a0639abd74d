"""Fairness between tenants and keys through workers: each has its turn, and a run keeps its share wherever it goes."""

import asyncio
from collections import Counter

import pytest

import holdfast as hf
from holdfast.engine.dispatcher import Dispatcher
from holdfast.engine.shares import ShareView
from holdfast.store import turn_lines
from tests.engine.helpers import serving, until, until_status

order: list[tuple[str, str]] = []
gate: asyncio.Event
executing: Counter[str] = Counter()
most: Counter[str] = Counter()


@pytest.fixture(autouse=True)
def anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """What happened, for each test."""
    global gate
    gate = asyncio.Event()
    order.clear()
    executing.clear()
    most.clear()
    monkeypatch.setattr(turn_lines, "CHEAP_SECONDS", 3600.0)


@hf.workflow(queue="gpu")
async def job(name: str) -> None:
    order.append((name, ""))


@hf.workflow(queue="gpu", share="customer")
async def of_customer(customer: str, name: str) -> None:
    order.append((name, customer))


@hf.step(retry=hf.Retry(max_attempts=1))
async def render(customer: str) -> str:
    executing[customer] += 1
    most[customer] = max(most[customer], executing[customer])
    try:
        await gate.wait()
    finally:
        executing[customer] -= 1
    return customer


@hf.workflow(queue="gpu", share="customer")
async def picture(customer: str) -> str:
    return await render(customer)


@hf.workflow(queue="gpu", share="customer")
async def sleeper(customer: str) -> None:
    await hf.sleep(0.01)
    raise ValueError(customer)


@hf.workflow(queue="gpu")
async def parent(customer: str) -> str:
    return await picture(customer)


async def shares(client: hf.Client, name: str = "gpu") -> dict[tuple[str, str], tuple[int, int]]:
    """How many runs of each share are ready and execute."""
    return {(one.tenant, one.key): (one.ready, one.executing) for one in await client.queue_shares(name)}


async def test_a_run_of_another_tenant_starts_within_ten_claims(disk_url: str) -> None:
    async with (
        hf.connect(disk_url) as client,
        hf.connect(disk_url, tenant="large") as large,
        hf.connect(disk_url, tenant="small") as small,
    ):
        await large.start_many(job, [("large",)] * 300)
        await client.start_many(job, [("default",)] * 300)
        await small.start(job, "small")
        async with hf.Worker(client, [job], concurrency=10):

            async def started() -> bool:
                return ("small", "") in order

            await until(started)
        assert order.index(("small", "")) < 100


async def test_weights_are_heeded_as_they_are_set(disk_url: str) -> None:
    async with hf.connect(disk_url) as client, hf.connect(disk_url, tenant="acme") as acme:
        await client.set_queue("gpu", weights={"acme": 3, "acme/gold": 4})
        for customer in ("gold", "tin"):
            await acme.start_many(of_customer, [(customer, "acme")] * 200)
        await client.start_many(job, [("default",)] * 200)
        async with hf.Worker(client, [job, of_customer], concurrency=4):

            async def enough() -> bool:
                return len(order) >= 200

            await until(enough)
        seen = Counter(order[40:200])
        acmes = seen["acme", "gold"] + seen["acme", "tin"]
        assert 2.2 <= acmes / seen["default", ""] <= 4
        assert 2.5 <= seen["acme", "gold"] / seen["acme", "tin"] <= 6


async def test_of_each_key_so_many_runs_execute(store_url: str) -> None:
    async with hf.connect(store_url) as client:
        await client.set_queue("gpu", per_key=2)  # before a worker claims that does not know it
        runs = [await client.start(picture, customer) for customer in "aaaaabbbcc"]
        async with hf.Worker(client, [picture], concurrency=50, drain=0):

            async def six() -> bool:
                return sum(executing.values()) == 6

            await until(six)
            known = {("default", "a"): (3, 2), ("default", "b"): (1, 2), ("default", "c"): (0, 2)}
            assert await shares(client) == known
            said = [await client.explain(run.id) for run in runs]
            assert said.count("queue gpu executes 2 of 2 runs of its share") == 4
            gate.set()
            assert [await run.result(timeout="30s") for run in runs] == list("aaaaabbbcc")
            assert max(most.values()) == 2


async def test_what_a_worker_claims_before_it_knows_a_limit_counts_once_it_does(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    knows = False
    heed = Dispatcher._heed_flow

    async def late(self: Dispatcher) -> None:
        if knows:
            await heed(self)

    monkeypatch.setattr(Dispatcher, "_heed_flow", late)
    async with serving(store_url, picture, concurrency=50) as client:
        await client.set_queue("gpu", per_key=2)
        runs = [await client.start(picture, "a") for _ in range(2)]

        async def two() -> bool:
            return executing["a"] == 2

        async def known() -> bool:
            return all(one.is_capped("gpu") for one in client.core._dispatchers)

        async def other() -> bool:
            return executing["b"] == 1

        await until(two)
        knows = True
        client.core.announce("flow")
        await until(known)
        runs += [await client.start(picture, customer) for customer in "aab"]
        await until(other)
        assert await shares(client) == {("default", "a"): (2, 2), ("default", "b"): (0, 1)}
        gate.set()
        for run in runs:
            await run.result(timeout="30s")


async def test_names_that_are_too_long_for_the_index_are_told_at_the_start() -> None:
    async with hf.connect("memory://", tenant="é" * 512) as client:
        assert (await client.start(of_customer, "k" * 512, "x")).id
        with pytest.raises(hf.UsageError, match=r"have 2,5.. bytes together.*give shorter ones"):
            await client.start(of_customer, "€" * 490, "x")
        with pytest.raises(hf.UsageError, match=r"have 2,5.. bytes together"):
            await client.start(job.options(queue="€" * 512), "x")
        with pytest.raises(hf.UsageError, match="bytes together; give at most 2,500"):
            await client.set_queue("€" * 512, weights={"€" * 512: 2})


async def test_a_tenant_with_a_slash_in_its_name_is_weighed(disk_url: str) -> None:
    async with hf.connect(disk_url) as client, hf.connect(disk_url, tenant="acme/eu") as acme:
        await client.set_queue("gpu", weights={r"acme\/eu": 3, r"acme\/eu/a/b": 4, "acme": 9, "acme/eu": 8})
        for customer in ("a/b", "tin"):
            await acme.start_many(of_customer, [(customer, "acme")] * 200)
        await client.start_many(job, [("default",)] * 200)
        assert {(one.tenant, one.key): one.weight for one in await client.queue_shares("gpu")} == {
            ("acme/eu", "a/b"): 4, ("acme/eu", "tin"): 1, ("default", ""): 1
        }  # fmt: skip
        async with hf.Worker(client, [job, of_customer], concurrency=4):

            async def enough() -> bool:
                return len(order) >= 200

            await until(enough)
        seen = Counter(order[40:200])
        acmes = seen["acme", "a/b"] + seen["acme", "tin"]
        assert 2.2 <= acmes / seen["default", ""] <= 4
        assert 2.5 <= seen["acme", "a/b"] / seen["acme", "tin"] <= 6


async def test_a_limit_lifted_lets_the_others_go_on(store_url: str) -> None:
    async with serving(store_url, picture, concurrency=50) as client:
        await client.set_queue("gpu", per_key=1)
        runs = [await client.start(picture, "a") for _ in range(4)]
        await until_status(client, runs[0].id, "running")
        await client.set_queue("gpu", per_key=None)

        async def all_four() -> bool:
            return executing["a"] == 4

        await until(all_four)
        gate.set()
        for run in runs:
            await run.result(timeout="30s")


async def test_a_run_keeps_its_share_wherever_it_goes(store_url: str, park_at_once: None) -> None:
    async with hf.connect(store_url, tenant="acme") as client:
        async with hf.Worker(client, [sleeper, picture, parent], drain=0):
            run = await client.start(sleeper.options(id="s"), "c-1")
            with pytest.raises(hf.RunFailed):
                await run.result(timeout="30s")
        await client.retry("s")
        assert await shares(client) == {("acme", "c-1"): (1, 0)}
        fork = await client.fork("s")
        assert await shares(client) == {("acme", "c-1"): (2, 0)}
        assert (await client.get(fork)).queue == "gpu"
        await client.cancel(fork)
        await client.cancel("s")
        async with hf.Worker(client, [sleeper, picture, parent], drain=0):
            asked = await client.start(parent, "c-2")

            async def executes() -> bool:
                return executing["c-2"] == 1

            await until(executes)
            assert (await shares(client))["acme", "c-2"] == (0, 1)
        # It was handed over, and waits in its share for the next worker.
        assert (await shares(client))["acme", "c-2"] == (1, 0)
        gate.set()
        async with hf.Worker(client, [sleeper, picture, parent], drain=0):
            assert await asked.result(timeout="30s") == "c-2"


async def test_what_is_shown_goes_by_the_queue(disk_url: str) -> None:
    async with hf.connect(disk_url) as client, hf.connect(disk_url, tenant="acme") as acme:
        await client.start_many(job, [("x",)] * 3)
        await acme.start_many(of_customer, [("gold", "x"), ("gold", "y"), ("tin", "z")])
        await acme.start(of_customer.options(id="last"), "gold", "x")
        await client.set_queue("gpu", weights={"acme/gold": 7})
        (view,) = await client.queues()
        assert (view.name, view.ready, view.executing, view.weights) == ("gpu", 7, 0, {"acme/gold": 7})
        assert view.oldest_at is not None
        assert await client.queue_shares("gpu") == [
            ShareView("acme", "gold", 3, 0, 7),
            ShareView("default", "", 3, 0, 1),
            ShareView("acme", "tin", 1, 0, 1),
        ]
        assert await client.queue_shares("gpu", limit=1) == [ShareView("acme", "gold", 3, 0, 7)]
        assert {one.tenant for one in await acme.queue_shares("gpu", own=True)} == {"acme"}
        assert await client.queue_shares("other") == []
        assert (await acme.get("last")).queue == "gpu"
        assert len(await acme.list(where="queue = 'gpu'")) == 4
        assert len(await acme.list(where="queue != 'gpu'")) == 0
        assert (await acme.count("queue = 'gpu'")).runs == 4
        kinds = {(kind.queue, kind.workflow): kind.runs for kind in await client.stranded()}
        assert kinds == {("gpu", "job"): 3, ("gpu", "of_customer"): 4}


async def test_where_a_run_stands_in_its_share(disk_url: str) -> None:
    async with serving(disk_url, of_customer, job, picture, concurrency=1) as client:
        held = await client.start(picture, "z")  # it takes the only slot
        await until_status(client, held.id, "running")
        async with hf.connect(disk_url, tenant="acme") as acme:
            await client.start_many(job, [("x",)] * 2)
            await acme.start_many(of_customer, [("gold", "x")] * 3)
            await acme.start(of_customer.options(id="fourth"), "gold", "x")
            assert await acme.explain("fourth") == (
                "is ready for the next worker with a free slot, 3 of its key before it; 2 tenants share queue gpu"
            )
            await client.start(job.options(id="third"), "x")
            assert await client.explain("third") == (
                "is ready for the next worker with a free slot, 2 of its own tenant before it; "
                "2 tenants share queue gpu"
            )
            gate.set()
            await held.result(timeout="30s")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"per_key": 0}, "per_key"),
        ({"per_key": 1.5}, "per_key"),
        ({"weights": {"acme": 0}}, "the weight of 'acme'"),
        ({"weights": {"acme": 1001}}, "the weight of 'acme'"),
        ({"weights": {"acme": True}}, "the weight of 'acme'"),
        ({"weights": {"": 1}}, "a weight is for ''"),
        ({"weights": {"acme/": 1}}, "a weight is for 'acme/'"),
        ({"weights": {"/gold": 1}}, "a weight is for '/gold'"),
        ({"weights": {"ac\\me": 1}}, "a weight is for 'ac.*stands a backslash"),
        ({"weights": {7: 1}}, "a weight is for 7"),
        ({"weights": [("acme", 1)]}, "weights is "),
        ({"weights": {"a\x1fb": 1}}, "control character"),
    ],
)
async def test_settings_that_cannot_be(given: dict[str, object], said: str) -> None:
    async with hf.connect("memory://") as client:
        with pytest.raises(hf.UsageError, match=said):
            await client.set_queue("gpu", **given)  # type: ignore[arg-type]
        assert await client.queues() == []


async def test_weights_stay_until_they_are_taken_away(store_url: str) -> None:
    async with hf.connect(store_url, actor="ann") as client:
        await client.set_queue("gpu", per_key=2, weights={"acme": 5, "acme/gold/1": 3})
        await client.set_queue("gpu", total=4, weights={"acme": None, "b": 2})
        (view,) = await client.queues()
        assert (view.total, view.per_key, view.weights) == (4, 2, {"acme/gold/1": 3, "b": 2})
        entries = [entry for entry in await client.audit() if entry.action == "queue.set"]
        assert entries[0].detail["weights"] == {"acme": 1, "b": 2}
        assert entries[1].detail == {"per_key": 2, "weights": {"acme": 5, "acme/gold/1": 3}}
