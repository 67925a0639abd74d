"""Code blocks of a Markdown page: finds them, and runs one as its reader would. CONTRIBUTING.md says the rules."""

import contextlib
import os
import re
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

TIMEOUT_SECONDS = 60.0

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<text>.*?)^(?P=indent)```[ \t]*$", re.MULTILINE | re.DOTALL
)
_FILE_NAME = re.compile(r"# (?P<name>[\w-]+\.(?:py|toml))\n")
_REASON = re.compile(r"<!-- not run: \S.* -->\s*\Z")


@dataclass
class Block:
    """One block that is run."""

    page: Path
    line: int
    language: str  # "python" or "sh"
    text: str
    output: str | None = None  # what it has to print, if the page says so
    files: dict[str, str] = field(default_factory=dict)  # what earlier blocks of the page left for it, by name

    @property
    def file_name(self) -> str | None:
        """The name that the block's first line gives it."""
        match = _FILE_NAME.match(self.text)
        return match["name"] if match else None


class PageError(Exception):
    """A page breaks the rules for code blocks."""


def blocks_of(page: Path) -> list[Block]:
    """The blocks of a page that are run, in order.

    Raises:
        PageError: a block is marked as not run without a reason, or an output belongs to no block.
    """
    markdown = page.read_text(encoding="utf-8")
    blocks: list[Block] = []
    files: dict[str, str] = {}
    last_end = -1
    for match in _FENCE.finditer(markdown):
        line = markdown.count("\n", 0, match.start()) + 1
        indent = match["indent"]
        text = "".join(part.removeprefix(indent) for part in match["text"].splitlines(keepends=True))
        where = f"{page}:{line}"
        match match["info"].split():
            case ["python" | "sh" as language]:
                block = Block(page, line, language, text, files=dict(files))
                blocks.append(block)
                if block.file_name:
                    files[block.file_name] = text
                last_end = match.end()
            case ["toml"]:
                if name := _FILE_NAME.match(text):
                    files[name["name"]] = text
            case ["python" | "sh", "no-run"]:
                if not _REASON.search(markdown[: match.start()]):
                    raise PageError(
                        f"{where}: a block that is not run needs <!-- not run: why --> on the line above it"
                    )
            case ["python" | "sh", *_]:
                raise PageError(f"{where}: unknown words after the language: {match['info']}")
            case ["output"]:
                if not blocks or last_end < 0 or markdown[last_end : match.start()].strip():
                    raise PageError(f"{where}: an output has to follow the block that prints it")
                blocks[-1].output = text
                last_end = -1
    return blocks


def run(block: Block, folder: Path, bin_folder: Path) -> str:
    """Runs a block in a folder of its own, with the Python and the commands of an environment.

    Args:
        block: a block that ``blocks_of`` returned.
        folder: exists and is empty.
        bin_folder: the environment's ``bin``; it comes first on the PATH.

    Returns:
        What the block printed to stdout.

    Raises:
        AssertionError: it did not end with 0 in time, or printed something other than the page says.
    """
    for name, text in block.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    script = folder / (block.file_name or ("example.py" if block.language == "python" else "example.sh"))
    script.write_text(block.text, encoding="utf-8")
    command = (
        [str(bin_folder / "python"), "-W", "error"] if block.language == "python" else ["bash", "-euo", "pipefail"]
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HOLDFAST_", "PYTHON"))}
    # A session of its own, so that what a shell block left in the background ends with it; files and not pipes,
    # so that nothing waits for those processes.
    with (folder / ".stdout").open("w+") as stdout, (folder / ".stderr").open("w+") as stderr:
        process = subprocess.Popen(
            [*command, script.name],
            cwd=folder,
            env={**kept, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            code: int | str = process.wait(TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            code = f"not ended after {TIMEOUT_SECONDS:g} seconds"
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        stdout.seek(0)
        stderr.seek(0)
        printed, complaint = stdout.read(), stderr.read()
    where = f"{block.page}:{block.line}"
    assert code == 0, f"{where}: exit status {code}\n--- stdout\n{printed}\n--- stderr\n{complaint}"
    if block.output is not None:
        assert printed == block.output, f"{where}: the page promises\n{block.output}\nand it prints\n{printed}"
    return printed
