"""Prompts: filled strictly, cut to their size by sections, and bounded whatever a template does."""

from __future__ import annotations

import io
import itertools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, create_model

from holdfast.agents.prompts.rendering import Prompter, Rendered
from holdfast.agents.prompts.tokens import tokens_of
from holdfast.errors import UsageError
from holdfast.model.phase_content import sealed
from holdfast.model.phases import Phase


class Customer(BaseModel):
    name: str


@dataclass
class Order:
    id: int
    lines: list[str]


def render(
    prompt: str,
    *,
    system: str | None = None,
    most: int | None = None,
    templates: dict[str, str] | None = None,
    **variables: Any,
) -> Rendered:
    phase = Phase("draft", prompt, "test", system=system, input_tokens=most)
    file = sealed("orders", {"draft": phase}, {}, {}, {}, templates or {})
    return Prompter(file).render(phase, {"run_id": "r-1", "tenant": "acme", "outputs": {}, **variables})


def text(prompt: str, **named: Any) -> str:
    return render(prompt, **named).prompt


def refused(prompt: str, **named: Any) -> str:
    with pytest.raises(UsageError) as caught:
        render(prompt, **named)
    return str(caught.value)


def test_a_prompt_is_filled_from_context_outputs_and_the_run() -> None:
    found = render(
        "Order {{ context.id }} of {{ outputs.who.name }} ({{ tenant }}/{{ run_id }}):\n"
        "{% for line in context.lines %}\n"
        "- {{ line }}\n"
        "{% endfor %}\n"
        "{{ outputs.who | tojson }} {{ today }}",
        system="You write for {{ outputs.who.name }}.",
        context=Order(7, ["<tea>", "milk"]),
        outputs={"who": Customer(name="Ann")},
        today="now",
    )
    assert found.system == "You write for Ann."
    assert found.prompt == 'Order 7 of Ann (acme/r-1):\n- <tea>\n- milk\n{"name":"Ann"} now'
    assert found.tokens == tokens_of(found.system) + tokens_of(found.prompt)
    assert found.dropped == ()


def test_entries_of_tables_come_before_their_methods() -> None:
    assert text("{{ context.items }} {{ context.keys() | list }}", context={"items": 3}) == "3 ['items']"


def test_a_field_is_read_although_models_have_a_method_of_its_name() -> None:
    with pytest.warns(UserWarning, match="shadows"):
        Odd = create_model("Odd", json=(str, "a field"))
    assert text("{{ context.json }}", context=Odd()) == "a field"


def test_templates_include_extend_and_import_each_other() -> None:
    templates = {
        "base.j2": "Begin\n{% block body %}nothing{% endblock %}\n",
        "part.j2": "part of {{ tenant }}",
        "macros.j2": "{% macro item(x) %}* {{ x }}{% endmacro %}",
    }
    prompt = (
        '{% extends "base.j2" %}{% from "macros.j2" import item %}'
        '{% block body %}{% include "part.j2" %} {{ item(3) }}{% endblock %}'
    )
    assert text(prompt, templates=templates) == "Begin\npart of acme * 3"


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("one\ntwo {{ customer }}", "the prompt of phase draft, line 2: 'customer' is undefined"),
        ("{{ context.nam }}", "the prompt of phase draft, line 1: "),
        ("\n{{ outputs.other }}", "the prompt of phase draft, line 2: 'dict object' has no attribute 'other'"),
        ("{% if customer %}{% endif %}", "'customer' is undefined"),
        ('x\n{% include "part.j2" %}', "part.j2, line 2: 'missing' is undefined"),
        ('{% include "bad.j2" %}', "bad.j2, line 1: "),
        ('{% include "none.j2" %}', "the prompt of phase draft, line 1: none.j2"),
        ("{{ 1 / 0 }}", "the prompt of phase draft, line 1: ZeroDivisionError: division by zero"),
        ("{% if %}", "the prompt of phase draft, line 1: "),
    ],
)
def test_what_goes_wrong_is_told_with_template_line_and_name(prompt: str, told: str) -> None:
    templates = {"part.j2": "\n{{ missing }}", "bad.j2": "{% if %}"}
    assert told in refused(prompt, context=Customer(name="Ann"), templates=templates)


