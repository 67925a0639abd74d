"""Jinja templates: pages, and single blocks of them, escaped and strict."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from holdfast.errors import UsageError
from holdfast.web import paths, text
from holdfast.web.assets import asset
from holdfast.web.query import quoted


class Templates:
    """The dashboard's templates."""

    def __init__(self) -> None:
        # auto_reload asks the disk for every template of every page; a released package does not change.
        self.environment = Environment(
            loader=PackageLoader("holdfast.web", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.environment.filters |= {
            "length": text.length,
            "money": text.money,
            "number": text.number,
            "offset": text.offset,
            "size": text.size,
            "pretty": text.pretty,
            "in_line": text.in_line,
            "rfc3339": text.rfc3339,
            "with_moments": text.with_moments,
        }
        self.environment.globals |= {
            "asset": asset,
            "counted": text.counted,
            "run_path": run_path,
            "word": lambda qualifier, value: f"{qualifier}:{quoted(value)}",
            "item_path": paths.item_path,
            "conversation_path": paths.conversation_path,
            "definition_path": paths.definition_path,
            "subject_path": paths.subject_path,
            "workflow_path": paths.workflow_path,
            "schedule_path": paths.schedule_path,
            "phases_path": paths.phases_path,
            "artifact_path": paths.artifact_path,
            "message_path": paths.message_path,
            "source_path": paths.source_path,
            "entry_path": paths.entry_path,
            "diversion_path": paths.diversion_path,
            "cut_over_path": paths.cut_over_path,
            "search": paths.search,
            "moment": _moment,
            "exact": _exact,
            "SHOWN": text.SHOWN_CHARACTERS,
            "MOST": text.MOST_CHARACTERS,
        }

    def render(self, name: str, block: str | None, seen: dict[str, Any]) -> str:
        """A page, or one block of it.

        Raises:
            UsageError: the template has no such block.
        """
        template = self.environment.get_template(name)
        seen = {**seen, "ui": self.environment.get_template("components.html").make_module(seen)}
        if block is None:
            return template.render(seen)
        context = template.new_context(seen)
        render = _blocks(template).get(block)
        if render is None:
            raise UsageError(f"this page has no part {block!r:.80}")
        return "".join(render(context))


@cache
def _blocks(template: Template) -> dict[str, Any]:
    """The blocks of a template and, where it does not fill them, of those it extends."""
    blocks = dict(template.blocks)
    return blocks


def run_path(run_id: str) -> str:
    """The path of a run's page. Browsers take ``.`` and ``..`` out of paths, however they are written."""
    if run_id in (".", ".."):
        return f"/run?id={quote(run_id, safe='')}"
    return f"/runs/{quote(run_id, safe='')}"


@pass_context
def _moment(context: Context, at: datetime | None) -> str:
    return "" if at is None else text.moment(at, context["page"].zone)


@pass_context
def _exact(context: Context, at: datetime | None) -> str:
    return "" if at is None else text.exact(at, context["page"].zone)


TEMPLATES = Templates()

__all__ = ["TEMPLATES", "Markup", "Templates", "run_path"]
