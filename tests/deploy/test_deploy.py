"""What is deployed: the image, the compose file and the units are checked by the programs that read them."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def program(name: str) -> str:
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def called(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def composed() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return loaded


def test_the_linter_of_dockerfiles_has_nothing_to_say() -> None:
    assert called(program("hadolint"), str(DEPLOY / "Dockerfile")) == ""


def test_the_image_copies_what_is_there_and_needs_no_root() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copied = [
        name for line in lines if line.startswith("COPY ") and "--from" not in line for name in line.split()[1:-1]
    ]
    assert copied
    assert [name for name in copied if not (ROOT / name).exists()] == []
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert {f"!{name.partition('/')[0]}" for name in copied} <= set(ignored)
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users
    assert users[-1] not in ("root", "0")


def test_compose_reads_the_file() -> None:
    told = called(program("docker-compose"), "-f", str(DEPLOY / "compose.yaml"), "config", DATABASE_PASSWORD="x y")
    assert yaml.safe_load(told)["services"].keys() == composed()["services"].keys()


def test_compose_refuses_to_start_without_a_password() -> None:
    done = subprocess.run(
        [program("docker-compose"), "-f", str(DEPLOY / "compose.yaml"), "config"],
        capture_output=True, text=True, check=False, timeout=60,
        env={name: value for name, value in os.environ.items() if name != "DATABASE_PASSWORD"},
    )  # fmt: skip
    assert done.returncode != 0
    assert "deploy/.env" in done.stderr


def test_nothing_that_compose_starts_is_open_to_others_without_keys() -> None:
    services = composed()["services"]
    for name, service in services.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
    assert "--auth" in services["server"]["command"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_reads_the_units(unit: Path, tmp_path: Path) -> None:
    copy = tmp_path / unit.name.replace("@", "@1")
    copy.write_text(unit.read_text().replace("/opt/holdfast/bin/holdfast", "/bin/true"))
    assert called(program("systemd-analyze"), "verify", "--man=no", str(copy)) == ""


@pytest.mark.parametrize("place", ["compose", *(unit.name for unit in UNITS)])
def test_the_commands_that_are_started_are_commands(place: str) -> None:
    if place == "compose":
        asked = [
            service["command"] for service in composed()["services"].values() if service.get("image") == "holdfast"
        ]
    else:
        text = (DEPLOY / "systemd" / place).read_text()
        asked = [line.split()[1:] for line in re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)]
    assert asked
    for command in asked:
        options = {part for part in command if part.startswith("--")}
        words = [part for part in command if re.fullmatch("[a-z]+", part) and part != "shop"]
        said = called(program("holdfast"), *words, "--help", COLUMNS="200")
        assert {option for option in options if option not in said} == set(), json.dumps(command)
