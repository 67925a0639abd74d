"""A store that is confined to the reads of one tenant: what it has in common over databases."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

from holdfast.errors import UsageError
from holdfast.store.agents import AgentStore
from holdfast.store.alerts import AlertStore
from holdfast.store.base import Store
from holdfast.store.blobs import BlobStore
from holdfast.store.conversations import StateStore
from holdfast.store.diversions import DiversionStore
from holdfast.store.graphs import GraphStore
from holdfast.store.intake import IntakeStore
from holdfast.store.outbox import OutboxStore
from holdfast.store.streams import StreamStore
from holdfast.store.work import WorkStore

VERBS = frozenset(name for name, verb in vars(Store).items() if not name.startswith("_") and callable(verb))
"""What a store can do."""

WORK_VERBS = frozenset(name for name in vars(WorkStore) if not name.startswith("_"))
"""What its work queue can do."""

STATE_VERBS = frozenset(name for name in vars(StateStore) if not name.startswith("_"))
"""What its conversations can do."""

AGENT_VERBS = frozenset(name for name in vars(AgentStore) if not name.startswith("_"))
"""What its models and artifacts can do."""

GRAPH_VERBS = frozenset(name for name in vars(GraphStore) if not name.startswith("_"))
"""What its graphs can do."""

OUTBOX_VERBS = frozenset(name for name in vars(OutboxStore) if not name.startswith("_"))
"""What its outbox can do."""

INTAKE_VERBS = frozenset(name for name in vars(IntakeStore) if not name.startswith("_"))
"""What its intake can do."""

BLOB_VERBS = frozenset(name for name in vars(BlobStore) if not name.startswith("_"))
"""What it can do with values that are kept apart."""

ALERT_VERBS = frozenset(name for name in vars(AlertStore) if not name.startswith("_"))
"""What its alerts can do."""

STREAM_VERBS = frozenset(name for name in vars(StreamStore) if not name.startswith("_"))
"""What its streams can do."""

DIVERSION_VERBS = frozenset(name for name in vars(DiversionStore) if not name.startswith("_"))
"""What its starts that were diverted can do."""


class Confined:
    """Refuses whatever is not a read of the tenant's; the reads are inherited beside it.

    Args:
        tenant: whose rows are read.
    """

    verbs: ClassVar[frozenset[str]] = VERBS

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in self.verbs:
            raise AttributeError(name)

        def refuse(*_: Any, **__: Any) -> NoReturn:
            raise UsageError(f"{name}: a store under the policy of tenant {self.tenant!r} reads what is the tenant's")

        return refuse


class ConfinedAgents(Confined):
    """The same for the verbs of models and artifacts."""

    verbs: ClassVar[frozenset[str]] = AGENT_VERBS


class ConfinedConversations(Confined):
    """The same for the verbs of conversations."""

    verbs: ClassVar[frozenset[str]] = STATE_VERBS


class ConfinedWork(Confined):
    """The same for the verbs of the work queue."""

    verbs: ClassVar[frozenset[str]] = WORK_VERBS


class ConfinedGraphs(Confined):
    """The same for the verbs of LangGraph's graphs."""

    verbs: ClassVar[frozenset[str]] = GRAPH_VERBS


class ConfinedOutbox(Confined):
    """The same for the verbs of the outbox."""

    verbs: ClassVar[frozenset[str]] = OUTBOX_VERBS


class ConfinedIntake(Confined):
    """The same for the verbs of intake."""

    verbs: ClassVar[frozenset[str]] = INTAKE_VERBS


class ConfinedBlobs(Confined):
    """The same for the verbs of values that are kept apart."""

    verbs: ClassVar[frozenset[str]] = BLOB_VERBS


class ConfinedAlerts(Confined):
    """The same for the verbs of alerts."""

    verbs: ClassVar[frozenset[str]] = ALERT_VERBS


class ConfinedStreams(Confined):
    """The same for the verbs of streams."""

    verbs: ClassVar[frozenset[str]] = STREAM_VERBS


class ConfinedDiversions(Confined):
    """The same for the verbs of starts that were diverted."""

    verbs: ClassVar[frozenset[str]] = DIVERSION_VERBS
