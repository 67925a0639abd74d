"""A server of a PostgreSQL where it may not read as one tenant: it says so when it starts."""

import uuid
from urllib.parse import urlsplit

import asyncpg
import pytest

from holdfast.api.config import ServeConfig
from holdfast.api.server import Server
from holdfast.errors import StoreError
from tests.conftest import Databases


@pytest.mark.slow
async def test_a_server_that_may_not_read_as_one_tenant_does_not_open(
    empty_postgres_database: str, postgres_databases: Databases
) -> None:
    postgres_databases.drop_template()
    admin = await asyncpg.connect(empty_postgres_database)
    await admin.execute("DROP ROLE IF EXISTS holdfast_engine, holdfast_reader")
    name = f"u_{uuid.uuid4().hex}"
    parts = urlsplit(empty_postgres_database)
    await admin.execute(f"CREATE ROLE {name} LOGIN; ALTER DATABASE {parts.path[1:]} OWNER TO {name}")
    server = Server(parts._replace(netloc=f"{name}@{parts.netloc.rpartition('@')[2]}").geturl(), ServeConfig())
    with pytest.raises(StoreError, match="an administrator has to run: CREATE ROLE"):
        await server.open()
    assert not server.is_open
    await server.close()
    await admin.execute(f"ALTER DATABASE {parts.path[1:]} OWNER TO CURRENT_USER")
    await admin.close()
