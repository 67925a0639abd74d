"""What a request to a model costs, exactly: by the price in a file of phases, else by the published one."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Protocol

from genai_prices import calc_price
from genai_prices.data_snapshot import get_snapshot

from holdfast.model.phase_terms import NANODOLLARS
from holdfast.model.phases import ModelTerms

get_snapshot()  # it is large, and would else be read while an event loop waits for it

_MILLION = 1_000_000
_PUBLISHED_AS = {"openai-chat": "openai", "openai-responses": "openai", "azure-responses": "azure"}
"""Providers by our names whose prices stand under another."""


class Usage(Protocol):
    """The tokens of a request; those of pydantic-ai fit."""

    @property
    def input_tokens(self) -> int:
        """All of the prompt's, with those from a cache."""

    @property
    def cache_read_tokens(self) -> int:
        """Those of them that came from the provider's cache."""

    @property
    def output_tokens(self) -> int:
        """Of the answer, with those of thoughts."""


def cost_of(terms: ModelTerms, usage: Usage, at: int) -> int | None:
    """What a request costs.

    Args:
        terms: of the model.
        usage: its tokens.
        at: when it was made, microseconds since 1970, UTC: prices change.

    Returns:
        Nanodollars, rounded half up; None where no price is known.
    """
    price = terms.price
    if price is not None:
        cached = min(usage.cache_read_tokens, usage.input_tokens)
        parts = (usage.input_tokens - cached) * price.input + cached * price.cached + usage.output_tokens * price.output
        return (parts + _MILLION // 2) // _MILLION
    if terms.provider == "scripted":
        return None
    return _published(terms.id, usage, at)


def _published(model: str, usage: Usage, at: int) -> int | None:
    provider, _, name = model.partition(":")
    try:
        # The list is the one that was installed: nothing is asked of the network.
        price = calc_price(
            usage,
            name,
            provider_id=_PUBLISHED_AS.get(provider, provider),
            genai_request_timestamp=datetime.fromtimestamp(at / 1_000_000, UTC),
        )
        return int((price.total_price * NANODOLLARS).quantize(Decimal(1), ROUND_HALF_UP))
    except (LookupError, ValueError, ArithmeticError):  # no such model, or tokens that cannot be
        return None
