"""A browser without scripts, for tests: follows links, fills forms in and sends them, straight into the application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import httpx

import holdfast as hf
from holdfast.api.config import ServeConfig
from holdfast.api.server import Server
from holdfast.web import create_app

HOST = "http://127.0.0.1:8700"


@dataclass
class FormSeen:
    """A form of a page: where it goes, what it would send, and the words on its buttons."""

    action: str
    method: str
    label: str
    values: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[str] = field(default_factory=list)
    named: dict[str, tuple[str, str]] = field(default_factory=dict)


@dataclass
class Link:
    """A link of a page."""

    href: str
    text: str


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[FormSeen] = []
        self.links: list[Link] = []
        self.texts: list[str] = []
        self._form: FormSeen | None = None
        self._select: str | None = None
        self._area: str | None = None
        self._button: dict[str, str | None] | None = None
        self._link: Link | None = None
        self._words = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        name = given.get("name") or ""
        if tag == "form":
            self._form = FormSeen(
                given.get("action") or "", given.get("method") or "get", given.get("aria-label") or ""
            )
            self.forms.append(self._form)
        elif tag == "a":
            self._link = Link(given.get("href") or "", "")
            self.links.append(self._link)
        elif self._link is not None:
            self._link.text += " "
        if self._form is None:
            return
        if tag == "input" and name and given.get("type") not in ("checkbox", "radio", "submit"):
            self._form.values.append((name, given.get("value") or ""))
        elif tag == "input" and name and "checked" in given:
            self._form.values.append((name, given.get("value") or "on"))
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select:
            if "selected" in given or self._select not in dict(self._form.values):
                self._form.values = [one for one in self._form.values if one[0] != self._select]
                self._form.values.append((self._select, given.get("value") or ""))
        elif tag == "textarea":
            self._area, self._words = name, ""
        elif tag == "button":
            self._button, self._words = given, ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "a":
            self._link = None
        elif tag == "select":
            self._select = None
        elif tag == "textarea" and self._form is not None and self._area is not None:
            self._form.values.append((self._area, self._words.removeprefix("\n")))
            self._area = None
        elif tag == "button" and self._form is not None and self._button is not None:
            words = " ".join(self._words.split())
            self._form.buttons.append(words)
            if self._button.get("name"):
                self._form.named[words] = (self._button["name"] or "", self._button.get("value") or "")
            self._button = None

    def handle_data(self, data: str) -> None:
        self._words += data
        if self._link is not None:
            self._link.text += data
        self.texts.append(data)


class Seen:
    """A page that was answered."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.status = response.status_code
        self.html = response.text
        self.path = response.url.raw_path.decode()
        reader = _Reader()
        reader.feed(self.html)
        self.forms, self.links = reader.forms, reader.links
        self.text = " ".join(" ".join(reader.texts).split())

    def link(self, text: str) -> str:
        """Where the first link with these words goes."""
        found = [one.href for one in self.links if " ".join(one.text.split()) == text]
        assert found, f"no link {text!r} among {[' '.join(one.text.split()) for one in self.links]}"
        return found[0]

    def has_link(self, text: str) -> bool:
        """Whether some link has these words."""
        return any(" ".join(one.text.split()) == text for one in self.links)

    def form(self, button: str, **fields: str) -> FormSeen:
        """The first form with a button of these words, and with these values in it."""
        found = [one for one in self.forms if button in one.buttons and fields.items() <= dict(one.values).items()]
        assert found, f"no form with a button {button!r} among {[one.buttons for one in self.forms]}"
        return found[0]

    def has_button(self, button: str) -> bool:
        """Whether some form has a button of these words."""
        return any(button in one.buttons for one in self.forms)


class Browser:
    """A browser without scripts. It refuses to show what is no page of ours."""

    def __init__(self, app: Any, headers: dict[str, str] | None = None) -> None:
        transport = httpx.ASGITransport(app=app)
        self.http = httpx.AsyncClient(
            transport=transport, base_url=HOST, headers={"Accept": "text/html", **(headers or {})}
        )

    async def get(self, path: str, *, fragment: str | None = None) -> Seen:
        """Go to an address."""
        headers = {} if fragment is None else {"Holdfast-Fragment": fragment}
        return Seen(await self.http.get(path, headers=headers, follow_redirects=True))

    async def send(self, seen: Seen, button: str, where: dict[str, str] | None = None, **changes: str | None) -> Seen:
        """Press a button of a page's form.

        Args:
            seen: the page.
            button: the words on it.
            where: values by which the form is told from others with such a button.
            changes: what is filled in; None for a box whose tick is taken away.
        """
        form = seen.form(button, **(where or {}))
        values = [(name, value) for name, value in form.values if name not in changes]
        values += [(name, value) for name, value in changes.items() if value is not None]
        if button in form.named:
            values.append(form.named[button])
        return await self.post(form.action or seen.path, values, method=form.method)

    async def post(
        self, path: str, values: Sequence[tuple[str, str]] | dict[str, str], *, method: str = "post"
    ) -> Seen:
        """Send a form that no page has given."""
        pairs = list(values.items()) if isinstance(values, dict) else list(values)
        if method == "get":
            return Seen(await self.http.get(path, params=pairs, follow_redirects=True))
        body = str(httpx.QueryParams(pairs))
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return Seen(await self.http.post(path, content=body, headers=headers, follow_redirects=True))


@dataclass
class Dashboard:
    """An application in this process, the client of its default tenant, and a browser on it."""

    app: Any
    server: Server
    client: hf.Client
    browser: Browser

    async def get(self, path: str, *, fragment: str | None = None) -> Seen:
        """Go to an address."""
        return await self.browser.get(path, fragment=fragment)

    async def somebody(self, role: str, tenant: str = "default") -> Browser:
        """A browser of somebody with a role, who shows a key with each request."""
        client = self.client if tenant == "default" else hf.Client(self.client.core, tenant)
        made = await client.create_key(f"a {role}", role=role)
        return Browser(self.app, {"Authorization": f"Bearer {made.key}"})


@asynccontextmanager
async def dashboard(
    url: str = "memory://", *, conversations: Sequence[hf.TurnEngine] = (), state_url: str = "", **config: Any
) -> AsyncIterator[Dashboard]:
    """The dashboard of a database."""
    app = create_app(url, config=ServeConfig(**config), conversations=conversations, state_url=state_url)
    server: Server = app.state.holdfast
    await server.open()
    try:
        yield Dashboard(app, server, server.local_client("default"), Browser(app))
    finally:
        await server.close()
