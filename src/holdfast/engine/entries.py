"""Entries of sources as runs: what they become runs of, and the row of each; and what another path is given of them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from holdfast.engine.incoming import INCOMING_BYTES, Incoming
from holdfast.engine.starting import start_row
from holdfast.engine.workflow import StartOptions, Workflow
from holdfast.errors import HoldfastError, UsageError
from holdfast.model.payload import Codec
from holdfast.model.publishing import text_digest
from holdfast.model.schema import input_from, terms_of
from holdfast.model.terms import Terms, needs_code, with_code
from holdfast.store.operations import NewMessage, Start
from holdfast.store.outbox_rows import PublishSettingRow
from holdfast.store.rows import WorkflowRow

SOURCE = "source"
"""The attribute by which the runs of a source are found."""

MESSAGE_ID = "message_id"
"""The attribute by which the run of a message is found."""

Role = Literal["primary", "copy"]
"""Whether the other path is to answer what it is given, or only to keep up."""

_PLAIN = Codec(dict[str, Any], most_bytes=INCOMING_BYTES)


@dataclass(frozen=True, slots=True)
class Target:
    """What entries become runs of. Made by `target_of`.

    Attributes:
        name: of the workflow.
        version: of it.
        terms: on which its runs are started.
        argument: the name of the one that is given the entry.
        description: as registered.
        typed: whether that argument is said to be an `Incoming`; what it is else has to be looked up each time.
    """

    name: str
    version: str
    terms: Terms
    argument: str
    description: bytes
    typed: bool

    def start(self, tenant: str, run_id: str, entry: Incoming, *, now_us: int, priority: int = 0) -> Start:
        """The run of an entry.

        Args:
            tenant: whose.
            run_id: of the run.
            entry: what the workflow is given.
            now_us: when it is made.
            priority: of the run.

        Raises:
            PayloadError: the entry is too large, or the workflow does not take it.
            UsageError: it has no key for the workflow's lane, or the code that tells it failed.
        """
        attributes: dict[str, Any] = {SOURCE: entry.source}
        if entry.id:
            attributes[MESSAGE_ID] = entry.id
        shadow = entry.path == "shadow"
        try:
            return start_row(
                tenant=tenant,
                workflow=self.name,
                version=self.version,
                terms=self.terms,
                options=StartOptions(id=run_id, priority=priority, attributes=attributes, shadow=shadow),
                given=self._input(entry),
                now_us=now_us,
                args=([entry],) if self.terms.batch is not None else (entry,),
                kwargs={},
            )
        except HoldfastError:
            raise
        except Exception as error:  # whatever the workflow's own code raises: one entry stops none of the others
            raise UsageError(
                f"the key of workflow {self.name!r} cannot be told of it: {type(error).__name__}: {error}"
            ) from error

    def _input(self, entry: Incoming) -> bytes:
        plain = _plain(entry)
        given = {self.argument: plain if self.terms.batch is None else [plain]}
        if self.typed:
            return _PLAIN.encode(given, f"{self.name}() input")
        return input_from(self.name, self.description, given, _PLAIN)


def target_of(row: WorkflowRow, code: Workflow[Any, Any] | None) -> Target:
    """What entries become runs of.

    Args:
        row: the workflow, as registered.
        code: its code, if it is in this process.

    Raises:
        UsageError: it does not take one argument; or what its lane's key is, only its code can say, which is not here.
    """
    schema: dict[str, Any] = msgspec.json.decode(row.input_schema)
    properties: dict[str, Any] = schema.get("properties", {})
    required: list[str] = schema.get("required", [])
    if not properties or len(required) > 1:
        takes = ", ".join(required) or "none"
        raise UsageError(
            f"workflow {row.name!r} takes the arguments {takes}; one that a source starts takes one, such as "
            "message: hf.Incoming"
        )
    terms = terms_of(row.input_schema)
    if code is not None:
        terms = with_code(terms, code.terms)
    elif needs_code(terms):
        raise UsageError(
            f"workflow {row.name!r} has a key that only its code can tell: let a worker that serves it read the "
            "source, or name the key by its place in the entry"
        )
    argument = required[0] if required else next(iter(properties))
    said = properties[argument] if terms.batch is None else properties[argument].get("items", {})
    return Target(row.name, row.version, terms, argument, row.input_schema, _is_incoming(schema, said))


def _is_incoming(schema: dict[str, Any], said: Any) -> bool:
    """Whether a workflow's argument is said to be what entries are given as, by a version that says it as this one."""
    name = said.get("$ref", "").rpartition("/")[2] if isinstance(said, dict) else ""
    found = schema.get("$defs", {}).get(name, {})
    return found.get("title") == Incoming.__name__ and tuple(found["properties"]) == Incoming.__slots__


def _plain(entry: Incoming) -> dict[str, Any]:
    """An entry as it is stored: what its annotation is read from."""
    return {
        "source": entry.source,
        "id": entry.id,
        "key": entry.key,
        "place": entry.place,
        "at": entry.at.isoformat(),
        "media_type": entry.media_type,
        "path": entry.path,
        "data": entry.data,
        "raw": None if entry.raw is None else base64.urlsafe_b64encode(entry.raw).decode(),
    }


def setting_of(settings: Sequence[PublishSettingRow], tenant: str, workflow: str) -> PublishSettingRow:
    """What was decided for a workflow, by which path its entries are answered. Without a decision it is this one."""
    found = next((one for one in settings if one.workflow == workflow), None)
    return found or PublishSettingRow(tenant, workflow, None, "primary", 0, 0, 0, "", 0)


def role_for(setting: PublishSettingRow, now_us: int) -> Role | None:
    """As what another path is given an entry; None for not at all."""
    if setting.path == "shadow":
        return "primary"
    return "copy" if now_us < setting.copies_until else None


def handed_id(source: str, key: bytes) -> str:
    """The id of the message by which another path is given an entry."""
    return f"copy/{source}/{key.hex()}"


def handed_over(
    tenant: str, channel: str, workflow: str, id: str, uid: bytes, role: Role, entry: Incoming, now_us: int
) -> NewMessage:
    """The message by which another path is given an entry.

    Args:
        tenant: whose.
        channel: by which it is sent.
        workflow: what the entry becomes a run of here.
        id: of the message.
        uid: of the message.
        role: as what it is given.
        entry: what came in.
        now_us: when.

    Raises:
        PayloadError: it is too large.
    """
    given: dict[str, Any] = {"role": role, "source": entry.source, "id": entry.id, "place": entry.place}
    if entry.raw is not None:
        given |= {"media_type": entry.media_type, "raw": base64.b64encode(entry.raw).decode()}
    else:
        given["data"] = entry.data
    return NewMessage(
        uid=uid,
        tenant=tenant,
        id=id,
        channel=channel,
        key=None,
        verdict="send",
        reason="",
        body=_PLAIN.encode(given, f"what channel {channel!r} is given"),
        text_digest=text_digest(None),
        workflow=workflow,
        run=None,
        run_id="",
        position=b"",
        generation=0,
        epoch=None,
        due_at=now_us,
        created_at=now_us,
    )


def role_given(body: bytes) -> Role:
    """As what another path was given an entry, by the body of its message."""
    role: Role = _PLAIN.decode(body, "what another path was given")["role"]
    return role
