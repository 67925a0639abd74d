"""Codecs: what goes in comes out, and nothing that was changed, cut off or sealed elsewhere is taken for a value."""

import asyncio
import base64
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import holdfast.codecs.threads as threads
from holdfast.codecs import AesGcm, Chain, RemoteCodec, Zstd
from holdfast.errors import CodecError, CodecUnavailable, KeyMissing, PayloadError, UsageError
from holdfast.model.payload import codec_of
from holdfast.model.sealed import Unopened, is_unopened, key_of, shown
from holdfast.store.values.codec import seal, unseal

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
CODECS = {
    "zstd": Zstd(at_least=0),
    "aes": AesGcm({"2026-11": KEY}),
    "both": Chain(Zstd(), AesGcm({"2026-11": KEY})),
    "three": Chain(Zstd(), AesGcm({"one": KEY}), AesGcm({"two": OTHER})),
}
VALUES = st.binary(max_size=300) | st.binary(max_size=20).map(lambda one: one * 100)


def run(work):
    return asyncio.run(work)


@pytest.mark.parametrize("name", CODECS)
@given(values=st.lists(VALUES, max_size=8))
def test_any_bytes_come_back_as_they_were(name, values):
    codec = CODECS[name]

    async def there_and_back():
        return await codec.decode(await codec.encode(values))

    assert run(there_and_back()) == values


@pytest.mark.parametrize("name", CODECS)
def test_no_change_of_a_byte_and_no_cut_goes_unnoticed(name):
    codec = CODECS[name]
    value = b"\x01" + b'{"word": "secret"}' * 4

    async def try_all():
        [sealed] = await codec.encode([value])
        for place in range(len(sealed)):
            for flipped in (0x01, 0x80, 0xFF):
                changed = sealed[:place] + bytes([sealed[place] ^ flipped]) + sealed[place + 1 :]
                with pytest.raises(CodecError):
                    await codec.decode([changed])
            with pytest.raises(CodecError):
                await codec.decode([sealed[:place]])
        with pytest.raises(CodecError):
            await codec.decode([sealed + b"\0"])

    run(try_all())


@given(foreign=st.binary(max_size=200))
def test_bytes_of_others_are_refused(foreign):
    for codec in CODECS.values():
        with pytest.raises(CodecError):
            run(codec.decode([foreign]))


def test_a_missing_key_is_told_by_its_id_with_those_that_are_there_and_no_key():
    [sealed] = run(AesGcm({"2026-10": KEY}).encode([b"value"]))
    with pytest.raises(KeyMissing, match=r"'2026-10'.*'2026-11', '2026-12'") as told:
        run(AesGcm({"2026-12": OTHER, "2026-11": KEY}, key="2026-12").decode([sealed]))
    assert (told.value.needed, told.value.known) == ("2026-10", ("2026-11", "2026-12"))
    for key in (KEY, OTHER):
        assert key.hex() not in str(told.value)
        assert base64.b64encode(key).decode() not in str(told.value)


def test_another_key_of_the_same_id_is_told_and_gives_no_value():
    [sealed] = run(AesGcm({"a": KEY}).encode([b"value"]))
    with pytest.raises(CodecError, match=r"key 'a'.*another one"):
        run(AesGcm({"a": OTHER}).decode([sealed]))


def test_a_sealed_value_is_not_opened_under_the_id_of_another_key():
    """The id is authenticated: renamed bytes are refused, even where both ids have the same key."""
    codec = AesGcm({"a": KEY, "b": KEY}, key="a")
    [sealed] = run(codec.encode([b"value"]))
    assert key_of(sealed) == "a"
    with pytest.raises(CodecError):
        run(codec.decode([sealed.replace(b"\x01a", b"\x01b", 1)]))


def test_new_values_get_the_new_key_and_old_ones_are_still_read():
    before = AesGcm({"2026-10": KEY})
    after = AesGcm({"2026-10": KEY, "2026-11": OTHER}, key="2026-11")
    old, new = run(before.encode([b"old"])), run(after.encode([b"new"]))
    assert [key_of(one) for one in (*old, *new)] == ["2026-10", "2026-11"]
    assert run(after.decode([*old, *new])) == [b"old", b"new"]


