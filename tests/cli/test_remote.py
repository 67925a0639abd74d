"""Commands through a server: the same as on its database, and a clear word where they need the database itself."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.cli.tool import SHOP, SOON, command, environment, inside, until

pytestmark = pytest.mark.slow


class Served(NamedTuple):
    """A server and a worker of one database."""

    address: str
    url: str
    keys: dict[str, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with auth, and a worker, in processes of their own."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "shop.py").write_text(SHOP)
    url = f"sqlite:///{folder / 'holdfast.db'}"
    inside("db", "migrate", "--url", url)
    keys = {
        role: json.loads(inside("keys", "create", role, "--role", role, "--url", url, "--json")[0])["key"]
        for role in ("viewer", "admin")
    }
    with (folder / "stderr").open("w") as stderr:
        started = [
            subprocess.Popen(
                command(*arguments),
                cwd=folder,
                env=environment(HOLDFAST_URL=url),
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )
            for arguments in (("serve", "--port", "0", "--auth", "--json"), ("worker", "shop", "--json", *SOON))
        ]
        try:
            said = [json.loads(process.stdout.readline()) for process in started if process.stdout is not None]
            yield Served(said[0]["url"], url, keys)
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(timeout=30)
                assert process.stdout is not None
                process.stdout.close()


@pytest.fixture
def remote(served: Served, shop: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The server's address and an admin's key are set."""
    monkeypatch.setenv("HOLDFAST_URL", served.address)
    monkeypatch.setenv("HOLDFAST_KEY", served.keys["admin"])
    return served


def said(*arguments: str, code: int = 0) -> Any:
    """A command's one JSON document."""
    return json.loads(inside(*arguments, "--json", code=code)[0])


def test_a_run_from_start_to_end(remote: Served) -> None:
    order = ("--input", '{"order_id": "a-1", "cents": 5}', "--id", "a/1")
    done = said("start", "checkout", *order, "--wait")
    assert done["result"] == {"receipt": "receipt a-1-5", "parcel": "parcel a-1"}
    assert "exists already" in inside("start", "checkout", *order)[1]
    wrong = ("--input", '{"order_id": "x", "cents": 5}', "--id", "a/1")
    assert "taken" in inside("start", "checkout", *wrong, code=2)[1]
    assert "receipt a-1-5" in inside("runs", "show", "a/1")[0]
    assert said("runs", "list", "--where", "id = 'a/1'")[0]["status"] == "succeeded"
    assert said("runs", "count", "--where", "id = 'a/1'") == {"runs": 1, "capped": False}
    assert said("runs", "watch", "a/1")["status"] == "succeeded"
    assert "succeeded" in inside("runs", "explain", "a/1")[0]
    assert said("runs", "show", "a/1") == json.loads(inside("runs", "show", "a/1", "--url", remote.url, "--json")[0])
    replayed = said("runs", "replay-step", "a/1", "shop:charge")
    assert (replayed["same"], replayed["output"]) == (True, "receipt a-1-5")
    fork = said("runs", "fork", "a/1", "--from-step", "charge", "--output", '"by hand"')["id"]
    until(lambda: said("runs", "show", fork)["run"]["status"] == "succeeded")
    assert said("runs", "show", fork)["run"]["output"]["receipt"] == "by hand"


def test_what_is_refused_is_told_as_on_the_database(remote: Served) -> None:
    for arguments, code in (
        (("runs", "show", "absent"), 3),
        (("start", "chekout", "--patience", "0"), 3),
        (("start", "checkout", "--input", '{"order_id": "a"}'), 2),
        (("start", "checkout", "--input", '{"order_id": "a", "cents": "many"}'), 2),
        (("runs", "list", "--where", "status ="), 2),
        (("runs", "list", "--limit", "0"), 2),
        (("users", "show", "nobody"), 3),
        (("schedules", "show", "absent"), 3),
        (("queues", "set", "a", "--total", "0"), 2),
    ):
        theirs, ours = inside(*arguments, code=code)[1], inside(*arguments, "--url", remote.url, code=code)[1]
        assert theirs == ours


def test_everything_else_goes_through_a_server_too(remote: Served) -> None:
    late = said("start", "remind", "--delay", "1h", "--id", "late")["id"]
    assert said("runs", "cancel", late, "--reason", "too late") == [
        {"id": "late", "status": "cancelled", "asked": None}
    ]
    assert "too late" in said("runs", "show", late)["run"]["error"]["message"]
    assert said("events", "send", "shipped", "--key", "k", "--payload", "[1]")["created"]
    assert said("schedules", "set", "hourly", "remind", "--every", "1h")["name"] == "hourly"
    assert said("schedules", "pause", "hourly")["paused"]
    assert inside("schedules", "delete", "hourly")
    assert said("queues", "set", "slow", "--total", "3")["total"] == 3
    assert "checkout" in inside("workflows", "list")[0]
    assert said("lanes", "list") == []
    assert any(one["status"] == "failed" for one in said("retention", "show"))
    assert said("workers", "list")[0]["alive"]
    assert said("runs", "stranded") == []
    assert said("users", "add", "ida", "--role", "operator")["role"] == "operator"
    assert inside("users", "remove", "ida")
    made = said("keys", "create", "ci", "--expires", "1d")
    assert inside("keys", "revoke", made["prefix"])
    actors = {one["actor"] for one in said("audit", "list", "--target", "late")}
    assert actors == {f"key:{remote.keys['admin'].split('_')[1]}"}
    job = said("runs", "cancel", "--where", "workflow = 'nothing'", "--wait")
    assert (job["found"], job["done"]) == (0, 0)


