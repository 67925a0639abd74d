"""The public names of `holdfast.testing` are sorted, documented in the code, and on their page of the reference."""

import inspect
import re
from pathlib import Path

import pytest

from holdfast import testing
from holdfast.testing import fixtures

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "testing.md").read_text(encoding="utf-8")


def section(name: str) -> str:
    found = re.search(rf"^## `{name}`$(?P<text>.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, f"docs/reference/testing.md says nothing of {name}"
    return found["text"]


def test_the_names_are_sorted_and_complete() -> None:
    assert testing.__all__ == sorted(testing.__all__)
    public = {name for name, value in vars(testing).items() if not name.startswith("_") and not inspect.ismodule(value)}
    assert public == set(testing.__all__)


@pytest.mark.parametrize("name", testing.__all__)
def test_a_name_is_documented(name: str) -> None:
    assert (getattr(testing, name).__doc__ or "").strip()
    assert section(name).strip()


def test_every_argument_and_member_of_the_environment_is_on_the_page() -> None:
    said = section("Environment")
    for parameter in list(inspect.signature(testing.Environment).parameters):
        assert re.search(rf"^- `{parameter}`", said, re.MULTILINE), parameter
    for name, member in vars(testing.Environment).items():
        if name.startswith("_"):
            continue
        assert (member.__doc__ or "").strip(), name
        written = re.search(rf"^### `(await )?env\.{name}(\((?P<parameters>[^`]*)\))?`$", said, re.MULTILINE)
        assert written, name
        if inspect.isfunction(member):
            for parameter in list(inspect.signature(member).parameters)[1:]:
                assert re.search(rf"\b{parameter}\b", written["parameters"]), f"{name}: {parameter}"


@pytest.mark.parametrize("name", ["holdfast_environment", "holdfast_options"])
def test_every_fixture_is_on_the_page(name: str) -> None:
    assert (getattr(fixtures, name).__doc__ or "").strip()
    assert f"`{name}`" in section("holdfast.testing.fixtures")
