"""Progress: which step is next, and how much is done, from what is collected alone; over branches too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.errors import UsageError
from holdfast.model.dialogues import Dialogue, Progress, dialogue_from, progress_of


def dialogue(*steps: dict[str, Any]) -> Dialogue:
    return dialogue_from({"conversation": {"id": "d"}, "steps": list(steps)})


def told(progress: Progress) -> tuple[str | None, int, int]:
    return progress.current, progress.total, progress.percent


PLAIN = dialogue(
    {"id": "a", "collects": {"one": "text", "note": {"type": "text", "optional": True}}},
    {"id": "b", "collects": {"two": "integer"}},
    {"id": "c", "collects": {"sure": "boolean"}, "complete_when": "collected.sure", "final": True},
)


@pytest.mark.parametrize(
    ("collected", "expected"),
    [
        ({}, ("a", 3, 0)),
        ({"note": "x"}, ("a", 3, 0)),
        ({"one": None}, ("a", 3, 0)),
        ({"one": "x"}, ("b", 3, 33)),
        ({"one": "x", "two": 0}, ("c", 3, 66)),
        ({"two": 2}, ("a", 3, 33)),
        ({"one": "x", "two": 2, "sure": False}, ("c", 3, 66)),
        ({"one": "x", "two": 2, "sure": True}, (None, 3, 100)),
        ({"one": "x", "two": 2, "sure": True, "else": 1}, (None, 3, 100)),
        ({"one": "x", "sure": True}, ("b", 3, 66)),
    ],
)
def test_steps_follow_one_another(collected: dict[str, Any], expected: tuple[str | None, int, int]) -> None:
    progress = progress_of(PLAIN, collected)
    assert told(progress) == expected
    assert progress.is_over == progress.is_complete == (expected[0] is None)
    assert progress.way == ("a", "b", "c")


def test_the_percent_is_rounded_down() -> None:
    many = dialogue(*({"id": str(n), "collects": {f"f{n}": "boolean"}} for n in range(200)))
    for done in (0, 1, 2, 3, 199, 200):
        assert progress_of(many, {f"f{n}": False for n in range(done)}).percent == done // 2


BRANCHED = dialogue(
    {
        "id": "kind",
        "collects": {"kind": {"type": "choice", "choices": ["short", "long"]}},
        "next": [{"step": "end", "when": "collected.kind == 'short'"}, {"step": "x"}],
    },
    {"id": "x", "collects": {"x": "text"}},
    {"id": "y", "collects": {"y": "text"}},
    {"id": "end", "collects": {"sure": "boolean"}, "final": True},
)


@pytest.mark.parametrize(
    ("collected", "way", "expected"),
    [
        ({}, ("kind", "x", "y", "end"), ("kind", 4, 0)),
        ({"kind": "short"}, ("kind", "end"), ("end", 2, 50)),
        ({"kind": "long"}, ("kind", "x", "y", "end"), ("x", 4, 25)),
        ({"kind": "long", "x": "a"}, ("kind", "x", "y", "end"), ("y", 4, 50)),
        ({"kind": "short", "x": "a"}, ("kind", "end"), ("end", 2, 50)),
        ({"x": "a"}, ("kind", "y", "end"), ("kind", 3, 0)),
        ({"x": "a", "y": "b", "sure": True}, ("kind", "end"), ("kind", 2, 50)),
        ({"kind": "short", "sure": False}, ("kind", "end"), (None, 2, 100)),
        ({"kind": "long", "sure": False}, ("kind", "x", "y", "end"), ("x", 4, 50)),
        ({"sure": True}, ("kind", "x", "y", "end"), ("kind", 4, 25)),
    ],
)
def test_an_undecided_branch_counts_with_its_longest_way(
    collected: dict[str, Any], way: tuple[str, ...], expected: tuple[str | None, int, int]
) -> None:
    progress = progress_of(BRANCHED, collected)
    assert progress.way == way
    assert told(progress) == expected


def test_a_changed_answer_changes_the_way_and_nothing_remembers_the_old_one() -> None:
    state: dict[str, Any] = {"kind": "long", "x": "a", "y": "b"}
    assert told(progress_of(BRANCHED, state)) == ("end", 4, 75)
    assert told(progress_of(BRANCHED, state | {"kind": "short"})) == ("end", 2, 50)
    del state["kind"]
    assert progress_of(BRANCHED, state).current == "kind"
    assert told(progress_of(BRANCHED, state | {"kind": "long"})) == ("end", 4, 75)
    assert told(progress_of(BRANCHED, {})) == ("kind", 4, 0)


CONDITIONAL = dialogue(
    {"id": "a", "collects": {"n": {"type": "integer", "optional": True}, "one": "text"}},
    {"id": "b", "collects": {"two": "text"}, "when": "collected.n > 10"},
    {"id": "c", "collects": {"three": "text"}, "final": True},
)


@pytest.mark.parametrize(
    ("collected", "expected"),
    [
        ({}, ("a", 3, 0)),
        ({"n": 5}, ("a", 2, 0)),
        ({"n": 11}, ("a", 3, 0)),
        ({"one": "x"}, ("c", 2, 50)),
        ({"n": 11, "one": "x"}, ("b", 3, 33)),
        ({"n": 5, "one": "x", "three": "x"}, (None, 2, 100)),
        ({"n": 5, "one": "x", "two": "x"}, ("c", 2, 50)),
        ({"n": 11, "one": "x", "three": "x"}, ("b", 3, 66)),
    ],
)
def test_a_step_whose_rule_fails_is_not_counted(
    collected: dict[str, Any], expected: tuple[str | None, int, int]
) -> None:
    assert told(progress_of(CONDITIONAL, collected)) == expected


OPTIONAL = dialogue(
    {"id": "a", "collects": {"one": "text"}},
    {"id": "b", "collects": {"two": "text", "three": "text"}, "optional": True},
    {"id": "c", "collects": {"four": "text"}, "final": True},
)


@pytest.mark.parametrize(
    ("collected", "passed", "expected"),
    [
        (["one"], [], ("b", 3, 33)),
        (["one"], ["b"], ("c", 3, 66)),
        ([], ["b"], ("a", 3, 33)),
        (["one"], ["a", "c", "else"], ("b", 3, 33)),
        (["one", "two"], [], ("b", 3, 33)),
        (["one", "two", "three"], [], ("c", 3, 66)),
        (["one", "four"], [], (None, 3, 100)),
        (["one", "two", "three", "four"], ["b"], (None, 3, 100)),
    ],
)
def test_an_optional_step_may_be_passed_over(
    collected: list[str], passed: list[str], expected: tuple[str | None, int, int]
) -> None:
    assert told(progress_of(OPTIONAL, dict.fromkeys(collected, "x"), passed)) == expected


def test_a_step_that_collects_nothing_is_complete_once_it_was_said() -> None:
    welcome = dialogue({"id": "hello"}, {"id": "a", "collects": {"one": {"type": "text", "optional": True}}})
    assert told(progress_of(welcome, {})) == ("hello", 2, 0)
    assert told(progress_of(welcome, {}, ["hello"])) == ("a", 2, 50)
    assert told(progress_of(welcome, {}, ["hello", "a"])) == (None, 2, 100)
    assert told(progress_of(welcome, {"one": "x"}, ["hello"])) == (None, 2, 100)


def test_only_a_final_step_ends_a_dialogue() -> None:
    open_end = dialogue({"id": "a", "collects": {"one": "text"}})
    progress = progress_of(open_end, {"one": "x"})
    assert (progress.percent, progress.is_complete, progress.is_over) == (100, True, False)
    early = dialogue(
        {
            "id": "a",
            "collects": {"ok": "boolean"},
            "next": [{"step": "b", "when": "collected.ok"}, {"step": "sorry"}],
        },
        {"id": "sorry", "collects": {"reason": "text"}, "final": True},
        {"id": "b", "collects": {"one": "text"}},
    )
    assert progress_of(early, {"ok": False, "reason": "x"}).is_over
    assert not progress_of(early, {"ok": True, "one": "x"}).is_over
    assert told(progress_of(early, {"ok": True, "one": "x"})) == (None, 2, 100)


def test_a_dialogue_of_which_no_step_is_on_the_way_is_complete() -> None:
    none = dialogue(
        {"id": "a", "collects": {"ok": "boolean"}},
        {"id": "b", "collects": {"one": "text"}, "when": "collected.ok", "final": True},
    )
    assert told(progress_of(none, {"ok": False})) == (None, 1, 100)
    assert not progress_of(none, {"ok": False}).is_over


COMPLETING = dialogue(
    {
        "id": "a",
        "collects": {"n": "integer", "why": {"type": "text", "optional": True}},
        "complete_when": "collected.n < 10 || has(collected.why)",
    },
    {"id": "b", "collects": {"x": {"type": "text", "optional": True}}, "complete_when": "!(collected.x == 'no')"},
)


@pytest.mark.parametrize(
    ("collected", "passed", "expected"),
    [
        ({}, [], ("a", 2, 0)),
        ({"why": "x"}, [], ("a", 2, 0)),
        ({"n": 3}, [], ("b", 2, 50)),
        ({"n": 30}, [], ("a", 2, 0)),
        ({"n": 30, "why": "x"}, [], ("b", 2, 50)),
        ({"n": 3, "x": "no"}, [], ("b", 2, 50)),
        ({"n": 3, "x": "yes"}, [], (None, 2, 100)),
        ({"n": 3}, ["b"], (None, 2, 100)),
        ({"n": 3, "x": "no"}, ["b"], ("b", 2, 50)),
    ],
)
def test_a_step_is_complete_with_its_fields_and_if_its_rule_holds(
    collected: dict[str, Any], passed: list[str], expected: tuple[str | None, int, int]
) -> None:
    assert told(progress_of(COMPLETING, collected, passed)) == expected


@pytest.mark.parametrize(
    ("rule", "said", "holds"),
    [
        ("'n' in collected", {"n": 1}, True),
        ("'n' in collected", {}, False),
        ("!('n' in collected)", {}, True),
        ("collected.tags.exists(one, collected.tags.exists(two, two != one))", {"tags": ["a", "a"]}, False),
        ("collected.tags.exists(one, collected.tags.exists(two, two != one))", {"tags": ["a", "b"]}, True),
        ("has(collected.n) ? collected.n > 1 : 'x' in collected.tags", {"n": 2}, True),
        ("has(collected.n) ? collected.n > 1 : 'x' in collected.tags", {"tags": ["x"]}, True),
        ("has(collected.n) ? collected.n > 1 : 'x' in collected.tags", {"n": 1, "tags": ["x"]}, False),
    ],
)
def test_a_rule_is_asked_of_what_is_collected(rule: str, said: dict[str, Any], holds: bool) -> None:
    asked = dialogue(
        {
            "id": "a",
            "collects": {"n": {"type": "integer", "optional": True}, "tags": {"type": "texts", "optional": True}},
        },
        {"id": "b", "collects": {"two": "text"}, "when": rule},
    )
    assert progress_of(asked, said, ["a"]).way == (("a", "b") if holds else ("a",))


def test_rules_go_through_lists_and_texts() -> None:
    rules = dialogue(
        {"id": "a", "collects": {"tags": "texts", "mail": "email", "on": "date"}},
        {"id": "b", "collects": {"one": "text"}, "when": "collected.tags.exists(t, t.matches('^v'))"},
        {"id": "c", "collects": {"two": "text"}, "when": "collected.mail.endsWith('.org') && size(collected.tags) > 1"},
        {"id": "d", "collects": {"three": "text"}, "when": "collected.on >= '2026-01-31' && 'vip' in collected.tags"},
    )
    said = {"tags": ["x", "vip"], "mail": "a@example.org", "on": "2026-01-31"}
    assert progress_of(rules, said).way == ("a", "b", "c", "d")
    assert progress_of(rules, said | {"tags": ["x"]}).way == ("a",)
    assert progress_of(rules, said | {"on": "2026-01-30"}).way == ("a", "b", "c")


class Walk(NamedTuple):
    """A dialogue, and what somebody answers: of each field its value, or None where they do not say."""

    dialogue: Dialogue
    answers: Mapping[str, int | None]


@st.composite
def dialogues(draw: st.DrawFn) -> Dialogue:
    """Up to eight steps with rules of every kind, that lead down to any step below."""
    count = draw(st.integers(1, 8))
    steps: list[dict[str, Any]] = []

    def rule(names: list[str]) -> str:
        name, op, bound = (
            draw(st.sampled_from(names)),
            draw(st.sampled_from(["<", "!=", "has"])),
            draw(st.integers(0, 3)),
        )
        plain = f"has(collected.{name})" if op == "has" else f"collected.{name} {op} {bound}"
        if draw(st.booleans()):
            return plain
        return f"!({plain})" if draw(st.booleans()) else f"{plain} || collected.{draw(st.sampled_from(names))} == 0"

    for number in range(count):
        names = [f"f{number}_{index}" for index in range(draw(st.integers(0, 2)))]
        earlier = [name for step in steps for name in step["collects"]]
        step: dict[str, Any] = {
            "id": f"s{number}",
            "collects": {name: {"type": "integer", "optional": draw(st.booleans())} for name in names},
            "optional": draw(st.booleans()),
        }
        if earlier and draw(st.booleans()):
            step["when"] = rule(earlier)
        if names and draw(st.integers(0, 3)) == 0:
            # Holds whatever is answered, once it is.
            step["complete_when"] = f"collected.{names[0]} >= 0 || !has(collected.{names[0]})"
        if number == count - 1 or draw(st.integers(0, 5)) == 0:
            step["final"] = draw(st.booleans())
        if not step.get("final") and number < count - 1 and draw(st.booleans()):
            to = st.integers(number + 1, count - 1).map(lambda place: f"s{place}")
            branches = (
                [{"step": draw(to), "when": rule(earlier + names)} for _ in range(draw(st.integers(0, 2)))]
                if earlier + names
                else []
            )
            step["next"] = [*branches, {"step": draw(to)}]
        steps.append(step)
    return _reachable(steps)


def _reachable(steps: list[dict[str, Any]]) -> Dialogue:
    """The dialogue without steps that cannot be reached, and rules about what is then not collected."""
    while True:
        try:
            return dialogue(*steps)
        except UsageError as error:
            place = int(str(error).split("steps[")[1].split("]")[0])
            if "never be reached" in str(error):
                gone = steps.pop(place)["id"]
                for step in steps:
                    if "next" in step:
                        step["next"] = [one for one in step["next"] if one["step"] != gone]
                        if not step["next"] or "when" in step["next"][-1]:
                            del step["next"]
            elif ".next" in str(error):
                del steps[place]["next"]
            else:
                del steps[place]["when"]


@st.composite
def walks(draw: st.DrawFn) -> Walk:
    found = draw(dialogues())
    return Walk(
        found,
        {
            name: None if one.optional and draw(st.booleans()) else draw(st.integers(0, 3))
            for name, one in found.fields.items()
        },
    )


SEARCH = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def _sane(progress: Progress) -> None:
    assert 0 <= progress.percent <= 100
    assert (progress.percent == 100) == progress.is_complete == (progress.current is None)
    assert progress.total == len(set(progress.way))
    assert set(progress.completed) <= set(progress.way)
    assert progress.current is None or progress.current in progress.way
    assert not progress.is_over or progress.percent == 100


def _left(progress: Progress) -> int:
    return progress.total - len(progress.completed)


@SEARCH
@given(walks(), st.data())
def test_answered_in_order_progress_never_falls_and_comes_to_its_end(walk: Walk, data: st.DataObject) -> None:
    collected: dict[str, Any] = {}
    passed: list[str] = []
    progress = progress_of(walk.dialogue, collected)
    asked: list[str] = []
    while progress.current is not None:
        _sane(progress)
        asked.append(progress.current)
        assert len(asked) == len(set(asked)), "each step is asked once"
        [step] = [step for step in walk.dialogue.steps if step.id == progress.current]
        if step.optional and data.draw(st.booleans()):
            passed.append(step.id)
        else:
            collected |= {one.name: value for one in step.fields if (value := walk.answers[one.name]) is not None}
            passed += [step.id] * (not step.needed)
        later = progress_of(walk.dialogue, collected, passed)
        assert later.percent >= progress.percent
        assert _left(later) < _left(progress)
        assert step.id in later.completed
        progress = later
    _sane(progress)
    assert list(progress.way) == asked
    assert progress.is_over == (bool(asked) and next(s for s in walk.dialogue.steps if s.id == asked[-1]).final)


@SEARCH
@given(walks(), st.data())
def test_in_whatever_order_what_is_awaited_comes_progress_never_falls(walk: Walk, data: st.DataObject) -> None:
    collected: dict[str, Any] = {}
    passed: list[str] = []
    progress = progress_of(walk.dialogue, collected)
    while progress.awaited:
        _sane(progress)
        name = data.draw(st.sampled_from(progress.awaited))
        [step] = [step for step in walk.dialogue.steps if any(one.name == name for one in step.fields)]
        if step.optional and step.id not in passed and data.draw(st.booleans()):
            passed.append(step.id)
        else:
            collected[name] = data.draw(st.integers(0, 3))
        later = progress_of(walk.dialogue, collected, passed)
        assert later.percent >= progress.percent
        assert _left(later) <= _left(progress)
        progress = later


@SEARCH
@given(walks(), st.data())
def test_whatever_is_collected_progress_is_sane_and_the_same_again(walk: Walk, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from([*walk.answers, "other"]), unique=True))
    collected = {name: walk.answers.get(name, 1) for name in names}
    passed = data.draw(st.lists(st.sampled_from([step.id for step in walk.dialogue.steps]), unique=True))
    progress = progress_of(walk.dialogue, collected, passed)
    _sane(progress)
    assert progress_of(walk.dialogue, dict(reversed(collected.items())), passed[::-1]) == progress


@SEARCH
@given(walks())
def test_with_everything_collected_the_way_is_the_one_that_the_rules_say(walk: Walk) -> None:
    """Against a plain walk down the definition, in which every rule is asked of what was collected."""
    collected = {name: value for name, value in walk.answers.items() if value is not None}
    passed = [step.id for step in walk.dialogue.steps if not step.needed]
    way, place = [], 0
    ids = [step.id for step in walk.dialogue.steps]
    while place < len(ids):
        step = walk.dialogue.steps[place]
        if step.when is not None and not _holds(step.when, collected):
            place += 1
            continue
        way.append(step.id)
        to = next((one.step for one in step.next if one.when is None or _holds(one.when, collected)), None)
        place = len(ids) if step.final else place + 1 if to is None else ids.index(to)
    assert progress_of(walk.dialogue, collected, passed).way == tuple(way)


def _holds(rule: str, collected: Mapping[str, int]) -> bool:
    """What `dialogues` makes of rules, told in another way."""

    def simple(text: str) -> bool:
        if text.startswith("!("):
            return not simple(text[2:-1])
        if text.startswith("has("):
            return text.removeprefix("has(collected.").removesuffix(")") in collected
        name, op, bound = text.removeprefix("collected.").split(" ")
        value = collected.get(name)
        return value is not None and {"<": value < int(bound), "!=": value != int(bound), "==": value == int(bound)}[op]

    return any(simple(part) for part in rule.split(" || "))
