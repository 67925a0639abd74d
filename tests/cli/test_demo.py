"""`holdfast demo`: five faces work by themselves; it ends with a summary, goes on where it was, and shows a tour."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.cli import demo
from holdfast.cli.demo import find_examples
from tests.cli.tool import call, inside, running, stop, until

pytestmark = pytest.mark.slow

FACES = {"mail desk", "order pipeline", "coding agents", "customer success", "guided chat"}


def test_the_examples_are_found() -> None:
    assert (find_examples() / "email_desk" / "demo.py").is_file()


async def test_five_faces_work_to_an_end_and_go_on_there(tmp_path: Path) -> None:
    first = call(tmp_path, "demo", "--exit", "--port", "0", url="sqlite:///configured.db").stdout
    assert {line[:17].strip() for line in first.splitlines()[1:-1]} == FACES
    assert first.startswith("The dashboard is at http://127.0.0.1:")
    assert "14 mails: 7 answered, 2 wait for a person, 3 held back, 1 cannot be read; 1 message not delivered" in first
    drafts = sorted(path.name for path in (tmp_path / "drafts").iterdir())
    assert len(drafts) == 7
    await assert_there_is_something_to_do(f"sqlite:///{tmp_path}/holdfast-demo.db")
    again = json.loads(call(tmp_path, "demo", "--exit", "--json", "--port", "0").stdout)
    assert again["faces"].keys() == FACES
    assert sorted(path.name for path in (tmp_path / "drafts").iterdir()) == drafts
    assert (tmp_path / "holdfast-demo.db").exists()
    assert not (tmp_path / "configured.db").exists()


async def assert_there_is_something_to_do(url: str) -> None:
    """Whoever looks has a queue of their own and of their groups; what failed is there, and nothing else fires."""
    async with hf.connect(url) as client:
        titles = {item.title for item in await hf.work_queue(client).queue("local")}
        assert {"Keep a customer at risk", "Review: Re: Late again", "Review: Re: The lamps in our lobby"} <= titles
        assert [one.channel for one in await client.messages(status="dead")] == ["warehouse"]
        assert [run.workflow for run in await client.list(status="failed")] == ["mail_desk"]
        firing = await client.alerts("firing")
        assert {(one.rule, one.about) for one in firing} <= {("messages undelivered", "warehouse")}
        assert (await client.model_costs()).total.cost > 0


@pytest.mark.verify
def test_all_of_it_works_on_postgresql(tmp_path: Path, empty_postgres_database: str) -> None:
    told = call(tmp_path, "demo", "--exit", "--json", "--port", "0", "--url", empty_postgres_database).stdout
    assert json.loads(told)["faces"].keys() == FACES
    assert len(list((tmp_path / "drafts").iterdir())) == 7


def test_it_can_be_stopped_before_it_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "_show", stopped)
    inside("demo", code=0)
    inside("demo", "--exit", code=130)


def test_it_works_until_it_is_stopped_and_has_a_tour(tmp_path: Path) -> None:
    with running(tmp_path, "demo", "--port", "0") as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[4].removesuffix(";")
        page = urllib.request.urlopen(address, timeout=30).read().decode()
        assert "What there is to see" in page
        assert "Where is my order?" in page

        def began() -> bool:
            return "house-1" in urllib.request.urlopen(f"{address}/runs", timeout=30).read().decode()

        until(began)
        assert stop(process, signal.SIGINT) == 0


def test_what_is_not_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "NEEDED", ("no_such_package",))
    assert "holdfast[all]" in inside("demo", "--exit", code=2)[1]


def test_mail_of_one_s_own_goes_through_the_desk_alone(tmp_path: Path) -> None:
    sample = find_examples() / "email_desk" / "sample"
    told = call(tmp_path, "demo", "--exit", "--json", "--mail", str(sample)).stdout
    assert json.loads(told)["messages"] == 14
    assert list((tmp_path / "drafts").glob("*.eml"))


def test_no_mail_is_a_usage_error(tmp_path: Path) -> None:
    call(tmp_path, "demo", "--exit", "--mail", "absent", code=2)
