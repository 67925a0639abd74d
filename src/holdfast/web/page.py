"""A request for a page: who asks, in which zone and theme; how it is answered, whole or in part."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar
from urllib.parse import quote, unquote, urlsplit

from markupsafe import Markup
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from holdfast.api.problems import Refused
from holdfast.api.redaction import Redactor
from holdfast.api.routing import Call
from holdfast.engine.part import UNSET, Unset
from holdfast.model.access import Role
from holdfast.model.run import microseconds
from holdfast.web.form import Form
from holdfast.web.navigation import NAVIGATION, Entry
from holdfast.web.templating import TEMPLATES
from holdfast.web.text import zone_named

if TYPE_CHECKING:
    from holdfast.api.access import Principal
    from holdfast.api.server import Server
    from holdfast.conversations.desk import Conversations
    from holdfast.engine.client import Client
    from holdfast.workqueue.queue import WorkQueue

FRAGMENT = "Holdfast-Fragment"
"""The header that asks for one block of a page."""

THEME, ZONE, KEYS, SAID = "holdfast_theme", "holdfast_zone", "holdfast_keys", "holdfast_said"
"""Cookies: light or dark; the viewer's time zone; whether keys are off; what the next page is to say."""

FILES_AT_MOST = 1
"""So many files may one form hold; together with all else they are no larger than a body may be."""

LONGEST_SAID = 1500
YEAR_SECONDS = 365 * 86_400


V = TypeVar("V")


class Said(NamedTuple):
    """A message on the page that follows a form. ``kind``: done or failed."""

    kind: str
    message: str


