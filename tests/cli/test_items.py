"""`holdfast items`, in this process: on each store what an item goes through, the rest on one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.tool import inside

pytestmark = pytest.mark.slow

FORM = '{"type": "object", "properties": {"amount": {"type": "integer"}}, "required": ["amount"]}'


@pytest.fixture
def each_url(shop: Path, disk_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database with the schema in it, which the commands find; each kind in turn."""
    inside("db", "migrate", "--url", disk_url)
    monkeypatch.setenv("HOLDFAST_URL", disk_url)
    return disk_url


@pytest.fixture
def url(shop: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same, of one kind."""
    inside("db", "migrate", "--url", sqlite_url)
    monkeypatch.setenv("HOLDFAST_URL", sqlite_url)
    return sqlite_url


def said(*arguments: str, code: int = 0, given: str | None = None) -> Any:
    """What `holdfast items …` says, as its one JSON document."""
    return json.loads(inside("items", *arguments, "--json", code=code, given=given)[0])


def told(*arguments: str, code: int = 0) -> str:
    """What it tells people."""
    return "".join(inside("items", *arguments, code=code))


def test_an_item_from_its_making_to_its_end(each_url: str) -> None:
    said("subjects", "put", "acme", "--name", "Acme", "--assignee", "ida", "--signals", '{"revenue_impact_tier": 5}')
    made = said(
        "create", "--title", "Talk", "--type", "risk", "--subject", "acme", "--due", "2d", "--form", FORM, "--id",
        "i/1", "--escalate-to", "bob", "--data", '{"a": 1}',
    )  # fmt: skip
    assert (made["assignee"], made["priority"], made["data"]) == ("ida", 925, {"a": 1})
    assert [one["id"] for one in said("queue", "--as", "ida")] == ["i/1"]
    assert "925 Critical" in told("queue", "--assignee", "ida")
    assert "nothing to do" in told("queue")
    assert said("start", "i/1", "--as", "ida", "--revision", "1")["status"] == "underway"
    assert said("stop", "i/1")["status"] == "not_started"
    assert said("snooze", "i/1", "--days", "3")["snooze_days"] == 3
    assert said("wake", "i/1")["status"] == "not_started"
    assert said("escalate", "i/1", "bob", "--reason", "odd")["escalated_to"] == "bob"
    said("acknowledge", "i/1", "--as", "bob")
    assert said("assign", "i/1", "none")["assignee"] is None
    assert said("save", "i/1", "--data", '{"a": null}')["data"] == {}
    assert "amount" in told("complete", "i/1", code=2)
    assert "may become" in told("show", "i/1")
    assert said("complete", "i/1", "--data", '{"amount": 5}')["status"] == "completed"
    events = said("history", "i/1")
    assert [one["actor"] for one in events][:2] == [events[0]["actor"], "ida"]
    assert events[0]["actor"].startswith("cli:")
    assert "underway" in told("history", "i/1", "--after", "1", "--limit", "1")
    assert "It has ended" in told("explain", "i/1")
    assert said("count", "--status", "completed") == {"items": 1, "capped": False}


def test_groups_links_and_lists(url: str) -> None:
    for id in ("a", "b"):
        said("create", "--title", id, "--group", "desk", "--id", id)
    assert said("claim", "--group", "desk", "--as", "ida", "--lease", "1h")["assignee"] == "ida"
    assert said("claim", "b", "--as", "bob")["assignee"] == "bob"
    assert "nobody has" in told("claim", "--group", "desk", code=1)
    assert said("claim", "--group", "desk", code=1) is None
    assert said("release", "b")["assignee"] is None
    assert [one["on_item"] for one in said("depend", "b", "--on", "a")["waits_for"]] == ["a"]
    assert "waits for" in told("links", "a")
    assert said("undepend", "b", "--on", "a")["waits_for"] == []
    assert "waits for nothing" in told("links", "a")
    assert [one["id"] for one in said("list", "--nobody", "--group", "desk")] == ["b"]
    assert [one["id"] for one in said("list", "--limit", "1")] == ["b"]
    assert [one["id"] for one in said("list", "--after", "b")] == ["a"]
    assert "no such items" in told("list", "--overdue")
    assert said("skip", "a", "--reason", "no")["skip_reason"] == "no"


@pytest.mark.timeout(300)
def test_what_cannot_be_is_told(url: str) -> None:
    said("create", "--title", "x", "--id", "i", "--assignee", "ida")
    for arguments, code, why in (
        (("show", "absent"), 3, "has no work item 'absent'"),
        (("create", "--title", "x", "--id", "i"), 2, "already"),
        (("create",), 2, "needs a title"),
        (("create", "absent"), 3, "no definition"),
        (("stop", "i"), 1, "not_started"),
        (("start", "i", "--revision", "7"), 1, "at revision 1"),
        (("snooze", "i", "--days", "91"), 2, "from 1 to 90"),
        (("snooze", "i"), 2, "give days"),
        (("skip", "i"), 2, "say why"),
        (("save", "i", "--data", "[]"), 2, "give a JSON object"),
        (("list", "--assignee", "a", "--nobody"), 2, "not both"),
        (("list", "--status", "asleep"), 2, "underway"),
        (("claim",), 2, "give the id of an item, or --group"),
        (("bulk", "wake"), 2, "give ids, or filters"),
        (("bulk", "wake", "i", "--type", "risk"), 2, "not both"),
        (("undo", "x"), 2, "32 characters"),
        (("subjects", "show", "absent"), 3, "no subject"),
        (("subjects", "delete", "absent"), 3, "no subject"),
        (("subjects", "import", "absent.csv"), 3, "no file"),
        (("signals", "put", "absent", "n", "1"), 3, "no subject"),
        (("definitions", "show", "absent"), 3, "no definition"),
        (("definitions", "put", "d", '{"name": "x", "rule": "1 +"}'), 2, "rule"),
        (("definitions", "dry-run"), 2, "--document"),
        (("settings", "set"), 2, "nothing is given"),
        (("settings", "set", "--zone", "Mars"), 2, "IANA"),
        (("preset", "absent"), 2, "customer_success"),
        (("daily", "--day", "today"), 2, "give a date"),
        (("analytics", "--csv", "--json"), 2, "not both"),
        (("analytics", "--since", "soon"), 2, "since"),
    ):  # fmt: skip
        assert why in told(*arguments, code=code), arguments
    assert said("stop", "i", code=1)["error"]["item_id"] == "i"
    assert said("show", "i")["revision"] == 1


def test_subjects_and_signals_from_files(url: str, shop: Path) -> None:
    (shop / "customers.csv").write_text("id,name,usage_score\na,A,5\nb,B,many\n")
    tried = said("subjects", "import", "customers.csv", "--dry-run", code=1)
    assert (tried["stored"], tried["faults"][0]["line"]) == (1, 3)
    assert "line 3: column usage_score" in told("subjects", "import", "customers.csv", code=1)
    assert said("subjects", "import", "-", given="id;name\nc;C\n", code=0)["stored"] == 1
    sample = inside("items", "subjects", "sample")[0]
    (shop / "sample.csv").write_text(sample)
    assert said("subjects", "import", "sample.csv")["stored"] == 20
    assert "A" in told("subjects", "list", "--limit", "2")
    assert said("subjects", "put", "a", "--assignee", "none", "--properties", '{"x": 1}')["properties"] == {"x": 1}
    assert said("subjects", "show", "a")["signals"] == {"usage_score": 5.0}
    (shop / "signals.ndjson").write_text('{"subject": "a", "name": "n", "value": 1}\n{"subject": "a"}\n')
    assert said("signals", "import", "signals.ndjson", code=1)["stored"] == 1
    assert "is 7 since" in told("signals", "put", "a", "n", "7", "--source", "crm")
    assert said("signals", "list", "a", "--name", "n")[0]["source"] == "crm"
    assert "not known" in told("signals", "change", "a", "n", "--over", "30d")
    assert "n" in told("signals", "names").splitlines()
    assert "forgotten" in told("subjects", "delete", "a")


def test_definitions_settings_and_the_daily_work(url: str, shop: Path) -> None:
    document = '{"name": "Talk", "type": "risk", "rule": "scores.risk >= 7.0"}'
    assert said("definitions", "put", "at-risk", document)["version"] == 1
    (shop / "kinds.toml").write_text('[definitions.visit]\nname = "Visit"\n')
    assert [one["id"] for one in said("definitions", "load", "kinds.toml")] == ["visit"]
    assert "at-risk" in told("definitions", "list", "--retired")
    said("subjects", "put", "s", "--signals", '{"churn_risk_score": 9}', "--assignee", "ida")
    assert "would make 1 items" in told("definitions", "dry-run", "at-risk")
    assert said("definitions", "dry-run", "--document", document.replace("{", '{"id": "x", ', 1))["makes"] == 1
    assert said("definitions", "activate", "at-risk")["active"]
    assert said("definitions", "show", "at-risk", "--version", "1")["active"] is False
    assert len(said("definitions", "versions", "at-risk")) == 2
    assert said("settings", "set", "--zone", "Europe/Berlin", "--country", "DE")["country"] == "DE"
    assert "Europe/Berlin" in told("settings", "show")
    assert said("preset", "customer_success")["preset"] == "customer_success"
    assert len(said("interpret")["ids"]) >= 1
    assert said("recompute")["items"] >= 1
    assert said("daily")["created"] == 0
    assert "2026-03-01" in told("daily", "--day", "2026-03-01")
    assert not said("definitions", "retire", "at-risk")["active"]


def test_many_at_once_figures_and_the_demo(url: str) -> None:
    for id in ("a", "b", "c"):
        said("create", "--title", id, "--id", id, "--assignee", "ida")
    said("complete", "c")
    assert "2 of 3 items let it" in told("bulk", "snooze", "--assignee", "ida", "--days", "3", "--dry-run")
    done = said("bulk", "snooze", "a", "b", "c", "--days", "3")
    assert (done["done"], done["refused"]) == (2, 1)
    assert said("outcome", done["id"])["done"] == 2
    assert "holdfast items undo" in told("undo", done["id"])
    assert said("show", "a")["status"] == "not_started"
    for id in ("ida", "bob"):
        inside("users", "add", id, "--role", "worker-of-items")
    assert "ida" in told("loads")
    assert "--apply" in told("balance")
    assert said("balance", "--apply")["moves"]
    assert said("count", "--assignee", "bob")["items"] == 1
    assert said("analytics", "--by", "assignee")["total"]["completed"] == 1
    assert len(said("analytics", "--every", "day", "--since", "2026-01-01", "--until", "2026-01-03")) == 2
    assert told("analytics", "--csv").startswith("since,until,group,created")
    assert "all" in told("analytics", "--by", "definition")
    begun = said("demo", "start", "ob", "--assignee", "ida")
    assert (len(begun["items"]), begun["created"]) == (3, True)
    assert "0 of 3" in told("demo", "status", "--assignee", "ida")
    assert "they were there" in told("demo", "start", "ob", "--assignee", "ida")
    assert said("demo", "reset") == {"items": 3}
