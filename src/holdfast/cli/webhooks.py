"""The ``[webhooks.NAME]`` tables of the configuration file: what comes in, and what becomes of it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.cli.kinds import SECRET
from holdfast.engine.secrets import Secret
from holdfast.errors import UsageError
from holdfast.model.ids import check_id

WEBHOOKS = "webhooks"
KEYS = ("secret", "event", "workflow", "tenant", "key", "id", "input")

Complain = Callable[[str, str], None]
"""Takes the place, as ``webhooks.NAME.KEY``, and what is wrong there."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook that is taken in.

    Attributes:
        secret: where the secret is with which it is signed.
        event: the event that each of its messages is; or else
        workflow: the workflow that each of them starts.
        tenant: whose; the tenant that is set unless given.
        key: where in the message the event's key is, as a dotted path.
        id: where the id is that makes a message count once; the message's own id unless given.
        input: where each of the workflow's arguments is, by its name; or where the event's ``payload`` is.
    """

    secret: Secret
    event: str | None = None
    workflow: str | None = None
    tenant: str | None = None
    key: str | None = None
    id: str | None = None
    input: dict[str, str] | None = None


def read_webhooks(tables: Any, complain: Complain) -> dict[str, Webhook]:
    """The webhooks by name; those that are wrong are complained of and left out."""
    if not isinstance(tables, Mapping) or not all(isinstance(table, Mapping) for table in tables.values()):
        complain(WEBHOOKS, "is not that; write a table for each, such as [webhooks.shop]")
        return {}
    found = {name: _webhook(f"{WEBHOOKS}.{name}", name, table, complain) for name, table in tables.items()}
    return {name: one for name, one in found.items() if one is not None}


def _webhook(place: str, name: str, table: Mapping[str, Any], complain: Complain) -> Webhook | None:
    wrong: list[tuple[str, str]] = []
    if "/" in name or not _is_name(name):
        wrong.append((place, f"{name!r} cannot stand in an address; name it otherwise"))
    for key in table:
        if key not in KEYS:
            close = difflib.get_close_matches(key, KEYS, 1, 0.6)
            hint = f"do you mean {close[0]}?" if close else f"there are {', '.join(KEYS)}"
            wrong.append((f"{place}.{key}", f"there is no such setting; {hint}"))
    secret: Secret | None = None
    try:
        secret = SECRET.check(table["secret"])
    except KeyError:
        wrong.append((place, f"has no secret; expected is {SECRET.expected}"))
    except (ValueError, UsageError):
        wrong.append((f"{place}.secret", f"is not that; expected is {SECRET.expected}"))
    if ("event" in table) == ("workflow" in table):
        wrong.append((place, "needs one of event and workflow: what its messages are, or what they start"))
    for key in ("event", "workflow", "tenant"):
        if key in table and not _is_name(table[key]):
            wrong.append((f"{place}.{key}", f"is {table[key]!r}; expected is a name"))
    for key in ("key", "id"):
        if key in table and not _is_path(table[key]):
            wrong.append((f"{place}.{key}", f'is {table[key]!r}; expected is a path in the message, such as "data.id"'))
    if "key" in table and "workflow" in table:
        wrong.append((f"{place}.key", "is for events; a workflow has its own key"))
    given = table.get("input", {})
    if not isinstance(given, Mapping) or not all(map(_is_path, given.values())):
        wrong.append((f"{place}.input", f'is {given!r}; expected is a table of paths, such as {{order = "data.id"}}'))
    elif "event" in table and any(name != "payload" for name in given):
        wrong.append((f"{place}.input", 'is for an event: expected is where its payload is, as {payload = "data"}'))
    for where, message in wrong:
        complain(where, message)
    if wrong or secret is None:
        return None
    return Webhook(secret, **{key: table[key] for key in KEYS[1:] if key in table})


def _is_name(value: object) -> bool:
    try:
        check_id(value, "a name")
    except UsageError:
        return False
    return True


def _is_path(value: object) -> bool:
    return isinstance(value, str) and all(value.split("."))
