"""Settings, policies and presets of the work queue."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest

from holdfast.errors import HoldfastError, UsageError, WorkChanged
from holdfast.model.expressions import Add, Field, Signal, Term
from holdfast.model.policies import Policy, unless_snoozed
from holdfast.model.presets import PRESETS
from holdfast.workqueue import policies
from holdfast.workqueue.policies import known_policies, register_policy
from holdfast.workqueue.presetting import preset_definitions
from tests.workqueue.item_kit import working


class BySize(Policy):
    """Ranks by size."""

    name = "by-size"
    priority = unless_snoozed(Add((Term("base", Field("weight")), Term("size", Signal("size")))))
    signals: Mapping[str, tuple[float, float]] = MappingProxyType({"size": (0, 100)})


@pytest.fixture
def by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy of the program's own."""
    monkeypatch.setattr(policies, "_registered", {})
    register_policy("by-size", BySize)


async def test_a_tenant_that_never_chose(store_url: str) -> None:
    async with working(store_url) as (_, work):
        view = await work.get_settings()
        assert (view.zone, view.country, view.preset, view.revision) == ("UTC", None, "customer_success", 0)
        assert view.policy == PRESETS["customer_success"]


async def test_settings_are_set_piece_by_piece(store_url: str) -> None:
    async with working(store_url) as (client, work):
        assert (await work.put_settings(zone="Europe/Berlin")).revision == 1
        assert (await work.put_settings(country="DE-BY", revision=1)).revision == 2
        assert (await work.put_settings(country="DE-BY")).revision == 2
        view = await work.get_settings()
        assert (view.zone, view.country, view.revision) == ("Europe/Berlin", "DE-BY", 2)
        with pytest.raises(WorkChanged, match="at revision 2"):
            await work.put_settings(zone="UTC", revision=1)
        with pytest.raises(WorkChanged, match="at revision 2"):
            await work.put_settings(zone="UTC", revision=0)
        assert (await work.put_settings(country=None)).country is None
        details = [one.detail for one in await client.audit(action="work.settings")]
        assert details == [{"country": "none"}, {"country": "DE-BY"}, {"zone": "Europe/Berlin"}]


async def test_a_policy_of_its_own(store_url: str) -> None:
    document = {"preset": "customer_success", "risk_score_min": 8, "signals": {"usage_score": {"min": 0, "max": 10}}}
    async with working(store_url) as (_, work):
        view = await work.put_settings(policy=document)
        assert (view.preset, view.policy) == (None, {"name": "own", **document})
        await work.put_subject("acme", signals={"usage_score": 10})
        with pytest.raises(UsageError, match="takes 0 to 10"):
            await work.put_signal("acme", "usage_score", 11)
        item = await work.create(title="Call", type="risk", subject="acme")
        assert item.priority == 900
        base = {"risk": 950}
        await work.put_settings(policy={**document, "base": base})
        assert (await work.get(item.id)).priority == 950
        assert (await work.put_settings(policy=None)).preset == "customer_success"
        assert (await work.get(item.id)).priority == 900
        await work.put_settings(policy=document)
        assert (await work.put_settings(preset="customer_success")).policy == PRESETS["customer_success"]


@pytest.mark.usefixtures("by_size")
async def test_a_policy_that_is_a_class(store_url: str) -> None:
    async with working(store_url) as (_, work):
        assert known_policies() == ["by-size", "customer_success"]
        view = await work.put_settings(preset="by-size")
        assert (view.preset, view.policy) == ("by-size", {"name": "by-size"})
        await work.put_subject("acme", signals={"size": 7})
        item = await work.create(title="Call", type="custom", subject="acme", assignee="maria")
        assert item.priority == 507
        assert [(one.id, one.priority) for one in await work.queue()] == [(item.id, 507)]
        with pytest.raises(UsageError, match="takes 0 to 100"):
            await work.put_signal("acme", "size", 101)
        policies._registered.clear()
        with pytest.raises(UsageError, match="this process knows no policy 'by-size'"):
            await work.queue()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"zone": "Mars/Olympus"}, "zone is 'Mars/Olympus'"),
        ({"zone": 5}, "zone is 5"),
        ({"country": "Germany"}, "country is 'Germany'"),
        ({"country": "XX"}, "whose holidays are not known"),
        ({"country": "DE-XX"}, "no such part"),
        ({"preset": "other"}, "this process knows no policy 'other'"),
        ({"policy": {"risk": {"points": 5}}}, "risk.points"),
        ({"policy": {"colour": 1}}, "colour is no field"),
        ({"policy": "customer_success"}, "give its document"),
        ({"policy": {}, "preset": "customer_success"}, "not both"),
        ({"revision": "1"}, "revision is '1'"),
    ],
)
async def test_a_bad_setting_is_refused(given: dict[str, Any], says: str) -> None:
    async with working("memory://") as (_, work):
        with pytest.raises(HoldfastError) as refused:
            await work.put_settings(**given)
        assert says in str(refused.value)
        assert (await work.get_settings()).revision == 0


@pytest.mark.usefixtures("by_size")
def test_a_policy_that_is_none() -> None:
    with pytest.raises(UsageError, match="that of a preset"):
        register_policy("customer_success", BySize)
    with pytest.raises(UsageError, match="is no policy"):
        register_policy("other", object())


# Presets


def test_the_presets_definitions_can_be_read() -> None:
    found = preset_definitions("customer_success")
    assert {one.type for one in found} == {"opportunity", "risk", "strategic", "renewal", "custom"}
    with pytest.raises(UsageError, match="give one of customer_success"):
        preset_definitions("../customer_success")


async def test_a_preset_is_switched_on(store_url: str) -> None:
    async with working(store_url) as (client, work):
        await work.put_definition("renewal", {"name": "Our own renewal", "type": "renewal"})
        view = await work.use_preset("customer_success")
        assert view.preset == "customer_success"
        found = {one.id: one for one in await work.definitions()}
        assert {id for id, one in found.items() if one.active} == {"expansion", "save", "account-plan", "usage-drop"}
        assert found["renewal"].name == "Our own renewal"
        await work.retire("save")
        await work.use_preset("customer_success")
        assert [(one.version, one.active) for one in await work.versions("save")] == [(2, False), (1, True)]
        assert [one.name for one in await client.schedules()] == ["holdfast.daily"]
        with pytest.raises(UsageError, match="preset is 'other'"):
            await work.use_preset("other")
