"""Subjects: made known, changed, listed, forgotten; and taken in from files, the good lines and the bad."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import HoldfastError, PayloadError, SubjectNotFound, UsageError, WorkChanged
from holdfast.workqueue import importing
from holdfast.workqueue.subjects import sample_customers
from holdfast.workqueue.views import Imported, RowFault
from tests.workqueue.item_kit import working


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Portions of three rows."""
    monkeypatch.setattr(importing, "PORTION", 3)


async def test_a_subject_is_made_known_and_changed(store_url: str) -> None:
    async with working(store_url) as (client, work):
        made = await work.put_subject(
            "acme",
            name="Acme",
            assignee="ines",
            properties={"plan": "gold", "address": {"city": "Bonn", "zip": "53111"}},
            contacts=[{"name": "Ada", "relationship_strength": "weak"}, {"name": "Bo"}],
            signals={"usage_score": 70},
        )
        assert (made.id, made.name, made.assignee, made.weak, made.revision) == ("acme", "Acme", "ines", 1, 1)
        assert (made.signals, made.demo) == ({"usage_score": 70.0}, False)
        assert list(made.signals_at) == ["usage_score"]
        changed = await work.put_subject("acme", properties={"plan": None, "address": {"city": "Köln"}, "seats": 5})
        assert changed.properties == {"address": {"city": "Köln", "zip": "53111"}, "seats": 5}
        assert (changed.name, changed.assignee, changed.weak, changed.revision) == ("Acme", "ines", 1, 2)
        assert changed.signals == {"usage_score": 70.0}
        assert (await work.put_subject("acme", assignee=None, contacts=[])).revision == 3
        found = await work.get_subject("acme")
        assert (found.assignee, found.weak, found.contacts, found.revision) == (None, 0, [], 3)
        assert [one.action for one in await client.audit(target="acme")] == ["subject.put"] * 3


async def test_what_says_the_same_changes_nothing(store_url: str) -> None:
    async with working(store_url) as (_, work):
        given: dict[str, Any] = {"name": "Acme", "properties": {"b": 1, "a": [1.5]}, "contacts": [{"name": "Ada"}]}
        await work.put_subject("acme", **given)
        assert (await work.put_subject("acme", **given)).revision == 1
        assert (await work.put_subject("acme", properties={"b": True})).revision == 2
        assert (await work.put_subject("acme", properties={"b": 1})).revision == 3


async def test_a_subject_stands_at_a_revision(store_url: str) -> None:
    async with working(store_url) as (_, work):
        with pytest.raises(WorkChanged, match="does not exist"):
            await work.put_subject("acme", revision=2)
        await work.put_subject("acme", revision=0)
        with pytest.raises(WorkChanged, match="exists"):
            await work.put_subject("acme", revision=0)
        await work.put_subject("acme", name="A", revision=1)
        with pytest.raises(WorkChanged, match="is at revision 2"):
            await work.put_subject("acme", name="B", revision=1)
        assert (await work.get_subject("acme")).name == "A"


async def test_many_change_one_subject_at_once(store_url: str) -> None:
    async with working(store_url) as (_, work):
        await work.put_subject("acme")

        async def put(n: int) -> None:
            while True:
                try:
                    await work.put_subject("acme", properties={f"p{n}": n})
                except WorkChanged:
                    continue
                return

        await asyncio.gather(*(put(n) for n in range(8)))
        assert (await work.get_subject("acme")).properties == {f"p{n}": n for n in range(8)}


async def test_subjects_are_listed(store_url: str) -> None:
    async with working(store_url) as (_, work):
        for n in range(5):
            await work.put_subject(f"s{n}", name=f"Straße {n}", assignee="ines" if n % 2 else "tomas")
        assert [one.id for one in await work.subjects(limit=2)] == ["s0", "s1"]
        assert [one.id for one in await work.subjects(limit=2, after="s1")] == ["s2", "s3"]
        assert [one.id for one in await work.subjects(assignee="ines")] == ["s1", "s3"]
        assert [one.id for one in await work.subjects(text="STRASSE 4")] == ["s4"]
        assert [one.id for one in await work.subjects(text="S3")] == ["s3"]
        assert await work.subjects(text="%") == []
        assert await work.delete_subject("s3")
        assert not await work.delete_subject("s3")
        with pytest.raises(SubjectNotFound):
            await work.get_subject("s3")
        assert len(await work.subjects()) == 4


