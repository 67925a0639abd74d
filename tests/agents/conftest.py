"""Fixtures of the tests of phases, models, pipelines and agents."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.kit import Model, PhaseFolder
from tests.engine.conftest import everything_is_closed, park_at_once

__all__ = ["everything_is_closed", "park_at_once"]


@pytest.fixture
def model() -> Iterator[Model]:
    """The model ``scripted:main``, which says ``Done.`` unless it is told otherwise."""
    with Model("main") as made:
        yield made


@pytest.fixture
def other() -> Iterator[Model]:
    """The model ``scripted:other``, for a fallback."""
    with Model("other") as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> PhaseFolder:
    """A folder for a file of phases."""
    return PhaseFolder(tmp_path)
