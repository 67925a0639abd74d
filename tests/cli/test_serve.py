"""`holdfast serve`: where it answers, who gets in, how it stops."""

from __future__ import annotations

import json
import signal
import socket
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.cli import serving
from holdfast.cli.serving import serve_config
from holdfast.cli.settings import load
from tests.cli.tool import inside, running, stop, until


def answering(process: Any) -> dict[str, Any]:
    """What a server says when it is ready."""
    ready: dict[str, Any] = json.loads(process.stdout.readline())
    return ready


@pytest.mark.slow
def test_the_api_and_the_dashboard_are_served_until_it_is_stopped(shop: Path, disk_url: str) -> None:
    with running(shop, "serve", "--port", "0", "--json", url=disk_url) as server:
        ready = answering(server)
        assert (ready["pid"], ready["auth"]) == (server.pid, False)
        address = ready["url"]
        assert httpx.get(f"{address}/readyz").json()["ready"]
        assert httpx.get(f"{address}/api/v1/runs").json() == {"items": [], "next": None}
        page = httpx.get(f"{address}/", headers={"Accept": "text/html"}, follow_redirects=True)
        assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (200, "text/html")
        assert "server" not in page.headers
        assert stop(server) == 0
    log = (shop / "stderr").read_text()
    assert f"answers at {address}" in log
    assert "has stopped" in log


@pytest.mark.slow
def test_with_auth_it_takes_a_key(shop: Path, sqlite_url: str) -> None:
    key = json.loads(inside("keys", "create", "ci", "--role", "operator", "--url", sqlite_url, "--json", code=3)[0])
    assert key["error"]["type"] == "Missing"
    inside("db", "migrate", "--url", sqlite_url)
    with running(shop, "serve", "--host", "0.0.0.0", "--port", "0", "--auth", "--json", url=sqlite_url) as server:
        port = answering(server)["url"].rpartition(":")[2]
        key = json.loads(inside("keys", "create", "ci", "--role", "operator", "--url", sqlite_url, "--json")[0])["key"]
        address = f"http://127.0.0.1:{port}/api/v1/me"
        assert httpx.get(address).status_code == 401
        assert httpx.get(address, headers={"Authorization": f"Bearer {key}"}).json()["role"] == "operator"
        # An event stream does not keep it from stopping.
        live = f"http://127.0.0.1:{port}/api/v1/live"
        with httpx.stream("GET", live, headers={"Authorization": f"Bearer {key}"}) as stream:
            next(stream.iter_lines())
            assert stop(server, signal.SIGINT) == 0
    log = (shop / "stderr").read_text()
    assert "nobody can sign in yet: make a first admin with `holdfast users add" in log
    assert key not in log
    assert "Traceback" not in log


