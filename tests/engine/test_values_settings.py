"""`hf.Values`: what may be said, what is too large, and what is done to payloads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import holdfast as hf
from holdfast.model.gathered import JOINED, join_inputs
from holdfast.model.payload import body_of
from holdfast.model.references import is_apart
from holdfast.store.operations import Batch, Rate
from holdfast.store.values.values import Values
from tests.conformance.kit import start
from tests.engine.helpers import QUICK, outcome, until_status
from tests.engine.large_kit import BIG, Backwards, echo, waits, working


async def test_what_is_over_the_limit_is_refused_with_its_place(store_url: str) -> None:
    await refusing(store_url, Values(most="1MiB"))


@pytest.mark.slow
async def test_the_usual_limit_is_64_mib() -> None:
    await refusing("memory://", Values())


async def refusing(store_url: str, values: Values) -> None:
    large = "x" * values.most_bytes

    @hf.step(retry=QUICK)
    async def makes(bad: bool) -> str:
        return large if bad else "ok"

    @hf.workflow
    async def through_output(bad: bool) -> str:
        return await makes(bad)

    @hf.workflow
    async def returns() -> str:
        return large

    async with (
        hf.connect(store_url, values=values) as client,
        hf.Worker(client, [through_output, returns, echo, waits], drain=0),
    ):
        limit = f"at most {values.most_bytes:,} are stored.*hf.Values"
        with pytest.raises(hf.PayloadError, match=rf"^echo\(\) argument 'value': takes [0-9,]+ bytes, and {limit}"):
            await client.start(echo, large)
        with pytest.raises(hf.PayloadError, match=f"the payload of event 'large': takes [0-9,]+ bytes, and {limit}"):
            await client.send_event("large", large)
        bad = await client.start(through_output, True)
        with pytest.raises(hf.RunFailed, match=rf"makes\(\) result: takes [0-9,]+ bytes, and {limit}"):
            await bad.result(timeout="20s")
        with pytest.raises(hf.RunFailed, match=rf"returns\(\) result: takes [0-9,]+ bytes, and {limit}"):
            await (await client.start(returns)).result(timeout="20s")
        assert await outcome(client, through_output, False) == "ok"
        fits = "x" * (values.most_bytes - 20)
        assert await outcome(client, echo, fits) == fits


async def test_one_database_has_one_way(tmp_path: Path, sqlite_url: str, postgres_database: str) -> None:
    values = Values(apart=str(tmp_path / "values"))
    async with hf.connect(sqlite_url, values=values) as client:
        async with hf.connect(sqlite_url) as other:
            assert other.core is client.core
        with pytest.raises(hf.UsageError, match="one database has one hf"):
            await hf.connect(sqlite_url, values=Values(apart_over="1MiB"))
        with pytest.raises(hf.UsageError, match="other values"):
            hf.Worker(client, [echo], values=Values())
    with pytest.raises(hf.UsageError, match="may be on machines that do not have it"):
        await hf.connect(postgres_database, values=values)
    with pytest.raises(hf.UsageError, match="a server stores values as it is configured"):
        await hf.connect("https://holdfast.example", values=values)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"apart_over": "1000"}, "apart_over of hf.Values is 1,000 bytes; give 1 KiB to 16 MiB"),
        ({"apart_over": "17MiB"}, "apart_over of hf.Values is 17 MiB"),
        ({"apart_over": "much"}, "apart_over of hf.Values is 'much'; give a number of bytes"),
        ({"apart_over": -1}, "apart_over of hf.Values is -1"),
        ({"most": "300MiB"}, "at most 256 MiB"),
        ({"most": "100KiB"}, "no less than apart_over"),
        ({"apart": ""}, "apart of hf.Values is ''"),
        ({"apart": "ftp://host/x"}, "apart of hf.Values is 'ftp://host/x'"),
        ({"apart": "s3://user:secret@bucket"}, "has a user, a query or a fragment"),
        ({"codec": "zstd"}, "the codec of hf.Values is 'zstd'"),
    ],
)
def test_bad_settings_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(hf.UsageError) as refused:
        Values(**given)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_equal_settings_are_equal_however_they_are_written(tmp_path: Path) -> None:
    assert Values(apart_over=262_144, most="64 MiB") == Values()
    assert Values(apart=f"file://{tmp_path}") == Values(apart=f"{tmp_path}/")
    assert Values(apart="s3://bucket/") == Values(apart="s3://bucket")


async def test_inputs_that_stand_one_behind_the_other_are_opened_and_joined() -> None:
    async with hf.connect("memory://", values=Values(Backwards())) as client:
        sealing = client.core.sealed.sealing
        parts = [b'\x01{"docs":[1,2]}', b'\x01{"docs":[]}', b'\x01{"docs":["three"]}']
        stored = join_inputs([await sealing.payload(part) for part in parts])
        assert stored[:1] == JOINED
        assert await sealing.plain([stored]) == [b'\x01{"docs":[1,2,"three"]}']
    async with hf.connect("memory://") as client:
        [found] = await client.core.sealed.sealing.plain([stored])
        with pytest.raises(hf.PayloadError, match="sealed by a codec"):
            body_of(found, "the input")
        assert await client.core.sealed.sealing.payload(found) == stored


async def test_bytes_that_are_no_payload_may_begin_as_they_like() -> None:
    async with hf.connect("memory://", values=Values(Backwards())) as client:
        sealing = client.core.sealed.sealing
        for content in (b"", b"\x02", b"\x03{}", b"\x05", b"plain"):
            stored = await sealing.raw(content)
            assert stored is not None
            assert await sealing.raw_plain(stored, "it") == content
            assert await sealing.raw_plain(content, "it") == content
    async with hf.connect("memory://") as client:
        assert await client.core.sealed.sealing.raw(b"\x02") == b"\x02"
        looks_sealed = await client.core.sealed.sealing.raw(stored)
        assert await client.core.sealed.sealing.raw_plain(looks_sealed, "it") == stored
        twice = await client.core.sealed.sealing.raw(looks_sealed)
        assert await client.core.sealed.sealing.raw_plain(twice, "it") == looks_sealed
        with pytest.raises(hf.PayloadError, match=r"^it: .*sealed"):
            await client.core.sealed.sealing.raw_plain(stored, "it")


class Forges:
    """A codec that gives references to what it was never given."""

    def __init__(self, gives: bytes) -> None:
        self._gives = gives

    async def encode(self, payloads: Sequence[bytes]) -> list[bytes]:
        return list(payloads)

    async def decode(self, payloads: Sequence[bytes]) -> list[bytes]:
        return [self._gives] * len(payloads)


@pytest.mark.parametrize("first", [b"\x02", b"\x03", b"\x04", b"\x05", b"", b"{"])
async def test_what_a_codec_gives_is_a_plain_value_or_none(sqlite_url: str, first: bytes) -> None:
    async with working((sqlite_url, Values())) as client:
        await outcome(client, echo.options(id="large"), BIG)
        [row] = await client.core.sealed.inner.find_runs("default", ["large"])
    values = Values(Forges(first + row.output[1:] if first else b""))
    async with working((sqlite_url, values)) as client:
        run = await client.start(echo, "small")
        held = await until_status(client, run.id, "held")
        assert "is no value" in held.error["message"]  # type: ignore[index]
        assert "is no value" in (await client.get(run.id)).input["why"]


async def test_what_a_rule_may_hold_back_stands_where_it_belongs_whoever_else_has_it() -> None:
    given = b"\x01" + BIG.encode()
    async with hf.connect("memory://", values=Values(Backwards())) as client:
        sealing = client.core.sealed.sealing
        ruled = start("a", input=given, rate=Rate(b"r" * 16, "", 1, 1, False))
        entry = (b"p" * 16, b"\1", 1, 1, "child", "echo", "pending", given, None, 1, 1, None, 1)
        for _ in range(2):  # and again, as after a lost connection
            batch = await sealing.batch(Batch(starts=[ruled], checkpoints=[entry]))
            assert batch.starts[0].input == b"\x02" + given[::-1]
            assert is_apart(batch.checkpoints[0][7])
            [use] = batch.blob_uses
            assert (use.run, use.blob) == (b"p" * 16, batch.blobs[0].id)


async def test_what_was_made_of_large_values_is_forgotten_once_it_is_committed() -> None:
    async with working(("memory://", Values())) as client:
        assert await outcome(client, echo, BIG) == BIG
        await client.core.committer.drain()
        assert client.core.sealed.sealing._made == {}


async def test_other_bytes_at_the_same_address_are_another_value() -> None:
    """As of batches that are given up, one after the other."""
    async with hf.connect("memory://", values=Values(Backwards())) as client:
        sealing = client.core.sealed.sealing
        references = set()
        for number in range(5):
            batch = await sealing.batch(Batch(starts=[start("a", input=b"\x01" + b"%d" % number * 300_000)]))
            references.add(batch.starts[0].input)
            del batch
        assert len(references) == 5
