"""`holdfast dev`: one process with everything, which begins again when the code changes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.cli.changes import Changes, code_filter, tell
from tests.cli.test_conversations import DESK, DIALOGUE
from tests.cli.test_notifications import RULES
from tests.cli.tool import SHOP, call, call_json, inside, running, until

URL = "sqlite:///holdfast.db"


def _pids(shop: Path) -> list[int]:
    """The processes that served so far."""
    return [int(pid) for pid in re.findall(r"process (\d+) serves", (shop / "stderr").read_text())]


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:1]


@pytest.mark.slow
def test_code_is_changed_while_runs_go_on(shop: Path) -> None:
    (shop / "wait-o-1").touch()
    with running(shop, "dev", "shop", "--port", "0") as dev:
        assert dev.stdout is not None
        address = dev.stdout.readline().strip()
        assert httpx.get(f"{address}/healthz", timeout=60).json() == {"status": "ok"}
        order = '{"order_id": "o-1", "cents": 5}'
        call(shop, "start", "checkout", "--id", "o-1", "--input", order, url=address)
        until((shop / "shipping-o-1").exists)

        (shop / "shop.py").write_text(SHOP + "\nthis is no Python\n")
        until(lambda: "cannot be imported: SyntaxError" in (shop / "stderr").read_text())
        assert len(_pids(shop)) == 1

        (shop / "shop.py").write_text(SHOP.replace("parcel {order_id}", "PARCEL {order_id}"))
        # A request that comes while nobody is there waits for the next process.
        assert httpx.get(f"{address}/healthz", timeout=60).json() == {"status": "ok"}
        until(lambda: len(_pids(shop)) == 2)
        until(lambda: len((shop / "shipping-o-1").read_text().split()) == 2)
        (shop / "wait-o-1").unlink()
        done = until(lambda: (one := call_json(shop, "runs", "show", "o-1", url=address)["run"])["output"] and one)
        assert done["output"] == {"receipt": "receipt o-1-5", "parcel": "PARCEL o-1"}

        os.kill(_pids(shop)[-1], signal.SIGKILL)
        until(lambda: len(_pids(shop)) == 3)
        dev.send_signal(signal.SIGINT)
        assert dev.wait(timeout=30) == 0
    log = (shop / "stderr").read_text()
    assert "shop.py changed: the process begins again" in log
    assert "died with SIGKILL and begins again" in log
    assert not any(_lives(pid) for pid in _pids(shop))


@pytest.mark.slow
def test_files_that_were_read_are_changed_alone(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    rules = tmp_path_factory.mktemp("elsewhere") / "people.toml"
    rules.write_text(RULES)
    (shop / "holdfast.toml").write_text(f'[worker]\nnotifications = "{rules}"\n')
    (shop / "renewal.toml").write_text(DIALOGUE.replace('company = "text"', 'company = "txet"'))
    (shop / "desk.py").write_text(DESK)

    def says(text: str) -> bool:
        return text in (shop / "stderr").read_text()

    with running(shop, "dev", "desk", "--port", "0", OPS="json://127.0.0.1:9") as dev:
        until(lambda: says("renewal.toml, line 7") and says("it begins again when a file changes"))
        (shop / "renewal.toml").write_text(DIALOGUE)
        until(lambda: says('turns of renewal"') and len(_pids(shop)) == 1)
        (shop / "renewal.toml").write_text(DIALOGUE.replace('"renewal"', '"extension"'))
        until(lambda: says('turns of extension"') and len(_pids(shop)) == 2)
        rules.write_text(RULES.replace("run.failed", "run.failled"))
        until(lambda: says("people.toml, line 3"))
        rules.write_text(RULES.replace("run.failed", "run.held"))
        until(lambda: len(_pids(shop)) == 3)
        dev.terminate()
        assert dev.wait(timeout=30) == 0
    assert says("renewal.toml changed: the process begins again")
    assert says(f"{rules} changed: the process begins again")


PHASES = """\
[phases.draft]
model = "scripted:writer"
prompt = "Write."
"""


@pytest.mark.slow
def test_a_file_of_phases_that_was_wrong_is_mended_alone(shop: Path) -> None:
    (shop / "phases.toml").write_text(PHASES.replace("prompt", "promt"))
    (shop / "order.py").write_text(
        "import holdfast as hf\n\nphases = hf.load_phases('phases.toml')\n\n\n"
        "@hf.workflow\nasync def order() -> str:\n    return await phases.run('draft')\n"
    )

    def says(text: str) -> bool:
        return text in (shop / "stderr").read_text()

    with running(shop, "dev", "order", "--port", "0") as dev:
        until(lambda: says("phases.toml:3:") and says("it begins again when a file changes"))
        (shop / "phases.toml").write_text(PHASES)
        until(lambda: says("serves order"))
        dev.terminate()
        assert dev.wait(timeout=30) == 0


@pytest.mark.slow
def test_it_does_not_outlive_the_one_that_started_it(shop: Path) -> None:
    with running(shop, "dev", "shop", "--port", "0", "--json", url=URL) as dev:
        [pid] = until(lambda: _pids(shop))
        dev.kill()
        until(lambda: not _lives(pid))


@pytest.mark.slow
def test_without_reloading_it_is_one_process(shop: Path) -> None:
    with running(shop, "dev", "shop", "--port", "0", "--no-reload") as dev:
        assert dev.stdout is not None
        address = dev.stdout.readline().strip()
        assert until(lambda: _pids(shop)) == [dev.pid]
        assert call_json(shop, "start", "remind", "--wait", url=address)["result"] == "o-0"
        dev.terminate()
        assert dev.wait(timeout=30) == 0


def test_what_cannot_be_worked_on(shop: Path) -> None:
    assert "no module is named" in inside("dev", code=2)[1]
    for arguments, why in (
        (["shop", "--url", "memory://"], "a new, empty database in each process"),
        (["shop", "--url", "https://host"], "works on the database itself"),
        (["shop", "--port", "-1"], "expected is a port"),
        (["shp", "--no-reload"], "Do you mean shop?"),
    ):
        assert why in inside("dev", *arguments, *([] if "--port" in arguments else ["--port", "0"]), code=2)[1]
    assert not list(shop.glob("*.db"))


def test_only_what_would_be_read_again_counts(tmp_path: Path) -> None:
    from watchfiles import Change

    watched: Any = code_filter(tmp_path / "holdfast.toml")
    for name, counts in (
        ("shop.py", True),
        ("desk/mail.py", True),
        ("holdfast.toml", True),
        ("other.toml", False),
        ("holdfast.db-wal", False),
        ("notes.md", False),
        (".venv/lib/x.py", False),
        ("__pycache__/shop.py", False),
        ("node_modules/a/b.py", False),
        ("shop.py.swp", False),
    ):
        assert watched(Change.modified, str(tmp_path / name)) is counts, name


async def test_what_a_process_says_it_has_read_counts_wherever_it_is(tmp_path: Path) -> None:
    code, elsewhere = tmp_path / "code", tmp_path / "elsewhere"
    code.mkdir()
    elsewhere.mkdir()
    rules, missing, link, module = elsewhere / "a.toml", elsewhere / "b.toml", code / "c.toml", code / "d.py"
    rules.write_text("one")
    heard, told = os.pipe()
    changes = Changes([code], code / "holdfast.toml", heard)
    try:
        link.symlink_to(rules)
        tell(os.dup(told), [rules, missing])
        changed = asyncio.create_task(changes.next())
        await asyncio.wait((changed,), timeout=1)
        assert not changed.done()
        missing.write_text("two")
        assert await changed == f"{missing} changed"
        # What was changed before it is asked for is told too, and only once.
        module.write_text("")
        missing.unlink()
        said = {await changes.next()}
        while not all(any(str(path) in one for one in said) for path in (module, missing)):
            said.add(await changes.next())
        # Only what was told last counts.
        tell(os.dup(told), [link])
        changed = asyncio.create_task(changes.next())
        missing.write_text("three")
        rules.write_text("four")
        assert await changed == f"{link} changed"
    finally:
        await changes.close()
        os.close(heard)
        os.close(told)
