"""`holdfast.langgraph.Saver`: graphs go on from where they were, whoever runs them, and wherever."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypedDict

import asyncpg
import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver, empty_checkpoint
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.serde.types import INTERRUPT
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command

import holdfast as hf
from holdfast.langgraph import Saver
from holdfast.store.graph_rows import CheckpointRow, NewCheckpoint, NewValue
from tests.agents import langgraph_kit
from tests.agents.langgraph_kit import THREAD, article, listed, put, thread

ROOT = Path(__file__).parents[2]


async def count(url: str, table: str) -> int:
    """How many rows a table has."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        try:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
        finally:
            connection.close()
    remote = await asyncpg.connect(url)
    try:
        return int(await remote.fetchval(f"SELECT count(*) FROM holdfast.{table}"))
    finally:
        await remote.close()


# A graph goes on


async def test_a_graph_that_asks_a_person_goes_on_when_the_database_is_opened_again(disk_url: str) -> None:
    ran: list[str] = []
    async with Saver(disk_url) as saver:
        asked = await article(saver, ran).ainvoke({"topic": "tea"}, THREAD)
        assert [one.value for one in asked["__interrupt__"]] == ["Is 'About tea' good?"]
    async with Saver(disk_url) as saver:
        graph = article(saver, ran)
        assert (await graph.aget_state(THREAD)).next == ("review",)
        done = await graph.ainvoke(Command(resume=True), THREAD)
    assert done["notes"] == ["written", "reviewed", "published"]
    assert ran == ["write", "review", "review", "publish"]


