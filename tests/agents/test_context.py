"""A context: its sources are read side by side, each a step that is tried again alone, and make one typed object."""

import asyncio
import dataclasses
from typing import Any

import pydantic
import pytest

import holdfast as hf
from holdfast.agents.phases.context import OrderContext, Source, gather_context, source
from holdfast.errors import RunFailed, UsageError
from tests.agents.kit import serving, steps_of
from tests.engine.helpers import ONCE, QUICK, cause, outcome


class Customer(pydantic.BaseModel):
    name: str


class About(pydantic.BaseModel):
    order_id: str
    customer: Customer
    history: list[str] | None = None
    missing: list[str] = []


class Reads:
    """Sources that count how often they are read."""

    def __init__(self) -> None:
        self.count: dict[str, int] = {}
        self.beside: asyncio.Barrier | None = None

    async def read(self, what: str) -> int:
        self.count[what] = self.count.get(what, 0) + 1
        if self.beside is not None:
            await asyncio.wait_for(self.beside.wait(), 20)
        return self.count[what]


@pytest.fixture
def reads() -> Reads:
    return Reads()


def customer_of(reads: Reads, fails: int = 0) -> Source[[str], Customer]:
    @source(retry=QUICK)
    async def customer(order_id: str) -> Customer:
        if await reads.read("customer") <= fails:
            raise ConnectionError("the shop is away")
        return Customer(name=f"Ann of {order_id}")

    return customer


def history_of(reads: Reads, fails: int = 0) -> Source[[str], list[str]]:
    @source(optional=True, retry=QUICK)
    async def history(order_id: str) -> list[str]:
        if await reads.read("history") <= fails:
            raise ConnectionError("the archive is away")
        return [order_id]

    return history


def gathering(customer: Any, history: Any) -> hf.Workflow[[str], dict[str, Any]]:
    @hf.workflow
    async def gathers(order_id: str) -> dict[str, Any]:
        about = await gather_context(
            About, order_id=order_id, customer=customer(order_id), history=history(order_id)
        )  # fmt: skip
        await hf.sleep(0.01)
        return about.model_dump()

    return gathers


async def test_sources_are_read_side_by_side_and_once_a_run(store_url: str, reads: Reads, park_at_once: None) -> None:
    reads.beside = asyncio.Barrier(2)
    async with serving(store_url, flow := gathering(customer_of(reads), history_of(reads))) as (client, _):
        assert await outcome(client, flow, "o-1") == {
            "order_id": "o-1", "customer": {"name": "Ann of o-1"}, "history": ["o-1"], "missing": [],
        }  # fmt: skip
    assert reads.count == {"customer": 1, "history": 1}


async def test_a_source_that_fails_is_tried_again_alone(store_url: str, reads: Reads) -> None:
    async with serving(store_url, flow := gathering(customer_of(reads, fails=2), history_of(reads))) as (client, _):
        run = await client.start(flow, "o-1")
        assert (await run.result(timeout="20s"))["customer"] == {"name": "Ann of o-1"}
        assert sorted(await steps_of(client, run.id)) == [("customer", "ok", 3), ("history", "ok", 1)]
    assert reads.count == {"customer": 3, "history": 1}


async def test_a_required_source_that_fails_for_good_fails_the_run(reads: Reads) -> None:
    async with serving("memory://", flow := gathering(customer_of(reads, fails=9), history_of(reads))) as (client, _):
        assert isinstance(await cause(client, flow, "o-1"), ConnectionError)


async def test_an_optional_one_gives_its_default_and_the_context_says_so(
    store_url: str, reads: Reads, park_at_once: None
) -> None:
    async with serving(store_url, flow := gathering(customer_of(reads), history_of(reads, fails=9))) as (client, _):
        about = await outcome(client, flow, "o-1")
    assert (about["history"], about["missing"]) == (None, ["history"])
    assert reads.count == {"customer": 1, "history": 3}


async def test_a_wrong_call_of_an_optional_source_is_told(reads: Reads) -> None:
    history = history_of(reads)

    @hf.workflow
    async def flow() -> Any:
        return await history("o-1", "o-2")  # type: ignore[call-arg]

    async with serving("memory://", flow) as (client, _):
        assert isinstance(await cause(client, flow), UsageError)


