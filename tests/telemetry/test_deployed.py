"""The alerts for Prometheus and the dashboard for Grafana ask for nothing that is not exported."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

import holdfast as hf
from holdfast.api import create_app
from holdfast.conversations import measures
from holdfast.engine import counting
from holdfast.services.alerting import counts
from holdfast.services.outbox import measures as of_messages

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = yaml.safe_load((DEPLOY / "prometheus" / "holdfast.rules.yml").read_text("utf-8"))["groups"][0]["rules"]
DASHBOARD = json.loads((DEPLOY / "grafana" / "holdfast.json").read_text("utf-8"))

OF_SCRAPING = {"instance", "job"}
"""Labels that Prometheus adds by itself."""


@hf.workflow
async def served() -> None: ...


def questions() -> dict[str, str]:
    """Everything that is asked, by where."""
    asked = {rule["alert"]: rule["expr"] for rule in RULES}
    for panel in DASHBOARD["panels"]:
        for number, target in enumerate(panel.get("targets", ())):
            asked[f"{panel['title']} ({panel['id']}.{number})"] = target["expr"].replace("$__rate_interval", "5m")
    return asked


async def exported() -> dict[str, set[str]]:
    """The names of all samples, each with its labels: of a process, and what a server adds."""
    assert {measures, counts, of_messages}  # they count too, once they are imported
    found: dict[str, set[str]] = {}
    for family in counting.Counts().families():
        name = family.name.replace(".", "_") + ("_seconds" if family.unit == "s" else "")
        labels = set(family.labels)
        if family.kind == "histogram":
            found |= {f"{name}_count": labels, f"{name}_sum": labels, f"{name}_bucket": {*labels, "le"}}
        else:
            found[f"{name}_total" if family.kind == "counter" else name] = labels
    app = create_app("memory://deployed")
    async with (
        app.router.lifespan_context(app),
        hf.connect("memory://deployed") as client,
        hf.Worker(client, [served], queues=["elsewhere"]),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http,
    ):
        await client.start(served.options(queue="nowhere"))
        await http.get("/api/v1/me")
        for metric in text_string_to_metric_families((await http.get("/metrics")).text):
            for sample in metric.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


async def test_each_metric_that_is_asked_for_is_exported_with_its_labels() -> None:
    known = await exported()
    for where, expression in questions().items():
        names = set(re.findall(r"\bholdfast_\w+", expression))
        assert names, where
        assert names <= known.keys(), (where, names - known.keys())
        wanted = {label for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(", ")}
        wanted |= set(re.findall(r"[{,]\s*(\w+)=", expression))
        labels = set[str]().union(*(known[name] for name in names))
        assert wanted <= labels | OF_SCRAPING, (where, wanted - labels)


def test_what_is_said_of_an_alert_names_its_labels() -> None:
    for rule in RULES:
        kept = {label for group in re.findall(r"\bby \(([^)]*)\)", rule["expr"]) for label in group.split(", ")}
        said = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert said <= kept - {"le"}, rule["alert"]
        assert rule.get("labels", {}).get("severity", "info") in ("info", "warning", "critical")


def test_every_question_can_be_read(tmp_path: Path) -> None:
    for where, expression in questions().items():
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), where
    promtool = shutil.which("promtool")
    if promtool is not None:
        rules = [{"record": f"asked:{number}", "expr": one} for number, one in enumerate(questions().values())]
        path = tmp_path / "rules.yml"
        path.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
        for file in (path, DEPLOY / "prometheus" / "holdfast.rules.yml"):
            done = subprocess.run([promtool, "check", "rules", file], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("panel", DASHBOARD["panels"], ids=lambda panel: panel["title"])
def test_a_panel_lies_by_itself(panel: dict[str, Any]) -> None:
    def cells(one: dict[str, Any]) -> set[tuple[int, int]]:
        at = one["gridPos"]
        return {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}

    assert max(x for x, _ in cells(panel)) < 24
    assert all(one is panel or not cells(one) & cells(panel) for one in DASHBOARD["panels"])
    assert len({one["id"] for one in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
