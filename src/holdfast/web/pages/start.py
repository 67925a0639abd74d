"""Starting a run: a form made from the workflow's schema, or JSON."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from starlette.responses import Response

from holdfast.engine.client import RunHandle
from holdfast.engine.versions import latest
from holdfast.errors import HoldfastError, PayloadError, RunExists, StoreError, UnknownWorkflow
from holdfast.model.access import Role
from holdfast.store.rows import WorkflowRow
from holdfast.web.form import Form
from holdfast.web.page import Page
from holdfast.web.paths import diversion_path
from holdfast.web.schema_form import PREFIX, example, fields_of, read_fields
from holdfast.web.section import Section
from holdfast.web.templating import run_path

site = Section("runs")

_PLACE = re.compile(r"\(\) input[.]([^.\[]+)")


@site.get("/start")
async def choose_or_fill(page: Page) -> Response:
    """Choose the workflow; or fill in its form."""
    assert page.principal is not None
    page.principal.need(Role.OPERATOR)
    return await _form(page)


@site.post("/start")
async def start(page: Page) -> Response:
    """Start the run, and go there."""
    form = await page.form(Role.OPERATOR)
    row = await _workflow(page)
    as_json = page.query.get("as") == "json"
    if as_json:
        value = form.json("input", needed=False)
        if value is not None and not isinstance(value, dict):
            form.refuse("input", "Give an object with the arguments by name.")
    else:
        value = read_fields(form, fields_of(msgspec.json.decode(row.input_schema)))
    options = _options(form)
    if form.sound:
        try:
            handle = await page.client.start_named(row.name, value or {}, version=row.version, **options)
        except StoreError:
            raise
        except HoldfastError as error:
            _place(form, error, as_json)
        else:
            return _started(page, handle)
    return await _form(page)


def _started(page: Page, handle: RunHandle[Any]) -> Response:
    """Go to the run; or, where the start made none, to why it did not."""
    if handle.diversion is not None and handle.way == "merged":
        return page.done(diversion_path(handle.diversion), "No new run: the start went into one that is there.")
    if handle.diversion is not None and handle.way == "dropped":
        return page.done(diversion_path(handle.diversion), "No run: the start was dropped.", "failed")
    said = "The run is started." if handle.created else "A run of this id and input was there already."
    if handle.way == "delayed":
        said = f"The run starts later: {handle.reason}"
    return page.done(run_path(handle.id), said)


async def _form(page: Page) -> Response:
    known = await page.client.reads.list_workflows()
    name = page.query.get("workflow", "")
    if not name:
        names = sorted({row.name for row in known if not row.name.startswith("holdfast.")})
        return page.render("pages/start.html", title="Start a run", names=names, workflow=None)
    row = await _workflow(page)
    schema = msgspec.json.decode(row.input_schema)
    return page.render(
        "pages/start.html",
        title=f"Start {row.name}",
        names=[],
        workflow=row,
        versions=sorted(one.version for one in known if one.name == name),
        fields=fields_of(schema),
        as_json=page.query.get("as") == "json",
        example=example(schema),
        more=schema.get("additionalProperties", True) is not False,
    )


async def _workflow(page: Page) -> WorkflowRow:
    known = await page.client.reads.list_workflows()
    name, version = page.query.get("workflow", ""), page.query.get("version") or None
    row = latest(known, name, version)
    if row is None:
        raise UnknownWorkflow(f"no worker has registered a workflow {name!r} in this database", workflow=name)
    return row


def _options(form: Form) -> dict[str, Any]:
    """The start options that are given."""
    options: dict[str, Any] = {}
    if run_id := form.text("id", needed=False, most=512):
        options["id"] = run_id
    if (priority := form.integer("priority", least=-1000, most=1000)) is not None:
        options["priority"] = priority
    if (delay := form.duration("delay")) is not None:
        options["delay"] = delay
    attributes = form.json("attributes", needed=False)
    if attributes is not None and not isinstance(attributes, dict):
        form.refuse("attributes", 'Give an object, as in {"order": "o-1"}.')
    elif attributes:
        options["attributes"] = attributes
    return options


def _place(form: Form, error: HoldfastError, as_json: bool) -> None:
    """Put an error beside the field that it is about."""
    if isinstance(error, RunExists):
        form.refuse("id", str(error))
        return
    found = _PLACE.search(error.place) if isinstance(error, PayloadError) else None
    if found is not None and not as_json:
        form.refuse(PREFIX + found[1], f"{error.place.partition(' ')[2]}: {error.reason}")  # type: ignore[attr-defined]
    else:
        form.refuse("input" if as_json else "", str(error))
