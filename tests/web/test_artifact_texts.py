"""How two texts differ, line by line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.web.artifact_texts import LINES_COMPARED, difference, text_of

TEXTS = st.lists(st.sampled_from(["a", "b", "c", "", "{"]), max_size=30).map("\n".join)


@given(TEXTS, TEXTS)
def test_each_side_is_in_the_difference_whole_and_in_order(left: str, right: str) -> None:
    found = difference(left, right, whole=True)
    before = [(line.left, line.text) for line in found.lines if line.left is not None]
    after = [(line.right, line.text) for line in found.lines if line.right is not None]
    assert before == list(enumerate(left.splitlines(), 1))
    assert after == list(enumerate(right.splitlines(), 1))
    assert all((line.mark == "same") == (None not in (line.left, line.right)) for line in found.lines)
    assert (found.removed, found.added) == (
        sum(line.mark == "removed" for line in found.lines), sum(line.mark == "added" for line in found.lines)
    )  # fmt: skip
    assert not found.cut


@given(TEXTS, TEXTS)
def test_what_is_left_out_is_counted_and_the_same(left: str, right: str) -> None:
    whole, short = difference(left, right, whole=True), difference(left, right)
    shown = [line for line in short.lines if line.mark != "left out"]
    left_out = sum(int(line.text) for line in short.lines if line.mark == "left out")
    assert len(shown) + left_out == len(whole.lines)
    assert [line for line in shown if line.mark != "same"] == [line for line in whole.lines if line.mark != "same"]


def test_long_texts_are_compared_to_a_bound_behind_what_they_begin_with() -> None:
    same = "same\n" * 10_000
    found = difference(same + "a\n", same + "b\n")
    assert (found.removed, found.added, found.cut) == (1, 1, False)
    cut = difference(same + "a\n" * (LINES_COMPARED + 1), same + "b\n")
    assert (cut.removed, cut.added, cut.cut) == (LINES_COMPARED, 1, True)


@pytest.mark.parametrize(
    ("media_type", "content", "text"),
    [
        ("application/json", b'{"a":[1.10,"\\u00e9"]}', '{\n  "a": [\n    1.10,\n    "\\u00e9"\n  ]\n}'),
        ("application/problem+json", b"{}", "{}"),
        ("text/markdown", b"\xef\xbb\xbf# A\n", "# A\n"),
        ("image/svg+xml", b"<svg/>", "<svg/>"),
        ("text/plain", b"\xff", None),
        ("image/png", b"a", None),
        ("", b"a", None),
    ],
)
def test_what_is_a_text_is_told_by_its_type(media_type: str, content: bytes, text: str | None) -> None:
    assert text_of(media_type, content) == text
