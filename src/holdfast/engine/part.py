"""What the parts of a client share: whose it is, where it reads, its patience, and the record of what it changes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from holdfast.engine.versions import latest
from holdfast.errors import PayloadError, RunNotFound, StoreUnavailable, UnknownWorkflow, UsageError
from holdfast.model.ids import check_id, uuid7
from holdfast.store.base import Rejected, Store
from holdfast.store.operations import Audit, Start, Started
from holdfast.store.rows import RunRow, WorkflowRow
from holdfast.store.values.forms import is_special
from holdfast.store.values.store import SealedStore

if TYPE_CHECKING:
    from holdfast.engine.core import Core

R = TypeVar("R")
T = TypeVar("T")

PATIENCE_SECONDS = 10.0
"""How long a client keeps trying while its database cannot be reached."""


FETCH_SECONDS = 120.0
"""How long it waits for values that are kept apart."""


class Unset:
    """The default of an argument for which None is a value."""

    def __repr__(self) -> str:
        return "unset"


UNSET = Unset()


class Part:
    """What every part of a client builds on.

    Attributes:
        core: the database.
        tenant: whose runs.
        actor: who is recorded with what this client changes; None for nobody, and no record.
    """

    core: Core
    tenant: str
    actor: str | None = None
    _reads: Store | None = None

    @property
    def reads(self) -> Store:
        """The store that everything is read from."""
        return self._reads if self._reads is not None else self.core.store

    async def _patiently(self, work: Awaitable[T], seconds: float | None = None) -> T:
        """Wait for the database, for so long as a client does.

        Args:
            seconds: for so long instead.

        Raises:
            StoreUnavailable: it did not answer.
            PayloadError: it refuses a value.
        """
        seconds = PATIENCE_SECONDS if seconds is None else seconds
        try:
            async with asyncio.timeout(seconds) as patience:
                return await work
        except Rejected as error:
            raise PayloadError("the database refuses a value of this operation", str(error)) from None
        except TimeoutError:
            if not patience.expired():
                raise
            trouble = self.core.committer.trouble
            if trouble is not None:
                raise trouble from None
            raise StoreUnavailable(f"the database did not answer for {seconds:g} s; trying again is safe") from None

    async def _with_values(self, rows: list[R], *fields: str) -> list[R]:
        """Rows with the bytes of values that are kept apart.

        Args:
            fields: the names of their payloads.

        Raises:
            StoreUnavailable: where they are cannot be reached.
        """
        if not any(is_special(getattr(row, field)) for row in rows for field in fields):
            return rows
        store = cast("SealedStore", self.reads)
        return await self._patiently(store.fetched(rows, *fields), FETCH_SECONDS)

    async def _find(self, run_id: str) -> RunRow:
        """The tenant's run of this id, as stored.

        Raises:
            RunNotFound: it has none.
        """
        found = await self._patiently(self.reads.find_runs(self.tenant, [check_id(run_id, "the id of a run")]))
        if not found:
            said = f"tenant {self.tenant!r} has no run {run_id!r}"
            for one in await self._patiently(self.reads.diversions.list_diversions(self.tenant, limit=1, id=run_id)):
                said += f": its start was {one.way}; `holdfast runs explain {run_id}` says why"
            raise RunNotFound(said, run_id=run_id)
        return found[0]

    async def _registered(self, name: str, version: str | None) -> WorkflowRow:
        """A workflow as some worker registered it.

        Raises:
            UnknownWorkflow: none did.
        """
        known = await self._patiently(self.reads.list_workflows())
        found = latest(known, name, version)
        if found is not None:
            return found
        versions = sorted(row.version for row in known if row.name == name)
        names = ", ".join(sorted({row.name for row in known})) or "none"
        if versions:
            names = f"{name} of version {', '.join(versions)}"
        raise UnknownWorkflow(
            f"no worker has registered a workflow {name!r}{f' of version {version!r}' if version else ''} "
            f"in this database; known are: {names}. Start a worker that serves it first",
            workflow=name,
        )

    async def _record(self, action: str, target: str, /, **detail: Any) -> None:
        """Record that the client's actor changed something; nothing if it has none.

        Args:
            action: what, as ``run.cancel``.
            target: to what.
            detail: plain JSON, never with a secret or a payload in it; what is None or empty is left out.
        """
        if self.actor is not None:
            audit = self._audit(self.actor, action, target, detail)
            await self._patiently(self.core.committer.submit("audits", audit))

    async def _submitted(
        self, starts: Sequence[Start], action: str, target: str, detail: dict[str, Any], *, made: bool = True
    ) -> list[Started]:
        """Store runs in one commit, and with them the record of that.

        Args:
            starts: the runs.
            action: as for `_record`; the others too.
            made: whether any of them is new, so that there is something to record.
        """
        futures: list[asyncio.Future[Any]] = [self.core.committer.submit("starts", start) for start in starts]
        if self.actor is not None and made:
            # Named by the first of the runs, with which it is written or refused.
            audit = self._audit(self.actor, action, target, detail, starts[0].uid)
            futures.append(self.core.committer.submit("audits", audit))
        found = (await self._patiently(asyncio.gather(*futures)))[: len(starts)]
        # A run that exists is compared with what was to be started.
        return [one if one.created else (await self._with_values([one], "input"))[0] for one in found]

    def _audit(self, actor: str, action: str, target: str, detail: dict[str, Any], uid: bytes | None = None) -> Audit:
        now = self.core.now_us()
        said = {name: value for name, value in detail.items() if value is not None and value != ""}
        made = uuid7(now, secrets.token_bytes(10)) if uid is None else uid
        # What somebody typed, as at a refused sign-in, may be any text; the store keeps the beginning of a long one.
        kept = target.replace("\0", "\ufffd").encode(errors="replace").decode()
        return Audit(made, self.tenant, actor, action, kept, msgspec.json.encode(said), now)


def check_whole(value: object, what: str, most: int | None = None) -> None:
    """Refuse what is no whole number from 1 to the most.

    Raises:
        UsageError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1 or (most is not None and value > most):
        allowed = "1 or more" if most is None else f"from 1 to {most}"
        raise UsageError(f"{what} is {value!r}; give a whole number{',' if most is None else ''} {allowed}")
