"""For users' tests: workflows in a time that the test lets pass, with fakes for steps and crashes on demand."""

from holdfast.testing.client import Stuck
from holdfast.testing.environment import Environment
from holdfast.testing.fakes import in_turn
from holdfast.testing.replays import ReplayBroke, check_replay, histories

__all__ = ["Environment", "ReplayBroke", "Stuck", "check_replay", "histories", "in_turn"]
