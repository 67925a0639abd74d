"""`holdfast users`, `keys`, `audit` and `workers`: on each store, in this process."""

from __future__ import annotations

import getpass
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.engine import people
from tests.cli.tool import SOON, call, inside, running, until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords are hashed with little work."""
    import argon2

    monkeypatch.setattr(people, "_hasher", lambda: argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


def said(*arguments: str, url: str, code: int = 0, given: str | None = None) -> Any:
    """A command's one JSON document."""
    return json.loads(inside(*arguments, "--url", url, "--json", code=code, given=given)[0])


@pytest.fixture
def url(shop: Path, disk_url: str) -> str:
    """A database with the schema in it."""
    inside("db", "migrate", "--url", disk_url)
    return disk_url


def test_people_are_made_known_changed_and_removed(url: str) -> None:
    made = said(
        "users", "add", "ida/x", "--email", "Ida@Example.com", "--name", "Ida", "--role", "operator",
        "--zone", "Europe/Berlin", "--manager", "bob", "--group", "desk", "--group", "night", "--capacity", "3",
        "--away", "2026-12-24..2027-01-02", url=url,
    )  # fmt: skip
    assert (made["email"], made["role"], made["groups"]) == ("ida@example.com", "operator", ["desk", "night"])
    assert made["away"] == [{"from": "2026-12-24", "until": "2027-01-02"}]
    assert "exists" in inside("users", "add", "ida/x", "--url", url, code=2)[1]
    changed = said(
        "users", "set", "ida/x", "--email", "none", "--manager", "none", "--group", "none", "--capacity", "none",
        "--away", "none", "--disabled", url=url,
    )  # fmt: skip
    assert {key: changed[key] for key in ("email", "manager", "groups", "capacity", "away", "disabled", "name")} == {
        "email": None, "manager": None, "groups": [], "capacity": None, "away": [], "disabled": True, "name": "Ida",
    }  # fmt: skip
    assert "disabled" in inside("users", "list", "--url", url)[0]
    assert said("users", "set", "ida/x", "--enabled", url=url)["disabled"] is False
    assert said("users", "list", "--after", "ida/x", url=url) == []
    assert "Europe/Berlin" in inside("users", "show", "ida/x", "--url", url)[0]
    assert said("users", "remove", "ida/x", url=url) == {"id": "ida/x", "removed": True}
    for command in (["show"], ["remove"], ["set", "--role", "admin"]):
        assert "has no person 'ida/x'" in inside("users", command[0], "ida/x", *command[1:], "--url", url, code=3)[1]
    assert said("users", "show", "ida/x", url=url, code=3)["error"]["type"] == "UserNotFound"


def test_what_nobody_can_be(url: str) -> None:
    for arguments, why in (
        (["--role", "king"], "viewer, worker-of-items, operator, admin"),
        (["--zone", "Mars"], "IANA name"),
        (["--email", "ida"], "an address with one @"),
        (["--capacity", "many"], "--capacity is 'many'; give a whole number"),
        (["--capacity", "-1"], "capacity is -1"),
        (["--away", "2026-12-24"], "the first and the last day"),
        (["--away", "2026-12-24..soon"], "give a date"),
    ):
        assert why in inside("users", "add", "ida", *arguments, "--url", url, code=2)[1]
    assert "nothing is given to change" in inside("users", "set", "ida", "--url", url, code=2)[1]
    assert said("users", "list", url=url) == []
    assert "nobody is known yet" in inside("users", "list", "--url", url)[1]


def test_a_password_is_read_from_standard_input(url: str) -> None:
    secret = "correct horse battery"
    made = said("users", "add", "ida", "--password", url=url, given=f"{secret}\nmore\n")
    assert made["has_password"]
    stdout, stderr = inside("users", "password", "ida", "--url", url, given="another long one")
    assert stdout == "ida has a new password\n"
    assert secret not in stdout + stderr
    assert "no password" in inside("users", "password", "ida", "--remove", "--url", url)[0]
    assert not said("users", "show", "ida", url=url)["has_password"]
    for given, why in (("", "no password on standard input"), ("short\n", "password has 5 characters")):
        assert why in inside("users", "password", "ida", "--url", url, code=2, given=given)[1]
    inside("users", "password", "ida", secret, "--url", url, code=2)
    inside("users", "password", "absent", "--url", url, code=3, given=secret)


