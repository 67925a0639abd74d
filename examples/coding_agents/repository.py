"""The repository: it is read, and changed in copies only, which lie in the workspace."""

from __future__ import annotations

import difflib
import shutil
from pathlib import Path

import holdfast as hf

from .results import Code, Patch

HERE = Path(__file__).parent
SAMPLE = HERE / "sample"


class Repository:
    """A small repository: all of it is shown to models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self) -> dict[str, str]:
        """The texts of its files, by path."""
        return {
            str(path.relative_to(self.folder)): path.read_text(encoding="utf-8")
            for path in sorted(self.folder.rglob("*"))
            if path.suffix in (".py", ".md", ".toml")
        }

    async def apply(self, code: Code, work: hf.Work) -> Patch:
        """Make a change in a copy of the repository: in each round another one, and the same if it is called again."""
        assert work.workspace is not None
        assert work.workspace.path is not None
        folder = f"change-{work.round}"
        copy = f"{folder}/repository"
        shutil.rmtree(work.workspace.path / copy, ignore_errors=True)
        shutil.copytree(self.folder, work.workspace.path / copy, ignore=shutil.ignore_patterns("__pycache__", ".git"))
        for file in code.files:
            # It refuses names that lead out of the workspace.
            await work.workspace.put(f"{copy}/{file.path}", file.text)
        known = self.files()
        diff = "".join(_diff(file.path, known.get(file.path, ""), file.text) for file in code.files)
        await work.workspace.put(f"{folder}/patch.diff", diff)
        return Patch(copy_in=copy, diff=diff)


def _diff(path: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}"
    )
    return "".join(lines)
