"""Builds the wheel, installs it in an empty environment, and uses it there as a newcomer would.

Run by ``make test`` as ``python -m tests.wheel_check``, from the root of the repository.
"""

import json
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tests.code_blocks import blocks_of, run

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
TIMEOUT_SECONDS = 300.0


def main() -> None:
    """Ends with a message and a status other than 0 when the wheel does not work."""
    with tempfile.TemporaryDirectory(prefix="holdfast-wheel-") as name:
        folder = Path(name)
        bin_folder = _install(_build(folder / "dist"), folder / "venv")
        _readme(bin_folder, folder)
        _commands(bin_folder, folder / "demo")
        _demo(bin_folder, folder / "demo")


def _build(folder: Path) -> Path:
    _call([BIN / "python", "-m", "hatchling", "build", "-t", "wheel", "-d", folder], ROOT)
    (wheel,) = folder.glob("*.whl")
    print(f"built {wheel.name}")
    return wheel


def _install(wheel: Path, environment: Path) -> Path:
    """The ``bin`` of a new environment that holds the wheel, its locked dependencies, and nothing else."""
    venv.create(environment, with_pip=False, symlinks=True)
    python = environment / "bin" / "python"
    install: list[str | Path] = [BIN / "uv", "pip", "install", "--quiet", "--python", python]
    _call([*install, "--require-hashes", "-r", ROOT / "requirements" / "run.txt"], ROOT)
    _call([*install, "--no-deps", wheel], ROOT)
    _call([BIN / "uv", "pip", "check", "--quiet", "--python", python], ROOT)
    return python.parent


def _readme(bin_folder: Path, folder: Path) -> None:
    blocks = blocks_of(ROOT / "README.md")
    assert any(block.language == "python" and block.output for block in blocks), "README.md shows no example's output"
    for block in blocks:
        place = folder / f"readme-{block.line}"
        place.mkdir()
        run(block, place, bin_folder)
        print(f"ran README.md:{block.line} from the wheel")


def _commands(bin_folder: Path, folder: Path) -> None:
    folder.mkdir()
    holdfast = bin_folder / "holdfast"
    assert "Usage" in _call([holdfast, "--help"], folder), "holdfast --help does not say how to use it"
    lacking = subprocess.run([holdfast, "demo", "--exit"], cwd=folder, capture_output=True, text=True, check=False)
    assert lacking.returncode == 2, lacking.stderr
    assert "holdfast[all]" in lacking.stderr, "holdfast demo does not say which extras it needs"


def _demo(bin_folder: Path, folder: Path) -> None:
    install: list[str | Path] = [BIN / "uv", "pip", "install", "--quiet", "--python", bin_folder / "python"]
    _call([*install, "--require-hashes", "-r", ROOT / "requirements" / "all.txt"], ROOT)
    told = json.loads(_call([bin_folder / "holdfast", "demo", "--exit", "--json"], folder))
    assert len(told["faces"]) == 5, told
    print(f"ran holdfast demo from the wheel, in {told['seconds']} s")


def _call(command: list[str | Path], folder: Path) -> str:
    """What a command printed to stdout; what it wrote to stderr passes through."""
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT_SECONDS
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit status {done.returncode}\n{done.stdout}")
    return done.stdout


if __name__ == "__main__":
    main()
