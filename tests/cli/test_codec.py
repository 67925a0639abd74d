"""`holdfast codec`, and the configuration of values: keys that are never shown, and commands that all use them."""

from __future__ import annotations

import base64
import json
import sqlite3
from pathlib import Path

import httpx
import pytest

from holdfast.cli.settings import load
from holdfast.cli.values import make_codec, make_values
from holdfast.codecs import AesGcm, Chain, RemoteCodec, Zstd
from holdfast.errors import UsageError
from tests.cli.tool import call, call_json, inside, running, stop

FILE = '[values]\nzstd = true\nkeys = { "2026-11" = "env:KEY_A", "2026-10" = "env:KEY_B" }\nkey = "2026-11"\n'


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Two keys, in variables."""
    made = {"KEY_A": AesGcm.new_key(), "KEY_B": AesGcm.new_key()}
    for name, key in made.items():
        monkeypatch.setenv(name, key)
    return made


def test_a_new_key_has_32_bytes_and_is_another_each_time() -> None:
    found = {inside("codec", "new-key")[0].strip() for _ in range(3)}
    assert len(found) == 3
    assert {len(base64.b64decode(key)) for key in found} == {32}
    assert len(base64.b64decode(json.loads(inside("codec", "new-key", "--json")[0])["key"])) == 32


def test_the_codec_is_what_the_settings_say(shop: Path, keys: dict[str, str]) -> None:
    def made(text: str) -> object:
        (shop / "holdfast.toml").write_text(text)
        return make_codec(load({}))

    (shop / "our_codecs.py").write_text("import holdfast.codecs\nours = holdfast.codecs.Zstd(7)\nnumber = 3\n")
    both = made(FILE)
    assert isinstance(both, Chain)
    assert [type(one) for one in both.codecs] == [Zstd, AesGcm]
    assert both.codecs[1].key == "2026-11"  # type: ignore[attr-defined]
    assert isinstance(made("[values]\nkeys = {a = 'env:KEY_A'}"), AesGcm)
    assert isinstance(made("[values]\nzstd = 9"), Zstd)
    assert made("[values]\nzstd = false") is None
    assert isinstance(made("[values]\ncodec = 'our_codecs:ours'"), Zstd)
    assert isinstance(made("[values]\nendpoint = 'https://codec.example'"), RemoteCodec)
    assert make_values(load({})) is not None
    for place, said in [
        ("our_codecs", "MODULE:NAME"),
        ("our_codecs:none", "has no 'none'"),
        ("our_codecs:number", "is 3; give"),
    ]:
        with pytest.raises(UsageError, match=said):
            made(f"[values]\ncodec = '{place}'")
    assert made("") is None
    assert make_values(load({})) is None
    (shop / "holdfast.toml").write_text("[values]\nmost = '1 MiB'")
    values = make_values(load({}))
    assert values is not None
    assert (values.codec, values.most_bytes) == (None, 1024**2)


def test_the_server_has_an_endpoint_of_its_own(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_SERVE_CODEC_ENDPOINT", "https://codec.example")
    served, other = make_values(load({}), serving=True), make_values(load({}))
    assert served is not None
    assert isinstance(served.codec, RemoteCodec)
    assert other is None


def test_keys_are_checked_and_never_shown(shop: Path, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "holdfast.toml").write_text(FILE)
    assert "are fine" in inside("config", "check")[0]
    shown = [*inside("config", "show"), *inside("config", "show", "--json")]
    assert "env:KEY_A" in shown[0]
    assert not any(key in text for key in keys.values() for text in shown)
    for wrong, said in [
        ("", "values.keys.2026-10: the secret: the variable KEY_B is not set"),
        ("not base64!", "values: key '2026-10': what stands at env:KEY_B is not base64"),
        (base64.b64encode(bytes(5)).decode(), "key '2026-10' has 5 bytes"),
    ]:
        monkeypatch.setenv("KEY_B", wrong)
        found = inside("config", "check", code=1)[1]
        assert said in found
        assert "not base64!" not in found


def test_the_endpoint_wants_a_codec_and_beyond_this_machine_a_key(shop: Path, keys: dict[str, str]) -> None:
    assert "no codec is configured" in inside("codec", "serve", "--port", "0", code=2)[1]
    (shop / "holdfast.toml").write_text(FILE)
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        said = inside("codec", "serve", "--host", host, "--port", "0", code=2)[1]
        assert f"{host} is beyond this machine" in said
        assert "--key" in said
    assert "--limit" in inside("codec", "keys", "--limit", "0", "--url", "sqlite:///never.db", code=2)[1]


@pytest.mark.slow
def test_values_are_sealed_by_every_command_and_opened_by_the_endpoint(shop: Path, keys: dict[str, str]) -> None:
    """A worker and a client with keys, then a server without: shown as sealed, and opened by the endpoint."""
    (shop / "holdfast.toml").write_text(FILE)
    url = f"sqlite:///{shop}/shop.db"
    given = ("--input", '{"order_id": "Vandermeer", "cents": 5}')
    with running(shop, "worker", "shop:checkout", url=url) as worker:
        done = call(shop, "start", "checkout", "--id", "one", *given, "--wait", url=url)
        assert "receipt Vandermeer-5" in done.stdout
        assert stop(worker) == 0
    assert call_json(shop, "runs", "show", "one", url=url)["run"]["input"] == {"order_id": "Vandermeer", "cents": 5}
    connection = sqlite3.connect(shop / "shop.db")
    assert not any(b"Vandermeer" in line.encode() for line in connection.iterdump())
    connection.close()
    counted = call_json(shop, "codec", "keys", url=url)
    assert counted == {"runs": 1, "keys": [{"key": "2026-11", "how": "encrypted", "values": 2, "here": True}]}
    assert "2026-11" in call(shop, "codec", "keys", url=url).stdout
    # Without the keys.
    (shop / "holdfast.toml").rename(shop / "with-keys.toml")
    shown = call_json(shop, "runs", "show", "one", url=url)["run"]["input"]
    assert shown["sealed_by"] == "2026-11"
    assert "no key is configured here" in shown["why"]
    wanted = {"CODEC_KEY": "the-endpoint-key"}
    how = ("--config", "with-keys.toml", "--port", "0", "--key", "env:CODEC_KEY", "--json")
    with running(shop, "codec", "serve", *how, **wanted) as codec:
        address = json.loads(codec.stdout.readline())["url"]  # type: ignore[union-attr]
        told = {"HOLDFAST_SERVE_CODEC_ENDPOINT": address, "HOLDFAST_SERVE_CODEC_KEY": "env:CODEC_KEY", **wanted}
        with running(shop, "serve", "--port", "0", "--json", url=url, **told) as server:
            at = json.loads(server.stdout.readline())["url"]  # type: ignore[union-attr]
            run = httpx.get(f"{at}/api/v1/runs/one", timeout=30).json()
            assert run["input"] == {"order_id": "Vandermeer", "cents": 5}
            assert stop(codec) == 0
            run = httpx.get(f"{at}/api/v1/runs/one", timeout=30).json()
            assert run["input"]["sealed_by"] == "2026-11"
            assert "cannot be used" in run["input"]["why"]
            assert stop(server) == 0
    log = (shop / "stderr").read_text()
    assert "Vandermeer" not in log
    assert "the-endpoint-key" not in log
    assert not any(key in log for key in keys.values())


@pytest.mark.slow
def test_the_doctor_says_whether_values_can_be_opened(shop: Path, keys: dict[str, str]) -> None:
    (shop / "holdfast.toml").write_text(FILE)
    url = f"sqlite:///{shop}/shop.db"
    with running(shop, "worker", "shop:remind", "--queue", "later", url=url):
        call(shop, "start", "remind", "--input", '{"order_id": "o-9"}', "--wait", url=url)
    assert "values: the newest can be opened" in call(shop, "doctor", url=url).stdout
    (shop / "holdfast.toml").unlink()
    found = call(shop, "doctor", url=url, code=1).stdout
    assert "values: it is sealed by key '2026-11', and no key is configured here" in found
    call(shop, "start", "remind", "--input", '{"order_id": "o-10"}', "--id", "plain", "--delay", "1h", url=url)
    (shop / "holdfast.toml").write_text(FILE)
    found = call(shop, "doctor", url=url).stdout
    assert "values: run 'plain' has values that are not sealed, and a codec is configured here" in found
