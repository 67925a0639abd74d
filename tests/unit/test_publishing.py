"""What is done with a message: rules that no mode overrides, and those that the mode makes."""

import pytest

from holdfast.model.publishing import PUBLISH_MODES, action


@pytest.mark.parametrize(
    ("verdict", "done"),
    [
        ("mode", ("withhold", "review", "send")),
        ("review", ("withhold", "review", "review")),
        ("refused", ("withhold", "withhold", "withhold")),
        ("shadow", ("withhold", "withhold", "withhold")),
        ("send", ("send", "send", "send")),
    ],
)
def test_the_verdict_comes_before_the_mode(verdict: str, done: tuple[str, ...]) -> None:
    assert PUBLISH_MODES == ("off", "draft", "auto")
    assert tuple(action(verdict, mode) for mode in PUBLISH_MODES) == done  # type: ignore[arg-type]
