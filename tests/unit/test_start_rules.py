"""Rules for starts: what they refuse when they are made, what a workflow says with them, and the rows of starts."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from holdfast.engine.starting import check_child, start_row
from holdfast.engine.workflow import RunFailure, StartOptions, Workflow, workflow
from holdfast.errors import UsageError
from holdfast.model.ids import check_owner
from holdfast.model.schema import describe, terms_of
from holdfast.model.shares import share_name
from holdfast.model.start_rules import Batch, Debounce, RateLimit, Singleton
from holdfast.model.terms import Terms, needs_code, plain_terms, specs, terms_from, told_keys, with_code, with_told
from holdfast.store.operations import Gather, Start

NOW = 1_800_000_000_000_000


def row(
    one: Workflow[Any, Any], *args: Any, terms: Terms | None = None, tenant: str = "default", **kwargs: Any
) -> Start:
    options = kwargs.pop("options", StartOptions())
    return start_row(
        tenant=tenant, workflow=one.name, version=one.version, terms=terms or one.terms, options=options,
        given=one.signature.encode_input(args, kwargs), now_us=NOW, args=args, kwargs=kwargs,
    )  # fmt: skip


@pytest.mark.parametrize(
    "make",
    [
        lambda: RateLimit(0, "1m"),
        lambda: RateLimit(-1, "1m"),
        lambda: RateLimit(True, "1m"),
        lambda: RateLimit(10**12, "1m"),
        lambda: RateLimit(1.5, "1m"),  # type: ignore[arg-type]
        lambda: RateLimit(1, 0),
        lambda: RateLimit(0, 0),
        lambda: RateLimit(1, "0s"),
        lambda: RateLimit(1, math.inf),
        lambda: RateLimit(1, -1),
        lambda: RateLimit(1, 1e-9),
        lambda: RateLimit(1, "1m", excess="queue"),  # type: ignore[arg-type]
        lambda: RateLimit(1, "1m", key="a..b"),
        lambda: RateLimit(1, "1m", key=7),  # type: ignore[arg-type]
        lambda: Debounce("30s"),
        lambda: Debounce("30s", longest=math.inf),
        lambda: Debounce("30s", longest="29s"),
        lambda: Debounce(0, longest="29s"),
        lambda: Debounce("30s", longest="5m", edge="middle"),  # type: ignore[arg-type]
        lambda: Batch(0, within="1s"),
        lambda: Batch(10),
        lambda: Batch(10, within=0),
        lambda: Batch(10**7, within="1s"),
        lambda: Singleton(when_taken="wait"),  # type: ignore[arg-type]
        lambda: Singleton(key=""),
    ],
)
def test_a_rule_that_means_nothing_is_refused_when_it_is_made(make: Callable[[], object]) -> None:
    with pytest.raises(UsageError, match=r"give|needs|must be"):
        make()


def test_durations_are_kept_in_seconds() -> None:
    assert RateLimit(3, "1m") == RateLimit(3, 60.0) == RateLimit(3, timedelta(minutes=1))
    assert Debounce("30s", longest="5m").longest == 300.0
    assert Batch(10, within="250ms").within == 0.25


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"rate_limit": 5}, r"give an hf\.RateLimit"),
        ({"batch": Debounce(1, longest=2)}, r"give an hf\.Batch"),
        ({"debounce": Debounce(1, longest=2), "singleton": Singleton()}, "debounce and singleton"),
        ({"rate_limit": RateLimit(1, 1, key="nobody")}, "no argument 'nobody'"),
        ({"singleton": Singleton(key="nobody")}, "no argument 'nobody'"),
        ({"debounce": Debounce(1, longest=2, key="nobody.id")}, "no argument 'nobody'"),
        ({"share": "nobody"}, "no argument 'nobody'"),
        ({"queue": "a\x1fb"}, "control character"),
    ],
)
def test_a_workflow_refuses_rules_that_do_not_fit_it(rules: dict[str, Any], said: str) -> None:
    async def charge(order_id: str) -> None: ...

    with pytest.raises(UsageError, match=said):
        workflow(**rules)(charge)


def test_a_batch_takes_exactly_one_argument_that_is_a_list() -> None:
    batch = Batch(10, within=1)

    async def two(docs: list[str], more: int) -> None: ...
    async def none() -> None: ...
    async def a_text(docs: str) -> None: ...
    async def a_name(docs: "dict[str, int]") -> None: ...  # noqa: UP037
    async def many(*docs: str) -> None: ...

    wrong: list[Any] = [two, none, a_text, a_name, many]
    for function in wrong:
        with pytest.raises(UsageError, match="list"):
            workflow(batch=batch)(function)

    async def plain(docs) -> None: ...  # type: ignore[no-untyped-def]
    async def any_list(docs: list) -> None: ...  # type: ignore[type-arg]
    async def texts(docs: "list[str]") -> None: ...  # noqa: UP037
    async def later(docs: "SomewhereElse") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037

    right: list[Any] = [plain, any_list, texts, later]
    for function in right:
        assert workflow(batch=batch)(function).terms.batch == batch


def test_every_key_of_a_batch_workflow_is_the_key_of_its_items() -> None:
    async def index(docs: list[dict[str, str]]) -> None: ...

    batch = Batch(10, within=1, key="customer")
    for other in ({"share": "owner"}, {"key": "docs"}, {"rate_limit": RateLimit(1, 1, key="owner")}):
        with pytest.raises(UsageError, match="give the same, or none"):
            workflow(batch=batch, **other)(index)
    same = workflow(batch=batch, share="customer", key="customer", rate_limit=RateLimit(1, 1, key="customer"))(index)
    start = row(same, [{"customer": "acme"}])
    assert (start.queue, start.lane_key) == (share_name("default", "default", "acme"), "acme")
    assert start.rate is not None
    assert start.rate.key == "acme"


def test_a_batch_counts_its_items_and_wants_one_key_of_all() -> None:
    @workflow(batch=Batch(3, within="10s", key="customer.id"))
    async def index(docs: list[dict[str, Any]]) -> None: ...

    def doc(customer: object) -> dict[str, Any]:
        return {"customer": {"id": customer}}

    gather = row(index, [doc("a"), doc("a")]).gather
    assert gather is not None
    assert (gather.rule, gather.key, gather.items, gather.most, gather.wait_us) == ("batch", "a", 2, 3, 10_000_000)
    with pytest.raises(UsageError, match=r"item 1 of a start .* key 'b', and item 0 has 'a'"):
        row(index, [doc("a"), doc("b")])
    with pytest.raises(UsageError, match="brings no item"):
        row(index, [])
    with pytest.raises(UsageError, match="brings 4 items, and its batch collects at most 3"):
        row(index, [doc("a")] * 4)
    with pytest.raises(UsageError, match="there is no 'id' in item 1"):
        row(index, [doc("a"), {"customer": {}}])
    with pytest.raises(UsageError, match="no 'customer' in item 0"):
        row(index, [{}])


def test_a_batch_whose_argument_has_no_annotation_still_wants_a_list() -> None:
    @workflow(batch=Batch(3, within="10s"))
    async def index(docs):  # type: ignore[no-untyped-def]
        ...

    assert row(index, [1, 2]).gather.items == 2  # type: ignore[union-attr]
    for given in (None, "text", {"a": 1}, 7):
        with pytest.raises(UsageError, match="takes a list of items"):
            row(index, given)


def test_a_key_of_a_batch_may_be_a_function_of_an_item() -> None:
    @workflow(batch=Batch(3, within="10s", key=lambda doc: doc["customer"].lower()))
    async def index(docs: list[dict[str, str]]) -> None: ...

    assert row(index, [{"customer": "Acme"}, {"customer": "ACME"}]).gather.key == "acme"  # type: ignore[union-attr]
    assert row(index, docs=[{"customer": "B"}]).gather.key == "b"  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="item 1"):
        row(index, [{"customer": "a"}, {"customer": "b"}])


def test_ids_of_rules_stand_for_tenant_workflow_rule_and_key() -> None:
    rules: dict[str, Any] = {"rate_limit": RateLimit(3, "1m", key="key"), "singleton": Singleton(key="key")}

    @workflow(**rules)
    async def one(key: str) -> None: ...

    @workflow(**rules)
    async def two(key: str) -> None: ...

    starts = [row(one, "a"), row(one, "b"), row(two, "a"), row(one, "a", tenant="north")]
    assert len({start.rate.id for start in starts} | {start.gather.id for start in starts}) == 8  # type: ignore[union-attr]
    assert row(one, "a").rate == starts[0].rate
    assert (starts[0].rate.most, starts[0].rate.period_us) == (3, 60_000_000)  # type: ignore[union-attr]


def test_a_start_says_how_its_workflow_gathers() -> None:
    @workflow(debounce=Debounce("30s", longest="5m", edge="leading"), rate_limit=RateLimit(1, 1, excess="drop"))
    async def quiet(doc: str) -> None: ...

    start = row(quiet, "a")
    assert start.gather is not None
    assert start.gather == Gather(start.gather.id, "debounce", "", "leading", 30_000_000, 300_000_000)
    assert start.rate is not None
    assert start.rate.drop
    with pytest.raises(UsageError, match="leave delay and at out"):
        row(quiet, "a", options=StartOptions(delay_seconds=5.0))


def test_a_singleton_that_cancels_has_a_lane_in_which_the_new_run_waits() -> None:
    async def sync(customer: str, region: str = "eu") -> None: ...

    cancels = workflow(singleton=Singleton(key="customer", when_taken="cancel"))(sync)
    assert (cancels.terms.lane, cancels.terms.key, cancels.terms.slots) == ("sync", "customer", 1)
    own = workflow(singleton=Singleton(key="customer", when_taken="cancel"), key="region", limit=2)(sync)
    assert (own.terms.key, own.terms.slots) == ("region", 2)
    assert workflow(singleton=Singleton(key="customer"))(sync).terms.lane is None


def test_a_share_is_part_of_the_place_where_a_run_waits() -> None:
    @workflow(queue="gpu", share="customer")
    async def train(customer: str) -> None: ...

    @workflow(queue="gpu")
    async def plain() -> None: ...

    assert row(train, "acme").queue == share_name("gpu", "default", "acme")
    assert row(train, "acme", options=StartOptions(queue="cpu")).queue == share_name("cpu", "default", "acme")
    assert row(plain).queue == "gpu"
    assert row(plain, tenant="north").queue == share_name("gpu", "north", "")
    with pytest.raises(UsageError, match="control character"):
        check_owner("a\x1fb", "the tenant")


RULED = Terms(
    rate_limit=RateLimit(3, "1m", key="a", excess="drop"),
    debounce=Debounce(1, longest=2, key=lambda a: a),
    share="a",
)


def test_rules_are_part_of_a_workflows_description() -> None:
    @workflow(
        rate_limit=RateLimit(3, "1m", key="a", excess="drop"),
        debounce=Debounce(1, longest=2, key=lambda a: a),
        share="a",
    )
    async def one(a: str) -> None: ...

    registered = terms_of(describe(one.signature, one.terms))
    assert registered.rate_limit == one.terms.rate_limit
    assert registered.share == "a"
    assert needs_code(registered)
    with pytest.raises(UsageError, match="code"):
        start_row(
            tenant="t", workflow="one", version="1", terms=registered, options=StartOptions(), given=b'\x01{"a":"x"}',
            now_us=NOW, args=None, kwargs={},
        )  # fmt: skip
    assert row(one, "x", terms=with_code(registered, one.terms))[-1] == row(one, "x")[-1]

    @workflow
    async def plain(a: str) -> None: ...

    assert b"rate_limit" not in describe(plain.signature, plain.terms)


def test_terms_come_back_from_plain_json_with_the_keys_that_were_told() -> None:
    terms = terms_from(plain_terms(RULED, None))
    assert terms.rate_limit == RULED.rate_limit
    assert terms.debounce == Debounce(1, longest=2)
    told = told_keys(RULED, "one", b'\x01{"a":"x"}', ("x",), {})
    assert told == {"debounce": "x"}
    again = dict(specs(with_told(terms, told)))
    assert again["debounce"]() == "x"  # type: ignore[operator, misc]
    assert again["rate_limit"] == "a"


def test_a_child_run_that_a_rule_might_not_let_be_is_refused() -> None:
    for terms in (
        Terms(debounce=Debounce(1, longest=2)), Terms(batch=Batch(1, within=1)), Terms(singleton=Singleton()),
        Terms(rate_limit=RateLimit(1, 1, excess="drop")),
    ):  # fmt: skip
        with pytest.raises(UsageError, match="start it with a client in a step"):
            check_child("one", terms)
    check_child("one", Terms(rate_limit=RateLimit(1, 1)))


def test_no_batch_is_an_on_failure() -> None:
    @workflow(batch=Batch(10, within=1))
    async def told(failures: list[RunFailure]) -> None: ...

    async def one() -> None: ...

    with pytest.raises(UsageError, match="must take one argument"):
        workflow(on_failure=told)(one)  # type: ignore[arg-type]
