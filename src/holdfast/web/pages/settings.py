"""Settings: API keys, for how long runs are kept, searches, and what the server runs with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.responses import Response

from holdfast.engine.keeping import DEFAULT_SECONDS, RetentionView
from holdfast.engine.publish_modes import PublishSettingView
from holdfast.errors import KeyNotFound
from holdfast.model.access import Role
from holdfast.web.page import Page
from holdfast.web.pages.questions import question
from holdfast.web.section import Section
from holdfast.web.work_filters import Filters

site = Section("settings")

PER_PAGE = 50
ROLES = {str(role): str(role) for role in Role}
ENDS = {"": "However they ended", **{status: status.capitalize() for status in DEFAULT_SECONDS}}


@dataclass(frozen=True, slots=True)
class Tab:
    """A page of the settings. ``needs``: the role that it takes."""

    name: str
    path: str
    label: str
    needs: Role = Role.VIEWER


TABS = (
    Tab("keys", "/settings", "API keys", Role.ADMIN),
    Tab("people", "/settings/people", "People", Role.OPERATOR),
    Tab("retention", "/settings/retention", "Retention"),
    Tab("publishing", "/settings/publishing", "Publishing"),
    Tab("searches", "/settings/searches", "Kept searches"),
    Tab("server", "/settings/server", "This server"),
)


def tabs(page: Page) -> list[Tab]:
    """Those pages of the settings that whoever asks may see."""
    return [tab for tab in TABS if page.may(tab.needs)]


def need(page: Page, role: Role, *, shared: bool = False) -> None:
    """Refuse who may not.

    Raises:
        Forbidden: they may not.
    """
    assert page.principal is not None
    page.principal.need(role, shared=shared)


def setting_of(settings: Sequence[PublishSettingView], workflow: str) -> PublishSettingView:
    """How a workflow publishes; the first of the settings is what counts where nothing is said of one."""
    return next((one for one in settings if one.workflow == (workflow or None)), settings[0])


# API keys


@site.get("/settings")
async def keys(page: Page) -> Response:
    """The tenant's API keys; for others than admins the first page that they may see."""
    if not page.may(Role.ADMIN):
        return page.done(tabs(page)[0].path, "")
    after, wanted = page.query.get("after") or None, page.query.get("q", "").strip()
    found = await page.client.keys(search=wanted, limit=PER_PAGE + 1, after=after)
    shown = found[:PER_PAGE]
    return page.render(
        "pages/keys_list.html",
        title="Settings",
        tabs=tabs(page),
        tab="keys",
        keys=shown,
        wanted=wanted,
        first=page.with_query(after=None) if after else None,
        next=page.with_query(after=shown[-1].prefix) if len(found) > PER_PAGE else None,
    )


@site.get("/key/new")
async def ask_key(page: Page) -> Response:
    """The form for an API key."""
    need(page, Role.ADMIN)
    return _key_form(page)


@site.post("/key/new")
async def make_key(page: Page) -> Response:
    """Make an API key, and show it this once."""
    form = await page.form(Role.ADMIN)
    name = form.text("name", most=200, what="what it is for")
    role, expires = form.choice("role", ROLES), form.duration("expires")
    if form.sound:
        with form.refusals():
            made = await page.client.create_key(name, role=role, expires=expires)
            return page.render("pages/key_made.html", title="Your new API key", made=made)
    return _key_form(page)


def _key_form(page: Page) -> Response:
    return page.render("pages/key_form.html", title="Make an API key", roles=ROLES)


@site.get("/key/revoke")
async def ask_revoke(page: Page) -> Response:
    """Ask whether to revoke a key."""
    need(page, Role.ADMIN)
    key = await page.client.get_key(page.query.get("prefix") or "-")
    return question(
        page,
        f"Revoke the key {key.name}?",
        text=f"Whatever uses hf_{key.prefix}_… is refused from now on. It cannot be made good again.",
        to="/key/revoke",
        label="Revoke it",
        back="/settings",
        kind="danger",
        fields={"prefix": key.prefix},
    )


@site.post("/key/revoke")
async def revoke(page: Page) -> Response:
    """Revoke a key."""
    form = await page.form(Role.ADMIN)
    prefix = form.text("prefix", most=100)
    key = await page.client.get_key(prefix or "-")
    if not await page.client.revoke_key(key.prefix):
        raise KeyNotFound(f"there is no API key {prefix!r}")
    page.server.credentials.forget()
    return page.done("/settings", f"The key {key.name} is revoked.")


# Retention


@site.get("/settings/retention")
async def retention(page: Page) -> Response:
    """For how long runs are kept after their end."""
    return page.render(
        "pages/retention.html",
        title="Settings",
        tabs=tabs(page),
        tab="retention",
        periods=await page.client.retention(),
    )


@site.get("/retention/set")
async def ask_retention(page: Page) -> Response:
    """The form for how long runs are kept."""
    need(page, Role.OPERATOR, shared=True)
    workflow, status = page.query.get("workflow", ""), page.query.get("status", "")
    stands = [one for one in await page.client.retention() if (one.workflow, one.status) == (workflow, status)]
    return await _retention_form(page, stands[0] if stands else None, workflow, status)


@site.post("/retention/set")
async def set_retention(page: Page) -> Response:
    """Set for how long runs are kept, or take back what was set."""
    form = await page.form(Role.OPERATOR, shared=True)
    workflow, status = form.text("workflow", needed=False, most=512), form.choice("status", ENDS)
    keep = None if form.ticked("reset") else form.duration("keep")
    if keep is None and not form.ticked("reset"):
        form.refuse("keep", "Give a length of time such as 30d.")
    if form.sound:
        with form.refusals():
            await page.client.set_retention(keep, workflow=workflow, status=status)
            done = "What was set is taken back" if keep is None else "It is set"
            return page.done("/settings/retention", f"{done}; it holds for every tenant, within the hour.")
    return await _retention_form(page, None, workflow, status)


async def _retention_form(page: Page, stands: RetentionView | None, workflow: str, status: str) -> Response:
    return page.render(
        "pages/retention_form.html",
        title="How long runs are kept",
        stands=stands,
        workflow=workflow,
        ended=status,
        ends=ENDS,
        workflows=[one.name for one in await page.client.workflows()][:500],
    )


# Searches, and the server


@site.get("/settings/searches")
async def searches(page: Page) -> Response:
    """The searches, and the filters of work items, that whoever asks keeps."""
    return page.render(
        "pages/searches.html",
        title="Settings",
        tabs=tabs(page),
        tab="searches",
        views=await page.client.saved_views("runs"),
        filters=[(view.name, Filters.parse(view.query)) for view in await page.client.saved_views("work")],
    )


@site.get("/settings/server")
async def server(page: Page) -> Response:
    """What the server runs with; nothing secret, and nothing of other tenants."""
    from holdfast import __version__

    assert page.principal is not None
    config, tenant = page.server.config, page.principal.tenant
    address = urlsplit(page.server.url)
    return page.render(
        "pages/server.html",
        title="Settings",
        tabs=tabs(page),
        tab="server",
        version=__version__,
        config=config,
        database=address.scheme.partition("+")[0],
        durable=page.client.core.store.durable,
        host=address.hostname or "",
        webhooks={name: one for name, one in sorted(config.webhooks.items()) if one.tenant == tenant},
    )
