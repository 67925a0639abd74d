"""The file of alerts: what is wrong in it is told with the line; what is shipped loads; every key has a description."""

import re
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.services.alerting.measures import MEASURES
from holdfast.services.alerting.rules import (
    FILE_KEYS,
    RULE_KEYS,
    VARIABLES,
    AlertRules,
    read_alerts,
)

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "alerts.md"

GOOD = """\
to = ["ops"]

[[alerts]]
name = "orders late"
measure = "oldest_age"
above = "10m"
for = "5m"
queues = ["order*"]
severity = "critical"
repeat = "4h"
group = "1m"
title = "$about waits for $value, $$5"

[[alerts]]
name = "orders fail"
measure = "failure_rate"
above = 0.05
window = "10m"
least = 20
workflows = "order*"
to = ["boss", "ops"]

[[alerts]]
name = "models"
measure = "budget"
above = 2.5
period = "all"
"""


def read(folder: Path, text: str | bytes) -> AlertRules:
    path = folder / "alerts.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_alerts(path)


def test_a_file_is_read(tmp_path: Path) -> None:
    rules = read(tmp_path, GOOD)
    assert (rules.tenant, rules.every_seconds) == ("default", 15.0)
    late, fail, models = rules.rules
    assert (late.above, late.terms.for_us, late.terms.repeat_us) == (600.0, 300_000_000, 4 * 3_600_000_000)
    assert (late.patterns, late.severity, late.to) == ({"queues": ("order*",)}, "critical", ("ops",))
    assert (fail.above, fail.window_seconds, fail.least, fail.to) == (0.05, 600.0, 20, ("boss", "ops"))
    assert (models.above, models.all_time, fail.all_time) == (2.5, True, False)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('to = ["ops"]', 'too = ["ops"]', 1, "'too' is no key here; did you mean 'to'?"),
        ('to = ["ops"]', "defaults = 3", 1, "give true or false"),
        ('to = ["ops"]', "tenant = 3", 1, "tenant is 3"),
        ('to = ["ops"]', "every = '0'", 1, "write a number and a unit"),
        ('name = "orders late"', "", 3, "the name of an alert"),
        ('name = "orders late"', 'name = "orders fail"', 15, "there are two alerts 'orders fail'"),
        ('"oldest_age"', '"oldest_aeg"', 5, "did you mean 'oldest_age'?"),
        ('measure = "oldest_age"', "", 3, "measure is missing; there are queue_depth"),
        ('above = "10m"', 'above = "soon"', 6, "above is 'soon'"),
        ('above = "10m"', "", 3, "above is missing"),
        ("above = 0.05", "above = 5", 17, "give a share of 1"),
        ("above = 0.05", "above = true", 17, "give a number"),
        ("above = 2.5", "above = nan", 26, "give a number"),
        ("above = 2.5", "above = -1", 26, "give a number, 0 or more"),
        ("above = 2.5", "above = inf", 26, "give a number, 0 or more"),
        (
            'measure = "budget"\nabove = 2.5\nperiod = "all"',
            'measure = "stuck"\nabove = 1000',
            26,
            "up to 1,000: give less",
        ),
        ('title = "$about', 'title = "\\u0000$about', 12, "without NUL"),
        ("$$5", "x" * 100_000, 12, "give a text of at most 100,000 characters"),
        ('for = "5m"', "fro = 1", 7, "'fro' is no key here; did you mean 'for'?"),
        (
            'queues = ["order*"]',
            'workflows = ["order*"]',
            8,
            "oldest_age is not by workflows; it can be confined by qu",
        ),
        ("least = 20", "least = 0", 19, "give a whole number, 1 or more"),
        ('window = "10m"', 'window = "1d"', 18, "known for six hours"),
        ('period = "all"', 'period = "week"', 27, "period is 'week', which there is not; there are day, all"),
        ('group = "1m"', 'period = "all"', 11, "oldest_age is not by period"),
        ('severity = "critical"', 'severity = "critcal"', 9, "did you mean 'critical'?"),
        ("$value", "$valeu", 12, "names $valeu; there are $name"),
        ("$$5", "$5", 12, "a $ without a name"),
        ('repeat = "4h"', "repeat = 0", 10, "give a time"),
        ('to = ["boss", "ops"]', 'to = ["boss", "boss"]', 21, "to names 'boss' a second time"),
        ("[[alerts]]", "[[alerts]", 3, "is no TOML that can be read"),
    ],
)
def test_a_fault_is_told_with_its_line(tmp_path: Path, old: str, new: str, line: int, said: str) -> None:
    assert old in GOOD
    with pytest.raises(hf.UsageError, match=rf"alerts\.toml, line {line}: ") as caught:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"\xff", "line 1: is not UTF-8"),
        (b"", "there is no rule"),
        (b"alerts = 3", "begin each with [[alerts]]"),
        (b"#" * 1024 * 1025, "larger than"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path: Path, text: bytes, said: str) -> None:
    with pytest.raises(hf.UsageError) as caught:
        read(tmp_path, text)
    assert said in str(caught.value)