def test_a_password_is_asked_for_twice_on_a_terminal(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.cli import passwords
    from holdfast.errors import UsageError

    typed = iter(["one long password", "one long password", "one long password", "another"])
    asked: list[str] = []

    def ask(prompt: str, stream: object) -> str:
        assert stream is sys.stderr
        asked.append(prompt)
        return next(typed)

    monkeypatch.setattr(sys, "stdin", type("Terminal", (), {"isatty": lambda self: True})())
    monkeypatch.setattr(getpass, "getpass", ask)
    assert passwords.read_password("ida") == "one long password"
    assert asked == ["Password of ida: ", "The same again: "]
    with pytest.raises(UsageError, match="differ"):
        passwords.read_password("ida")


def test_keys_are_shown_once(url: str) -> None:
    stdout, stderr = inside("keys", "create", "ci", "--role", "operator", "--expires", "90d", "--url", url)
    key = stdout.strip()
    assert key.startswith("hf_")
    assert key not in stderr
    made = said("keys", "create", "other", url=url)
    assert made["key"].startswith(f"hf_{made['prefix']}_")
    assert made["role"] == "viewer"
    prefix = key.split("_")[1]
    listed = said("keys", "list", "--search", key, url=url)
    assert [(one["prefix"], one["role"], one["created_by"]) for one in listed] == [
        (prefix, "operator", f"cli:{getpass.getuser()}")
    ]
    assert key.split("_")[2] not in inside("keys", "list", "--url", url)[0]
    assert "revoked" in inside("keys", "revoke", prefix, "--url", url)[0]
    assert "revoked 20" in inside("keys", "list", "--url", url)[0]
    assert "has no API key 'absent00'" in inside("keys", "revoke", "absent00", "--url", url, code=3)[1]
    assert "viewer, worker-of-items" in inside("keys", "create", "x", "--role", "king", "--url", url, code=2)[1]
    assert "no such keys" in inside("keys", "list", "--tenant", "other", "--url", url)[1]


def test_who_changed_what_is_listed(url: str) -> None:
    inside("run", "shop:remind", "--id", "o-1", "--url", url)
    inside("start", "remind", "--id", "o-2", "--url", url)
    inside("runs", "cancel", "o-2", "--reason", "too late", "--url", url)
    inside("queues", "pause", "slow", "--url", url)
    me = f"cli:{getpass.getuser()}"
    found = said("audit", "list", url=url)
    assert [(one["actor"], one["action"], one["target"]) for one in found] == [
        (me, "queue.pause", "slow"), (me, "run.cancel", "o-2"), (me, "run.start", "o-2"),
    ]  # fmt: skip
    assert said("audit", "list", "--before", found[0]["id"], "--action", "run", "--target", "o-2", "--limit", "1",
                url=url) == [found[1]]  # fmt: skip
    assert said("audit", "list", "--actor", "nobody", url=url) == []
    assert "too late" in inside("audit", "list", "--url", url)[0]
    assert "no such change" in inside("audit", "list", "--tenant", "other", "--url", url)[1]


def test_workers_that_are_not_there(url: str) -> None:
    assert "no worker is registered" in inside("workers", "list", "--url", url)[1]
    assert "no worker" in inside("workers", "drain", "0" * 32, "--url", url, code=3)[1]


@pytest.mark.slow
def test_a_worker_is_drained_from_afar(shop: Path, disk_url: str) -> None:
    with running(shop, "worker", "shop", *SOON, url=disk_url) as worker:
        call(shop, "start", "remind", "--wait", url=disk_url)
        [seen] = said("workers", "list", url=disk_url)
        assert (seen["pid"], seen["alive"], seen["slots"]) == (worker.pid, True, 1000)
        assert seen["serves"][-1] == "remind 1"
        assert "checkout 1" in inside("workers", "list", "--url", disk_url)[0]
        assert said("workers", "drain", seen["id"], url=disk_url) == {"id": seen["id"], "draining": True}
        assert worker.wait(timeout=20) == 0
    assert until(lambda: said("workers", "list", url=disk_url) == [])


@pytest.mark.slow
def test_drained_processes_are_not_started_again(shop: Path, sqlite_url: str) -> None:
    inside("db", "migrate", "--url", sqlite_url)
    with running(shop, "worker", "shop", "--processes", "2", *SOON, url=sqlite_url) as worker:
        for one in until(lambda: len(found := said("workers", "list", url=sqlite_url)) == 2 and found):
            said("workers", "drain", one["id"], url=sqlite_url)
        assert worker.wait(timeout=20) == 0
    assert "was drained" in (shop / "stderr").read_text()
