"""What type checkers make of the public names: right.py passes, and in wrong.py exactly the marked lines fail."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "src"
CHECKERS = ["mypy", *(["pyright"] if shutil.which("pyright") else [])]


def errors(checker: str, file: Path, tmp_path: Path) -> dict[int, str]:
    """The errors that a type checker finds in a file, by line."""
    if checker == "mypy":
        options = ["--strict", "--no-error-summary", "--config-file=", f"--cache-dir={tmp_path}"]
        command = [sys.executable, "-m", "mypy", *options, str(file)]
    else:
        command = ["pyright", f"--pythonpath={sys.executable}", str(file)]
    environment = {**os.environ, "MYPYPATH": str(SOURCE)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=110, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(rf"{re.escape(file.name)}:(\d+)(?::\d+)?(?: -|:) error: (.*)", done.stdout)
    assert bool(found) == bool(done.returncode), done.stdout + done.stderr
    return {int(line): text for line, text in found}


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_right_calls_pass(checker: str, tmp_path: Path) -> None:
    assert errors(checker, HERE / "right.py", tmp_path) == {}


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_wrong_calls_are_found(checker: str, tmp_path: Path) -> None:
    file = HERE / "wrong.py"
    lines = enumerate(file.read_text().splitlines(), start=1)
    marked = {number: line for number, line in lines if line.endswith("# wrong")}
    found = errors(checker, file, tmp_path)
    assert {line: text for line, text in found.items() if line not in marked} == {}
    assert {number: line for number, line in marked.items() if number not in found} == {}
