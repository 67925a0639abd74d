"""What `holdfast serve` and `holdfast dev` share: the server's configuration, its socket, and its life."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.errors import StoreUnavailable, UsageError

if TYPE_CHECKING:
    from holdfast.api.config import ServeConfig
    from holdfast.cli.settings import Settings
    from holdfast.conversations.engine import TurnEngine
    from holdfast.engine.client import Client
    from holdfast.store.values.values import Values

StateUrl = Annotated[
    str | None,
    typer.Option(
        "--state-url", metavar="URL", help="Where conversations are kept, redis://host; in the database unless given."
    ),
]

BACKLOG = 2048

OPEN_TO_ALL = (
    "is beyond this machine, and everybody who reaches it could do everything: turn on --auth (or serve.auth = true), "
    "and make a first admin with `holdfast users add ID --role admin --password` or a key with "
    "`holdfast keys create NAME --role admin`; or listen at 127.0.0.1"
)


def serve_config(settings: Settings) -> ServeConfig:
    """The server's configuration, its secrets read.

    Raises:
        UsageError: a secret is not where it should be, or what is set does not fit together.
    """
    from holdfast.api.config import OIDCConfig, ServeConfig, WebhookConfig

    webhooks = {}
    for name, hook in settings.webhooks.items():
        webhooks[name] = WebhookConfig(
            secret=hook.secret.reveal(f"webhooks.{name}.secret"),
            event=hook.event,
            workflow=hook.workflow,
            tenant=hook.tenant or settings["tenant"],
            key=hook.key,
            id=hook.id,
            input=hook.input or {},
        )
    oidc = None
    if settings["oidc.issuer"] is not None:
        secret = settings["oidc.client_secret"]
        oidc = OIDCConfig(
            issuer=settings["oidc.issuer"],
            audience=settings["oidc.audience"] or "",
            client_id=settings["oidc.client_id"],
            client_secret=None if secret is None else secret.reveal("oidc.client_secret"),
            tenant_claim=settings["oidc.tenant_claim"],
            role_claim=settings["oidc.role_claim"],
        )
    return ServeConfig(
        host=settings["serve.host"],
        port=settings["serve.port"],
        auth=settings["serve.auth"],
        shared_tenants=tuple(settings["serve.shared_tenants"]),
        public_url=settings["serve.public_url"],
        allowed_hosts=tuple(settings["serve.allowed_hosts"] or ()),
        max_body=settings["serve.max_body"],
        max_upload=settings["serve.max_upload"],
        rate=settings["serve.rate"],
        redact=tuple(settings["serve.redact"] or ()),
        keep_audit_seconds=settings["serve.keep_audit"],
        oidc=oidc,
        webhooks=webhooks,
        name=settings["serve.name"] or "",
        workspaces=tuple(settings["serve.workspaces"] or ()),
        intake=settings["serve.intake"],
    )


@contextmanager
def needs_extra() -> Iterator[None]:
    """Say which extra brings what is not installed.

    Raises:
        UsageError: a package is missing that is not our own.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "holdfast":
            raise
        raise UsageError(
            f"{error.name} is not installed; the server needs it: pip install 'holdfast[server]'"
        ) from None


def application(
    url: str,
    config: ServeConfig,
    tenant: str,
    engines: Sequence[TurnEngine] = (),
    state_url: str | None = None,
    values: Values | None = None,
) -> Any:
    """The API and the dashboard, as an ASGI application."""
    with needs_extra():
        from holdfast.web import create_app
    return create_app(
        url, config=config, tenant=tenant, conversations=engines, state_url=state_url or "", values=values
    )


async def check_state(client: Client, state_url: str | None) -> None:
    """Refuse a state store that cannot be used. One that does not answer just now may answer later.

    Raises:
        StoreError: it is too old, or refuses us, or the address is none.
        UsageError: what it needs is not installed.
    """
    if state_url is None:
        return
    from holdfast.conversations.states import holding_of

    with suppress(StoreUnavailable):
        await holding_of(client.core, state_url)


def listen(host: str, port: int, *, auth: bool, refusal: str = OPEN_TO_ALL) -> socket.socket:
    """A listening socket.

    Args:
        host: where.
        port: 0 for any that is free.
        auth: whether those who come have to show who they are.
        refusal: what is said where they do not, and the address is beyond this machine.

    Raises:
        UsageError: the address is beyond this machine and there is no auth, or it cannot be listened at.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise UsageError(f"host {host!r} is not known: {error.strerror or error}") from None
    if not auth and not all(_is_loopback(str(one[4][0])) for one in found):
        raise UsageError(f"{host} {refusal}")
    family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    # With the protocol named, asyncio sends what is written at once; else a client may wait 40 ms for an answer's body.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        other = "; choose another with --port" if port else ""
        raise UsageError(f"cannot listen at {host}, port {port}: {error.strerror or error}{other}") from None
    return listener


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def address_of(listener: socket.socket, host: str) -> str:
    """The address that a browser takes."""
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def signals(stop: asyncio.Event) -> Iterator[None]:
    """Set the event at SIGTERM or Ctrl-C; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def leave() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)

    def told() -> None:
        leave()
        stop.set()

    for number in numbers:
        loop.add_signal_handler(number, told)
    try:
        yield
    finally:
        leave()
