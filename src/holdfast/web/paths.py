"""Addresses of what the pages are about, and searches that find the runs a figure counts."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.convertors import Convertor, register_url_convertor

from holdfast.api.routing import SLASH
from holdfast.web.query import quoted

BESIDE_ITEMS = (
    "queue", "columns", "views", "bulk", "load", "analytics", "definitions", "definition", "subjects", "subject",
    "new", "live", "next", "item", "demo", "settings",
)  # fmt: skip
"""Pages below ``/work`` that are no items'. An item that is called so has its page at ``/work/item``."""


class _ItemId(Convertor[str]):
    """The id of a work item in a path: ``/work/{id:item}``."""

    regex = rf"(?!(?:{'|'.join(BESIDE_ITEMS)})(?:/|$))[^/]+"

    def convert(self, value: str) -> str:
        return value.replace(SLASH, "/")

    def to_string(self, value: str) -> str:
        return quote(value, safe="")


register_url_convertor("item", _ItemId())


def item_path(id: str, part: str = "", **parameters: Any) -> str:
    """The path of a work item's page.

    Args:
        id: the item.
        part: of the page behind it: ``do`` for its task.
        parameters: of the address.
    """
    tail = f"/{part}" if part else ""
    named = id in BESIDE_ITEMS or id in (".", "..")
    path = f"/work/item{tail}?id={quote(id, safe='')}" if named else f"/work/{quote(id, safe='')}{tail}"
    given = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in parameters.items() if value)
    return f"{path}{('&' if '?' in path else '?') + given if given else ''}"


def conversation_path(id: str) -> str:
    """The path of a conversation's page."""
    return f"/conversations/{quote(id, safe='')}"


def definition_path(id: str) -> str:
    """The path of a definition's page."""
    return f"/work/definition?id={id}" if id in (".", "..") else f"/work/definitions/{quote(id, safe='')}"


def subject_path(id: str) -> str:
    """The path of a subject's page."""
    return f"/work/subject?id={id}" if id in (".", "..") else f"/work/subjects/{quote(id, safe='')}"


def workflow_path(name: str) -> str:
    """The path of a workflow's page."""
    return _named("workflow", name)


def schedule_path(name: str) -> str:
    """The path of a schedule's page."""
    return _named("schedule", name)


def phases_path(name: str) -> str:
    """The path of the page of a file of phases."""
    return _named("phase", name)


def artifact_path(run: str, name: str, at: str | None = None, **parameters: Any) -> str:
    """The path of an artifact's page.

    Args:
        run: the id of the run that made it.
        name: of the artifact.
        at: the position of the step that made it; the last of this name unless given.
        parameters: more of the address.
    """
    given = {"run": run, "name": name, "at": at, **parameters}
    return "/artifact?" + "&".join(f"{one}={quote(str(value), safe='')}" for one, value in given.items() if value)


def message_path(id: str, part: str = "") -> str:
    """The path of a message's page, or of what is asked before something is done to it."""
    return f"/message{f'/{part}' if part else ''}?id={quote(id, safe='')}"


def source_path(name: str, **parameters: Any) -> str:
    """The path of a source's page."""
    given = {"name": name, **parameters}
    return "/source?" + "&".join(f"{one}={quote(str(value), safe='')}" for one, value in given.items() if value)


def entry_path(id: str, part: str = "") -> str:
    """The path of the page of a source's entry, or of what is asked before something is done to it."""
    return f"/entry{f'/{part}' if part else ''}?id={quote(id, safe='')}"


def diversion_path(id: str, part: str = "") -> str:
    """The path of the page of a start that was diverted, or of what is asked before it is started after all."""
    return f"/diversion{f'/{part}' if part else ''}?id={quote(id, safe='')}"


def cut_over_path(workflow: str, part: str = "") -> str:
    """The path of the page that compares the two paths of a workflow, or of what is asked before one is chosen."""
    return f"/cut-over{f'/{part}' if part else ''}?workflow={quote(workflow, safe='')}"


def _named(what: str, name: str) -> str:
    # Browsers take ``.`` and ``..`` out of paths, however they are written.
    if name in (".", ".."):
        return f"/{what}?name={name}"
    return f"/{what}s/{quote(name, safe='')}"


def search(**wanted: str) -> str:
    """What to type into the search of runs to find some: ``search(workflow="checkout", status="failed")``.

    Args:
        wanted: by qualifier its value; ``attr_order`` is the attribute ``order``.
    """
    parts = []
    for name, value in wanted.items():
        # What has an operator in front is not quoted: it is none of a person's texts.
        shown = value if name in ("since", "finished") else quoted(value)
        parts.append(f"{name.replace('attr_', 'attr.', 1)}:{shown}")
    return " ".join(parts)
