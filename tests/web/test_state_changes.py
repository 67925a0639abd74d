"""What a turn changed in the state, from the merge patches that are stored."""

from __future__ import annotations

from holdfast.web.state_changes import Changes


def test_changes_are_told_field_by_field_with_what_was_there_before() -> None:
    changes = Changes(from_the_start=True)
    first, _ = changes.of({"data": {}, "collected": {"a": 1, "b": {"c": "x"}}, "passed": []})
    assert [tuple(one) for one in first] == [("a", None, "1", True), ("b.c", None, "x", True)]
    second, _ = changes.of({"data": {"n": [1]}, "collected": {"a": None, "b": {"c": "y", "d": 2}}, "passed": ["s"]})
    assert [tuple(one) for one in second] == [
        ("data.n", None, "[1]", True), ("a", "1", None, True), ("b.c", "x", "y", True), ("b.d", None, "2", True),
        ("steps passed over", None, '["s"]', True),
    ]  # fmt: skip


def test_what_was_there_before_is_not_made_up_where_it_is_not_known() -> None:
    changes = Changes(from_the_start=False)
    later, _ = changes.of({"collected": {"a": 2}})
    assert [tuple(one) for one in later] == [("a", None, "2", False)]
    known, _ = changes.of({"collected": {"a": 3}})
    assert [tuple(one) for one in known] == [("a", "2", "3", True)]


def test_very_many_and_very_deep_changes_are_cut() -> None:
    many, more = Changes(from_the_start=True).of({"collected": {f"f{number}": number for number in range(60)}})
    assert (len(many), more) == (50, 10)
    deep: dict[str, object] = {"x": 1}
    for _ in range(400):
        deep = {"x": deep}
    assert len(Changes(from_the_start=True).of({"data": deep})[0]) == 1
