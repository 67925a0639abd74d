"""Makes what sends by each channel of a file."""

from __future__ import annotations

from holdfast.services.outbox.outgoing import Channel
from holdfast.services.outbox.terms import Apprise, ChannelTerms, Folder, Smtp


def make_channel(terms: ChannelTerms) -> Channel:
    """What sends by a channel. Nothing is connected to before the first message.

    Raises:
        UsageError: a library that it needs is not installed.
    """
    if isinstance(terms.means, Smtp):
        from holdfast.services.outbox.smtp import SmtpChannel

        return SmtpChannel(terms, terms.means)
    if isinstance(terms.means, Folder):
        from holdfast.services.outbox.folder import FolderChannel

        return FolderChannel(terms, terms.means)
    if isinstance(terms.means, Apprise):
        from holdfast.services.outbox.apprises import AppriseChannel

        return AppriseChannel(terms, terms.means)
    from holdfast.services.outbox.webhook import WebhookChannel

    return WebhookChannel(terms, terms.means)
