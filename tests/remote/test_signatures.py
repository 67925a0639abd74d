"""The remote client is complete: every public method of the local one, with the same signature."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine.remote.client import RemoteClient

NAMES = sorted(name for name, value in inspect.getmembers(hf.Client) if not name.startswith("_") and callable(value))
FROM_AFAR_NOT = ("check_password", "record")
"""What takes the database itself: it says so."""

SHARED = ("read_stream", "replay_by")
"""What only calls other methods, which are the remote client's own."""


def _parameters(method: Any) -> list[tuple[str, Any, Any, str]]:
    return [
        (one.name, one.kind, one.default, str(one.annotation)) for one in inspect.signature(method).parameters.values()
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_method_is_there_with_the_same_signature(name: str) -> None:
    local, remote = getattr(hf.Client, name), getattr(RemoteClient, name)
    assert remote.__module__.startswith("holdfast.engine.remote.") == (name not in SHARED), f"{name} is the local one's"
    assert (remote is local) == (name in SHARED)
    assert _parameters(remote) == _parameters(local)
    assert inspect.iscoroutinefunction(remote) == inspect.iscoroutinefunction(local)


async def test_what_takes_the_database_says_what_to_do() -> None:
    client = RemoteClient.__new__(RemoteClient)
    for name in FROM_AFAR_NOT:
        with pytest.raises(hf.UsageError, match="cannot be done through a server"):
            await getattr(client, name)("a", "b")
    for attribute in ("core", "reads"):
        with pytest.raises(hf.UsageError, match="the address of the database that the server uses"):
            getattr(client, attribute)
    with pytest.raises(hf.UsageError, match=r"https://hf.example is a server"):
        await hf.Worker("https://hf.example", []).run()