@pytest.mark.parametrize(
    ("id", "given", "says"),
    [
        ("", {}, "the id of a subject"),
        ("x" * 513, {}, "give 1 to 512"),
        ("a\0b", {}, "NUL"),
        ("a", {"name": "two\nlines"}, "on one line"),
        ("a", {"name": ""}, "1 to 500"),
        ("a", {"name": 5}, "give a text"),
        ("a", {"assignee": ""}, "assignee"),
        ("a", {"properties": [1]}, "give an object"),
        ("a", {"properties": {"x": float("nan")}}, "properties.x"),
        ("a", {"properties": {"x": {"y": "a\0b"}}}, "properties.x.y: holds a NUL"),
        ("a", {"properties": {"a\0b": 1}}, "NUL"),
        ("a", {"properties": {"x": "\ud800"}}, "surrogate"),
        ("a", {"properties": {"x": {1, 2}}}, "set"),
        ("a", {"properties": {"x": "y" * 300_000}}, "properties"),
        ("a", {"contacts": "Ada"}, "give a list"),
        ("a", {"contacts": ["Ada"]}, "contacts[0]"),
        ("a", {"contacts": [{"relationship_strength": "Weak"}]}, "weak, moderate, strong"),
        ("a", {"contacts": [{}] * 1001}, "at most 1,000"),
        ("a", {"signals": {"usage_score": 101}}, "takes 0 to 100"),
        ("a", {"signals": {"usage_score": "70"}}, "give a number"),
        ("a", {"signals": {"x": True}}, "give a number"),
        ("a", {"signals": {"x": 10**400}}, "give a number"),
        ("a", {"signals": {'a"b': 1}}, "quotes"),
        ("a", {"signals": [1]}, "numbers by name"),
        ("a", {"revision": -1}, "revision is -1"),
        ("a", {"revision": True}, "revision is True"),
        ("a", {"demo": "yes"}, "demo is 'yes'"),
    ],
)
async def test_a_bad_value_is_refused(id: str, given: dict[str, Any], says: str) -> None:
    async with working("memory://") as (_, work):
        with pytest.raises(HoldfastError) as refused:
            await work.put_subject(id, **given)
        assert isinstance(refused.value, UsageError | PayloadError)
        assert says in str(refused.value)
        assert await work.subjects() == []


async def test_odd_texts_come_back_as_they_were(store_url: str) -> None:
    odd = {
        "\\u0000": "\\u0000 \\ \" ' % 🐌",
        "": [],
        "deep": [[[{"a": None}]]],
        "big": 12345678901234567890,
        "x": 1e300,
    }
    async with working(store_url) as (_, work):
        await work.put_subject("a/b ü🐌", name="O'Neil & Söhne", properties=odd)
        found = await work.get_subject("a/b ü🐌")
        # None in a patch deletes; inside a list it is a value.
        assert found.properties == odd
        assert found.name == "O'Neil & Söhne"


async def test_a_limit_out_of_range() -> None:
    async with working("memory://") as (_, work):
        for limit in (0, 1001, True, "5"):
            with pytest.raises(UsageError):
                await work.subjects(limit=limit)


# Many


