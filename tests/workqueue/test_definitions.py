"""Definitions: versions, checks with file and line, switched on and off, and what a dry run says."""

from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import DefinitionNotFound, HoldfastError, RuleError, UsageError, WorkChanged
from holdfast.workqueue.definitions import read_definitions
from tests.workqueue.item_kit import working

SAVE: dict[str, Any] = {
    "name": "Keep them",
    "type": "risk",
    "rule": "scores.risk >= 7.0",
    "due": "5d",
    "steps": [{"id": "ask", "title": "Ask"}, {"id": "sponsor", "when": "subject.weak > 0"}],
}


async def test_a_definition_has_versions(store_url: str) -> None:
    async with working(store_url) as (client, work):
        first = await work.put_definition("save", SAVE)
        assert (first.id, first.version, first.weight, first.active, first.created_by) == (
            "save",
            1,
            900,
            False,
            "maria",
        )
        assert first.document["steps"][1] == {"id": "sponsor", "when": "subject.weak > 0"}
        assert (await work.put_definition("save", first.document)).version == 1
        second = await work.put_definition("save", {**SAVE, "weight": 950}, revision=1)
        assert (second.version, second.weight) == (2, 950)
        assert (await work.get_definition("save")).version == 2
        assert (await work.get_definition("save", version=1)).weight == 900
        assert [one.version for one in await work.versions("save")] == [2, 1]
        actions = [(one.action, one.detail["version"]) for one in await client.audit(action="definition")]
        assert actions == [("definition.put", 2), ("definition.put", 1)]


async def test_a_definition_is_switched_on_and_off(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await work.put_definition("save", SAVE)
        assert await work.definitions(active=True) == []
        on = await work.activate("save")
        assert (on.version, on.active) == (2, True)
        assert (await work.activate("save")).version == 2
        assert (await work.put_definition("save", {**SAVE, "due": "6d"})).active
        assert [one.id for one in await work.definitions(active=True)] == ["save"]
        off = await work.retire("save", revision=3)
        assert (off.version, off.active) == (4, False)
        assert not (await work.put_definition("save", SAVE)).active
        assert (await work.put_definition("save", {**SAVE, "active": True})).active
        actions = [one.action for one in await client.audit(action="definition")][::-1]
        assert actions == [f"definition.{what}" for what in ("put", "activate", "put", "retire", "put", "activate")]


async def test_a_definition_stands_at_a_version(store_url: str) -> None:
    async with working(store_url) as (_, work):
        with pytest.raises(WorkChanged, match="does not exist"):
            await work.put_definition("save", SAVE, revision=1)
        await work.put_definition("save", SAVE, revision=0)
        with pytest.raises(WorkChanged, match="exists"):
            await work.put_definition("save", SAVE, revision=0)
        with pytest.raises(WorkChanged, match="is at version 1"):
            await work.activate("save", revision=5)


async def test_what_is_not_there(store_url: str) -> None:
    async with working(store_url) as (_, work):
        await work.put_definition("save", SAVE)
        for call in (
            work.get_definition("other"),
            work.get_definition("save", version=2),
            work.versions("other"),
            work.activate("other"),
            work.retire("other"),
            work.dry_run("other"),
        ):
            with pytest.raises(DefinitionNotFound):
                await call


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("save", "give an object"),
        ({"name": "x", "id": "other"}, "leave it out, or give the same"),
        ({"type": "risk"}, "has no name"),
        ({"name": "x", "type": "risky"}, "type is 'risky'"),
        ({"name": "x", "rule": "signals.a >"}, "rule"),
        ({"name": "x", "rule": "signals.a + 1"}, "rule"),
        ({"name": "x", "rule": "os.system('x') == 1"}, "rule"),
        ({"name": "x", "rule": ""}, "rule is empty"),
        ({"name": "x", "steps": [{"id": "a", "when": "1 +"}]}, "steps[0].when"),
        ({"name": "x", "due": "soon"}, "due"),
        ({"name": "x", "after": ["save"]}, "names the definition itself"),
        ({"name": "x", "colour": "red"}, "colour is no field"),
        ({"name": "x", "active": "yes"}, "active"),
    ],
)
async def test_a_bad_definition_is_refused(document: Any, says: str) -> None:
    async with working("memory://") as (_, work):
        with pytest.raises(HoldfastError) as refused:
            await work.put_definition("save", document)
        assert says in str(refused.value)
        assert await work.definitions() == []


async def test_definitions_do_not_go_round_in_a_circle(store_url: str) -> None:
    async with working(store_url) as (_, work):
        await work.put_definition("a", {"name": "A", "after": ["b"]})
        await work.put_definition("b", {"name": "B", "after": ["c"]})
        with pytest.raises(UsageError, match=r"goes round in a circle: .* after "):
            await work.put_definition("c", {"name": "C", "after": ["a"]})
        await work.put_definition("c", {"name": "C"})


