"""Keys of lanes and of rules that come from hidden fields are not shown to those who only look."""

from __future__ import annotations

from typing import Any

import holdfast as hf
from tests.web.browsing import dashboard

CARD, STREET = "4111-1111-1111", "Xanthippe Street"


@hf.workflow(key="address.street", rate_limit=hf.RateLimit(1, per="1h", key="card"))
async def ships(card: str, address: dict[str, Any]) -> None:
    await hf.wait_for_event("sent", key="k")


@hf.workflow(queue="desk", share="address.street", key="card", lane="cards")
async def delivers(card: str, address: dict[str, Any]) -> None: ...


async def test_keys_that_are_taken_from_hidden_fields_are_hidden_on_every_page() -> None:
    async with (
        dashboard(auth=True, redact=("card", "address")) as shown,
        hf.Worker(shown.client, [ships, delivers], drain=0),
    ):
        for number in range(3):
            given = CARD if number < 2 else f"{CARD}-2"
            await shown.client.start(ships.options(id=f"r-{number}"), given, {"street": STREET})
        await shown.client.set_queue("desk", weights={f"default/{STREET}": 3})
        await shown.client.pause_queue("desk")
        for _ in range(2):
            await shown.client.start(delivers, CARD, {"street": STREET})
        [found] = await shown.client.diversions()
        viewer, operator = await shown.somebody("viewer"), await shown.somebody("operator")
        seen = ""
        pages = ["/diversions", f"/diversion?id={found.id}", "/queues", "/queue/shares?name=desk", "/runs"]
        pages += ["/runs/r-0", "/runs/r-1", "/runs/r-2"]
        for path in pages:
            html = (await viewer.get(path)).html
            assert CARD not in html, path
            assert STREET not in html, path
            seen += (await operator.get(path)).html
        assert CARD in seen
        assert STREET in seen
        assert "[redacted]" in (await viewer.get("/queues")).text
        for path in (f"/diversions?key={CARD}", f"/diversions?key={CARD}&workflow=ships"):
            assert (await viewer.get(path)).status == 403
            assert (await operator.get(path)).status == 200
