"""Holdfast: durable workflows. What code, models and people do in many steps is not lost and not done twice."""

import sys

if sys.platform == "win32":
    raise ImportError("holdfast runs on Linux and macOS; on Windows use it in WSL 2")

from holdfast.engine.bulk import BulkPreview, BulkResult
from holdfast.engine.client import Client, RunHandle, connect
from holdfast.engine.context import Current, current, now, random, uuid
from holdfast.engine.durable import sleep, sleep_until
from holdfast.engine.events import send_event, wait_for_event
from holdfast.engine.fan_out import First, first, gather, map
from holdfast.engine.finding import Count, LaneView, QueueView, Stranded, WorkerView, WorkflowView
from holdfast.engine.keeping import RetentionView
from holdfast.engine.levers import Delivery, StepReplay
from holdfast.engine.scheduling import ScheduleView
from holdfast.engine.steering import continue_as_new, hold, patched, progress, set_attributes, shield
from holdfast.engine.step import Step, step
from holdfast.engine.workflow import RunFailure, Workflow, workflow
from holdfast.errors import (
    BadURL,
    Cancelled,
    ContinuedAsNew,
    CrashedWorker,
    EventTimeout,
    Evicted,
    Fatal,
    HoldfastError,
    Interruption,
    NonDeterminism,
    NotDurable,
    NotOurs,
    NotPossible,
    PayloadError,
    Rejected,
    RetryAfter,
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
    StepError,
    StepNotFound,
    StepTimeout,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
    UnknownWorkflow,
    UsageError,
)
from holdfast.model.retry import Retry
from holdfast.model.run import AttemptView, JournalEntry, RunView, Status
from holdfast.services.execute import execute
from holdfast.services.worker import Worker

__version__ = "0.1.0"

__all__ = [
    "AttemptView",
    "BadURL",
    "BulkPreview",
    "BulkResult",
    "Cancelled",
    "Client",
    "ContinuedAsNew",
    "Count",
    "CrashedWorker",
    "Current",
    "Delivery",
    "EventTimeout",
    "Evicted",
    "Fatal",
    "First",
    "HoldfastError",
    "Interruption",
    "JournalEntry",
    "LaneView",
    "NonDeterminism",
    "NotDurable",
    "NotOurs",
    "NotPossible",
    "PayloadError",
    "QueueView",
    "Rejected",
    "RetentionView",
    "Retry",
    "RetryAfter",
    "RunCancelled",
    "RunError",
    "RunExists",
    "RunFailed",
    "RunFailure",
    "RunHandle",
    "RunHeld",
    "RunNotFound",
    "RunTimeout",
    "RunView",
    "ScheduleExists",
    "ScheduleNotFound",
    "ScheduleView",
    "SchemaTooNew",
    "SchemaTooOld",
    "SearchError",
    "Status",
    "Step",
    "StepError",
    "StepNotFound",
    "StepReplay",
    "StepTimeout",
    "StoreError",
    "StoreFull",
    "StoreReadOnly",
    "StoreUnavailable",
    "Stranded",
    "UnknownWorkflow",
    "UsageError",
    "Worker",
    "WorkerView",
    "Workflow",
    "WorkflowView",
    "connect",
    "continue_as_new",
    "current",
    "execute",
    "first",
    "gather",
    "hold",
    "map",
    "now",
    "patched",
    "progress",
    "random",
    "send_event",
    "set_attributes",
    "shield",
    "sleep",
    "sleep_until",
    "step",
    "uuid",
    "wait_for_event",
    "workflow",
]
