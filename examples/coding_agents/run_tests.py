"""Runs the tests of a copy of the repository, and prints how they ended. That some failed is a result like another."""

import json
import os
import subprocess
import sys
from pathlib import Path

OUTPUT_CHARACTERS = 4000


def main() -> None:
    """Read a patch from stdin, as JSON, and write how its tests ended to stdout."""
    copy = Path(os.environ["HOLDFAST_WORKSPACE"]) / json.load(sys.stdin)["copy_in"]
    done = subprocess.run(
        [sys.executable, "-B", "-m", "unittest"],
        cwd=copy,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    print(json.dumps({"passed": done.returncode == 0, "output": done.stdout[-OUTPUT_CHARACTERS:]}))


if __name__ == "__main__":
    main()
