"""What the tests of the pages of models and artifacts share: runs that ask models and make artifacts."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from pathlib import Path
from typing import Any

import holdfast as hf
from holdfast.agents.recording import Request, record_artifact, record_requests
from tests.web.browsing import Dashboard

MINI, HAIKU, OWN = "openai:gpt-5-mini", "anthropic:claude-haiku-4-5", "own:tiny"

MARKUP = '<script>alert("x")</script><img src=x onerror=alert(1)>'

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360f8cfc0f01f0005000201a5f645400000000049454e44ae426082"
)

SECOND_US = 1_000_000
DAY_US = 24 * 3600 * SECOND_US


def request(
    model: str, cost: int | None, outcome: str = "ok", *, error: str | None = None, days_ago: int = 0, tokens: int = 100
) -> Request:
    """A request of today, or of a day before, that took one second and a half."""
    ended = time.time_ns() // 1000 - days_ago * DAY_US
    return Request(model, outcome, error, tokens, 10, 7, cost, ended - 3 * SECOND_US // 2, ended)


def put(name: str, media_type: str, content: bytes, path: Path | None = None) -> None:
    """Record an artifact; its bytes are in the database, or in a file that is written."""
    if path is not None:
        path.write_bytes(content)
    record_artifact(
        name, media_type, len(content), hashlib.sha256(content).digest(),
        location=None if path is None else str(path), content=content if path is None else None,
    )  # fmt: skip


def letter_of(who: str, closing: str) -> bytes:
    """What a draft is, in one line, as models answer."""
    return json.dumps({"to": who, "lines": ["Dear " + who, "thank you"], "closing": closing, "price": 0.1}).encode()


@hf.step(retry=hf.Retry(max_attempts=2, initial=0.001, jitter=0.0))
async def draft(who: str) -> str:
    put("draft/prompt.md", "text/markdown", f"# Write to {who}\n\n{MARKUP}\n".encode())
    if hf.current().attempt == 1:
        record_requests("draft", [request(OWN, None, "timeout", error=f"no answer to {who}")])
        raise TimeoutError("no answer")
    record_requests("draft", [request(MINI, 12_300_000), request(HAIKU, 1_500_000_020, tokens=9_876_543)])
    put("draft/output.json", "application/json", letter_of(who, "Yours"))
    return "drafted"


@hf.step
async def approve(who: str) -> str:
    put("draft/approved.json", "application/json", letter_of(who, "Sincerely yours"))
    return "approved"


@hf.workflow
async def offer(who: str) -> str:
    await draft(who)
    return await approve(who)


@hf.step
async def record(name: str, media_type: str, content: str, path: str | None) -> None:
    put(name, media_type, bytes.fromhex(content), None if path is None else Path(path))


@hf.workflow
async def making(name: str, media_type: str, content: str, path: str | None = None) -> None:
    """An artifact; its bytes are given in hexadecimal."""
    await record(name, media_type, content, path)


@hf.step
async def spend(phase: str, model: str, cost: int | None, days_ago: int, times: int) -> None:
    record_requests(phase, [request(model, cost, days_ago=days_ago) for _ in range(times)])


@hf.workflow
async def spending(phase: str, model: str, cost: int | None, days_ago: int = 0, times: int = 1) -> None:
    await spend(phase, model, cost, days_ago, times)


@hf.step(retry=hf.Retry(max_attempts=1))
async def again(text: str, path: str) -> str:
    """Fails as long as a file is not there; what it makes says which attempt of the run it is."""
    there = await asyncio.to_thread(Path(path).exists)
    put("plan.txt", "text/plain", f"plan\nof {'the second' if there else 'the first'} attempt\n{text}\n".encode())
    if not there:
        raise ValueError("not there")
    return text


@hf.workflow
async def retried(text: str, path: str) -> str:
    return await again(text, path)


AGENTS: list[Any] = [offer, making, spending, retried]


async def run(shown: Dashboard, workflow: Any, *args: Any, id: str, client: hf.Client | None = None) -> hf.RunView:
    """A run that has ended."""
    client = client or shown.client
    await client.start(workflow.options(id=id), *args)
    return await ended(client, id)


async def ended(client: hf.Client, id: str, *statuses: str) -> hf.RunView:
    """A run once it has one of some statuses."""
    async with asyncio.timeout(60):
        while (view := await client.get(id)).status not in (statuses or ("succeeded", "failed")):
            await asyncio.sleep(0.02)
    return view