def test_beyond_this_machine_it_wants_auth(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        stderr = inside("serve", "--host", host, "--port", "0", "--url", "sqlite:///never.db", code=2)[1]
        assert f"{host} is beyond this machine" in stderr
        assert "--auth" in stderr
        assert "holdfast users add" in stderr
    (shop / "holdfast.toml").write_text("[serve]\nauth = true\n")
    said = inside("serve", "--host", "0.0.0.0", "--no-auth", "--port", "0", "--url", "sqlite:///never.db", code=2)[1]
    assert "is beyond this machine" in said
    assert not (shop / "never.db").exists()


def test_answers_are_sent_at_once() -> None:
    with serving.listen("127.0.0.1", 0, auth=False) as listener:
        # What asyncio goes by when it accepts a connection: else it leaves the kernel to wait for more to send.
        assert listener.proto == socket.IPPROTO_TCP


def test_what_cannot_be_served(shop: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        stderr = inside("serve", "--port", port, "--url", "sqlite:///never.db", code=2)[1]
        assert f"cannot listen at 127.0.0.1, port {port}: Address already in use; choose another with --port" in stderr
    for arguments, code, why in (
        (["--host", "host.invalid"], 2, "host 'host.invalid' is not known"),
        (["--port", "70000"], 2, "is 70000; expected is a port"),
        (["--url", "memory://"], 2, "a new, empty database in each process"),
        (["--url", "https://host"], 2, "https://host is a server, and this command works on the database itself"),
    ):
        address = [] if "--url" in arguments else ["--url", "sqlite:///never.db"]
        assert why in inside("serve", "--port", "0", *arguments, *address, code=code)[1]
    assert "no database is named" in inside("serve", code=2)[1]
    assert not (shop / "never.db").exists()


def test_a_database_that_cannot_be_used_ends_it(shop: Path) -> None:
    with sqlite3.connect("other.db") as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()
    assert "another program" in inside("serve", "--port", "0", "--url", "sqlite:///other.db", code=4)[1]


def test_what_is_missing_is_named(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "uvicorn", None)
    stderr = inside("serve", "--port", "0", "--url", "sqlite:///never.db", code=2)[1]
    assert "pip install 'holdfast[server]'" in stderr


def test_settings_become_the_servers_configuration(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (shop / "holdfast.toml").write_text(
        'tenant = "north"\n[serve]\nhost = "::1"\nport = 1\nauth = true\nredact = ["iban"]\nrate = 5\nname = "n"\n'
        'allowed_hosts = ["a"]\nmax_body = "1 MB"\nkeep_audit = "30d"\nshared_tenants = ["ops"]\n'
        'public_url = "https://hf.example"\n'
        '[oidc]\nissuer = "https://id.example/"\nclient_id = "hf"\nclient_secret = "env:OIDC"\nrole_claim = "r"\n'
        '[webhooks.shop]\nsecret = "env:SHOP"\nevent = "paid"\nkey = "data.id"\ninput = {payload = "data"}\n'
        '[webhooks.desk]\nsecret = "env:SHOP"\nworkflow = "answer"\ntenant = "south"\n'
    )
    monkeypatch.setenv("SHOP", "whsec_abc")
    with pytest.raises(serving.UsageError, match=r"oidc\.client_secret: the variable OIDC is not set"):
        serve_config(load({}))
    monkeypatch.setenv("OIDC", "hush")
    config = serve_config(load({}))
    assert (config.host, config.port, config.auth, config.rate, config.name) == ("::1", 1, True, 5.0, "n")
    assert (config.redact, config.allowed_hosts, config.shared_tenants) == (("iban",), ("a",), ("ops",))
    assert (config.max_body, config.keep_audit_seconds) == (1_000_000, 30 * 86400.0)
    assert config.public_url == "https://hf.example"
    assert config.oidc is not None
    assert (config.oidc.issuer, config.oidc.client_secret, config.oidc.role_claim) == (
        "https://id.example/", "hush", "r",
    )  # fmt: skip
    assert config.oidc.tenant_claim == "tenant"
    shop_hook, desk = config.webhooks["shop"], config.webhooks["desk"]
    assert (shop_hook.secret, shop_hook.event, shop_hook.key, shop_hook.tenant) == (
        "whsec_abc", "paid", "data.id", "north",
    )  # fmt: skip
    assert shop_hook.input == {"payload": "data"}
    assert (desk.workflow, desk.tenant) == ("answer", "south")
    assert "hush" not in repr(config)
    assert "whsec_abc" not in repr(config)


def test_every_default_is_the_servers_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.api.config import ServeConfig

    monkeypatch.chdir(tmp_path)
    assert serve_config(load({}, environ={})) == ServeConfig()


@pytest.mark.slow
def test_a_server_whose_output_nobody_reads_goes_on(shop: Path, sqlite_url: str) -> None:
    with running(shop, "serve", "--port", "0", url=sqlite_url) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        server.stdout.close()
        assert until(lambda: httpx.get(f"{address}/healthz").status_code == 200)
        assert stop(server) == 0