class Page:
    """One request for a page.

    Attributes:
        request: as it came.
        server: what the pages and the API share.
        principal: who asks; None on a page that everybody sees, and for whom nobody knows.
        now: when it was asked.
    """

    def __init__(self, request: Request, server: Server, principal: Principal | None, section: str = "") -> None:
        self.request = request
        self.server = server
        self.principal = principal
        self.section = section
        self.now = datetime.now(UTC)
        self.form_sent: Form | None = None

    # Who asks

    @cached_property
    def client(self) -> Client:
        """What acts and looks for whoever asks."""
        assert self.principal is not None
        return self.server.client(self.principal)

    @cached_property
    def work(self) -> WorkQueue:
        """The work queue, for whoever asks."""
        from holdfast.workqueue.queue import WorkQueue  # here: no other page needs what it loads

        client = self.client
        return WorkQueue(client.core, client.tenant, actor=client.actor, reads=client.reads)

    @property
    def conversations(self) -> Conversations:
        """The conversations, for whoever asks."""
        assert self.principal is not None
        return self.conversations_for(self.principal)

    def conversations_for(self, principal: Principal) -> Conversations:
        """The conversations of somebody's tenant, as they may see them."""
        return Call(self.request, self.server, principal).conversations

    def may(self, role: Role | str, *, shared: bool = False) -> bool:
        """Whether who asks has a role, and, with ``shared``, may change what all tenants share."""
        return self.principal is not None and self.principal.may(Role(role), shared=shared)

    def shown(self, view: V, secrets: set[str] | None = None) -> V:
        """A view, or a list of them, without what is hidden from whoever asks. Nothing is shown that did not pass here.

        Args:
            view: what the client gave.
            secrets: texts that were hidden elsewhere and are taken out here too; takes up what is hidden here.
        """
        return view if self.redactor is None else self.redactor.view(view, secrets)

    @property
    def redactor(self) -> Redactor | None:
        """What hides fields from whoever asks; None where nothing is hidden from them."""
        assert self.principal is not None
        return None if self.principal.sees_all or not self._redactor.active else self._redactor

    def check_search(self, where: str | None) -> None:
        """Refuse a search by what is hidden from whoever asks.

        Raises:
            Forbidden: it is one.
        """
        assert self.principal is not None
        if not self.principal.sees_all:
            self._redactor.check_search(where, microseconds(self.now))

    @cached_property
    def _redactor(self) -> Redactor:
        return self.server.redactor

    @property
    def csrf(self) -> str:
        """What a form has to send; empty where nobody signed in by a cookie."""
        return (self.principal.csrf if self.principal is not None else None) or ""

    # What is asked

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the address; the last one of a name."""
        return dict(self.request.query_params)

    @property
    def fragment(self) -> str | None:
        """The block that is asked for alone; None for the whole page."""
        return self.request.headers.get(FRAGMENT)

    @cached_property
    def zone(self) -> tzinfo:
        """The viewer's time zone: what the browser said, else UTC."""
        return zone_named(unquote(self.request.cookies.get(ZONE, "")))

    @property
    def theme(self) -> str:
        """light, dark, or empty for what the system has."""
        theme = self.request.cookies.get(THEME, "")
        return theme if theme in ("light", "dark") else ""

    @property
    def keys_off(self) -> bool:
        """Whether the viewer wants no keys of a single letter."""
        return self.request.cookies.get(KEYS) == "off"

    @property
    def navigation(self) -> Sequence[Entry]:
        """The pages that there are for whoever asks."""
        return [entry for entry in NAVIGATION if self.principal is None or self.may(entry.needs)]

    @property
    def here(self) -> str:
        """The address of this page, with its parameters, as seen from the server."""
        query = self.request.url.query
        return self.url(self._path) + (f"?{query}" if query else "")

    @property
    def _path(self) -> str:
        root = self.request.scope.get("root_path", "")
        path: str = self.request.scope.get("raw_path", b"").decode("ascii", "replace") or self.request.url.path
        return path.removeprefix(root) or "/"

    def url(self, path: str, **parameters: Any) -> str:
        """An address of ours: the folder under which the dashboard is mounted, a path, and parameters.

        Args:
            path: from the dashboard's root, its parts quoted.
            parameters: those that are None or empty are left out.
        """
        root = quote(self.request.scope.get("root_path", ""))
        given = [(name, value) for name, value in parameters.items() if value is not None and value != ""]
        query = "&".join(f"{quote(name)}={quote(str(value), safe='')}" for name, value in given)
        joined = "&" if "?" in path else "?"
        return f"{root}{path}{joined if query else ''}{query}"

    def with_query(self, **changes: Any) -> str:
        """This page's address with some parameters changed; None takes one away."""
        merged: dict[str, Any] = {**self.query, **changes}
        return self.url(self._path, **merged)

    async def form(self, role: Role, *, shared: bool = False, files: bool = False) -> Form:
        """The form that was sent, once it is known that whoever sent it may.

        Args:
            role: that it takes.
            shared: whether it is about what all tenants share.
            files: whether it may hold files.

        Raises:
            Unauthorised: nobody is signed in.
            Forbidden: they may not, or the CSRF token is not theirs.
        """
        assert self.principal is not None
        self.principal.need(role, shared=shared)
        form = await self.open_form(files=files)
        if self.csrf and not compare_digest(self.csrf, form.values.get("csrf", "")):
            raise Refused("csrf", "the form is of another session, or of none: load its page again, and send it anew")
        return form

    async def open_form(self, *, files: bool = False) -> Form:
        """The form that was sent, whoever sent it."""
        most = FILES_AT_MOST if files else 0
        sent = await self.request.form(max_files=most, max_part_size=self.server.config.max_body)
        values: dict[str, str] = {}
        lists: dict[str, list[str]] = {}
        for name, value in sent.multi_items():
            if isinstance(value, str):
                values[name] = value
                lists.setdefault(name, []).append(value)
        self.form_sent = Form(values, lists)
        for name, value in sent.multi_items():
            if isinstance(value, UploadFile) and value.size:
                self.form_sent.files[name] = await value.read()
                self.form_sent.names[name] = value.filename or ""
        await sent.close()
        return self.form_sent

    # How it is answered

    def render(
        self, template: str, *, status: int | None = None, block: str | Unset | None = UNSET, **context: Any
    ) -> Response:
        """The page, or that block of it that is asked for.

        Args:
            template: its name.
            status: 200, or 422 where the form that was sent has errors, unless given.
            block: this block, or with None the whole page, whatever is asked for.
            context: what the template sees, ``title`` among it.
        """
        block = self.fragment if isinstance(block, Unset) else block
        if status is None:
            status = 422 if self.form_sent is not None and not self.form_sent.sound else 200
        said = self._said() if block is None else None
        context.setdefault("form", self.form_sent or Form())
        seen = {
            "page": self, "url": self.url, "live": live, "said": said, "section": self.section, "user": self.principal,
            **context,
        }  # fmt: skip
        response = HTMLResponse(TEMPLATES.render(template, block, seen), status)
        if said is not None:
            response.delete_cookie(SAID, path=self._root_cookie)
        return guarded(response)

    def done(self, to: str, message: str, kind: Literal["done", "failed"] = "done", **parameters: Any) -> Response:
        """Go on to another page of ours, which says what was done. A dialog is told to go there.

        Args:
            to: its path from the dashboard's root, as for `url`.
            message: what the page says; empty for nothing.
            kind: what the message is.
            parameters: of the address.
        """
        address = self.url(to, **parameters)
        response: Response = RedirectResponse(address, 303)
        if self.fragment is not None:
            response = Response(status_code=204, headers={"Holdfast-Go": address})
        if message:
            said = json.dumps([kind, message[:LONGEST_SAID]]).encode()
            response.set_cookie(
                SAID, base64.urlsafe_b64encode(said).decode(), max_age=60, path=self._root_cookie, httponly=True,
                samesite="lax", secure=self.request.url.scheme == "https",
            )  # fmt: skip
        return guarded(response)

    def remember(self, response: Response, cookie: str, value: str) -> None:
        """Let the browser keep a choice of the viewer's for a year."""
        if value:
            response.set_cookie(
                cookie, value, max_age=YEAR_SECONDS, path=self._root_cookie, samesite="lax",
                secure=self.request.url.scheme == "https",
            )  # fmt: skip

    @property
    def _root_cookie(self) -> str:
        return self.request.scope.get("root_path", "") or "/"

    def _said(self) -> Said | None:
        cookie = self.request.cookies.get(SAID)
        if not cookie:
            return None
        try:
            kind, message = json.loads(base64.urlsafe_b64decode(cookie))
        except (ValueError, binascii.Error, TypeError):
            return None
        if kind not in ("done", "failed") or not isinstance(message, str):
            return None
        return Said(kind, message[:LONGEST_SAID])

    @property
    def came_from(self) -> str:
        """The path of the page that sent this request, with its parameters; the root where it is not known."""
        parts = urlsplit(self.request.headers.get("referer", ""))
        if parts.netloc != self.request.url.netloc:
            return "/"
        return self.inside(parts.path + (f"?{parts.query}" if parts.query else ""))

    def inside(self, address: str | None, otherwise: str = "/") -> str:
        """An address to go to, if it is a path of this dashboard's; nobody is sent elsewhere."""
        parts = urlsplit(address or "")
        path = address or ""
        elsewhere = parts.scheme or parts.netloc or not path.startswith("/") or path[1:2] in ("/", "\\")
        if elsewhere or any(ord(character) < 33 for character in path):
            return otherwise
        return path.removeprefix(quote(self.request.scope.get("root_path", ""))) or "/"


def guarded(response: Response) -> Response:
    """A page's answer, which no cache keeps; what every answer gets besides, `holdfast.api.gate` adds."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = f"{FRAGMENT}, Cookie"
    return response


def live(block: str, stream: str) -> Markup:
    """The attributes of an element that is kept live: it holds a block, renewed whenever a stream says so."""
    return Markup('id="live-{0}" data-live="{0}" data-stream="{1}"').format(block, stream)
