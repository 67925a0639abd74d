"""Logs of the commands."""

from __future__ import annotations

import io
import json
import logging

import pytest

from holdfast.cli import logs

log = logging.getLogger("holdfast.test")


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_lines_for_programs() -> None:
    stream = io.StringIO()
    logs.configure("info", stream)
    log.debug("not this")
    log.info("connecting to %s", "postgresql://me:hunter2@db/shop?password=hunter3&x=1")
    try:
        raise ValueError("token=abc")
    except ValueError:
        log.exception("failed")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["level"] == "info"
    assert first["logger"] == "holdfast.test"
    assert first["message"] == "connecting to postgresql://me:***@db/shop?password=***&x=1"
    assert first["time"].endswith("+00:00")
    assert "ValueError: token=***" in second["exception"]


@pytest.mark.parametrize("colour", [True, False])
def test_lines_for_people(monkeypatch: pytest.MonkeyPatch, colour: bool) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not colour:
        monkeypatch.setenv("NO_COLOR", "1")
    stream = _Terminal()
    logs.configure("warning", stream)
    log.info("not this")
    log.warning("careful")
    assert stream.getvalue().rstrip().endswith("holdfast.test  careful")
    assert ("\x1b[" in stream.getvalue()) is colour
    logs.configure("warning", stream)
    assert len([one for one in logging.getLogger().handlers if getattr(one, "holdfast", False)]) == 1
