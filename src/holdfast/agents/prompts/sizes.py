"""How large a prompt is at least: the text of its template, with sections left out and nothing filled in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jinja2 import nodes

from holdfast.agents.prompts.templates import is_section


def least_bytes(tree: nodes.Template, others: Mapping[str, nodes.Template]) -> int:
    """As many bytes as a rendering has at least.

    Args:
        tree: of a template.
        others: trees of those that it refers to, by name.
    """
    return _Sizes(others).of_template(tree)


class _Sizes:
    def __init__(self, others: Mapping[str, nodes.Template]) -> None:
        self._others = others
        self._open: set[str] = set()

    def of_template(self, tree: nodes.Template) -> int:
        parent = tree.find(nodes.Extends)
        return self._of(tree.body) if parent is None else self._of_other(parent.template)

    def _of_other(self, template: nodes.Node) -> int:
        name = str(template.value) if isinstance(template, nodes.Const) else ""
        if name not in self._others or name in self._open:
            return 0
        self._open.add(name)
        size = self.of_template(self._others[name])
        self._open.discard(name)
        return size

    def _of(self, body: Sequence[nodes.Node]) -> int:
        return sum(self._of_node(node) for node in body)

    def _of_node(self, node: nodes.Node) -> int:
        match node:
            case nodes.Output():
                return sum(len(one.data.encode()) for one in node.nodes if isinstance(one, nodes.TemplateData))
            case nodes.If():
                return min(self._of(body) for body in (node.body, *(one.body for one in node.elif_), node.else_))
            case nodes.Include():
                return self._of_other(node.template)
            case nodes.With() | nodes.ScopedEvalContextModifier():
                return self._of(node.body)
            case nodes.Scope():
                return 0 if is_section(node) else self._of(node.body)
        return 0  # loops may have no rounds, filters may shorten, blocks may be replaced