def test_the_same_value_is_never_sealed_to_the_same_bytes():
    assert len(set(run(CODECS["aes"].encode([b"value"] * 500)))) == 500


@pytest.mark.parametrize("size", [16, 24, 32])
def test_keys_of_each_length_of_aes_are_taken(size):
    codec = AesGcm({"k": os.urandom(size)})
    assert run(codec.decode(run(codec.encode([b"v"])))) == [b"v"]


@pytest.mark.parametrize(
    ("keys", "key", "said"),
    [
        ({}, None, "no keys"),
        ({"a": b"short"}, None, "5 bytes"),
        ({"a": 7}, None, "is a int"),
        ({"a": "0123456789abcdef"}, None, "env:NAME or file:PATH"),
        ({"a": "env:NO_SUCH_KEY"}, None, "NO_SUCH_KEY"),
        ({"": KEY}, None, "1 to 64"),
        ({"x" * 65: KEY}, None, "1 to 64"),
        ({"tab\t": KEY}, None, "1 to 64"),
        ({"é": KEY}, None, "1 to 64"),
        ({"a": KEY, "b": KEY}, None, "key="),
        ({"a": KEY}, "b", "'b'"),
    ],
)
def test_keys_that_are_none_are_refused_and_told(keys, key, said):
    with pytest.raises(UsageError, match=said) as told:
        AesGcm(keys, key)
    assert "0123456789abcdef" not in str(told.value)


def test_keys_are_read_from_where_they_are(monkeypatch, tmp_path):
    monkeypatch.setenv("ONE", AesGcm.new_key())
    (tmp_path / "key").write_text(AesGcm.new_key() + "\n")
    codec = AesGcm({"one": "env:ONE", "two": f"file:{tmp_path}/key"}, "two")
    assert run(codec.decode(run(codec.encode([b"v"])))) == [b"v"]
    monkeypatch.setenv("ONE", "not base64!")
    with pytest.raises(UsageError, match="env:ONE is not base64") as told:
        AesGcm({"one": "env:ONE"})
    assert "not base64!" not in str(told.value)


def test_what_claims_to_be_larger_than_the_limit_is_not_decompressed():
    bomb = Zstd(most=1 << 30)
    [sealed] = run(bomb.encode([bytes(50_000_000)]))
    assert len(sealed) < 10_000
    with pytest.raises(CodecError, match="50,000,000 bytes, and at most 1,000,000"):
        run(Zstd(most=1_000_000).decode([sealed]))
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1000))
    with pytest.raises(CodecError, match="unknown number"):
        run(Zstd().decode([b"hfZ1" + zlib.crc32(b"hfZ1" + frame).to_bytes(4, "big") + frame]))


def test_values_over_the_limit_are_left_as_they_are_and_come_back():
    codec = Zstd(most=1000)
    assert run(codec.decode(run(codec.encode([bytes(5000)])))) == [bytes(5000)]


@pytest.mark.parametrize("level", [0, 23, True, "3", 2.5])
def test_levels_that_are_none_are_refused(level):
    with pytest.raises(UsageError, match="level"):
        Zstd(level)


def test_chains_that_make_no_sense_are_refused():
    for codecs, said in [((), "no codec"), ((3,), "give an object"), ((Zstd,), "give an object")]:
        with pytest.raises(UsageError, match=said):
            Chain(*codecs)
    with pytest.raises(UsageError, match=r"before hf\.AesGcm"):
        Chain(AesGcm({"a": KEY}), Zstd())


def test_large_lists_are_worked_on_in_a_thread(monkeypatch):
    monkeypatch.setattr(threads, "IN_THREAD_BYTES", 1000)
    codec, values = CODECS["both"], [os.urandom(100) for _ in range(50)]

    async def many():
        made = await asyncio.gather(*(codec.encode(values) for _ in range(8)))
        return await asyncio.gather(*(codec.decode(one) for one in made))

    assert run(many()) == [values] * 8


