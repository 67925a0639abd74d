"""What a rule says, checked without a subject: which names it uses, of which kind each part is, that it can be told."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, NoReturn

from holdfast.model.rule_nodes import (
    Call,
    Choice,
    Has,
    Index,
    Junction,
    ListOf,
    Literal,
    Macro,
    Member,
    Minus,
    Name,
    Node,
    Not,
    Operation,
)
from holdfast.model.rule_syntax import COMPARISONS, refusal

SUBJECT = {"id": "text", "name": "text", "assignee": "text", "contacts": "list", "weak": "number", "demo": "truth"}
"""What ``subject`` has, and of which kind."""

Roots = Mapping[str, str | Mapping[str, str]]
"""What rules can ask for: each with names behind a dot, and the kind of them all, or the kind of each there is."""

SUBJECT_ROOTS: Roots = {"signals": "number", "properties": "any", "scores": "number", "subject": SUBJECT}
"""What a rule about a subject can ask for."""

ROOTS = tuple(SUBJECT_ROOTS)

MACROS_AT_MOST = 2
"""Lists within lists that a rule goes through."""

_INSTANT_PARTS = (
    "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear", "getHours", "getMinutes",
    "getSeconds",
)  # fmt: skip


class Function(NamedTuple):
    """What a function takes and gives.

    Attributes:
        target: the kind of what stands before its dot; None where nothing does.
        arguments: the kinds of what stands in its parentheses.
        gives: the kind of its result.
        whole: whether the library gives a whole number, which a rule takes as any other.
    """

    target: str | None
    arguments: tuple[str, ...]
    gives: str
    whole: bool = False


FUNCTIONS: dict[str, tuple[Function, ...]] = {
    "size": (Function(None, ("any",), "number", True), Function("any", (), "number", True)),
    "contains": (Function("text", ("text",), "truth"),),
    "startsWith": (Function("text", ("text",), "truth"),),
    "endsWith": (Function("text", ("text",), "truth"),),
    "matches": (Function("text", ("text",), "truth"),),
    "string": (Function(None, ("any",), "text"),),
    "double": (Function(None, ("any",), "number"),),
    "int": (Function(None, ("any",), "number", True),),
    "timestamp": (Function(None, ("text",), "instant"),),
    "duration": (Function(None, ("text",), "span"),),
    "days_until": (Function(None, ("text",), "number"),),
    "days_since": (Function(None, ("text",), "number"),),
    **{name: (Function("instant", (), "number", True),) for name in _INSTANT_PARTS},
}
"""What a rule can call. days_until and days_since are ours: whole days from today to a date, and from it to today."""

_SAYS = {
    "number": "a number", "text": "a text", "truth": "true or false", "null": "null", "list": "a list",
    "instant": "an instant", "span": "a span of time", "any": "anything",
}  # fmt: skip
_SUMS = {
    ("number", "number"): "number", ("text", "text"): "text", ("list", "list"): "list",
    ("instant", "span"): "instant", ("span", "instant"): "instant", ("span", "span"): "span",
}  # fmt: skip
_DIFFERENCES = {
    ("number", "number"): "number", ("instant", "instant"): "span", ("instant", "span"): "instant",
    ("span", "span"): "span",
}  # fmt: skip
_PRODUCTS = {("number", "number"): "number"}
_EXAMPLES = {"signals": "usage_score", "properties": "plan", "scores": "risk", "subject": "name"}
_LACKS = {"subject": "a subject has no", "collected": "no step collects"}
_ARITHMETIC = {"+": _SUMS, "-": _DIFFERENCES, "*": _PRODUCTS, "/": _PRODUCTS}


class Used(NamedTuple):
    """A name that a rule uses: ``signals.usage_score``, and where."""

    root: str
    name: str
    at: int


def check(node: Node, text: str, place: str = "rule", roots: Roots = SUBJECT_ROOTS) -> list[Used]:
    """The names that a rule uses, in the order in which they stand.

    Args:
        node: its tree.
        text: what it was read from.
        place: what the rule is called in messages.
        roots: what it can ask for.

    Raises:
        RuleError: it is not true or false, or a part of it can never be told.
    """
    checker = _Checker(text, place, roots)
    checker.truth(node, ())
    return sorted(set(checker.used), key=lambda one: (one.at, one.name))


def nearest(name: str, known: Sequence[str]) -> str:
    """Advice for a name that is not known."""
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known)[:20]) or 'none'}"


class _Checker:
    """Goes through a rule's tree. ``scope``: the variables of the macros around."""

    def __init__(self, text: str, place: str, roots: Roots) -> None:
        self._text = text
        self._place = place
        self._roots = roots
        self.used: list[Used] = []

    def truth(self, node: Node, scope: tuple[str, ...]) -> None:
        """Refuse what is neither true nor false."""
        kind = self.kind(node, scope)
        if kind not in ("truth", "any"):
            said = f"{_said(node)} is {_SAYS[kind]}, and here has to be something that is true or false"
            self._fail(f"{said}: compare it" + (f", as in {_said(node)} > 0" if kind == "number" else ""), node.at)

    def kind(self, node: Node, scope: tuple[str, ...]) -> str:
        """Of which kind the value of a node is; any where only a subject can tell."""
        match node:
            case Literal(value):
                return "null" if value is None else {bool: "truth", str: "text", float: "number"}[type(value)]
            case ListOf(items):
                for item in items:
                    self.kind(item, scope)
                return "list"
            case Name(name):
                return self._name(node, name, scope)
            case Member(of, key):
                return self._member(node, of, key, scope)
            case Index(of, index):
                return self._index(of, index, scope)
            case Has(path):
                self.kind(path, scope)
                return "truth"
            case Not(operand):
                self.truth(operand, scope)
                return "truth"
            case Minus(operand):
                self._need("number", operand, scope, "- stands before numbers")
                return "number"
            case Junction(_, parts):
                for part in parts:
                    self.truth(part, scope)
                return "truth"
            case Choice(condition, yes, no):
                self.truth(condition, scope)
                kinds = {self.kind(yes, scope), self.kind(no, scope)}
                return kinds.pop() if len(kinds) == 1 else "any"
            case Operation(op):
                return self._operation(node, op, scope)
            case Call():
                return self._call(node, scope)
            case Macro():
                return self._macro(node, scope)

    def _name(self, node: Node, name: str, scope: tuple[str, ...]) -> str:
        if name in scope:
            return "any"
        if name in self._roots:
            self._fail(f"{name} has names behind a dot: write {name}.{self._example(name)}", node.at)
        near = difflib.get_close_matches(name, (*self._roots, *scope), 1)
        open_to_any = [root for root in self._roots if root not in ("scores", "subject")]
        meant = " or ".join(f"{root}.{self._example(root) if name in ROOTS else name}" for root in open_to_any)
        advice = f"did you mean {near[0]}?" if near else f"write {meant}"
        self._fail(f"{name} is not known here; {advice}", node.at)

    def _example(self, root: str) -> str:
        """A name behind a root, for messages."""
        return _EXAMPLES.get(root) or next(iter(self._roots[root]), "name")

    def _member(self, node: Node, of: Node, key: str, scope: tuple[str, ...]) -> str:
        if not (isinstance(of, Name) and of.name in self._roots and of.name not in scope):
            kind = self.kind(of, scope)
            if kind not in ("any", "map"):
                self._fail(f"{_said(of)} is {_SAYS[kind]}, and has no {key}", node.at)
            return "any"
        self.used.append(Used(of.name, key, of.at))
        kinds = self._roots[of.name]
        if isinstance(kinds, str):
            return kinds
        if key not in kinds:
            self._fail(f"{_LACKS.get(of.name, f'{of.name} has no')} {key}; {nearest(key, tuple(kinds))}", of.at)
        return kinds[key]

    def _index(self, of: Node, index: Node, scope: tuple[str, ...]) -> str:
        kind = self.kind(of, scope)
        if kind not in ("any", "list"):
            self._fail(f"{_said(of)} is {_SAYS[kind]}, and has no entries", index.at)
        if isinstance(index, Literal):
            value = index.value
            if not isinstance(value, float) or value < 0 or not value.is_integer():
                self._fail("an entry of a list has a whole number, from 0", index.at)
        elif self.kind(index, scope) not in ("any", "number", "text"):
            self._fail("an entry is asked for by its number, or by its name", index.at)
        return "any"

    def _operation(self, node: Operation, op: str, scope: tuple[str, ...]) -> str:
        if op == "in":
            return self._in(node, scope)
        left, right = self.kind(node.left, scope), self.kind(node.right, scope)
        both = f"{_said(node.left)} is {_SAYS[left]}, and {_said(node.right)} {_SAYS[right]}"
        known = "any" not in (left, right)
        if op in COMPARISONS:
            if known and left != right:
                if "null" in (left, right):
                    asked = node.left if right == "null" else node.right
                    self._fail(f"{_said(asked)} is never null: ask has({_said(asked)}) whether it is there", node.at)
                self._fail(f"{both}: they are never equal, and have no order", node.at)
            if op not in ("==", "!=") and {left, right} & {"truth", "null", "list"}:
                self._fail(f"{both}: these have no order; == and != are for them", node.at)
            return "truth"
        table: dict[tuple[str, str], str] = _ARITHMETIC[op]
        fitting = {gives for (one, other), gives in table.items() if left in (one, "any") and right in (other, "any")}
        if not fitting:
            self._fail(f"{both}: there is no {op} of them", node.at)
        return fitting.pop() if len(fitting) == 1 and (known or op in "*/") else "any"

    def _in(self, node: Operation, scope: tuple[str, ...]) -> str:
        left = self.kind(node.left, scope)
        right = node.right
        if isinstance(right, Name) and right.name in self._roots and right.name not in scope:
            if not isinstance(node.left, Literal) or not isinstance(node.left.value, str):
                example = self._example(right.name)
                self._fail(f'write the name in quotes, as in "{example}" in {right.name}', node.left.at)
            self.kind(Member(right, node.left.value, False, right.at), scope)
            return "truth"
        kind = self.kind(right, scope)
        if kind not in ("list", "any"):
            self._fail(f"{_said(right)} is {_SAYS[kind]}: expected a list behind in, such as ['a', 'b']", node.at)
        if isinstance(right, ListOf) and right.items:
            kinds = {self.kind(item, scope) for item in right.items}
            if left != "any" and not kinds & {left, "any"}:
                self._fail(f"{_said(node.left)} is {_SAYS[left]}, and the list has none", node.at)
        return "truth"

    def _call(self, node: Call, scope: tuple[str, ...]) -> str:
        forms = FUNCTIONS.get(node.function)
        if forms is None:
            self._fail(f"{node.function}() is not known; {nearest(node.function, (*FUNCTIONS, 'has'))}", node.at)
        for form in forms:
            if (form.target is None) == (node.target is None) and len(form.arguments) == len(node.arguments):
                break
        else:
            form = forms[0]
            inside = ", ".join(form.arguments)
            shown = f"{node.function}({inside})" if form.target is None else f"{form.target}.{node.function}({inside})"
            self._fail(f"{node.function}() is written otherwise: {shown}", node.at)
        given = list(zip(form.arguments, node.arguments, strict=True))
        if form.target is not None and node.target is not None:
            given.insert(0, (form.target, node.target))
        for wanted, part in given:
            self._need(wanted, part, scope, f"{node.function}() is for {_SAYS[wanted]}")
        if node.function == "matches" and not isinstance(node.arguments[0], Literal):
            self._fail("a pattern is a text in quotes, so that it can be checked", node.at)
        if node.function == "size" and self.kind(given[0][1], scope) in ("number", "truth", "null"):
            self._fail(f"{_said(given[0][1])} has no size", given[0][1].at)
        return form.gives

    def _macro(self, node: Macro, scope: tuple[str, ...]) -> str:
        kind = self.kind(node.over, scope)
        if kind not in ("list", "any"):
            self._fail(f"{_said(node.over)} is {_SAYS[kind]}, and {node.kind} goes through lists", node.at)
        if len(scope) >= MACROS_AT_MOST:
            self._fail(f"a rule goes through lists in lists {MACROS_AT_MOST} deep at most", node.at)
        if node.variable in (*ROOTS, *self._roots, *scope, *FUNCTIONS, "has"):
            self._fail(f"{node.variable} is taken: give the entries of the list another name", node.at)
        inner = (*scope, node.variable)
        for number, body in enumerate(node.bodies):
            if node.kind == "map" and number == len(node.bodies) - 1:
                self.kind(body, inner)
            else:
                self.truth(body, inner)
        return "list" if node.kind in ("map", "filter") else "truth"

    def _need(self, wanted: str, node: Node, scope: tuple[str, ...], why: str) -> None:
        kind = self.kind(node, scope)
        if kind not in (wanted, "any") and wanted != "any":
            self._fail(f"{_said(node)} is {_SAYS[kind]}, and {why}", node.at)

    def _fail(self, reason: str, at: int) -> NoReturn:
        raise refusal(self._text, at, reason, self._place)


def _said(node: Node) -> str:
    """A part of a rule in a message."""
    match node:
        case Literal(value):
            return f"{value:g}" if isinstance(value, float) else repr(value)[:60] if isinstance(value, str) else "this"
        case Name(name):
            return name
        case Member(of, key):
            return f"{_said(of)}.{key}"[:100]
        case Call(function):
            return f"{function}()"
        case _:
            return "this"
