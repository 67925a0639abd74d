"""The older build of an upgrade: this project's code as it was at an earlier commit, or a copy of it."""

import shutil
import subprocess
from pathlib import Path

from tests.verification.fleet import ROOT

MIGRATIONS = "src/holdfast/store/postgres/migrations"


def older_build(folder: Path, revision: str | None = None) -> tuple[Path, str]:
    """Put an older build's code into a folder.

    Args:
        folder: for the code.
        revision: of which commit; unless given, the newest that knows fewer migrations than this tree. Where there is
            no history the build is a copy of this tree that says it is another version.

    Returns:
        What is put into ``PYTHONPATH``, and which build it is, in words.
    """
    found = revision or _before_the_last_migration()
    folder.mkdir()
    if found is not None:
        archive = subprocess.run(["git", "-C", str(ROOT), "archive", found, "src"], capture_output=True)
        if archive.returncode == 0:
            subprocess.run(["tar", "x", "-C", str(folder)], input=archive.stdout, check=True)
            return folder / "src", found
        if revision is not None:
            raise ValueError(f"there is no commit {revision!r} here: {archive.stderr.decode().strip()}")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    package = folder / "src" / "holdfast" / "__init__.py"
    package.write_text(package.read_text("utf-8").replace('__version__ = "', '__version__ = "0.0.'), "utf-8")
    return folder / "src", "a copy of this tree"


def _before_the_last_migration() -> str | None:
    here = {path.name for path in (ROOT / MIGRATIONS).glob("*.sql")}
    try:
        history = subprocess.run(
            ["git", "-C", str(ROOT), "log", "--format=%h", "-20", "--", MIGRATIONS], capture_output=True, text=True
        ).stdout.split()
        for commit in [f"{one}~" for one in history]:
            files = subprocess.run(
                ["git", "-C", str(ROOT), "ls-tree", "--name-only", commit, f"{MIGRATIONS}/"],
                capture_output=True, text=True,
            ).stdout.split()  # fmt: skip
            if files and len(files) < len(here):
                return commit
    except OSError:  # no git
        pass
    return None
