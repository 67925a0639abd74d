"""`RemoteClient`: what `hf.connect` gives for the address of a server."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from holdfast.engine.client import RunHandle
from holdfast.engine.core import Core
from holdfast.engine.remote.diversions import RemoteDiversions
from holdfast.engine.remote.exporting import RemoteExporting
from holdfast.engine.remote.finding import RemoteFinding
from holdfast.engine.remote.intakes import RemoteIntakes
from holdfast.engine.remote.looking import RemoteLooking
from holdfast.engine.remote.part import not_from_here
from holdfast.engine.remote.people import RemotePeople
from holdfast.engine.remote.publishing import RemotePublishing
from holdfast.engine.remote.scheduling import RemoteSchedules
from holdfast.engine.remote.spending import RemoteSpending
from holdfast.engine.remote.starting import RemoteStarting
from holdfast.engine.remote.steering import RemoteLevers
from holdfast.engine.remote.streams import RemoteStreams
from holdfast.engine.remote.transport import Transport
from holdfast.engine.remote.waiting import Ends
from holdfast.engine.workflow import Workflow
from holdfast.errors import Forbidden
from holdfast.store.base import Store
from holdfast.store.rows import RunOutcome

log = logging.getLogger("holdfast.remote")

R = TypeVar("R")

KEY_VARIABLE = "HOLDFAST_KEY"
"""Where the key is, unless it is given."""


class _Me(msgspec.Struct):
    actor: str
    tenant: str


class RemoteClient(
    RemoteStarting, RemoteFinding, RemoteLevers, RemoteSchedules, RemotePeople, RemoteLooking, RemoteSpending,
    RemotePublishing, RemoteIntakes, RemoteDiversions, RemoteExporting, RemoteStreams,
):  # fmt: skip
    """A client of a server, with the methods of `Client`. Made by ``hf.connect("https://…")``.

    What is safe to repeat is repeated while the server cannot be reached, for ten seconds; then
    `StoreUnavailable` is raised. What a server refuses is raised as the local client would raise it.

    Args:
        server: the connections to it.
        tenant: whose data.
        actor: as whom the server knows this client.
    """

    def __init__(self, server: Transport, tenant: str, actor: str) -> None:
        self.server = server
        self.tenant = tenant
        self.actor = actor
        self._ends = Ends(server, tenant)

    @classmethod
    async def open(cls, address: str, tenant: str, key: str | None = None) -> RemoteClient:
        """Connect to a server.

        Args:
            address: ``https://host``, with a path if it is mounted below one.
            tenant: whose data, where no key says it.
            key: an API key or a token; the environment's ``HOLDFAST_KEY`` unless given.

        Raises:
            BadURL: not the address of a server.
            Unauthorised: it asks for a key, or does not know this one.
            Forbidden: the key is for another tenant.
            StoreUnavailable: it cannot be reached.
            NotOurs: something else answers there.
        """
        given = key if key is not None else os.environ.get(KEY_VARIABLE) or None
        server = Transport(address, given, tenant)
        parts = urlsplit(server.shown)
        if given is not None and parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            log.warning("%s: the key is sent unencrypted; use https", server.shown)
        client = cls(server, tenant, "")
        try:
            me = await client._get("/me", _Me)
            if given is not None and tenant not in ("default", me.tenant):
                raise Forbidden(f"the key is for tenant {me.tenant!r}, and tenant {tenant!r} is asked for")
        except BaseException:
            await server.close()
            raise
        return cls(server, me.tenant, me.actor)

    async def close(self) -> None:
        """Leave the server."""
        await self._ends.close()
        await self.server.close()

    @property
    def core(self) -> Core:  # type: ignore[override]
        """Not here: the database is the server's.

        Raises:
            UsageError: always.
        """
        not_from_here(
            "what works on the database itself, such as a worker,",
            "give it the address of the database that the server uses",
        )

    @property
    def reads(self) -> Store:
        """Not here, as `core`."""
        return self.core.store

    async def handle(self, run_id: str, workflow: Workflow[Any, R] | None = None) -> RunHandle[R]:
        """See `Client.handle`."""
        return RunHandle(self, workflow, (await self.get(run_id)).id, b"", created=False)

    async def _outcome(self, run_id: str, run: bytes, limit: float | None) -> RunOutcome:
        async with asyncio.timeout(limit):
            return await self._ends.of(run_id)
