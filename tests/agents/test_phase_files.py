"""Files of phases on the disk: with their templates, checked as a whole, and looked at again when they change."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from holdfast.agents.phases.files import FILE_BYTES, phase_file_from, read_phase_file
from holdfast.agents.prompts import checks
from holdfast.errors import PhaseFileError, UsageError
from holdfast.model import phase_layers, phase_parts

DOCS = Path(__file__).parents[2] / "docs" / "reference"

GOOD = """\
[defaults]
model = "test"
[phases.research]
prompt = "Look up {{ context.name }}"
[phases.draft]
needs = ["research"]
variables = ["tone"]
prompt_file = "draft.md"
system = "You are {{ tenant }}"
"""
DRAFT = '{% include "parts/head.md" %}\nWrite {{ tone }} about {{ outputs.research }}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "head.md").write_text("Run {{ run_id }}")
    (tmp_path / "draft.md").write_text(DRAFT)
    (tmp_path / "phases.toml").write_text(GOOD)
    return tmp_path


def faults(folder: Path, text: str | None = None, outputs: tuple[str, ...] | None = ()) -> list[str]:
    """What is said of a file, with the folder left out."""
    if text is not None:
        (folder / "phases.toml").write_text(text)
    with pytest.raises(PhaseFileError) as caught:
        read_phase_file(folder / "phases.toml", outputs)
    told = [str(one) for one in caught.value.faults]
    assert str(caught.value) == "\n".join(told)
    return [one.replace(f"{folder}/", "") for one in told]


def test_a_file_is_read_with_its_templates(folder: Path) -> None:
    source = read_phase_file(folder / "phases.toml", ())
    file = source.for_tenant("acme")
    assert file.name == "phases"
    assert file.phases["draft"].prompt == DRAFT
    assert file.templates == {"parts/head.md": "Run {{ run_id }}"}
    assert set(source.paths) == {folder / "phases.toml", folder / "draft.md", folder / "parts" / "head.md"}
    assert phase_file_from(file.content) == file


def test_tenants_have_versions_of_their_own(folder: Path) -> None:
    more = '[tenants.acme.phases.draft]\nprompt = "Short {{ context }}"\n'
    (folder / "phases.toml").write_text(GOOD + more)
    source = read_phase_file(folder / "phases.toml")
    acme, other = source.for_tenant("acme"), source.for_tenant("other")
    assert source.tenants == ("acme",)
    assert acme.phases["draft"].prompt == "Short {{ context }}"
    assert acme.version != other.version
    assert other is source.for_tenant("default")


@pytest.mark.parametrize("name", ["phases.toml", "draft.md", "parts/head.md"])
def test_a_change_of_a_file_is_noticed(folder: Path, name: str) -> None:
    source = read_phase_file(folder / "phases.toml")
    assert not source.stale()
    (folder / name).write_text((folder / name).read_text() + "\n# more")
    assert source.stale()


def test_a_template_that_is_gone_or_was_replaced_is_noticed(folder: Path) -> None:
    source = read_phase_file(folder / "phases.toml")
    old = (folder / "draft.md").stat()
    (folder / "new").write_text(DRAFT)
    os.utime(folder / "new", ns=(old.st_atime_ns, old.st_mtime_ns))
    (folder / "new").replace(folder / "draft.md")
    assert source.stale()
    (folder / "draft.md").unlink()
    assert source.stale()


def test_a_template_that_may_be_missing_is_noticed_when_it_comes(folder: Path) -> None:
    (folder / "phases.toml").write_text(
        '[phases.a]\nmodel = "test"\nprompt = \'A{% include "more.md" ignore missing %}\'\n'
    )
    source = read_phase_file(folder / "phases.toml")
    assert not source.stale()
    (folder / "more.md").write_text("More.")
    assert source.stale()
    assert read_phase_file(folder / "phases.toml").for_tenant("t").templates == {"more.md": "More."}


PHASE = '[phases.a]\nmodel = "test"\n'
LONG = 'prompt = "' + "x" * 400 + '"\n'
SHORT = 'prompt = "A"\n'

FAULTS: list[tuple[str, list[str]]] = [
    ("", ["phases.toml:1: has no phases; give tables [phases.NAME]"]),
    ("name = 'x'\n[phases.a\n", ["phases.toml:2: is no TOML that can be read: "]),
    (PHASE + 'prompt = "A"\n[phases.a]\nprompt = "B"\n', ["phases.toml:4: is no TOML that can be read: "]),
    (PHASE + 'prompt = "A"\nprompt = "B"\n', ["phases.toml:4: is no TOML that can be read: "]),
    (PHASE + 'prompt = "A {{ custmer }}"\n', ["phases.toml:3: names 'custmer', which nobody gives to phase a"]),
    (PHASE + 'prompt = "A {{ contxt }}"\n', ["names 'contxt', which nobody gives to phase a; did you mean context?"]),
    (PHASE + 'prompt = """\none\ntwo {{ b }}\n"""\n', ["phases.toml:5: names 'b'"]),
    (PHASE + "prompt = '''one\ntwo {{ b }}\n'''\n", ["phases.toml:4: names 'b'"]),
    (PHASE + 'prompt = "{% if %}"\n', ["phases.toml:3: is no template that can be read: "]),
    (PHASE + 'prompt = "{{ 1 | nofilter }}"\n', ["phases.toml:3: is no template that can be read: No filter named"]),
    (PHASE + 'prompt = "A"\nsystem = "{{ b }}"\n', ["phases.toml:4: names 'b'"]),
    (
        PHASE + 'prompt = "{{ outputs.b }} {{ outputs[\'c\'] }}"\n[phases.b]\nprompt = "B"\nmodel = "test"\n',
        [
            "phases.toml:3: takes the output of 'b', which is not among the needs of phase a; add it there",
            "phases.toml:3: takes the output of 'c', which is not among the needs of phase a; there is no such phase",
        ],
    ),
    (PHASE + "prompt = '{% include context %}'\n", ["phases.toml:3: names a template by an expression"]),
    (PHASE + "prompt = '{% include \"no.md\" %}'\n", ["phases.toml:3: the template 'no.md' is 'no.md': file"]),
    (PHASE + 'prompt_file = "no.md"\n', ["phases.toml:3: phases.a.prompt_file is 'no.md': file '"]),
    (PHASE + 'prompt_file = "../x.md"\n', ["phases.a.prompt_file is '../x.md', which lies outside of"]),
    (PHASE + 'prompt_file = "/etc/passwd"\n', ["phases.a.prompt_file is '/etc/passwd', which lies outside of"]),
    (PHASE + 'prompt_file = "parts"\n', ["phases.a.prompt_file is 'parts': file '"]),
    (PHASE + 'prompt_file = "empty.md"\n', ["phases.a.prompt_file is 'empty.md', a file that is empty"]),
    (PHASE + 'prompt_file = "latin.md"\n', ["phases.a.prompt_file is 'latin.md': latin.md, line 2: is not UTF-8"]),
    (PHASE + 'prompt_file = "wrong.md"\n', ["wrong.md:3: is no template that can be read: "]),
    (PHASE + 'prompt_file = "names.md"\n', ["names.md:2: names 'b', which nobody gives to phase a"]),
    (PHASE + "prompt = '{% include \"names.md\" %}'\n", ["names.md:2: names 'b', which nobody gives to phase a"]),
    (PHASE + "prompt = '{% include \"wrong.md\" %}'\n", ["wrong.md:3: is no template that can be read: "]),
    (PHASE + LONG + "input_tokens = 99\n", ["phases.toml:4: phases.a.input_tokens is 99; the prompt"]),
    (PHASE + LONG + "tokens = 99\n", ["phases.toml:4: phases.a.tokens is 99; the prompt of phase a"]),
    ("[budgets.run]\ntokens = 99\n" + PHASE + LONG, ["phases.toml:2: budgets.run.tokens is 99"]),
    (
        '[models.m]\nmodel = "test"\nprice = { input = 10_000, output = 1 }\n'
        '[phases.a]\nmodel = "m"\ncost = 0.5\n' + LONG,
        ["phase a takes 100 tokens even with nothing filled in, and costs $1.00 by m"],
    ),
    (
        '[budgets.day]\ncost = "0.000000001"\n[phases.a]\nmodel = "openai:gpt-5-mini"\n' + LONG,
        ["phases.toml:2: budgets.day.cost is $0.000000001; the prompt of phase a takes 100 tokens even with nothing"],
    ),
    (
        '[phases.a]\nmodel = "openai:gpt-5-minni"\n' + SHORT,
        ["2: phases.a.model is 'openai:gpt-5-minni', a model that nobody knows; did you mean openai:gpt-5-mini?"],
    ),
    ('[phases.a]\nmodel = "avian:x"\n' + SHORT, ["phases.a.model is 'avian:x', a model that nobody knows"]),
    ('[phases.a]\nmodel = "fast"\n' + SHORT + '[models.fats]\nmodel = "test"\n', ["did you mean fats? If not"]),
    ('[models.m]\nmodel = "openay:x"\n' + PHASE + SHORT, ["m.model is 'openay:x', whose provider pydantic-ai"]),
    ("[providers.openay]\nconcurrency = 1\n" + PHASE + SHORT, ["openay is a provider that pydantic-ai does"]),
    (PHASE + SHORT + '[tenants.t.phases.a]\nprompt = "{{ b }}"\n', ["phases.toml:5: names 'b', which nobody"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "told"), FAULTS, ids=[told[0] for _, told in FAULTS])
def test_a_fault_is_told_with_file_and_line(folder: Path, text: str, told: list[str]) -> None:
    (folder / "empty.md").write_text(" \n")
    (folder / "latin.md").write_bytes(b"one\ncaf\xe9\n")
    (folder / "wrong.md").write_text("one\ntwo\n{% endfor %}\n")
    (folder / "names.md").write_text("one\n{{ b }}\n")
    found = faults(folder, text)
    assert len(found) == len(told), found
    for one, wanted in zip(found, told, strict=True):
        assert wanted in one


@pytest.mark.parametrize(
    "model", ["openai:gpt-5-mini", "anthropic:claude-haiku-4-5", "scripted:writer", "test", "mine", "ollama:qwen3"]
)
def test_models_that_somebody_knows_are_taken(folder: Path, model: str) -> None:
    declared = '[models.mine]\nmodel = "openai:not-yet-listed"\n[models."ollama:qwen3"]\n'
    (folder / "phases.toml").write_text(f'{declared}[phases.a]\nprompt = "A"\nmodel = "{model}"\n')
    assert model in read_phase_file(folder / "phases.toml").for_tenant("x").models


def test_a_template_may_not_be_a_link_out_of_the_folder(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret"
    outside.write_text("hidden")
    (folder / "draft.md").unlink()
    (folder / "draft.md").symlink_to(outside)
    assert any("lies outside of" in one for one in faults(folder))
    (folder / "draft.md").unlink()
    (folder / "real.md").write_text(DRAFT)
    (folder / "draft.md").symlink_to("real.md")
    assert read_phase_file(folder / "phases.toml").for_tenant("x").phases["draft"].prompt == DRAFT


def test_a_template_is_named_from_the_folder_on(folder: Path) -> None:
    (folder / "phases.toml").write_text(PHASE + f'prompt_file = "{folder / "draft.md"}"\n')
    assert "lies outside of" in faults(folder)[0]


def test_what_is_bound_where_a_template_is_included_may_be_named_there(folder: Path) -> None:
    (folder / "line.md").write_text("{{ line }} {{ total }}\n")
    prompt = "{% set total = 3 %}{% for line in context %}{% include 'line.md' %}{% endfor %}"
    (folder / "phases.toml").write_text(PHASE + f'prompt = "{prompt}"\n')
    assert "line.md" in read_phase_file(folder / "phases.toml").for_tenant("x").templates


def test_templates_may_include_themselves_and_miss_what_may_be_missing(folder: Path) -> None:
    (folder / "a.md").write_text("{% if context %}{% include 'a.md' %}{% endif %}")
    (folder / "phases.toml").write_text(
        PHASE + 'prompt = \'{% include "a.md" %}{% include "no.md" ignore missing %}\'\n'
    )
    assert set(read_phase_file(folder / "phases.toml").for_tenant("x").templates) == {"a.md"}


SIZES: list[tuple[str, int]] = [
    ("x" * 40, 10),
    ("x" * 41, 11),
    ("{{ context }}" + "x" * 40, 10),
    ("é" * 20, 10),
    ("{% section 'a' %}" + "x" * 80 + "{% endsection %}" + "x" * 40, 10),
    ("{% if context %}" + "x" * 80 + "{% else %}" + "x" * 40 + "{% endif %}", 10),
    ("{% if context %}" + "x" * 80 + "{% endif %}x", 1),
    ("{% for x in context %}" + "x" * 80 + "{% endfor %}x", 1),
    ("{% with x = 1 %}" + "x" * 40 + "{% endwith %}", 10),
    ("{% include 'forty.md' %}", 10),
    ("{% extends 'forty.md' %}" + "x" * 80, 10),
]


@pytest.mark.parametrize(("prompt", "tokens"), SIZES, ids=[prompt.strip("x") for prompt, _ in SIZES])
def test_a_ceiling_below_what_a_prompt_has_at_least_is_refused(folder: Path, prompt: str, tokens: int) -> None:
    (folder / "forty.md").write_text("x" * 40)
    text = PHASE + f'prompt = "{prompt}"\n'
    (folder / "phases.toml").write_text(text + f"input_tokens = {tokens}\n")
    read_phase_file(folder / "phases.toml")
    if tokens > 1:
        [told] = faults(folder, text + f"input_tokens = {tokens - 1}\n")
        assert f"phases.a.input_tokens is {tokens - 1}; the prompt of phase a takes {tokens} tokens" in told


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"file '.*none.toml' cannot be read: No such file"):
        read_phase_file(tmp_path / "none.toml")
    (tmp_path / "large.toml").write_text("#" * (FILE_BYTES + 1))
    with pytest.raises(UsageError, match=r"large.toml is larger than 1,048,576 bytes"):
        read_phase_file(tmp_path / "large.toml")
    (tmp_path / "nul.toml").write_text("name = 1\n\0")
    with pytest.raises(PhaseFileError, match=r"nul.toml:2: holds the NUL character"):
        read_phase_file(tmp_path / "nul.toml")
    with pytest.raises(UsageError, match="give the path of a TOML file"):
        read_phase_file(3)  # type: ignore[arg-type]


def test_all_faults_of_all_files_are_told_at_once(folder: Path) -> None:
    (folder / "draft.md").write_text("{{ a }}\n{{ b }}\n{% include 'parts/head.md' %}")
    (folder / "parts" / "head.md").write_text("\n{{ c }}")
    told = faults(folder, GOOD + "attempts = 0\n")
    assert [one.partition(" ")[0] for one in told] == [
        "phases.toml:10:",
        "draft.md:1:",
        "draft.md:2:",
        "parts/head.md:2:",
    ]


KEYS = {
    *phase_layers.ROOT,
    *phase_layers.PHASE,
    *phase_layers.DEFAULTS,
    *phase_layers.MODEL,
    *phase_layers.PROVIDER,
    *phase_layers.BUDGET,
    *phase_layers.SCOPES,
    *phase_parts.APPROVAL,
    *phase_parts.BACKOFF,
    *phase_parts.PRICE,
}


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_key_is_on_the_page_of_the_reference(key: str) -> None:
    page = (DOCS / "phases.md").read_text("utf-8")
    assert re.search(rf"^\| `[^|]*\b{key}\b[^|]*` \|", page, re.MULTILINE), (
        f"docs/reference/phases.md has no row of {key}"
    )


@pytest.mark.parametrize("name", checks.NAMES)
def test_every_name_that_templates_see_is_on_the_page_of_the_reference(name: str) -> None:
    assert f"`{name}`" in (DOCS / "phases.md").read_text("utf-8")
