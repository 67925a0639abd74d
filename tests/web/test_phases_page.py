"""Phases: the files in force, what each of their phases may do, and the version that a run goes by."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import holdfast as hf
from holdfast.engine.phasing import BudgetView, PhaseView
from holdfast.model.phase_content import sealed
from holdfast.model.phases import ModelTerms, Phase
from holdfast.store.agent_rows import PhaseFileRow
from holdfast.web.phase_order import rounds
from tests.agents.kit import Model, PhaseFolder
from tests.web.agent_kit import MARKUP, ended
from tests.web.browsing import Dashboard, dashboard

FILE = """
    name = "letters"

    [defaults]
    model = "scripted:main"
    attempts = 2

    [models.fast]
    model = "openai:gpt-5-nano"
    base_url = "http://127.0.0.1:8080/v1"
    api_key = "env:NEVER_SHOWN_KEY"
    concurrency = 4
    rate = "60/1m"
    burst = 5
    price = {{ input = 0.25, output = 2.0, cached = 0.025 }}

    [providers.openai]
    rate = "500/1m"

    [budgets.run]
    cost = 2.0
    tokens = 400_000

    [phases.send]
    prompt = "Send {{{{ outputs.draft }}}}"
    needs = ["draft", "check"]

    [phases.draft]
    prompt = "{prompt}"
    system = "You write."
    needs = ["research"]
    fallbacks = ["fast"]
    fallback_on = ["timeout", "refused"]
    timeout = "90s"
    input_tokens = 8000
    output_tokens = 2000
    cost = "0.10"
    approval = {{ group = "ops", due = "1d", escalate_to = ["boss"] }}

    [phases.check]
    prompt = "Check"
    needs = ["research"]

    [phases.research]
    prompt = "Look"
"""


async def keep(shown: Dashboard, name: str, prompt: str = "Look", tenant: str = "default", at: int = 1) -> str:
    """Put a file with one phase in force, as a run does that comes to it; its version."""
    file = sealed(name, {"look": Phase("look", prompt, "a:b")}, {"a:b": ModelTerms("a:b", "a:b")}, {}, {}, {})
    row = PhaseFileRow(tenant, name, file.version, file.content, at)
    await shown.client.core.store.agents.keep_phases(row)
    return file.version


async def test_a_runs_page_names_the_version_that_it_goes_by(disk_url: str, tmp_path: Path) -> None:
    folder = PhaseFolder(tmp_path)
    with Model("main") as model:
        model.usual = "Found."
        phases = folder.load(FILE.format(prompt=f"Write {MARKUP.replace(chr(34), chr(39))}"), outputs={})

        @hf.workflow
        async def letter() -> str:
            return str(await phases.run("research"))

        async with dashboard(disk_url) as shown, hf.Worker(shown.client, [letter, *phases.workflows]):
            await shown.client.start(letter.options(id="first"))
            await ended(shown.client, "first", "succeeded")
            seen = await shown.get("/runs/first")
            version = (await shown.client.phase_file("letters")).version
            link = seen.link(f"letters {version[:12]}")
            await keep(shown, "letters")
            page = await shown.get(link)
            assert page.status == 200
            assert f"This is version {version}" in page.text
            assert "go on with it" in page.text
            newest = await shown.get("/phases/letters")
            assert "in force" in newest.text
            assert version not in newest.text
            assert page.link(f"See the version in force, {(await shown.client.phase_file('letters')).version[:12]}")
            assert await _says_all(page.text, page.html) is None


async def _says_all(text: str, html: str) -> None:
    """The page has what the file says, and in the order of ``needs``."""
    assert re.findall(r'id="phase-(\w+)"', html) == ["research", "draft", "check", "send"]
    assert "draft round 2 of 3, beside check" in text
    for words in (
        "Needs research Model scripted:main Then openai:gpt-5-nano (fast) if it is refused, timeout Output text",
        "Attempts of each model 2 Timeout 1 min 30 s Repairs 1 Prompt at most 8,000 tokens Answer at most 2,000 tokens",
        "Budget in a run $0.10 Approved by a person of ops, within 1 d, then boss",
        "Instructions You write. Prompt Write <script>",
        "Needs draft , check",
        "openai:gpt-5-nano fast http://127.0.0.1:8080/v1 4 at once, 60 in 1 min, 5 of them together",
        "$0.25 in, $0.0250 cached, $2.00 out",
        "Each run $2.00 and 400,000 tokens",
        "openai 500 in 1 min",
    ):
        assert words in text, words
    assert "<script>" not in html
    assert "NEVER_SHOWN_KEY" not in html


async def test_the_files_in_force_are_listed_and_lead_to_theirs(disk_url: str) -> None:
    async with dashboard(disk_url, auth=True) as shown:
        await keep(shown, "orders")
        await keep(shown, "letters", "old", at=1)
        new = await keep(shown, "letters", "new", at=2)
        await keep(shown, "theirs", tenant="other")
        viewer, other = await shown.somebody("viewer"), await shown.somebody("admin", tenant="other")
        seen = await viewer.get("/phases")
        assert seen.text.index("letters") < seen.text.index("orders")
        assert new[:12] in seen.text
        assert "theirs" not in seen.text
        page = await viewer.get(seen.link("letters"))
        assert "Prompt new" in page.text
        assert "nobody" in page.text
        assert (await other.get("/phases/orders")).status == 404
        assert (await other.get("/phases")).has_link("theirs")
        assert "Model calls 0" in (await viewer.get(page.link("What it costs"))).text


@pytest.mark.parametrize("name", [".", "..", "a/b", "ein Brief & mehr"])
async def test_a_file_of_any_name_has_a_page(name: str) -> None:
    async with dashboard() as shown:
        await keep(shown, name)
        page = await shown.get((await shown.get("/phases")).link(name))
        assert page.status == 200
        assert "Prompt Look" in page.text
        older = await shown.get(f"{page.path}{'&' if '?' in page.path else '?'}version=none")
        assert older.status == 404


async def test_what_is_not_there_is_told() -> None:
    async with dashboard() as shown:
        assert "No file of phases is known" in (await shown.get("/phases")).text
        missing = await shown.get("/phases/none")
        assert missing.status == 404
        assert "has no phases" in missing.text


def test_phases_come_behind_what_they_need() -> None:
    def phase(name: str, *needs: str) -> PhaseView:
        return PhaseView(
            name, list(needs), "text", "a:b", [], [], 1, 1.0, 0, None, None, BudgetView(None, None), None, None, None
        )

    found = rounds([phase("e", "d"), phase("a"), phase("d", "b", "c"), phase("c", "a"), phase("b", "a")])
    assert [[one.name for one in each] for each in found] == [["a"], ["c", "b"], ["d"], ["e"]]
    assert rounds([]) == []
    assert [one.name for one in rounds([phase("a", "b"), phase("b", "a")])[0]] == ["a", "b"]
