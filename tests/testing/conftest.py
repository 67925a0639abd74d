"""Fixtures of the tests of `holdfast.testing`."""

from collections.abc import Iterator

import pytest

from holdfast.engine.core import Core


@pytest.fixture(autouse=True)
def everything_is_closed() -> Iterator[None]:
    """A test leaves no database open behind it."""
    yield
    left = list(Core._shared)
    Core._shared.clear()
    assert not left
