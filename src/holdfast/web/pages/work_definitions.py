"""Definitions: kinds of work, their versions, an editor with a dry run on today's data, and whether they make items."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from holdfast.errors import DefinitionNotFound, HoldfastError, RuleError, StoreError, UsageError
from holdfast.model.access import Role
from holdfast.web.definition_form import differences, document_of, marked, place, shown
from holdfast.web.form import Form
from holdfast.web.page import Page
from holdfast.web.pages.questions import question
from holdfast.web.paths import definition_path
from holdfast.web.section import Section
from holdfast.web.work_parts import TYPES, need, policy_of, show
from holdfast.workqueue.views import DefinitionView, DryRun

site = Section("items")

NAMES_SHOWN = 60
VERSIONS_SHOWN = 50
ITEMS_SHOWN = 10


@site.get("/work/definitions")
async def definitions(page: Page) -> Response:
    """Every definition, in its newest version."""
    found = await page.work.definitions()
    return await show(page, "pages/work_definitions.html", title="Work items", definitions=found)


@site.get("/work/definitions/{id:name}")
async def definition(page: Page) -> Response:
    """One definition."""
    return await _definition(page, page.request.path_params["id"])


@site.get("/work/definition")
async def definition_by_parameter(page: Page) -> Response:
    """One whose id cannot stand in a path."""
    return await _definition(page, page.query.get("id") or "-")


async def _definition(page: Page, id: str) -> Response:
    versions = await page.work.versions(id)
    newest = versions[0]
    wanted = page.query.get("version", "")
    stands = next((one for one in versions if str(one.version) == wanted), newest if not wanted else None)
    if stands is None:
        raise DefinitionNotFound(f"definition {id!r} has no version {wanted!r:.40}")
    tried: DryRun | None = None
    if page.query.get("try"):
        need(page, Role.OPERATOR)
        tried = await page.work.dry_run(id if stands is newest else stands.document)
    place_of = versions.index(stands)
    before = versions[place_of + 1] if place_of + 1 < len(versions) else None
    return await show(
        page,
        "pages/work_definition.html",
        title=stands.name,
        definition=stands,
        newest=newest,
        versions=versions[:VERSIONS_SHOWN],
        differences=[] if before is None else differences(before.document, stands.document),
        before=before,
        tried=tried,
        items=page.shown(await page.work.list(definition=id, demo=None, limit=ITEMS_SHOWN)),
    )


# Made and changed


@site.get("/work/definition/edit")
async def ask_edit(page: Page) -> Response:
    """The editor: of a definition, or an empty one."""
    need(page, Role.ADMIN)
    stands = await _stands(page)
    values = {"type": "custom"} if stands is None else shown(stands.document)
    return await _editor(page, stands, Form(values))


@site.post("/work/definition/edit")
async def edit(page: Page) -> Response:
    """Try what the editor says on today's data, or keep it as the next version."""
    form = await page.form(Role.ADMIN)
    stands = await _stands(page)
    id = form.text("id", most=512, what="an id") if stands is None else stands.id
    version = form.integer("version", least=0)
    document = document_of(form, {} if stands is None else stands.document)
    tried: DryRun | None = None
    mark: tuple[str, str, str] | None = None
    if form.sound:
        try:
            if form.values.get("do") == "try":
                tried = await page.work.dry_run({**document, "id": id})
            else:
                made = await page.work.put_definition(id, document, revision=version)
                if stands is not None and made.version == stands.version:
                    return page.done(
                        definition_path(made.id), "It says the same as before, so that no version is made."
                    )
                return page.done(definition_path(made.id), f"{made.name} is kept as version {made.version}.")
        except StoreError:
            raise
        except RuleError as error:
            place(form, error)
            if "rule" in form.errors:
                mark = marked(form.values.get("rule", ""), error)
        except HoldfastError as error:
            place(form, error)
    return await _editor(page, stands, form, tried=tried, mark=mark)


async def _stands(page: Page) -> DefinitionView | None:
    """The definition that is edited; None for a new one."""
    id = page.query.get("id", "")
    return await page.work.get_definition(id) if id else None


async def _editor(page: Page, stands: DefinitionView | None, form: Form, **more: Any) -> Response:
    signals = await page.work.signal_names()
    policy = await policy_of(page)
    known = sorted({*signals, *policy.signals})
    return await show(
        page,
        "pages/definition_form.html",
        title="A new definition" if stands is None else f"Edit {stands.name}",
        definition=stands,
        form=form,
        types=TYPES,
        signals=known[:NAMES_SHOWN],
        more_signals=max(0, len(known) - NAMES_SHOWN),
        **{"tried": None, "mark": None, **more},
    )


# Switched on and off


@site.get("/work/definition/switch")
async def ask_switch(page: Page) -> Response:
    """Ask whether to let it make items, or no more."""
    need(page, Role.ADMIN)
    view = await page.work.get_definition(page.query.get("id") or "-")
    if view.active:
        title, label = f"Retire {view.name}?", "Retire it"
        text = "No more items are made of it. Those that there are stay."
    else:
        title, label = f"Activate {view.name}?", "Activate it"
        text = "From the next daily work on, at 06:00, items are made of it. Try it on today's data before."
    return question(
        page, title, text=text, to="/work/definition/switch", label=label, back=definition_path(view.id),
        fields={"id": view.id, "version": str(view.version), "active": "no" if view.active else "yes"},
    )  # fmt: skip


@site.post("/work/definition/switch")
async def switch(page: Page) -> Response:
    """Let a definition make items, or no more."""
    form = await page.form(Role.ADMIN)
    id, version = form.text("id", most=512), form.integer("version", least=1)
    on = form.choice("active", ["yes", "no"]) == "yes"
    if not form.sound:
        raise UsageError("say which definition, and whether it is to be active")
    with form.refusals():
        change = page.work.activate if on else page.work.retire
        view = await change(id, revision=version)
        said = (
            f"{view.name} is active: it makes items from the next daily work on." if on else f"{view.name} is retired."
        )
        return page.done(definition_path(view.id), said)
    return page.done(definition_path(id), " ".join(form.errors.values()), "failed")
