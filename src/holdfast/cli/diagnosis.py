"""What the doctor looks at: the machine, the configuration, the database, the workers, and the runs."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import platform
import secrets
import shutil
import socket
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from holdfast.cli.show import duration, short, size
from holdfast.engine.remote import is_remote
from holdfast.errors import BadURL, NotOurs, SchemaTooNew, StoreError, StoreReadOnly, StoreUnavailable, UsageError
from holdfast.model.sealed import is_unopened, reason_of

if TYPE_CHECKING:
    from holdfast.cli.command import Context
    from holdfast.store.base import Store
    from holdfast.store.rows import RunRow, WorkerRow
    from holdfast.store.values.values import Values

LARGE_WAL_BYTES = 256 * 1024**2
LITTLE_DISK_BYTES = 200 * 1024**2
LONG_WRITE_SECONDS = 5.0
LOOK_AGAIN_SECONDS = 0.02
CLOCK_SECONDS = 5.0
LONG_READY_SECONDS = 60.0
STORAGE_SECONDS = 15.0
NEWEST = 20
"""So many runs are looked at whether their values can be opened."""

LOOK_AT_MOST = 1000
"""How many ready and held runs are looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. ``advice`` says what to do about a problem."""

    name: str
    status: Literal["ok", "note", "problem"]
    text: str
    advice: str = ""


async def diagnose(context: Context) -> list[Finding]:
    """Everything that can be found out, in the order in which it is best mended."""
    findings = [*_machine()]
    url, found = _configuration(context)
    findings += found
    if url is None:
        return findings
    if is_remote(url):
        from holdfast.cli.server_diagnosis import examine_server

        return findings + await examine_server(context)
    try:
        values = context.values()
    except UsageError as error:
        findings.append(Finding("values", "problem", str(error), "mend [values]; `holdfast config check` looks again"))
        values = None
    return findings + await _database(url, str(context.tenant), values)


def _machine() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    versions, missing = [], []
    for package in ("holdfast", "asyncpg", "jsonschema", "msgspec", "pydantic", "rich", "typer", "uvloop"):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    if missing:
        yield Finding("packages", "problem", f"not installed: {', '.join(missing)}", "install holdfast anew with pip")
    else:
        yield Finding("packages", "ok", ", ".join(versions))
    from holdfast.store.sqlite.connection import OLDEST

    oldest = ".".join(map(str, OLDEST))
    if sqlite3.sqlite_version_info < OLDEST:
        yield Finding(
            "sqlite", "problem", f"version {sqlite3.sqlite_version}", f"use a Python with SQLite {oldest} or later"
        )
    else:
        yield Finding("sqlite", "ok", f"version {sqlite3.sqlite_version}")


def _configuration(context: Context) -> tuple[str | None, list[Finding]]:
    from holdfast.cli.databases import shown
    from holdfast.cli.settings import examine, unknown_variables
    from holdfast.store.url import FORMS, make_store

    settings, problems = examine(context.flags, file=context.file)
    context.use(settings)
    findings = [
        Finding("configuration", "problem", str(problem), "mend it; `holdfast config check` looks again")
        for problem in (*problems, *unknown_variables())
    ]
    if not findings:
        findings.append(Finding("configuration", "ok", str(settings.file or "no holdfast.toml here")))
    url = settings["url"]
    if url is None:
        advice = f"give --url, set HOLDFAST_URL, or write url in holdfast.toml: {FORMS}"
        return None, [*findings, Finding("url", "problem", "no database is named", advice)]
    if is_remote(url):
        return url, [*findings, Finding("url", "ok", f"{shown(url)} (from: {settings.source('url')})")]
    try:
        store = make_store(url)
    except BadURL as error:
        return None, [*findings, Finding("url", "problem", str(error), f"give {FORMS}, or a server, https://host")]
    findings.append(Finding("url", "ok", f"{shown(url)} (from: {settings.source('url')})"))
    if store.name == "memory":
        text = (
            "memory:// is a new, empty database in each process: nothing in it lasts, and there is nothing to look at"
        )
        return None, [*findings, Finding("database", "note", text)]
    return url, findings


async def _database(url: str, tenant: str, values: Values | None) -> list[Finding]:
    from holdfast.cli.databases import reading, schema_of, sqlite_path

    path = sqlite_path(url)
    findings: list[Finding] = []
    if path is not None:
        findings += _file(path)
        if not path.exists() or any(finding.status == "problem" and finding.name == "database" for finding in findings):
            return findings
    try:
        schema = await schema_of(url)
    except StoreError as error:
        return [*findings, Finding("database", "problem", str(error), _advice(error))]
    if path is None:
        findings.append(Finding("database", "ok", "the server answers"))
    if schema.version == 0:
        return [*findings, Finding("schema", "note", "none yet: the first worker or client makes it")]
    if schema.version > schema.wanted:
        text = f"version {schema.version}, and this holdfast knows up to {schema.wanted}"
        return [*findings, Finding("schema", "problem", text, "upgrade holdfast, here and wherever it is older")]
    if schema.pending:
        text = f"version {schema.version}, and this holdfast needs {schema.wanted}"
        return [*findings, Finding("schema", "problem", text, "run `holdfast db migrate`")]
    findings.append(Finding("schema", "ok", f"version {schema.version}"))
    if values is not None and (found := await _storage(url, values)) is not None:
        findings.append(found)
        if found.status == "problem":
            values = replace(values, apart="database")  # the rest can be looked at without it
    try:
        async with reading(url, values) as store:
            findings += _durable(store)
            before, now, after = time.time(), await store.now() / 1e6, time.time()
            findings.append(_clock(now - (before + after) / 2))
            findings += await _work(store, tenant, now)
            findings += await _values(store, tenant)
    except StoreError as error:
        findings.append(Finding("database", "problem", str(error), _advice(error)))
    return findings


def _advice(error: StoreError) -> str:
    match error:
        case StoreReadOnly():
            return "let the user of the workers write to it"
        case NotOurs():
            return "give holdfast a database of its own"
        case SchemaTooNew():
            return "upgrade holdfast"
        case StoreUnavailable():
            return "is the server running, and do host, port and network let this machine reach it?"
    return "mend what it says, and look again"


# SQLite's file


def _file(path: Path) -> Iterator[Finding]:
    from holdfast.cli.databases import is_sqlite

    folder = path.parent
    if not folder.is_dir():
        yield Finding("database", "problem", f"there is no folder {folder}", "make it, or name another path")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        text = f"{folder} cannot be written to; SQLite keeps files beside the database"
        yield Finding("database", "problem", text, "let the user of the workers write to the folder")
        return
    if not path.exists():
        yield Finding("database", "note", f"{path} does not exist yet; the first worker or client makes it")
        yield from _disk(folder)
        return
    if not os.access(path, os.R_OK):
        yield Finding("database", "problem", f"{path} cannot be read", "let the user of the workers read and write it")
        return
    if path.stat().st_size and not is_sqlite(path):
        yield Finding("database", "problem", f"{path} is not an SQLite database", "name another path")
        return
    if not os.access(path, os.W_OK):
        yield Finding("database", "problem", f"{path} cannot be written to", "let the user of the workers write to it")
        return
    wal = Path(f"{path}-wal")
    wal_bytes = wal.stat().st_size if wal.exists() else 0
    yield Finding("database", "ok", f"{path}, {size(path.stat().st_size)}")
    if wal_bytes > LARGE_WAL_BYTES:
        advice = "end the program that has been reading for long; the next commits then shrink it"
        yield Finding(
            "wal",
            "problem",
            f"{wal} has grown to {size(wal_bytes)}: some reader keeps it from being used again",
            advice,
        )
    else:
        yield Finding("wal", "ok", size(wal_bytes))
    yield _writer(path)
    yield from _disk(folder)


def _writer(path: Path) -> Finding:
    from holdfast.store.sqlite.turnstile import holder

    found = holder(str(path))
    if found is not None:
        time.sleep(LOOK_AGAIN_SECONDS)
    if found is None or holder(str(path)) != found:
        return Finding("writer", "ok", "nobody has been writing for long")
    pid, since = found
    held, state = max(0.0, time.time() - since), _state(pid)
    text = f"process {pid}{f' ({state})' if state else ''} has held the file for writing for {duration(held)}"
    if held < LONG_WRITE_SECONDS and state != "stopped":
        return Finding("writer", "ok", text)
    return Finding(
        "writer",
        "problem",
        f"{text}; everybody else waits for it",
        f"let it go on (`kill -CONT {pid}`) or end it (`kill -KILL {pid}`): nothing that was recorded is lost",
    )


def _state(pid: int) -> str:
    """ "stopped", "gone", or the empty text: what the system says of a process."""
    from holdfast.cli.backups import lives

    if not lives(pid):
        return "gone, or another user's"
    try:
        letter = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
    return "stopped" if letter in "Tt" else ""


def _disk(folder: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(folder).free
    if free < LITTLE_DISK_BYTES:
        yield Finding("disk", "problem", f"only {size(free)} are free in {folder}", "free some before writes fail")
    else:
        yield Finding("disk", "ok", f"{size(free)} free")


# What the database says


def _durable(store: Store) -> Iterator[Finding]:
    lasting = not any(weak in store.durable.lower() for weak in ("=off", "fsync=0", "journal_mode=delete"))
    if store.name == "sqlite" and "journal_mode=WAL" not in store.durable:
        lasting = False
    if lasting:
        yield Finding("durable", "ok", store.durable)
    else:
        advice = "turn it on, unless losing the last commits in a power cut is all right"
        yield Finding("durable", "problem", f"{store.durable}: a commit may not reach the disk", advice)


def _clock(difference: float) -> Finding:
    if abs(difference) < CLOCK_SECONDS:
        return Finding("clock", "ok", f"{difference:+.3f} s from this machine to the database")
    way = "ahead of" if difference > 0 else "behind"
    text = f"the database's clock is {duration(abs(difference))} {way} this machine's"
    return Finding("clock", "problem", text, "set both by a time server; leases and timers go by the database's clock")


async def _work(store: Store, tenant: str, now: float) -> list[Finding]:
    workers = await store.list_workers()
    known = {(row.name, row.version) for row in await store.list_workflows()}
    counts = await store.counts()
    alive = [worker for worker in workers if worker.expires_at / 1e6 > now]
    findings = [*_workers(workers, alive, now)]
    ready = await store.list_runs(tenant, workflow=None, status="queued", limit=LOOK_AT_MOST, before=None)
    due = [run for run in ready if run.due_at is None or run.due_at / 1e6 <= now]
    findings += _ready(due, alive, known, counts["ready"], now)
    held = await store.list_runs(tenant, workflow=None, status="held", limit=LOOK_AT_MOST, before=None)
    findings += _held(held)
    return findings


async def _storage(url: str, values: Values) -> Finding | None:
    """Whether large values can be written where they are kept, if that is not the database, and read again."""
    from holdfast.model.references import DATABASE
    from holdfast.store.values.places import place_at

    if values.apart == DATABASE:
        return None
    name, said = f"doctor-{secrets.token_hex(8)}", secrets.token_bytes(16)
    try:
        values.check_database(url)
        place = place_at(values.apart)
        async with asyncio.timeout(STORAGE_SECONDS):
            await place.write(name, said)
            found = await place.read(name)
            await place.delete(name)
    except (StoreError, UsageError) as error:
        advice = "mend [values], or let the user of the workers write to it; runs that need large values wait meanwhile"
        return Finding("storage", "problem", str(error), advice)
    except TimeoutError:
        said_of = f"{values.apart} did not answer within {STORAGE_SECONDS:g} s"
        return Finding("storage", "problem", said_of, "do its address and the network let this machine reach it?")
    if found != said:
        return Finding("storage", "problem", f"{values.apart} does not give back what is written to it", "mend it")
    return Finding("storage", "ok", f"large values can be written to {values.apart}, and read")


async def _values(store: Store, tenant: str) -> list[Finding]:
    """Whether what the newest runs were given can be read here, and what they gave; and whether it is sealed."""
    from holdfast.model.payload import HEADER
    from holdfast.store.values.store import SealedStore

    newest = await store.list_runs(tenant, workflow=None, status=None, limit=NEWEST, before=None)
    for run in newest:
        for stored in (run.input, run.output):
            if stored is not None and is_unopened(stored):
                advice = "configure the codec that the workers have: [values] in holdfast.toml"
                return [Finding("values", "problem", reason_of(stored).why, f"{advice}; this is run {run.id!r}")]
    if isinstance(store, SealedStore) and store.sealing.values.codec is not None:
        as_stored = await store.inner.list_runs(tenant, workflow=None, status=None, limit=NEWEST, before=None)
        for run in as_stored:
            if any(data is not None and data[:1] == HEADER for data in (run.input, run.output)):
                advice = "give the codec to every worker and client that is to seal what it stores"
                said = f"run {run.id!r} has values that are not sealed, and a codec is configured here"
                return [Finding("values", "note", said, advice)]
    return [Finding("values", "ok", "the newest can be opened")] if newest else []


def _workers(workers: list[WorkerRow], alive: list[WorkerRow], now: float) -> Iterator[Finding]:
    from holdfast.cli.backups import lives

    if not workers:
        yield Finding("workers", "note", "none is registered: runs wait until one is started")
    for worker in workers:
        where = f"process {worker.pid} on {worker.host}, {worker.running} runs in hand"
        left = worker.expires_at / 1e6 - now
        if left > 0 and worker.host == socket.gethostname() and not lives(worker.pid):
            yield Finding("worker", "note", f"{where}: the process is gone; others take its runs in {duration(left)}")
        elif left > 0:
            since = duration(now - worker.started_at / 1e6)
            yield Finding(
                "worker",
                "ok",
                f"{where}, for {since}, last heard of {duration(max(0.0, now - worker.beat_at / 1e6))} ago",
            )
        elif worker.running and not alive:
            text = f"{where}: its lease expired {duration(-left)} ago, and there is nobody to take its runs"
            yield Finding("worker", "problem", text, "start a worker: it takes them over within seconds")
        else:
            yield Finding("worker", "note", f"{where}: its lease expired {duration(-left)} ago")


def _ready(
    due: list[RunRow], alive: list[WorkerRow], known: set[tuple[str, str]], count: int, now: float
) -> Iterator[Finding]:
    if count and not alive:
        yield Finding("ready", "problem", f"{count} runs are ready, and no worker is alive", "start a worker")
        return
    unknown = Counter((run.workflow, run.version) for run in due if (run.workflow, run.version) not in known)
    for (workflow, version), runs in unknown.items():
        text = f"{runs} runs of {workflow!r} version {version!r} are ready, and no worker ever served that"
        yield Finding("ready", "problem", text, "start a worker with the code of that version")
    late = [run for run in due if (run.workflow, run.version) in known and _waited(run, now) > LONG_READY_SECONDS]
    places = Counter((run.workflow, run.version, run.queue) for run in late)
    for (workflow, version, queue), runs in places.items():
        longest = max(
            _waited(run, now) for run in late if (run.workflow, run.version, run.queue) == (workflow, version, queue)
        )
        yield Finding(
            "ready",
            "problem",
            f"{runs} runs of {workflow!r} version {version!r} in queue {queue!r} have been ready "
            f"for up to {duration(longest)}",
            "does a worker that is alive serve that version and that queue? If so, there are too few of them",
        )
    if not unknown and not places:
        yield Finding("ready", "ok", f"{count} runs are ready")


def _waited(run: RunRow, now: float) -> float:
    return now - max(run.created_at, run.due_at or 0) / 1e6


def _held(held: list[RunRow]) -> Iterator[Finding]:
    from holdfast.engine.views import run_view

    if not held:
        yield Finding("held", "ok", "no run is held")
        return
    view = run_view(held[0])
    reason = f"{view.error['type'].rpartition('.')[2]}: {view.error['message']}" if view.error else "no reason given"
    many = f"{len(held)} runs are" if len(held) > 1 else "1 run is"
    text = f"{many} held, the newest {view.id!r}: {short(reason.removeprefix(': '), 200)}"
    yield Finding("held", "problem", text, f"see `holdfast runs show {view.id}` and `holdfast runs list --status held`")