def test_a_missing_attribute_is_named() -> None:
    assert "has no attribute 'nam'" in refused("{{ context.nam }}", context=Customer(name="Ann"))


SECTIONS = (
    "Begin.\n"
    '{% section "history" keep=1 %}\n' + "h" * 39 + "\n{% endsection %}\n"
    '{% section "notes" keep=1 %}\n' + "n" * 39 + "\n{% endsection %}\n"
    '{% section "rules" keep=5 %}\n' + "r" * 39 + "\n{% endsection %}\n"
    "End."
)


@pytest.mark.parametrize(
    ("most", "dropped", "left"),
    [
        (33, (), "hnr"),
        (32, ("notes",), "hr"),
        (23, ("notes",), "hr"),
        (22, ("notes", "history"), "r"),
        (12, ("notes", "history", "rules"), ""),
        (3, ("notes", "history", "rules"), ""),
    ],
)
def test_sections_are_left_out_the_least_kept_first_until_the_prompt_fits(
    most: int, dropped: tuple[str, ...], left: str
) -> None:
    found = render(SECTIONS, most=most)
    assert found.dropped == dropped
    assert found.prompt == "Begin.\n" + "".join(f"{letter * 39}\n" for letter in left) + "End."
    assert found.tokens == tokens_of(found.prompt) <= most


def test_a_prompt_that_does_not_fit_without_its_sections_is_refused_with_its_size() -> None:
    told = refused(SECTIONS, most=2)
    assert "the prompt of phase draft takes 3 tokens, with all its sections left out (notes, history, rules)" in told
    assert "input_tokens are 2" in told
    assert "takes 25 tokens, and has no sections to leave out" in refused("x" * 100, most=24)


def test_sections_are_left_out_of_the_system_text_too_after_those_of_the_prompt() -> None:
    section = '{% section "NAME" %}' + "x" * 40 + "{% endsection %}"
    found = render("Go." + section.replace("NAME", "prompt"), system="Be." + section.replace("NAME", "system"), most=13)
    assert (found.system, found.prompt, found.dropped) == ("Be." + "x" * 40, "Go.", ("prompt",))


def test_each_round_of_a_loop_can_be_a_section_and_the_last_goes_first() -> None:
    prompt = '{% for x in context %}{% section "old" %}{{ x }}{% endsection %}{% endfor %}'
    found = render(prompt, context=["a" * 40, "b" * 40, "c" * 40], most=20)
    assert (found.prompt, found.dropped) == ("a" * 40 + "b" * 40, ("old",))


def test_a_section_goes_with_the_section_around_it() -> None:
    prompt = '{% section "outer" keep=1 %}out{% section "inner" keep=2 %}in{% endsection %}{% endsection %}.'
    assert render(prompt, most=1) == Rendered(None, ".", 1, ("outer",))
    other = prompt.replace("keep=1", "keep=3")
    assert render(other, most=1) == Rendered(None, "out.", 1, ("inner",))


def test_sections_may_come_from_macros_includes_and_texts_that_were_set() -> None:
    section = '{% section "NAME" %}' + "x" * 40 + "{% endsection %}"
    prompt = (
        "{% macro f() %}" + section.replace("NAME", "macro") + "{% endmacro %}{{ f() }}"
        '{% include "part.j2" %}'
        "{% set x %}" + section.replace("NAME", "set") + "{% endset %}{{ x }}."
    )
    found = render(prompt, most=1, templates={"part.j2": section.replace("NAME", "include")})
    assert (found.prompt, found.dropped) == (".", ("set", "include", "macro"))


