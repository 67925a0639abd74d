"""Reads a folder of an IMAP server in the order of its UIDs; nothing is deleted, nor marked unless it is asked for.

The position is the folder's UIDVALIDITY and the last UID. Where the server says another UIDVALIDITY, its UIDs mean
nothing any more: the folder is read from its beginning, and what is known of it is known again.
"""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from holdfast.errors import UsageError
from holdfast.intake.entry_keys import digest
from holdfast.intake.mails import HEADER_BYTES, MEDIA_TYPE, mail_entry
from holdfast.intake.positions import decoded, stored
from holdfast.intake.reading import BATCH_BYTES, Found, Reading, SourceUnavailable
from holdfast.intake.terms import SourceTerms
from holdfast.intake.threaded import ThreadedSource

try:
    import imap_tools
except ImportError:
    raise UsageError("sources of kind 'imap' need a library: pip install 'holdfast[intake]'") from None

_ERRORS = (OSError, imaplib.IMAP4.error, imap_tools.ImapToolsError, UsageError)
"""What a server, its connection, and a password that is not there come to."""

IDLE_SECONDS = 300.0
"""For how long the server is listened to at once; it forgets clients that say nothing for half an hour."""

SEARCHED_AT_ONCE = 50_000
"""For so many UIDs it is asked at once which of them there are: the answer is one line, however many messages wait."""

FETCHED_AT_ONCE = 50
FETCHED_BYTES = 1024 * 1024

_UID = re.compile(rb"\bUID (\d+)")
_EMPTY = re.compile(rb"\bBODY\[[^]]*\](?:<\d+>)? (?:\"\"|NIL)")
_SIZE = re.compile(rb"\bRFC822\.SIZE (\d+)")


class ImapPosition(msgspec.Struct, frozen=True):
    """How far a folder has been read."""

    validity: int
    uid: int


