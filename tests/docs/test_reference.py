"""The reference is complete: every public name, every parameter, every error and every table is on its page."""

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
VIEWS = ["AttemptView", "Current", "JournalEntry", "RunView"]


def section(name: str) -> str:
    """What the page says of a public name: the section under its heading, or its row of a table."""
    heading = re.search(rf"^### `@?hf\.{name}`$(?P<text>.*?)(?=^##|\Z)", API, re.MULTILINE | re.DOTALL)
    row = re.search(rf"^\| `hf\.{name}\(.*$", API, re.MULTILINE)
    assert heading or row, f"docs/reference/api.md says nothing of hf.{name}"
    return heading["text"] if heading else row[0] if row else ""


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_public_name_is_described(name: str) -> None:
    assert section(name).strip()


@pytest.mark.parametrize(
    "name", ["Retry", "Worker", "connect", "gather", "map", "sleep", "sleep_until", "step", "workflow"]
)
def test_every_parameter_is_described(name: str) -> None:
    for parameter in inspect.signature(getattr(hf, name)).parameters:
        assert parameter in ("fn", "calls") or re.search(rf"\b{parameter}\b", section(name)), parameter


@pytest.mark.parametrize("name", ["Client", "RunHandle"])
def test_every_method_is_described_with_its_parameters(name: str) -> None:
    methods = {key: value for key, value in vars(getattr(hf, name)).items() if not key.startswith("_")}
    for method, function in methods.items():
        said = re.search(rf"`await {method}\((?P<parameters>[^`]*)\)`", section(name))
        assert said, f"docs/reference/api.md says nothing of {name}.{method}"
        for parameter in list(inspect.signature(function).parameters)[1:]:
            assert re.search(rf"\b{parameter}\b", said["parameters"]), f"{name}.{method}: {parameter}"


def test_start_options_are_described() -> None:
    for parameter in list(inspect.signature(hf.Workflow.options).parameters)[1:]:
        assert f"`{parameter}`" in section("Workflow"), parameter


@pytest.mark.parametrize("name", VIEWS)
def test_every_field_is_described(name: str) -> None:
    for field in getattr(hf, name).__dataclass_fields__:
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
