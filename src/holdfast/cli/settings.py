"""Settings: what each is, and its value from a flag, the environment, the file, or the default, in this order."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from holdfast.cli.kinds import (
    ADDRESS,
    COMPRESSION,
    COUNT,
    DURATION,
    FLAG,
    KEYS,
    LEVEL,
    PORT,
    RATE,
    SECRET,
    SIZE,
    TEXT,
    TEXTS,
    Kind,
    as_text,
)
from holdfast.cli.values import misfits
from holdfast.cli.webhooks import WEBHOOKS, Webhook, read_webhooks
from holdfast.engine.secrets import Secret
from holdfast.errors import UsageError

FILE = "holdfast.toml"
FILE_VARIABLE = "HOLDFAST_CONFIG"
ADDRESSES = ("url", "state_url")
"""Settings that may have a password in them."""

INTERNAL = ("HOLDFAST_ISOLATED_IMPORT", "HOLDFAST_DEBUG", FILE_VARIABLE)
"""Variables with our prefix that are no settings."""


class ConfigError(UsageError):
    """The configuration cannot be used as it is.

    Attributes:
        problems: everything that is wrong with it.
    """

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        source: the file or the variable.
        line: where in the file, if known.
        key: which setting, if one.
        message: what is wrong, and what is expected.
    """

    source: str
    line: int | None
    key: str | None
    message: str

    def __str__(self) -> str:
        where = f"{self.source}:{self.line}" if self.line else self.source
        return f"{where}: {f'{self.key}: ' if self.key else ''}{self.message}"


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting. ``key`` is its place in the file, as in ``worker.lease``."""

    key: str
    kind: Kind
    default: Any

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return "HOLDFAST_" + self.key.upper().replace(".", "_")


SETTINGS = (
    Setting("url", TEXT, None),
    Setting("tenant", TEXT, "default"),
    Setting("key", SECRET, None),
    Setting("state_url", TEXT, None),
    Setting("log_level", LEVEL, "info"),
    Setting("worker.modules", TEXTS, None),
    Setting("worker.concurrency", COUNT, 1000),
    Setting("worker.processes", COUNT, 1),
    Setting("worker.queues", TEXTS, None),
    Setting("worker.threads", COUNT, 32),
    Setting("worker.lease", DURATION, 15.0),
    Setting("worker.beat", DURATION, 3.0),
    Setting("worker.drain", DURATION, 5.0),
    Setting("worker.metrics", TEXT, None),
    Setting("worker.notifications", TEXT, None),
    Setting("worker.channels", TEXT, None),
    Setting("worker.keep_messages", DURATION, 90 * 86_400.0),
    Setting("worker.intake", TEXT, None),
    Setting("worker.keep_entries", DURATION, 400 * 86_400.0),
    Setting("worker.keep_diversions", DURATION, 30 * 86_400.0),
    Setting("worker.alerts", TEXT, None),
    Setting("values.apart", TEXT, "database"),
    Setting("values.apart_over", SIZE, 256 * 1024),
    Setting("values.most", SIZE, 64 * 1024**2),
    Setting("values.zstd", COMPRESSION, None),
    Setting("values.keys", KEYS, None),
    Setting("values.key", TEXT, None),
    Setting("values.codec", TEXT, None),
    Setting("values.endpoint", ADDRESS, None),
    Setting("values.endpoint_key", SECRET, None),
    Setting("codec.host", TEXT, "127.0.0.1"),
    Setting("codec.port", PORT, 8710),
    Setting("codec.key", SECRET, None),
    Setting("serve.conversations", TEXTS, None),
    Setting("serve.host", TEXT, "127.0.0.1"),
    Setting("serve.port", PORT, 8700),
    Setting("serve.auth", FLAG, False),
    Setting("serve.shared_tenants", TEXTS, ["default"]),
    Setting("serve.public_url", ADDRESS, None),
    Setting("serve.allowed_hosts", TEXTS, None),
    Setting("serve.max_body", SIZE, 8_000_000),
    Setting("serve.max_upload", SIZE, 2_000_000_000),
    Setting("serve.rate", RATE, 0.0),
    Setting("serve.redact", TEXTS, None),
    Setting("serve.keep_audit", DURATION, 400 * 86_400.0),
    Setting("serve.name", TEXT, None),
    Setting("serve.workspaces", TEXTS, None),
    Setting("serve.intake", TEXT, None),
    Setting("serve.codec_endpoint", ADDRESS, None),
    Setting("serve.codec_key", SECRET, None),
    Setting("serve.codec_forward", FLAG, False),
    Setting("oidc.issuer", ADDRESS, None),
    Setting("oidc.audience", TEXT, None),
    Setting("oidc.client_id", TEXT, None),
    Setting("oidc.client_secret", SECRET, None),
    Setting("oidc.tenant_claim", TEXT, "tenant"),
    Setting("oidc.role_claim", TEXT, "role"),
)
_BY_KEY = {setting.key: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Value:
    """A setting's value and where it comes from: "flag", "default", a variable, or a file and line."""

    value: Any
    source: str


