"""Settings: which source wins, and what is said of wrong ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from holdfast.cli.kinds import Secret
from holdfast.cli.settings import SETTINGS, ConfigError, as_variables, load
from holdfast.cli.webhooks import Webhook
from holdfast.errors import UsageError
from tests.cli.tool import inside


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert (load({}, environ={})["worker.threads"], load({}, environ={}).source("worker.threads")) == (32, "default")
    (tmp_path / "holdfast.toml").write_text("# ours\n[worker]\nthreads = 5\n")
    assert (load({}, environ={})["worker.threads"], load({}, environ={}).source("worker.threads")) == (
        5,
        "holdfast.toml:3",
    )
    environ = {"HOLDFAST_WORKER_THREADS": "6"}
    assert load({}, environ=environ)["worker.threads"] == 6
    assert load({}, environ=environ).source("worker.threads") == "HOLDFAST_WORKER_THREADS"
    settings = load({"worker.threads": 7}, environ=environ)
    assert (settings["worker.threads"], settings.source("worker.threads")) == (7, "flag")
    assert load({}, environ={"HOLDFAST_WORKER_THREADS": ""})["worker.threads"] == 5


def test_every_setting_can_be_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    texts = {
        "url": "sqlite:///a.db", "tenant": "north", "log_level": "DEBUG", "worker.modules": "shop, billing",
        "state_url": "redis://state", "serve.conversations": "desk, talk:renewal",
        "worker.concurrency": "7", "worker.processes": "2", "worker.queues": "a,b", "worker.threads": "9",
        "worker.lease": "1m", "worker.beat": "2", "worker.drain": "0", "worker.metrics": "localhost:9464",
        "worker.notifications": "people.toml", "worker.alerts": "default", "key": "env:SOMEWHERE",
        "worker.channels": "channels.toml", "worker.keep_messages": "30d",
        "worker.intake": "intake.toml", "worker.keep_entries": "1w",
        "worker.keep_diversions": "2d", "serve.intake": "requests.toml",
        "serve.host": "::", "serve.port": "0", "serve.auth": "Yes",
        "serve.shared_tenants": "default, ops", "serve.public_url": "https://hf.example/", "serve.allowed_hosts": "a,b",
        "serve.max_body": "1.5 KiB", "serve.max_upload": "1 GB", "serve.rate": "2.5",
        "serve.redact": "iban, card.number", "serve.keep_audit": "30d", "serve.name": "north",
        "serve.workspaces": "/srv/work, drafts",
        "values.apart": "/srv/values", "values.apart_over": "1 MiB", "values.most": "8 MB", "values.zstd": "5",
        "values.keys": "2026-11=env:NEW, 2026-10=file:/run/old", "values.key": "2026-11", "values.codec": "",
        "values.endpoint": "", "values.endpoint_key": "", "codec.host": "::1", "codec.port": "0",
        "codec.key": "env:CODEC", "serve.codec_endpoint": "", "serve.codec_key": "", "serve.codec_forward": "no",
        "oidc.issuer": "https://id.example", "oidc.audience": "holdfast", "oidc.client_id": "hf",
        "oidc.client_secret": "file:/run/secret", "oidc.tenant_claim": "org", "oidc.role_claim": "hf_role",
    }  # fmt: skip
    settings = load({}, environ={setting.variable: texts[setting.key] for setting in SETTINGS})
    assert {key: one.value for key, one in settings.values.items()} == {
        "url": "sqlite:///a.db", "tenant": "north", "log_level": "debug", "worker.modules": ["shop", "billing"],
        "state_url": "redis://state", "serve.conversations": ["desk", "talk:renewal"],
        "worker.concurrency": 7, "worker.processes": 2, "worker.queues": ["a", "b"], "worker.threads": 9,
        "worker.lease": 60.0, "worker.beat": 2.0, "worker.drain": 0.0, "worker.metrics": "localhost:9464",
        "worker.notifications": "people.toml", "worker.alerts": "default", "key": Secret("env:SOMEWHERE"),
        "worker.channels": "channels.toml", "worker.keep_messages": 30 * 86400.0,
        "worker.intake": "intake.toml", "worker.keep_entries": 7 * 86400.0,
        "worker.keep_diversions": 2 * 86400.0, "serve.intake": "requests.toml",
        "serve.host": "::", "serve.port": 0, "serve.auth": True,
        "serve.shared_tenants": ["default", "ops"], "serve.public_url": "https://hf.example/",
        "serve.allowed_hosts": ["a", "b"], "serve.max_body": 1536, "serve.max_upload": 10**9, "serve.rate": 2.5,
        "serve.redact": ["iban", "card.number"], "serve.keep_audit": 30 * 86400.0, "serve.name": "north",
        "serve.workspaces": ["/srv/work", "drafts"],
        "values.apart": "/srv/values", "values.apart_over": 1024**2, "values.most": 8 * 10**6, "values.zstd": 5,
        "values.keys": {"2026-11": Secret("env:NEW"), "2026-10": Secret("file:/run/old")}, "values.key": "2026-11",
        "values.codec": None, "values.endpoint": None, "values.endpoint_key": None, "codec.host": "::1",
        "codec.port": 0, "codec.key": Secret("env:CODEC"), "serve.codec_endpoint": None, "serve.codec_key": None,
        "serve.codec_forward": False,
        "oidc.issuer": "https://id.example", "oidc.audience": "holdfast", "oidc.client_id": "hf",
        "oidc.client_secret": Secret("file:/run/secret"), "oidc.tenant_claim": "org", "oidc.role_claim": "hf_role",
    }  # fmt: skip
    again = load({}, environ=as_variables(settings))
    assert {key: one.value for key, one in again.values.items()} == {k: v.value for k, v in settings.values.items()}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ulr = 'sqlite:///a.db'", "holdfast.toml:1: ulr: there is no such setting; do you mean url?"),
        (
            "[worker]\n\nconcurency = 3",
            "holdfast.toml:3: worker.concurency: there is no such setting; do you mean worker.con",
        ),
        ("[wroker]\nlease = 3", "holdfast.toml:1: wroker: there is no such setting"),
        ("lease = 3", "holdfast.toml:1: lease: there is no such setting; do you mean worker.lease?"),
        ("url = 3", "holdfast.toml:1: url: is not that; expected is text"),
        ("worker = 3", "holdfast.toml:1: worker: is a table: write [worker]"),
        (
            "[worker]\nconcurrency = '3'",
            "holdfast.toml:2: worker.concurrency: is '3'; expected is a whole number, 1 or more",
        ),
        ("[worker]\nconcurrency = true", "worker.concurrency: is True; expected is a whole number"),
        ("[worker]\nqueues = 'a'", "worker.queues: is 'a'; expected is a list of texts"),
        ("[worker]\nlease = 'soon'", "worker.lease: is 'soon'; expected is seconds, or text such as"),
        ("log_level = 'loud'", "log_level: is 'loud'; expected is one of debug, info, warning, error"),
        (
            "[worker]\nlease = 4\nbeat = 2",
            "worker.lease: is 4 s and worker.beat 2 s; a lease must be longer than two beats",
        ),
        ("url = ?\n", "holdfast.toml:1: is not TOML: Invalid value (at line 1"),
        ("[serve]\nauth = 'yes'", "holdfast.toml:2: serve.auth: is 'yes'; expected is true or false"),
        ("[serve]\nport = 65536", "holdfast.toml:2: serve.port: is 65536; expected is a port, 0 to 65535"),
        (
            "[serve]\nmax_body = '8 XB'",
            "holdfast.toml:2: serve.max_body: is '8 XB'; expected is bytes, or text",
        ),
        ("[serve]\nmax_body = 0", "serve.max_body: is 0; expected is bytes"),
        ("[serve]\nrate = -1", "serve.rate: is -1; expected is a number, 0 or more"),
        ("[serve]\nrate = inf", "serve.rate: is inf; expected is a number, 0 or more"),
        ("[serve]\npublic_url = 'hf.example'", "serve.public_url: is 'hf.example'; expected is an address that begins"),
        ("[serve]\nhots = ''", "holdfast.toml:2: serve.hots: there is no such setting; do you mean serve.host?"),
        (
            "\nkey = 'hf_01234567_x'",
            "holdfast.toml:2: key: is not that; expected is where the secret is, as env:",
        ),
        (
            "[oidc]\nclient_secret = 'x'",
            "holdfast.toml:2: oidc.client_secret: is not that; expected is where the",
        ),
        ("webhooks = 3", "holdfast.toml:1: webhooks: is not that; write a table for each, such as [webhooks.shop]"),
        ("[webhooks]\nshop = 3", "holdfast.toml:1: webhooks: is not that; write a table for each"),
        ("[webhooks.shop]\nevent = 'a'", "holdfast.toml:1: webhooks.shop: has no secret; expected is where the secret"),
        ("[webhooks.shop]\nsecret = 'whsec_x'\nevent = 'a'", "holdfast.toml:2: webhooks.shop.secret: is not that"),
        ("[webhooks.shop]\nsecret = 'env:A'", "holdfast.toml:1: webhooks.shop: needs one of event and workflow"),
        (
            "[webhooks.shop]\nsecret = 'env:A'\nevnt = 'a'",
            "toml:3: webhooks.shop.evnt: there is no such setting; do",
        ),
        (
            "[webhooks.shop]\nsecret = 'env:A'\nevent = ''",
            "holdfast.toml:3: webhooks.shop.event: is ''; expected is",
        ),
        (
            "[webhooks.shop]\nsecret = 'env:A'\nevent = 'a'\nkey = 'a..b'",
            "toml:4: webhooks.shop.key: is 'a..b'; exp",
        ),
        ("[webhooks.shop]\nsecret = 'env:A'\nworkflow = 'a'\nkey = 'a'", "webhooks.shop.key: is for events; a workf"),
        (
            "[webhooks.shop]\nsecret = 'env:A'\nevent = 'a'\ninput = [1]",
            "toml:4: webhooks.shop.input: is [1]; exp",
        ),
        ("[webhooks.shop]\nsecret = 'env:A'\nevent = 'a'\ninput = {a = 'b'}", "toml:4: webhooks.shop.input: is for an"),
        ("[values]\nkeys = 3", "holdfast.toml:2: values.keys: is not that; expected is a table of keys by their ids"),
        ("[values]\nkeys = {a = 'c2VjcmV0'}", "holdfast.toml:2: values.keys: is not that; expected is a table of keys"),
        ("[values.keys]\n'a' = 7", "holdfast.toml:1: values.keys: is not that; expected is a table of keys"),
        ("[values]\nzstd = 23", "holdfast.toml:2: values.zstd: is 23; expected is true, false, or a level from"),
        ("[values]\nkey = 'a'", "holdfast.toml:2: values.key: names a key, and there are none"),
        ("[values]\nkeys = {a = 'env:A'}\nkey = 'b'", "holdfast.toml:3: values.key: is 'b', and values.keys has a"),
        ("[values]\nkeys = {a = 'env:A', b = 'env:B'}", "holdfast.toml:2: values.keys: has 2 keys; say with"),
        ("[values]\nkeys = {a = 'env:A'}\ncodec = 'a:b'", "holdfast.toml:3: values.codec: is given beside values.keys"),
        ("[values]\nendpoint = 'https://c'\nzstd = true", "holdfast.toml:3: values.zstd: is for the codec endpoint"),
        ("[values]\nendpoint_key = 'env:A'", "values.endpoint_key: is given without values.endpoint"),
        ("[values]\nmost = '100 KiB'", "holdfast.toml:2: values.most: is 102,400 bytes, and values.apart_over 262,144"),
        ("[values]\napart_over = 3", "holdfast.toml:2: values.apart_over: is 3 bytes; give 1 KiB to 16 MiB"),
        ("[serve]\ncodec_forward = true", "holdfast.toml:2: serve.codec_forward: is given without serve.codec"),
        (
            "[values]\nkeys = {a = 'env:A'}\n[serve]\ncodec_endpoint = 'https://c'",
            "holdfast.toml:4: serve.codec_endpoint: is for a server without a codec of its own",
        ),
        ("[webhooks.'a/b']\nsecret = 'env:A'\nevent = 'a'", "webhooks.a/b: 'a/b' cannot stand in an address"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "holdfast.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load({}, environ={})
    assert said in str(caught.value)
    assert said in inside("config", "check", code=1)[1]
    assert said in inside("runs", "list", code=2)[1]


def test_a_wrong_variable_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_WORKER_PROCESSES", "many")
    monkeypatch.setenv("HOLDFAST_ULR", "sqlite:///a.db")
    monkeypatch.setenv("HOLDFAST_URL", "mysql://me:hidden@there/x")
    found = json.loads(inside("config", "check", "--json", code=1)[0])
    assert not found["ok"]
    assert [problem["source"] for problem in found["problems"]] == [
        "HOLDFAST_WORKER_PROCESSES",
        "HOLDFAST_ULR",
        "HOLDFAST_URL",
    ]
    assert "HOLDFAST_URL?" in found["problems"][1]["message"]
    assert "hidden" not in json.dumps(found)


def test_all_problems_are_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "holdfast.toml").write_text("a = 1\nb = 2\n[worker]\nthreads = 0\n")
    assert len(json.loads(inside("config", "check", "--json", code=1)[0])["problems"]) == 3


def test_a_fine_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no holdfast.toml here" in inside("config", "check")[0]
    (tmp_path / "other.toml").write_text("url = 'postgresql://me:hidden@db/shop?password=hidden'\n")
    assert json.loads(inside("config", "check", "--config", "other.toml", "--json")[0]) == {
        "ok": True, "file": "other.toml", "problems": [],
    }  # fmt: skip
    monkeypatch.setenv("HOLDFAST_CONFIG", "other.toml")
    stdout, _ = inside("config", "show", "--tenant", "north")
    assert "hidden" not in stdout
    assert "postgresql://me:***@db/shop" in stdout
    shown = json.loads(inside("config", "show", "--tenant", "north", "--json")[0])
    assert shown["tenant"] == {"value": "north", "source": "flag"}
    assert shown["url"]["source"] == "other.toml:1"
    assert "no such configuration file" in inside("config", "check", "--config", "absent.toml", code=1)[1]


KEY = "hf_01234567_" + "s" * 40


def test_a_key_is_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOLDFAST_KEY", KEY)
    settings = load({})
    assert settings["key"].reveal("the key") == KEY
    assert KEY not in repr(settings.values)
    for arguments in (("config", "show"), ("config", "show", "--json")):
        stdout, stderr = inside(*arguments)
        assert KEY not in stdout + stderr
        assert "env:HOLDFAST_KEY" in stdout
    monkeypatch.delenv("HOLDFAST_KEY")
    stderr = inside("runs", "list", "--api-key", KEY, code=2)[1]
    assert "expected is where the secret is" in stderr
    assert KEY not in stderr


def test_a_secret_is_where_it_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").write_text("whsec_abc\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff")
    assert Secret("file:secret").reveal("it") == "whsec_abc"
    monkeypatch.setenv("THE_KEY", "k")
    assert Secret("env:THE_KEY").reveal("it") == "k"
    for reference, said in (
        ("env:ABSENT", "it: the variable ABSENT is not set"),
        ("file:absent", "it: absent cannot be read: No such file"),
        ("file:empty", "it: empty is empty"),
        ("file:bytes", "it: bytes is not UTF-8 text"),
        ("file:.", "it: . cannot be read: Is a directory"),
    ):
        with pytest.raises(UsageError, match=said):
            Secret(reference).reveal("it")


def test_webhooks_are_read_with_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "holdfast.toml").write_text(
        "[webhooks.shop]\nsecret = 'env:SHOP'\nevent = 'paid'\nkey = 'data.order'\nid = 'id'\n"
        "[webhooks.desk]\nsecret = 'file:desk'\nworkflow = 'answer'\ntenant = 'north'\ninput = {text = 'data.text'}\n"
    )
    assert load({}, environ={}).webhooks == {
        "shop": Webhook(Secret("env:SHOP"), event="paid", key="data.order", id="id"),
        "desk": Webhook(Secret("file:desk"), workflow="answer", tenant="north", input={"text": "data.text"}),
    }
    shown = json.loads(inside("config", "show", "--json")[0])
    assert shown["webhooks.shop"]["value"] == {
        "secret": "env:SHOP", "event": "paid", "key": "data.order", "id": "id",
    }  # fmt: skip
    assert "answer" in inside("config", "show")[0]
    monkeypatch.setenv("SHOP", "whsec_x")
    found = json.loads(inside("config", "check", "--json", code=1)[0])
    assert [problem["key"] for problem in found["problems"]] == ["webhooks.desk.secret"]
