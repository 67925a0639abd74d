"""Every error that holdfast raises, in one tree.

HoldfastError
├── UsageError            the program asks for what cannot be: fix the code
│   ├── ScheduleNotFound  the tenant has no schedule of this name
│   ├── UnknownWorkflow   no such workflow, here or in the database
│   ├── NotDurable        a durable call from where the engine cannot number it
│   ├── NonDeterminism    replay asked for something else than was recorded
│   ├── UserNotFound      the tenant has no person of this id
│   ├── KeyNotFound       the tenant has no API key of this prefix
│   ├── SubjectNotFound   the tenant has no subject of this id
│   ├── DefinitionNotFound  it has no definition of this id, or not this version of it
│   ├── PhaseFileError    a file of phases that is wrong: each fault with its file and line
│   ├── PhasesNotFound    the tenant has no phases of this name, or not this version of them
│   ├── SourceNotFound    the tenant has no source of this name, or none that takes requests
│   ├── EntryNotFound     the tenant has no entry of this id
│   ├── DiversionNotFound  the tenant has no diverted start of this id
│   ├── HistoryError      a file with a run's history that cannot be read, and the place in it
│   ├── RuleError         a rule that cannot be read, and the place in it
│   └── SearchError       a search that cannot be read, and the place in it
├── PayloadError          a value that cannot be stored exactly (also a ValueError)
│   ├── CodecError        a value that the codec refuses, or sealed bytes that it cannot open
│   │   └── KeyMissing    they are sealed by a key that is not there
│   └── ValueMissing      its bytes, which are kept apart, are not there, or are damaged
├── RunError              about one run
│   ├── RunNotFound
│   ├── RunExists         the id is taken by another workflow or input
│   ├── StartDropped      a rule of the workflow dropped the start: there is no run
│   ├── RunFailed         the run ended failed; the cause is its __cause__
│   ├── RunCancelled
│   ├── RunTimeout        it did not end within its time limit (also a TimeoutError)
│   ├── RunHeld           the reason that a run is held with
│   ├── Rejected          a person rejected what the run's code held it for
│   ├── NotPossible       the run is in no state for what was asked of it
│   ├── StepNotFound      it has recorded no such step
│   └── CrashedWorker     it lost too many workers in a row, and is held
├── ItemError             about one work item
│   ├── ItemNotFound
│   ├── ItemExists        the id is taken, or there is an open item of this definition and subject
│   ├── ItemChanged       somebody else changed it meanwhile
│   ├── IllegalMove       it is in no state for what was asked of it; says what is allowed
│   └── AskSkipped        a person skipped what ``hf.ask`` asked
├── ConversationError     about one conversation
│   ├── ConversationNotFound  the user has none of this id
│   ├── ConversationExpired  it has expired
│   ├── ConversationEnded  it was ended, abandoned or handed over
│   ├── ConversationBusy  another turn is in progress, and the wait for it was too long
│   ├── TurnConflict      a turn of this id has another content
│   ├── TurnLost          the turn lost the conversation to another; nothing of it is stored
│   ├── TurnFailed        the model, or what was made of its answer, failed; nothing of it is stored
│   └── TurnTimeout       it took longer than a turn may; nothing of it is stored (also a TimeoutError)
├── MessageError          about one message of the outbox
│   ├── MessageNotFound
│   └── MessageNotPossible  it is in no state for what was asked of it
├── ModelFailed           a model gave no answer that can be used; says how it failed
├── PhaseFailed           a phase gave no output, and a person stopped the run
├── PipelineError         about a pipeline of agents
│   ├── AgentFailed       an agent failed, and the pipeline with it; the cause is its __cause__
│   ├── CommandFailed     a command failed, or took too long and was killed
│   └── NotAccepted       a loop came to its limit, and nothing it made was accepted
├── WorkspaceError        a folder or an object storage cannot be used: read-only, full, not there
│   ├── ArtifactNotFound  it has no artifact of this name
│   ├── ArtifactElsewhere  the artifact's bytes are where they cannot be read from here
│   └── ArtifactChanged   the artifact's bytes are no longer those that were recorded
├── StepError             a recorded error whose class this process has not imported
├── StepTimeout           an attempt ran longer than its step allows (also a TimeoutError)
├── EventTimeout          no event came in time (also a TimeoutError)
├── ScheduleExists        another client changed the schedule meanwhile
├── UserExists            another person has the address, or the person was changed meanwhile
├── WorkChanged           somebody changed a subject, a definition or the settings of work meanwhile
├── PublishingChanged     others change how messages are published at the same time
├── SourceChanged         the source was read on meanwhile
├── EntrySettled          the entry is not dead, so that there is nothing to settle
├── Unauthorised          who asks is not known: no key, or none that is good
├── Forbidden             who asks may not do this
├── Fatal                 raised by a step: give up now, whatever the retry policy says
├── RetryAfter            raised by a step: try again after so many seconds
└── StoreError            about the database
    ├── BadURL            the address is not one of ours (also a ValueError)
    ├── StoreUnavailable  cannot be reached, or not written to, just now
    │   └── CodecUnavailable  the codec fails or does not answer just now
    ├── StoreReadOnly
    ├── StoreFull
    ├── NotOurs           the database holds something else
    ├── SchemaTooOld      migrate it
    └── SchemaTooNew      upgrade holdfast

Interruption (a BaseException, so that ``except Exception`` lets it pass)
├── Evicted               the run left this process; it goes on elsewhere or later
├── Cancelled             the run is cancelled: clean up and let it pass
└── ContinuedAsNew        the run begins again with another input
"""

