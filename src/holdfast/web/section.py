"""A section of the dashboard: its pages' routes, each with the principal found first and errors shown as pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast.api.access import Principal
from holdfast.api.server import Server
from holdfast.errors import HoldfastError
from holdfast.web.page import Page

Handler = Callable[[Page], Awaitable[Response]]


class Section:
    """The pages below one entry of the navigation.

    Attributes:
        name: of the entry; empty for pages that belong to none.
        routes: the pages, in the order in which they were made.
    """

    def __init__(self, name: str = "", *, open_to_all: bool = False) -> None:
        """
        Args:
            name: of the entry.
            open_to_all: whether the pages are for those too who are not signed in.
        """
        self.name = name
        self.routes: list[Route] = []
        self._open = open_to_all

    def get(self, path: str) -> Callable[[Handler], Handler]:
        """A page that is looked at."""
        return self._route(path, "GET")

    def post(self, path: str) -> Callable[[Handler], Handler]:
        """What happens when a form is sent."""
        return self._route(path, "POST")

    def _route(self, path: str, method: str) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            async def endpoint(request: Request) -> Response:
                server: Server = request.app.state.holdfast
                request.scope["route"] = route  # what the log names
                page = Page(request, server, None, self.name)
                try:
                    page.principal = await (_whoever(page) if self._open else server.principal(request))
                    return await handler(page)
                except Exception as error:
                    return await server.refuse(request, error)

            route = Route(path, endpoint, methods=[method], include_in_schema=False)
            self.routes.append(route)
            return handler

        return register


async def _whoever(page: Page) -> Principal | None:
    """Who asks, where that is no condition; None where it cannot be told."""
    try:
        return await page.server.principal(page.request)
    except HoldfastError:
        return None
