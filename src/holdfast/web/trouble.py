"""What went wrong, as a page: the same problem as the API tells, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from holdfast.api.access import Principal
from holdfast.api.problems import Problem
from holdfast.engine.diversion_views import DiversionView
from holdfast.errors import HoldfastError
from holdfast.web.diversion_parts import of_id
from holdfast.web.page import FRAGMENT, Page
from holdfast.web.paths import diversion_path
from holdfast.web.signing import sign_in_page


class Way(NamedTuple):
    """What to do next: a link's words and its address."""

    label: str
    href: str


_NEXT: Mapping[int, str] = {
    401: "Sign in, and you come back to where you were.",
    403: "Somebody with another role can do it, or give you that role: an admin of your tenant, under Settings.",
    404: "It may have been deleted when its time was over, or belong to another tenant; or the address was cut off.",
    409: "Look at how it stands now, and decide anew.",
    413: "Send less at once.",
    422: "Change what is wrong, and try again.",
    429: "Wait a moment, and try again.",
    500: "Try again. If it stays so, give whoever runs this server the error id: the log says more under it.",
    502: "Try again in a moment.",
    503: "Nothing is lost, and trying again is safe. Whoever runs this server finds more in /readyz and the log.",
}


RECORDED = "What it was started with, and what can be done about it, is recorded."


async def trouble_page(request: Request, problem: Problem) -> Response | None:
    """The page for a problem: what happened, its id, and what to do next; None where the request is no page's."""
    if not _is_page(request):
        return None
    page = Page(request, request.app.state.holdfast, None)
    if problem.kind == "not-found":
        problem = replace(problem, detail="There is no page at this address.")
    if problem.status != 401:
        page.principal = await _whoever(page)
    diverted = await _diverted(page, problem)
    if diverted is not None:
        about = {"dropped": "its start was dropped", "merged": "its start went into another run"}
        why = about.get(diverted.way, "its start was delayed, and the run is not kept any more")
        said = f" {diverted.reason[:1].upper()}{diverted.reason[1:]}." if diverted.reason else ""
        problem = replace(problem, detail=f"There is no run {diverted.asked_id}: {why}.{said}")
    if problem.status == 401 and page.fragment is None and request.method == "GET":
        response = sign_in_page(page, to=page.here, problem=problem)
    else:
        response = page.render(
            "trouble.html",
            status=problem.status,
            # A part of a page that went wrong is told as the answer to a dialog, whatever part it was.
            block=None if page.fragment is None else "dialog",
            title=problem.title,
            problem=problem,
            advice=RECORDED if diverted is not None else _advice(problem),
            ways=_ways(page, problem, diverted),
        )
    for name, value in problem.headers.items():
        if name != "WWW-Authenticate":  # a browser would ask for a password of its own
            response.headers[name] = value
    return response


def _is_page(request: Request) -> bool:
    """Whether a request is for a page: not for the API, and not from a program that wants no HTML."""
    if request.url.path.startswith(("/api/", "/healthz", "/readyz", "/metrics", "/webhooks")):
        return False
    accepted = request.headers.get("accept", "*/*")
    return FRAGMENT in request.headers or "text/html" in accepted or "*/*" in accepted


async def _whoever(page: Page) -> Principal | None:
    """Who asks, for the frame of the page; None where that cannot be told."""
    try:
        return await page.server.principal(page.request)
    except HoldfastError:
        return None


def _advice(problem: Problem) -> str:
    return _NEXT.get(problem.status, _NEXT[422 if problem.status < 500 else 500])


async def _diverted(page: Page, problem: Problem) -> DiversionView | None:
    """The start that asked for the id of a run that is not there."""
    run_id = problem.more.get("run_id")
    if problem.kind != "run-not-found" or page.principal is None or not isinstance(run_id, str):
        return None
    return await of_id(page, run_id)


def _ways(page: Page, problem: Problem, diverted: DiversionView | None) -> list[Way]:
    if problem.status == 401:
        return [Way("Sign in", page.url("/sign-in"))]
    ways = [Way("All runs", page.url("/runs")), Way("Overview", page.url("/"))]
    if problem.kind == "conversation-not-found":
        return [Way("All conversations", page.url("/conversations", expired="yes")), *ways]
    if diverted is not None:
        return [Way("Why there is no such run", page.url(diversion_path(diverted.id))), *ways]
    run_id = problem.more.get("run_id")
    if problem.kind == "run-not-found" and isinstance(run_id, str) and len(run_id) < 100:
        quoted = run_id.replace('"', '""')
        return [Way("Runs whose id begins so", page.url("/runs", q=f'id:"{quoted}"*')), *ways]
    return ways
