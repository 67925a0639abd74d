"""What tests of the examples share: they are run as a reader runs them, from the project's folder, and killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


def environment(more: Mapping[str, str]) -> dict[str, str]:
    path = os.pathsep.join((str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")))
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "OPENAI_"))}
    return {**ours, "PYTHONPATH": path, **more}


def run(folder: Path, module: str, *flags: str, status: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    """Run ``python -m module`` in a folder to its end, which has the status."""
    done = subprocess.run(
        [sys.executable, "-m", module, *flags], cwd=folder, env=environment(env), capture_output=True, text=True,
        timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stdout + done.stderr
    return done


@contextmanager
def running(folder: Path, module: str, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """``python -m module`` in a folder; killed at the end, unless it has ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *flags], cwd=folder, env=environment({}), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def kill_at(call: str, calls: Path, folder: Path, module: str, *flags: str) -> None:
    """Run it, and kill it as soon as it has written down a call of that name."""
    with running(folder, module, *flags, "--calls", str(calls)) as process:
        deadline = time.monotonic() + 60
        while call not in counted(calls):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, f"{call} was not called: {counted(calls)}"
            time.sleep(0.005)
        process.kill()
        process.wait()


def counted(calls: Path) -> Counter[str]:
    """How often a scripted model was asked what, by the file that it writes each call into."""
    return Counter(calls.read_text().splitlines()) if calls.exists() else Counter()