class ImapSource(ThreadedSource):
    """Messages of a folder. The connection is kept between readings, and made anew after whatever fails."""

    def __init__(self, terms: SourceTerms) -> None:
        super().__init__(terms)
        assert terms.server is not None
        self._server = terms.server
        self._box: Any = None

    def signs(self) -> Any:
        """See `ThreadedSource`; there are none but what the server says while it is listened to."""
        return None

    async def wait(self, seconds: float) -> None:
        """See `Source`: a server that can tell of new messages (IDLE) is listened to."""
        if self._box is None or "IDLE" not in self._box.client.capabilities:
            await asyncio.sleep(seconds)
            return
        try:
            await asyncio.to_thread(self._idle, min(seconds, IDLE_SECONDS))
        except asyncio.CancelledError:
            self._hang_up()
            raise

    async def close(self) -> None:
        """See `Source`."""
        self._hang_up()

    def read_now(self, position: bytes, limit: int) -> Reading:
        """See `ThreadedSource`."""
        try:
            return self._messages(position, limit)
        except _ERRORS as error:
            raise self._failed(error) from error

    def take_now(self, entries: Sequence[Found]) -> None:
        """See `ThreadedSource`: marks messages as seen, if it is asked for."""
        if not self.terms.mark:
            return
        try:
            box, validity = self._selected()
            uids = [found.handle.partition("/")[2] for found in entries if found.handle.startswith(f"{validity}/")]
            for start in range(0, len(uids), FETCHED_AT_ONCE):  # not by the library's flag(), which also expunges
                _asked(box, "STORE", ",".join(uids[start : start + FETCHED_AT_ONCE]), "+FLAGS.SILENT", "(\\Seen)")
        except _ERRORS as error:
            raise self._failed(error) from error

    def _messages(self, position: bytes, limit: int) -> Reading:
        at = decoded(position, ImapPosition) if position else None
        box, validity = self._selected()
        note = ""
        if at is None or at.validity != validity:
            note = "" if at is None else "the server numbers the folder anew, and it is read from its beginning"
            at = ImapPosition(validity, 0)
        until = at.uid + SEARCHED_AT_ONCE
        more = until < self._highest(box)
        found = sorted(int(uid) for uid in box.uids(f"UID {at.uid + 1}:{until if more else '*'}", charset=None))
        uids = [uid for uid in found if uid > at.uid]  # up to * the last message is always among those that are found
        entries: list[Found] = []
        last, total = at.uid, 0
        for group in _groups(box, uids[:limit]):
            if entries and total + sum(size for _, size in group) > BATCH_BYTES:
                break
            contents = self._contents(box, group)
            for uid, size in group:
                if (content := contents.get(uid)) is not None:
                    entries.append(self._entry(validity, uid, size, content))
                    total += len(entries[-1].content)
            last = group[-1][0]
        if uids and last < uids[-1]:
            more = True
        elif more:
            last = until
        return Reading(entries, stored(ImapPosition(validity, last)), more, note)

    def _highest(self, box: Any) -> int:
        """The highest UID that may be there; 0 where the server does not say."""
        _, told = box.client.response("UIDNEXT")
        return int(told[0]) - 1 if told and told[0] is not None else 0

    def _contents(self, box: Any, group: list[tuple[int, int]]) -> dict[int, bytes | str]:
        """The messages of a group that are still there: the bytes, the first of them, or why there are none."""
        contents: dict[int, bytes | str] = {}
        large = any(size > self.terms.max_bytes for _, size in group)
        for some in [[one] for one in group] if large else [group]:
            part = f"BODY.PEEK[HEADER]<0.{HEADER_BYTES}>" if some[0][1] > self.terms.max_bytes else "BODY.PEEK[]"
            try:
                told = _asked(box, "FETCH", ",".join(str(uid) for uid, _ in some), f"(UID {part})")
            except _Refused as error:
                if len(some) == 1:
                    contents[some[0][0]] = f"the server does not give it: {error}"
                for one in some if len(some) > 1 else ():  # which of them it is
                    contents |= self._contents(box, [one])
                continue
            for number, item in enumerate(told):
                if isinstance(item, tuple):  # the UID stands before the message, or behind it
                    behind = told[number + 1] if number + 1 < len(told) else b""
                    uid = _UID.search(item[0]) or (_UID.search(behind) if isinstance(behind, bytes) else None)
                    if uid is not None:
                        contents[int(uid[1])] = item[1]
                elif (uid := _UID.search(item)) is not None and _EMPTY.search(item):
                    contents[int(uid[1])] = b""
        return contents

    def _entry(self, validity: int, uid: int, size: int, content: bytes | str) -> Found:
        place, handle = f"{self._server.folder}:{uid}", f"{validity}/{uid}"
        where = digest(handle.encode())
        if isinstance(content, str):
            return Found("", place, where, b"", media_type=MEDIA_TYPE, size=size, problem=content, handle=handle)
        return mail_entry(self.terms, place, where, content, max(size, len(content)), handle)

    def _selected(self) -> tuple[Any, int]:
        """The folder as it is now, over a connection that may have to be made, and its UIDVALIDITY."""
        box = self._box
        if box is None:
            box = self._box = self._connected()
        box.folder.set(self._server.folder, readonly=not self.terms.mark)
        _, told = box.client.response("UIDVALIDITY")
        if not told or told[0] is None:
            raise SourceUnavailable(f"{self._said()} tells no UIDVALIDITY, and so cannot be read")
        return box, int(told[0])

    def _connected(self) -> Any:
        server = self._server
        password = server.password.reveal(f"the password of source {self.terms.name!r}")
        context = ssl.create_default_context()
        if server.ca is not None:
            context.load_verify_locations(server.ca)
        if server.security == "tls":
            box: Any = imap_tools.MailBox(server.host, server.port, server.timeout_seconds, ssl_context=context)
        else:
            box = imap_tools.MailBoxUnencrypted(server.host, server.port, server.timeout_seconds)
        try:
            if server.security == "starttls":  # not by the library's class, which leaves open what it cannot use
                box.client.starttls(context)
            log_in = box.login if (server.user + password).isascii() else box.login_utf8
            log_in(server.user, password, initial_folder=None)
        except BaseException:
            with contextlib.suppress(OSError):
                box.client.shutdown()
            raise
        return box

    def _idle(self, seconds: float) -> None:
        with self._lock:
            try:
                if (box := self._box) is not None:
                    box.idle.wait(timeout=seconds)
            except Exception:  # whatever it is, the next reading meets it again
                self._hang_up()

    def _failed(self, error: Exception) -> SourceUnavailable:
        self._hang_up()
        return SourceUnavailable(f"{self._said()} cannot be read: {str(error)[:500] or type(error).__name__}")

    def _said(self) -> str:
        return f"folder {self._server.folder!r} of {self._server.host}:{self._server.port}"

    def _hang_up(self) -> None:
        """End the connection; whoever waits for the server in another thread is told by an error."""
        box, self._box = self._box, None
        if box is not None:
            with contextlib.suppress(OSError):
                box.client.sock.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                box.client.shutdown()


class _Refused(imaplib.IMAP4.error):
    """The server says no."""


def _asked(box: Any, *command: str) -> list[Any]:
    """What the server answers to a command about UIDs.

    Raises:
        _Refused: it says no.
    """
    status, told = box.client.uid(*command)
    if status != "OK":
        raise _Refused(" ".join(one.decode("utf-8", "replace") for one in told if isinstance(one, bytes))[:300])
    return list(told)


def _groups(box: Any, uids: list[int]) -> Iterator[list[tuple[int, int]]]:
    """UIDs with the sizes of their messages, as many together as are fetched at once."""
    if not uids:
        return
    sizes: dict[int, int] = {}
    for line in _asked(box, "FETCH", f"{uids[0]}:{uids[-1]}", "(UID RFC822.SIZE)"):
        if isinstance(line, bytes) and (uid := _UID.search(line)) and (told := _SIZE.search(line)):
            sizes[int(uid[1])] = int(told[1])
    group: list[tuple[int, int]] = []
    total = 0
    for one in uids:
        size = sizes.get(one, 0)
        if group and (len(group) >= FETCHED_AT_ONCE or total + size > FETCHED_BYTES):
            yield group
            group, total = [], 0
        group.append((one, size))
        total += size
    yield group
