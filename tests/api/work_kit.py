"""What the tests of the work queue's routes share."""

from __future__ import annotations

from typing import Any

import httpx

from tests.api.kit import V1

FORM = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "amount": {"type": "integer", "minimum": 1}},
    "required": ["approved"],
}

AT_RISK = {"name": "Talk to them", "type": "risk", "rule": "scores.risk >= 7.0", "due": "7d", "cooldown": "30d"}


async def ok(response: httpx.Response, status: int = 200) -> Any:
    """What a response says, if it is one of success."""
    assert response.status_code == status, (response.status_code, response.text)
    return response.json()


async def subject(http: httpx.AsyncClient, id: str = "acme", **body: Any) -> Any:
    """A subject that is known now."""
    response = await http.put(f"{V1}/subjects/{id}", json=body)
    assert response.status_code in (200, 201), response.text
    return response.json()


async def item(http: httpx.AsyncClient, id: str | None = None, **body: Any) -> Any:
    """A work item that is made now; for ``local`` unless said otherwise."""
    given = {"title": "Call them", "assignee": "local", **body}
    return await ok(await http.post(f"{V1}/items", json=given if id is None else {**given, "id": id}), 201)


async def move(http: httpx.AsyncClient, id: str, what: str, body: Any = None, **headers: str) -> httpx.Response:
    """A move that is asked for."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await http.post(f"{V1}/items/{id}/{what}", json=body, headers=sent)
