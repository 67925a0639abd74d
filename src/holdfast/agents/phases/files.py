"""Reads files of phases from the disk, with the templates that they name, and tells when one of them changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from holdfast.agents.models import known
from holdfast.agents.phases.ceilings import check_ceilings
from holdfast.agents.prompts.tokens import tokens_in
from holdfast.errors import PhaseFileError, UsageError
from holdfast.model.phase_checks import check_limits, check_needs
from holdfast.model.phase_content import phase_file_from as phase_file_from
from holdfast.model.phase_content import sealed
from holdfast.model.phase_faults import Faults, told
from holdfast.model.phase_layers import Layers, layers_of
from holdfast.model.phase_reading import reading_of
from holdfast.model.phase_terms import Place, Wrong
from holdfast.model.phases import PhaseFile
from holdfast.model.toml_places import NotReadable, read_toml, toml_line
from holdfast.store.text_files import text_of

try:
    from holdfast.agents.prompts.checks import Origin, TemplateChecks
except ModuleNotFoundError as missing:
    raise UsageError(f'phases need libraries: pip install "holdfast[agents]" ({missing})') from missing

FILE_BYTES = 1024 * 1024
"""The largest file of phases, and the largest template."""

Stamp = tuple[int, int, int] | None
"""When a file was changed, its size, and which it is; None where there is none."""


class PhaseSource:
    """A file of phases as it was read, for every tenant."""

    def __init__(self, files: dict[str | None, PhaseFile], stamps: dict[Path, Stamp]) -> None:
        self._files = files
        self._stamps = stamps

    def for_tenant(self, tenant: str) -> PhaseFile:
        """What is in force for a tenant."""
        return self._files.get(tenant) or self._files[None]

    @property
    def tenants(self) -> tuple[str, ...]:
        """Those for which the file says something of its own."""
        return tuple(one for one in self._files if one is not None)

    @property
    def paths(self) -> tuple[Path, ...]:
        """The file and its templates."""
        return tuple(self._stamps)

    def stale(self) -> bool:
        """Whether one of them was changed since."""
        return any(_stamp(path) != stamp for path, stamp in self._stamps.items())


def read_phase_file(path: str | Path, outputs: Collection[str] | None = None) -> PhaseSource:
    """A file of phases, checked.

    Args:
        path: of the TOML file. Templates are found in its folder.
        outputs: names of the types that the code gives; None: nobody knows them, and any name is taken.

    Raises:
        PhaseFileError: something in it is missing, unknown or wrong; tells each fault with its file and line.
    """
    if not isinstance(path, str | Path):
        raise UsageError(f"the file of phases is {path!r:.100}; give the path of a TOML file")
    path = Path(path)
    stamp = _stamp(path)
    text, faults = "", Faults(str(path), lambda place: toml_line(text, place))
    try:
        text = text_of(path, FILE_BYTES, "a file of phases")
        document = read_toml(text)
    except NotReadable as error:
        faults.at(str(path), error.line, f"is no TOML that can be read: {error.reason}" if text else error.reason)
        raise _error(faults) from None
    folder = _Folder(path.parent, outputs)
    folder.stamps[path] = stamp
    layers = layers_of(document, faults)
    if not layers.phases and not faults:
        faults.at(str(path), 1, "has no phases; give tables [phases.NAME]")
    checks = TemplateChecks(folder.template, lambda name: str(folder.path / name), faults)
    files = {
        tenant: _file(layers, tenant, folder, checks, lambda place: _text_line(text, place), faults)
        for tenant in (None, *layers.tenants)
    }
    if faults:
        raise _error(faults)
    return PhaseSource(files, folder.stamps)


def _file(
    layers: Layers,
    tenant: str | None,
    folder: _Folder,
    checks: TemplateChecks,
    line: Callable[[Place], int | None],
    faults: Faults,
) -> PhaseFile:
    reading = reading_of(layers, tenant, folder, faults)
    check_needs(reading, faults)
    check_limits(reading, faults)
    others: dict[str, str] = {}
    for phase in reading.phases.values():
        tokens, table = 0, reading.layer.phases[phase.name]
        variables = table["variables"].value if "variables" in table else ()
        for key, template in (("prompt", phase.prompt), ("system", phase.system)):
            if template:
                if key in table:
                    origin = Origin(faults.file, partial(line, table[key].place))
                else:
                    origin = Origin(str(folder.path / table[f"{key}_file"].value))
                checked = checks.check(phase, template, origin, variables, reading.phases)
                tokens += tokens_in(checked.size_bytes)
                others |= {name: folder.template(name) for name in checked.others}
        check_ceilings(reading, phase, tokens, faults)
    name = layers.name or Path(faults.file).stem
    return sealed(name, reading.phases, reading.models, reading.providers, reading.budgets, others)


def _text_line(text: str, place: Place) -> int | None:
    """The line on which a text in a TOML file begins."""
    line = toml_line(text, place)
    if line is not None and text.split("\n")[line - 1].rstrip().endswith(('"""', "'''")):
        line += 1  # behind that of its quotes
    return line


def _error(faults: Faults) -> PhaseFileError:
    found = faults.sorted()
    return PhaseFileError(told(found), faults=tuple(found))


class _Folder:
    """The folder of a file of phases: what the file refers to is found there."""

    def __init__(self, path: Path, outputs: Collection[str] | None) -> None:
        self.path = path
        self.outputs = outputs
        self.stamps: dict[Path, Stamp] = {}
        self._texts: dict[str, str] = {}

    model_fault = staticmethod(known.model_fault)
    provider_fault = staticmethod(known.provider_fault)

    def text(self, name: str) -> str:
        """The text of a template that a phase names."""
        if not (text := self.template(name)).strip():
            raise Wrong(f"is {name!r}, a file that is empty")
        return text

    def template(self, name: str) -> str:
        """The text of any template; each is read once."""
        if name not in self._texts:
            self._texts[name] = self._read(name)
        return self._texts[name]

    def _read(self, name: str) -> str:
        path = self.path / name
        try:
            is_inside = path.resolve().is_relative_to(self.path.resolve())
        except (OSError, RuntimeError, ValueError):
            is_inside = False
        if Path(name).is_absolute() or not is_inside:
            raise Wrong(f"is {name!r}, which lies outside of {self.path}; templates lie beside the file, or below it")
        self.stamps[path] = _stamp(path)  # also of one that may be missing: it can come yet
        try:
            return text_of(path, FILE_BYTES, "a template")
        except UsageError as error:
            raise Wrong(f"is {name!r}: {error}") from None
        except NotReadable as error:
            raise Wrong(f"is {name!r}: {path}, line {error.line}: {error.reason}") from None


def _stamp(path: Path) -> Stamp:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
