"""What a source's file says of it, checked: where entries are, which of them count, and which workflow they start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from holdfast.engine.secrets import Secret
from holdfast.intake.rules import EntryRule

SourceKind = Literal["jsonl", "maildir", "mbox", "directory", "imap", "http"]

KINDS: tuple[SourceKind, ...] = ("jsonl", "maildir", "mbox", "directory", "imap", "http")

MAIL_KINDS: tuple[SourceKind, ...] = ("maildir", "mbox", "imap")

Dedupe = Literal["id+content", "id", "none"]
"""By what an entry is known again: its id and its content, its id alone, or only where it stands."""

Security = Literal["tls", "starttls", "none"]


@dataclass(frozen=True, slots=True)
class ImapServer:
    """Where the mailbox of an IMAP source is.

    Attributes:
        ca: a file of certificates that are trusted beside those of the machine; None for no more.
        timeout_seconds: for how long the server may say nothing.
    """

    host: str
    port: int
    security: Security
    user: str
    password: Secret
    folder: str
    ca: Path | None
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class SourceTerms:
    """One source.

    Attributes:
        workflow: what its entries start; of outcomes the workflow that they are compared with.
        outcomes: whether its entries are outcomes of another path, which start nothing.
        id: the names of the path to an entry's id; empty for none.
        rule: which entries count; None for all.
        max_waiting: no more is read while so many runs wait in the workflow's queue.
        max_bytes: a larger entry is dead.
        batch: how many entries are taken in one transaction at most.
        old_path: the channel of the other path; None for none.
        poll_seconds: how long to wait where nothing tells that something has come.
        path: of the file or the folder; None for imap and http.
        pattern: names of the files of a directory, such as ``*.csv``.
        settle_seconds: for how long a file has to be still before it is whole.
        mark: whether mail is marked as seen when it is taken in.
        server: of imap; else None.
    """

    name: str
    kind: SourceKind
    workflow: str
    outcomes: bool = False
    id: tuple[str, ...] = ()
    rule: EntryRule | None = None
    dedupe: Dedupe = "id+content"
    max_waiting: int = 1000
    max_bytes: int = 26_000_000
    batch: int = 500
    tenant: str = "default"
    old_path: str | None = None
    priority: int = 0
    poll_seconds: float = 1.0
    path: Path | None = None
    pattern: str = "*"
    settle_seconds: float = 2.0
    mark: bool = False
    server: ImapServer | None = None

    @property
    def is_mail(self) -> bool:
        """Whether its entries are mail."""
        return self.kind in MAIL_KINDS
