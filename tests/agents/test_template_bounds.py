"""Templates that make little out to be much: refused before the memory is taken, not when it is gone."""

import enum
import tracemalloc
from typing import Any

import pytest

from holdfast.agents.prompts.rendering import Prompter
from holdfast.errors import UsageError
from holdfast.model.phase_content import sealed
from holdfast.model.phases import Phase

PEAK_BYTES = 64 * 1024 * 1024


class Tier(enum.StrEnum):
    GOLD = "gold"


class Level(enum.IntEnum):
    HIGH = 3


CONTEXT = {"tier": Tier.GOLD, "level": Level.HIGH, "bytes": b"abc"}


def text(prompt: str) -> str:
    phase = Phase("draft", prompt, "test")
    variables: dict[str, Any] = {"context": CONTEXT, "outputs": {}, "run_id": "r-1", "tenant": "acme"}
    return Prompter(sealed("orders", {"draft": phase}, {}, {}, {}, {})).render(phase, variables).prompt


NESTED = "{% set a = ['x' * 1000] * 400 %}{% set b = [a] * 400 %}"


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        (NESTED + "{{ b }}", "writes more than"),
        (NESTED + "{{ {'b': b}.values() }}", "writes more than"),
        (NESTED + "{{ b | string | length }}", "writes more than"),
        (NESTED + "{{ b | upper | length }}", "writes more than"),
        (NESTED + "{{ b | tojson | length }}", "writes more than"),
        (NESTED + "{{ ([0] * 10000) | tojson(9999) | length }}", "writes more than"),
        (NESTED + "{{ (b ~ '') | length }}", "writes more than"),
        (NESTED + "{{ [b] | join | length }}", "writes more than"),
        (NESTED + "{{ ('%s' % [b]) | length }}", "writes more than"),
        (NESTED + "{{ '%(b)s' | format(b=b) | length }}", "writes more than"),
        (NESTED + "{{ (b | replace('y', 'z')) | length }}", "writes more than"),
        (
            "{% set n = namespace(x=[1]) %}{% for i in range(600) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x }}",
            "more than 500 deep",
        ),
        ("{% set n = namespace(x=1) %}{% set n.x = [n] * 1000 %}{{ n }}", "writes a namespace"),
        ("{% set n = namespace(x=1) %}{% set n.x = [n] * 1000 %}{{ [n] }}", "writes a namespace"),
        ("{{ (('%(a)s' * 1000) % {'a': 'x' * 200000}) | length }}", "writes more than"),
        ("{{ (('%(a)9999d' * 20000) % {'a': 1}) | length }}", "writes more than"),
        ("{{ '%((a))s' % {'(a)': 1} }}", "a name with brackets"),
        ("{{ ('a' * 20000) | replace('a', 'b' * 10000, -1) | length }}", "writes more than"),
        ("{{ ('\n' * 20000) | indent(9999, blank=true) | length }}", "writes more than"),
        ("{{ ('a ' * 20000) | wordwrap(1, true, 'x' * 10000) | length }}", "writes more than"),
        ("{{ ('a' * 100001) | wordwrap(1) | length }}", "at most 100,000"),
        ("{{ ([[0] * 100000] * 500) | sum(start=[]) | length }}", "put lists together with +"),
        ("{{ 1.5 | round(301, 'ceil') }}", "give at most 300"),
        ("{{ 1 | round(-301) }}", "give at most 300"),
        ("{{ ('1' * 100000) | int(0, 2) > 1 }}", "counts with numbers"),
        ("{{ (5).to_bytes(200000000, 'big') | length }}", "'to_bytes' of 'int' object is unsafe"),
        ("{{ context.level.to_bytes(200000000, 'big') | length }}", "'to_bytes' of 'Level' object is unsafe"),
        ("{{ context.bytes.ljust(200000000) | length }}", "'ljust' of 'bytes' object is unsafe"),
        ("{{ context.tier.ljust(200000000) | length }}", "'ljust' of 'Tier' object is unsafe"),
        ("{{ context.bytes % 1 }}", "its format is of bytes"),
    ],
)
def test_what_takes_much_memory_is_refused_before_it_does(prompt: str, told: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(UsageError) as caught:
            text(prompt)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert told in str(caught.value)
    assert peak < PEAK_BYTES


def test_members_of_enumerations_have_their_names_and_values() -> None:
    prompt = "{{ context.tier.value }} {{ context.tier.name }} {{ context.tier.upper() }} {{ context.level.name }}"
    assert text(prompt) == "gold GOLD GOLD HIGH"


@pytest.mark.parametrize(
    ("prompt", "written"),
    [
        ("{{ 2.567 | round(2) }} {{ 123 | round(-1) }} {{ 1.1 | round(0, 'ceil') }}", "2.57 120 2.0"),
        ("{{ [1, 2] | sum }} {{ [{'n': 1}, {'n': 2}] | sum('n') }} {{ [1] | sum(start=2) }}", "3 3 3"),
        ("{{ 'a b' | wordwrap(1, wrapstring='|') }}", "a|b"),
        ("{{ 'a\nb' | indent(2) }} {{ 'a\nb' | indent('> ', true) }}", "a\n  b > a\n> b"),
        ("{{ 'aaa' | replace('a', 'b') }} {{ 'aaa' | replace('a', 'b', 2) }}", "bbb bba"),
        ("{{ '%s of %s' | format('a', [1]) }} {{ '%(a)s' % {'a': 1} }} {{ '%5.1f' % 2 }}", "a of [1] 1   2.0"),
        ("{{ {'a': [1, {'b': none}]} }} {{ [1, [2]] ~ '' }}", "{'a': [1, {'b': None}]} [1, [2]]"),
        ("{{ {'a': [1]} | tojson(1) }}", '{\n "a": [\n  1\n ]\n}'),
        ("{{ context.bytes.decode() }} {{ '<b>x</b>' | striptags }} {{ 'x y' | title | wordcount }}", "abc x 2"),
    ],
)
def test_what_takes_little_is_written(prompt: str, written: str) -> None:
    assert text(prompt) == written
