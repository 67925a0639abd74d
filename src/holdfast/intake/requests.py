"""Entries that are handed in over HTTP: what a request's body is, by which id and key it is known."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from holdfast.errors import UsageError
from holdfast.intake.entry_keys import KEPT_BYTES, digest, entry_key, id_or_problem, too_large
from holdfast.intake.mails import MEDIA_TYPE, mail_entry
from holdfast.intake.reading import Found
from holdfast.intake.terms import SourceTerms
from holdfast.model.ids import check_id

IDEMPOTENCY_KEY = "idempotency-key"

JSON = "application/json"


def found_in_request(terms: SourceTerms, body: bytes, headers: Mapping[str, str]) -> Found:
    """The entry that a request hands in.

    It is known by its id as entries of other sources are; one without an id by the header ``Idempotency-Key`` alone;
    one without either is known by nothing, and new each time.

    Args:
        body: JSON where the media type says so or says nothing; a mail; or any bytes.
        headers: of the request; small and capital letters are alike.

    Returns:
        The entry. Its ``problem`` is what the sender did wrong.
    """
    given = {name.lower(): value for name, value in headers.items()}
    media_type = given.get("content-type", "").partition(";")[0].strip().lower() or JSON
    where = os.urandom(16)
    problem: str | None = None
    sent_key = given.get(IDEMPOTENCY_KEY, "")
    if sent_key:
        where = digest(b"idempotency", sent_key.encode("utf-8", "replace"))
    if len(body) > terms.max_bytes:
        problem = too_large(len(body), terms.max_bytes)
    elif media_type == MEDIA_TYPE:
        return mail_entry(terms, "request", where, body, len(body))
    value: Any = None
    message_id = ""
    is_json = media_type == JSON or media_type.endswith("+json")
    if is_json and problem is None:
        try:
            value = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            problem = f"it is no JSON that can be read: {error}"
        except RecursionError:
            problem = "it is no JSON that can be read: it is nested too deeply"
        else:
            message_id, problem = id_or_problem(value, terms.id)
    known = message_id
    if not message_id and sent_key and problem is None:
        try:
            message_id = check_id(sent_key, "the header Idempotency-Key")
        except UsageError as error:
            problem = str(error)
    return Found(
        message_id=message_id,
        place="request",
        key=entry_key(terms.dedupe, known, digest(body), where, where),
        content=body if problem is None else body[:KEPT_BYTES],
        value=value,
        is_value=is_json and problem is None,
        media_type=media_type,
        size=len(body),
        facts=value if isinstance(value, dict) else {},
        problem=problem,
    )
