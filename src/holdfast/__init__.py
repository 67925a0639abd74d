"""Holdfast: durable workflows. What code, models and people do in many steps is not lost and not done twice."""

import sys

if sys.platform == "win32":
    raise ImportError("holdfast runs on Linux and macOS; on Windows use it in WSL 2")

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from holdfast.engine.alerts import AlertView
from holdfast.engine.artifacts import ArtifactContent, ArtifactView
from holdfast.engine.auditing import AuditView, SavedView
from holdfast.engine.bulk import BulkPreview, BulkResult
from holdfast.engine.client import Client, RunHandle
from holdfast.engine.connecting import connect
from holdfast.engine.context import Current, current, now, random, uuid
from holdfast.engine.diversion_views import DiversionView
from holdfast.engine.durable import sleep, sleep_until
from holdfast.engine.events import send_event, wait_for_event
from holdfast.engine.fan_out import First, first, gather, map
from holdfast.engine.finding import Count, LaneView, Stranded, WorkflowView
from holdfast.engine.fleet import WorkerView
from holdfast.engine.histories import History
from holdfast.engine.incoming import Incoming
from holdfast.engine.intake_views import EntryView, SourceView
from holdfast.engine.keeping import RetentionView
from holdfast.engine.levers import Delivery
from holdfast.engine.mending import StepReplay
from holdfast.engine.messages import MessageAttemptView, MessageCount, MessageCounts, MessageView
from holdfast.engine.overview import FailureGroup, Overview, StatPoint, Stats, WorkflowStats
from holdfast.engine.path_views import ComparedView, Criterion, CutoverReport, PathOutcome
from holdfast.engine.people import KeyView, NewKey, UserView
from holdfast.engine.phasing import PhaseFileView, PhaseView
from holdfast.engine.publish_modes import PublishSettingView
from holdfast.engine.publishing import publish
from holdfast.engine.queues import QueueView
from holdfast.engine.replaying.reports import RunReplay
from holdfast.engine.scheduling import ScheduleView
from holdfast.engine.shares import ShareView
from holdfast.engine.spending import CostLine, CostReport, ModelCallView
from holdfast.engine.steering import continue_as_new, hold, patched, progress, set_attributes, shield
from holdfast.engine.step import Step, step
from holdfast.engine.stream_handles import Stream
from holdfast.engine.streams import stream
from holdfast.engine.workflow import RunFailure, Workflow, workflow
from holdfast.errors import (
    AgentFailed,
    ArtifactChanged,
    ArtifactElsewhere,
    ArtifactNotFound,
    AskSkipped,
    BadURL,
    Cancelled,
    CodecError,
    CodecUnavailable,
    CommandFailed,
    ContinuedAsNew,
    ConversationBusy,
    ConversationEnded,
    ConversationError,
    ConversationExpired,
    ConversationNotFound,
    CrashedWorker,
    DefinitionNotFound,
    DiversionNotFound,
    EntryNotFound,
    EntrySettled,
    EventTimeout,
    Evicted,
    Fatal,
    Forbidden,
    HistoryError,
    HoldfastError,
    IllegalMove,
    Interruption,
    ItemChanged,
    ItemError,
    ItemExists,
    ItemNotFound,
    KeyMissing,
    KeyNotFound,
    MessageError,
    MessageNotFound,
    MessageNotPossible,
    ModelFailed,
    NonDeterminism,
    NotAccepted,
    NotDurable,
    NotOurs,
    NotPossible,
    PayloadError,
    PhaseFailed,
    PhaseFileError,
    PhasesNotFound,
    PipelineError,
    PublishingChanged,
    Rejected,
    RetryAfter,
    RuleError,
    RunCancelled,
    RunError,
    RunExists,
    RunFailed,
    RunHeld,
    RunNotFound,
    RunTimeout,
    ScheduleExists,
    ScheduleNotFound,
    SchemaTooNew,
    SchemaTooOld,
    SearchError,
    SourceChanged,
    SourceNotFound,
    StartDropped,
    StepError,
    StepNotFound,
    StepTimeout,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    SubjectNotFound,
    TurnConflict,
    TurnFailed,
    TurnLost,
    TurnTimeout,
    Unauthorised,
    UnknownWorkflow,
    UsageError,
    UserExists,
    UserNotFound,
    ValueMissing,
    WorkChanged,
    WorkspaceError,
)
from holdfast.model.access import Role
from holdfast.model.mails import Mail, MailAttachment
from holdfast.model.retry import Retry
from holdfast.model.run import AttemptView, JournalEntry, RunView, Status
from holdfast.model.start_rules import Batch, Debounce, RateLimit, Singleton
from holdfast.model.streams import StreamChunk, StreamView, valid_chunks
from holdfast.services.execute import execute
from holdfast.services.worker import Worker
from holdfast.store.values.codec import PayloadCodec
from holdfast.store.values.values import Values

