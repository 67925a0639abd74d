"""What the routes of conversations share: how refusals are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from holdfast.api.problems import Problem, Refused, problem_of, trace_of
from holdfast.api.routing import F, Route, Routes
from holdfast.api.work_routes import taken_in
from holdfast.model.access import Role


class ConversationRoute(Route):
    """A route of conversations.

    What does not fit its schema is 422; what does, and is refused, is 409. Faults of ours are told in as few words as
    can be: they may quote the model's.
    """

    def told(self, error: Exception) -> Exception:
        """The refusal, as these routes tell it."""
        problem = terse(error)
        if problem.status < 500:
            return taken_in(error)
        refused = Refused(problem.kind, problem.detail)
        refused.problem = problem
        refused.__cause__ = error
        return refused


class TurnRoute(ConversationRoute):
    """A route of turns: they are repeated by their own ids, and their answers kept with them."""

    keeps_answers = False


class ConversationRoutes(Routes):
    """The routes of conversations."""

    def add(self, method: str, path: str, *, needs: Role | None, **rest: Any) -> Callable[[F], F]:
        """See `Routes.add`."""
        return super().add(method, path, needs=needs, **{"kind": ConversationRoute, **rest})


def terse(error: Exception) -> Problem:
    """The problem that an error is, as it is told of conversations."""
    problem = problem_of(error)
    return problem if problem.status < 500 else replace(problem, terse=True, trace=trace_of(error))
