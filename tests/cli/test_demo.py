"""`holdfast demo`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.cli.demo import find_examples
from tests.cli.tool import call


def test_the_example_is_found() -> None:
    assert (find_examples() / "email_desk" / "demo.py").is_file()


@pytest.mark.slow
def test_the_samples_are_answered_once(tmp_path: Path) -> None:
    first = call(tmp_path, "demo", "--exit", "--json", url="sqlite:///configured.db").stdout
    assert json.loads(first)["messages"] == 14
    drafts = sorted(path.name for path in (tmp_path / "drafts").iterdir())
    assert drafts
    json.loads(call(tmp_path, "demo", "--exit", "--json").stdout)
    assert sorted(path.name for path in (tmp_path / "drafts").iterdir()) == drafts
    assert (tmp_path / "holdfast-demo.db").exists()
    assert not (tmp_path / "configured.db").exists()


@pytest.mark.slow
def test_no_mail_is_a_usage_error(tmp_path: Path) -> None:
    call(tmp_path, "demo", "--exit", "--mail", "absent", code=2)
