"""Every code block of the README and the docs runs, and prints what the page says it prints."""

import sys
from pathlib import Path

import pytest

from tests.code_blocks import Block, PageError, blocks_of, run

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def _name(block: Block) -> str:
    return f"{block.page.relative_to(ROOT)}:{block.line}"


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for page in PAGES for block in blocks_of(page)], ids=_name)
def test_block_runs(block: Block, tmp_path: Path) -> None:
    run(block, tmp_path, Path(sys.executable).parent)


def test_a_block_finds_the_named_files_of_earlier_blocks(tmp_path: Path) -> None:
    page = _page(tmp_path, "```python\n# shop.py\nPRICE = 3\n```\n", "```python\nimport shop\nprint(shop.PRICE)\n```\n")
    first, second = blocks_of(page)
    assert (first.files, second.files) == ({}, {"shop.py": "# shop.py\nPRICE = 3\n"})
    assert run(second, _folder(tmp_path), Path(sys.executable).parent) == "3\n"


def test_wrong_output_is_found(tmp_path: Path) -> None:
    (block,) = blocks_of(_page(tmp_path, "```python\nprint(1)\n```\n", "```output\n2\n```\n"))
    with pytest.raises(AssertionError, match="the page promises"):
        run(block, _folder(tmp_path), Path(sys.executable).parent)


@pytest.mark.parametrize("text", ["```python\nraise SystemExit(3)\n```\n", "```sh\nfalse | cat\n```\n"])
def test_failure_is_found(tmp_path: Path, text: str) -> None:
    (block,) = blocks_of(_page(tmp_path, text))
    with pytest.raises(AssertionError, match="exit status"):
        run(block, _folder(tmp_path), Path(sys.executable).parent)


def test_a_background_process_does_not_outlive_its_block(tmp_path: Path) -> None:
    (block,) = blocks_of(_page(tmp_path, "```sh\nsleep 300 &\necho started\n```\n"))
    assert run(block, _folder(tmp_path), Path(sys.executable).parent) == "started\n"


@pytest.mark.parametrize(
    "parts",
    [
        ["```python no-run\n1\n```\n"],
        ["<!-- not run: -->\n", "```python no-run\n1\n```\n"],
        ["```python title=x\n1\n```\n"],
        ["```output\n1\n```\n"],
        ["```python\n1\n```\n", "Text between.\n", "```output\n1\n```\n"],
    ],
)
def test_broken_rules_are_found(tmp_path: Path, parts: list[str]) -> None:
    with pytest.raises(PageError):
        blocks_of(_page(tmp_path, *parts))


def test_a_reason_excuses_a_block(tmp_path: Path) -> None:
    assert blocks_of(_page(tmp_path, "<!-- not run: it waits for a day -->\n", "```python no-run\n1\n```\n")) == []


def _page(folder: Path, *parts: str) -> Path:
    page = folder / "page.md"
    page.write_text("\n".join(parts), encoding="utf-8")
    return page


def _folder(folder: Path) -> Path:
    inner = folder / "run"
    inner.mkdir()
    return inner