from __future__ import annotations

import typing


class HoldfastError(Exception):
    """The base of every error of holdfast."""


class UsageError(HoldfastError):
    """The program asks for something that cannot be; the message says what to write instead."""


class UnknownWorkflow(UsageError):
    """No workflow of this name is known here or registered in the database.

    Attributes:
        workflow: the name asked for.
    """

    def __init__(self, message: str, *, workflow: str = "") -> None:
        super().__init__(message)
        self.workflow = workflow


class ScheduleNotFound(UsageError):
    """The tenant has no schedule of this name."""


class NotDurable(UsageError):
    """A durable call was made from an asyncio task that the engine does not know."""


class NonDeterminism(UsageError):
    """The code asked for another durable call than was recorded at that position; the run is held."""


class HistoryError(UsageError):
    """A file with a run's history cannot be read; the message names the file and the place in it."""


class UserNotFound(UsageError):
    """The tenant has no person of this id."""


class KeyNotFound(UsageError):
    """The tenant has no API key of this prefix."""


class SearchError(UsageError):
    """A search cannot be read; the message shows the place in it and says what was expected there.

    Attributes:
        position: the place in the text, in characters from 0.
    """

    def __init__(self, message: str, *, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class SubjectNotFound(UsageError):
    """The tenant has no subject of this id."""


class DefinitionNotFound(UsageError):
    """The tenant has no definition of this id, or not this version of it."""


class RuleError(UsageError):
    """A rule cannot be read; the message shows the place in it and says what to write instead.

    Attributes:
        line: the place in the rule, from 1.
        column: likewise.
    """

    def __init__(self, message: str, *, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class PhaseFileError(UsageError):
    """A file of phases is wrong.

    Attributes:
        faults: each with its ``file``, ``line`` (from 1; None where it is not known) and ``reason``.
    """

    def __init__(self, message: str, *, faults: tuple[typing.Any, ...] = ()) -> None:
        super().__init__(message)
        self.faults = faults


class PhasesNotFound(UsageError):
    """The tenant has no phases of this name, or not this version of them."""


class SourceNotFound(UsageError):
    """The tenant has no source of this name, or none that takes requests."""


class EntryNotFound(UsageError):
    """The tenant has no entry of this id."""


class DiversionNotFound(UsageError):
    """The tenant has no start of this id that was diverted, or it is no longer kept."""


class SourceChanged(HoldfastError):
    """The source was read on meanwhile; nothing was changed."""


class EntrySettled(HoldfastError):
    """The entry is not dead, or somebody settled it meanwhile; nothing was changed."""


class PayloadError(HoldfastError, ValueError):
    """A value cannot be stored so that it comes back exactly as it was.

    Attributes:
        place: where in the value, as a path such as ``charge() argument 'order'.lines[3].price``.
        reason: what is wrong there, and what to do.
    """

    def __init__(self, place: str, reason: str = "") -> None:
        super().__init__(f"{place}: {reason}" if reason else place)
        self.place = place
        self.reason = reason


class CodecError(PayloadError):
    """A codec refuses a value for good, or cannot open sealed bytes: they are damaged, or another codec's."""


class KeyMissing(CodecError):
    """A value is sealed by a key that is not there: it was taken away, or never given here.

    Attributes:
        needed: the key's id.
        known: the ids of the keys that are there.
    """

    def __init__(self, place: str, reason: str = "", *, needed: str = "", known: tuple[str, ...] = ()) -> None:
        super().__init__(place, reason)
        self.needed = needed
        self.known = known


class ValueMissing(PayloadError):
    """The bytes of a value that is kept apart are not where they were put, or are not those that were put there."""


class RunError(HoldfastError):
    """An error about one run.

    Attributes:
        run_id: the run's id within its tenant.
    """

    def __init__(self, message: str, *, run_id: str = "") -> None:
        super().__init__(message)
        self.run_id = run_id


class RunNotFound(RunError):
    """The tenant has no run of this id."""


class RunExists(RunError):
    """The id is taken by a run of another workflow or with another input."""


class StartDropped(RunError):
    """A rule of the workflow dropped the start, so that there is no run whose result it could have.

    Attributes:
        run_id: the open run because of which it was dropped; empty where a limit dropped it.
        reason: why, in words.
        rule: by which rule: ``rate_limit`` or ``singleton``.
        key: of the rule; empty for the only one.
        diversion: the id under which it is recorded; ``client.start_diverted`` starts it after all.
    """

    def __init__(
        self, message: str, *, run_id: str = "", reason: str = "", rule: str = "", key: str = "", diversion: str = ""
    ) -> None:
        super().__init__(message, run_id=run_id)
        self.reason = reason
        self.rule = rule
        self.key = key
        self.diversion = diversion


class RunFailed(RunError):
    """The run ended failed. ``__cause__`` is the error, rebuilt where its class is imported."""


class RunCancelled(RunError):
    """The run was cancelled."""


class RunTimeout(RunError, TimeoutError):
    """The run did not end within its time limit, and failed."""


class RunHeld(RunError):
    """The reason that a run is held with: what a person, or the run's own code, said.

    Attributes:
        terms: who is to see to it and until when, plain JSON; None for nobody.
    """

    def __init__(self, message: str, *, run_id: str = "", terms: dict[str, object] | None = None) -> None:
        super().__init__(message, run_id=run_id)
        self.terms = terms


class Rejected(RunError):
    """A person rejected what ``hf.hold`` asked for, or what a phase gave; raised there."""


class NotPossible(RunError):
    """The run is in no state for what was asked of it; nothing was changed."""


class StepNotFound(RunError):
    """The run has recorded no such step, or not so often."""


class CrashedWorker(RunError):
    """The run lost its worker so often without a new checkpoint that it is held."""


class ItemError(HoldfastError):
    """An error about one work item.

    Attributes:
        item_id: the item's id within its tenant.
    """

    def __init__(self, message: str, *, item_id: str = "") -> None:
        super().__init__(message)
        self.item_id = item_id


class ItemNotFound(ItemError):
    """The tenant has no work item of this id."""


class ItemExists(ItemError):
    """The id is taken; or there is an open item of this definition and subject, or was one a short while ago."""


class ItemChanged(ItemError):
    """Somebody else changed the item meanwhile; nothing was changed: look at it and try again."""


class IllegalMove(ItemError):
    """The item is in no state for what was asked of it; nothing was changed.

    Attributes:
        status: where it stands.
        allowed: the statuses that it may get.
    """

    def __init__(
        self, message: str, *, item_id: str = "", status: str = "", allowed: list[str] | tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, item_id=item_id)
        self.status = status
        self.allowed = list(allowed)


class AskSkipped(ItemError):
    """A person skipped what ``hf.ask`` asked; raised there.

    Attributes:
        reason: what they said.
        by: who.
    """

    def __init__(self, message: str, *, item_id: str = "", reason: str = "", by: str = "") -> None:
        super().__init__(message, item_id=item_id)
        self.reason = reason
        self.by = by


class ConversationError(HoldfastError):
    """About one conversation.

    Attributes:
        conversation_id: its id.
    """

    def __init__(self, message: str, *, conversation_id: str = "") -> None:
        super().__init__(message)
        self.conversation_id = conversation_id


class ConversationNotFound(ConversationError):
    """The user has no conversation of this id."""


class ConversationExpired(ConversationError):
    """It has expired."""


class ConversationEnded(ConversationError):
    """It was ended, abandoned or handed over, and takes no further turn."""


class ConversationBusy(ConversationError):
    """Another turn is in progress, and the wait for it was too long.

    Attributes:
        held_seconds: for how long that turn has been in progress.
        retry_after_seconds: when it is worth another try.
    """

    def __init__(
        self, message: str, *, conversation_id: str = "", held_seconds: float = 0.0, retry_after_seconds: float = 1.0
    ) -> None:
        super().__init__(message, conversation_id=conversation_id)
        self.held_seconds = held_seconds
        self.retry_after_seconds = retry_after_seconds


class TurnConflict(ConversationError):
    """A turn of this id has another content."""


class TurnLost(ConversationError):
    """The turn lost the conversation to another. Nothing of it is stored."""


class TurnFailed(ConversationError):
    """The model, or what was made of its answer, failed; the cause is its ``__cause__``. Nothing of it is stored."""


class TurnTimeout(ConversationError, TimeoutError):
    """It took longer than a turn may. Nothing of it is stored."""


class MessageError(HoldfastError):
    """About one message of the outbox.

    Attributes:
        message_id: its id within its tenant.
    """

    def __init__(self, message: str, *, message_id: str = "") -> None:
        super().__init__(message)
        self.message_id = message_id


class MessageNotFound(MessageError):
    """The tenant has no message of this id."""


class MessageNotPossible(MessageError):
    """The message is in no state for what was asked of it; nothing was changed."""


class ModelFailed(HoldfastError):
    """A model gave no answer that can be used.

    Attributes:
        kind: how it failed: ``rate-limited``, ``timeout``, ``unavailable``, ``refused``, ``malformed``, ``cut-off`` or
            ``error``.
        retry_after: when its provider says that it is worth another try, in seconds; None where it does not say.
        requests: what was asked of it, one after the other; not recorded with the error.
    """

    requests: tuple[typing.Any, ...] = ()

    def __init__(
        self,
        message: str,
        *,
        kind: str = "error",
        retry_after: float | None = None,
        requests: tuple[typing.Any, ...] = (),
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after
        if requests:
            self.requests = requests


class PhaseFailed(HoldfastError):
    """A phase gave no output, and the person who was asked stopped the run.

    Attributes:
        phase: its name.
        kind: how its last model failed, as `ModelFailed` says it; ``budget`` where a budget was used up.
    """

    def __init__(self, message: str, *, phase: str = "", kind: str = "error") -> None:
        super().__init__(message)
        self.phase = phase
        self.kind = kind


class PipelineError(HoldfastError):
    """About a pipeline of agents.

    Attributes:
        result: what there is up to then, an ``hf.PipelineResult``; None where the error was read from a database.
    """

    result: object = None


class AgentFailed(PipelineError):
    """An agent failed, and the pipeline with it. ``__cause__`` is its error.

    Attributes:
        agent: its name.
    """

    def __init__(self, message: str, *, agent: str = "") -> None:
        super().__init__(message)
        self.agent = agent


class CommandFailed(PipelineError):
    """A command failed, or took too long and was killed.

    Attributes:
        exit_code: as the system gave it, negative for a signal; None if it was killed by us.
        stderr: the end of what it wrote there.
    """

    def __init__(self, message: str, *, exit_code: int | None = None, stderr: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.stderr = stderr


class NotAccepted(PipelineError):
    """A loop came to its limit, and nothing that it made was accepted.

    Attributes:
        rounds: how many there were.
    """

    def __init__(self, message: str, *, rounds: int = 0) -> None:
        super().__init__(message)
        self.rounds = rounds


class WorkspaceError(HoldfastError):
    """A workspace cannot be used: it is read-only, full, not there, or not what it should be.

    Attributes:
        location: of the workspace.
    """

    def __init__(self, message: str, *, location: str = "") -> None:
        super().__init__(message)
        self.location = location


class ArtifactNotFound(WorkspaceError):
    """The workspace, or the run, has no artifact of this name.

    Attributes:
        name: of the artifact.
    """

    def __init__(self, message: str, *, location: str = "", name: str = "") -> None:
        super().__init__(message, location=location)
        self.name = name


class ArtifactElsewhere(WorkspaceError):
    """The bytes of an artifact are where they cannot be read from here; ``location`` says where."""


class ArtifactChanged(WorkspaceError):
    """The bytes of an artifact are no longer those that were recorded, or are gone from its ``location``."""


class StepError(HoldfastError):
    """A recorded error whose class this process has not imported, or cannot rebuild.

    Attributes:
        type: the dotted name of the recorded class.
        message: its text.
        attributes: its attributes that are plain JSON.
    """

    def __init__(self, message: str, *, type: str = "", attributes: dict[str, object] | None = None) -> None:
        super().__init__(message)
        self.type = type
        self.message = message
        self.attributes = attributes or {}


class StepTimeout(HoldfastError, TimeoutError):
    """An attempt of a step ran longer than the step's ``timeout``."""


class EventTimeout(HoldfastError, TimeoutError):
    """No event came within the ``timeout`` of ``hf.wait_for_event``."""


class ScheduleExists(HoldfastError):
    """Another client made or changed the schedule meanwhile: look at it and try again."""


class UserExists(HoldfastError):
    """Another person of the tenant has this address, or somebody changed the person meanwhile; nothing was changed."""


class WorkChanged(HoldfastError):
    """Somebody changed the subject, the definition or the settings of the work queue meanwhile: look and try again."""


class PublishingChanged(HoldfastError):
    """Others change how messages are published at the same time; nothing was changed: look and try again."""


class Unauthorised(HoldfastError):
    """A server does not know who asks: there is no key or session, or none that is good."""


class Forbidden(HoldfastError):
    """Who asks is known, and may not do this."""


class Fatal(HoldfastError):
    """Raise in a step to give up at once, whatever its retry policy says."""


LONGEST_SECONDS = 100 * 366 * 86400.0
"""A hundred years: no delay is longer."""


class RetryAfter(HoldfastError):
    """Raise in a step to have its next attempt after ``seconds``, if it has attempts left.

    Attributes:
        seconds: the delay before the next attempt, at least 0.
    """

    def __init__(self, seconds: float, message: str = "") -> None:
        super().__init__(message or f"try again after {seconds} s")
        self.seconds = float(seconds)
        if not 0 <= self.seconds <= LONGEST_SECONDS:
            raise UsageError(f"RetryAfter({seconds!r}): give seconds, from 0 to a hundred years")


class StoreError(HoldfastError):
    """An error about the database behind a store."""


class BadURL(StoreError, ValueError):
    """A database address that holdfast cannot use."""


class StoreUnavailable(StoreError):
    """The database cannot be reached just now; nothing was lost, and trying again is safe."""


class CodecUnavailable(StoreUnavailable):
    """The codec fails, or does not answer, just now; nothing was lost, and trying again is safe.

    Attributes:
        timed_out: it was asked and took too long; a shorter list may be answered in time.
    """

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class StoreReadOnly(StoreError):
    """The database cannot be written to."""


class StoreFull(StoreError):
    """The database has no space left."""


class NotOurs(StoreError):
    """The database, or its ``holdfast`` schema, was made by another program."""


class SchemaTooOld(StoreError):
    """The database's schema is older than this code: run ``holdfast db migrate``."""


class SchemaTooNew(StoreError):
    """The database's schema is newer than this code: upgrade holdfast."""


class Interruption(BaseException):
    """What the engine raises into a run to stop it; let it pass."""


class Evicted(Interruption):
    """The run left this process and goes on elsewhere or later; nothing more of it is recorded here."""


class Cancelled(Interruption):
    """The run is cancelled: raised by its durable calls, again and again; ``finally`` blocks run.

    Durable calls that clean up belong into ``async with hf.shield():``.
    """


class ContinuedAsNew(Interruption):
    """Ends this execution of a run that begins again with another input. See ``hf.continue_as_new``.

    Attributes:
        input: the stored form of the input.
    """

    def __init__(self, message: str = "", *, input: bytes = b"") -> None:
        super().__init__(message)
        self.input = input
