"""The reference of the commands and settings is complete."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from holdfast.cli import output
from holdfast.cli.command import COMMON
from holdfast.cli.main import PLACES, build
from holdfast.cli.settings import SETTINGS, Setting
from holdfast.cli.webhooks import KEYS
from holdfast.model.sizes import size_said

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
COMMANDS = (REFERENCE / "cli.md").read_text("utf-8")
CONFIGURATION = (REFERENCE / "configuration.md").read_text("utf-8")


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, one in inner.items():
        yield from _commands(one, f"{path} {name}")


ALL = dict(_commands(typer.main.get_command(build()), "holdfast"))


def _section(heading: str) -> str:
    found = re.search(rf"^## {heading}$(?P<text>.*?)(?=^## |\Z)", COMMANDS, re.MULTILINE | re.DOTALL)
    assert found, f"docs/reference/cli.md has no section {heading!r}"
    return found["text"]


def test_only_the_named_command_is_loaded() -> None:
    """A command that is missing from the list of places would be found by nobody who types it."""
    assert {path.split()[1] for path in ALL} == set(PLACES)
    for name, place in PLACES.items():
        loaded = typer.main.get_command(build(["--version", name, "runs"])).commands
        assert set(loaded) == {one for one, other in PLACES.items() if other == place}


def test_commands_that_texts_name_are_there() -> None:
    """In documents, messages and docstrings: what stands behind a group of commands is one of its commands."""
    groups = {"holdfast"} | {path.rsplit(" ", 1)[0] for path in ALL}
    texts = [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/holdfast/**/*.py")]
    named = [
        (text.name, command)
        for text in texts
        for command in re.findall(r"`(holdfast(?: [a-z][a-z-]*)+)", text.read_text("utf-8"))
    ]
    assert len(named) > 200
    for file, command in named:
        path = "holdfast"
        for word in command.split()[1:]:
            if path in ALL:
                break
            path = f"{path} {word}"
            assert path in ALL or path in groups, f"{file}: `{command}`"


@pytest.mark.parametrize("path", ALL)
def test_a_command_is_described_with_what_it_takes(path: str) -> None:
    said = _section(path)
    for parameter in ALL[path].params:
        if parameter.name in (*COMMON, "help") or getattr(parameter, "hidden", False):
            continue
        name = f"`{parameter.opts[-1]}" if parameter.param_type_name == "option" else str(parameter.metavar)
        assert name in said, f"{path}: {name}"


@pytest.mark.parametrize("path", ALL)
def test_every_command_takes_the_common_options(path: str) -> None:
    said = _section("Options of every command")
    options = {name for parameter in ALL[path].params for name in parameter.opts}
    for name in ("--url", "--api-key", "--tenant", "--config", "--log-level", "--json"):
        assert name in options
        assert f"`{name}" in said


def test_no_more_is_described_than_there_is() -> None:
    assert set(re.findall(r"^## (holdfast .*)$", COMMANDS, re.MULTILINE)) == set(ALL)
    options = {name for command in ALL.values() for parameter in command.params for name in parameter.opts}
    assert set(re.findall(r"^\| `(--[\w-]+)", COMMANDS, re.MULTILINE)) <= options | {"--help"}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_a_setting_is_described(setting: Setting) -> None:
    shown = f"`{_shown(setting.default)}`" if setting.default is not None else ""
    row = rf"^\| `{re.escape(setting.key)}` \| `{setting.variable}` \| {re.escape(shown)} ?\| \S"
    assert re.search(row, CONFIGURATION, re.MULTILINE), row


def _shown(default: Any) -> str:
    match default:
        case bool():
            return str(default).lower()
        case list():
            return ", ".join(default)
        case float():
            return f"{default:g}" if default < 86_400 else f"{default / 86_400:g}d"
        case int() if default and default % 65536 == 0:
            return size_said(default)
        case int() if default >= 1_000_000:
            return f"{default // 1_000_000} MB"
    return str(default)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_of_a_webhook_is_described(key: str) -> None:
    assert re.search(rf"^\| `{key}` \| \S", CONFIGURATION, re.MULTILINE)


def test_exit_codes_are_described() -> None:
    said = _section("Exit codes")
    names = ("OK", "FAILED", "USAGE", "NOT_FOUND", "DATABASE", "DENIED", "INTERRUPTED")
    codes = {getattr(output, name) for name in names}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", said, re.MULTILINE)} == codes