def test_the_work_queue_goes_through_a_server_too(remote: Served, shop: Path) -> None:
    (shop / "customers.csv").write_text("id,name,assignee,churn_risk_score\nacme,Acme,ida,9\nbad,Bad,,99\n")
    assert said("items", "subjects", "import", "customers.csv", code=1)["stored"] == 1
    document = '{"name": "Talk", "type": "risk", "rule": "scores.risk >= 7.0"}'
    assert said("items", "definitions", "put", "at-risk", document)["version"] == 1
    assert said("items", "definitions", "activate", "at-risk")["active"]
    [made] = said("items", "interpret")["ids"]
    assert [one["id"] for one in said("items", "queue", "--assignee", "ida")] == [made]
    assert said("items", "start", made)["status"] == "underway"
    assert "at revision 2" in inside("items", "stop", made, "--revision", "1", code=1)[1]
    assert said("items", "complete", made, "--data", '{"a": 1}')["data"] == {"a": 1}
    assert said("items", "analytics")["total"]["completed"] == 1
    assert "--as is for a database" in inside("items", "queue", "--as", "ida", code=2)[1]
    for arguments, code in (
        (("show", "absent"), 3),
        (("start", made), 1),
        (("snooze", made, "--days", "0"), 2),
        (("create", "--title", "x", "--subject", "absent"), 3),
        (("definitions", "put", "d", '{"name": "x", "rule": "1 +"}'), 2),
    ):
        theirs = inside("items", *arguments, code=code)[1]
        assert theirs == inside("items", *arguments, "--url", remote.url, code=code)[1]


def test_the_doctor_looks_through_the_server(remote: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    found = said("doctor")
    checks = {one["name"]: one for one in found["checks"]}
    assert found["ok"]
    assert "for tenant 'default'" in checks["server"]["text"]
    assert checks["workers"]["text"] == "1 alive"
    assert "run `holdfast doctor` there" in checks["database"]["text"]
    monkeypatch.setenv("HOLDFAST_KEY", "hf_00000000_" + "x" * 40)
    [problem] = [one for one in said("doctor", code=1)["checks"] if one["status"] == "problem"]
    assert "name a good key" in problem["advice"]


def test_what_needs_the_database_says_so(remote: Served) -> None:
    for arguments in (
        ("worker", "shop"),
        ("dev", "shop"),
        ("serve",),
        ("db", "status"),
        ("db", "migrate"),
        ("db", "backup", "copy.db"),
        ("db", "restore", "copy.db"),
        ("run", "shop:remind", "--url", remote.address),
    ):
        stderr = inside(*arguments, code=2)[1]
        assert f"{remote.address} is a server" in stderr
        assert "address of the database that the server uses" in stderr
    assert inside("config", "check")[0]


def test_a_key_is_named_and_never_shown(served: Served, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = ("--url", served.address)
    for arguments, code, why in (
        ((), 5, "no good credentials"),
        (("--api-key", "env:ABSENT"), 2, "the key: the variable ABSENT is not set"),
        (("--api-key", served.keys["viewer"]), 2, "expected is where the secret is"),
    ):
        stdout, stderr = inside("runs", "list", *address, *arguments, code=code)
        assert why in stderr
        assert served.keys["viewer"] not in stdout + stderr
    (shop / "key").write_text(served.keys["viewer"] + "\n")
    assert inside("runs", "list", *address, "--api-key", "file:key")
    (shop / "holdfast.toml").write_text(f'url = "{served.address}"\nkey = "file:key"\n')
    assert inside("runs", "list")
    denied = said("queues", "pause", "slow", code=5)["error"]
    assert denied["type"] == "Forbidden"
    monkeypatch.setenv("HOLDFAST_KEY", served.keys["admin"])
    stderr = inside("runs", "list", "--tenant", "other", code=5)[1]
    assert "the key is for tenant 'default', and tenant 'other' is asked for" in stderr


def test_a_server_that_is_not_there(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.engine.remote import transport

    monkeypatch.setattr(transport, "PATIENCE_SECONDS", 0.2)
    stderr = inside("runs", "list", "--url", "http://127.0.0.1:1", code=4)[1]
    assert "http://127.0.0.1:1 cannot be reached" in stderr
    assert "no address of a server" in inside("runs", "list", "--url", "http://", code=2)[1]
