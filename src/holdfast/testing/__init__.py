"""For users' tests: workflows in a time that the test lets pass, with fakes for steps and crashes on demand."""

from holdfast.testing.client import Stuck
from holdfast.testing.environment import Environment
from holdfast.testing.fakes import in_turn

__all__ = ["Environment", "Stuck", "in_turn"]
