"""Holdfast: durable workflows. What code, models and people do in many steps is not lost and not done twice."""

import sys

if sys.platform == "win32":
    raise ImportError("holdfast runs on Linux and macOS; on Windows use it in WSL 2")

from holdfast.engine.client import Client, RunHandle, connect
from holdfast.engine.context import Current, current, now, random, uuid
from holdfast.engine.durable import sleep, sleep_until
from holdfast.engine.fan_out import gather, map
from holdfast.engine.step import Step, step
from holdfast.engine.workflow import Workflow, workflow
from holdfast.errors import (
    BadURL,
    CrashedWorker,
    Evicted,
    Fatal,
    HoldfastError,
    Interruption,
    NonDeterminism,
    NotDurable,
    NotOurs,
    PayloadError,
    RetryAfter,
    RunCancelled,
    RunError,
    RunExists,
    RunFailed,
    RunNotFound,
    SchemaTooNew,
    SchemaTooOld,
    StepError,
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
    "Client",
    "CrashedWorker",
    "Current",
    "Evicted",
    "Fatal",
    "HoldfastError",
    "Interruption",
    "JournalEntry",
    "NonDeterminism",
    "NotDurable",
    "NotOurs",
    "PayloadError",
    "Retry",
    "RetryAfter",
    "RunCancelled",
    "RunError",
    "RunExists",
    "RunFailed",
    "RunHandle",
    "RunNotFound",
    "RunView",
    "SchemaTooNew",
    "SchemaTooOld",
    "Status",
    "Step",
    "StepError",
    "StepTimeout",
    "StoreError",
    "StoreFull",
    "StoreReadOnly",
    "StoreUnavailable",
    "UnknownWorkflow",
    "UsageError",
    "Worker",
    "Workflow",
    "connect",
    "current",
    "execute",
    "gather",
    "map",
    "now",
    "random",
    "sleep",
    "sleep_until",
    "step",
    "uuid",
    "workflow",
]
