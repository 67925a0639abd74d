"""What a run did with models: its requests with their sums, what it made, and the phases that it goes by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from holdfast.engine.artifacts import ArtifactView
from holdfast.engine.phase_calls import PINNED
from holdfast.engine.spending import ModelCallView
from holdfast.model.payload import codec_of
from holdfast.web.page import Page

CALLS_SHOWN = 2_000
ARTIFACTS_SHOWN = 200
"""So many of a run are looked at for its page."""

FILES_SHOWN = 20

_VERSION = codec_of(str)


@dataclass(frozen=True, slots=True)
class Use:
    """Requests to models, and their sums.

    Attributes:
        calls: the requests.
        failed: how many of them gave nothing.
        unpriced: how many of them have no known price.
        seconds: that they took, one after the other.
    """

    calls: list[ModelCallView]
    failed: int
    unpriced: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: Decimal
    seconds: float

    def at(self, position: str, generation: int) -> Use:
        """Those of a step alone, as an attempt of the run made them."""
        return use_of(one for one in self.calls if (one.position, one.generation) == (position, generation))


@dataclass(frozen=True, slots=True)
class Made:
    """What a run's page shows of models and artifacts.

    Attributes:
        use: of the whole run.
        more_calls: whether it made more than those.
        artifacts: that it made.
        more_artifacts: whether it made more than those.
        phases: the versions of files of phases that it goes by, by name.
    """

    use: Use
    more_calls: bool
    artifacts: list[ArtifactView]
    more_artifacts: bool
    phases: Mapping[str, str]

    def at(self, position: str) -> list[ArtifactView]:
        """What a step made."""
        return [one for one in self.artifacts if one.position == position]


def use_of(calls: Iterable[ModelCallView]) -> Use:
    """Requests with their sums."""
    found = list(calls)
    return Use(
        calls=found,
        failed=sum(one.outcome != "ok" for one in found),
        unpriced=sum(one.cost is None for one in found),
        input_tokens=sum(one.input_tokens for one in found),
        cached_tokens=sum(one.cached_tokens for one in found),
        output_tokens=sum(one.output_tokens for one in found),
        cost=sum((one.cost for one in found if one.cost is not None), Decimal(0)),
        seconds=sum((one.ended_at - one.began_at).total_seconds() for one in found),
    )


async def made_by(page: Page, run_id: str, hidden: set[str]) -> Made:
    """What a run did with models and made.

    Args:
        page: who asks.
        run_id: the run.
        hidden: texts that are not shown to them.
    """
    calls = await page.client.model_calls(run_id, limit=CALLS_SHOWN + 1)
    artifacts = await page.client.artifacts(run_id, limit=ARTIFACTS_SHOWN + 1)
    return Made(
        use=use_of(page.shown(calls[:CALLS_SHOWN], hidden)),
        more_calls=len(calls) > CALLS_SHOWN,
        artifacts=artifacts[:ARTIFACTS_SHOWN],
        more_artifacts=len(artifacts) > ARTIFACTS_SHOWN,
        phases=await _phases_of(page, run_id),
    )


async def _phases_of(page: Page, run_id: str) -> dict[str, str]:
    uid = (await page.client._find(run_id)).uid
    rows, _ = await page.client.reads.browse_journal(uid, after=PINNED, limit=FILES_SHOWN)
    return {
        row.name.removeprefix("phases "): _VERSION.decode(row.output, "the version of a file of phases")
        for row in rows  # of each the newest generation's comes last
        if row.position.startswith(PINNED) and row.output is not None
    }