def test_what_went_with_the_section_around_it_goes_no_second_time() -> None:
    some = "x" * 40
    inner = '{% section "inner" keep=2 %}' + some + "{% endsection %}"
    prompt = (
        '{% section "outer" keep=1 %}' + some + inner + '{% endsection %}{% section "other" keep=3 %}' + some
        + "{% endsection %}."
    )  # fmt: skip
    assert render(prompt, most=1) == Rendered(None, ".", 1, ("outer", "other"))


def test_a_line_that_is_a_tag_alone_leaves_none_behind() -> None:
    assert text("a\n  {% if true %}\n  b\n  {% endif %}\nc") == "a\n  b\nc"


def test_what_is_set_in_a_section_stays_there() -> None:
    prompt = '{% set x = 1 %}{% section "a" %}{% set x = 2 %}{{ x }}{% endsection %}{{ x }}'
    assert text(prompt) == "21"


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("{% section %}{% endsection %}", "line 1: "),
        ("\n{% section context %}{% endsection %}", "line 2: a section has a name in quotes"),
        ('{% section "a" kep=2 %}{% endsection %}', "behind the name of a section stands keep"),
        ('{% section "a" keep="x" %}{% endsection %}', "keep is a whole number"),
        ('{% section "a" keep=5000 %}{% endsection %}', "keep is a whole number, 0 to 1000"),
        ('{% section "a" %}', "line 1: "),
        (
            '{% set x %}{% section "a" %}abc{% endsection %}{% endset %}{{ x | replace("]", "") }}',
            "a section is in a text that is changed afterwards",
        ),
    ],
)
def test_a_section_that_is_wrong_is_told(prompt: str, told: str) -> None:
    assert told in refused(prompt)


@given(st.lists(st.tuples(st.text("aé\0<>0\ud800", max_size=8), st.integers(0, 3)), max_size=6), st.integers(0, 40))
def test_a_prompt_always_fits_or_is_refused(parts: list[tuple[str, int]], most: int) -> None:
    sections = "".join(
        f'{{% section "s{n}" keep={keep} %}}{{{{ context[{n}] }}}}{{% endsection %}}'
        for n, (_, keep) in enumerate(parts)
    )
    found = render(sections, context=[part for part, _ in parts], most=most)
    assert found.tokens == tokens_of(found.prompt) <= most
    assert "\0" not in found.prompt
    gone = [parts[int(name[1:])][1] for name in found.dropped]
    stayed = [keep for n, (_, keep) in enumerate(parts) if f"s{n}" not in found.dropped]
    assert gone == sorted(gone)
    assert not gone or all(keep >= gone[-1] for keep in stayed)


STOPPED = re.compile(
    r"line 1: (it (takes more|writes more|counts with|fills up)|its format has|goes too deep|"
    r"OverflowError: Range too big|access to attribute '\w+' of 'str' object is unsafe|'lipsum' is undefined)"
)


@pytest.mark.parametrize(
    "prompt",
    [
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        "{% for i in range(99999999) %}{% endfor %}",
        "{% for i in range(100000) %}" + "x" * 1000 + "{% endfor %}",
        "{% for i in range(1000) %}{{ 'x' * 100000 }}{% endfor %}",
        "{{ 'x' * 100000000 }}",
        "{{ 100000000 * [1] }}",
        "{{ 10 ** 99999 }}",
        "{% set n = namespace(x=3) %}{% for i in range(1000) %}{% set n.x = n.x * n.x %}{% endfor %}",
        "{% set n = namespace(x='abc') %}{% for i in range(1000) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "{% set n = namespace(x='abc') %}{% for i in range(1000) %}{% set n.x = n.x + n.x %}{% endfor %}",
        "{% set n = namespace(x='abc') %}{% for i in range(1000) %}{% set n.x = [n.x, n.x] | join %}{% endfor %}",
        "{% set n = namespace(x='a') %}{% for i in range(99) %}{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}{% endfor %}",
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% macro f() %}" + "y" * 1000 + "{% endmacro %}{% for i in range(99999) %}{% set x = f() %}{% endfor %}",
        '{% include "self.j2" %}',
        '{% for i in range(9999) %}{% include "long.j2" %}{% endfor %}',
        "{{ '%999999999d' % 1 }}",
        "{{ '%*d' | format(999999999, 1) }}",
        "{{ 'a' | indent(999999999, true) }}",
        "{{ context | tojson(indent=999999999) }}",
        "{{ [1] | batch(999999999, 1) | list }}",
        "{{ ('a' * 100000) | replace('a', 'b' * 100000) }}",
        "{{ 'x'.ljust(999999999) }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ lipsum(99999) }}",
    ],
)
def test_a_template_that_would_not_end_or_fills_the_memory_is_stopped(prompt: str) -> None:
    templates = {"self.j2": '{% include "self.j2" %}{% include "self.j2" %}', "long.j2": "z" * 10_000}
    told = refused(prompt, templates=templates, context=[[1]])
    assert STOPPED.search(told), told


