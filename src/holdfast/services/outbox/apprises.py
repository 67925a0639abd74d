"""An address as apprise has them as a channel: chats, mails, pagers, and more than a hundred others."""

from __future__ import annotations

import logging
import threading
import warnings

from holdfast.errors import UsageError
from holdfast.services.outbox.outgoing import DeliveryFailed, Outgoing, said
from holdfast.services.outbox.terms import Apprise, ChannelTerms
from holdfast.services.outbox.threads import Threads


class AppriseChannel:
    """Tells people through apprise, in threads of its own.

    Args:
        terms: of the channel.
        means: the address.

    Raises:
        UsageError: apprise is not installed.
    """

    def __init__(self, terms: ChannelTerms, means: Apprise) -> None:
        try:
            with warnings.catch_warnings():
                # It looks for modules that Python is about to leave out.
                warnings.simplefilter("ignore", DeprecationWarning)
                import apprise

                apprise.Apprise.instantiate("json://localhost")
        except ImportError:
            raise UsageError(f'channel {terms.name!r} sends through apprise: pip install "holdfast[publish]"') from None
        self._terms = terms
        self._means = means
        self._threads = Threads(terms)

    async def send(self, message: Outgoing) -> str:
        """Tell a message; see `Channel.send`."""
        return await self._threads.call(self._deliver, *message.told())

    async def close(self) -> None:
        """Let the threads go."""
        self._threads.close()

    def _deliver(self, title: str, text: str) -> str:
        import apprise

        name = self._terms.name
        try:
            url = self._means.url.reveal(f"the url of channel {name!r}")
        except UsageError as error:
            raise DeliveryFailed(str(error)) from None
        heard = _Heard()
        logger = logging.getLogger("apprise")
        logger.addHandler(heard)
        try:
            plugin = apprise.Apprise.instantiate(url, suppress_exceptions=True)
            if plugin is None:
                raise DeliveryFailed(f"the address of channel {name!r} is none that apprise knows")
            if not plugin.notify(body=text, title=title):
                raise DeliveryFailed(f"it was not taken: {said(heard.last, [url])}")
        except DeliveryFailed:
            raise
        except Exception as error:
            raise DeliveryFailed(f"it was not taken: {said(error, [url])}") from None
        finally:
            logger.removeHandler(heard)
        return "taken"


class _Heard(logging.Handler):
    """Keeps the last warning of this thread: apprise says why only there."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._thread = threading.get_ident()
        self.last = "it does not say why"

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.last = record.getMessage()
