"""Shares of queues: who waits, what they weigh, limits and weights by a form; whose shares are seen."""

from __future__ import annotations

import pytest

import holdfast as hf
from holdfast.web.pages import shares
from tests.web.browsing import Dashboard, Seen, dashboard

MARKUP = "<script>alert('s')</script>"


@hf.workflow(queue="gpu", share="customer")
async def render(customer: str) -> str:
    return customer


@hf.workflow(queue="mail")
async def plain() -> None:
    pass


async def fill(shown: Dashboard) -> None:
    """Runs of three keys of one tenant and of one of another, of which some weigh more."""
    await shown.client.set_queue("gpu", weights={"acme": 5, "default/gold": 3, "globex/far": 2})
    await shown.client.start_many(render, [("gold",), ("copper",), ("copper",), ("copper",)])
    await hf.Client(shown.client.core, "acme").start_many(render, [("theirs",), ("theirs",)])


async def settings(shown: Dashboard, name: str = "gpu") -> tuple[int | None, dict[str, int]]:
    found = next(one for one in await shown.client.queues() if one.name == name)
    return found.per_key, found.weights


def rows(seen: Seen) -> list[str]:
    """The lines of the table of shares: tenant, key, ready, executing, weight."""
    body = seen.html.partition("<tbody>")[2].partition("</tbody>")[0]
    texts = body.replace("</td>", " ").split("</tr>")
    parts = ["".join(piece.partition(">")[2] for piece in one.split("<")) for one in texts]
    return [" ".join(one.split()) for one in parts if one.strip()]


async def test_a_queue_with_more_than_one_share_leads_to_them() -> None:
    async with dashboard() as shown:
        await fill(shown)
        await shown.client.start_many(plain, [(), ()])
        seen = await shown.get("/queues")
        assert seen.html.count(">Shares</a>") == 1
        page = await shown.get(seen.link("Shares"))
        assert page.path == "/queue/shares?name=gpu"
        assert rows(page) == ["default copper 3 0 1", "acme theirs 2 0 1", "default gold 1 0 3"]
        assert "any number of each execute at once" in page.text
        for weight in ("acme = 5", "default/gold = 3", "globex/far = 2"):
            assert weight in page.text
        assert "No share has runs now" in (await shown.get("/queue/shares?name=none")).text
        assert (await shown.get("/queue/shares?name=")).status == 422


async def test_a_limit_of_each_share_is_a_gauge() -> None:
    async with dashboard() as shown:
        await fill(shown)
        await shown.client.set_queue("gpu", per_key=2)
        seen = await shown.get("/queue/shares?name=gpu")
        assert "at most 2 runs of each execute at once" in seen.text
        assert "0 of 2" in seen.text
        assert "2 a share" in (await shown.get("/queues")).text
        part = await shown.get("/queue/shares?name=gpu", fragment="shares")
        assert rows(part) == rows(seen)
        assert "<html" not in part.html


async def test_more_shares_than_are_shown_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "SHARES_SHOWN", 2)
    async with dashboard() as shown:
        await fill(shown)
        seen = await shown.get("/queue/shares?name=gpu")
        assert len(rows(seen)) == 2
        assert "These are the 2 with the most ready runs." in seen.text


async def test_limits_and_weights_of_shares_are_set_by_a_form_and_taken_away(disk_url: str) -> None:
    async with dashboard(disk_url) as shown:
        await fill(shown)
        asked = await shown.get((await shown.get("/queue/shares?name=gpu")).link("Limits and weights"))
        given = dict(asked.form("Set the limits").values)
        assert given["weights"] == "acme = 5\ndefault/gold = 3\nglobex/far = 2"
        done = await shown.browser.send(
            asked, "Set the limits", per_key="4", weights="acme = 7\r\n\r\ndefault/gold =\r\ndefault/a=b = 9"
        )
        assert done.path == "/queues"
        assert await settings(shown) == (4, {"acme": 7, "default/a=b": 9})
        asked = await shown.get("/queue/limits?name=gpu")
        await shown.browser.send(asked, "Set the limits", per_key="", weights="")
        assert await settings(shown) == (None, {})


