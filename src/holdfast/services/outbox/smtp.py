"""A mail server as a channel.

Nobody gets a mail that not all get: if the server refuses one of those whom it is for, it is not sent at all, and the
text of the failure says what was said of each. Only between the last byte of a mail and the server's answer nobody
knows whether it was taken; whatever fails before is tried again without a doubt.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Iterator
from typing import Any

from holdfast.errors import UsageError
from holdfast.model.mail_parts import mailbox
from holdfast.model.mails import Mail
from holdfast.services.outbox.mail_texts import ascii_domain, built, needs_utf8, recipients
from holdfast.services.outbox.outgoing import NOT_BEGUN, DeliveryFailed, Outgoing, said
from holdfast.services.outbox.terms import ChannelTerms, Smtp

IDLE_SECONDS = 20.0
"""A connection that was not used for so long is not used again."""

START_INPUT = 354
_PERIOD = re.compile(rb"(?m)^\.")


class SmtpChannel:
    """Sends messages to a mail server, over connections that are used again.

    Args:
        terms: of the channel.
        means: the server.

    Raises:
        UsageError: the library that speaks to it is not installed.
    """

    def __init__(self, terms: ChannelTerms, means: Smtp) -> None:
        try:
            import aiosmtplib
        except ImportError:
            raise UsageError(
                f'channel {terms.name!r} sends through aiosmtplib: pip install "holdfast[publish]"'
            ) from None
        self._library: Any = aiosmtplib
        self._terms = terms
        self._means = means
        self._idle: list[tuple[float, Any]] = []

    async def send(self, message: Outgoing) -> str:
        """Send a mail; see `Channel.send`."""
        mail = message.mail() or self._mail_of(message)
        content = built(mail, message, self._means.sender)
        written = False
        try:
            async with asyncio.timeout(self._terms.timeout_seconds):
                connection = await self._connected()
                try:
                    await self._envelope(connection, mail, len(content))
                    connection.protocol.write(_PERIOD.sub(b"..", content) + b".\r\n")
                    written = True
                    with self._said():
                        response = await connection.protocol.read_response()
                        if not 200 <= response.code < 300:
                            raise self._library.SMTPDataError(response.code, response.message)
                except BaseException:
                    connection.close()
                    raise
        except asyncio.CancelledError:
            if written:
                raise
            raise DeliveryFailed(NOT_BEGUN) from None
        except TimeoutError:
            raise DeliveryFailed(
                f"the mail server did not answer within {self._terms.timeout_seconds:g} s", doubt=written
            ) from None
        except (OSError, self._library.SMTPException) as error:
            raise DeliveryFailed(f"the mail server cannot be used: {self._text(error)}", doubt=written) from None
        self._idle.append((time.monotonic(), connection))
        return f"{response.code} {said(response.message)}".strip()

    async def close(self) -> None:
        """Close the connections."""
        while self._idle:
            self._idle.pop()[1].close()

    def _mail_of(self, message: Outgoing) -> Mail:
        """The mail that a message is which was published as none."""
        title, text = message.told()
        if not self._means.to:
            raise DeliveryFailed(
                f"it is no mail, and channel {self._terms.name!r} does not say to whom others go: publish an hf.Mail",
                final=True,
            )
        return Mail(to=self._means.to, subject=title or f"Message {said(message.id)}"[:200], text=text)

    async def _connected(self) -> Any:
        """A connection on which nothing is under way."""
        while self._idle:
            used_at, connection = self._idle.pop()
            if time.monotonic() - used_at < IDLE_SECONDS and connection.is_connected:
                try:
                    await connection.rset()
                except (OSError, self._library.SMTPException):
                    connection.close()
                else:
                    return connection
            connection.close()
        means = self._means
        password = None
        if means.password is not None:
            try:
                password = means.password.reveal(f"the password of channel {self._terms.name!r}")
            except UsageError as error:
                raise DeliveryFailed(str(error)) from None
        connection = self._library.SMTP(
            hostname=means.host, port=means.port, username=means.user, password=password, timeout=None,
            use_tls=means.security == "tls", start_tls=means.security == "starttls",
        )  # fmt: skip
        # What the server says before a mail has begun is never about the mail: nothing of it is final.
        try:
            await connection.connect()
            if connection.is_ehlo_or_helo_needed:
                try:
                    await connection.ehlo()
                except self._library.SMTPHeloError:
                    await connection.helo()  # a server from before 2001
        except BaseException:
            connection.close()
            raise
        return connection

    async def _envelope(self, connection: Any, mail: Mail, size: int) -> None:
        """Say from whom and to whom it is, and that it follows."""
        options = []
        if connection.supports_extension("size"):
            options.append(f"SIZE={size}")
        encoding = "ascii"
        if needs_utf8(mail, self._means.sender):
            if not connection.supports_extension("smtputf8"):
                raise DeliveryFailed(
                    "an address has letters that ASCII has not, and the mail server does not take them", final=True
                )
            options += ["SMTPUTF8", "BODY=8BITMIME"]
            encoding = "utf-8"
        with self._said():
            sender = ascii_domain(mailbox(mail.sender or self._means.sender).address)
            await connection.mail(sender, options=options, encoding=encoding)
        refused = []
        for recipient in recipients(mail):
            try:
                await connection.rcpt(recipient, encoding=encoding)
            except self._library.SMTPRecipientRefused as error:
                refused.append((recipient, error))
        if refused:
            texts = "; ".join(f"{who}: {error.code} {self._text(error)}" for who, error in refused)
            raise DeliveryFailed(
                f"nobody was sent it, since the mail server refused {texts}",
                final=any(_is_final(error.code) for _, error in refused),
            )
        with self._said():
            response = await connection.execute_command(b"DATA")
            if response.code != START_INPUT:
                raise self._library.SMTPDataError(response.code, response.message)

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        """Take what the server refuses for a failure: for now, or for good."""
        try:
            yield
        except self._library.SMTPResponseException as error:
            if not 400 <= error.code < 600:
                raise  # no answer that means anything
            raise DeliveryFailed(
                f"the mail server refused it: {error.code} {self._text(error)}", final=_is_final(error.code)
            ) from None

    def _text(self, error: Exception) -> str:
        """What was said, without the password or the user."""
        secrets = [] if self._means.user is None else [self._means.user]
        with contextlib.suppress(UsageError):
            if self._means.password is not None:
                secrets.append(self._means.password.reveal("it"))
        return said(getattr(error, "message", None) or str(error) or type(error).__name__, secrets)


def _is_final(code: int) -> bool:
    return 500 <= code < 600
