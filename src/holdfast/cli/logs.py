"""Logs of the commands: to stderr, for people on a terminal, else one JSON object to a line."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

LEVELS = ("debug", "info", "warning", "error")

_SECRETS = re.compile(
    r"(?P<before>\b\w+://[^\s:/@]*:)[^\s@/]+(?=@)|(?P<name>\b(?:password|passwd|pwd|secret|token|api_key)=)[^\s&'\",;]+",
    re.IGNORECASE,
)
_COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send all logs of this process to a stream.

    Args:
        level: one of `LEVELS`; what is below it is dropped.
        stream: stderr unless given.
    """
    target = stream if stream is not None else sys.stderr
    handler = logging.StreamHandler(target)
    terminal = target.isatty()
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    handler.setFormatter(_ForPeople(colour=colour) if terminal else _AsJson())
    root = logging.getLogger()
    for old in [old for old in root.handlers if getattr(old, "holdfast", False)]:
        root.removeHandler(old)
    handler.holdfast = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)


def without_secrets(text: str) -> str:
    """The text with passwords in addresses, and values of what is called a password, hidden."""
    return _SECRETS.sub(lambda found: f"{found['before'] or found['name']}***", text)


class _ForPeople(logging.Formatter):
    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        level = f"{record.levelname:<7}"
        if self._colour:
            level = f"\x1b[{_COLOURS.get(record.levelname, '0')}m{level}\x1b[0m"
        text = f"{time} {level} {record.name}  {without_secrets(record.getMessage())}"
        if record.exc_info:
            text += "\n" + without_secrets(self.formatException(record.exc_info))
        return text


class _AsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
        }
        if record.exc_info:
            line["exception"] = without_secrets(self.formatException(record.exc_info))
        return json.dumps(line)
