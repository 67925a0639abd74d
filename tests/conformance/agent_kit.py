"""Short ways to make requests to models, artifacts and what they need, over any store."""

import hashlib
from typing import Any

from holdfast.store.agent_rows import DAY_US, Artifact, ModelCall
from holdfast.store.base import Store
from holdfast.store.operations import ClaimedRun
from tests.conformance.state_stores import Clock, DatabaseClock, PostgresClock

DAY = 20_000
"""On which requests end, if nothing else is said."""


def call(run: ClaimedRun, number: int = 0, **changes: Any) -> ModelCall:
    """A request of 10 tokens, 2 of them from a cache, and 5 given, for 7 nanodollars."""
    began = DAY * DAY_US + 5_000_000
    row = ModelCall(
        run=run.uid,
        position=b"\x00",
        generation=run.generation,
        attempt=1,
        number=number,
        epoch=run.epoch,
        tenant=run.tenant,
        workflow=run.workflow,
        phase="draft",
        model="openai:small",
        outcome="ok",
        error=None,
        input_tokens=10,
        cached_tokens=2,
        output_tokens=5,
        cost=7,
        began_at=began,
        ended_at=began + 1_000_000,
    )
    return row._replace(**changes)


def artifact(
    run: ClaimedRun, name: str = "draft/prompt.md", content: bytes | None = b"Write.", **changes: Any
) -> Artifact:
    """A file that the database keeps."""
    digest = hashlib.sha256(content or b"").digest()
    row = Artifact(
        run=run.uid,
        position=b"\x00",
        generation=run.generation,
        name=name,
        epoch=run.epoch,
        tenant=run.tenant,
        media_type="text/markdown",
        size_bytes=len(content or b""),
        sha256=digest,
        location=None if content is not None else "s3://bucket/draft",
        content=content,
        at=5,
    )
    return row._replace(**changes)


def clock_of(store: Store, url: str) -> Clock:
    """The clock of a database, to be put forward."""
    return PostgresClock(url) if url.startswith("postgres") else DatabaseClock(store)
