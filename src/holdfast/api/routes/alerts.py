"""Alerts: what is wrong, since when, and when people were told."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from holdfast.api.routing import Calling, Routes, answer
from holdfast.api.schemas import Limit
from holdfast.api.shapes import Page
from holdfast.engine.alerts import AlertView
from holdfast.model.access import Role
from holdfast.model.alerting import AlertState

routes = Routes("alerts")


@routes.get("/alerts", needs=Role.VIEWER, answers=Page[AlertView])
async def list_alerts(
    call: Calling,
    state: Annotated[AlertState | None, Query(description="Only those in this state.")] = None,
    limit: Limit = 100,
) -> Response:
    """The tenant's alerts: those that fire first, then pending ones, then those that were resolved last.

    Those about what no tenant owns, such as queues and workers, are of the tenant that the file of alerts names.
    """
    return answer(Page(await call.client.alerts(state, limit=limit), None))
