"""Looks through the templates of a file of phases before any is used: syntax, names, outputs, other templates."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from jinja2 import TemplateSyntaxError, nodes
from jinja2.meta import find_undeclared_variables

from holdfast.agents.prompts.sizes import least_bytes
from holdfast.agents.prompts.templates import Language
from holdfast.model.nearest import nearest
from holdfast.model.phase_faults import Faults
from holdfast.model.phase_terms import Wrong
from holdfast.model.phases import Phase

NAMES = ("context", "outputs", "run_id", "tenant")
"""What every template may name."""

_OF_TABLES = ("get", "items", "keys", "values")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a template is written.

    Attributes:
        file: as it is named.
        first: gives the line of its beginning; None where that is not known.
    """

    file: str
    first: Callable[[], int | None] = lambda: 1

    def at(self, line: int) -> int | None:
        """The line in the file of a line of the template."""
        first = self.first()
        return None if first is None else first + line - 1


class Checked(NamedTuple):
    """What is known of a template that was checked.

    Attributes:
        size_bytes: as many as it has at least, whatever is filled in.
        others: names of those that it includes, extends or imports.
    """

    size_bytes: int
    others: tuple[str, ...] = ()


class TemplateChecks:
    """Checks templates, each that says the same to the same phase once.

    Args:
        text: gives the text of a template file; raises `Wrong`.
        file: what a template file is called in messages.
    """

    def __init__(self, text: Callable[[str], str], file: Callable[[str], str], faults: Faults) -> None:
        self._text = text
        self._file = file
        self._faults = faults
        self._language = Language({})
        self._trees: dict[str, nodes.Template] = {}
        self._checked: dict[tuple[str, str, tuple[str, ...], tuple[str, ...]], Checked] = {}

    def check(
        self, phase: Phase, template: str, origin: Origin, variables: tuple[str, ...], phases: Collection[str]
    ) -> Checked:
        """Check a template of a phase, and those that it refers to.

        Args:
            variables: what it may name beside the usual.
            phases: names of all phases.
        """
        key = (phase.name, template, phase.needs, variables)
        if key not in self._checked:
            self._checked[key] = self._check(phase, template, origin, variables, phases)
        return self._checked[key]

    def _check(
        self, phase: Phase, template: str, origin: Origin, variables: tuple[str, ...], phases: Collection[str]
    ) -> Checked:
        tree = self._tree(template, origin)
        if tree is None:
            return Checked(0)
        seen: dict[str, None] = {}
        waiting = [(tree, origin, frozenset((*NAMES, *variables)))]
        while waiting:
            tree_now, origin_now, names = waiting.pop()
            self._check_names(phase, tree_now, origin_now, names)
            self._check_outputs(phase, tree_now, origin_now, phases)
            bound = {one.name for one in tree_now.find_all(nodes.Name) if one.ctx in ("store", "param")}
            for name, line in self._references(tree_now, origin_now):
                other = self._other(name, line, origin_now)
                if other is not None and name not in seen:
                    seen[name] = None
                    waiting.append((other, Origin(self._file(name)), names | bound))
        return Checked(least_bytes(tree, self._trees), tuple(seen))

    def _tree(self, template: str, origin: Origin) -> nodes.Template | None:
        try:
            self._language.compile(template)  # finds more than reading it alone, such as filters that there are none of
            return self._language.parse(template)
        except TemplateSyntaxError as error:
            line, reason = error.lineno, error.message
        except (RecursionError, SyntaxError, MemoryError):  # also of the Python that it is made into
            line, reason = 1, "it is nested too deeply"
        self._faults.at(origin.file, origin.at(line), f"is no template that can be read: {reason}")
        return None

    def _other(self, name: str, line: int | None, origin: Origin) -> nodes.Template | None:
        if name not in self._trees:
            try:
                text = self._text(name)
            except Wrong as wrong:
                self._faults.at(origin.file, line, f"the template {name!r} {wrong.reason}")
                return None
            tree = self._tree(text, Origin(self._file(name)))
            if tree is None:
                return None
            self._trees[name] = tree
        return self._trees[name]

    def _references(self, tree: nodes.Template, origin: Origin) -> Iterator[tuple[str, int | None]]:
        node: Any  # what these have in common has no type
        for node in tree.find_all((nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)):
            line = origin.at(node.lineno)
            names = _names_of(node.template)
            if names is None:
                self._faults.at(origin.file, line, "names a template by an expression; write its name in quotes")
            for name in names or ():
                if not getattr(node, "ignore_missing", False) or self._is_there(name):
                    yield name, line

    def _is_there(self, name: str) -> bool:
        try:
            self._text(name)
        except Wrong:
            return False
        return True

    def _check_names(self, phase: Phase, tree: nodes.Template, origin: Origin, names: Collection[str]) -> None:
        lines: dict[str, int] = {}
        for one in tree.find_all(nodes.Name):
            lines[one.name] = min(one.lineno, lines.get(one.name, one.lineno))
        for name in sorted(find_undeclared_variables(tree) - set(names)):
            near = nearest(name, names)
            meant = f"did you mean {near}?" if near else "declare it in variables of the phase, or leave it out"
            reason = f"names {name!r}, which nobody gives to phase {phase.name}; {meant}"
            self._faults.at(origin.file, origin.at(lines[name]), reason)

    def _check_outputs(self, phase: Phase, tree: nodes.Template, origin: Origin, phases: Collection[str]) -> None:
        for other, line in _outputs_of(tree):
            if other in phase.needs or other in _OF_TABLES:
                continue
            near = nearest(other, phase.needs)
            meant = "add it there" if other in phases else f"did you mean {near}?" if near else "there is no such phase"
            reason = f"takes the output of {other!r}, which is not among the needs of phase {phase.name}; {meant}"
            self._faults.at(origin.file, origin.at(line), reason)


def _names_of(template: nodes.Node) -> list[str] | None:
    """The names of templates that are written out; None for an expression."""
    parts = template.items if isinstance(template, nodes.List | nodes.Tuple) else [template]
    names = [part.value for part in parts if isinstance(part, nodes.Const) and isinstance(part.value, str)]
    return names if len(names) == len(parts) else None


def _outputs_of(tree: nodes.Template) -> Iterator[tuple[str, int]]:
    """Names that a template takes of ``outputs``, as far as they are written out, and their lines."""
    for attribute in tree.find_all(nodes.Getattr):
        if _is_outputs(attribute.node):
            yield attribute.attr, attribute.lineno
    for item in tree.find_all(nodes.Getitem):
        if _is_outputs(item.node) and isinstance(item.arg, nodes.Const) and isinstance(item.arg.value, str):
            yield item.arg.value, item.lineno


def _is_outputs(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "outputs"
