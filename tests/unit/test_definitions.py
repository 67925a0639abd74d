"""Definitions: what is read, and what is refused with the field and the line."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from holdfast.errors import RuleError, UsageError
from holdfast.model.definitions import circle_of, definition_from, definitions_from, form_fault
from holdfast.model.toml_places import toml_line
from holdfast.model.work_kinds import DEFAULT_WEIGHTS, TYPES, Definition, decode_definition, encode_definition

FULL: dict[str, Any] = {
    "id": "renewal-90",
    "name": "Prepare the renewal",
    "type": "renewal",
    "description": "Ninety days before.",
    "rule": "signals.usage_score < 60",
    "weight": 650,
    "cooldown": "30d",
    "business_days": 5,
    "sla": {"start": "2d", "complete": 864_000},
    "acknowledge": "4h",
    "escalate_to": ["@manager", "lead"],
    "group": "renewals",
    "form": {"type": "object", "properties": {"agreed": {"type": "boolean"}, "next": {"$ref": "#/$defs/day"}}},
    "steps": [
        {"id": "terms", "title": "Terms", "text": "Read them."},
        {"id": "price", "form": {"type": "object"}, "when": "signals.market_percentile <= 25"},
    ],
    "after": ["plan"],
    "renewal": {"property": "renews_on", "days": 90},
    "annual": {"property": "reviewed_on", "days": 14},
    "change": {"signal": "usage_score", "over": "30d", "by": -10},
    "active": True,
    "demo": False,
    "order": 2,
    "workflow_id": "obsblk-renewal",
}
FILE = """
# Kinds of work.
[definitions.plan]
name = "Plan"   # a remark
description = '''
name = 5
'''

[definitions."renewal 90"]
name = "Renew"
renewal = {property = "renews_on", days = 90}
sla.start = "2d"

[[definitions."renewal 90".steps]]
id = "terms"

