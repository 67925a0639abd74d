"""The remote work queue is complete: every public method of the local one, with the same signature."""

from __future__ import annotations

import inspect

import pytest

import holdfast as hf
from holdfast.workqueue.queue import WorkQueue
from holdfast.workqueue.remote.queue import RemoteWorkQueue
from tests.remote.test_signatures import _parameters

NAMES = sorted(name for name, value in inspect.getmembers(WorkQueue) if not name.startswith("_") and callable(value))


def test_there_are_methods() -> None:
    assert {"create", "queue", "complete", "put_signals", "bulk", "daily", "demo_status"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_method_is_there_with_the_same_signature(name: str) -> None:
    local, remote = getattr(WorkQueue, name), getattr(RemoteWorkQueue, name)
    assert remote.__module__.startswith("holdfast.workqueue.remote."), f"{name} is the local one's"
    assert _parameters(remote) == _parameters(local)
    assert inspect.iscoroutinefunction(remote) == inspect.iscoroutinefunction(local)


def test_what_takes_the_database_says_what_to_do() -> None:
    queue = RemoteWorkQueue.__new__(RemoteWorkQueue)
    for attribute in ("core", "reads"):
        with pytest.raises(hf.UsageError, match="the address of the database that the server uses"):
            getattr(queue, attribute)
    with pytest.raises(hf.UsageError, match="give it a client"):
        hf.work_queue("sqlite:///shop.db")  # type: ignore[arg-type]
