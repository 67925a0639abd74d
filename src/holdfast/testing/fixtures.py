"""Fixtures for pytest: write ``pytest_plugins = ["holdfast.testing.fixtures"]`` in ``conftest.py``.

The only module of holdfast that imports pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from holdfast.engine.workflow import Workflow
from holdfast.testing.environment import Environment


@pytest.fixture
def holdfast_options() -> dict[str, Any]:
    """What the tests' environments are made with, by argument, for example ``workflows`` and ``fakes``: override it."""
    return {}


@pytest.fixture
def holdfast_environment(holdfast_options: dict[str, Any]) -> Iterator[Callable[..., Environment]]:
    """Makes environments: ``async with holdfast_environment([checkout], fakes={charge: "r-1"}) as env:``.

    It takes the arguments of `Environment`; those that are left out come from ``holdfast_options``. Fakes are added
    to those of the options. An environment that was made and never entered, or is still open, fails the test.
    """
    made: list[Environment] = []

    def make(workflows: Iterable[Workflow[Any, Any]] | None = None, **options: Any) -> Environment:
        given = {"workflows": [], **holdfast_options, **options}
        if workflows is not None:
            given["workflows"] = workflows
        given["fakes"] = {**holdfast_options.get("fakes", {}), **(options.get("fakes") or {})}
        made.append(Environment(**given))
        return made[-1]

    yield make
    for environment in made:
        if environment.state != "closed":
            pytest.fail(f"an environment was made and is {environment.state}; use it in `async with`")
