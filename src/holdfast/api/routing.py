"""Routes that name the role they need: nothing is answered before it is known who asks and that they may.

A route takes JSON strictly, refuses parameters that it does not know, and turns every exception into a problem. What
an endpoint is given is a `Call`; what it gives back is a response.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from fastapi import Depends, Path
from fastapi.dependencies.models import Dependant
from fastapi.params import Form
from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Scope

from holdfast.api import bodies, etags, replies
from holdfast.api.problems import KINDS, Place, Refused
from holdfast.api.shapes import ProblemDocument
from holdfast.model.access import Role
from holdfast.model.ids import MAX_ID_CHARACTERS

if TYPE_CHECKING:
    from holdfast.api.access import Principal
    from holdfast.api.redaction import Redactor
    from holdfast.api.server import Server
    from holdfast.api.tenants import TenantClient
    from holdfast.conversations.desk import Conversations
    from holdfast.workqueue.queue import WorkQueue

PREFIX = "/api/v1"

SLASH = "\0"
"""Stands in a path for a slash that was sent percent-encoded, and so belongs to a name; no name holds a NUL."""

WATCHED = ("/healthz", "/readyz")
"""Asked by whatever watches over the server, as often as it likes, by whatever name."""

STREAMED = (f"{PREFIX}/signals", f"{PREFIX}/subjects:import")
"""What is posted there is stored while it comes, so that it may be larger than memory."""

Endpoint = Callable[..., Awaitable[Response]]
F = TypeVar("F", bound=Endpoint)
V = TypeVar("V")

encode = msgspec.json.encode


class _Name(Convertor[str]):
    """One part of a path, slashes that were sent percent-encoded included: ``/runs/{run_id:name}``."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return value.replace(SLASH, "/")

    def to_string(self, value: str) -> str:
        return str(value).replace("/", "%2F")


register_url_convertor("name", _Name())

Named = Annotated[str, Path(min_length=1, max_length=MAX_ID_CHARACTERS)]
"""An id or a name in a path."""

Owner = Annotated[
    str, Path(min_length=1, max_length=MAX_ID_CHARACTERS, json_schema_extra={"pattern": r"^[^\x00\x1f]*$"})
]
"""The name of a queue in a path, without the character between the parts of a share's name."""


class Call:
    """A request whose maker is known and may make it.

    Attributes:
        request: as it came.
        server: what the requests share.
        principal: who asks.
        request_key: what the request calls itself, by its Idempotency-Key; None if it does not.
    """

    __slots__ = ("principal", "request", "request_key", "server")

    def __init__(self, request: Request, server: Server, principal: Principal) -> None:
        self.request = request
        self.server = server
        self.principal = principal
        self.request_key: str | None = None

    @property
    def client(self) -> TenantClient:
        """What looks and acts for them."""
        return self.server.client(self.principal)

    @property
    def work(self) -> WorkQueue:
        """The work queue, for them."""
        from holdfast.workqueue.queue import work_queue

        return work_queue(self.client)

    @property
    def conversations(self) -> Conversations:
        """Conversations, for them.

        Raises:
            StoreUnavailable: the state store was not reached yet.
        """
        from holdfast.conversations.desk import Conversations

        return Conversations(self.client, self.server.engines, self.server.state.holding)

    def show(self, view: V, secrets: set[str] | None = None) -> V:
        """What a client gave, as whoever asks may see it.

        Args:
            view: one of our own views, or a list or mapping of them.
            secrets: as `Redactor.view` takes it.
        """
        if self.principal.sees_all or not self.server.redactor.active:
            return view
        return self.server.redactor.view(view, secrets)

    def show_each(self, views: list[V]) -> list[V]:
        """The same for each of some views, of which none tells what another's text hides."""
        return [self.show(view) for view in views] if self.hides else views

    @property
    def hides(self) -> bool:
        """Whether something may be hidden from whoever asks."""
        return self.server.redactor.active and not self.principal.sees_all

    @property
    def redactor(self) -> Redactor | None:
        """What hides fields from whoever asks; None where nothing is hidden from them."""
        return self.server.redactor if self.hides else None

    def by(self, given: str) -> str:
        """In whose name something is asked of a run: as given, else who asks."""
        return given or ("" if self.principal.actor == "local" else self.principal.name)

    def derived_id(self, path: str, id: str | None) -> str | None:
        """The id of what is made: as given, else derived from the key by which the request names itself."""
        if id is not None or self.request_key is None:
            return id
        return replies.derived_id(self.principal, path, self.request_key)

    def url(self, path: str) -> str:
        """The address of something of ours, seen from the server's root, wherever we are mounted.

        Args:
            path: from ``/api/v1`` on, its parts percent-encoded.
        """
        return f"{self.request.scope.get('root_path', '')}{PREFIX}{path}"