@pytest.mark.usefixtures("small_portions")
async def test_many_subjects_of_a_program(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await work.put_subject("s3", name="Three", properties={"x": 1})
        rows: list[Any] = [{"id": f"s{n}", "properties": {"n": n}, "signals": {"usage_score": n}} for n in range(8)]
        rows[2] = {"id": "s2", "signals": {"usage_score": 200}}
        rows[4] = "s4"
        rows[5] = {"id": "s1", "name": "again"}
        rows[6] = {"id": "s6", "colour": "red"}
        rows.append({"name": "nobody"})
        assert await work.put_subjects(iter(rows)) == Imported(
            4,
            5,
            [
                RowFault(3, "signal usage_score is 200; policy 'customer_success' takes 0 to 100"),
                RowFault(
                    5, "it is 's4'; give an object with id, name, assignee, properties, contacts, signals, signals_at"
                ),
                RowFault(6, "subject 's1' stands on line 2 already, and that one counts"),
                RowFault(7, "'colour' is no field of a subject; put it into properties, or into signals"),
                RowFault(9, "it has no id; give one"),
            ],
        )
        assert [one.id for one in await work.subjects()] == ["s0", "s1", "s3", "s7"]
        three = await work.get_subject("s3")
        assert (three.name, three.properties, three.signals) == ("Three", {"x": 1, "n": 3}, {"usage_score": 3.0})
        [record] = await client.audit(action="subjects.put")
        assert record.detail == {"refused": 5}


CSV = b"""\xef\xbb\xbfid,name,assignee,usage_score,signal.logins,notes
acme,Acme,ines,70,12,EU
bravo,"Bravo, the second",ines,,,"one
two, ""three""\"
charlie,Charlie,ines,700,1,EU
,Nobody,ines,1,1,EU
delta,D\xe9lta,ines,1,1,EU
acme,Acme again,tomas,1,1,EU
echo,Echo,,0,,
"""


@pytest.mark.usefixtures("small_portions")
async def test_good_lines_are_stored_and_bad_ones_told(store_url: str, tmp_path: Path) -> None:
    path = tmp_path / "customers.csv"
    path.write_bytes(CSV)
    async with working(store_url) as (client, work):
        outcome = await work.import_subjects(path)
        assert (outcome.stored, outcome.refused) == (3, 4)
        assert [(fault.line, fault.reason.split(":")[0][:40]) for fault in outcome.faults] == [
            (5, "column usage_score"),
            (6, "it has no id; give one"),
            (7, "field 2 holds the byte 0xe9, which is no"),
            (8, "subject 'acme' stands on line 2 already,"),
        ]
        assert [one.id for one in await work.subjects()] == ["acme", "bravo", "echo"]
        acme = await work.get_subject("acme")
        assert (acme.properties, acme.signals) == ({"notes": "EU"}, {"usage_score": 70.0, "logins": 12.0})
        bravo = await work.get_subject("bravo")
        assert (bravo.name, bravo.properties) == ("Bravo, the second", {"notes": 'one\ntwo, "three"'})
        [signal] = await work.signals("acme", name="logins")
        assert signal.source == "customers.csv"
        [record] = await client.audit(action="subjects.import")
        assert (record.target, record.detail) == ("customers.csv", {"stored": 3, "refused": 4})


async def test_a_file_that_is_taken_in_again_changes_nothing(store_url: str) -> None:
    async with working(store_url) as (_, work):
        assert (await work.import_subjects(sample_customers(), name="customers.csv")).refused == 0
        again = await work.import_subjects(io.BytesIO(sample_customers()))
        assert (again.stored, again.refused) == (20, 0)
        assert {one.revision for one in await work.subjects()} == {1}


async def test_a_line_changes_only_what_it_says(store_url: str) -> None:
    async with working(store_url) as (_, work):
        await work.put_subject("acme", name="Acme", assignee="ines", properties={"x": 1}, contacts=[{"name": "Ada"}])
        await work.import_subjects(b"id,name,assignee,x,y\nacme,,,,2\n")
        found = await work.get_subject("acme")
        assert (found.name, found.assignee, found.properties, found.contacts, found.revision) == (
            "Acme", "ines", {"x": 1, "y": 2}, [{"name": "Ada"}], 2,
        )  # fmt: skip


async def test_a_dry_run_tells_and_stores_nothing(store_url: str) -> None:
    async with working(store_url) as (client, work):
        outcome = await work.import_subjects(CSV, dry_run=True)
        assert (outcome.stored, outcome.refused) == (3, 4)
        assert await work.subjects() == []
        assert await client.audit(action="subjects") == []


async def _pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for first in range(0, len(data), size):
        yield data[first : first + size]


async def test_a_file_comes_from_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    path.write_bytes(CSV)
    async with working("memory://") as (_, work):
        with path.open("rb") as file:
            for source in (str(path), path, CSV, file, [CSV[:9], CSV[9:]], _pieces(CSV, 7), io.BytesIO(CSV)):
                outcome = await work.import_subjects(source)
                assert (outcome.stored, outcome.refused) == (3, 4)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"\xef\xbb\xbf", "the file is empty"),
        (b"name,assignee\nAcme,ines\n", "one of them id"),
        (b"acme,Acme,ines\n", "it has acme, Acme, ines"),
        ("id,name\nacme,Acme\n".encode("utf-16"), "save it as UTF-8"),
        (b"id,n\xe4me\nacme,Acme\n", "cannot be read: field 2 holds the byte 0xe4"),
        (b"PK\x03\x04\x14\x00\x06\x00" + bytes(100), "one of them id"),
        ("/no/such/file.csv", "cannot be read: No such file"),
        (io.StringIO("id,name\n"), "open the file for reading bytes"),
        (["id,name\n"], "open the file for reading bytes"),
        (5, "give the name of a file"),
    ],
)
async def test_a_file_that_is_none(source: Any, says: str) -> None:
    async with working("memory://") as (_, work):
        with pytest.raises(UsageError) as refused:
            await work.import_subjects(source)
        assert says in str(refused.value)


