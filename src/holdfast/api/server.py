"""What the requests of one server share: the database, who is who, limits, live updates."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from holdfast.api.access import Principal
from holdfast.api.caching import Fresh
from holdfast.api.config import ServeConfig
from holdfast.api.credentials import Credentials
from holdfast.api.limits import Limits
from holdfast.api.live import Live
from holdfast.api.metrics import Metrics
from holdfast.api.problems import Problem, problem_of, report
from holdfast.api.redaction import Redactor
from holdfast.api.routing import address_of
from holdfast.api.states import StateLink
from holdfast.api.tenants import TenantClient
from holdfast.api.tokens import Provider
from holdfast.codecs.remote import Reader, reading
from holdfast.engine.client import Client
from holdfast.engine.core import Core
from holdfast.engine.versions import latest
from holdfast.engine.workspaces import Workspaces
from holdfast.errors import StoreError, StoreUnavailable, Unauthorised
from holdfast.intake.files import read_intake
from holdfast.intake.handing import Requests
from holdfast.model.ids import check_owner
from holdfast.store.base import Store
from holdfast.store.rows import WorkflowRow

if TYPE_CHECKING:
    from fastapi import FastAPI

    from holdfast.conversations.engine import TurnEngine
    from holdfast.store.values.values import Values

log = logging.getLogger("holdfast.api")

USES_SECONDS = 10.0
"""So often the last use of keys is written down."""

AGAIN_SECONDS = 1.0
"""So soon a database that did not answer is tried again."""

WORKFLOWS_SECONDS = 1.0
"""So old the workflows may be that are looked at when a run is started."""

TENANTS_AT_MOST = 1000

READINESS_SECONDS = 0.5
"""Whoever watches over the server asks the database no more often than so."""

Renderer = Callable[[Request, Problem], Awaitable[Response | None]]
"""Makes a page of a problem; None where the request wants none."""


class _Workflows(NamedTuple):
    """What workers have registered, and what was looked for in it."""

    rows: list[WorkflowRow]
    found: dict[tuple[str, str | None], WorkflowRow | None]


class Server:
    """One server of a database.

    Args:
        url: of the database.
        config: how to serve.
        tenant: of those who name none.
        conversations: what the turns of conversations do; none are had without.
        state_url: where conversations are kept, as for ``hf.open_conversations``.
        values: how values are stored, as for ``hf.connect``.

    Attributes:
        renderer: makes pages of problems, for those who look at pages.
        engines: what turns do, by the id of the definition.
        state: the state store of conversations.
        sources: those of the file of sources.

    Raises:
        UsageError: two engines have one definition; or something in the file of sources is wrong.
    """

    def __init__(
        self,
        url: str,
        config: ServeConfig,
        tenant: str = "default",
        conversations: Iterable[TurnEngine] = (),
        state_url: str | None = None,
        values: Values | None = None,
    ) -> None:
        self.url = url
        self.values = values
        self.config = config
        self.tenant = check_owner(tenant, "the tenant")
        self.credentials = Credentials(self)
        self.limits = Limits(self.config.rate)
        self.redactor = Redactor(self.config.redact)
        self.workspaces = Workspaces(self.config.workspaces)
        self.metrics = Metrics()
        self.provider = None if self.config.oidc is None else Provider(self.config.oidc, self.tenant)
        self.renderer: Renderer | None = None
        self.engines: Mapping[str, TurnEngine] = _engines(conversations)
        self.state = StateLink(state_url)
        self.sources = () if config.intake is None else read_intake(config.intake)
        self.live = Live(self)
        self.readiness: Fresh[str, dict[str, str]] = Fresh(READINESS_SECONDS)
        self._core: Core | None = None
        self._requests: Requests | None = None
        self._confined: dict[str, Store] = {}
        self._clients: dict[tuple[str, str], TenantClient] = {}
        self._workflows: Fresh[str, _Workflows] = Fresh(WORKFLOWS_SECONDS)
        self._opening: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # The database

    @property
    def core(self) -> Core:
        """The database, as this process uses it; there once the server is open."""
        if self._core is None:
            raise StoreUnavailable("the server has not reached its database yet")
        return self._core

    @property
    def requests(self) -> Requests:
        """What takes in requests to sources."""
        if self._requests is None:
            self._requests = Requests(self.core, self.sources)
        return self._requests

    @property
    def is_open(self) -> bool:
        """Whether the database was reached."""
        return self._core is not None

    async def open(self) -> None:
        """Connect, unless that was done. Whoever asks meanwhile waits for the same try.

        Raises:
            StoreError: the database is not there, or not ours.
        """
        if self._core is not None:
            return
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        try:
            await asyncio.shield(self._opening)
        finally:
            if self._opening is not None and self._opening.done():
                self._opening = None

    async def _open(self) -> None:
        core = await Core.open(self.url, values=self.values)
        try:
            # Where it may not read as one tenant, that is told now, and not to whoever asks first.
            await core.store.under_policy(self.tenant).find_runs(self.tenant, [])
            await self.state.open(core)
        except BaseException:
            await core.close()
            raise
        self._core = core
        self._tasks = [asyncio.create_task(self._write_uses())]

    async def close(self) -> None:
        """Leave the database."""
        if self.provider is not None:
            await self.provider.close()
        if self._core is None:
            return
        await self.live.close()
        await self.state.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(StoreError):
            await self.credentials.write_uses()
        if self._requests is not None:
            await self._requests.close()
        core, self._core, self._requests = self._core, None, None
        self._confined.clear()
        self._clients.clear()
        self._workflows.clear()
        self.credentials.forget()
        await core.close()

    @contextlib.asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Open with the application; a database that does not answer just now is tried again at each request."""
        try:
            await self.open()
        except StoreUnavailable as error:
            log.warning("serving without a database until it answers: %s", error)
        try:
            yield
        finally:
            await self.close()

    async def _write_uses(self) -> None:
        while True:
            await asyncio.sleep(USES_SECONDS)
            try:
                await self.credentials.write_uses()
            except StoreError as error:
                log.warning("the last use of keys cannot be noted just now: %s", error)

    # Who asks, and what they ask through

    async def principal(self, request: HTTPConnection) -> Principal:
        """Who makes a request, counted against what they may make; who is not known is counted by address.

        Raises:
            Refused: too many requests.
            Unauthorised: nobody that is known.
            Forbidden: somebody who may do nothing here, or a request by cookie without its token.
            StoreError: the database is not there.
        """
        if self._core is None:
            await self.open()
        try:
            principal = await self.credentials.principal(request)
        except Unauthorised:
            self.limits.take(f"address {address_of(request)}")
            raise
        if self.limits.active:
            known = principal.actor != "local"
            self.limits.take(f"{principal.tenant} {principal.actor}" if known else f"address {address_of(request)}")
        reading.set(Reader(principal.actor, principal.tenant, request.headers.get("authorization")))
        if self.redactor.active and not principal.sees_all:
            self.redactor.keys.learn(await self.workflows())
        return principal

    def known(self, authorization: str | None) -> Principal | None:
        """Who makes a request, if that is known without a look at the database; it is counted then, too.

        Args:
            authorization: the header; None without one.
        """
        if self._core is None or self.limits.active:
            return None
        principal = self.credentials.known(authorization)
        if principal is not None:
            reading.set(Reader(principal.actor, principal.tenant, authorization))
        return principal

    def reads(self, tenant: str) -> Store:
        """The store that a tenant's requests read from: under the tenant's policy."""
        found = self._confined.get(tenant)
        if found is None:
            while len(self._confined) >= TENANTS_AT_MOST:
                del self._confined[next(iter(self._confined))]
            found = self._confined[tenant] = self.core.store.under_policy(tenant)
        return found

    def client(self, principal: Principal) -> TenantClient:
        """What looks and acts for somebody: it reads under the tenant's policy, and records who changed what."""
        key = principal.tenant, principal.actor
        found = self._clients.get(key)
        if found is None:
            while len(self._clients) >= TENANTS_AT_MOST:
                del self._clients[next(iter(self._clients))]
            found = self._clients[key] = TenantClient(self, principal)
        return found

    async def workflows(self) -> list[WorkflowRow]:
        """The workflows that workers have registered, a moment old at most."""
        return (await self._workflows.get("", self._read_workflows)).rows

    async def workflow(self, name: str, version: str | None) -> WorkflowRow | None:
        """One of them; the highest version unless given."""
        known = self._workflows.peek("") or await self._workflows.get("", self._read_workflows)
        key = name, version
        if key not in known.found:
            known.found[key] = latest(known.rows, name, version)
        return known.found[key]

    async def _read_workflows(self) -> _Workflows:
        return _Workflows(await self.core.store.list_workflows(), {})

    def local_client(self, tenant: str) -> Client:
        """What looks and acts for the server itself."""
        return Client(self.core, tenant, workspaces=self.workspaces)

    @property
    def has_conversations(self) -> bool:
        """Whether conversations are a part of what is served here."""
        return bool(self.engines or self.state.url)

    # What is answered when a request cannot be

    async def refuse(self, request: Request, error: BaseException) -> Response:
        """The answer for an exception: a page for those who look at pages, else problem+json."""
        problem = problem_of(error)
        route = request.scope.get("route")
        report(problem, error, request.method, getattr(route, "path", "-"))
        if self.renderer is not None:
            page = await self.renderer(request, problem)
            if page is not None:
                return page
        return problem.response(instance_of(request))


def _engines(given: Iterable[TurnEngine]) -> Mapping[str, TurnEngine]:
    engines = list(given)
    if not engines:
        return {}
    from holdfast.conversations.desk import by_definition

    return by_definition(engines)


def instance_of(request: HTTPConnection) -> str:
    """The path of a request as it was sent."""
    raw: bytes = request.scope.get("raw_path") or b""
    return raw.partition(b"?")[0].decode("ascii", "replace") or request.scope["path"].replace("\0", "%2F")
