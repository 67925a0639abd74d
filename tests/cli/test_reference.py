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
from holdfast.cli.main import app
from holdfast.cli.settings import SETTINGS, Setting

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
COMMANDS = (REFERENCE / "cli.md").read_text("utf-8")
CONFIGURATION = (REFERENCE / "configuration.md").read_text("utf-8")


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path, command
        return
    for name, one in inner.items():
        yield from _commands(one, f"{path} {name}")


ALL = dict(_commands(typer.main.get_command(app), "holdfast"))


def _section(heading: str) -> str:
    found = re.search(rf"^## {heading}$(?P<text>.*?)(?=^## |\Z)", COMMANDS, re.MULTILINE | re.DOTALL)
    assert found, f"docs/reference/cli.md has no section {heading!r}"
    return found["text"]


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
    for name in ("--url", "--tenant", "--config", "--log-level", "--json"):
        assert name in options
        assert f"`{name}" in said


def test_no_more_is_described_than_there_is() -> None:
    assert set(re.findall(r"^## (holdfast .*)$", COMMANDS, re.MULTILINE)) == set(ALL)
    options = {name for command in ALL.values() for parameter in command.params for name in parameter.opts}
    assert set(re.findall(r"^\| `(--[\w-]+)", COMMANDS, re.MULTILINE)) <= options | {"--help"}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_a_setting_is_described(setting: Setting) -> None:
    default = setting.default
    shown = "" if default is None else f"`{default:g}`" if isinstance(default, float) else f"`{default}`"
    row = rf"^\| `{re.escape(setting.key)}` \| `{setting.variable}` \| {re.escape(shown)} ?\| \S"
    assert re.search(row, CONFIGURATION, re.MULTILINE), row


def test_exit_codes_are_described() -> None:
    said = _section("Exit codes")
    codes = {output.OK, output.FAILED, output.USAGE, output.NOT_FOUND, output.DATABASE, output.INTERRUPTED}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", said, re.MULTILINE)} == codes
