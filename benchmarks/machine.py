"""Says on what machine the figures were seen, and what a process takes of it."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib.metadata import version
from pathlib import Path

import holdfast


def describe(folder: Path) -> dict[str, str | int | float]:
    """The machine and what runs on it; ``load`` is what it has to do besides, at the beginning."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "python": platform.python_version(),
        "holdfast": holdfast.__version__,
        "peer": f"DBOS {version('dbos')}",
        "files": filesystem(folder),
        "load": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def filesystem(folder: Path) -> str:
    """The kind of file system that a folder is on, such as ext4."""
    best, kind = "", "unknown"
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return kind
    for line in mounts:
        _, point, found, *_ = line.split()
        if len(point) >= len(best) and folder.resolve().is_relative_to(point):
            best, kind = point, found
    return kind


def memory() -> dict[str, float]:
    """Megabytes (10**6 bytes) of memory that this process has now, and had at most."""
    try:
        fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        now, peak = (int(fields[name].split()[0]) * 1024 for name in ("VmRSS", "VmHWM"))
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        now = peak = most if sys.platform == "darwin" else most * 1024
    return {"now_mb": now / 1e6, "peak_mb": peak / 1e6}
