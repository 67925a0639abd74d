"""A workflow's rules for starts and the share of its runs, in words."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.model.diverting import span_text
from holdfast.model.duration import Duration, seconds
from holdfast.model.keys import KeySpec
from holdfast.model.start_rules import Batch, Debounce, RateLimit, Singleton
from holdfast.model.terms import Terms
from holdfast.web.text import number


class Rule(NamedTuple):
    """A rule: its name, and what it does."""

    name: str
    text: str


def rules_of(terms: Terms) -> list[Rule]:
    """The rules of a workflow, in words."""
    found = []
    if terms.rate_limit is not None:
        found.append(Rule("Rate limit", _limited(terms.rate_limit)))
    if terms.debounce is not None:
        found.append(Rule("Debounce", _debounced(terms.debounce)))
    if terms.batch is not None:
        found.append(Rule("Batch", _batched(terms.batch)))
    if terms.singleton is not None:
        found.append(Rule("Singleton", _single(terms.singleton)))
    if terms.share is not None:
        shared = "values that a function in its code gives" if callable(terms.share) else f"values of {terms.share}"
        found.append(Rule("Share", f"Its queue is shared fairly between the {shared}."))
    return found


def _limited(rule: RateLimit) -> str:
    runs = "1 run starts" if rule.most == 1 else f"{number(rule.most)} runs start"
    over = "makes no run" if rule.excess == "drop" else "starts later"
    return f"At most {runs} in any {_span(rule.per)}{_each(rule.key)}; what is over it {over}."


def _debounced(rule: Debounce) -> str:
    wait, longest = _span(rule.wait), _span(rule.longest)
    if rule.edge == "leading":
        return (
            f"The first start makes a run at once{_each(rule.key)}; further ones go into it until there were none for "
            f"{wait}, for {longest} at most."
        )
    return (
        f"Starts less than {wait} apart make one run{_each(rule.key)}, with the newest input, {longest} after the "
        "first at the latest."
    )


def _batched(rule: Batch) -> str:
    items = "1 item" if rule.most == 1 else f"{number(rule.most)} items"
    return (
        f"The items of several starts make one run{_each(rule.key)}: as soon as there are {items}, or "
        f"{_span(rule.within)} after the first."
    )


def _single(rule: Singleton) -> str:
    taken = "makes none" if rule.when_taken == "skip" else "cancels it and takes its place"
    return f"One run is open at a time{_each(rule.key)}; another start {taken}."


def _each(key: KeySpec | None) -> str:
    if key is None:
        return ""
    return ", for each key that a function in its code gives" if callable(key) else f", for each {key}"


def _span(value: Duration | None) -> str:
    return span_text(round(seconds(value or 0) * 1e6))
