"""What a prompt alone costs, before a model answers anything."""

from __future__ import annotations

import time
from typing import NamedTuple

from holdfast.agents.models.prices import cost_of
from holdfast.model.phases import ModelTerms


class _Tokens(NamedTuple):
    input_tokens: int
    cache_read_tokens: int = 0
    output_tokens: int = 0


def cost_of_prompt(terms: ModelTerms, tokens: int) -> int | None:
    """Nanodollars for the tokens of a prompt, at the price of today; None where no price is known."""
    return cost_of(terms, _Tokens(tokens), time.time_ns() // 1000)