def test_a_worker_reads_its_file_at_once(tmp_path: Path) -> None:
    with pytest.raises(hf.UsageError, match="cannot be read: No such file"):
        hf.Worker("memory://", [], alerts=tmp_path / "none.toml")


def test_what_is_shipped_knows_every_measure_and_tells_nobody() -> None:
    rules = read_alerts("default")
    assert {one.measure for one in rules.rules} == set(MEASURES)
    assert all(one.to == () for one in rules.rules)


def test_what_is_shipped_is_told_to_whom_the_file_names_and_gives_way_to_its_rules(tmp_path: Path) -> None:
    own = '[[alerts]]\nname = "stuck runs"\nmeasure = "stuck"\nabove = 5\nto = "boss"\n'
    rules = read(tmp_path, f'defaults = true\nto = "ops"\n{own}').rules
    [stuck] = [one for one in rules if one.name == "stuck runs"]
    assert (stuck.above, stuck.to) == (5.0, ("boss",))
    assert {one.to for one in rules if one is not stuck} == {("ops",)}
    assert len(rules) == len(read_alerts("default").rules)


def test_a_channel_that_there_is_not_is_told(tmp_path: Path) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text(GOOD)
    assert len(read_alerts(path, {"ops": None, "boss": None}).rules) == 3
    with pytest.raises(hf.UsageError, match=r"line 21: to names channel 'boss', which there is not; there are ops"):
        read_alerts(path, {"ops": None})
    with pytest.raises(hf.UsageError, match=r"line 1: to names channel 'ops', which there is not; did you mean 'oops'"):
        read_alerts(path, {"oops": None})


def test_every_key_measure_variable_and_shipped_rule_is_on_the_reference_page() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+?) \|", text, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row)}
    shipped = {one.name for one in read_alerts("default").rules}
    assert named >= {*FILE_KEYS, *RULE_KEYS, *MEASURES, *shipped}
    assert named <= {*FILE_KEYS, *RULE_KEYS, *MEASURES, *shipped}, "and nothing that there is not"
    assert all(f"`${name}`" in text for name in VARIABLES)


@pytest.mark.parametrize("measure", [name for name, kind in MEASURES.items() if kind.most is not None])
def test_a_rule_that_could_never_fire_is_told(tmp_path: Path, measure: str) -> None:
    most = MEASURES[measure].most
    assert most is not None
    text = f'[[alerts]]\nname = "never"\nmeasure = "{measure}"\nabove = '
    assert read(tmp_path, f"{text}{most - 1}").rules[0].above == most - 1
    with pytest.raises(hf.UsageError, match=rf"line 4: above is {most}, and it is counted up to {most:,}: give less"):
        read(tmp_path, f"{text}{most}")
