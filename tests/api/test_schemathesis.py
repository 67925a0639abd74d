"""Requests made up from the description of the API, all checks, against a real server: with a key, and without one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.api import ServeConfig, WebhookConfig, create_app
from tests.api.kit import WORKFLOWS, listening
from tests.api.talk_kit import Scripted, dialogue

TOOL = Path(sys.executable).parent / "schemathesis"

HOOKS_FILE = Path(__file__).with_name("schemathesis_hooks.py")
CONFIG_FILE = Path(__file__).with_name("schemathesis.toml")

HOOKS = {"shop": WebhookConfig(secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", event="shipped")}


@contextlib.contextmanager
def served(url: str, *, auth: bool) -> Iterator[tuple[str, str]]:
    """A server with a worker, in a thread of its own: its address, and the key of an admin."""
    ready, stop = threading.Event(), threading.Event()
    found: list[str] = []

    async def serve() -> None:
        talk = hf.TurnEngine(dialogue(), Scripted())
        app: Any = create_app(url, config=ServeConfig(auth=auth, webhooks=HOOKS), conversations=[talk])
        async with hf.Worker(url, WORKFLOWS), hf.connect(url) as client, listening(app) as address:
            await client.start_named("waits", {"key": "k"}, id="w")
            found.extend((address, (await client.create_key("all", role="admin")).key))
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.05)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    try:
        assert ready.wait(30)
        yield found[0], found[1]
    finally:
        stop.set()
        thread.join()


def check(address: str, key: str | None, folder: Path, *options: str) -> None:
    """Run every check; nothing may fail."""
    header = () if key is None else ("--header", f"Authorization: Bearer {key}")
    command = [
        str(TOOL), "--config-file", str(CONFIG_FILE), "run", f"{address}/api/openapi.json", "--checks", "all", *header,
        "--no-color", "--continue-on-failure", "--generation-database", "none", "--suppress-health-check", "all",
        "--request-timeout", "30", "--exclude-path-regex", "/live|/streams/", *options,
    ]  # fmt: skip
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS_FILE)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]


CASES = [("a key", True, True), ("no key", True, False), ("no auth", False, False)]


@pytest.mark.slow
@pytest.mark.parametrize("keyed", [True, False], ids=["a key", "no key"])
def test_what_is_described_is_what_happens(sqlite_url: str, tmp_path: Path, keyed: bool) -> None:
    with served(sqlite_url, auth=True) as (address, key):
        phases = "examples,fuzzing" if keyed else "fuzzing"
        options = ("--phases", phases, "--max-examples", "1", "--seed", "1")
        check(address, key if keyed else None, tmp_path, *options)


@pytest.mark.verify
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("auth", "keyed"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_it_is_whatever_is_made_up(disk_url: str, tmp_path: Path, auth: bool, keyed: bool) -> None:
    with served(disk_url, auth=auth) as (address, key):
        check(address, key if keyed else None, tmp_path, "--max-examples", "50")
