"""What `holdfast.langgraph.Saver` refuses, before it is stored, and what it takes and makes again."""

import dataclasses
import subprocess
from typing import Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph

import holdfast as hf
from holdfast.langgraph import Saver
from holdfast.store.graph_rows import CheckpointFilter
from tests.agents.langgraph_kit import article, listed, put, thread

WRONG_THREADS = [
    ("nul \0", "NUL"),
    (7, "give text, such as '7'"),
    ("", "characters"),
    ("x" * 513, "513"),
    ("half \ud800", "surrogate"),
]


@pytest.mark.parametrize(("id", "why"), WRONG_THREADS, ids=str)
async def test_an_id_of_a_thread_that_cannot_be_one_is_refused(store_url: str, id: object, why: str) -> None:
    async with Saver(store_url) as saver:
        with pytest.raises(hf.UsageError, match=why):
            await put(saver, thread(id))
        with pytest.raises(hf.UsageError, match=why):
            await saver.aget_tuple(thread(id))
        with pytest.raises(hf.UsageError, match=why):
            await saver.adelete_thread(id)  # type: ignore[arg-type]
        with pytest.raises(hf.UsageError, match=why):
            await saver.acopy_thread("t", id)  # type: ignore[arg-type]


async def test_a_config_without_a_thread_or_with_a_wrong_place_is_refused(store_url: str) -> None:
    async with Saver(store_url) as saver:
        with pytest.raises(hf.UsageError, match="names no thread"):
            await saver.aget_tuple({"configurable": {}})
        with pytest.raises(hf.UsageError, match="names no thread"):
            await listed(saver, {})
        for place in ({"checkpoint_ns": "\0"}, {"checkpoint_ns": 7}, {"checkpoint_id": "\0"}, {"checkpoint_id": 7}):
            with pytest.raises(hf.UsageError, match=next(iter(place))):
                await saver.aget_tuple(thread("t", **place))
        with pytest.raises(hf.UsageError, match="no checkpoint_id"):
            await saver.aput_writes(thread("t"), [("ch", 1)], "task")
        with pytest.raises(hf.UsageError, match="keep_latest or delete"):
            await saver.aprune(["t"], strategy="some")
        with pytest.raises(hf.UsageError, match="'step'"):
            await listed(saver, filter={"step": {1}})


async def test_a_thread_that_is_not_there_is_nothing(store_url: str) -> None:
    async with Saver(store_url) as saver:
        assert await saver.aget_tuple(thread("none")) is None
        assert await listed(saver, thread("none")) == []
        await saver.adelete_thread("none")
        await saver.aprune(["none"])
        assert (await article(saver).aget_state(thread("none"))).values == {}
        assert await saver.aget_delta_channel_history(config=thread("none"), channels=["a"]) == {"a": {"writes": []}}


@dataclasses.dataclass
class Order:
    number: int


async def ordered(saver: Saver, value: object) -> Any:
    """Run a graph that stores a value; what it holds when it is read again."""

    class Held(TypedDict):
        held: Any

    builder = StateGraph(Held)
    builder.add_node("make", lambda _: {"held": value})
    builder.add_edge(START, "make")
    graph = builder.compile(checkpointer=saver)
    await graph.ainvoke({"held": None}, thread("t"))
    return (await graph.aget_state(thread("t"))).values["held"]


@pytest.mark.parametrize(
    "value", [object(), 1 << 70, print, [{"deep": object()}]], ids=["object", "int", "code", "deep"]
)
async def test_a_value_that_cannot_be_stored_is_refused_with_its_channel(store_url: str, value: object) -> None:
    async with Saver(store_url) as saver:
        with pytest.raises(hf.PayloadError, match="channel 'held'"):
            await ordered(saver, value)
        assert await ordered(saver, 1) == 1


async def test_a_class_of_the_graph_s_own_is_stored_if_it_is_named(store_url: str) -> None:
    async with Saver(store_url) as saver:
        with pytest.raises(hf.PayloadError, match=r"Order.*Saver\(…, types=\[Order\]\)"):
            await ordered(saver, {"orders": [Order(1)]})
    async with Saver(store_url, types=[Order]) as saver:
        assert await ordered(saver, {"orders": [Order(1)]}) == {"orders": [Order(1)]}


async def test_a_class_that_is_not_known_is_not_imported_when_it_is_read(disk_url: str) -> None:
    async with Saver(disk_url, types=[Order]) as saver:
        await ordered(saver, Order(1))
    async with Saver(disk_url) as saver:
        (latest,) = await listed(saver, thread("t"), limit=1)
        assert latest.checkpoint["channel_values"]["held"] == {"number": 1}


@pytest.mark.parametrize("coding", ["pickle", "json"])
async def test_nothing_is_unpickled_or_made_from_json_that_is_stored(coding: str) -> None:
    made = b'{"lc": 2, "type": "constructor", "id": ["subprocess", "Popen"], "args": [["true"]]}'
    try:
        found = Saver("memory://").serde.loads_typed((coding, made))
    except NotImplementedError:
        found = None
    assert not isinstance(found, subprocess.Popen)


async def test_metadata_is_kept_as_it_is_and_found_by_what_can_be(store_url: str) -> None:
    async with Saver(store_url) as saver:
        await put(saver, thread("t"), source="loop", nan=float("nan"), deep={"text": "nul \0"}, tags=("a", "b"))
        (found,) = await listed(saver, filter={"source": "loop", "tags": ["a", "b"]})
        assert found.metadata["deep"] == {"text": "nul \0"}
        assert found.metadata["nan"] != found.metadata["nan"]
        assert await listed(saver, filter={"source": "input"}) == []


@pytest.mark.parametrize("part", ["configurable", "metadata"])
async def test_a_secret_in_a_config_is_not_kept_as_metadata(disk_url: str, part: str) -> None:
    given = {"openai_api_key": "sk-of-ours", "Access_Token": "sk-of-ours", "apikey": "sk-of-ours", "order": "o-1"}
    async with hf.connect(disk_url) as client:
        saver = Saver(client=client)
        config: Any = {"configurable": {"thread_id": "t"}}
        config[part] = {**config.get(part, {}), **given}
        await article(saver).ainvoke({"topic": "tea"}, config)
        rows = await client.core.store.graphs.checkpoints("default", CheckpointFilter("t"), limit=9)
        assert len(rows) == 3
        assert b"sk-of-ours" not in b"".join(row.document for row in rows)
        assert await listed(saver, filter={"openai_api_key": "sk-of-ours"}) == []
        assert len(await listed(saver, filter={"order": "o-1"})) == 3
