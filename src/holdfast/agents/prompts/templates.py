"""The language of prompts: Jinja2, sandboxed, strict about missing names, bounded, and with sections."""

from __future__ import annotations

import io
from collections.abc import Mapping, MutableMapping
from pathlib import Path, PurePath
from typing import Any

from jinja2 import FunctionLoader, StrictUndefined, Template, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer
from pydantic import BaseModel

from holdfast.agents.prompts import bounds
from holdfast.agents.prompts.filters import KEPT
from holdfast.agents.prompts.sections import END, MOST_KEEP

_GLOBALS = ("range", "dict", "namespace", "joiner", "cycler")
_TEXT_METHODS = frozenset((
    "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha", "isascii", "isdecimal",
    "isdigit", "islower", "isnumeric", "isspace", "istitle", "isupper", "lower", "lstrip", "partition", "removeprefix",
    "removesuffix", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split", "splitlines", "startswith", "strip",
    "swapcase", "title", "upper",
))  # fmt: skip
_METHODS: tuple[tuple[type, frozenset[str]], ...] = (
    (str, _TEXT_METHODS),
    (bytes, frozenset(("decode", "hex"))),
    (bytearray, frozenset(("decode", "hex"))),
    (int, frozenset(("bit_count", "bit_length", "conjugate", "denominator", "imag", "numerator", "real"))),
)
_OF_MODELS = frozenset(name for name in dir(BaseModel) if name not in ("model_dump", "model_dump_json"))
"""What every pydantic model has, and no template needs; some of it reads files."""


class Section(Extension):
    """The tag ``section``."""

    tags = {"section"}  # noqa: RUF012

    end = END

    def parse(self, parser: Parser) -> nodes.Node:
        """A section, from its tag to its end: a scope between two marks."""
        line = next(parser.stream).lineno
        name = parser.parse_primary()
        if not isinstance(name, nodes.Const) or not isinstance(name.value, str) or not name.value.strip():
            parser.fail('a section has a name in quotes: {% section "history" %}', line)
        keep: nodes.Expr = nodes.Const(1)
        if parser.stream.current.type != "block_end":
            if not parser.stream.skip_if("name:keep") or not parser.stream.skip_if("assign"):
                parser.fail('behind the name of a section stands keep: {% section "history" keep=2 %}', line)
            keep = parser.parse_primary()
            if not isinstance(keep, nodes.Const) or type(keep.value) is not int or keep.value > MOST_KEEP:
                parser.fail(f"keep is a whole number, 0 to {MOST_KEEP}", line)
        body = parser.parse_statements(("name:endsection",), drop_needle=True)
        begun = self.call_method("begun", [name, keep], lineno=line)
        first = nodes.Output([begun], lineno=line)
        last = nodes.Output([self.attr("end", lineno=line)], lineno=line)
        return nodes.Scope([first, *body, last], lineno=line)

    def begun(self, name: str, keep: int) -> str:
        """The mark where a section begins."""
        return bounds.work().marks.begin(name, keep)


def is_section(node: nodes.Node) -> bool:
    """Whether a part of a template's tree is a section."""
    if not isinstance(node, nodes.Scope) or not isinstance(node.body[0], nodes.Output):
        return False
    call = node.body[0].nodes[0]
    return isinstance(call, nodes.Call) and isinstance(call.node, nodes.ExtensionAttribute)


class _Bounding(NodeTransformer):
    """Has loops and ``~`` counted."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        inner = {id(data) for loop in node.find_all(nodes.For) for data in loop.find_all(nodes.TemplateData)}
        characters = sum(len(data.data) for data in node.find_all(nodes.TemplateData) if id(data) not in inner)
        node.iter = _call("each", [node.iter, nodes.Const(characters)], node.lineno)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call("joined", [nodes.List(node.nodes, lineno=node.lineno)], node.lineno)


def _call(name: str, arguments: list[nodes.Node], line: int) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(name), arguments, [], None, None, lineno=line)


class Language(ImmutableSandboxedEnvironment):
    """Reads templates.

    Args:
        texts: all that there are, by name.
    """

    intercepted_binops = frozenset("+*%") | {"**"}

    def __init__(self, texts: Mapping[str, str]) -> None:
        super().__init__(
            loader=FunctionLoader(texts.get),
            undefined=StrictUndefined,
            finalize=bounds.finalized,
            extensions=[Section],
            autoescape=False,
            auto_reload=False,
            cache_size=-1,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.texts = texts
        self.globals = {name: self.globals[name] for name in _GLOBALS}
        self.filters = KEPT

    each = staticmethod(bounds.each)
    joined = staticmethod(bounds.joined)

    def _generate(self, source: nodes.Template, *args: Any, **named: Any) -> str:
        _Bounding().visit(source)
        return super()._generate(source, *args, **named)

    def _load_template(self, name: str, globals: MutableMapping[str, Any] | None) -> Template:
        """A template that another includes, extends or imports: a step that writes its text."""
        counted = bounds.work()
        counted.step()
        counted.write(len(self.texts.get(name, "")))
        return super()._load_template(name, globals)

    def call(self, context: Context, called: Any, /, *args: Any, **named: Any) -> Any:
        """Call what a template calls: a step."""
        counted = bounds.work()
        counted.step()
        return bounds.counted(super().call(context, called, *args, **named))

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Count with two values."""
        match operator:
            case "*":
                bounds.check_product(left, right)
            case "**":
                bounds.check_power(left, right)
            case "%":
                bounds.check_format(left, right)
        return bounds.counted(super().call_binop(context, operator, left, right))

    def getattr(self, obj: Any, attribute: str) -> Any:
        """``obj.attribute``; of a table its entry, also where tables have a method of that name."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may use an attribute: none that changes something, reads files or makes huge texts."""
        for kind, kept in _METHODS:
            if isinstance(obj, kind) and hasattr(kind, attr):  # else it is of an enumeration or the like
                return attr in kept
        if isinstance(obj, BaseModel) and attr in _OF_MODELS and attr not in type(obj).model_fields:
            return False
        if isinstance(obj, io.IOBase) or (isinstance(obj, Path) and not hasattr(PurePath, attr)):
            return False
        return super().is_safe_attribute(obj, attr, value)

    def wrap_str_format(self, value: Any) -> None:
        """``format`` is no method of texts here, see `is_safe_attribute`."""
