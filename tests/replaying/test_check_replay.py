"""`check_replay` in a user's own tests, `holdfast replay` and `holdfast runs export`."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.engine.histories import History
from holdfast.errors import HistoryError
from holdfast.testing import ReplayBroke, check_replay, histories
from tests.cli.conftest import alone as alone
from tests.cli.tool import inside
from tests.engine.helpers import serving
from tests.replaying import shop_after, shop_before
from tests.replaying.shop_before import checkout, refuses


async def fill(url: str) -> None:
    async with serving(url, checkout, refuses) as client:
        for number in range(3):
            await (await client.start(checkout.options(id=f"o-{number}"), number)).result()
        await asyncio.gather((await client.start(refuses.options(id="r"), 7)).result(), return_exceptions=True)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database with runs of the module as it was."""
    made = f"sqlite:///{tmp_path / 'shop.db'}"
    asyncio.run(fill(made))
    return made


@pytest.fixture
def folder(url: str, tmp_path: Path) -> Path:
    """The runs in files."""

    async def export() -> None:
        async with hf.connect(url) as client:
            async for history in client.export_histories(workflow="checkout"):
                history.save(tmp_path / "histories")

    asyncio.run(export())
    return tmp_path / "histories"


def test_histories_of_a_folder_are_replayed(folder: Path) -> None:
    assert [one.outcome for one in check_replay(checkout, folder)] == ["fits"] * 3
    assert [one.run_id for one in check_replay(shop_before, folder / "o-1.json", folder / "o-0.json")] == ["o-1", "o-0"]
    assert [one.outcome for one in check_replay([shop_before], History.load(folder / "o-1.json"))] == ["fits"]
    with pytest.raises(ReplayBroke) as broke:
        check_replay(shop_after, folder)
    assert isinstance(broke.value, AssertionError)
    assert [one.run_id for one in broke.value.replays] == ["o-0", "o-1", "o-2"]
    assert f"run o-0 of checkout ({folder / 'o-0.json'}) breaks:\n  nondeterminism at position 0" in str(broke.value)


async def test_it_is_called_in_tests_that_are_asynchronous_too(tmp_path: Path) -> None:
    async with serving("memory://", checkout) as client:
        run = await client.start(checkout, 1)
        await run.result()
        history = await client.export_history(run.id)
    assert [one.outcome for one in check_replay(checkout, history)] == ["fits"]
    with pytest.raises(ReplayBroke):
        check_replay(shop_after.checkout, history)


def test_each_file_of_a_folder_is_a_parameter(folder: Path) -> None:
    assert [(one.id, one.values) for one in histories(folder)] == [
        (f"o-{number}", (folder / f"o-{number}.json",)) for number in range(3)
    ]
    with pytest.raises(HistoryError):
        histories(folder / "none")


def test_what_cannot_be_replayed_is_refused(folder: Path) -> None:
    for wrong, said in (("shop", "a workflow, or a module"), (json, "has no workflow"), ([], "at least one workflow")):
        with pytest.raises(hf.UsageError, match=said):
            check_replay(wrong, folder)  # type: ignore[arg-type]
    with pytest.raises(hf.UsageError, match="no history"):
        check_replay(checkout)


def holdfast(*arguments: str, fails: int = 0) -> str:
    """What a command prints."""
    told, error = inside(*arguments, code=fails)
    return error if fails == 2 else told


BEFORE, AFTER = "tests.replaying.shop_before", "tests.replaying.shop_after"


def test_the_command_replays_and_says_with_its_code_whether_something_breaks(url: str) -> None:
    told = holdfast("replay", BEFORE, "--all", "--url", url)
    assert "4 replayed: 4 fit, 0 go on, 0 break" in told
    told = holdfast("replay", AFTER, "--all", "--workflow", "checkout", "--limit", "2", "--url", url, fails=1)
    assert "2 replayed: 0 fit, 0 go on, 2 break" in told
    assert "nondeterminism at position 0: step 'charge' is recorded, and the code asks for step 'weigh'" in told
    lines = holdfast("replay", AFTER, "--run", "o-1", "--run", "r", "--json", "--url", url, fails=1).splitlines()
    first, second, summary = map(json.loads, lines)
    assert (first["run_id"], first["outcome"], first["entries"]) == ("o-1", "breaks", 1)
    assert second["reasons"] == ["there is no workflow 'refuses'; there is checkout"]
    assert summary == {"runs": 2, "fit": 0, "go_on": 0, "break": 2}
    assert "1 replayed: 1 fit" in holdfast("replay", BEFORE, "--failed", "--since", "1h", "--url", url)


def test_the_commands_refuse_what_cannot_be(url: str, folder: Path) -> None:
    assert "say which runs" in holdfast("replay", BEFORE, "--url", url, fails=2)
    assert "leave them out with ids" in holdfast("replay", BEFORE, "--run", "r", "--limit", "1", "--url", url, fails=2)
    assert "instead of a database" in holdfast("replay", BEFORE, "--history", str(folder), "--all", fails=2)
    assert "there is no file" in holdfast("replay", BEFORE, "--history", "/none", fails=2)
    assert "say which runs" in holdfast("runs", "export", "--to", str(folder), "--url", url, fails=2)


def test_the_command_exports_and_replays_what_it_exported(url: str, tmp_path: Path) -> None:
    made = tmp_path / "made"
    assert holdfast("runs", "export", "o-0", "r", "--to", str(made), "--url", url).splitlines() == [
        str(made / "o-0.json"), str(made / "r.json"),
    ]  # fmt: skip
    lines: list[dict[str, Any]] = [
        json.loads(line)
        for line in holdfast("runs", "export", "--failed", "--to", str(made), "--json", "--url", url).splitlines()
    ]
    assert lines == [{"run": "r", "file": str(made / "r.json"), "sealed": 0}]
    assert "2 replayed: 2 fit" in holdfast("replay", BEFORE, "--history", str(made))
    assert "1 break" in holdfast("replay", AFTER, "--history", str(made / "o-0.json"), fails=1)
