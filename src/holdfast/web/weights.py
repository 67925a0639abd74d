"""Weights of a queue's shares as text: a line for each, such as ``acme = 5``."""

from __future__ import annotations

from collections.abc import Mapping

from holdfast.engine.shares import checked_weights
from holdfast.errors import UsageError
from holdfast.web.form import Form


def weights_text(weights: Mapping[str, int]) -> str:
    """Weights, a line for each."""
    return "\n".join(f"{share} = {weight}" for share, weight in sorted(weights.items()))


def read_weights(form: Form, queue: str) -> dict[str, int | None]:
    """The weights that a form gives: None for those that it had and that have no line any more, or nothing behind it.

    What is wrong stands at the field ``weights``, with its line.
    """
    found: dict[str, int | None] = {}
    for place, line in enumerate(form.values.get("weights", "").splitlines(), start=1):
        if not line.strip():
            continue
        share, equals, written = (part.strip() for part in line.rpartition("="))
        if not equals or not share:
            form.refuse("weights", f"Line {place} is {line.strip()!r:.100}; give a share and its weight: acme = 5")
            return {}
        if share in found:
            form.refuse("weights", f"Line {place}: {share!r:.100} has a line already.")
            return {}
        try:
            found[share] = int(written) if written else None
            checked_weights(queue, {share: found[share]})
        except ValueError:
            form.refuse(
                "weights", f"Line {place}: the weight of {share!r:.100} is {written!r:.60}; give a whole number"
            )
            return {}
        except UsageError as error:
            form.refuse("weights", f"Line {place}: {error}")
            return {}
    return {**dict.fromkeys(form.all("weighed")), **found}
