"""Changes that somebody made, written once and found by who, what and to what; inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.store.audits import NEWEST, fit
from holdfast.store.checks import MOST_CHARACTERS
from holdfast.store.operations import Audit
from holdfast.store.postgres.connection import Connection
from holdfast.store.rows import AuditRow
from holdfast.store.sql import statements

_SQL = statements("holdfast.store.postgres", "audit.sql")


def rows(audits: Sequence[Audit]) -> list[Audit]:
    """Changes as they are stored, in the order in which they are."""
    return sorted(map(fit, audits), key=lambda audit: (audit.tenant, audit.uid))


async def record(connection: Connection, audits: Sequence[Audit]) -> list[None]:
    """Record changes, unless they are."""
    await connection.execute(_SQL["insert_audits"], rows(audits))
    return [None] * len(audits)


async def list_audit(
    connection: Connection,
    tenant: str,
    limit: int,
    before: bytes | None,
    actor: str | None,
    action: str | None,
    target: str | None,
) -> list[AuditRow]:
    """See `Store.list_audit`."""
    page = tenant, before or NEWEST, limit
    if target is not None:
        found = await connection.fetch(_SQL["of_target"], *page, action or "", target[:MOST_CHARACTERS], actor)
    elif actor is not None:
        found = await connection.fetch(_SQL["of_actor"], *page, action or "", actor)
    elif action is not None:
        found = await connection.fetch(_SQL["of_action"], *page, action)
    else:
        found = await connection.fetch(_SQL["newest"], *page)
    return [AuditRow(*row) for row in found]
