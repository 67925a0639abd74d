"""The reference is complete: every public name, every parameter, every error and every table is on its page."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

import holdfast as hf
from holdfast import errors
from holdfast.model.policy_documents import Document, Points
from holdfast.model.rule_checks import FUNCTIONS
from holdfast.model.work_kinds import Definition

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
STORES = ROOT / "src" / "holdfast" / "store"

API = (REFERENCE / "api.md").read_text(encoding="utf-8")
ERRORS = (REFERENCE / "errors.md").read_text(encoding="utf-8")
DEFINITIONS = (REFERENCE / "definitions.md").read_text(encoding="utf-8")
DATABASE = (REFERENCE / "database.md").read_text(encoding="utf-8")

ERROR_NAMES = [name for name in hf.__all__ if name in vars(errors)]
OTHER_NAMES = [name for name in hf.__all__ if name not in ERROR_NAMES]
VIEWS = [
    "Agent",
    "ArtifactContent",
    "ArtifactInfo",
    "ArtifactView",
    "AttemptView",
    "CostLine",
    "CostReport",
    "Current",
    "JournalEntry",
    "ModelCallView",
    "PhaseAnswer",
    "PhaseFileView",
    "PhaseReplay",
    "PhaseView",
    "RunView",
    "Scene",
    "Work",
]
OF_AGENTS = [
    "Command",
    "LoopPipeline",
    "ParallelPipeline",
    "RouterPipeline",
    "SequentialPipeline",
    "Workspace",
    "agent",
    "gather_context",
    "load_phases",
    "scripted",
    "source",
    "unregister",
]


def section(name: str) -> str:
    """What the page says of a public name: the section under its heading, or its row of a table."""
    heading = re.search(rf"^### `@?hf\.{name}`$(?P<text>.*?)(?=^##|\Z)", API, re.MULTILINE | re.DOTALL)
    row = re.search(rf"^\| `hf\.{name}\(.*$", API, re.MULTILINE)
    assert heading or row, f"docs/reference/api.md says nothing of hf.{name}"
    return heading["text"] if heading else row[0] if row else ""


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_public_name_is_described(name: str) -> None:
    assert section(name).strip()


def test_every_name_with_a_section_is_public() -> None:
    assert set(re.findall(r"^### `@?hf\.(\w+)", API, re.MULTILINE)) <= set(hf.__all__)


@pytest.mark.parametrize(
    "name",
    ["Retry", "Worker", "connect", "gather", "map", "sleep", "sleep_until", "step", "workflow", *OF_AGENTS],
)
def test_every_parameter_is_described(name: str) -> None:
    for parameter in inspect.signature(getattr(hf, name)).parameters:
        assert parameter in ("fn", "calls") or re.search(rf"\b{parameter}\b", section(name)), parameter


@pytest.mark.parametrize("name", ["Client", "RunHandle"])
def test_every_method_is_described_with_its_parameters(name: str) -> None:
    methods = {key: value for key, value in vars(getattr(hf, name)).items() if not key.startswith("_")}
    for method, function in methods.items():
        said = re.search(rf"`(?:await )?{method}\((?P<parameters>[^`]*)\)`", section(name))
        assert said, f"docs/reference/api.md says nothing of {name}.{method}"
        for parameter in list(inspect.signature(function).parameters)[1:]:
            assert re.search(rf"\b{parameter}\b", said["parameters"]), f"{name}.{method}: {parameter}"


@pytest.mark.parametrize(
    ("module", "name"),
    [("langgraph", "Saver"), ("langgraph", "Store"), ("pydantic_ai", "Durable"), ("pydantic_ai", "StepOptions")],
)
def test_names_of_other_libraries_are_described(module: str, name: str) -> None:
    said = re.search(rf"^### `holdfast\.{module}\.{name}`$(.*?)(?=^##|\Z)", API, re.MULTILINE | re.DOTALL)
    assert said, f"docs/reference/api.md says nothing of holdfast.{module}.{name}"
    for parameter in inspect.signature(getattr(importlib.import_module(f"holdfast.{module}"), name)).parameters:
        assert re.search(rf"\b{parameter}\b", said[1]), parameter


@pytest.mark.parametrize("name", ["execute", "file", "replay", "run"])
def test_methods_of_phases_are_described(name: str) -> None:
    for parameter in list(inspect.signature(getattr(hf.Phases, name)).parameters)[1:]:
        assert re.search(rf"`(await )?{name}\([^`]*\b{parameter}\b[^`]*\)`", section("Phases")), parameter


def test_start_options_are_described() -> None:
    for parameter in list(inspect.signature(hf.Workflow.options).parameters)[1:]:
        assert f"`{parameter}`" in section("Workflow"), parameter


@pytest.mark.parametrize("name", VIEWS)
def test_every_field_is_described(name: str) -> None:
    for field in getattr(hf, name).__dataclass_fields__:
        assert f"`{field}`" in section(name), field


@pytest.mark.parametrize("name", ["OrderContext", "PipelineResult", "StepResult"])
def test_every_field_of_a_model_is_described(name: str) -> None:
    for field in getattr(hf, name).model_fields:
        assert f"`{field}`" in section(name), field


def test_every_status_is_described() -> None:
    assert all(f"`{status}`" in section("Status") for status in hf.Status)


@pytest.mark.parametrize("name", ERROR_NAMES)
def test_error_is_described(name: str) -> None:
    assert re.search(rf"^\| `hf\.{name}` \|", ERRORS, re.MULTILINE)


def test_the_tree_of_errors_is_that_of_the_code() -> None:
    tree = (errors.__doc__ or "").partition("\n\n")[2].strip()
    assert f"```text\n{tree}\n```" in ERRORS


@pytest.mark.parametrize(
    "name", [*Definition.__struct_fields__, *FUNCTIONS, *Document.__struct_fields__, *Points.__struct_fields__]
)
def test_what_the_work_queue_is_told_is_described(name: str) -> None:
    assert re.search(rf"`[^`]*\b{name}\b[^`]*`", DEFINITIONS), f"docs/reference/definitions.md says nothing of {name}"


@pytest.mark.parametrize("schema", sorted(STORES.glob("*/schema.sql")), ids=lambda path: path.parent.name)
def test_every_table_is_described(schema: Path) -> None:
    for table in re.findall(r"^CREATE TABLE (?:holdfast\.)?(\w+)", schema.read_text(encoding="utf-8"), re.MULTILINE):
        assert re.search(rf"^\| `{table}` \|", DATABASE, re.MULTILINE), table