[[definitions."renewal 90".steps]]
id = "price"
when = "signals.a > 5"
"""


def test_a_full_definition_is_read_and_comes_back_as_it_was() -> None:
    definition = definition_from(FULL)
    assert decode_definition(encode_definition(definition)) == definition
    assert definition.cooldown_us == 30 * 86_400_000_000
    assert definition.acknowledge_us == 4 * 3_600_000_000
    assert definition.sla_us == {"start": 2 * 86_400_000_000, "complete": 864_000_000_000}
    assert definition.due_us is None
    assert (definition.base, len(definition.triggers)) == (650, 3)
    assert definition.change is not None
    assert definition.change.by == -10


def test_a_short_definition_has_what_its_type_says() -> None:
    for kind in TYPES:
        definition = definition_from({"id": "a", "name": "A", "type": kind})
        assert definition.base == DEFAULT_WEIGHTS[kind]
        assert (definition.active, definition.triggers, definition.due_us) == (None, [], None)
        assert definition.cooldown_us == 14 * 86_400_000_000
        assert definition.sla_us == {"start": None, "complete": None}
    assert encode_definition(Definition("a", "A")) == b'{"id":"a","name":"A"}'


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": ""}, "id is not right"),
        ({"id": "a\0"}, "id is not right"),
        ({"id": "\ud800"}, "surrogate"),
        ({"id": 5}, "id is not right: expected `str`, got `int`"),
        ({"id": ...}, "has no id"),
        ({"name": ...}, "has no name"),
        ({"name": ""}, "name is ''"),
        ({"name": "two\nlines"}, "name is"),
        ({"name": "x" * 201}, "1 to 200 characters"),
        ({"description": "x" * 10_001}, "description has 10,001 characters"),
        ({"type": "risky"}, "Did you mean risk?"),
        ({"wieght": 5}, "wieght is no field; did you mean weight?"),
        ({"xyz": 5}, "xyz is no field; the fields are id, name"),
        ({"weight": -1}, "weight is -1"),
        ({"weight": 1_000_001}, "0 to 1,000,000"),
        ({"weight": 1.5}, "weight is not right"),
        ({"weight": True}, "weight is not right"),
        ({"weight": 10**30}, "weight"),
        ({"order": -1}, "order is -1"),
        ({"cooldown": "2 weeks"}, "cooldown is not right"),
        ({"cooldown": -5}, "cooldown is not right"),
        ({"cooldown": float("nan")}, "cooldown"),
        ({"due": "5d"}, "business_days stands beside due"),
        ({"sla": {"start": "soon"}}, "sla.start is not right"),
        ({"sla": {"begin": "1d"}}, "sla.begin is no field"),
        ({"sla": "1d"}, "sla is not right"),
        ({"escalate_to": "ann"}, "escalate_to is not right"),
        ({"escalate_to": ["ann", ""]}, "escalate_to[1] is not right"),
        ({"escalate_to": ["ann"] * 21}, "escalate_to has 21 entries"),
        ({"escalate_to": []}, "acknowledge says how long"),
        ({"assign": "ann"}, "assign stands beside group"),
        ({"after": ["renewal-90"]}, "after names the definition itself"),
        ({"rule": 5}, "rule is not right"),
        ({"form": {"type": "string"}}, 'must be "object"'),
        (
            {"form": {"type": "object", "properties": {"a": {"type": "numbr"}}}},
            "form is no JSON Schema: .properties.a.type",
        ),
        ({"form": {"type": "object", "$ref": "https://example.com/x"}}, "only references within it"),
        ({"form": {"type": "object", "title": "x" * 100_001}}, "form takes more than"),
        ({"steps": [{"id": "a"}, {"id": "a"}]}, "steps[1].id is 'a', as that of a step before"),
        ({"steps": [{"title": "x"}]}, "steps[0] is not right"),
        ({"steps": [{"id": "a", "form": {}}]}, "steps[0].form is no form"),
        ({"steps": [{"id": "a", "titel": "x"}]}, "steps[0].titel is no field; did you mean title?"),
        ({"steps": [{"id": str(number)} for number in range(101)]}, "steps has 101 entries"),
        ({"steps": "terms"}, "steps is not right"),
        ({"renewal": {"days": 90}}, "renewal needs one of signal"),
        ({"renewal": {"days": 90, "signal": "a", "property": "b"}}, "renewal needs one of signal"),
        ({"renewal": {"days": -1, "signal": "a"}}, "renewal.days is -1"),
        ({"annual": {"days": 5}}, "annual is not right"),
        ({"annual": {"property": "a", "days": 367}}, "annual.days is 367"),
        ({"change": {"signal": "a", "over": "30d", "by": 0}}, "change.by is 0"),
        ({"change": {"signal": "a", "over": 0, "by": 1}}, "change.over is no time at all"),
        ({"workflow_id": ""}, "workflow_id is not right"),
        ({"form": {"type": "object", "default": {1: 2}}}, "form.default"),
    ],
)
def test_what_is_wrong_is_refused_with_the_field(change: dict[str, Any], said: str) -> None:
    document = {key: value for key, value in (FULL | change).items() if value is not ...}
    with pytest.raises(UsageError) as caught:
        definition_from(document, "work.toml")
    assert said in str(caught.value)
    assert str(caught.value).startswith("work.toml: ") or "id" in change or "has no" in said


@pytest.mark.parametrize("document", [None, [], "name", 5, {}])
def test_what_is_no_definition_is_refused(document: object) -> None:
    with pytest.raises(UsageError, match="give"):
        definition_from(document)


def test_a_rule_that_is_wrong_is_refused_with_its_place() -> None:
    with pytest.raises(RuleError) as caught:
        definition_from(FULL | {"rule": "signals.a > 5 &&\n signals.b = 3"})
    assert (caught.value.line, caught.value.column) == (2, 12)
    assert str(caught.value).startswith("definition 'renewal-90': rule: write == instead of =")
    with pytest.raises(RuleError, match=r"steps\[0\].when: the rule is empty"):
        definition_from(FULL | {"steps": [{"id": "a", "when": " "}]})


def test_a_file_has_definitions_by_id() -> None:
    found = definitions_from(tomllib.loads(FILE), "work.toml", source=FILE)
    assert [one.id for one in found] == ["plan", "renewal 90"]
    assert [step.id for step in found[1].steps] == ["terms", "price"]
    assert definitions_from({"definitions": {}}) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"price"', '"terms"', "work.toml, line 18: definition 'renewal 90': steps[1].id"),
        ("days = 90", "days = 9999", "work.toml, line 11: definition 'renewal 90': renewal.days"),
        ('"2d"', '"2x"', "work.toml, line 12: definition 'renewal 90': sla.start"),
        ("a > 5", "a = 5", "work.toml, line 19: definition 'renewal 90': steps[1].when: write =="),
        ('name = "Plan"', 'titel = "Plan"', "work.toml, line 4: definition 'plan': titel is no field"),
        ('name = "Renew"', "weight = 5", "work.toml, line 9: definition 'renewal 90' has no name"),
        ('name = "Renew"', 'name = "Renew"\nid = "x"', "line 11: definition 'renewal 90': id is 'x', and the table"),
        ('name = "Plan"', 'name = "Plan"\nafter = ["renewal 90"]', ""),
        (
            "[definitions.plan]",
            "[definition.plan]",
            "work.toml, line 3: definition is no field; did you mean definitions?",
        ),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_line(old: str, new: str, said: str) -> None:
    text = FILE.replace(old, new, 1)
    document = tomllib.loads(text)
    if not said:
        assert len(definitions_from(document, "work.toml", source=text)) == 2
        return
    with pytest.raises(UsageError) as caught:
        definitions_from(document, "work.toml", source=text)
    assert said in str(caught.value)


@pytest.mark.parametrize("document", [None, [], {}, {"definitions": []}, {"definitions": {"a": 5}}])
def test_a_file_without_definitions_is_refused(document: object) -> None:
    with pytest.raises(UsageError):
        definitions_from(document, "work.toml")


def test_definitions_that_come_after_one_another_in_a_circle_are_refused() -> None:
    def file(**after: list[str]) -> dict[str, Any]:
        return {"definitions": {id: {"name": id, "after": ids} for id, ids in after.items()}}

    assert len(definitions_from(file(a=["b", "c"], b=["c"], c=[], d=["elsewhere"]))) == 4
    with pytest.raises(UsageError, match="in a circle: a after b after c after a"):
        definitions_from(file(a=["b"], b=["c"], c=["a"]))


def test_circles_are_found_in_large_graphs() -> None:
    chain = {str(number): [str(number + 1)] for number in range(3000)}
    assert circle_of(chain) == []
    dense = {str(one): [str(other) for other in range(one + 1, 40)] for one in range(40)}
    assert circle_of(dense) == [], "each is looked at once, though ways between them are many"
    assert circle_of({**dense, "39": ["0"]})[0] == "0"
    assert circle_of({"a": ["a"]}) == ["a", "a"]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("definitions", "plan"), 3),
        (("definitions", "plan", "name"), 4),
        (("definitions", "renewal 90", "renewal", "days"), 11),
        (("definitions", "renewal 90", "sla", "start"), 12),
        (("definitions", "renewal 90", "steps", 0, "id"), 15),
        (("definitions", "renewal 90", "steps", 1), 17),
        (("definitions", "renewal 90", "steps", 1, "form"), 17),
        (("definitions", "other"), None),
        ((), None),
    ],
)
def test_the_line_of_a_value_in_toml(path: tuple[str | int, ...], line: int | None) -> None:
    assert toml_line(FILE, path) == line


def test_forms_are_checked_by_themselves() -> None:
    assert form_fault({"type": "object", "properties": {"a": {"$ref": "#/properties/b"}}}) is None
    deep: dict[str, Any] = {"type": "object"}
    for _ in range(150):
        deep = {"type": "object", "properties": {"a": deep}}
    assert form_fault(deep) in (None, "is nested too deeply")
