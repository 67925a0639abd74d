"""A release is refused until the tree says everywhere what is released."""

import subprocess
from pathlib import Path

import pytest

from deploy.release import NotReady, check_tree

READY = {
    "pyproject.toml": '[project]\nname = "holdfast"\nversion = "1.2.3"\n',
    "src/holdfast/__init__.py": '__version__ = "1.2.3"\n',
    "CHANGELOG.md": "# Changelog\n\n## [1.2.3] - 2026-11-29\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet")
    return tmp_path


def git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.com")
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True, timeout=60)


def commit(root: Path, **changed: str) -> None:
    names = {"toml": "pyproject.toml", "code": "src/holdfast/__init__.py", "log": "CHANGELOG.md"}
    for name, text in {**READY, **{names[short]: text for short, text in changed.items()}}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "all of it")


def test_a_tree_that_is_ready_has_a_version(tree: Path) -> None:
    commit(tree)
    assert check_tree(tree) == "1.2.3"


def test_what_is_not_committed_is_not_released(tree: Path) -> None:
    commit(tree)
    (tree / "left").touch()
    with pytest.raises(NotReady, match="left"):
        check_tree(tree)


@pytest.mark.parametrize(
    ("changed", "why"),
    [({"code": '__version__ = "1.2.4"\n'}, "another version"), ({"log": "## [Unreleased]\n"}, "CHANGELOG")],
)
def test_a_version_that_is_not_the_same_everywhere_is_not_released(
    tree: Path, changed: dict[str, str], why: str
) -> None:
    commit(tree, **changed)
    with pytest.raises(NotReady, match=why):
        check_tree(tree)


def test_a_version_is_released_once(tree: Path) -> None:
    commit(tree)
    git(tree, "tag", "v1.2.3")
    with pytest.raises(NotReady, match="raise the version"):
        check_tree(tree)
