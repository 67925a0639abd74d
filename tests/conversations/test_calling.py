"""What of a model's text is for the user, however it is cut into pieces."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.conversations.calling import Spoken
from holdfast.conversations.defaults import parse
from holdfast.conversations.turns import Reply


def heard(text: str, cuts: list[int]) -> str:
    said: list[str] = []
    spoken = Spoken(said.append)
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        spoken(text[start:end])
    spoken.end()
    return "".join(said)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hello.", "Hello."),
        ("  Hello,\n\nworld. \n", "Hello,\n\nworld."),
        ('Hello.\n```json\n{"extracted": {}}\n```', "Hello."),
        ('{"message": "Hello."}', ""),
        ("\n {", ""),
        ("Some `code`, and\n```python\nx = 1\n```\nend", "Some `code`, and\n```python\nx = 1\n```\nend"),
        ("Ends with ``", "Ends with ``"),
        ("", ""),
    ],
)
@given(cuts=st.lists(st.integers(0, 1000), max_size=8))
def test_the_object_is_not_shown(text: str, shown: str, cuts: list[int]) -> None:
    assert heard(text, cuts) == shown
    assert heard(text, list(range(len(text)))) == shown


@given(text=st.text('ab{`json \n"}:', max_size=60), cuts=st.lists(st.integers(0, 1000), max_size=8))
def test_pieces_make_no_difference(text: str, cuts: list[int]) -> None:
    assert heard(text, cuts) == heard(text, [])


def test_what_is_shown_is_what_is_said_in_the_end() -> None:
    text = 'Good.\n\n```json\n{"extracted": {"company": "Acme"}}\n```\n'
    parsed = parse(Reply(text), None)  # type: ignore[arg-type]
    assert "".join(parsed.messages) == heard(text, [3, 9, 14])
    assert parsed.extracted == {"company": "Acme"}
