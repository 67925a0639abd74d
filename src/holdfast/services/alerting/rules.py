"""Reads the file of alerts: what is measured, from when on it is too much, and who is told."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from string import Template
from typing import Any, cast

from holdfast.errors import UsageError
from holdfast.model.alerting import SEVERITIES, AlertTerms, Severity
from holdfast.model.duration import seconds
from holdfast.model.ids import check_owner
from holdfast.services.alerting.measures import FILTERS, MEASURES, Filter, Measure
from holdfast.services.rule_files import Place, RuleFile

DEFAULT = "default"
"""In place of a file: the rules that are shipped."""

VARIABLES = ("name", "about", "value", "above", "severity", "tenant", "since", "measure")
"""What titles and texts may name."""

TITLE = "$name: $about"
TEXT = "$value, where $above is the most ($measure of $about, since $since)"

WINDOW_SECONDS = 300.0
LEAST = 10
"""A workflow of which fewer runs ended has no rate, and no percentile."""

LONGEST_WINDOW_SECONDS = 6 * 3600.0
"""What ended is known by the minute for so long."""

RULE_KEYS = (
    "name", "measure", "above", "for", "keep_firing", "window", "least", "period", *FILTERS, "severity", "to", "repeat",
    "group", "title", "text",
)  # fmt: skip

FILE_KEYS = ("alerts", "defaults", "to", "tenant", "every")


@dataclass(frozen=True, slots=True)
class AlertRule:
    """A rule.

    Attributes:
        above: it is so when the measure is more: a number, seconds, a share, or dollars.
        window_seconds: of how long until now it is measured.
        least: a workflow of which fewer runs ended is not measured.
        all_time: what is spent is measured of all time, not of today.
        patterns: by filter; what fits none of them is left out. Without any, nothing is.
        to: the channels by which people are told.
        title, text: with ``$about`` and the like in them.
    """

    name: str
    measure: str
    above: float
    terms: AlertTerms
    window_seconds: float
    least: int
    all_time: bool
    patterns: Mapping[Filter, tuple[str, ...]]
    severity: Severity
    to: tuple[str, ...]
    title: Template
    text: Template

    @property
    def kind(self) -> Measure:
        """What it measures."""
        return MEASURES[self.measure]


@dataclass(frozen=True, slots=True)
class AlertRules:
    """What a file says.

    Attributes:
        tenant: whose the alerts are about what no tenant owns: queues, workers, channels.
        every_seconds: how often is looked.
    """

    rules: tuple[AlertRule, ...]
    tenant: str
    every_seconds: float


def read_alerts(path: str | Path, channels: Collection[str] | None = None) -> AlertRules:
    """The rules of a file, checked; or ``"default"`` for those that are shipped, by which nobody is told.

    Args:
        path: of the file.
        channels: the names of those that there are, where they are known.

    Raises:
        UsageError: it cannot be read, or something in it is missing, unknown or wrong; names the file and the line.
    """
    if str(path) == DEFAULT:
        return AlertRules(_defaults(()), "default", 15.0)
    file = RuleFile(path)
    file.known(file.document, FILE_KEYS, ())
    to = file.channels(file.document, "to", channels, ())
    defaults = file.document.get("defaults", False)
    if not isinstance(defaults, bool):
        file.wrong(("defaults",), f"defaults is {defaults!r:.100}; give true or false")
    try:
        tenant = check_owner(file.document.get("tenant", "default"), "tenant")
    except UsageError as error:
        file.wrong(("tenant",), str(error))
    own = _rules(file, to, channels)
    if not own and not defaults:
        file.wrong(("alerts",), "there is no rule; begin one with [[alerts]], or write defaults = true")
    names = {one.name for one in own}
    shipped = tuple(one for one in _defaults(to) if one.name not in names) if defaults else ()
    return AlertRules((*shipped, *own), tenant, file.duration(file.document, "every", ()) or 15.0)


def _defaults(to: tuple[str, ...]) -> tuple[AlertRule, ...]:
    with as_file(files("holdfast.services.alerting") / "default.toml") as path:
        return _rules(RuleFile(path), to, None)


def _rules(file: RuleFile, to: tuple[str, ...], channels: Collection[str] | None) -> tuple[AlertRule, ...]:
    read = tuple(_rule(file, one, ("alerts", number), to, channels) for number, one in enumerate(file.tables("alerts")))
    file.different((one.name for one in read), "alerts", "alerts")
    return read


def _rule(
    file: RuleFile, given: dict[str, Any], place: Place, to: tuple[str, ...], channels: Collection[str] | None
) -> AlertRule:
    file.known(given, RULE_KEYS, place)
    name = file.name(given, "an alert", place)
    measure = file.one_of(given, "measure", MEASURES, place)
    kind = MEASURES[measure]
    can: dict[str, bool] = {key: key in kind.filters for key in FILTERS}
    can |= {"window": kind.windowed, "least": kind.windowed and can["workflows"], "period": measure == "budget"}
    for key in given:
        if not can.get(key, True):
            there = ", ".join(one for one, allowed in can.items() if allowed) or "nothing"
            file.wrong((*place, key), f"{measure} is not by {key}; it can be confined by {there}")
    window = file.duration(given, "window", place) or WINDOW_SECONDS
    if window > LONGEST_WINDOW_SECONDS:
        file.wrong((*place, "window"), f"window is {given['window']!r}; what ended is known for six hours")
    least = given.get("least", LEAST)
    if isinstance(least, bool) or not isinstance(least, int) or least < 1:
        file.wrong((*place, "least"), f"least is {least!r:.100}; give a whole number, 1 or more")
    repeat = file.duration(given, "repeat", place)
    terms = AlertTerms(
        for_us=int(file.seconds(given, "for", place) * 1e6),
        keep_us=int(file.seconds(given, "keep_firing", place) * 1e6),
        group_us=int(file.seconds(given, "group", place) * 1e6),
        repeat_us=None if repeat is None else int(repeat * 1e6),
    )
    return AlertRule(
        name=name,
        measure=measure,
        above=_above(file, kind, given, place),
        terms=terms,
        window_seconds=window,
        least=least,
        all_time=file.one_of(given, "period", ("day", "all"), place, "day") == "all",
        patterns={key: file.texts(given, key, place) for key in FILTERS if key in given},
        severity=cast("Severity", file.one_of(given, "severity", SEVERITIES, place, "warning")),
        to=file.channels(given, "to", channels, place) if "to" in given else to,
        title=file.template(given, "title", TITLE, VARIABLES, place),
        text=file.template(given, "text", TEXT, VARIABLES, place),
    )


def _above(file: RuleFile, kind: Measure, given: dict[str, Any], place: Place) -> float:
    if "above" not in given:
        file.wrong(place, "above is missing: give the most that is well")
    above = given["above"]
    if kind.unit == "duration":
        try:
            return seconds(above, what="above")
        except UsageError as error:
            file.wrong((*place, "above"), str(error))
    if isinstance(above, bool) or not isinstance(above, int | float) or not math.isfinite(above) or above < 0:
        file.wrong((*place, "above"), f"above is {above!r:.100}; give a number, 0 or more")
    if kind.unit == "share" and above >= 1:
        file.wrong((*place, "above"), f"above is {above!r}; give a share of 1, such as 0.05")
    if kind.most is not None and above >= kind.most:
        file.wrong((*place, "above"), f"above is {above!r:.100}, and it is counted up to {kind.most:,}: give less")
    return float(above)
