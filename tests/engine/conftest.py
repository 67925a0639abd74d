"""Fixtures of the engine's tests."""

from collections.abc import Iterator

import pytest

from holdfast.engine import waiting
from holdfast.engine.core import Core


@pytest.fixture
def park_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every wait leaves memory at once, so that what comes after it is a replay."""
    monkeypatch.setattr(waiting, "LINGER_SECONDS", 0.0)
    monkeypatch.setattr(waiting, "LINGER_CHILD_SECONDS", 0.0)


@pytest.fixture(autouse=True)
def everything_is_closed() -> Iterator[None]:
    """A test leaves no database open behind it."""
    yield
    left = list(Core._shared)
    Core._shared.clear()
    assert not left
