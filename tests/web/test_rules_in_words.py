"""The rules of a workflow in words, and on its page."""

from __future__ import annotations

import pytest

import holdfast as hf
from holdfast.model.terms import Terms
from holdfast.web.rules import rules_of
from tests.web.browsing import dashboard

MARKUP = "<b>sku</b>"


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        (Terms(), []),
        (
            Terms(rate_limit=hf.RateLimit(100, "1m", key="customer")),
            ["At most 100 runs start in any 1 min, for each customer; what is over it starts later."],
        ),
        (
            Terms(rate_limit=hf.RateLimit(1, "90m", excess="drop")),
            ["At most 1 run starts in any 90 min; what is over it makes no run."],
        ),
        (
            Terms(debounce=hf.Debounce("30s", longest="5m", key="doc")),
            [("Starts less than 30 s apart make one run, for each doc, with the newest input, 5 min after the first at "
              "the latest.")],
        ),
        (
            Terms(debounce=hf.Debounce("250ms", longest="1s", edge="leading")),
            [("The first start makes a run at once; further ones go into it until there were none for 250 ms, for 1 s "
              "at most.")],
        ),
        (
            Terms(batch=hf.Batch(1000, within="10s", key=lambda item: item)),
            [("The items of several starts make one run, for each key that a function in its code gives: as soon as "
              "there are 1,000 items, or 10 s after the first.")],
        ),
        (
            Terms(singleton=hf.Singleton(key="order"), share="customer.id"),
            ["One run is open at a time, for each order; another start makes none.",
             "Its queue is shared fairly between the values of customer.id."],
        ),
        (
            Terms(singleton=hf.Singleton(when_taken="cancel"), share=lambda x: x),
            ["One run is open at a time; another start cancels it and takes its place.",
             "Its queue is shared fairly between the values that a function in its code gives."],
        ),
    ],
)  # fmt: skip
def test_each_rule_is_a_sentence(terms: Terms, said: list[str]) -> None:
    assert [rule.text for rule in rules_of(terms)] == said


@hf.workflow(rate_limit=hf.RateLimit(1, per="1h", key="doc", excess="drop"), share=lambda doc: doc)
async def index(doc: str) -> str:
    return doc


@hf.workflow(version="1", singleton=hf.Singleton())
async def other() -> None:
    pass


@hf.workflow(name="other", version="10")
async def other_ten() -> None:
    pass


async def test_the_page_of_a_workflow_says_its_rules_and_leads_to_what_they_diverted(disk_url: str) -> None:
    async with dashboard(disk_url) as shown, hf.Worker(shown.client, [index], drain=0):
        for id in ("i-0", "i-1"):
            await shown.client.start(index.options(id=id), "d-1")
        seen = await shown.get("/workflows/index")
        assert "At most 1 run starts in any 1 h, for each doc; what is over it makes no run." in seen.text
        assert "shared fairly between the values that a function in its code gives" in seen.text
        diverted = await shown.get(seen.link("Diverted starts"))
        assert diverted.path == "/diversions"  # the navigation's, which stands before it
        [own] = [link.href for link in seen.links if link.href.startswith("/diversions?")]
        assert own == "/diversions?workflow=index"
        assert (await shown.get(own)).has_link("i-1")


async def test_the_rules_are_those_of_the_newest_version() -> None:
    async with dashboard() as shown:
        for served, rules in ((other, True), (other_ten, False)):
            async with hf.Worker(shown.client, [served], drain=0):
                pass
            seen = await shown.get("/workflows/other")
            assert ("One run is open at a time" in seen.text) == rules
