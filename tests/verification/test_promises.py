"""What looks at starts from outside sees what is wrong."""

from pathlib import Path
from typing import Any

import pytest

from holdfast.model import rates
from tests.verification import promises
from tests.verification.checking import two_in_a_lane
from tests.verification.traffic import Traffic


class Folder:
    """Notes of steps, as workers write them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []

    def note(self, name: str, key: int, number: int, *, run: str = "", pid: int = 1) -> None:
        """A step of a run notes that it begins, a moment after the one before."""
        run = run or f"r{number}"
        words = ("step", name, key, number, f"{run}-0", 1, run, pid, float(len(self.notes)))
        self.notes.append("\t".join(map(str, words)))
        (self.path / "notes").write_text("\n".join(self.notes) + "\n")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def traffic(**executed: list[int]) -> Traffic:
    found = Traffic({"default": None}, Path(), None)  # type: ignore[dict-item, arg-type]
    for name, numbers in executed.items():
        found.executed[name].update(numbers)
    return found


def test_a_start_that_came_to_no_run_or_to_two_is_told(folder: Folder) -> None:
    folder.note("dropped", 0, 1)
    folder.note("dropped", 0, 1)  # another attempt of the same call
    folder.note("collected", 7, 0, run="a")
    folder.note("collected", 7, 0, run="b")
    assert promises.wrong_executions(folder.path, traffic(dropped=[1], collected=[7])) == [
        "collected: too often {7: 1}, lacking {}"
    ]
    assert promises.wrong_executions(folder.path, traffic(dropped=[1, 2], collected=[7, 7])) == [
        "dropped: too often {}, lacking {2: 1}"
    ]


def test_more_steps_of_a_share_than_its_limit_are_told(folder: Folder) -> None:
    for number in range(3):
        folder.note("share in", 0, number, pid=number)
        folder.note("share in", 1, 10 + number, pid=number)
        folder.note("share out", 1, 10 + number, pid=number)
    [fault] = promises.too_many_of_a_share(folder.path, [])
    assert "3 runs of share 0 executed at once" in fault
    assert promises.too_many_of_a_share(folder.path, [(1, 0.0, 99.0)]) == []


@pytest.mark.parametrize("name", ["alone", "only", "newest"])
def test_two_runs_that_take_turns_where_one_excludes_the_other_are_told(name: str, folder: Folder) -> None:
    for run in ("a", "b", "a"):
        folder.note(name, 5, 0, run=run)
    [fault] = two_in_a_lane(folder.path, [])
    assert "runs b and a had it at once" in fault


class Seen:
    """What a database says of its limits and runs."""

    def __init__(self, instants: list[int], statuses: list[str]) -> None:
        self._logs = [[(at, instants.count(at)) for at in sorted({*instants[: n + 1]})] for n in range(len(instants))]
        self._runs = [{"workflow": "rated", "status": status} for status in statuses]

    async def seen_limits(self) -> list[dict[str, Any]]:
        return [{"id": b"limit", "log": rates.encode(log)} for log in self._logs]

    async def table(self, _: str) -> list[dict[str, Any]]:
        return self._runs


async def test_a_limit_that_is_exceeded_and_a_start_that_is_not_counted_are_told() -> None:
    fine = [0, 1, 2, 3, 100_000, 100_001]
    assert await promises.wrong_rates(Seen(fine, ["succeeded"] * 6)) == []  # type: ignore[arg-type]
    assert await promises.wrong_rates(Seen(fine, ["succeeded"] * 5 + ["cancelled"])) == []  # type: ignore[arg-type]
    [fault] = await promises.wrong_rates(Seen([0, 1, 2, 3, 99_999], ["succeeded"] * 5))  # type: ignore[arg-type]
    assert "5 runs of a limit started within 99999 µs" in fault
    [fault] = await promises.wrong_rates(Seen(fine, ["succeeded"] * 7))  # type: ignore[arg-type]
    assert "7 of 7 runs with a limit started, and 6 were counted" in fault


class Plain:
    """Values that are stored as they are."""

    async def plain(self, payloads: list[bytes]) -> list[bytes]:
        return payloads


class Messages:
    """What a database says of its messages."""

    def __init__(self, **statuses: str) -> None:
        self._rows = [
            {"id": id, "status": status.split()[0], "doubt": "doubt" in status, "error": None, "body": b"\1{}"}
            for id, status in statuses.items()
        ]

    async def table(self, _: str) -> list[dict[str, Any]]:
        return self._rows


async def test_a_message_that_is_lost_or_that_nobody_published_is_told(tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    for name, text in (("sent", "{}"), ("changed", "[]"), ("unknown", "{}")):
        (tmp_path / "box" / f"{name}.json").write_text(text)
    database = Messages(sent="sent", changed="sent", lost="sent", dead="dead", may_be="dead doubt")
    faults = await promises.wrong_messages(Plain(), database, tmp_path)  # type: ignore[arg-type]
    assert faults == [
        "message changed is said to be sent, and there is b'[]'",
        "message lost is said to be sent, and there is None",
        "message dead is dead, and not in doubt: None",
        "a message was sent that is not there: unknown.json",
    ]
