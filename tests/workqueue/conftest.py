"""Fixtures of the tests of the work queue."""

from tests.engine.conftest import everything_is_closed, park_at_once

__all__ = ["everything_is_closed", "park_at_once"]