class Settings:
    """Every setting with its value, and the webhooks by name. Made by `load`."""

    def __init__(self, values: dict[str, Value], webhooks: dict[str, Webhook], file: Path | None) -> None:
        self.values = values
        self.webhooks = webhooks
        self.file = file

    def __getitem__(self, key: str) -> Any:
        return self.values[key].value

    def source(self, key: str) -> str:
        """Where a value comes from."""
        return self.values[key].source


def load(flags: Mapping[str, Any], *, file: str | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings as they hold.

    Args:
        flags: by key; None for a flag that was not given.
        file: the configuration file; unless given HOLDFAST_CONFIG, or holdfast.toml in the current folder.
        environ: the environment.

    Raises:
        ConfigError: the file or a variable is wrong; names every problem.
    """
    settings, problems = examine(flags, file=file, environ=environ)
    if problems:
        raise ConfigError(problems)
    return settings


def examine(
    flags: Mapping[str, Any], *, file: str | None = None, environ: Mapping[str, str] = os.environ
) -> tuple[Settings, list[Problem]]:
    """As `load`, but gives the problems, with the settings as they would be without those."""
    problems: list[Problem] = []
    path = _find(file, environ, problems)
    in_file, webhooks = _read(path, problems) if path is not None else ({}, {})
    values: dict[str, Value] = {}
    for setting in SETTINGS:
        given = flags.get(setting.key)
        named = environ.get(setting.variable, "")
        if given is not None and given != []:
            values[setting.key] = _checked(setting, given, "flag", None, problems)
        elif named:
            try:
                given = _from_variable(setting, named)
                values[setting.key] = _checked(setting, given, setting.variable, None, problems, named)
            except ValueError:
                problems.append(_wrong(setting, named, setting.variable, None))
        elif setting.key in in_file:
            value, line = in_file[setting.key]
            values[setting.key] = _checked(setting, value, str(path), line, problems)
        values.setdefault(setting.key, Value(setting.default, "default"))
    lease, beat = values["worker.lease"], values["worker.beat"]
    if lease.value <= 2 * beat.value:
        message = f"is {lease.value:g} s and worker.beat {beat.value:g} s; a lease must be longer than two beats"
        problems.append(
            Problem(lease.source if lease.source != "default" else beat.source, None, "worker.lease", message)
        )
    settings = Settings(values, webhooks, path)
    problems += [Problem(settings.source(key), None, key, message) for key, message in misfits(settings)]
    return settings, problems


def unknown_variables(environ: Mapping[str, str] = os.environ) -> list[Problem]:
    """Variables with our prefix that set nothing, most likely mistyped."""
    known = [setting.variable for setting in SETTINGS]
    return [
        Problem(name, None, None, f"no setting is called so{_close(name, known)}")
        for name in sorted(environ)
        if name.startswith("HOLDFAST_") and name not in known and name not in INTERNAL
    ]


def as_variables(settings: Settings) -> dict[str, str]:
    """The settings as environment variables, for another process: they beat the file there."""
    return {
        setting.variable: as_text(settings[setting.key]) for setting in SETTINGS if settings[setting.key] is not None
    }


def _from_variable(setting: Setting, text: str) -> Any:
    # A variable may hold the secret itself: its reference is the variable then.
    if setting.kind is SECRET and not text.startswith(("env:", "file:")):
        return Secret(f"env:{setting.variable}")
    return setting.kind.from_text(text)


def _find(file: str | None, environ: Mapping[str, str], problems: list[Problem]) -> Path | None:
    named = file or environ.get(FILE_VARIABLE, "")
    if not named:
        return Path(FILE) if Path(FILE).is_file() else None
    path = Path(named)
    if not path.is_file():
        problems.append(Problem(named, None, None, "there is no such configuration file"))
        return None
    return path


_Found = tuple[dict[str, tuple[Any, int | None]], dict[str, Webhook]]


def _read(path: Path, problems: list[Problem]) -> _Found:
    """Known keys of the file with their values and lines, and its webhooks; anything else is a problem."""
    try:
        text = path.read_text("utf-8")
        parsed = tomllib.loads(text)
    except OSError as error:
        problems.append(Problem(str(path), None, None, f"cannot be read: {error.strerror}"))
        return {}, {}
    except UnicodeDecodeError as error:
        problems.append(Problem(str(path), None, None, f"is not UTF-8 text (byte {error.start})"))
        return {}, {}
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"\(at line (\d+)", str(error))
        problems.append(Problem(str(path), int(at[1]) if at else None, None, f"is not TOML: {error}"))
        return {}, {}
    lines = _lines(text)

    def complain(key: str, message: str) -> None:
        problems.append(Problem(str(path), lines.get(key), key, message))

    webhooks = read_webhooks(parsed.pop(WEBHOOKS, {}), complain)
    found: dict[str, tuple[Any, int | None]] = {}
    for key, value in _flat(parsed):
        line = lines.get(key)
        if key in _BY_KEY:
            found[key] = (value, line)
        elif any(known.startswith(f"{key}.") for known in _BY_KEY):
            complain(key, f"is a table: write [{key}] and its settings below")
        else:
            complain(key, f"there is no such setting{_close(key, list(_BY_KEY))}")
    return found, webhooks


def _flat(parsed: Mapping[str, Any]) -> list[tuple[str, Any]]:
    tables = {key.partition(".")[0] for key in _BY_KEY if "." in key}
    flat: list[tuple[str, Any]] = []
    for name, value in parsed.items():
        if isinstance(value, dict) and name in tables:
            flat += [(f"{name}.{inner}", one) for inner, one in value.items()]
        else:
            flat.append((name, value))
    return flat


def _lines(text: str) -> dict[str, int]:
    """The line of each key that is written plainly."""
    lines: dict[str, int] = {}
    table = ""
    for number_, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[+\s*([\w.\"'-]+)\s*\]+", line):
            table = header[1].strip("\"'")
            lines.setdefault(table, number_)
        elif key := re.match(r"\s*([\w.\"'-]+)\s*=", line):
            name = key[1].strip("\"'")
            lines.setdefault(f"{table}.{name}" if table else name, number_)
    return lines


def _checked(
    setting: Setting, value: Any, source: str, line: int | None, problems: list[Problem], shown: Any = None
) -> Value:
    try:
        where = f"{source}:{line}" if line else source
        return Value(setting.kind.check(value), where)
    except (ValueError, UsageError):
        problems.append(_wrong(setting, value if shown is None else shown, source, line))
        return Value(setting.default, "default")


def _wrong(setting: Setting, value: Any, source: str, line: int | None) -> Problem:
    shown = "not that" if setting.key in ADDRESSES or setting.kind.secret else repr(value)
    key = None if source == setting.variable else setting.key
    return Problem(source, line, key, f"is {shown}; expected is {setting.kind.expected}")


def _close(name: str, known: list[str]) -> str:
    inner = {key.rpartition(".")[2]: key for key in known}
    match = difflib.get_close_matches(name, known, 1, 0.6)
    if not match:
        match = [inner[one] for one in difflib.get_close_matches(name.rpartition(".")[2], list(inner), 1, 0.6)]
    return f"; do you mean {match[0]}?" if match else f"; there are {', '.join(known)}"