@pytest.mark.slow
@pytest.mark.parametrize(("when", "written"), [("before", 2), ("after", 1)])
async def test_a_graph_whose_process_is_killed_goes_on_and_repeats_what_was_not_kept(
    disk_url: str, tmp_path: Path, when: str, written: int
) -> None:
    log = tmp_path / "log"
    process = await asyncio.create_subprocess_exec(
        sys.executable, langgraph_kit.__file__, disk_url, str(log), when, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert await asyncio.wait_for(process.wait(), 60) == -9
    ran = log.read_text().split()
    async with Saver(disk_url) as saver:
        graph = article(saver, ran)
        await graph.ainvoke(None, THREAD)
        done = await graph.ainvoke(Command(resume=False), THREAD)
    assert done["notes"] == ["written", "reviewed", "thrown away"]
    assert (ran.count("write"), ran.count("publish"), ran[-1]) == (written, 1, "publish")


async def test_a_history_is_as_langgraph_s_own_saver_has_it(store_url: str) -> None:
    async def history(saver: BaseCheckpointSaver[Any]) -> list[Any]:
        graph = article(saver)
        await graph.ainvoke({"topic": "tea"}, THREAD)
        await graph.ainvoke(Command(resume=True), THREAD)
        await graph.ainvoke({"topic": "coffee", "notes": ["again"]}, THREAD)
        snapshots = [one async for one in graph.aget_state_history(THREAD)]
        told = []
        for one in snapshots:
            assert one.metadata is not None
            tasks = [(task.name, task.result, [asked.value for asked in task.interrupts]) for task in one.tasks]
            told.append((one.values, one.next, dict(one.metadata), tasks, one.parent_config is None))
        return told

    async with Saver(store_url) as saver:
        found = await history(saver)
    assert found == await history(InMemorySaver())
    assert len(found) == 8


async def test_a_thread_forks_from_an_earlier_checkpoint_and_each_branch_keeps_its_values(store_url: str) -> None:
    async with Saver(store_url) as saver:
        graph = article(saver)
        await graph.ainvoke({"topic": "tea"}, THREAD)
        ((asked),) = [one async for one in graph.aget_state_history(THREAD) if one.next == ("review",)]
        branches = {}
        for text in ("About coffee", "About milk"):
            branches[text] = await graph.aupdate_state(asked.config, {"text": text, "notes": [text]})
        for text, config in branches.items():
            assert (await graph.aget_state(config)).values["notes"] == ["written", text]
            again = await graph.ainvoke(None, config)
            assert [one.value for one in again["__interrupt__"]] == [f"Is {text!r} good?"]
        assert (await graph.aget_state(asked.config)).values["text"] == "About tea"


async def test_a_channel_that_does_not_change_is_not_written_again(
    disk_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Grown(TypedDict):
        big: str
        n: int

    builder = StateGraph(Grown)
    builder.add_node("count", lambda state: {"n": state["n"] + 1})
    builder.add_edge(START, "count")
    builder.add_conditional_edges("count", lambda state: "count" if state["n"] < 20 else END)
    written: list[str] = []
    async with hf.connect(disk_url) as client:
        graphs = client.core.store.graphs
        keep = graphs.put_checkpoint

        async def put_checkpoint(row: NewCheckpoint, values: Sequence[NewValue]) -> None:
            written.extend(value.channel for value in values)
            await keep(row, values)

        monkeypatch.setattr(graphs, "put_checkpoint", put_checkpoint)
        graph = builder.compile(checkpointer=Saver(client=client))
        await graph.ainvoke({"big": "x" * 10_000, "n": 0}, thread("t"))
        assert (await graph.aget_state(thread("t"))).values == {"big": "x" * 10_000, "n": 20}
    assert (written.count("big"), written.count("n")) == (1, 21)
    assert await count(disk_url, "graph_values") == len(written)


async def test_of_a_long_history_only_so_much_is_read_at_once_as_memory_is_there_for(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    async with hf.connect(store_url) as client:
        saver = Saver(client=client)
        for n, length in enumerate([10] * 40 + [1_000_000] * 20):
            checkpoint = {**empty_checkpoint(), "channel_values": {"text": "x" * length}}
            checkpoint["channel_versions"] = {"text": f"{n}"}
            await saver.aput(thread("t"), checkpoint, {"step": n}, {"text": f"{n}"})  # type: ignore[arg-type]
        graphs = client.core.store.graphs
        ask = graphs.checkpoints

        async def checkpoints(*asked: Any, **more: Any) -> list[CheckpointRow]:
            rows = await ask(*asked, **more)
            sizes.append(sum(len(value.content) for row in rows for value in row.values))
            return rows

        monkeypatch.setattr(graphs, "checkpoints", checkpoints)
        found = await listed(saver, thread("t"))
        assert [one.metadata["step"] for one in found] == list(range(59, -1, -1))
        assert max(sizes) <= 8_100_000
        assert len(sizes) <= 10
        sizes.clear()
        again = await asyncio.to_thread(lambda: list(saver.list(thread("t"), limit=7)))
        assert again == found[:7]
        assert len(sizes) <= 3


async def test_a_task_s_interrupt_takes_no_place_of_its_writes(store_url: str) -> None:
    async with Saver(store_url) as saver:
        place = await put(saver, thread("t"))
        for told in ("first", "second"):
            await saver.aput_writes(place, [(INTERRUPT, told)], "task")
        await saver.aput_writes(place, [("a", 1), ("a", 2)], "task")
        found = await saver.aget_tuple(place)
        assert found is not None
        assert found.pending_writes == [("task", INTERRUPT, "second"), ("task", "a", 1), ("task", "a", 2)]


async def test_messages_come_back_as_they_were(store_url: str) -> None:
    class Chat(TypedDict):
        messages: list[Any]

    builder = StateGraph(Chat)
    builder.add_node("answer", lambda state: {"messages": [*state["messages"], AIMessage("Hello\0", id="2")]})
    builder.add_edge(START, "answer")
    async with Saver(store_url) as saver:
        graph = builder.compile(checkpointer=saver)
        await graph.ainvoke({"messages": [HumanMessage("Hi", id="1")]}, thread("t"))
        found = (await graph.aget_state(thread("t"))).values["messages"]
    assert found == [HumanMessage("Hi", id="1"), AIMessage("Hello\0", id="2")]


def appended(state: list[int], writes: Sequence[list[int]]) -> list[int]:
    return [*state, *(one for write in writes for one in write)]


async def test_a_channel_of_differences_is_rebuilt_and_survives_being_pruned(store_url: str) -> None:
    class Log(TypedDict):
        entries: Annotated[list[int], DeltaChannel(appended, snapshot_frequency=4)]

    builder = StateGraph(Log)
    builder.add_node("log", lambda state: {"entries": [len(state["entries"])]})
    builder.add_edge(START, "log")
    async with Saver(store_url) as saver:
        graph = builder.compile(checkpointer=saver)
        for n in range(7):
            done = await graph.ainvoke({"entries": [-n]}, thread("t"))
        (latest,) = await listed(saver, thread("t"), limit=1)
        asked = {"config": latest.config, "channels": ["entries", "none"]}
        ours = await saver.aget_delta_channel_history(**asked)
        assert ours == await BaseCheckpointSaver.aget_delta_channel_history(saver, **asked)
        assert ours["entries"]["writes"]
        assert "seed" in ours["entries"]
        before = len(await listed(saver, thread("t")))
        await saver.aprune(["t"])
        assert 1 < len(await listed(saver, thread("t"))) < before
        assert (await graph.aget_state(thread("t"))).values == done
        assert (await graph.ainvoke({"entries": []}, thread("t")))["entries"] == [*done["entries"], 14]


# Without an event loop, and between event loops


def test_a_graph_runs_in_code_without_an_event_loop(store_url: str) -> None:
    with Saver(store_url) as saver:
        graph = article(saver)
        graph.invoke({"topic": "tea"}, THREAD)
        done = graph.invoke(Command(resume=True), THREAD)
        assert done["notes"] == ["written", "reviewed", "published"]
        assert len(list(graph.get_state_history(THREAD))) == 5
        assert len(list(saver.list(None, limit=3))) == 3
        saver.copy_thread("article", "copy")
        saver.prune(["copy"])
        assert len(list(saver.list(thread("copy")))) == 1
        saver.delete_thread("article")
        assert saver.get_tuple(THREAD) is None
        assert saver.get(thread("copy")) is not None
        saver.delete_for_runs(["none"])
        # Another event loop than the database's own.
        again = asyncio.run(graph.ainvoke({"topic": "coffee"}, THREAD))
        assert [one.value for one in again["__interrupt__"]] == ["Is 'About coffee' good?"]
    with pytest.raises(hf.UsageError, match="not open"):
        saver.get_tuple(THREAD)


async def test_a_call_that_would_wait_for_its_own_event_loop_says_what_to_call_instead(store_url: str) -> None:
    async with Saver(store_url) as saver:
        graph = article(saver)
        with pytest.raises(hf.UsageError, match=r"await …aget_tuple\(…\)"):
            graph.invoke({"topic": "tea"}, THREAD)
        with pytest.raises(hf.UsageError, match="alist"):
            list(saver.list(THREAD))
        asked = await asyncio.to_thread(graph.invoke, {"topic": "tea"}, THREAD)
        assert asked["__interrupt__"]


async def test_a_saver_uses_a_client_that_is_open(store_url: str) -> None:
    async with hf.connect(store_url, tenant="acme") as client:
        saver = Saver(client=client)
        await article(saver).ainvoke({"topic": "tea"}, THREAD)
        async with Saver(client=client) as other:
            assert other.tenant == "acme"
            assert await other.aget_tuple(THREAD) is not None
        assert await asyncio.to_thread(saver.get_tuple, THREAD) is not None
    with pytest.raises(hf.UsageError, match="client that is closed"):
        await saver.aget_tuple(THREAD)
    with pytest.raises(hf.UsageError, match="client that is closed"):
        await asyncio.to_thread(saver.get_tuple, THREAD)


async def test_a_saver_that_is_not_opened_or_opened_twice_says_so(sqlite_url: str) -> None:
    saver = Saver(sqlite_url)
    for call in (lambda: saver.aget_tuple(THREAD), lambda: put(saver, thread("t"))):
        with pytest.raises(hf.UsageError, match="the saver is not open: use it inside `async with`"):
            await call()
    with pytest.raises(hf.UsageError, match="not open"):
        saver.get_tuple(THREAD)
    async with saver:
        with pytest.raises(hf.UsageError, match="open already"):
            await saver.__aenter__()
        with pytest.raises(hf.UsageError, match="open already"):
            saver.__enter__()


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://holdfast.example"])
async def test_a_server_s_address_is_refused(url: str) -> None:
    with pytest.raises(hf.UsageError, match="works on the database itself"):
        await Saver(url).__aenter__()
    with pytest.raises(hf.UsageError, match="works on the database itself"):
        Saver(url).__enter__()


async def test_arguments_that_do_not_go_together_are_refused(sqlite_url: str) -> None:
    async with hf.connect(sqlite_url, tenant="acme") as client:
        for arguments in ({"url": sqlite_url}, {"tenant": "other"}):
            with pytest.raises(hf.UsageError, match="or a client"):
                Saver(client=client, **arguments)  # type: ignore[arg-type]
    with pytest.raises(hf.UsageError, match="the tenant"):
        Saver(sqlite_url, tenant="")
    with pytest.raises(hf.BadURL):
        await Saver("nowhere").__aenter__()


async def test_a_change_whose_answer_is_lost_is_made_again_without_harm(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hf.connect(store_url) as client:
        graphs = client.core.store.graphs
        failed = []

        def losing(verb: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
            async def lost(*asked: Any) -> None:
                await verb(*asked)
                if verb not in failed:
                    failed.append(verb)
                    raise hf.StoreUnavailable("the answer is lost")

            return lost

        for name in ("put_checkpoint", "put_writes"):
            monkeypatch.setattr(graphs, name, losing(getattr(graphs, name)))
        graph = article(Saver(client=client))
        await graph.ainvoke({"topic": "tea"}, THREAD)
        done = await graph.ainvoke(Command(resume=True), THREAD)
        assert done["notes"] == ["written", "reviewed", "published"]
        assert len(failed) == 2
        assert len([one async for one in graph.aget_state_history(THREAD)]) == 5


async def test_langgraph_is_loaded_when_it_is_asked_for_and_its_lack_is_told() -> None:
    code = """if True:
        import sys
        import holdfast
        assert not [name for name in sys.modules if name.startswith("langgraph")]
        sys.modules["langgraph"] = None
        try:
            import holdfast.langgraph
        except ImportError as error:
            print(error)
    """
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    told, _ = await asyncio.wait_for(process.communicate(), 60)
    assert told.decode() == 'LangGraph is not installed: pip install "holdfast[langgraph]"\n'


# Tenants


async def test_tenants_do_not_see_each_other_s_threads(disk_url: str) -> None:
    async with Saver(disk_url, tenant="a") as ours, Saver(disk_url, tenant="b") as theirs:
        await article(ours).ainvoke({"topic": "tea"}, THREAD)
        await put(ours, thread("run"), run_id="r")
        assert await theirs.aget_tuple(THREAD) is None
        assert await listed(theirs) == []
        await theirs.adelete_thread("article")
        await theirs.adelete_for_runs(["r"])
        await theirs.aprune(["article"], strategy="delete")
        await theirs.acopy_thread("article", "copy")
        assert await listed(theirs) == []
        assert len(await listed(ours)) == 4
        await article(theirs).ainvoke({"topic": "coffee"}, THREAD)
        assert (await article(ours).aget_state(THREAD)).values["topic"] == "tea"
