"""The page where people sign in, on its own and in place of a page that they may not see yet."""

from __future__ import annotations

from starlette.responses import Response

from holdfast.api.problems import Problem
from holdfast.web.page import Page


def sign_in_page(page: Page, *, to: str, problem: Problem | None = None) -> Response:
    """The form by which people sign in.

    Args:
        page: what is answered.
        to: where to go afterwards, as `Page.here`.
        problem: why the page that was asked for is not shown.
    """
    return page.render(
        "pages/sign_in.html",
        status=401 if problem is not None else None,
        title="Sign in",
        to=to,
        problem=problem,
        auth=page.server.config.auth,
        provider=page.server.config.oidc is not None and page.server.config.oidc.client_id is not None,
        tenant=page.server.tenant,
    )
