"""Fixtures of the engine's tests."""

from collections.abc import Iterator

import pytest

from holdfast.engine import waiting
from holdfast.engine.core import Core


@pytest.fixture
def park_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wait leaves memory once, however short it is, so that what comes after it is a replay."""
    parked: set[tuple[bytes, int]] = set()
    stay = waiting.Waits.until

    async def until(self: waiting.Waits, due_us: int) -> None:
        key = (self._execution.run.uid, due_us)
        if key in parked:
            await stay(self, due_us)
        else:
            parked.add(key)
            await self.block(waiting.Wait(due_us, b"", 0, None))

    monkeypatch.setattr(waiting.Waits, "until", until)
    monkeypatch.setattr(waiting, "LINGER_CHILD_SECONDS", 0.0)
    monkeypatch.setattr(waiting, "PARK_SECONDS", 0.05)


@pytest.fixture(autouse=True)
def everything_is_closed() -> Iterator[None]:
    """A test leaves no database open behind it."""
    yield
    left = list(Core._shared)
    Core._shared.clear()
    assert not left
