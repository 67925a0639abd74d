"""Sources of each kind that tests can read, and the programs that write to them."""

from __future__ import annotations

import asyncio
import imaplib
import json
import os
import time
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path

from holdfast.engine.secrets import secret
from holdfast.intake.opening import open_source
from holdfast.intake.reading import Found, Source
from holdfast.intake.terms import ImapServer, SourceTerms
from tests.intake.dovecot import PASSWORD, Dovecot


def mail(id: str, text: str = "Hello\n", **fields: str) -> bytes:
    """A small mail."""
    more = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in fields.items())
    head = f"Message-ID: <{id}@shop.example>\nFrom: Ann <ann@a.example>\nTo: desk@shop.example\nSubject: About {id}\n"
    return f"{head}{more}\n{text}".encode()


class Kit(ABC):
    """A source of some kind, and who writes to it."""

    terms: SourceTerms

    def open(self, **changes: object) -> Source:
        return open_source(replace(self.terms, **changes))  # type: ignore[arg-type]

    @abstractmethod
    def create(self) -> None:
        """Make what is read, with nothing in it."""

    @abstractmethod
    def add(self, id: str, text: str = "Hello") -> None:
        """Let something come."""

    def id(self, id: str) -> str:
        """How the source gives the id."""
        return f"<{id}@shop.example>"

    @abstractmethod
    def remove(self) -> None:
        """Take away what is read."""


class JsonlKit(Kit):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "orders.jsonl"
        self.terms = SourceTerms("orders", "jsonl", "desk", id=("order", "id"), path=self.path)

    def create(self) -> None:
        self.path.touch()

    def add(self, id: str, text: str = "Hello") -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({"order": {"id": id}, "text": text}) + "\n")

    def id(self, id: str) -> str:
        return id

    def remove(self) -> None:
        self.path.unlink()


class MaildirKit(Kit):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "Maildir"
        self.terms = SourceTerms("desk", "maildir", "desk", path=self.path)
        self.count = 0

    def create(self) -> None:
        for name in ("tmp", "new", "cur"):
            (self.path / name).mkdir(parents=True)

    def add(self, id: str, text: str = "Hello") -> None:
        self.deliver(mail(id, text + "\n"))

    def deliver(self, content: bytes, folder: str = "new", flags: str = "") -> Path:
        self.count += 1
        name = f"{1_700_000_000 + self.count}.M{self.count}P1.host"
        (self.path / "tmp" / name).write_bytes(content)
        return (self.path / "tmp" / name).rename(self.path / folder / (name + flags))

    def remove(self) -> None:
        self.path.rename(self.path.with_name(f"gone-{time.monotonic_ns()}"))


class MboxKit(Kit):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "desk.mbox"
        self.terms = SourceTerms("desk", "mbox", "desk", path=self.path, settle_seconds=0.0)

    def create(self) -> None:
        self.path.touch()

    def add(self, id: str, text: str = "Hello") -> None:
        self.deliver(mail(id, text + "\n"))

    def deliver(self, content: bytes) -> None:
        with self.path.open("ab") as file:
            end = b"\n" if content.endswith(b"\n") else b"\n\n"
            file.write(b"From ann@a.example Mon Jan  1 00:00:00 2024\n" + content + end)

    def remove(self) -> None:
        self.path.unlink()


class DirectoryKit(Kit):
    def __init__(self, folder: Path) -> None:
        self.path = folder / "in"
        self.terms = SourceTerms(
            "files", "directory", "desk", path=self.path, pattern="*.txt", settle_seconds=0.0
        )  # fmt: skip
        self.count = 0

    def create(self) -> None:
        self.path.mkdir()

    def add(self, id: str, text: str = "Hello") -> None:
        self.count += 1
        path = self.path / f"{id}.tmp"
        path.write_text(text)
        os.utime(path, ns=(self.count * 10**9, self.count * 10**9))
        path.rename(self.path / self.id(id))

    def id(self, id: str) -> str:
        return f"{id}.txt"

    def remove(self) -> None:
        self.path.rename(self.path.with_name(f"gone-{time.monotonic_ns()}"))


class ImapKit(Kit):
    """A folder of a user of a server."""

    def __init__(self, server: Dovecot, user: str, folder: Path) -> None:
        self.server, self.user = server, user
        (folder / "password").write_text(PASSWORD)
        reference = secret(f"file:{folder / 'password'}", "it")
        place = ImapServer("127.0.0.1", server.port, "none", user, reference, "Work", None, 30.0)
        self.terms = SourceTerms("desk", "imap", "desk", server=place)
        self._connection: imaplib.IMAP4 | None = None

    @property
    def connection(self) -> imaplib.IMAP4:
        if self._connection is None:
            self._connection = self.server.connected(self.user)
        return self._connection

    def create(self) -> None:
        assert self.connection.create("Work")[0] == "OK"

    def add(self, id: str, text: str = "Hello") -> None:
        self.deliver(mail(id, text + "\n"))

    def deliver(self, content: bytes) -> None:
        assert self.connection.append("Work", "", "", content)[0] == "OK"  # type: ignore[arg-type]

    def remove(self) -> None:
        assert self.connection.delete("Work")[0] == "OK"

    def close(self) -> None:
        if self._connection is not None:
            self._connection.logout()
            self._connection = None


async def read_on(source: Source, position: bytes, limit: int = 100) -> tuple[list[Found], bytes]:
    """All that is there behind a position, and the position behind it."""
    entries: list[Found] = []
    while True:
        reading = await source.read(position, limit)
        assert len(reading.entries) <= limit
        entries += reading.entries
        position = reading.position
        if not reading.more:
            return entries, position


async def read_until(source: Source, position: bytes, count: int) -> tuple[list[Found], bytes]:
    """At least so many entries behind a position, which may have to settle first."""
    entries: list[Found] = []
    async with asyncio.timeout(60):
        while len(entries) < count:
            more, position = await read_on(source, position)
            entries += more
            if len(entries) < count:
                await asyncio.sleep(0.02)
    return entries, position


def ids(entries: list[Found]) -> list[str]:
    return [found.message_id for found in entries]
