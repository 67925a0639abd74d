"""`hf.work_queue`: everything that can be done with work items, subjects, signals and definitions."""

from __future__ import annotations

from holdfast.engine.client import Client
from holdfast.engine.core import Core
from holdfast.engine.remote.part import RemotePart
from holdfast.errors import UsageError
from holdfast.model.ids import check_id
from holdfast.store.base import Store
from holdfast.workqueue.analytics import Analytics
from holdfast.workqueue.balancing import Balancing
from holdfast.workqueue.bulk import Bulk
from holdfast.workqueue.creating import Creating
from holdfast.workqueue.daily import Daily
from holdfast.workqueue.demo import Demo
from holdfast.workqueue.links import Linking
from holdfast.workqueue.presetting import Presetting
from holdfast.workqueue.signal_files import SignalFiles
from holdfast.workqueue.subjects import Subjects


class WorkQueue(Creating, Linking, Bulk, Balancing, Demo, Daily, Presetting, Subjects, SignalFiles, Analytics):
    """The work queue of a tenant. Made by `work_queue`.

    Args:
        core: the database, as this process uses it.
        tenant: whose.
        actor: who is recorded with each change; ``local`` unless given.
        reads: where everything is read; the database's own store unless given.
    """

    def __init__(self, core: Core, tenant: str, *, actor: str | None = None, reads: Store | None = None) -> None:
        self.core = core
        self.tenant = tenant
        self.actor = None if actor is None else check_id(actor, "the actor")
        self._reads = reads


def work_queue(client: Client) -> WorkQueue:
    """The work queue of a client's tenant, with the client's actor.

    Args:
        client: as `connect` gives it, of a database or of a server.

    Raises:
        UsageError: it is no client.
    """
    if isinstance(client, RemotePart):
        from holdfast.workqueue.remote.queue import remote_work_queue

        return remote_work_queue(client)
    core = getattr(client, "core", None) if isinstance(client, Client) else None
    if not isinstance(core, Core):
        raise UsageError(f"hf.work_queue was given {client!r:.100}; give it a client, as hf.connect makes")
    return WorkQueue(core, client.tenant, actor=client.actor, reads=client._reads)
