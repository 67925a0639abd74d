"""A draft to a file: a proper reply message, written whole or not at all, and only once."""

from __future__ import annotations

import os
import re
import tempfile
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path

from .stages import Draft

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]")
_MAX_REFERENCES = 900  # a line of a header may have 998 characters

# The standard folding turns long message ids into encoded words, which no mail program finds again.
_POLICY = policy.default.clone(max_line_length=990)


def compose(draft: Draft, run_id: str) -> bytes:
    """The draft as a message, the same bytes each time: no date, no random boundary."""
    mail = EmailMessage(policy=_POLICY.clone(utf8=not f"{draft.to_address}{draft.sender}".isascii()))
    if draft.sender:
        mail["From"] = Address(addr_spec=draft.sender)
    mail["To"] = Address(draft.to_name, addr_spec=draft.to_address)
    mail["Subject"] = draft.subject
    mail["Message-ID"] = f"<{_safe(run_id)}@mail-desk.invalid>"
    if draft.in_reply_to:
        mail["In-Reply-To"] = f"<{draft.in_reply_to}>"
    if references := _references(draft.references):
        mail["References"] = references
    mail["X-Unsent"] = "1"
    mail.set_content(draft.body, cte="8bit")
    return mail.as_bytes()


def write(draft: Draft, out: Path, run_id: str) -> Path:
    """Write the draft as ``<out>/<run id>.eml``; a file that holds it already is left untouched."""
    content = compose(draft, run_id)
    out.mkdir(parents=True, exist_ok=True)
    name = _safe(run_id)
    path = out / f"{name}.eml"
    if path.is_file() and path.read_bytes() == content:
        return path
    for left_over in out.glob(f".{name}.*.tmp"):  # by an attempt that was killed
        left_over.unlink(missing_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=".tmp", dir=out)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(out, os.O_RDONLY)
    try:
        os.fsync(folder)  # or the name may be lost in a power cut that the journal survives
    finally:
        os.close(folder)
    return path


def _safe(run_id: str) -> str:
    return _UNSAFE.sub("_", run_id).lstrip(".") or "draft"


def _references(ids: tuple[str, ...]) -> str:
    """The first id and as many of the last as fit: what a mail program needs to find the thread."""
    brackets = [f"<{i}>" for i in ids]
    while len(brackets) > 2 and len(" ".join(brackets)) > _MAX_REFERENCES:
        del brackets[1]
    return " ".join(brackets)
