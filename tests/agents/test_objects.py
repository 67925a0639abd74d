"""Artifacts in an object storage, by its URL."""

import asyncio
import builtins
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from holdfast.agents.artifacts.workspace import Workspace
from holdfast.errors import ArtifactNotFound, PayloadError, UsageError, WorkspaceError


class Plan(BaseModel):
    steps: list[str]


@pytest.fixture(params=["memory", "file"])
def work(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    return Workspace("memory:///" if request.param == "memory" else f"file://{tmp_path}/the%20work")


async def test_what_is_put_is_there_and_loaded_typed(work: Workspace) -> None:
    info = await work.put("plans/a b.json", Plan(steps=["x"]))
    assert info.location in ("memory:///plans/a b.json", f"{work.path}/plans/a b.json")
    assert await work.get("plans/a b.json") == b'{\n  "steps": [\n    "x"\n  ]\n}\n'
    assert await work.load("plans/a b.json", Plan) == Plan(steps=["x"])
    await work.put("plans/a b.json", Plan(steps=[]))
    assert await work.changed("plans/a b.json", info.sha256)
    assert not await work.changed("plans/a b.json", (await work.put("plans/a b.json", Plan(steps=["x"]))).sha256)


async def test_names_are_those_of_the_workspace_or_of_a_folder_in_it(work: Workspace) -> None:
    assert await work.names() == []
    inner = work.within("r-1")
    await inner.put("b/plan.json", "x")
    await inner.put_ours(".holdfast.json", b"{}")
    await work.put("r-10/plan.json", "x")
    assert await work.names() == ["r-1/b/plan.json", "r-10/plan.json"]
    assert await inner.names() == ["b/plan.json"]
    assert await inner.get("b/plan.json") == b"x"
    assert inner.location == f"{work.location.rstrip('/')}{'' if work.path else '//'}/r-1"


async def test_what_is_not_there_is_told_by_its_name(work: Workspace) -> None:
    with pytest.raises(ArtifactNotFound, match=r"has no artifact 'plan\.json'") as raised:
        await work.get("plan.json")
    assert (raised.value.name, raised.value.location) == ("plan.json", work.location)
    assert await work.changed("plan.json", "0" * 64)


async def test_a_wrong_artifact_is_told_with_the_place_in_it(work: Workspace) -> None:
    await work.put("plan.json", {"steps": ["x", 3]})
    with pytest.raises(PayloadError, match=r"plan\.json: value\.steps\[1\]: Input should be a valid string"):
        await work.load("plan.json", Plan)


@pytest.mark.parametrize("name", ["../x", "/x", "a//b", "a\\b", ".holdfast.json", "nul"])
async def test_names_that_lead_elsewhere_are_refused(work: Workspace, name: str) -> None:
    with pytest.raises(UsageError, match="the name of an artifact"):
        await work.put(name, b"x")
    assert await work.names() == []


async def test_a_storage_in_memory_ends_with_its_workspace() -> None:
    await Workspace("memory:///").put("x", "x")
    assert await Workspace("memory:///").names() == []


@pytest.mark.parametrize("url", ["s3://bucket/work", "gs://bucket/work/"])
async def test_a_bucket_is_named_by_its_url_and_nothing_is_asked_of_it_yet(url: str) -> None:
    assert Workspace(url).location == url
    assert Workspace(url).path is None


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A storage that lets nobody in."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\nconnection: close\r\n\r\nno way")
    await writer.drain()
    writer.close()


async def test_a_storage_that_refuses_says_so_without_what_was_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
        work = Workspace("s3://bucket/work")
        for call, what in (
            (work.put("plan.json", "x"), "written"),
            (work.get("plan.json"), "read"),
            (work.names(), "listed"),
        ):
            with pytest.raises(WorkspaceError, match=f"the workspace s3://bucket/work: .*cannot be {what}") as raised:
                await call
            assert "very-secret" not in str(raised.value)
            assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://host/x", "s3://"),
        ("http://127.0.0.1/x", "s3://"),
        ("s3://key:very-secret@bucket/x", "credentials come from the environment"),
        ("az://account/x?sig=very-secret", "credentials come from the environment"),
        ("file://host/x", "an absolute path"),
        ("file:///x?y", "an absolute path"),
    ],
)
async def test_a_url_that_is_none_or_has_credentials_in_it_is_refused(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as raised:
        Workspace(url)
    assert "very-secret" not in str(raised.value)


async def test_a_url_without_a_bucket_is_told() -> None:
    with pytest.raises(WorkspaceError, match="cannot be opened"):
        Workspace("s3://")


async def test_without_obstore_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("obstore"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(UsageError, match=r'pip install "holdfast\[objects\]"'):
        Workspace("memory:///")