# As the store calls them


class Odd:
    """A codec that gives what it is told to."""

    def __init__(self, gives):
        self.gives = gives

    async def encode(self, payloads):
        return await self.gives(payloads)

    decode = encode


async def _raise(payloads):
    raise OSError("the key service is away")


async def _fewer(payloads):
    return list(payloads)[1:]


async def _texts(payloads):
    return ["text" for _ in payloads]


async def _nothing(payloads):
    return None


async def _hang(payloads):
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (_raise, "OSError: the key service is away"),
        (_fewer, "given 3 values and gave 2 values"),
        (_texts, "gave a str instead of bytes"),
        (_nothing, "gave a NoneType"),
        (_hang, "within 0.05 s"),
    ],
)
def test_whatever_else_is_wrong_with_a_codec_is_trouble_that_may_pass(gives, said):
    for work in (seal(Odd(gives), [b"\x01"] * 3, 0.05), unseal(Odd(gives), [b"\x02"] * 3, 0.05)):
        with pytest.raises(CodecUnavailable, match=said):
            run(work)


def test_what_cannot_be_opened_stands_for_itself_and_the_rest_is_opened():
    codec = AesGcm({"new": KEY})

    async def mixed():
        gone = await seal(AesGcm({"old": OTHER}), [b"\x01" + b'"lost"'])
        stored = await seal(codec, [b"\x01%d" % number for number in range(20)])
        stored[7:8] = gone
        return stored, await unseal(codec, stored)

    stored, found = run(mixed())
    assert [one for one in found if not is_unopened(one)] == [b"\x01%d" % number for number in range(20) if number != 7]
    assert shown(found[7]) == {
        "sealed_by": "old",
        "size_bytes": len(stored[7]),
        "why": "it is sealed by key 'old', and there is 'new': configure that key too",
    }
    with pytest.raises(KeyMissing, match="the input: it is sealed by key 'old'"):
        codec_of(int).decode(found[7], "the input")
    # Written again it is what it was.
    assert run(seal(codec, [found[7]])) == [stored[7]]


def test_without_a_codec_sealed_values_stand_for_themselves():
    stored = run(seal(CODECS["both"], [b"\x01" + b"1"]))
    [found] = run(unseal(None, stored))
    assert isinstance(found, Unopened)
    with pytest.raises(KeyMissing, match="'2026-11', and no key is configured here"):
        codec_of(int).decode(found, "x")
    [other] = run(unseal(None, run(seal(Zstd(), [b"\x01" + b"1"]))))
    with pytest.raises(CodecError, match="none is configured here"):
        codec_of(int).decode(other, "x")


def test_bytes_that_only_look_like_what_cannot_be_opened_are_sealed():
    [found] = run(unseal(None, run(seal(CODECS["aes"], [b"\x01"]))))
    forged = bytes(found)
    [sealed] = run(seal(CODECS["aes"], [forged]))
    assert run(unseal(CODECS["aes"], [sealed])) == [forged]


def test_codec_errors_are_payload_errors():
    assert issubclass(KeyMissing, CodecError)
    assert issubclass(CodecError, PayloadError)


@pytest.mark.parametrize("url", ["", "ftp://host", "https://", "https://host/?key=1", "https://user:pass@host", 7])
def test_addresses_of_endpoints_that_are_none_are_refused(url):
    with pytest.raises(UsageError, match="codec endpoint") as told:
        RemoteCodec(url)
    assert "pass@" not in str(told.value)


@pytest.mark.parametrize(("package", "make"), [("zstandard", "Zstd()"), ("cryptography", "AesGcm({'a': bytes(16)})")])
def test_without_the_extra_what_to_install_is_said(package, make):
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from holdfast.codecs import AesGcm, Zstd\n"
        "try:\n"
        f"    {make}\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path.cwd(), timeout=60)
    assert "UsageError" in done.stdout, done.stderr
    assert 'pip install "holdfast[codec]"' in done.stdout