async def test_a_header_alone_stores_nothing(store_url: str) -> None:
    async with working(store_url) as (_, work):
        assert await work.import_subjects(b"id,name") == Imported(0, 0, [])


@pytest.mark.slow
async def test_a_long_file_with_three_bad_lines(disk_url: str) -> None:
    number = 6_000
    bad = {777: b"s777,N,high,1", 2_345: b's2345,"open,2,1', 5_999: b"s5999,N"}

    async def lines() -> AsyncIterator[bytes]:
        yield b"id,name,usage_score,seats\n"
        for n in range(2, number + 2):
            yield bad.get(n, b"s%d,Name %d,%d,%d" % (n, n, n % 100, n)) + b"\n"

    async with working(disk_url) as (_, work):
        outcome = await work.import_subjects(lines())
        assert (outcome.stored, outcome.refused) == (number - 3, 3)
        assert [fault.line for fault in outcome.faults] == sorted(bad)
        good = sorted(f"s{n}" for n in range(2, number + 2) if n not in bad)
        assert [one.id for one in await work.subjects(after="s59", limit=1000)] == [id for id in good if id > "s59"]


async def test_only_the_first_faults_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "FAULTS", 5)
    async with working("memory://") as (_, work):
        outcome = await work.import_subjects(b"id,name\n" + b",x\n" * 50)
        assert (outcome.stored, outcome.refused, len(outcome.faults)) == (0, 50, 5)


async def test_the_sample_is_all_there(store_url: str) -> None:
    async with working(store_url) as (_, work):
        outcome = await work.import_subjects(sample_customers())
        assert (outcome.stored, outcome.refused, outcome.faults) == (20, 0, [])
        ember = await work.get_subject("ember-clinic")
        assert (ember.name, ember.assignee, ember.weak) == ("Ember Clinic", "ines", 1)
        assert ember.signals["last_month_growth"] == -18.0
        assert ember.properties["renews_on"] == "2026-12-12"
        assert len({one.assignee for one in await work.subjects()}) == 4


def test_each_column_of_the_sample_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "customers-csv.md").read_text(encoding="utf-8")
    explained = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert explained == sample_customers().decode().splitlines()[0].split(",")
