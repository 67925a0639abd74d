"""`RemoteWorkQueue`: what `hf.work_queue` gives for the client of a server."""

from __future__ import annotations

from holdfast.engine.core import Core
from holdfast.engine.remote.part import RemotePart, not_from_here
from holdfast.engine.remote.transport import Transport
from holdfast.store.base import Store
from holdfast.workqueue.queue import WorkQueue
from holdfast.workqueue.remote.bulk import RemoteBulk
from holdfast.workqueue.remote.definitions import RemoteDefinitions
from holdfast.workqueue.remote.figures import RemoteFigures
from holdfast.workqueue.remote.items import RemoteItems
from holdfast.workqueue.remote.moving import RemoteMoving
from holdfast.workqueue.remote.signals import RemoteSignals
from holdfast.workqueue.remote.subjects import RemoteSubjects


class RemoteWorkQueue(
    RemoteItems, RemoteMoving, RemoteBulk, RemoteFigures, RemoteDefinitions, RemoteSubjects, RemoteSignals, WorkQueue
):
    """The work queue of a server, with the methods of `WorkQueue`. Made by ``hf.work_queue(client)``.

    Args:
        server: the connections to it.
        tenant: whose.
        actor: as whom the server knows this client.
    """

    def __init__(self, server: Transport, tenant: str, actor: str) -> None:
        self.server = server
        self.tenant = tenant
        self.actor = actor

    @property
    def core(self) -> Core:  # type: ignore[override]
        """Not here: the database is the server's.

        Raises:
            UsageError: always.
        """
        not_from_here("what works on the database itself", "give it the address of the database that the server uses")

    @property
    def reads(self) -> Store:
        """Not here, as `core`."""
        return self.core.store


def remote_work_queue(client: RemotePart) -> RemoteWorkQueue:
    """The work queue of a server's client."""
    return RemoteWorkQueue(client.server, client.tenant, getattr(client, "actor", None) or "")