async def test_what_is_cached_is_shared_by_the_runs_of_a_tenant_for_its_time(
    store_url: str, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    @source(cache="10m")
    def prices(region: str) -> dict[str, int]:
        reads.count[region] = reads.count.get(region, 0) + 1
        return {"a": reads.count[region]}

    @hf.workflow
    async def flow(region: str) -> dict[str, int]:
        found: dict[str, int] = await prices(region)
        found["changed"] = 1  # it is the run's own
        return found

    async with serving(store_url, flow) as (client, _):
        runs = [await client.start(flow, "north") for _ in range(5)]
        assert [await run.result(timeout="20s") for run in runs] == [{"a": 1, "changed": 1}] * 5
        assert await outcome(client, flow, "south") == {"a": 1, "changed": 1}
        assert reads.count == {"north": 1, "south": 1}
        stranger = hf.Client(client.core, "acme")
        assert (await outcome(stranger, flow, "north"))["a"] == 2
        [known] = [one for key, one in client.core.companions.items() if key is prices]
        for cached in known.values():  # type: ignore[attr-defined]
            cached.until -= 600.1
        assert (await outcome(client, flow, "north"))["a"] == 3


async def test_a_cached_source_that_fails_is_not_kept(reads: Reads) -> None:
    @source(cache="10m", retry=ONCE)
    async def prices() -> int:
        if await reads.read("prices") == 1:
            raise ConnectionError("away")
        return 7

    @hf.workflow
    async def flow() -> int:
        return await prices()

    async with serving("memory://", flow) as (client, _):
        assert isinstance(await cause(client, flow), ConnectionError)
        assert await outcome(client, flow) == 7


@dataclasses.dataclass
class Plain:
    order_id: str
    pages: int = 1


@pytest.mark.parametrize(
    ("gathers", "said"),
    [
        (lambda: gather_context(About, order_id="o-1"), "field 'customer' of About has no source"),
        (lambda: gather_context(About, order_id="o", customer={}, hsitory=[]), "About has no field 'hsitory'"),
        (lambda: gather_context(About, order_id="o", customer={"name": 3}), r"About\.customer\.name: Input should be"),
        (lambda: gather_context(Plain, order_id="o", pages="many"), r"Plain\.pages: Input should be a valid integer"),
        (lambda: gather_context(dict), "a pydantic model or a dataclass"),
    ],
)
async def test_what_does_not_fit_is_told_with_its_field(gathers: Any, said: str) -> None:
    @hf.workflow
    async def flow() -> None:
        await gathers()

    async with serving("memory://", flow) as (client, _):
        run = await client.start(flow)
        with pytest.raises(RunFailed, match=said) as failed:
            await run.result(timeout="20s")
        assert isinstance(failed.value.__cause__, UsageError)


async def test_a_dataclass_does_as_well_and_so_does_a_step(reads: Reads) -> None:
    @hf.step
    async def pages() -> int:
        return 3

    @hf.workflow
    async def flow() -> int:
        return (await gather_context(Plain, order_id="o-1", pages=pages())).pages

    async with serving("memory://", flow) as (client, _):
        assert await outcome(client, flow) == 3


async def test_outside_of_a_run_a_source_is_its_function(reads: Reads) -> None:
    assert await customer_of(reads)("o-1") == Customer(name="Ann of o-1")
    assert await history_of(reads, fails=1)("o-1") is None


async def test_the_context_of_an_order_holds_subject_documents_and_templates() -> None:
    @source
    async def subject(order_id: str) -> dict[str, Any]:
        return {"name": "Ann", "order": order_id}

    @source
    def documents(order_id: str) -> dict[str, str]:
        return {"intake.txt": f"the words of {order_id}"}

    @source(optional=True, default={}, retry=ONCE)
    async def templates() -> dict[str, str]:
        raise FileNotFoundError("letter.md")

    @hf.workflow
    async def flow(order_id: str) -> OrderContext:
        return await gather_context(
            OrderContext, order_id=order_id, subject=subject(order_id), documents=documents(order_id),
            templates=templates(),
        )  # fmt: skip

    async with serving("memory://", flow) as (client, _):
        assert await outcome(client, flow, "o-1") == OrderContext(
            order_id="o-1",
            subject={"name": "Ann", "order": "o-1"},
            documents={"intake.txt": "the words of o-1"},
            missing=["templates"],
        )