async def test_what_somebody_else_weighed_meanwhile_stays() -> None:
    async with dashboard() as shown:
        await fill(shown)
        asked = await shown.get("/queue/limits?name=gpu")
        await shown.client.set_queue("gpu", weights={"initech": 6})
        await shown.browser.send(asked, "Set the limits", weights="")
        assert (await settings(shown))[1] == {"initech": 6}


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ("acme = 5\ngold", "Line 2 is 'gold'; give a share and its weight: acme = 5"),
        ("= 5", "Line 1 is '= 5'; give a share and its weight"),
        ("acme = five", "Line 1: the weight of 'acme' is 'five'; give a whole number"),
        ("acme = 0", "Line 1: the weight of 'acme' is 0"),
        ("\nacme = 1001", "Line 2: the weight of 'acme' is 1001"),
        ("acme/ = 5", "Line 1: a weight is for 'acme/'; give it for a tenant"),
        ("acme = 5\nacme = 6", "Line 2: 'acme' has a line already."),
    ],
)
async def test_a_weight_that_is_wrong_is_told_with_its_line_and_nothing_is_done(weights: str, said: str) -> None:
    async with dashboard() as shown:
        await fill(shown)
        before = await settings(shown)
        asked = await shown.get("/queue/limits?name=gpu")
        seen = await shown.browser.send(asked, "Set the limits", per_key="9", weights=weights)
        assert seen.status == 422
        assert said in seen.text
        assert dict(seen.form("Set the limits").values)["weights"] == weights
        assert await settings(shown) == before


async def test_a_limit_of_a_share_that_is_wrong_stands_at_its_field() -> None:
    async with dashboard() as shown:
        seen = await shown.browser.send(await shown.get("/queue/limits?name=gpu"), "Set the limits", per_key="0")
        assert seen.status == 422
        assert 'id="per_key-error"' in seen.html
        assert await shown.client.queues() == []


async def test_who_may_not_change_what_all_share_sees_its_own_tenant_only() -> None:
    async with dashboard(auth=True, shared_tenants=("default",)) as shown:
        await fill(shown)
        await hf.Client(shown.client.core, "acme").start(render, "second")
        ours, theirs = await shown.somebody("viewer"), await shown.somebody("admin", "acme")
        assert len(rows(await ours.get("/queue/shares?name=gpu"))) == 4
        seen = await theirs.get("/queue/shares?name=gpu")
        assert rows(seen) == ["acme theirs 2 0 1", "acme second 1 0 1"]
        assert "Your tenant's shares" in seen.text
        assert "acme = 5" in seen.text
        for name in ("default", "gold", "copper", "globex"):
            assert name not in seen.html, name
        assert not seen.has_link("Limits and weights")
        assert (await theirs.get("/queues")).has_link("Shares")
        assert (await theirs.post("/queue/limits", {"name": "gpu", "weights": "acme = 9"})).status == 403
        assert not (await ours.get("/queue/shares?name=gpu")).has_link("Limits and weights")
        assert (await (await shown.somebody("operator")).get("/queue/shares?name=gpu")).has_link("Limits and weights")


async def test_a_queue_in_which_others_wait_leads_nobody_to_the_shares_of_these() -> None:
    async with dashboard(auth=True, shared_tenants=("default",)) as shown:
        await shown.client.start_many(render, [("gold",), ("copper",)])
        await shown.client.set_queue("gpu", weights={"default": 5})
        theirs = await shown.somebody("admin", "acme")
        assert not (await theirs.get("/queues")).has_link("Shares")
        seen = await theirs.get("/queue/shares?name=gpu")
        assert "No share has runs now" in seen.text
        assert "default" not in seen.html


async def test_markup_in_keys_is_text() -> None:
    async with dashboard() as shown:
        await shown.client.start_many(render, [(MARKUP,), ("x",)])
        await shown.client.set_queue("gpu", weights={f"default/{MARKUP}": 2})
        for path in ("/queue/shares?name=gpu", "/queue/limits?name=gpu"):
            seen = await shown.get(path)
            assert MARKUP in seen.text, path
            assert MARKUP not in seen.html, path
