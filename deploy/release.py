"""Builds a release: `make release`. Nothing is uploaded and nothing is tagged; what is left to do is printed.

A release is what anybody can build again: the wheel from the sdist is, byte for byte, the wheel from the tree, and the
times in both are the commit's.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"


class NotReady(Exception):
    """Why there is no release, and what to do."""


def main() -> None:
    """Ends with a message and a status other than 0 where something is missing."""
    try:
        version = check_tree(ROOT)
        os.environ["SOURCE_DATE_EPOCH"] = git(ROOT, "log", "-1", "--format=%ct")
        shutil.rmtree(DIST, ignore_errors=True)
        sdist = build(ROOT, DIST, "sdist")
        wheel = build(ROOT, DIST, "wheel")
        check_same(sdist, wheel)
    except NotReady as error:
        sys.exit(f"no release: {error}")
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in (sdist, wheel)]
    (DIST / "SHA256SUMS").write_text("".join(lines))
    print(f"{''.join(lines)}\nNow, when CI is green for this commit:")
    print(f"  git tag --annotate v{version} --message 'holdfast {version}' && git push origin v{version}")
    print(f"  .venv/bin/uv publish {sdist.relative_to(ROOT)} {wheel.relative_to(ROOT)}")
    print(f"  docker build --file deploy/Dockerfile --tag holdfast:{version} .")


def check_tree(root: Path) -> str:
    """The version that the tree is ready to be released as.

    Raises:
        NotReady: something is not committed, the version is not the same everywhere or is tagged already, or the
            changelog has nothing of it.
    """
    if changed := git(root, "status", "--porcelain"):
        raise NotReady(f"these files are not committed:\n{changed}")
    version = str(tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"])
    inside = re.search(r'^__version__ = "(.*)"$', (root / "src/holdfast/__init__.py").read_text(), re.MULTILINE)
    if inside is None or inside[1] != version:
        raise NotReady(f"pyproject.toml says {version}, and src/holdfast/__init__.py says another version")
    if not re.search(rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d$", (root / "CHANGELOG.md").read_text(), re.M):
        raise NotReady(f"CHANGELOG.md has no line '## [{version}] - YYYY-MM-DD'; write one over what is released")
    if git(root, "tag", "--list", f"v{version}"):
        raise NotReady(f"there is a tag v{version} already; raise the version")
    return version


def build(source: Path, folder: Path, target: str) -> Path:
    """Build a wheel or an sdist."""
    python = Path(sys.executable)
    subprocess.run([python, "-m", "hatchling", "build", "-t", target, "-d", folder], cwd=source, check=True)
    (made,) = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return made


def check_same(sdist: Path, wheel: Path) -> None:
    """Build the wheel again, from the sdist alone.

    Raises:
        NotReady: it is another one.
    """
    with tempfile.TemporaryDirectory(prefix="holdfast-release-") as name:
        folder = Path(name)
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        again = build(folder / sdist.name.removesuffix(".tar.gz"), folder / "dist", "wheel")
        if again.read_bytes() != wheel.read_bytes():
            raise NotReady("the wheel that is built from the sdist is not the one that is built from the tree")


def git(root: Path, *arguments: str) -> str:
    """What git says."""
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