@pytest.mark.parametrize("prompt", ["{{ '%99999d' % 1 }}", "{{ '%99999d' | format(1) }}", "{{ '%*d' % (9, 1) }}"])
def test_a_format_that_fills_up_far_is_refused_before_it_does(prompt: str) -> None:
    assert "its format has a width of five digits or more" in refused(prompt)


@pytest.mark.parametrize("prompt", ["{{ 'x'.ljust(9) }}", "{{ '{:>9}'.format(1) }}", "{{ 'x'['zfill'](9) }}"])
def test_texts_have_no_methods_that_fill_up(prompt: str) -> None:
    assert re.search(r"access to attribute '\w+' of 'str' object is unsafe", refused(prompt))


def test_an_endless_value_is_stopped() -> None:
    assert "steps" in refused("{% for x in context %}{% endfor %}", context=itertools.count())


def test_a_prompt_may_be_large_but_not_larger_than_the_bound() -> None:
    assert len(text("{{ context }}", context="x" * 4_000_000)) == 4_000_000
    assert "takes 4,194,305 bytes; at most 4,194,304" in refused("{{ context }}", context="x" * (4 * 1024 * 1024 + 1))


@pytest.mark.parametrize(
    "prompt",
    [
        "{{ context.path.read_text() }}",
        "{{ context.file.read() }}",
        "{{ context.who.parse_file('x') }}",
        "{{ context.who.__class__ }}",
        "{{ context.list.append(1) }}",
        "{{ context.who.__init__.__globals__ }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ context | attr('list') }}",
        "{{ [1] | random }}",
        "{{ self.__dict__ }}",
    ],
)
def test_a_template_reads_no_files_and_changes_nothing(prompt: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hidden")
    changed: list[int] = []
    context = {
        "path": tmp_path / "secret", "file": io.StringIO("hidden"), "who": Customer(name="Ann"), "list": changed
    }  # fmt: skip
    assert "hidden" not in refused(prompt, context=context)
    assert changed == []


def test_models_have_no_methods_but_those_that_show_them() -> None:
    who = Customer(name="Ann")
    assert (
        text("{{ context.model_dump()['name'] }} {{ context.model_dump_json() }}", context=who) == 'Ann {"name":"Ann"}'
    )
    assert "'model_construct' of 'Customer' object is unsafe" in refused("{{ context.model_construct() }}", context=who)


def test_what_no_model_takes_is_replaced() -> None:
    found = render("{{ context }}", context="a\0b\ud800c", most=100)
    assert found.prompt.startswith("a␀b")
    assert found.prompt.endswith("c")
    found.prompt.encode()


def test_the_useful_filters_are_there() -> None:
    prompt = "{{ context | map('upper') | join(', ') }} {{ '%.2f' % 1.5 }} {{ 'a-b' | replace('-', '+') }}"
    assert text(prompt, context=["a", "b"]) == "A, B 1.50 a+b"


def test_tokens_are_a_quarter_of_the_bytes_rounded_up() -> None:
    assert [tokens_of(one) for one in ("", "a", "abcd", "abcde", "ééé")] == [0, 1, 1, 2, 2]
