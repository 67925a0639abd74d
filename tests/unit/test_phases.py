"""Files of phases are read into what is in force, and each fault is told with its line."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.model.nearest import nearest
from holdfast.model.phase_checks import check_limits, check_needs
from holdfast.model.phase_content import phase_file_from, sealed
from holdfast.model.phase_faults import Fault, Faults
from holdfast.model.phase_layers import BUDGET, PHASE, ROOT, SCOPES, Layers, layers_of
from holdfast.model.phase_layers import MODEL as MODEL_KEYS
from holdfast.model.phase_reading import Reading, reading_of
from holdfast.model.phase_terms import Wrong, dollars, price, rate
from holdfast.model.phases import (
    FAILURE_KINDS,
    Approval,
    Budget,
    Limits,
    ModelTerms,
    Phase,
    Price,
    Rate,
)
from holdfast.model.toml_places import read_toml, toml_line

FILE = """\
name = "orders"
[defaults]
model = "openai:big"
fallbacks = ["fast", "openai:small"]
timeout = "60s"
approval = true
[models.fast]
model = "openai:small"
base_url = "http://127.0.0.1:8080/v1"
api_key = "env:OPENAI_API_KEY"
settings = { temperature = 0.2, stop = ["a"], extra = { deep = true } }
concurrency = 4
rate = "60/1m"
burst = 10
price = { input = 0.25, output = 2.0, cached = "0.025" }
[models."ollama:llama"]
price = { input = 0, output = 0 }
[providers.openai]
rate = "500/1m"
[budgets.run]
cost = 2.0
tokens = 400_000
[phases.research]
prompt = "Look up"
[phases.draft]
prompt_file = "draft.md"
system = "You write"
output = "Draft"
needs = ["research"]
model = "fast"
attempts = 2
backoff = { initial = "2s", factor = 3 }
repairs = 0
fallback_on = ["timeout"]
input_tokens = 8000
output_tokens = 2000
cost = 0.1
tokens = 9000
approval = { group = "ops", due = "1d", escalate_to = ["boss"] }
[phases.free]
prompt = "Free"
approval = false
fallbacks = []
[tenants.acme.phases.draft]
prompt = "Another"
model = "ollama:llama"
[tenants.acme.budgets.run]
cost = 5
[tenants.acme.budgets.day]
cost = 50
[tenants.acme.models.fast]
api_key = "file:/run/key"
"""


class Around:
    """What files of phases refer to in these tests."""

    def __init__(self, outputs: Collection[str] | None = ("Draft",)) -> None:
        self.outputs = outputs

    def model_fault(self, id: str, declared: Collection[str], *, is_declared: bool) -> str | None:
        if is_declared or id in ("openai:big", "openai:small"):
            return None
        return f"is {id!r}, which is unknown; did you mean {nearest(id, [*declared, 'openai:big'])}?"

    def provider_fault(self, provider: str) -> str | None:
        return None if provider == "openai" else "is an unknown provider"

    def text(self, name: str) -> str:
        if name != "draft.md":
            raise Wrong("is missing")
        return "Write"


def read(text: str, tenant: str | None = None, around: Around | None = None) -> tuple[Reading, Layers, list[Fault]]:
    faults = Faults("phases.toml", lambda place: toml_line(text, place))
    layers = layers_of(read_toml(text), faults)
    reading = reading_of(layers, tenant, around or Around(), faults)
    check_needs(reading, faults)
    check_limits(reading, faults)
    return reading, layers, faults.sorted()


def test_a_file_is_read_into_phases_models_limits_and_budgets() -> None:
    reading, layers, faults = read(FILE)
    assert faults == []
    assert (layers.name, list(layers.tenants)) == ("orders", ["acme"])
    assert reading.phases == {
        "research": Phase(
            "research", "Look up", "openai:big", fallbacks=("fast", "openai:small"), timeout_seconds=60,
            approval=Approval(),
        ),
        "draft": Phase(
            "draft", "Write", "fast", system="You write", output="Draft", needs=("research",),
            fallbacks=("openai:small",), attempts=2, initial_seconds=2, factor=3, maximum_seconds=60,
            timeout_seconds=60, repairs=0, fallback_on=frozenset(["timeout"]), input_tokens=8000, output_tokens=2000,
            budget=Budget(9000, 100_000_000), approval=Approval(None, "ops", 86400, ("boss",)),
        ),
        "free": Phase("free", "Free", "openai:big", timeout_seconds=60),
    }  # fmt: skip
    assert list(reading.phases) == ["research", "draft", "free"]
    assert reading.models["fast"] == ModelTerms(
        "fast", "openai:small", "http://127.0.0.1:8080/v1", "env:OPENAI_API_KEY",
        {"temperature": 0.2, "stop": ["a"], "extra": {"deep": True}}, Limits(4, Rate(60, 60, 10)),
        Price(250_000_000, 2_000_000_000, 25_000_000),
    )  # fmt: skip
    assert reading.models["ollama:llama"] == ModelTerms("ollama:llama", "ollama:llama", price=Price(0, 0, 0))
    assert reading.models["openai:big"] == ModelTerms("openai:big", "openai:big")
    assert reading.providers == {"openai": Limits(None, Rate(500, 60, 1))}
    assert reading.budgets == {"run": Budget(400_000, 2_000_000_000)}


def test_a_tenant_has_what_its_tables_put_over_the_others() -> None:
    reading, _, faults = read(FILE, "acme")
    assert faults == []
    common, *_ = read(FILE)
    assert reading.phases["draft"] == dataclasses.replace(
        common.phases["draft"], prompt="Another", model="ollama:llama", fallbacks=("fast", "openai:small")
    )
    assert reading.phases["research"] == common.phases["research"]
    assert reading.budgets == {"run": Budget(400_000, 5_000_000_000), "day": Budget(None, 50_000_000_000)}
    assert reading.models["fast"] == dataclasses.replace(common.models["fast"], api_key="file:/run/key")
    assert read(FILE, "other")[0].phases == common.phases


def test_a_tenants_text_takes_the_place_of_a_file_and_the_reverse() -> None:
    text = '[phases.a]\nmodel = "openai:big"\n{}\n[tenants.t.phases.a]\n{}\n'
    inline, file = 'prompt = "Here"', 'prompt_file = "draft.md"'
    assert read(text.format(inline, file), "t")[0].phases["a"].prompt == "Write"
    assert read(text.format(file, inline), "t")[0].phases["a"].prompt == "Here"


GOOD = '[phases.a]\nmodel = "openai:big"\nprompt = "A"\n'
MODEL = '[models.m]\nmodel = "openai:small"\n'

FAULTS: list[tuple[str, int, str]] = [
    ('nam = "x"\n' + GOOD, 1, "nam is no key; did you mean name?"),
    (GOOD + 'zzz = "x"\n', 4, "phases.a.zzz is no key; the keys are prompt, prompt_file, output, needs, model"),
    (GOOD + 'modle = "x"\n', 4, "phases.a.modle is no key; did you mean model?"),
    (GOOD + "attempts = true\n", 4, "phases.a.attempts is true; give a whole number, 1 to 1,000"),
    (GOOD + "attempts = 0\n", 4, "attempts is 0; give a whole number"),
    (GOOD + "repairs = 1.5\n", 4, "repairs is 1.5; give a whole number, 0 to 100"),
    (GOOD + "input_tokens = -1\n", 4, "input_tokens is -1; give a whole number"),
    (GOOD + 'timeout = "soon"\n', 4, "timeout is 'soon'; give seconds, or text such as"),
    (GOOD + "timeout = 0\n", 4, "timeout is 0; give seconds"),
    (GOOD + "timeout = nan\n", 4, "timeout is nan; give seconds"),
    (GOOD + "timeout = [1]\n", 4, "timeout is a list; give seconds"),
    (GOOD + "cost = -1\n", 4, "cost is -1; give US dollars, 0 to"),
    (GOOD + "cost = 0\n", 4, "cost is 0; give US dollars, more than 0"),
    (GOOD + "cost = nan\n", 4, "cost is nan; give US dollars"),
    (GOOD + "cost = inf\n", 4, "cost is inf; give US dollars"),
    (GOOD + 'cost = "much"\n', 4, "cost is 'much'; give US dollars, such as 2 or 0.25"),
    (GOOD + 'cost = "1e-999999999"\n', 4, "with at most 9 digits after the point"),
    (GOOD + 'cost = "1e999999999"\n', 4, "give US dollars, 0 to"),
    (GOOD + "cost = true\n", 4, "cost is true; give US dollars"),
    (GOOD + "output = 3\n", 4, "output is 3; give a text"),
    (GOOD + 'output = "Drat"\n', 4, "output is 'Drat', which the code does not give; did you mean Draft?"),
    (GOOD + 'output = "Zzz"\n', 4, "output is 'Zzz', which the code does not give; it gives Draft"),
    (GOOD + 'needs = "b"\n', 4, "needs is 'b'; give a list"),
    (GOOD + 'needs = ["b"]\n[phases.bb]\nprompt = "B"\nmodel = "openai:big"\n', 4, "is 'b', which is no phase; did"),
    (GOOD + 'needs = ["a"]\n', 4, "needs goes round in a circle: a -> a; leave one out"),
    (GOOD + 'needs = ["b"]\n[phases.b]\nprompt = "B"\nmodel = "openai:big"\nneeds = ["a"]\n', 4, "circle: a -> b -> a"),
    (GOOD + 'variables = ["a-b"]\n', 4, "variables[0] is 'a-b'; give a name of letters"),
    (GOOD + 'variables = ["b", "b"]\n', 4, "variables[1] is 'b' a second time"),
    (GOOD + 'fallbacks = ["openai:small", 3]\n', 4, "phases.a.fallbacks[1] is 3; give a text"),
    (GOOD + 'fallbacks = ["openai:bigg"]\n', 4, "is 'openai:bigg', which is unknown; did you mean openai:big?"),
    (GOOD + 'fallback_on = ["time"]\n', 4, "fallback_on[0] is 'time'; did you mean timeout?"),
    (GOOD + "backoff = 3\n", 4, "backoff is 3; give a table of initial, factor, maximum"),
    (GOOD + 'backoff = { initial = "2m" , maximum = "1m" }\n', 4, "backoff.maximum is shorter than initial"),
    (GOOD + 'backoff = { maximum = "100ms" }\n', 4, "backoff.maximum is shorter than initial, 1 s"),
    (GOOD + "backoff = { factor = 0.5 }\n", 4, "backoff.factor is 0.5; give a number, 1 to 1000"),
    (GOOD + 'backoff = { first = "1s" }\n', 4, "backoff.first is no key"),
    (GOOD + "approval = 3\n", 4, "approval is 3; give true, false, or a table of assignee"),
    (GOOD + 'approval = { gruop = "ops" }\n', 4, "approval.gruop is no key; did you mean group?"),
    (GOOD + 'approval = { due = "x" }\n', 4, "approval.due is 'x'; give seconds"),
    (GOOD + 'prompt_file = "draft.md"\n', 4, "phases.a.prompt_file stands beside prompt; give one of them"),
    (GOOD + 'system_file = "none.md"\n', 4, "phases.a.system_file is missing"),
    (GOOD + 'system = " "\n', 4, "phases.a.system is ' '; give a text"),
    (GOOD + 'system = "a\\u0000"\n', 4, "phases.a.system holds the NUL character at 1"),
    ('[phases.a]\nmodel = "openai:big"\n', 1, "phases.a has no prompt; give prompt or prompt_file"),
    ('[phases.a]\nprompt = "A"\n', 1, "phases.a has no model; give one, here or in [defaults]"),
    ('[phases."a b"]\nprompt = "A"\nmodel = "openai:big"\n', 1, "phases.'a b' is no name for a phase"),
    ('[phases.a]\nmodel = 3\nprompt = "A"\n', 2, "phases.a.model is 3; give a text"),
    ('[defaults]\nmodel = 3\n[phases.a]\nprompt = "A"\n', 2, "defaults.model is 3; give a text"),
    ('[phases.a]\nmodel = "openai:big"\nprompt = 3\n', 3, "phases.a.prompt is 3; give a text"),
    ("[models.m]\nmodel = 3\n" + GOOD, 2, "models.m.model is 3; give a text"),
    ('[phases]\na = "x"\n', 2, "phases.a is 'x'; give a table"),
    ("phases = 3\n", 1, "phases is 3; give tables [phases.NAME]"),
    ('[defaults]\nneeds = ["a"]\n' + GOOD, 2, "defaults.needs is no key"),
    ("[defaults]\nattempts = 'x'\n" + GOOD, 2, "defaults.attempts is 'x'; give a whole number"),
    ('[defaults]\nfallbacks = ["huge"]\n' + GOOD, 2, "defaults.fallbacks[0] is 'huge', which is unknown"),
    ("[budgets.week]\ncost = 1\n" + GOOD, 1, "budgets.week is no key; the keys are run, day, tenant"),
    ("[budgets.run]\ncost = 0\n" + GOOD, 2, "budgets.run.cost is 0; give US dollars, more than 0"),
    ("[budgets.run]\ntokens = 1.5\n" + GOOD, 2, "budgets.run.tokens is 1.5; give a whole number"),
    ('[providers.openay]\nrate = "1/1s"\n' + GOOD, 1, "providers.openay is an unknown provider"),
    ('[providers.openai]\nrate = "1/0s"\n' + GOOD, 2, "rate is '1/0s'; give so many in a time"),
    ('[providers.openai]\nrate = "0/1s"\n' + GOOD, 2, "rate is '0/1s'; give so many in a time"),
    ('[providers.openai]\nrate = 60\n' + GOOD, 2, 'rate is 60; give so many in a time, such as "60/1m"'),
    ("[providers.openai]\nburst = 3\n" + GOOD, 2, "burst stands without a rate"),
    ('[providers.openai]\nrate = "2/1s"\nburst = 3\n' + GOOD, 3, "burst is more than the 2 of rate"),
    ("[models.m]\nconcurrency = 3\n" + GOOD, 1, "models.m says no model; give provider and name"),
    ('[models.m]\nmodel = "small"\n' + GOOD, 2, "models.m.model is 'small'; give provider and name"),
    (MODEL + "concurrency = 0\n" + GOOD, 3, "models.m.concurrency is 0"),
    (MODEL + 'api_key = "sk-secret"\n' + GOOD, 3, "models.m.api_key is no reference; write env:NAME or file:PATH"),
    (MODEL + 'api_key = "env:not a name"\n' + GOOD, 3, "api_key is no reference"),
    (MODEL + 'base_url = "127.0.0.1:80"\n' + GOOD, 3, "models.m.base_url is no address"),
    (MODEL + 'base_url = "http://h/?key=x"\n' + GOOD, 3, "models.m.base_url has more than host, port and path"),
    (MODEL + 'base_url = "http://u:p@h/"\n' + GOOD, 3, "models.m.base_url has more than host, port and path"),
    (MODEL + 'settings = { extra_headers = { Authorization = "x" } }\n' + GOOD, 3, "Authorization looks like a key"),
    (MODEL + 'settings = { extra_body = { client_secret = "x" } }\n' + GOOD, 3, "client_secret looks like a key"),
    (MODEL + 'settings = { extra_headers = { X-Goog-Api-Key = "x" } }\n' + GOOD, 3, "X-Goog-Api-Key looks like a key"),
    (MODEL + 'settings = { extra_headers = { Proxy-Authorization = "x" } }\n' + GOOD, 3, "Authorization looks like"),
    (MODEL + 'settings = { access_token = "x" }\n' + GOOD, 3, "access_token looks like a key"),
    (MODEL + "settings = { seed = 2026-01-01 }\n" + GOOD, 3, "settings.seed is 2026-01-01; give a text, a number"),
    (MODEL + "settings = { temperature = nan }\n" + GOOD, 3, "settings.temperature is nan"),
    (MODEL + "price = { input = 1 }\n" + GOOD, 3, "models.m.price has no output"),
    (MODEL + "price = { input = -1, output = 1 }\n" + GOOD, 3, "models.m.price.input is -1"),
    (MODEL + "concurrency = 3\n[providers.openai]\nconcurrency = 9\n" + GOOD, 3, "stands beside that of [prov"),
    (MODEL + '[models.n]\nmodel = "openai:small"\nconcurrency = 3\n' + GOOD, 5, "[models.m] is openai:small too"),
    (GOOD + "[tenants.acme.phases.b]\nattempts = 1\n", 4, "tenants.acme.phases.b is no phase of [phases]"),
    (GOOD + '[tenants.acme.phases.a]\nmodel = "huge"\n', 5, "tenants.acme.phases.a.model is 'huge', which is unknown"),
    (MODEL + GOOD + "[tenants.acme.models.m]\nconcurrency = 1\n", 7, "tenants.acme.models.m.concurrency is no key"),
    (GOOD + '[tenants.acme.models.m]\napi_key = "env:A"\n', 4, "tenants.acme.models.m says no model"),
    (GOOD + "[tenants.acme.budgets.day]\ncost = 0\n", 5, "tenants.acme.budgets.day.cost is 0"),
    (GOOD + "[tenants.acme]\nname = 'x'\n", 5, "tenants.acme.name is no key; the keys are phases, models, budgets"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "reason"), FAULTS, ids=[reason for _, _, reason in FAULTS])
def test_a_fault_is_told_with_its_line(text: str, line: int, reason: str) -> None:
    _, layers, faults = read(text)
    for tenant in layers.tenants:
        faults += [one for one in read(text, tenant)[2] if one not in faults]
    assert [(one.file, one.line) for one in faults] == [("phases.toml", line)], faults
    assert reason in faults[0].reason


def test_all_faults_are_told_at_once_in_the_order_of_their_lines() -> None:
    faults = read('[phases.a]\ncost = 0\nmodel = "huge"\n[phases.b]\nattempts = 0\n[defaults]\ntimeout = "x"\n')[2]
    assert [one.line for one in faults] == [1, 2, 3, 4, 4, 5, 7]
    assert str(faults[1]) == "phases.toml:2: phases.a.cost is 0; give US dollars, more than 0"


def test_a_key_that_is_written_out_is_not_repeated() -> None:
    for wrong in (MODEL + 'api_key = "sk-123"\n', MODEL + 'settings = { api_key = "sk-123" }\n'):
        faults = read(wrong + GOOD)[2]
        assert faults
        assert "sk-123" not in str(faults)


def test_the_limits_of_a_model_hold_by_whatever_name_it_is_called() -> None:
    text = MODEL + 'concurrency = 3\n[phases.a]\nmodel = "openai:small"\nprompt = "A"\n'
    reading, _, faults = read(text)
    assert faults == []
    assert reading.models["openai:small"] == ModelTerms("openai:small", "openai:small", limits=Limits(3))


def test_outputs_are_not_checked_where_nobody_knows_them() -> None:
    assert read(GOOD + 'output = "Any"\n', around=Around(None))[2] == []
    assert read(GOOD + 'output = "text"\n', around=Around(()))[2] == []


@pytest.mark.parametrize(
    ("given", "nanodollars"),
    [
        (2, 2_000_000_000),
        (0.1, 100_000_000),
        (0.07, 70_000_000),
        ("0.000000001", 1),
        (1e-9, 1),
        ("1.10", 1_100_000_000),
        (1_000_000_000, 10**18),
    ],
)
def test_dollars_are_exact(given: object, nanodollars: int) -> None:
    assert dollars(given) == nanodollars


@pytest.mark.parametrize("wrong", ["0.0000000001", 1e-10, 1_000_000_001, "-0.1", "Infinity", "", None, "9" * 101])
def test_what_are_no_dollars_is_refused(wrong: object) -> None:
    with pytest.raises(Wrong):
        price(wrong)


@given(st.decimals(0, 10**9, places=9))
def test_every_amount_comes_back_as_it_was(amount: Decimal) -> None:
    assert Decimal(price(str(amount))) == amount * 10**9


@pytest.mark.parametrize(
    ("given", "found"),
    [("60/1m", (60, 60.0)), ("1 / 500ms", (1, 0.5)), ("5/10", (5, 10.0)), ("2/1h30m", (2, 5400.0))],
)
def test_rates_are_read(given: str, found: tuple[int, float]) -> None:
    assert rate(given) == found


_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_SECONDS = st.floats(0, 1e9)
_COUNT = st.integers(1, 2**53)
_JSON = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=5,
)
_BUDGET = st.builds(Budget, st.none() | _COUNT, st.none() | _COUNT)
_LIMITS = st.builds(Limits, st.none() | _COUNT, st.none() | st.builds(Rate, _COUNT, _SECONDS, _COUNT))
_NAMES = st.lists(_TEXT, max_size=3).map(tuple)
_PHASES = st.builds(
    Phase, _TEXT, _TEXT, _TEXT, system=st.none() | _TEXT, output=_TEXT, needs=_NAMES, fallbacks=_NAMES,
    attempts=_COUNT, initial_seconds=_SECONDS, factor=_SECONDS, maximum_seconds=_SECONDS, timeout_seconds=_SECONDS,
    repairs=_COUNT, fallback_on=st.frozensets(st.sampled_from(FAILURE_KINDS)), input_tokens=st.none() | _COUNT,
    output_tokens=st.none() | _COUNT, budget=_BUDGET,
    approval=st.none() | st.builds(Approval, st.none() | _TEXT, st.none() | _TEXT, st.none() | _SECONDS, _NAMES),
)  # fmt: skip
_MODELS = st.builds(
    ModelTerms, _TEXT, _TEXT, st.none() | _TEXT, st.none() | _TEXT, st.dictionaries(_TEXT, _JSON, max_size=3), _LIMITS,
    st.none() | st.builds(Price, _COUNT, _COUNT, _COUNT),
)  # fmt: skip


def _by_name(found: list[Any]) -> dict[str, Any]:
    return {one.name: one for one in found}


@given(
    _TEXT,
    st.lists(_PHASES, max_size=3).map(_by_name),
    st.lists(_MODELS, max_size=3).map(_by_name),
    st.dictionaries(_TEXT, _LIMITS, max_size=3),
    st.dictionaries(st.sampled_from(["run", "day", "tenant"]), _BUDGET),
    st.dictionaries(_TEXT, _TEXT, max_size=3),
)
def test_a_file_is_made_again_from_its_content(
    name: str, phases: Any, models: Any, providers: Any, budgets: Any, templates: Any
) -> None:
    file = sealed(name, phases, models, providers, budgets, templates)
    again = phase_file_from(file.content)
    assert again == file
    assert list(again.phases) == list(phases)
    shuffled = (dict(reversed(one.items())) for one in (models, providers, budgets, templates))
    assert sealed(name, phases, *shuffled).version == file.version


def test_another_content_has_another_version() -> None:
    phase = Phase("a", "A", "test")
    first = sealed("x", {"a": phase}, {}, {}, {}, {})
    second = sealed("x", {"a": dataclasses.replace(phase, prompt="B")}, {}, {}, {}, {})
    assert first.version != second.version
    assert len(first.version) == 16


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.dates()
    | st.sampled_from(["1s", "60/1m", "openai:big", "a", "env:A"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([*ROOT, *PHASE, *MODEL_KEYS, *BUDGET, *SCOPES, "a", "x y", "initial", "factor", "due"]), inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from([*ROOT, "other"]), _VALUES, max_size=5))
def test_no_document_does_more_than_be_refused(document: dict[str, Any]) -> None:
    faults = Faults("phases.toml", lambda place: None)
    layers = layers_of(document, faults)
    for tenant in (None, *layers.tenants):
        reading = reading_of(layers, tenant, Around(), faults)
        check_needs(reading, faults)
        check_limits(reading, faults)
        if not faults:
            file = sealed("x", reading.phases, reading.models, reading.providers, reading.budgets, {})
            assert phase_file_from(file.content) == file
    assert all(one.reason and one.reason.isprintable() for one in faults.sorted())
