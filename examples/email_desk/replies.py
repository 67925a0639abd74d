"""A draft as the mail that goes to the outbox."""

from __future__ import annotations

import holdfast as hf

from .values import Draft

_MOST_REFERENCES = 900  # characters: what fits into one line of a header


def reply(draft: Draft, domain: str) -> hf.Mail:
    """The mail that a draft is.

    Args:
        domain: of the desk: where the message had come to another's address, the channel's own sender sends it. What
            a stranger writes into ``To`` must not become the sender of what we write.

    Raises:
        UsageError: the address to answer to is none that mail can be sent to.
    """
    ours = draft.sender.lower().endswith(f"@{domain.lower()}")
    return hf.Mail(
        to=_named(draft.to_name, draft.to_address),
        subject=draft.subject,
        text=draft.body,
        sender=draft.sender if ours else None,
        in_reply_to=draft.in_reply_to or None,
        references=_references(draft.references),
    )


def _named(name: str, address: str) -> str:
    if not name:
        return address
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>'


def _references(ids: tuple[str, ...]) -> list[str]:
    """The first id and as many of the last as fit: what a mail program needs to find the thread."""
    kept = list(ids)
    while len(kept) > 2 and len(" ".join(kept)) + 2 * len(kept) > _MOST_REFERENCES:
        del kept[1]
    return kept
