"""What the pictures of the pages of models show: proposals that were written, checked and approved over some weeks."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

import holdfast as hf
from holdfast.agents.recording import Request, record_requests
from holdfast.model.phase_content import sealed
from holdfast.model.phases import Approval, Budget, Limits, ModelTerms, Phase, PhaseFile, Price, Rate
from holdfast.store.agent_rows import PhaseFileRow
from tests.web.agent_kit import put

PAGES = {
    "model-cost": "/costs",
    "phases": "/phases/proposals",
    "artifact-compare": "/artifact/compare?run=proposal-30&name=draft/output.json&name2=draft/approved.json",
}

MORE = {
    "run-models": "/runs/proposal-30?entry=1",
    "artifact": "/artifact?run=proposal-30&name=draft/prompt.md",
    "phases-list": "/phases",
}

MINI, SONNET, OWN = "openai:gpt-5-mini", "anthropic:claude-sonnet-4-5", "vllm:house-7b"

PRICES = {MINI: (250, 2_000), SONNET: (3_000, 15_000)}
"""Nanodollars for a token, in and out; there is none of the house's own."""

DAY_US = 24 * 3600 * 1_000_000

PROMPT = """# A proposal for {who}

They bought 40 kettles last year, and asked what 60 would cost.

- Offer no more than 12 % off.
- Answer in their language.
"""


def asked(model: str, days_ago: int, outcome: str = "ok", error: str | None = None) -> Request:
    """A request of some day."""
    into, out = random.randint(1_800, 9_000), random.randint(200, 1_400)
    price = PRICES.get(model)
    cost = None if price is None else into * price[0] + out * price[1]
    ended = time.time_ns() // 1000 - days_ago * DAY_US
    return Request(model, outcome, error, into, into // 3, out, cost, ended - random.randint(900_000, 9_000_000), ended)


@hf.step
async def research(who: str, days_ago: int) -> str:
    record_requests("research", [asked(MINI, days_ago), asked(OWN, days_ago)])
    put("research/output.txt", "text/plain", f"{who} makes tea for offices in Kraków.\n".encode())
    return f"{who} makes tea"


@hf.step(retry=hf.Retry(max_attempts=3, initial=0.01, jitter=0.0))
async def draft(who: str, days_ago: int) -> dict[str, Any]:
    put("draft/prompt.md", "text/markdown", PROMPT.format(who=who).encode())
    if hf.current().attempt == 1 and days_ago % 3 == 0:
        record_requests("draft", [asked(MINI, days_ago, "timeout", "gpt-5-mini gave no answer within 60 s")])
        raise TimeoutError("gpt-5-mini gave no answer within 60 s")
    record_requests("draft", [asked(SONNET, days_ago)])
    letter = {"to": who, "subject": "60 kettles", "discount": 0.15, "lines": ["Good morning,", "glad you ask."]}
    put("draft/output.json", "application/json", json.dumps(letter, indent=2).encode())
    return letter


@hf.step
async def approve(letter: dict[str, Any]) -> dict[str, Any]:
    letter = {**letter, "discount": 0.12, "lines": [*letter["lines"], "It stands until Friday."]}
    put("draft/approved.json", "application/json", json.dumps(letter, indent=2).encode())
    return letter


@hf.workflow
async def proposal(who: str, days_ago: int = 0) -> dict[str, Any]:
    """Writes to a customer who asked for a price."""
    await research(who, days_ago)
    return await approve(await draft(who, days_ago))


def phase_file() -> PhaseFile:
    """What the phases of proposals may do."""
    found = Phase("research", "Find out what {{ context.customer.name }} makes.", "house", fallbacks=(MINI,))
    drafted = Phase(
        "draft", PROMPT.replace("{who}", "{{ context.customer.name }}"), MINI, system="You write short, warm letters.",
        output="Letter", needs=("research",), fallbacks=(SONNET,), input_tokens=8_000, output_tokens=2_000,
        budget=Budget(None, 100_000_000),
        approval=Approval(group="sales", due_seconds=86_400.0, escalate_to=("grace",)),
    )  # fmt: skip
    house = ModelTerms("house", OWN, "http://models.example.com/v1", limits=Limits(4, Rate(60, 60.0, 5)))
    dear = ModelTerms(SONNET, SONNET, price=Price(3_000_000_000, 15_000_000_000, 300_000_000))
    models = {"house": house, MINI: ModelTerms(MINI, MINI), SONNET: dear}
    providers = {"openai": Limits(None, Rate(500, 60.0))}
    budgets: dict[Any, Budget] = {"run": Budget(400_000, 2_000_000_000), "day": Budget(None, 50_000_000_000)}
    return sealed("proposals", {"research": found, "draft": drafted}, models, providers, budgets, {})


async def writing(url: str, client: hf.Client) -> None:
    """Have proposals written."""
    file = phase_file()
    row = PhaseFileRow(client.tenant, file.name, file.version, file.content, client.core.now_us())
    await client.core.store.agents.keep_phases(row)
    async with hf.Worker(url, [proposal], concurrency=10):
        for number in range(60):
            options = proposal.options(id=f"proposal-{number}")
            await client.start(options, ("Acme", "Globex", "Initech")[number % 3], 30 - number // 2)
        async with asyncio.timeout(60):
            while (await client.count(workflow="proposal", status="succeeded")).runs < 60:
                await asyncio.sleep(0.1)
