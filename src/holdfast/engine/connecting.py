"""Opens a client: of a database, or of a server."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from types import TracebackType
from typing import Any

from holdfast.engine.client import Client
from holdfast.engine.core import Core
from holdfast.engine.isolation import IMPORTING
from holdfast.engine.remote import is_remote
from holdfast.engine.workspaces import Workspaces
from holdfast.errors import BadURL, UsageError
from holdfast.model.ids import check_id, check_owner
from holdfast.store.values.values import Values


class _Connecting:
    """What `connect` gives: await it for a client, or enter it with ``async with``."""

    def __init__(
        self,
        url: str,
        tenant: str,
        actor: str | None,
        key: str | None,
        workspaces: Workspaces,
        values: Values | None,
    ) -> None:
        self._url = url
        self._values = values
        self._tenant = tenant
        self._actor = actor
        self._key = key
        self._workspaces = workspaces
        self._client: Client | None = None

    def __await__(self) -> Generator[Any, None, Client]:
        return self._connect().__await__()

    async def _connect(self) -> Client:
        if is_remote(self._url):
            if self._values is not None:
                raise UsageError("values is for the address of a database: a server stores values as it is configured")
            from holdfast.engine.remote.client import RemoteClient

            return await RemoteClient.open(self._url, self._tenant, self._key)
        if self._key is not None:
            raise UsageError("key is for the address of a server, such as https://holdfast.example; leave it out here")
        core = await Core.open(self._url, values=self._values)
        return Client(core, self._tenant, actor=self._actor, workspaces=self._workspaces)

    async def __aenter__(self) -> Client:
        self._client = await self._connect()
        return self._client

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._client is not None
        await self._client.close()


def connect(
    url: str | None = None,
    *,
    tenant: str = "default",
    actor: str | None = None,
    key: str | None = None,
    workspaces: Iterable[str | os.PathLike[str]] = (),
    values: Values | None = None,
) -> _Connecting:
    """Connect to a database of runs, or to a server: ``async with hf.connect("sqlite:///shop.db") as client``.

    An empty database gets the schema. A server's client has the same methods, over HTTP.

    Args:
        url: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``memory://``, ``postgresql://…``, or
            ``https://host`` for a server; the environment's ``HOLDFAST_URL`` unless given.
        tenant: whose runs; ids are unique within it, and nobody else's are seen. A key has a tenant of its own.
        actor: who is recorded with each change that the client makes; without one they are not recorded. A server
            knows by the key.
        key: an API key, for the address of a server; the environment's ``HOLDFAST_KEY`` unless given.
        workspaces: folders below which the files of artifacts may be read, whatever path the database has of them. A
            server reads below those that it is configured with.
        values: how values are stored: sealed by which codec, and where large ones are kept. All of a process, and of
            the processes on one database, give the same; see `Values`. As is usual unless given.

    Raises:
        BadURL: no address, or one that is not ours.
        Unauthorised: the server knows no such key.
        StoreError: the database is unreachable, read-only, not ours, or of another version.
    """
    if os.environ.get(IMPORTING):
        raise UsageError('a database is opened when a module is imported; put it under `if __name__ == "__main__":`')
    address = url if url is not None else os.environ.get("HOLDFAST_URL", "")
    if not address:
        raise BadURL("no database address: give hf.connect one, such as sqlite:///holdfast.db, or set HOLDFAST_URL")
    named = None if actor is None else check_id(actor, "the actor")
    return _Connecting(address, check_owner(tenant, "the tenant"), named, key, Workspaces(workspaces), values)
