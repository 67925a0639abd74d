"""How much memory this process takes."""

from __future__ import annotations

import os
import resource
import sys


def memory_bytes() -> int | None:
    """What the process has in memory now: its resident set. On macOS, which does not tell, the most it ever had."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None  # a machine without /proc
