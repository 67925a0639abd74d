"""What a worker serves: workflows from queues, as far as these are not paused, and the limits of the queues."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from holdfast.engine.workflow import Workflow, referenced
from holdfast.errors import UsageError
from holdfast.model.run import PROTOCOL
from holdfast.model.schema import describe
from holdfast.model.shares import queue_of, weight_name, whose
from holdfast.store.operations import Cap
from holdfast.store.rows import Flow, QueueRow, WorkflowRow

CLAIM_AT_MOST = 1000


class Serving:
    """Says what may be claimed.

    Args:
        workflows: what to serve, with the workflows that their code names.
        queues: from which queues; None for those that the workflows name.
        built_in: workflows of holdfast's own, served from their own queues and beside those asked for.

    Attributes:
        workflows: what is served, by name and version.
        flow: pauses and limits.
        claimed: queues, workflows, versions and protocols that runs are claimed of just now.
        limited: the queues among them that have limits, by name.
        weights: of shares, by `weight_name`.

    Raises:
        UsageError: there is nothing to serve, or two workflows do not go together.
    """

    def __init__(
        self,
        workflows: Iterable[Workflow[Any, Any]],
        queues: Iterable[str] | None,
        built_in: Iterable[Workflow[Any, Any]],
    ) -> None:
        self.workflows: dict[tuple[str, str], Workflow[Any, Any]] = {}
        self.flow = Flow((), ())
        self.claimed: tuple[tuple[str, str, str, int], ...] = ()
        self.limited: dict[str, QueueRow] = {}
        self.weights: dict[str, int] = {}
        self._queues = None if queues is None else tuple(queues)
        self._built_in: set[str] = set()
        for workflow in workflows:
            if not isinstance(workflow, Workflow):
                raise UsageError(f"a worker serves functions decorated with @hf.workflow; it was given {workflow!r}")
            self.add(workflow)
        if not self.workflows:
            raise UsageError("a worker needs at least one workflow to serve")
        for workflow in built_in:
            self._built_in.add(workflow.name)
            self.add(workflow)

    def add(self, workflow: Workflow[Any, Any]) -> bool:
        """Serve a workflow too, and those that its code names; whether it was not served already."""
        if (workflow.name, workflow.version) in self.workflows:
            known = self.workflows[workflow.name, workflow.version]
            if known is not workflow:
                raise UsageError(
                    f"two workflows are named {workflow.name!r}, version {workflow.version!r}: "
                    f"in {known.fn.__module__} and in {workflow.fn.__module__}; give one of them another name"
                )
            return False
        more = {(one.name, one.version): one for one in (*referenced(workflow), workflow)}
        _check_lanes({**more, **self.workflows}.values())
        self.workflows = {**more, **self.workflows}
        self.heed(self.flow)
        return True

    def heed(self, flow: Flow) -> None:
        """Claim nothing that is paused, and heed the limits of queues."""
        self.flow = flow
        stopped = {queue.name for queue in flow.queues if queue.paused}
        self.claimed = tuple(kind for kind in self.kinds() if kind[0] not in stopped and kind[1] not in flow.paused)
        mine = {kind[0] for kind in self.claimed}
        self.limited = {
            queue.name: queue
            for queue in flow.queues
            if queue.name in mine and (queue.total, queue.per_worker, queue.per_key) != (None, None, None)
        }
        self.weights = {
            weight_name(queue.name, *whose(share)): weight
            for queue in flow.queues
            if queue.name in mine
            for share, weight in queue.weights
        }

    def kinds(self) -> Iterator[tuple[str, str, str, int]]:
        """Queues, workflows, versions and protocols that are served, paused or not."""
        for one in self.workflows.values():
            queues = None if one.name in self._built_in else self._queues
            for queue in queues if queues is not None else (one.terms.queue,):
                for protocol in range(1, PROTOCOL + 1):
                    yield queue, one.name, one.version, protocol

    def described(self) -> list[WorkflowRow]:
        """What to make known of the workflows, but for holdfast's own."""
        return [
            WorkflowRow(one.name, one.version, describe(one.signature, one.terms))
            for one in self.workflows.values()
            if one.name not in self._built_in
        ]

    def is_capped(self, queue: str) -> bool:
        """Whether a limit is set to what executes from a queue, or from the queue of a share."""
        return queue_of(queue) in self.limited

    def caps(self, using: Mapping[str, int]) -> tuple[Cap, ...]:
        """How many runs may be claimed from queues that have a limit.

        Args:
            using: how many runs execute here from each queue.
        """
        return tuple(
            Cap(
                name,
                CLAIM_AT_MOST if queue.per_worker is None else max(0, queue.per_worker - using[name]),
                queue.total,
                queue.per_key,
            )
            for name, queue in self.limited.items()
        )


def counted(flow: Flow) -> set[str]:
    """The queues that are limited over all workers."""
    return {queue.name for queue in flow.queues if queue.total is not None or queue.per_key is not None}


def _check_lanes(workflows: Iterable[Workflow[Any, Any]]) -> None:
    slots: dict[str, Workflow[Any, Any]] = {}
    for one in workflows:
        other = slots.setdefault(one.terms.lane or "", one)
        if one.terms.lane is not None and other.terms.slots != one.terms.slots:
            raise UsageError(
                f"lane {one.terms.lane!r} has limit {other.terms.slots} in workflow {other.name!r} and limit "
                f"{one.terms.slots} in {one.name!r}; give them the same"
            )
