"""The PostgreSQL that the machine has installed, of whatever version, does as well as the wheel's."""

import asyncio
import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

import holdfast as hf
from holdfast.store.postgres.store import PostgresStore
from tests.conformance.kit import make, start

pytestmark = pytest.mark.slow

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))


@pytest.fixture
def system_postgres() -> Iterator[str]:
    """A server of the newest installed version, on a unix socket, as an unprivileged user."""
    if not BINARIES:
        pytest.skip("no PostgreSQL is installed under /usr/lib/postgresql")
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="holdfast-system-pg-"))
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)
    data = folder / "data"
    initdb = [BINARIES[-1].with_name("initdb"), "-D", data, "-A", "trust", "-U", "postgres", "--no-sync"]
    subprocess.run(initdb, check=True, capture_output=True, user=user, cwd=folder)
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [BINARIES[-1], "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
            stdout=log,
            stderr=log,
            user=user,
            cwd=folder,
        )
    try:
        deadline = time.monotonic() + 30
        ready = [BINARIES[-1].with_name("pg_isready"), "-h", folder, "-U", "postgres"]
        while subprocess.run(ready, capture_output=True).returncode:
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, "the server did not start in 30 s"
            time.sleep(0.05)
        yield f"postgresql://postgres@/postgres?host={folder}"
    finally:
        server.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


async def test_runs_survive_their_worker(system_postgres: str) -> None:
    seen: list[int] = []
    gate = asyncio.Event()

    @hf.step
    async def work(n: int) -> int:
        seen.append(n)
        if n == 2 and not gate.is_set():
            await asyncio.sleep(60)
        return n

    @hf.workflow
    async def leaf(n: int) -> int:
        return await work(n)

    @hf.workflow
    async def flow(n: int) -> int:
        first = sum(await hf.gather(work(0), work(1)))
        return first + await work(n) + sum(await hf.map(leaf, [3, 4]))

    async with hf.connect(system_postgres) as client:
        async with hf.Worker(system_postgres, [flow, leaf], drain=0):
            run = await client.start(flow.options(id="o-1"), 2)
            async with asyncio.timeout(20):
                while 2 not in seen:
                    await asyncio.sleep(0.01)
        gate.set()
        async with hf.Worker(system_postgres, [flow, leaf]):
            assert await run.result(timeout="20s") == 10
        assert sorted(seen) == [0, 1, 2, 2, 3, 4]
        assert [entry.name for entry in await client.history("o-1")] == ["work", "work", "work", "leaf", "started"]


async def test_a_user_who_may_make_roles_reads_as_one_tenant(system_postgres: str) -> None:
    admin = await asyncpg.connect(system_postgres)
    await admin.execute("CREATE ROLE shop LOGIN CREATEROLE")
    await admin.execute("CREATE DATABASE shop OWNER shop")
    store = PostgresStore(system_postgres.replace("postgres@/postgres", "shop@/shop"))
    await store.open()
    await make(store, start("a"), start("b", tenant="u"))
    within = store.under_policy("t")
    assert [row.id for row in await within.find_runs("t", ["a", "b"])] == ["a"]
    assert await within.find_runs("u", ["b"]) == []
    assert len(await store.find_runs("u", ["b"])) == 1
    # The role is taken away: what to do is said again.
    await admin.execute("REVOKE holdfast_reader FROM holdfast_engine; REVOKE holdfast_reader FROM shop")
    await admin.execute("ALTER ROLE shop NOCREATEROLE")
    with pytest.raises(hf.StoreError):
        await within.find_runs("t", ["a"])
    with pytest.raises(hf.StoreError, match="GRANT holdfast_reader TO holdfast_engine"):
        await within.find_runs("t", ["a"])
    await store.close()
    await admin.close()
