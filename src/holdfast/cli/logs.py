"""Logs of the commands: to stderr, for people on a terminal, else one JSON object to a line.

Whatever goes through ``logging`` or structlog comes out in one form, and says in which run, step and attempt it was
made. structlog is loaded at the first record, since most commands write none.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

from holdfast.cli.output import clean

if TYPE_CHECKING:
    from structlog.stdlib import ProcessorFormatter

LEVELS = ("debug", "info", "warning", "error")

DEEPEST = 8
"""How deep into the values of a record's fields is looked."""

_NAMES = r"(?:password|passwd|pwd|secret|token|api[_-]?key|credential|authorization|holdfast_session|csrf)"
_SECRETS = re.compile(
    r"(?P<address>\b\w+://[^\s:/@]*:)[^\s/]+(?=@)"
    rf"|(?P<name>{_NAMES}=)(?:'[^']*'|\"[^\"]*\"|[^\s&'\",;]+)"
    rf"|(?P<quoted>{_NAMES}[\"']\s*[:=]\s*)(?:'[^']*'|\"[^\"]*\")"
    r"|(?P<bearer>\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}"
    r"|(?P<key>\bhf_[0-9a-z]{8}_)[0-9A-Za-z]{8,}",
    re.IGNORECASE,
)
_SECRET_NAME = re.compile(_NAMES, re.IGNORECASE)
_COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "1;31"}
_FOR_PROGRAMS = ("trace_id", "span_id", "tenant", "workflow")
"""What is too much for a line on a terminal."""


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
    handler.setFormatter(_Lines(_ForPeople(colour) if terminal else _AsJson()))
    root = logging.getLogger()
    for old in [old for old in root.handlers if getattr(old, "holdfast", False)]:
        root.removeHandler(old)
    handler.holdfast = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(level.upper())
    # It tells every request at info, as a client of a server makes many.
    logging.getLogger("httpx").setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    logging.captureWarnings(True)


def bridge() -> None:
    """Let a user's own structlog loggers write here too, if the user's modules use structlog and do not set it up."""
    if "structlog" not in sys.modules:
        return
    import structlog

    if structlog.is_configured():
        return
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def without_secrets(text: str) -> str:
    """The text with what must not be shown hidden.

    That is passwords in addresses, values of what is called a password, secret or token, bearer tokens, and the
    secrets of API keys.
    """

    def shown(found: re.Match[str]) -> str:
        return next(kept for kept in found.groupdict().values() if kept is not None) + "***"

    return _SECRETS.sub(shown, text)


class _Lines(logging.Formatter):
    """Makes a line of a record, through structlog's bridge."""

    def __init__(self, renderer: _AsJson | _ForPeople) -> None:
        super().__init__()
        self._renderer = renderer
        self._inner: ProcessorFormatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        if self._inner is None:
            self._inner = self._made()
        return self._inner.format(record)

    def _made(self) -> ProcessorFormatter:
        from structlog.processors import format_exc_info
        from structlog.stdlib import ExtraAdder, ProcessorFormatter

        return ProcessorFormatter(
            foreign_pre_chain=[ExtraAdder()],
            processors=[format_exc_info, _described, self._renderer],
        )


Event = MutableMapping[str, Any]


def _described(logger: Any, method: str, event: Event) -> Event:
    """The fields of a line, with nothing secret: what is known of the record and of its run beats what it says."""
    from holdfast.services.telemetry.fields import run_fields

    record: logging.LogRecord = event.pop("_record")
    event.pop("_from_structlog", None)
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": event.pop("event", ""),
    }
    exception, stack = event.pop("exception", None), event.pop("stack", None)
    own = {str(name): value for name, value in event.items() if not str(name).startswith("_")}
    line = {**own, **run_fields(), **line}
    if exception is not None:
        line["exception"] = exception
    if stack is not None:
        line["stack"] = stack
    first = ("time", "level", "logger", "message")
    line = {**{name: line[name] for name in first}, **line}
    return {name: _safe(value, name) for name, value in line.items()}


def _safe(value: Any, name: str = "", depth: int = 0) -> Any:
    """Plain JSON of a value, with nothing secret."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if _SECRET_NAME.search(name):
        return "***"
    if depth < DEEPEST:
        if isinstance(value, Mapping):
            return {str(key): _safe(item, str(key), depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [_safe(item, "", depth + 1) for item in value]
    try:
        return without_secrets(str(value))
    except Exception as error:
        return f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>"


class _AsJson:
    def __call__(self, logger: Any, method: str, line: Event) -> str:
        return json.dumps(line)


class _ForPeople:
    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, logger: Any, method: str, line: Event) -> str:
        time = datetime.fromisoformat(line.pop("time")).astimezone().strftime("%H:%M:%S")
        name = str(line.pop("level")).upper()
        level = self._painted(f"{name:<7}", _COLOURS.get(name, "0"))
        text = clean(f"{line.pop('logger')}  {line.pop('message')}")
        below = [clean(str(line.pop(part))) for part in ("exception", "stack") if part in line]
        fields = [clean(f"{key}={value}") for key, value in line.items() if key not in _FOR_PROGRAMS]
        if fields:
            text += "  " + self._painted(" ".join(fields), "2")
        return "\n".join([f"{time} {level} {text}", *below])

    def _painted(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text