def answer(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON."""
    return Response(encode(value), status, headers, "application/json")


def tagged(request: Request, value: Any, edited: Any, status: int = 200) -> Response:
    """A value as JSON with its ETag; only the ETag for who has it.

    Args:
        request: the request.
        value: what is shown.
        edited: what people edit of it.
        status: for a change, with which status it is answered.
    """
    tag = etags.etag(edited, value)
    if request.method == "GET" and etags.is_known(request, tag):
        return etags.unchanged(tag)
    return answer(value, status, {"ETag": tag, "Cache-Control": "private, no-cache"})


def nothing() -> Response:
    """Done, and nothing to say."""
    return Response(status_code=204)


async def _call(request: Request) -> Call:
    call: Call = request.scope["holdfast.call"]
    return call


Calling = Annotated[Call, Depends(_call)]
"""How an endpoint asks for its `Call`."""


def address_of(request: HTTPConnection) -> str:
    """From where a request comes."""
    return request.client.host if request.client is not None else "-"


def get_route_path(scope: Scope) -> str:
    """The path of a request from where we are mounted on."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


def server_of(request: Request) -> Server:
    """The server of a request."""
    server: Server = request.app.state.holdfast
    return server


def _query_parameters(dependant: Dependant) -> set[str]:
    """The parameters that an endpoint and what it depends on take."""
    own = {field.alias for field in dependant.query_params}
    return own.union(*map(_query_parameters, dependant.dependencies))


class Route(APIRoute):
    """A route that names the role it needs.

    Attributes:
        needs: the role; None: open to everybody.
        shared: whether it changes what all tenants share.
        keeps_answers: whether an answer is kept for when the request comes again by its Idempotency-Key.
    """

    keeps_answers = True

    def __init__(self, path: str, endpoint: Endpoint, *, needs: Role | None, shared: bool = False, **rest: Any) -> None:
        self.needs = needs
        self.shared = shared
        super().__init__(path, endpoint, **rest)
        self._takes_json = self.body_field is not None and not isinstance(self.body_field.field_info, Form)
        self._keeps = self.keeps_answers and path not in STREAMED
        self._parameters = _query_parameters(self.dependant)

    def told(self, error: Exception) -> Exception:
        """What is told of an error: itself, unless a kind of route has its own words for it."""
        return error

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler: who asks, whether they may, what they sent; then the endpoint."""
        endpoint = super().get_route_handler()

        async def handle(request: Request) -> Response:
            server = server_of(request)
            try:
                call = await self._admit(server, request)
                self._check_parameters(request)
                if self._takes_json:
                    await bodies.read_json(request)
                named = call is not None and request.method == "POST" and self._keeps
                if call is None or not named or (key := replies.key_of(request)) is None:
                    return await endpoint(request)
                call.request_key = key
                if not self._takes_json:
                    await bodies.read(request)

                async def work() -> Response:
                    try:
                        return await endpoint(request)
                    except Exception as error:
                        return await server.refuse(request, self.told(error))

                return await replies.once(server, call.principal, request, key, work)
            except Exception as error:
                return await server.refuse(request, self.told(error))

        return handle

    async def _admit(self, server: Server, request: Request) -> Call | None:
        if self.needs is None:
            if self.path not in WATCHED:
                server.limits.take(f"address {address_of(request)}")
            return None
        principal = await server.principal(request)
        principal.need(self.needs, shared=self.shared)
        call = Call(request, server, principal)
        request.scope["holdfast.call"] = call
        return call

    def _check_parameters(self, request: Request) -> None:
        if not request.scope["query_string"]:
            return
        seen: set[str] = set()
        for name, value in request.query_params.multi_items():
            if name not in self._parameters:
                known = ", ".join(sorted(self._parameters)) or "none"
                said = f"there is no parameter {name!r} here; there are: {known}"
            elif name in seen:
                said = f"the parameter {name!r} is given twice"
            elif "\0" in value:
                said = f"the parameter {name!r} holds a NUL character"
            else:
                seen.add(name)
                continue
            raise Refused("invalid-request", said, errors=[Place(said, parameter=name)])


def described(problems: Sequence[str]) -> dict[int | str, dict[str, Any]]:
    """Problems, by status, as the description of the API has them."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for kind in problems:
        status, title = KINDS[kind]
        found = by_status.setdefault(status, {"model": ProblemDocument, "description": ""})
        found["description"] += f"{'; ' if found['description'] else ''}`{kind}`: {title}"
    return by_status


class Routes:
    """The routes of one topic, in order.

    Args:
        topic: in the description of the API.
        prefix: what their paths begin with.
        described: whether they are in the description of the API.
    """

    def __init__(self, topic: str, *, prefix: str = PREFIX, described: bool = True) -> None:
        self.topic = topic
        self.prefix = prefix
        self.described = described
        self.routes: list[Route] = []

    def add(
        self,
        method: str,
        path: str,
        *,
        needs: Role | None,
        shared: bool = False,
        answers: Any = None,
        status: int = 200,
        kind: type[Route] = Route,
        problems: Sequence[str] = (),
        **rest: Any,
    ) -> Callable[[F], F]:
        """Make an endpoint a route.

        Args:
            method: GET, POST, PUT, PATCH or DELETE.
            path: behind the prefix.
            needs: the role that it takes; None: open to everybody.
            shared: whether it changes what all tenants share.
            answers: what it answers, as a type.
            status: with which status.
            kind: the class of the route.
            problems: which it may answer, beside those that every route may.
            rest: as FastAPI takes it.
        """

        def decorate(endpoint: F) -> F:
            rest.setdefault("operation_id", endpoint.__name__)
            rest.setdefault("tags", [self.topic])
            rest.setdefault("include_in_schema", self.described)
            if answers is None:
                rest.setdefault("response_class", Response)
            rest["responses"] = {**rest.get("responses", {}), **described(problems)}
            route = kind(
                self.prefix + path,
                endpoint,
                needs=needs,
                shared=shared,
                methods=[method],
                response_model=answers,
                status_code=status,
                **rest,
            )
            self.routes.append(route)
            return endpoint

        return decorate

    def get(self, path: str, *, needs: Role | None, **rest: Any) -> Callable[[F], F]:
        """A route that only looks."""
        return self.add("GET", path, needs=needs, **rest)

    def post(self, path: str, *, needs: Role | None, **rest: Any) -> Callable[[F], F]:
        """A route that does something."""
        return self.add("POST", path, needs=needs, **rest)

    def put(self, path: str, *, needs: Role | None, **rest: Any) -> Callable[[F], F]:
        """A route that makes or replaces something."""
        return self.add("PUT", path, needs=needs, **rest)

    def patch(self, path: str, *, needs: Role | None, **rest: Any) -> Callable[[F], F]:
        """A route that changes a part of something."""
        return self.add("PATCH", path, needs=needs, **rest)

    def delete(self, path: str, *, needs: Role | None, **rest: Any) -> Callable[[F], F]:
        """A route that takes something away."""
        return self.add("DELETE", path, needs=needs, **rest)
