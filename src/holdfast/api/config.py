"""What a server is told: plain values, each with a default; nothing here reads files or the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from holdfast.errors import UsageError

DAY_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class OIDCConfig:
    """An identity provider whose tokens are accepted, and where people may sign in.

    Attributes:
        issuer: its address, exactly as in the tokens' ``iss``; what it publishes is found from there.
        audience: what must be among a bearer token's ``aud``.
        client_id: of this server at the provider, for people who sign in; None: nobody does.
        client_secret: that goes with it; None for a public client.
        tenant_claim: which claim names the tenant; empty: everybody belongs to the server's default one.
        role_claim: which claim names the role, or a list of roles, of which the highest counts; empty or absent in a
            token: the role of the person of that id.
    """

    issuer: str
    audience: str = ""
    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    tenant_claim: str = "tenant"
    role_claim: str = "role"


@dataclass(frozen=True, slots=True)
class WebhookConfig:
    """What becomes of one kind of webhook that comes in. Exactly one of ``event`` and ``workflow`` is given.

    A place is a dotted path in the webhook's body, such as ``data.order.id``; ``$`` is the whole body.

    Attributes:
        secret: by which it is signed (``whsec_…``); several, with spaces between, while one replaces another.
        event: the name of the event that is sent.
        workflow: the name of the workflow that is started.
        tenant: whose.
        key: the place of the event's key; none unless given.
        id: the place of the id by which a webhook that comes twice counts once, which is the run's id; made of the
            webhook's own id unless given.
        input: for a workflow: the place of each argument, by its name; for an event ``payload``: the place of its
            payload, the whole body unless given.
    """

    secret: str = field(repr=False)
    event: str | None = None
    workflow: str | None = None
    tenant: str = "default"
    key: str | None = None
    id: str | None = None
    input: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.event is None) == (self.workflow is None):
            raise UsageError("a webhook sends an event or starts a workflow: give one of event and workflow")
        if not self.secret.split():
            raise UsageError("a webhook needs the secret by which it is signed")


class TourStop(NamedTuple):
    """What the first page shows newcomers of a demonstration: a title, a text, and the path of the page to look at."""

    title: str
    text: str
    path: str


@dataclass(frozen=True, slots=True)
class ServeConfig:
    """How a server serves.

    Attributes:
        host: where it listens.
        port: the port.
        auth: whether requests need a key, a token or a session; without, it is for this machine only.
        shared_tenants: tenants whose operators may change what all tenants share: queues, workflow pauses, workers,
            retention.
        public_url: its address as others see it, such as ``https://holdfast.example.com``; for cookies and sign-in.
        allowed_hosts: further names by which it may be called without auth.
        max_body: bytes of a request's body, at most.
        max_upload: the same where a body is stored while it comes: signals and subjects by the million.
        rate: requests a second for each key, person or address; 0: no limit.
        redact: names of fields, or dotted ends of paths, whose values those who may only look do not see.
        keep_audit_seconds: how long changes are remembered.
        oidc: an identity provider, if there is one.
        webhooks: the webhooks that are taken, by name.
        name: shown on the pages, to tell one server from another.
        tour: what there is to see, shown on the first page.
        workspaces: folders below which the files of artifacts may be read; none unless given.
        intake: a file of sources, of which those of kind ``http`` take requests; none unless given.
    """

    host: str = "127.0.0.1"
    port: int = 8700
    auth: bool = False
    shared_tenants: tuple[str, ...] = ("default",)
    public_url: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    max_body: int = 8_000_000
    max_upload: int = 2_000_000_000
    rate: float = 0.0
    redact: tuple[str, ...] = ()
    keep_audit_seconds: float = 400 * DAY_SECONDS
    oidc: OIDCConfig | None = None
    webhooks: Mapping[str, WebhookConfig] = field(default_factory=lambda: MappingProxyType({}))
    name: str = ""
    tour: tuple[TourStop, ...] = ()
    workspaces: tuple[str, ...] = ()
    intake: str | None = None

    def __post_init__(self) -> None:
        if self.max_body < 1:
            raise UsageError(f"max_body is {self.max_body!r}; give bytes, 1 or more")
        if not self.rate >= 0:
            raise UsageError(f"rate is {self.rate!r}; give requests a second, or 0 for no limit")
