"""A search that took very long, since its process was stopped or the database away, does not hide runs for long."""

import holdfast as hf
from holdfast.store.postgres.claim import AGAIN_SECONDS, LONGEST_SECONDS, SHARE, Heads
from holdfast.store.postgres.lanes import BEGINNING, Lines
from tests.engine.helpers import until


@hf.workflow
async def quick(number: int) -> int:
    return number


def test_a_dear_search_is_made_again_after_its_share_of_time() -> None:
    heads = Heads()
    heads.searched(0.0, 0.05, 0)
    assert not heads.due(0.05 + AGAIN_SECONDS)
    assert heads.wait(0.05) == SHARE * 0.05
    assert heads.due(0.05 + SHARE * 0.05)


def test_a_search_during_which_time_stood_still_is_made_again_soon() -> None:
    heads = Heads()
    heads.searched(0.0, 600.0, 0)
    assert heads.wait(600.0) == LONGEST_SECONDS
    assert heads.due(600.0 + LONGEST_SECONDS)
    lines = Lines()
    lines.searched([b"lane"], 0.0, 600.0, 1)
    assert lines.begin(b"lane", 600.0 + LONGEST_SECONDS) == BEGINNING


async def test_a_run_that_comes_before_others_is_found_after_a_search_that_stood_still(postgres_database: str) -> None:
    async with hf.connect(postgres_database) as client, hf.Worker(client, [quick], drain=0):
        assert await (await client.start(quick, 1)).result(timeout=30) == 1
        heads = client.core.store._heads  # type: ignore[attr-defined]

        async def searched_for_long() -> bool:
            now = heads._searched_at
            heads.searched(now - 600.0, now, 0)
            return bool(heads._took > 500)

        await until(searched_for_long, 10)
        # By its rank it stands before all that was taken.
        run = await client.start(quick.options(priority=1000), 2)
        assert await run.result(timeout=60) == 2