FILE = '''# ours
[definitions.save]
name = "Keep them"
type = "risk"
rule = """
scores.risk >= 7.0
&& signals.usage_score < 50
"""
active = true

[definitions.plan]
name = "Plan"

[[definitions.plan.steps]]
id = "goals"
'''


async def test_definitions_of_a_file(store_url: str, tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(FILE, encoding="utf-8-sig")
    async with working(store_url) as (_, work):
        assert [(one.id, one.active) for one in await work.load(path)] == [("save", True), ("plan", False)]
        assert [one.version for one in await work.load(str(path))] == [1, 1]
        path.write_text(FILE.replace("< 50", "< 60"))
        assert [one.version for one in await work.load(path)] == [2, 1]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("< 50", "<", "ours.toml, line 5: definition 'save': rule"),
        ("< 50", "< 50 && signals.a + 1", "line 2, column"),
        ("[[definitions.plan.steps]]", "rule = 'signals.a >'\n[[definitions.plan.steps]]", "ours.toml, line 14"),
        ('id = "goals"', 'id = "goals"\nwhen = "subject.weak >"', "ours.toml, line 16"),
        ('type = "risk"', 'type = "risky"', "ours.toml, line 4: definition 'save': type is 'risky'"),
        ('name = "Plan"', 'nam = "Plan"', "ours.toml, line 12"),
        ("# ours", "= ours", "is no TOML: Invalid"),
        ('name = "Plan"', 'name = "Plan"\nafter = ["plan"]', "line 13"),
    ],
)
async def test_what_is_wrong_with_a_file_is_told_with_its_line(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(FILE.replace(old, new))
    async with working("memory://") as (_, work):
        with pytest.raises(UsageError) as refused:
            await work.load(path)
        assert says in str(refused.value)
        assert await work.definitions() == []


def test_a_rule_says_where_it_is_wrong() -> None:
    with pytest.raises(RuleError) as refused:
        read_definitions(FILE.replace("< 50", "<"), "ours.toml")
    assert refused.value.line in (2, 3)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "cannot be read: No such file"),
        (b'name = "\xe9"', "is not UTF-8: byte 8 is 0xe9"),
        (b"", "no definitions"),
        (b"a" * (4 * 1024 * 1024 + 1), "is larger than"),
    ],
)
async def test_a_file_that_is_none(tmp_path: Path, data: bytes | None, says: str) -> None:
    path = tmp_path / "ours.toml"
    if data is not None:
        path.write_bytes(data)
    async with working("memory://") as (_, work):
        with pytest.raises(UsageError) as refused:
            await work.load(path)
        assert says in str(refused.value)


# Dry runs


async def test_a_dry_run_says_what_would_be_made(store_url: str) -> None:
    async with working(store_url) as (_, work):
        for n in range(12):
            await work.put_subject(f"s{n:02}", signals={"churn_risk_score": n % 11})
        await work.put_subject("demo", signals={"churn_risk_score": 9}, demo=True)
        stored = await work.put_definition("save", SAVE)
        found = await work.dry_run("save")
        assert (found.definition, found.subjects, found.matches, found.taken, found.makes) == ("save", 12, 4, 0, 4)
        assert (found.examples, found.failed, found.notes) == (["s07", "s08", "s09", "s10"], 0, [])
        await work.create("save", subject="s08")
        found = await work.dry_run("save")
        assert (found.matches, found.taken, found.makes, found.examples) == (4, 1, 3, ["s07", "s09", "s10"])
        everybody = await work.dry_run({**SAVE, "rule": "signals.churn_risk_score >= 0"})
        assert (everybody.definition, everybody.makes, len(everybody.examples)) == (None, 12, 10)
        assert (await work.get_definition("save")) == stored
        assert (await work.get_subject("s07")).scores == {}


async def test_a_dry_run_tells_of_signals_that_nobody_sends(store_url: str) -> None:
    async with working(store_url) as (_, work):
        await work.put_subject("acme", signals={"usage_score": 5})
        found = await work.dry_run({"rule": "signals.usage_scor < 50 && scores.rsk > 1"})
        assert found.makes == 0
        assert "usage_scor" in found.notes[0]
        assert "usage_score" in found.notes[0]
        assert "scores.rsk" in found.notes[1]
        found = await work.dry_run({"change": {"signal": "logins", "over": "30d", "by": -5}})
        assert found.notes == ["signals.logins: nobody sends it"]
        found = await work.dry_run({"name": "By hand"})
        assert (found.matches, found.notes) == (
            0,
            ["it has neither a rule nor a trigger by time: its items are made by hand"],
        )


async def test_a_dry_run_of_what_is_none() -> None:
    async with working("memory://") as (_, work):
        for given in ({"rule": "signals.a >"}, {"due": "soon"}, ["save"], 5):
            with pytest.raises(UsageError):
                await work.dry_run(given)
