"""How many requests somebody may make: a bucket that fills at the rate and holds two seconds' worth."""

from __future__ import annotations

import math
import time

from holdfast.api.problems import Refused

BURST_SECONDS = 2.0

MOST = 100_000
"""So many buckets are kept; full ones are forgotten first."""


class Limits:
    """The buckets of one server, in memory.

    Args:
        rate: requests a second; 0: no limit.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._burst = max(1.0, rate * BURST_SECONDS)
        self._buckets: dict[str, tuple[float, float]] = {}
        self.active = rate > 0

    def take(self, who: str, now: float | None = None) -> None:
        """Note a request.

        Args:
            who: whose bucket it is taken from.
            now: monotonic seconds; the clock's unless given.

        Raises:
            Refused: the bucket is empty.
        """
        if not self.active:
            return
        at = time.monotonic() if now is None else now
        left, since = self._buckets.get(who, (self._burst, at))
        left = min(self._burst, left + (at - since) * self._rate)
        if left < 1:
            self._buckets[who] = left, at
            raise Refused(
                "too-many-requests",
                f"more than {self._rate:g} requests a second; wait a moment",
                headers={"Retry-After": str(math.ceil((1 - left) / self._rate))},
            )
        if len(self._buckets) >= MOST and who not in self._buckets:
            self._forget(at)
        self._buckets[who] = left - 1, at

    def _forget(self, now: float) -> None:
        """Drop the buckets that are full again, else the older half."""
        full = [one for one, (left, at) in self._buckets.items() if left + (now - at) * self._rate >= self._burst]
        for one in full or list(self._buckets)[: MOST // 2]:
            del self._buckets[one]
