"""Settings of publishing: the mode of all workflows and of each, and which path answers."""

from __future__ import annotations

from starlette.responses import Response

from holdfast.model.access import Role
from holdfast.model.publishing import PUBLISH_MODES, PublishMode
from holdfast.web.message_parts import MODES
from holdfast.web.page import Page
from holdfast.web.pages.settings import need, setting_of, tabs
from holdfast.web.section import Section

site = Section("settings")

NONE = "as"
"""In a form: no mode of its own."""


@site.get("/settings/publishing")
async def publishing(page: Page) -> Response:
    """How messages are published."""
    return page.render(
        "pages/publishing.html",
        title="Settings",
        tabs=tabs(page),
        tab="publishing",
        settings=await page.client.publish_settings(),
        modes=MODES,
    )


@site.get("/publishing/mode")
async def ask_mode(page: Page) -> Response:
    """The form for a publish mode."""
    need(page, Role.ADMIN)
    return await _form(
        page, page.query.get("workflow", ""), page.inside(page.query.get("next"), "/settings/publishing")
    )


@site.post("/publishing/mode")
async def set_mode(page: Page) -> Response:
    """Decide what is done with messages that their code lets pass."""
    form = await page.form(Role.ADMIN)
    workflow = form.text("workflow", needed=False, most=512)
    to = page.inside(form.values.get("next"), "/settings/publishing")
    chosen = form.choice("mode", [*PUBLISH_MODES, *([NONE] if workflow else [])])
    mode: PublishMode | None = next((one for one in PUBLISH_MODES if one == chosen), None)
    if form.sound:
        with form.refusals():
            view = await page.client.set_publish_mode(mode, workflow or None)
            whose = f"Messages of {workflow}" if workflow else "Messages of workflows without a mode of their own"
            return page.done(to, f"{whose}: {MODES[view.mode_in_force]}. It counts for those that wait already.")
    return await _form(page, workflow, to)


async def _form(page: Page, workflow: str, to: str) -> Response:
    settings = await page.client.publish_settings()
    stands = setting_of(settings, workflow)
    choices: dict[str, str] = {mode: f"{mode}: {MODES[mode]}" for mode in PUBLISH_MODES}
    if workflow or page.query.get("one"):
        choices[NONE] = f"none of its own: as for all, {settings[0].mode_in_force}"
    return page.render(
        "pages/publishing_form.html",
        title=f"How {workflow} publishes" if workflow else "How messages are published",
        workflow=workflow,
        names=bool(page.query.get("one")),
        mode=((stands.mode if stands.workflow else None) or NONE) if workflow else stands.mode_in_force,
        choices=choices,
        workflows=[one.name for one in await page.client.workflows()][:500],
        to=to,
    )
