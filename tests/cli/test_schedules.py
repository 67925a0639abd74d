"""`holdfast schedules` and `holdfast retention`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.tool import SOON, call, inside, running, until

NEVER = ("--cron", "30 7 29 2 *")
"""Times that do not come during a test."""


def said(*arguments: str, url: str, code: int = 0) -> Any:
    """A command's one JSON document."""
    return json.loads(inside(*arguments, "--url", url, "--json", code=code)[0])


def registered(url: str) -> None:
    inside("run", "shop:remind", "--id", "first", "--url", url)


def ids(url: str) -> list[str]:
    return [run["id"] for run in said("runs", "list", url=url)]


def test_a_schedule_is_made_changed_and_deleted(shop: Path, disk_url: str) -> None:
    registered(disk_url)
    made = said(
        "schedules", "set", "yearly", "remind", *NEVER, "--zone", "Europe/Berlin", "--input", '{"order_id": "o-9"}',
        "--overlap", "queue", "--catch-up", "all", "--catch-up-within", "2d", url=disk_url,
    )  # fmt: skip
    assert (made["cron"], made["zone"], made["overlap"], made["catch_up"]) == (
        NEVER[1],
        "Europe/Berlin",
        "queue",
        "all",
    )
    assert (made["input"], made["catch_up_within_seconds"]) == ({"order_id": "o-9"}, 172_800)
    assert made["next_at"].endswith("02-29T06:30:00+00:00")
    assert said("schedules", "show", "yearly", url=disk_url) == made
    assert "30 7 29 2 * Europe/Berlin" in inside("schedules", "list", "--url", disk_url)[0]
    changed = said("schedules", "set", "yearly", "remind", "--every", "1h", url=disk_url)
    assert (changed["cron"], changed["every_seconds"], changed["overlap"]) == (None, 3600, "skip")
    assert "every 1h00m" in inside("schedules", "show", "yearly", "--url", disk_url)[0]
    rule = ("--rrule", "FREQ=MONTHLY;BYDAY=-1FR", "--calendar", "DE-BY", "--closed", "previous", "--jitter", "5m")
    ruled = said("schedules", "set", "yearly", "remind", *rule, "--start-at", "2026-01-01T09:00:00Z", url=disk_url)
    assert (ruled["rrule"], ruled["calendar"], ruled["closed"], ruled["jitter_seconds"]) == (
        rule[1], "DE-BY", "previous", 300,
    )  # fmt: skip
    assert ruled["next_at"][11:] == "09:00:00+00:00"
    shown = inside("schedules", "show", "yearly", "--url", disk_url)[0]
    assert "FREQ=MONTHLY;BYDAY=-1FR UTC, business days of DE-BY (previous)" in shown
    assert "up to 5m" in shown
    inside("schedules", "delete", "yearly", "--url", disk_url)
    assert said("schedules", "list", url=disk_url) == []
    assert "there are no schedules" in inside("schedules", "list", "--url", disk_url)[1]


def test_a_schedule_is_paused_and_resumed(shop: Path, disk_url: str) -> None:
    registered(disk_url)
    inside("schedules", "set", "yearly", "remind", *NEVER, "--url", disk_url)
    assert said("schedules", "pause", "yearly", url=disk_url)["paused"] is True
    assert "paused" in inside("schedules", "list", "--url", disk_url)[0]
    resumed = said("schedules", "resume", "yearly", url=disk_url)
    assert (resumed["paused"], resumed["next_at"] is None) == (False, False)


def test_runs_out_of_turn(shop: Path, disk_url: str) -> None:
    registered(disk_url)
    inside("schedules", "set", "yearly", "remind", *NEVER, "--url", disk_url)
    id = inside("schedules", "run", "yearly", "--url", disk_url)[0].strip()
    assert id in ids(disk_url)
    past = ("--since", "2020-01-01T00:00:00Z", "--until", "2025-01-01T00:00:00Z")
    made = said("schedules", "backfill", "yearly", *past, url=disk_url)["ids"]
    assert made == ["yearly/2020-02-29T07:30:00Z", "yearly/2024-02-29T07:30:00Z"]
    assert set(made) < set(ids(disk_url))
    stdout, stderr = inside("schedules", "backfill", "yearly", "--since", "2025-01-01T00:00:00Z", "--url", disk_url)
    assert (stdout, stderr) == ("", "0 runs are started\n")


def test_a_schedule_that_cannot_be(shop: Path, sqlite_url: str) -> None:
    registered(sqlite_url)
    for arguments, code, why in (
        (["remind"], 2, "needs one of cron"),
        (["remind", "--rrule", "FREQ=DAILY;BYHOUR=25"], 2, "cannot be"),
        (["remind", *NEVER, "--calendar", "XX"], 2, "not known"),
        (["remind", "--cron", "30 25 * * *"], 2, "its hour cannot be '25'"),
        (["remind", *NEVER, "--zone", "Europe/Atlantis"], 2, "Europe/Atlantis"),
        (["remind", *NEVER, "--overlap", "some"], 2, "'some'"),
        (["remind", *NEVER, "--input", '{"colour": 1}'], 2, "unexpected 'colour'"),
        (["remind", "--every", "1h", "--start-at", "2026-03-01"], 2, "has no zone"),
        (["remind", "--every", "1h", "--start-at", "soon"], 2, "give ISO 8601"),
        (["forget", *NEVER], 3, "known are: remind"),
    ):
        assert why in inside("schedules", "set", "yearly", *arguments, "--url", sqlite_url, code=code)[1]
    assert said("schedules", "list", url=sqlite_url) == []
    for action in ("show", "pause", "resume", "run", "delete"):
        assert said("schedules", action, "absent", url=sqlite_url, code=3)["error"]["type"] == "Missing"
    absent = ("schedules", "backfill", "absent", "--since", "2025-01-01T00:00:00Z")
    assert "has no schedule 'absent'" in inside(*absent, "--url", sqlite_url, code=3)[1]


@pytest.mark.slow
def test_its_runs_are_made_by_a_worker(shop: Path, disk_url: str) -> None:
    registered(disk_url)
    inside("schedules", "set", "often", "remind", "--every", "1s", "--url", disk_url)
    with running(shop, "worker", "shop", *SOON, url=disk_url):
        until(lambda: len([id for id in ids(disk_url) if id.startswith("often/")]) > 1)
        call(shop, "schedules", "pause", "often", url=disk_url)


def test_retention_is_set_and_forgotten(shop: Path, disk_url: str) -> None:
    inside("db", "migrate", "--url", disk_url)
    before = said("retention", "show", url=disk_url)
    assert {(one["status"], one["default"]) for one in before} == {
        ("succeeded", True), ("failed", True), ("cancelled", True),
    }  # fmt: skip
    said("retention", "set", "2d", "--workflow", "remind", "--status", "succeeded", url=disk_url)
    [mine] = [one for one in said("retention", "show", url=disk_url) if not one["default"]]
    assert mine == {"workflow": "remind", "status": "succeeded", "keep_seconds": 172_800, "default": False}
    assert "2d00h" in inside("retention", "show", "--url", disk_url)[0]
    after = said("retention", "set", "default", "--workflow", "remind", "--status", "succeeded", url=disk_url)
    assert after == before
    assert (
        "status is 'running'" in inside("retention", "set", "2d", "--status", "running", "--url", disk_url, code=2)[1]
    )
