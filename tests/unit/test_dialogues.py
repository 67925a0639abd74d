"""Guided dialogues: what is read, and what is refused with its place and what to write instead."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from holdfast.errors import RuleError, UsageError
from holdfast.model.dialogues import Dialogue, DialogueBranch, DialogueField, dialogue_from

FULL: dict[str, Any] = {
    "conversation": {"id": "renewal", "name": "Renewals", "instructions": "You are friendly.\nAnd brief."},
    "steps": [
        {
            "id": "company",
            "title": "Company",
            "ask": "Which company is it about?",
            "collects": {
                "company": "text",
                "employees": {"type": "integer", "minimum": 1, "maximum": 9_000_000, "optional": True},
                "size": {"type": "choice", "choices": ["small", "large"]},
            },
            "next": [{"step": "contract", "when": "collected.size == 'large'"}, {"step": "confirm"}],
        },
        {
            "id": "contract",
            "collects": {"renews_on": "date", "code": {"type": "text", "pattern": "[A-Z]{2}", "max_characters": 2}},
            "when": "collected.employees > 10",
            "optional": True,
            "next": "confirm",
        },
        {"id": "confirm", "collects": {"confirmed": "boolean"}, "complete_when": "collected.confirmed", "final": True},
    ],
}


def changed(*path: str | int, value: Any) -> dict[str, Any]:
    """`FULL` with another value at a place; with `...` without it."""
    document = copy.deepcopy(FULL)
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    if value is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return document


def steps(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"conversation": {"id": "d"}, "steps": list(entries)}


def test_all_that_a_definition_says_is_read() -> None:
    dialogue = dialogue_from(FULL)
    assert (dialogue.id, dialogue.name, dialogue.instructions) == (
        "renewal", "Renewals", "You are friendly.\nAnd brief.",
    )  # fmt: skip
    company, contract, confirm = dialogue.steps
    assert (company.id, company.title, company.ask) == ("company", "Company", "Which company is it about?")
    assert company.fields == (
        DialogueField("company", "text"),
        DialogueField("employees", "integer", optional=True, minimum=1, maximum=9_000_000),
        DialogueField("size", "choice", choices=("small", "large")),
    )
    assert company.needed == ["company", "size"]
    assert company.next == (DialogueBranch("contract", "collected.size == 'large'"), DialogueBranch("confirm"))
    assert contract.fields[1] == DialogueField("code", "text", max_characters=2, pattern="[A-Z]{2}")
    assert (contract.when, contract.optional, contract.next) == (
        "collected.employees > 10", True, (DialogueBranch("confirm"),),
    )  # fmt: skip
    assert (confirm.complete_when, confirm.final) == ("collected.confirmed", True)
    assert list(dialogue.fields) == ["company", "employees", "size", "renews_on", "code", "confirmed"]


def test_what_is_left_out_has_its_default() -> None:
    dialogue = dialogue_from(steps({"id": "hello"}))
    assert (dialogue.name, dialogue.instructions) == ("d", "")
    [hello] = dialogue.steps
    assert (hello.title, hello.ask, hello.fields, hello.when, hello.next) == ("", "", (), None, ())
    assert (hello.optional, hello.final, hello.complete_when) == (False, False, None)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("conversation", "instructions"), "Be brief."),
        (("steps", 0, "ask"), "Which one?"),
        (("steps", 0, "collects", "company"), "email"),
        (("steps", 0, "collects", "employees", "minimum"), 2),
        (("steps", 1, "optional"), False),
        (("steps", 2, "complete_when"), "!collected.confirmed"),
        (("steps", 2, "final"), False),
    ],
)
def test_what_says_something_else_is_another_version(path: tuple[str | int, ...], value: Any) -> None:
    version = dialogue_from(FULL).version
    assert len(version) == 12
    assert dialogue_from(copy.deepcopy(FULL)).version == version
    assert dialogue_from(changed(*path, value=value)).version != version


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (None, "is empty; give a table conversation with its id, and a list of steps"),
        ({}, "is empty"),
        ([1], "is a list; give a table with conversation, steps"),
        ("text", "is 'text'; give a table"),
        ({"conversation": {"id": "a"}}, "conversation 'a' has no steps; give at least one"),
        ({"conversation": {"id": "a"}, "steps": []}, "steps has no steps; give at least one"),
        ({"conversation": {"id": "a"}, "steps": {}}, "steps is a table; give a list"),
        ({"steps": [{"id": "a"}]}, "has no conversation; give a table"),
        (changed("stepz", value=1), "stepz is no field; did you mean steps?"),
        (changed("conversation", value="x"), "conversation is 'x'; give a table with id, name, instructions"),
        (changed("conversation", "id", value=...), "conversation has no id; give one"),
        (changed("conversation", "id", value=7), "conversation.id is 7; give a text"),
        (changed("conversation", "id", value=""), "conversation.id is not right: it has 0 characters"),
        (changed("conversation", "id", value="a\0b"), "conversation.id is not right: it 'a\\x00b' holds a NUL"),
        (changed("conversation", "name", value="a\nb"), "conversation.name is 'a\\nb'; give a text on one line"),
        (changed("conversation", "name", value=True), "conversation.name is true; give a text"),
        (changed("conversation", "instructions", value="a\0"), "instructions holds the NUL character at 1"),
        (changed("conversation", "instructions", value="\ud800"), "holds half of a surrogate pair at 0"),
        (changed("conversation", "instructions", value="x" * 100_001), "has 100,001 characters; give at most 100,000"),
        (changed("conversation", "ttl", value="1h"), "conversation.ttl is no field; the fields are id, name"),
        (changed("steps", 0, value="company"), "steps[0] is 'company'; give a table"),
        (changed("steps", 0, "id", value=...), "steps[0] has no id; give one"),
        (changed("steps", 0, "id", value="x" * 513), "steps[0].id is not right: it has 513 characters"),
        (changed("steps", 0, "collect", value={}), "steps[0].collect is no field; did you mean collects?"),
        (changed("steps", 0, "title", value="x" * 201), "steps[0].title has 201 characters; give at most 200"),
        (changed("steps", 0, "ask", value="x" * 10_001), "steps[0].ask has 10,001 characters; give at most 10,000"),
        (changed("steps", 1, "optional", value="yes"), "steps[1].optional is 'yes'; give true or false"),
        (changed("steps", 2, "final", value=1), "steps[2].final is 1; give true or false"),
        (changed("steps", 2, "next", value="company"), "steps[2].next stands beside final"),
        (steps(*({"id": str(number)} for number in range(201))), "steps has 201 entries; give at most 200"),
        (changed("steps", 1, "id", value="company"), "steps[1].id is 'company', as that of a step before it"),
        (changed("steps", 1, "next", value="confrim"), "steps[1].next is 'confrim', and there is no such step; did"),
        (changed("steps", 1, "next", value="x"), "no such step; the steps are company, confirm, contract"),
        (changed("steps", 1, "next", value=7), "steps[1].next is 7; give the id of a step, or a list"),
        (changed("steps", 1, "next", value=[]), "steps[1].next is empty; give a list"),
        (changed("steps", 1, "next", value=["x"]), "steps[1].next[0] is 'x'; give a table with step, when"),
        (changed("steps", 1, "next", value=[{"when": "true"}]), "steps[1].next[0] has no step"),
        (changed("steps", 1, "next", value=[{"step": None}]), "steps[1].next[0].step is null; give the id of a step"),
        (
            changed("steps", 1, "next", value=[{"step": "confirm"}] * 2),
            "steps[1].next[1] stands behind one without when, and so is never asked",
        ),
        (
            changed("steps", 0, "next", value=[{"step": "confirm", "when": "collected.size == 'large'"}]),
            "steps[0].next[0] is the last and has a when, so that there may be no way on; add one without when",
        ),
        (
            changed("steps", 0, "next", value=[{"step": "confirm"}] * 51),
            "steps[0].next has 51 entries; give at most 50",
        ),
        (changed("steps", 0, "next", value="confirm"), "steps[1] is step 'contract', which can never be reached"),
        (steps({"id": "a", "final": True}, {"id": "b"}), "steps[1] is step 'b', which can never be reached"),
        (steps({"id": "a", "next": "a"}), "steps[0].next goes round in a circle: a, then a"),
        (
            changed("steps", 1, "next", value="company"),
            "steps[1].next goes round in a circle: company, then contract, then company; lead to a step further on",
        ),
        (
            steps({"id": "a"}, {"id": "b"}, {"id": "c", "next": [{"step": "b"}]}),
            "steps[2].next goes round in a circle: b, then c, then b",
        ),
        (changed("steps", 0, "collects", value=["company"]), 'a list; give a table with a type for each name, as in {'),
        (
            changed("steps", 2, "collects", "company", value="text"),
            "steps[2].collects.company is collected by step 'company' already; a field belongs to one step",
        ),
        (
            changed("steps", 0, "collects", value={f"f{number}": "text" for number in range(101)}),
            "steps[0].collects has 101 fields; give at most 100",
        ),
    ],
)  # fmt: skip
def test_a_wrong_definition_is_refused_with_the_place_and_the_reason(document: Any, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        dialogue_from(document)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("money", ".x is 'money'; the types are text, integer, number, boolean, date, datetime, email, choice, texts"),
        ("txt", ".x is 'txt'; did you mean text? The types are"),
        (7, ".x is 7; the types are"),
        (None, ".x is null; the types are"),
        (["text"], ".x is a list; the types are"),
        ({"type": "int"}, ".x.type is 'int'; did you mean integer?"),
        ({}, ".x has no type; the types are"),
        ({"type": "text", "optionel": True}, ".x.optionel is no field; did you mean optional?"),
        ({"type": "text", "optional": 1}, ".x.optional is 1; give true or false"),
        ({"type": "text", "minimum": 1}, "minimum is nothing that a field of type text has; it has type, optional,"),
        ({"type": "integer", "pattern": "a"}, "pattern is nothing that a field of type integer has"),
        ({"type": "boolean", "choices": ["a"]}, "choices is nothing that a field of type boolean has"),
        ({"type": "integer", "minimum": 1.5}, ".x.minimum is 1.5; give a whole number"),
        ({"type": "integer", "minimum": True}, ".x.minimum is true; give a whole number"),
        ({"type": "integer", "maximum": 2**53 + 1}, ".x.maximum is 9,007,199,254,740,993; give a smaller number"),
        ({"type": "number", "minimum": float("nan")}, ".x.minimum is nan; give a smaller number"),
        ({"type": "number", "minimum": 10**400}, ".x.minimum is a number of many digits; give a smaller number"),
        ({"type": "number", "minimum": "1"}, ".x.minimum is '1'; give a number"),
        ({"type": "number", "minimum": 2, "maximum": 1.5}, ".x.maximum is 1.5, below minimum, which is 2"),
        ({"type": "text", "max_characters": 0}, ".x.max_characters is 0; give a whole number, 1 to 100,000"),
        ({"type": "text", "max_characters": 100_001}, ".x.max_characters is 100,001; give a whole number"),
        ({"type": "texts", "max_characters": True}, ".x.max_characters is true; give a whole number"),
        ({"type": "text", "pattern": "("}, ".x.pattern is no regular expression: missing )"),
        ({"type": "text", "pattern": "(?i)a"}, ".x.pattern is no regular expression: global flags"),
        ({"type": "text", "pattern": "a)|(b"}, ".x.pattern is no regular expression: unbalanced"),
        ({"type": "text", "pattern": 7}, ".x.pattern is 7; give a text"),
        ({"type": "text", "pattern": "a" * 501}, ".x.pattern has 501 characters; give at most 500"),
        ("choice", ".x has no choices; give them, as in choices"),
        ({"type": "choice", "choices": []}, ".x.choices is empty; give a list"),
        ({"type": "choice", "choices": "ab"}, ".x.choices is 'ab'; give a list"),
        ({"type": "choice", "choices": ["a", 7]}, ".x.choices[1] is 7; give a text"),
        ({"type": "choice", "choices": ["a", " "]}, ".x.choices[1] is ' '; give a text on one line"),
        ({"type": "choice", "choices": ["a", "a"]}, ".x.choices[1] is 'a', as one before it; give each once"),
        ({"type": "choice", "choices": [str(n) for n in range(101)]}, ".x.choices has 101 entries; give at most 100"),
    ],
)  # fmt: skip
def test_a_wrong_field_is_refused_with_the_place_and_the_reason(field: Any, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        dialogue_from(steps({"id": "s", "collects": {"x": field}}))
    assert "steps[0].collects.x" in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "is no name for a field"),
        ("1a", "is no name for a field"),
        ("a-b", "is no name for a field; give 1 to 64 letters without accents, digits and _, the first a letter"),
        ("größe", "is no name for a field"),
        ("a" * 65, "is no name for a field"),
        (7, "is no name for a field"),
        ("in", "is a word that means something in rules; give the field another name"),
        ("while", "is a word that means something in rules"),
    ],
)
def test_a_field_has_a_name_that_rules_can_say(name: Any, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        dialogue_from(steps({"id": "s", "collects": {name: "text"}}))
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("path", "rule", "told"),
    [
        (("steps", 1, "when"), "collected.employees >", "steps[1].when: expected a value"),
        (("steps", 1, "when"), "collected.employes > 3", "no step collects employes; did you mean employees?"),
        (("steps", 1, "when"), "employees > 3", "employees is not known here; write collected.employees"),
        (("steps", 1, "when"), "signals.a > 3", "signals is not known here"),
        (("steps", 1, "when"), "collected.company > 3", "collected.company is a text, and 3 a number"),
        (("steps", 1, "when"), "collected > 3", "collected has names behind a dot: write collected.company"),
        (("steps", 1, "when"), "collected.company", "is a text"),
        (("steps", 1, "when"), "1 < 2", "this names nothing that is collected, and so is always the same"),
        (("steps", 1, "when"), "collected.renews_on != ''", "renews_on is collected by no step that comes before"),
        (("steps", 0, "when"), "collected.company != ''", "earlier are none"),
        (("steps", 1, "complete_when"), "collected.confirmed", "confirmed is collected by no step that comes before"),
        (("steps", 0, "next", 0, "when"), "collected.confirmed", "by no step that comes before this is asked"),
        (("steps", 1, "complete_when"), "days_until(collected.renews_on) > 3", "compare with a date, as in"),
        (("steps", 1, "when"), "collected.company.matches('(')", "this is no regular expression"),
        (("steps", 1, "when"), "collected.a\0", "here is a NUL character: leave it out"),
        (("steps", 1, "when"), "collected.employees > 1" + " " * 2000, "characters, and at most 2,000 are read"),
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_told_is_refused(path: tuple[str | int, ...], rule: str, told: str) -> None:
    with pytest.raises(RuleError) as caught:
        dialogue_from(changed(*path, value=rule))
    assert told in str(caught.value)
    assert "conversation 'renewal': steps[" in str(caught.value)


@pytest.mark.parametrize(("rule", "told"), [(7, "is 7; give a rule"), ("", "is blank"), (" ", "is blank")])
def test_what_is_no_rule_is_refused(rule: Any, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        dialogue_from(changed("steps", 1, "when", value=rule))


def test_a_step_may_lead_up_where_no_circle_comes_of_it() -> None:
    dialogue: Dialogue = dialogue_from(
        steps({"id": "a", "next": "c"}, {"id": "b", "final": True}, {"id": "c", "next": "b"})
    )
    assert [step.id for step in dialogue.steps] == ["a", "b", "c"]


def test_a_rule_may_name_what_some_way_to_it_collects() -> None:
    branches = [{"step": "b", "when": "collected.one"}, {"step": "c"}]
    dialogue_from(
        steps(
            {"id": "a", "collects": {"one": "boolean"}, "next": branches},
            {"id": "b", "collects": {"two": "boolean"}},
            {"id": "c", "when": "collected.two"},
        )
    )
    with pytest.raises(RuleError, match="two is collected by no step that comes before this is asked; earlier are one"):
        dialogue_from(
            steps(
                {"id": "a", "collects": {"one": "boolean"}, "next": branches},
                {"id": "b", "collects": {"two": "boolean"}, "final": True},
                {"id": "c", "when": "collected.two"},
            )
        )
