"""How the work queue is set up: its zone, holidays and policy; what is done each day, on demand."""

from __future__ import annotations

from starlette.responses import Response

from holdfast.engine.part import UNSET
from holdfast.model.access import Role
from holdfast.web.form import Form
from holdfast.web.page import Page
from holdfast.web.section import Section
from holdfast.web.work_parts import show
from holdfast.workqueue.policies import known_policies

site = Section("items")

PRESETS = {"customer_success": "Customer success: opportunity, risk, strategic and renewal work"}
"""Presets that come with definitions, in words."""


@site.get("/work/settings")
async def settings(page: Page) -> Response:
    """How it is set up."""
    return await _settings(page, None)


@site.post("/work/settings")
async def change(page: Page) -> Response:
    """Set it up anew."""
    form = await page.form(Role.ADMIN)
    zone, country = form.text("zone", most=100, what="a zone"), form.text("country", needed=False, most=20) or None
    preset, revision = form.values.get("preset", ""), form.integer("revision", least=0)
    if form.sound:
        with form.refusals():
            await page.work.put_settings(zone=zone, country=country, preset=preset or UNSET, revision=revision)
            return page.done("/work/settings", "The work queue is set up.")
    return await _settings(page, form)


@site.post("/work/settings/preset")
async def use_preset(page: Page) -> Response:
    """Take a preset's policy, and switch its definitions on."""
    form = await page.form(Role.ADMIN)
    name = form.text("preset", most=100, what="a preset")
    with form.refusals():
        await page.work.use_preset(name)
        return page.done(
            "/work/definitions", "The preset is taken: these definitions make items from the next daily work on."
        )
    return page.done("/work/settings", " ".join(form.errors.values()), "failed")


@site.post("/work/settings/daily")
async def daily(page: Page) -> Response:
    """Do what is done each day."""
    form = await page.form(Role.OPERATOR)
    with form.refusals():
        done = await page.work.daily()
        said = f"Done for {done.day}: {done.scored:,} subjects scored, {done.created:,} items made."
        return page.done("/work/settings", f"{said} {done.recomputed:,} priorities computed.")
    return page.done("/work/settings", " ".join(form.errors.values()), "failed")


async def _settings(page: Page, form: Form | None) -> Response:
    view = await page.work.get_settings()
    known = {name: name for name in known_policies()}
    if form is None:
        form = Form({"zone": view.zone, "country": view.country or "", "preset": view.preset or ""})
    return await show(
        page,
        "pages/work_setup.html",
        title="Work items",
        settings=view,
        form=form,
        policies=known if view.preset else {"": "one of its own", **known},
        presets=PRESETS,
    )
