"""A folder as a channel: each message is a file in it, whole or not at all, and the same message twice is one file."""

from __future__ import annotations

import os
from pathlib import Path

from holdfast.services.outbox.mail_texts import built
from holdfast.services.outbox.outgoing import DeliveryFailed, Outgoing, said
from holdfast.services.outbox.terms import ChannelTerms, Folder
from holdfast.services.outbox.threads import Threads

SENDER = "holdfast <holdfast@localhost>"
"""Who sends a mail that does not say so, where no mail server is told."""


class FolderChannel:
    """Writes messages to a folder.

    Args:
        terms: of the channel.
        means: the folder.
    """

    def __init__(self, terms: ChannelTerms, means: Folder) -> None:
        self._threads = Threads(terms)
        self._folder = means.folder

    async def send(self, message: Outgoing) -> str:
        """Write a message; see `Channel.send`."""
        mail = message.mail()
        content = message.json if mail is None else built(mail, message, SENDER)
        suffix = f"{'.draft' if message.draft else ''}{'.json' if mail is None else '.eml'}"
        path = self._folder / f"{message.file_name}{suffix}"
        try:
            await self._threads.call(_write, path, content)
        except OSError as error:
            raise DeliveryFailed(f"it cannot be written: {said(error.strerror or error)}") from None
        return path.name

    async def close(self) -> None:
        """Let the threads go."""
        self._threads.close()


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole, also after the machine has failed, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of its own for each attempt: two of them may be under way.
    beside = path.parent / f".{path.name[:100]}.{os.getpid()}.{os.urandom(6).hex()}"
    try:
        with beside.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