if TYPE_CHECKING:
    from holdfast.agents.artifacts.workspace import ArtifactInfo, Workspace
    from holdfast.agents.models.scripted import Scene, scripted, unregister
    from holdfast.agents.phases.context import OrderContext, Source, gather_context, source
    from holdfast.agents.phases.registry import Phases, load_phases
    from holdfast.agents.phases.replays import PhaseAnswer, PhaseReplay
    from holdfast.agents.pipelines.agents import Agent, Work, agent
    from holdfast.agents.pipelines.base import Pipeline
    from holdfast.agents.pipelines.commands import Command
    from holdfast.agents.pipelines.results import PipelineResult, StepResult
    from holdfast.agents.pipelines.shapes import LoopPipeline, ParallelPipeline, RouterPipeline, SequentialPipeline
    from holdfast.codecs import AesGcm, Chain, RemoteCodec, Zstd
    from holdfast.conversations.desk import Conversations, open_conversations
    from holdfast.conversations.engine import TurnEngine
    from holdfast.conversations.handover import Handover
    from holdfast.conversations.turns import (
        ConversationView,
        Message,
        Parsed,
        Query,
        Reply,
        State,
        Turn,
        TurnProgress,
        TurnResult,
        TurnView,
    )
    from holdfast.model.dialogues import Dialogue
    from holdfast.model.policies import Policy
    from holdfast.model.work import ItemStatus, NextStep
    from holdfast.workqueue.asking import ask
    from holdfast.workqueue.policies import register_policy
    from holdfast.workqueue.queue import WorkQueue, work_queue
    from holdfast.workqueue.views import (
        DailyView,
        DefinitionView,
        DemoStarted,
        DemoStatus,
        DryRun,
        ExplainView,
        FigureGroup,
        FiguresView,
        Imported,
        ItemCount,
        ItemEventView,
        ItemsOutcome,
        ItemsPreview,
        ItemView,
        LinksView,
        LinkView,
        LoadView,
        PartView,
        PlannedMove,
        PlanView,
        RowFault,
        ScoreView,
        SettingsView,
        SignalChange,
        SignalView,
        SpreadView,
        StepView,
        SubjectView,
        TimerView,
    )

__version__ = "0.1.0"

if not TYPE_CHECKING:
    # The names of agents, conversations and the work queue are imported when they are first asked for: with them the
    # import would take half as long again.
    _LATER = {
        name: module
        for module, names in {
            "holdfast.agents.pipelines.agents": "Agent Work agent",
            "holdfast.agents.artifacts.workspace": "ArtifactInfo Workspace",
            "holdfast.agents.pipelines.commands": "Command",
            "holdfast.agents.phases.context": "OrderContext Source gather_context source",
            "holdfast.agents.phases.registry": "Phases load_phases",
            "holdfast.agents.phases.replays": "PhaseAnswer PhaseReplay",
            "holdfast.agents.pipelines.base": "Pipeline",
            "holdfast.agents.pipelines.results": "PipelineResult StepResult",
            "holdfast.agents.models.scripted": "Scene scripted unregister",
            "holdfast.agents.pipelines.shapes": "LoopPipeline ParallelPipeline RouterPipeline SequentialPipeline",
            "holdfast.codecs": "AesGcm Chain RemoteCodec Zstd",
            "holdfast.conversations.desk": "Conversations open_conversations",
            "holdfast.conversations.engine": "TurnEngine",
            "holdfast.conversations.handover": "Handover",
            "holdfast.conversations.turns": (
                "ConversationView Message Parsed Query Reply State Turn TurnProgress TurnResult TurnView"
            ),
            "holdfast.model.dialogues": "Dialogue",
            "holdfast.model.policies": "Policy",
            "holdfast.model.work": "ItemStatus NextStep",
            "holdfast.workqueue.asking": "ask",
            "holdfast.workqueue.policies": "register_policy",
            "holdfast.workqueue.queue": "WorkQueue work_queue",
            "holdfast.workqueue.views": (
                "DailyView DefinitionView DemoStarted DemoStatus DryRun ExplainView FigureGroup FiguresView "
                "Imported ItemCount ItemEventView ItemsOutcome ItemsPreview ItemView LinksView LinkView LoadView "
                "PartView PlannedMove PlanView RowFault ScoreView SettingsView SignalChange SignalView SpreadView "
                "StepView SubjectView TimerView"
            ),
        }.items()
        for name in names.split()
    }

    def __getattr__(name: str) -> object:
        if name in ("langgraph", "pydantic_ai"):
            return _import_module(f"holdfast.{name}")
        if name not in _LATER:
            raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
        value = globals()[name] = getattr(_import_module(_LATER[name]), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_LATER})


