"""Opens a source by its terms."""

from __future__ import annotations

from pathlib import Path

from holdfast.errors import UsageError
from holdfast.intake.reading import Source
from holdfast.intake.terms import SourceTerms


def open_source(terms: SourceTerms) -> Source:
    """What reads a source. Nothing is opened before the first reading.

    Raises:
        UsageError: entries of this kind are handed in (http), or a library is not installed.
    """
    match terms.kind:
        case "jsonl":
            from holdfast.intake.jsonl import JsonlSource

            return JsonlSource(terms)
        case "maildir":
            from holdfast.intake.maildir import MaildirSource

            return MaildirSource(terms)
        case "mbox":
            from holdfast.intake.mbox import MboxSource

            return MboxSource(terms)
        case "directory":
            from holdfast.intake.directory import DirectorySource

            return DirectorySource(terms)
        case "imap":
            from holdfast.intake.imap import ImapSource

            return ImapSource(terms)
        case "http":
            raise UsageError(f"source {terms.name!r} is of kind 'http': its entries are handed in, and nothing is read")


def path_of(terms: SourceTerms) -> Path:
    """The path of a source that has one."""
    assert terms.path is not None, terms.kind
    return terms.path
