"""A worker whose event loop does not turn any more ends its process, so that others take its runs."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import asyncio, sys, time
import holdfast as hf
from holdfast.engine import leases

leases.STUCK_SECONDS = 0.5

@hf.workflow
async def blocks() -> None:
    time.sleep(30)

async def main() -> None:
    async with hf.connect(sys.argv[1]) as client, hf.Worker(client, [blocks], lease=5, beat=0.1):
        await (await client.start(blocks)).result()

asyncio.run(main())
"""


@pytest.mark.slow
def test_a_worker_whose_loop_is_blocked_ends_itself(disk_url: str, tmp_path: Path) -> None:
    script = tmp_path / "blocks.py"
    script.write_text(SCRIPT)
    ended = subprocess.run([sys.executable, script, disk_url], capture_output=True, text=True, timeout=25, check=False)
    assert ended.returncode == 70
    assert "the event loop has not turned" in ended.stderr
