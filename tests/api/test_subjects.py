"""Subjects and signals over HTTP: one, some, and by the million while they come."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.api.kit import V1, problem, serving
from tests.api.work_kit import item, ok, subject

CSV = {"content-type": "text/csv"}
LINES = {"content-type": "application/x-ndjson"}


async def test_a_subject_is_made_changed_and_forgotten(http: httpx.AsyncClient) -> None:
    body = {
        "name": "Acme", "assignee": "maria", "properties": {"plan": "gold", "deep": {"a": 1, "b": 2}},
        "contacts": [{"name": "Ada", "relationship_strength": "weak"}], "signals": {"usage_score": 95},
    }  # fmt: skip
    made = await http.put(f"{V1}/subjects/acme", json=body)
    view = await ok(made, 201)
    assert (view["weak"], view["signals"], view["revision"]) == (1, {"usage_score": 95.0}, 1)
    changed = await http.put(f"{V1}/subjects/acme", json={"assignee": None, "properties": {"deep": {"b": None}}})
    view = await ok(changed)
    assert (view["name"], view["assignee"], view["properties"]) == ("Acme", None, {"plan": "gold", "deep": {"a": 1}})
    match = {"If-Match": made.headers["etag"]}
    problem(await http.put(f"{V1}/subjects/acme", json={"name": "x"}, headers=match), 412, "changed")
    problem(await http.put(f"{V1}/subjects/acme", json={}, headers={"If-None-Match": "*"}), 412, "changed")
    problem(await http.delete(f"{V1}/subjects/acme", headers=match), 412, "changed")
    # What was measured is no change of the subject.
    await ok(await http.post(f"{V1}/signals", json={"subject": "acme", "name": "usage_score", "value": 5}))
    match = {"If-Match": changed.headers["etag"]}
    await ok(await http.put(f"{V1}/subjects/acme", json={"name": "Acme & Co"}, headers=match))
    await item(http, "i", subject="acme")
    assert (await http.delete(f"{V1}/subjects/acme")).status_code == 204
    for response in (await http.get(f"{V1}/subjects/acme"), await http.delete(f"{V1}/subjects/acme")):
        problem(response, 404, "subject-not-found")
    assert (await ok(await http.get(f"{V1}/items/i")))["about"] is None


async def test_lists_of_subjects_go_on(http: httpx.AsyncClient) -> None:
    for id in ("c", "a", "b/1"):
        await subject(http, id.replace("/", "%2F"), name=f"Größe {id}", assignee=None if id == "a" else "maria")
    page = await ok(await http.get(f"{V1}/subjects?limit=2"))
    assert ([one["id"] for one in page["items"]], page["next"]) == (["a", "b/1"], "b/1")
    page = await ok(await http.get(f"{V1}/subjects", params={"limit": 2, "cursor": page["next"]}))
    assert ([one["id"] for one in page["items"]], page["next"]) == (["c"], None)
    assert len((await ok(await http.get(f"{V1}/subjects?assignee=maria")))["items"]) == 2
    assert len((await ok(await http.get(f"{V1}/subjects", params={"text": "GRÖSSE A"})))["items"]) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": ""}, 422), ({"name": "x" * 501}, 422), ({"colour": 1}, 422), ({"assignee": ""}, 422),
        ({"properties": []}, 422), ({"contacts": {}}, 422), ({"contacts": ["Ada"]}, 422), ({"demo": 1}, 422),
        ({"signals": {"usage_score": "high"}}, 422), ({"signals": {"usage_score": 101}}, 409),
        ({"signals": {'a"b': 1}}, 409), ({"contacts": [{"relationship_strength": "poor"}]}, 409),
        ({"properties": {"big": "x" * 300_000}}, 409), ({"properties": {"a": "b\0"}}, 409),
    ],
)  # fmt: skip
async def test_a_bad_subject_is_refused(http: httpx.AsyncClient, body: Any, status: int) -> None:
    kind = "invalid-request" if status == 422 else "input-refused"
    problem(await http.put(f"{V1}/subjects/acme", json=body), status, kind)
    problem(await http.get(f"{V1}/subjects/acme"), 404, "subject-not-found")


async def test_signals_are_sent_and_looked_at(http: httpx.AsyncClient) -> None:
    await subject(http)
    sent = {"subject": "acme", "name": "usage_score", "value": 80, "at": "2026-01-01T00:00:00Z", "source": "crm"}
    assert await ok(await http.post(f"{V1}/signals", json=sent)) == {**sent, "value": 80.0}
    await ok(await http.post(f"{V1}/signals?source=app", json={"subject": "acme", "name": "usage_score", "value": 95}))
    found = (await ok(await http.get(f"{V1}/subjects/acme/signals")))["items"]
    assert [(one["value"], one["source"]) for one in found] == [(95.0, "app"), (80.0, "crm")]
    assert len((await ok(await http.get(f"{V1}/subjects/acme/signals?since=2026-01-02T00:00:00Z")))["items"]) == 1
    assert (await ok(await http.get(f"{V1}/subjects/acme/signals?name=other")))["items"] == []
    change = await ok(await http.get(f"{V1}/subjects/acme/signals/usage_score/change?over=1d"))
    assert (change["before"], change["now"], change["difference"], change["percent"]) == (80.0, 95.0, 15.0, 18.75)
    assert (await ok(await http.get(f"{V1}/subjects/acme/signals/other/change?over=3600")))["now"] is None
    assert (await ok(await http.get(f"{V1}/signal-names")))["items"] == ["usage_score"]
    for bad in (
        {**sent, "value": "high"}, {**sent, "value": True}, {**sent, "at": "yesterday"}, {**sent, "name": 'a"b'},
        {**sent, "colour": 1}, {"subject": "acme", "name": "usage_score"}, "acme", 5,
    ):  # fmt: skip
        problem(await http.post(f"{V1}/signals", json=bad), 422, "invalid-request")
    for bad in ({**sent, "value": 101}, {**sent, "at": "2999-01-01T00:00:00Z"}):
        problem(await http.post(f"{V1}/signals", json=bad), 409, "input-refused")
    problem(await http.post(f"{V1}/signals", json={**sent, "subject": "absent"}), 404, "subject-not-found")
    problem(await http.get(f"{V1}/subjects/absent/signals"), 404, "subject-not-found")
    problem(await http.get(f"{V1}/subjects/acme/signals/x/change?over=soon"), 422, "invalid-request")
    problem(await http.get(f"{V1}/subjects/acme/signals/x/change?over=0"), 409, "input-refused")


ROWS = [
    {"subject": "a", "name": "usage_score", "value": 1},
    {"subject": "absent", "name": "usage_score", "value": 1},
    {"subject": "a", "name": "usage_score", "value": 101},
    ["no object"],
    {"subject": "a", "name": "usage_score", "value": 2, "at": "2026-01-01T00:00:00Z"},
]


async def test_of_many_signals_the_good_ones_are_stored(http: httpx.AsyncClient) -> None:
    await subject(http, "a")
    listed = await ok(await http.post(f"{V1}/signals", json=ROWS))
    text = "".join(f"{json.dumps(row)}\n" for row in ROWS) + "\n{not json}\n"
    lines = await ok(await http.post(f"{V1}/signals", content=text.encode(), headers=LINES))
    csv = (
        "subject;name;value;at\na;usage_score;1;\nabsent;usage_score;1;\na;usage_score;101;\nno;fields\n"
        "a;usage_score;2;2026-01-01T00:00:00Z\n\na;usage_score;many;\n"
    )
    table = await ok(await http.post(f"{V1}/signals", content=csv.encode(), headers=CSV))
    assert (listed["stored"], listed["refused"]) == (2, 3)
    assert (lines["stored"], lines["refused"]) == (2, 4)
    assert (table["stored"], table["refused"]) == (2, 4)
    assert [one["line"] for one in listed["faults"]] == [2, 3, 4]
    assert [one["line"] for one in lines["faults"]] == [2, 3, 4, 7]
    assert [one["line"] for one in table["faults"]] == [3, 4, 5, 8]
    assert "0 to 100" in table["faults"][1]["reason"]


async def test_a_stream_is_stored_while_it_comes_and_may_be_larger_than_a_body() -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"subject,name,value,at\n"
        for minute in range(2000):
            yield b"a,usage_score,5,2026-01-01T%02d:%02d:00Z\n" % divmod(minute % 1440, 60)

    async with serving(max_body=10_000, max_upload=1_000_000) as served:
        http = served.http()
        await subject(http, "a")
        found = await ok(await http.post(f"{V1}/signals", content=body(), headers=CSV))
        assert found == {"stored": 2000, "refused": 0, "faults": []}
        large = await http.post(f"{V1}/signals", json=[{"subject": "a"}] * 2000)
        assert "as lines" in problem(large, 413, "body-too-large")["detail"]
        problem(await http.post(f"{V1}/events", content=b"x" * 20_000, headers=CSV), 413, "body-too-large")
        huge = await http.post(f"{V1}/signals", content=b"x" * 1_000_001, headers=CSV)
        assert problem(huge, 413, "body-too-large")["max_bytes"] == 1_000_000


@pytest.mark.parametrize(
    ("content", "kind", "said"),
    [
        (b"", "text/csv", "empty"),
        (b"subject,value\na,1\n", "text/csv", "must name the columns"),
        (b"subject,name,value,colour\n", "text/csv", "'colour'"),
        (b"subject,name,value,name\n", "text/csv", "two columns"),
        ("subject,name,value\n".encode("utf-16"), "text/csv", "UTF-16"),
        (b"", "application/x-ndjson", "empty"),
    ],
)
async def test_a_file_that_is_none_is_refused(http: httpx.AsyncClient, content: bytes, kind: str, said: str) -> None:
    response = await http.post(f"{V1}/signals", content=content, headers={"content-type": kind})
    assert said in problem(response, 409, "input-refused")["detail"]


async def test_subjects_are_taken_in_from_a_file(http: httpx.AsyncClient) -> None:
    good = "".join(f"s-{number},Name {number},maria,{number % 100}\n" for number in range(1200))
    csv = f"id,name,assignee,usage_score\n{good}s-1,again,,\ns-x,Bad,,200\ns-y,\xff,,5\n".encode("latin-1")
    tried = await ok(await http.post(f"{V1}/subjects:import?dry_run=true", content=csv, headers=CSV))
    assert (await ok(await http.get(f"{V1}/subjects")))["items"] == []
    found = await ok(await http.post(f"{V1}/subjects:import?name=all.csv", content=csv, headers=CSV))
    assert found == tried
    assert (found["stored"], found["refused"]) == (1200, 3)
    assert [one["line"] for one in found["faults"]] == [1202, 1203, 1204]
    assert (await ok(await http.get(f"{V1}/subjects/s-77")))["signals"] == {"usage_score": 77.0}
    rows = [{"id": "t", "properties": {"a": 1}}, {"id": "t"}, {"name": "none"}, 5]
    found = await ok(await http.post(f"{V1}/subjects:import", json=rows))
    assert (found["stored"], [one["line"] for one in found["faults"]]) == (1, [2, 3, 4])
    for content, said in ((b"", "empty"), (b"name\nx\n", "one of them id")):
        refused = await http.post(f"{V1}/subjects:import", content=content, headers=CSV)
        assert said in problem(refused, 409, "input-refused")["detail"]
    problem(await http.post(f"{V1}/subjects:import", json={"id": "t"}), 422, "invalid-request")
    problem(await http.post(f"{V1}/subjects:import?dry_run=true", json=[]), 409, "input-refused")
    for kind in ("text/plain", "text/csv; charset=latin-1"):
        refused = await http.post(f"{V1}/subjects:import", content=b"id\n", headers={"content-type": kind})
        problem(refused, 415, "unsupported-media-type")