__all__ = [
    "AesGcm",
    "Agent",
    "AgentFailed",
    "AlertView",
    "ArtifactChanged",
    "ArtifactContent",
    "ArtifactElsewhere",
    "ArtifactInfo",
    "ArtifactNotFound",
    "ArtifactView",
    "AskSkipped",
    "AttemptView",
    "AuditView",
    "BadURL",
    "Batch",
    "BulkPreview",
    "BulkResult",
    "Cancelled",
    "Chain",
    "Client",
    "CodecError",
    "CodecUnavailable",
    "Command",
    "CommandFailed",
    "ComparedView",
    "ContinuedAsNew",
    "ConversationBusy",
    "ConversationEnded",
    "ConversationError",
    "ConversationExpired",
    "ConversationNotFound",
    "ConversationView",
    "Conversations",
    "CostLine",
    "CostReport",
    "Count",
    "CrashedWorker",
    "Criterion",
    "Current",
    "CutoverReport",
    "DailyView",
    "Debounce",
    "DefinitionNotFound",
    "DefinitionView",
    "Delivery",
    "DemoStarted",
    "DemoStatus",
    "Dialogue",
    "DiversionNotFound",
    "DiversionView",
    "DryRun",
    "EntryNotFound",
    "EntrySettled",
    "EntryView",
    "EventTimeout",
    "Evicted",
    "ExplainView",
    "FailureGroup",
    "Fatal",
    "FigureGroup",
    "FiguresView",
    "First",
    "Forbidden",
    "Handover",
    "History",
    "HistoryError",
    "HoldfastError",
    "IllegalMove",
    "Imported",
    "Incoming",
    "Interruption",
    "ItemChanged",
    "ItemCount",
    "ItemError",
    "ItemEventView",
    "ItemExists",
    "ItemNotFound",
    "ItemStatus",
    "ItemView",
    "ItemsOutcome",
    "ItemsPreview",
    "JournalEntry",
    "KeyMissing",
    "KeyNotFound",
    "KeyView",
    "LaneView",
    "LinkView",
    "LinksView",
    "LoadView",
    "LoopPipeline",
    "Mail",
    "MailAttachment",
    "Message",
    "MessageAttemptView",
    "MessageCount",
    "MessageCounts",
    "MessageError",
    "MessageNotFound",
    "MessageNotPossible",
    "MessageView",
    "ModelCallView",
    "ModelFailed",
    "NewKey",
    "NextStep",
    "NonDeterminism",
    "NotAccepted",
    "NotDurable",
    "NotOurs",
    "NotPossible",
    "OrderContext",
    "Overview",
    "ParallelPipeline",
    "Parsed",
    "PartView",
    "PathOutcome",
    "PayloadCodec",
    "PayloadError",
    "PhaseAnswer",
    "PhaseFailed",
    "PhaseFileError",
    "PhaseFileView",
    "PhaseReplay",
    "PhaseView",
    "Phases",
    "PhasesNotFound",
    "Pipeline",
    "PipelineError",
    "PipelineResult",
    "PlanView",
    "PlannedMove",
    "Policy",
    "PublishSettingView",
    "PublishingChanged",
    "Query",
    "QueueView",
    "RateLimit",
    "Rejected",
    "RemoteCodec",
    "Reply",
    "RetentionView",
    "Retry",
    "RetryAfter",
    "Role",
    "RouterPipeline",
    "RowFault",
    "RuleError",
    "RunCancelled",
    "RunError",
    "RunExists",
    "RunFailed",
    "RunFailure",
    "RunHandle",
    "RunHeld",
    "RunNotFound",
    "RunReplay",
    "RunTimeout",
    "RunView",
    "SavedView",
    "Scene",
    "ScheduleExists",
    "ScheduleNotFound",
    "ScheduleView",
    "SchemaTooNew",
    "SchemaTooOld",
    "ScoreView",
    "SearchError",
    "SequentialPipeline",
    "SettingsView",
    "ShareView",
    "SignalChange",
    "SignalView",
    "Singleton",
    "Source",
    "SourceChanged",
    "SourceNotFound",
    "SourceView",
    "SpreadView",
    "StartDropped",
    "StatPoint",
    "State",
    "Stats",
    "Status",
    "Step",
    "StepError",
    "StepNotFound",
    "StepReplay",
    "StepResult",
    "StepTimeout",
    "StepView",
    "StoreError",
    "StoreFull",
    "StoreReadOnly",
    "StoreUnavailable",
    "Stranded",
    "Stream",
    "StreamChunk",
    "StreamView",
    "SubjectNotFound",
    "SubjectView",
    "TimerView",
    "Turn",
    "TurnConflict",
    "TurnEngine",
    "TurnFailed",
    "TurnLost",
    "TurnProgress",
    "TurnResult",
    "TurnTimeout",
    "TurnView",
    "Unauthorised",
    "UnknownWorkflow",
    "UsageError",
    "UserExists",
    "UserNotFound",
    "UserView",
    "ValueMissing",
    "Values",
    "Work",
    "WorkChanged",
    "WorkQueue",
    "Worker",
    "WorkerView",
    "Workflow",
    "WorkflowStats",
    "WorkflowView",
    "Workspace",
    "WorkspaceError",
    "Zstd",
    "agent",
    "ask",
    "connect",
    "continue_as_new",
    "current",
    "execute",
    "first",
    "gather",
    "gather_context",
    "hold",
    "load_phases",
    "map",
    "now",
    "open_conversations",
    "patched",
    "progress",
    "publish",
    "random",
    "register_policy",
    "scripted",
    "send_event",
    "set_attributes",
    "shield",
    "sleep",
    "sleep_until",
    "source",
    "step",
    "stream",
    "unregister",
    "uuid",
    "valid_chunks",
    "wait_for_event",
    "work_queue",
    "workflow",
]
