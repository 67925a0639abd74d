"""What is rare in rules, told by the library common-expression-language: regular expressions, instants, map, filter.

It is given the text of the part, in which every number is a floating point number, and of the subject no more than the
part asks for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from holdfast.errors import UsageError
from holdfast.model.calendars import date_of, days_until
from holdfast.model.rule_checks import FUNCTIONS, ROOTS
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
from holdfast.model.rule_nodes import parts as all_parts
from holdfast.model.rule_syntax import COMPARISONS, KEYWORDS, RESERVED


def truth_of(node: Node, scope: Mapping[str, int]) -> Callable[[list[Any]], bool]:
    """Whether a part of a rule holds, as a function of a list with the value of each name at its place in ``scope``.

    Raises:
        UsageError: the library is not installed, or does not take the part.
    """
    program = _compiled(written(node))
    names = sorted(_paths(node))
    variables = [(name, scope[name]) for name in _names(node) if name in scope and name not in ROOTS]
    today = len(ROOTS)
    asks_days = any(isinstance(part, Call) and part.function.startswith("days_") for part in all_parts(node))

    def told(env: list[Any]) -> bool:
        given: dict[str, Any] = {root: {} for root in ROOTS}
        for root, key in names:
            fields = env[scope[root]]
            if key in fields:
                given[root][key] = floated(fields[key])
        for name, slot in variables:
            given[name] = floated(env[slot])
        try:
            return program.execute(context(given, env[today]) if asks_days else given) is True
        except Exception:
            return False  # it cannot be told: a name is absent, or of another kind

    return told


_TRIALS: dict[str, tuple[str, str]] = {
    "matches": ("''.matches({})", "this is no regular expression"),
    "timestamp": ("timestamp({})", "this is no instant: write it as in timestamp('2026-01-31T00:00:00Z')"),
    "duration": ("duration({})", "this is no span of time: write it as in duration('1h30m')"),
}


def constant_fault(node: Call) -> str | None:
    """What is wrong with a constant that a function is given; None if nothing is, or it is none."""
    trial = _TRIALS.get(node.function)
    constant = node.arguments[0] if trial is not None else None
    if trial is None or not isinstance(constant, Literal):
        return None
    try:
        _compiled(trial[0].format(_literal(constant.value))).execute({})
    except UsageError:
        raise
    except Exception:
        return trial[1]
    return None


def _compiled(text: str) -> Any:
    try:
        import cel  # here: it loads slowly, and few rules need it
    except ImportError:
        raise UsageError(
            "this rule needs a library: pip install 'holdfast[work]', or 'holdfast[intake]' for sources alone"
        ) from None
    try:
        return cel.compile(text)
    except ValueError as error:
        raise UsageError(f"the library that tells this rule does not take {text!r:.200}: {error}") from error


def context(given: dict[str, Any], today: date) -> Any:
    """What the library is given where a part asks for days: the values, and our functions."""
    import cel

    def day_of(value: object) -> date | None:
        return date_of(value) if isinstance(value, str) else None

    def until(value: object) -> float:
        # Never an error, which the library would log with the value; `written` asks is_day() first.
        return math.nan if (day := day_of(value)) is None else float(days_until(day, today))

    functions = {
        "days_until": until,
        "days_since": lambda value: -until(value),
        "is_day": lambda value: day_of(value) is not None,
    }
    return cel.Context(variables=given, functions=functions)


def floated(value: Any) -> Any:
    """A value with each number in it a float."""
    if type(value) is int:
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    if type(value) is list:
        return [floated(part) for part in value]
    if type(value) is dict:
        return {key: floated(part) for key, part in value.items()}
    return value


def written(node: Node, guarded: bool = False) -> str:
    """The text of a part of a rule, for the library.

    Args:
        node: the part.
        guarded: inside a macro, where a comparison of what is absent is to be false rather than an error.
    """
    match node:
        case Literal(value):
            return _literal(value)
        case ListOf(items):
            return f"[{', '.join(written(item, guarded) for item in items)}]"
        case Name(name):
            return name
        case Member(of, key):
            plain = key.isidentifier() and key.isascii() and key not in KEYWORDS | RESERVED
            return f"{written(of, guarded)}.{key}" if plain else f"{written(of, guarded)}[{_literal(key)}]"
        case Index(of, index):
            number = index.value if isinstance(index, Literal) else None
            inside = str(int(number)) if isinstance(number, float) else _index(index, guarded)
            return f"{written(of, guarded)}[{inside}]"
        case Has(path):
            return f"has({written(path.of, guarded)}.{path.key})"
        case Not(operand):
            return f"!({written(operand, guarded)})"
        case Minus(operand):
            return f"-({written(operand, guarded)})"
        case Junction(op, parts):
            return "(" + f" {op} ".join(written(part, guarded) for part in parts) + ")"
        case Choice(condition, yes, no):
            return (
                "("
                + " ".join((written(condition, guarded), "?", written(yes, guarded), ":", written(no, guarded)))
                + ")"
            )
        case Operation(op, left, right):
            text = f"({written(left, guarded)} {op} {written(right, guarded)})"
            guards = _guards(node, guarded) if op in COMPARISONS or op == "in" else []
            return "(" + " && ".join((*guards, text)) + ")" if guards else text
        case Macro(kind, over, variable, bodies):
            inside = ", ".join((variable, *(written(body, True) for body in bodies)))
            return f"{written(over, guarded)}.{kind}({inside})"
        case Call(function, arguments, target):
            inside = ", ".join(written(part, guarded) for part in arguments)
            text = f"{function}({inside})" if target is None else f"{written(target, guarded)}.{function}({inside})"
            return f"double({text})" if FUNCTIONS[function][0].whole else text


def _index(node: Node, guarded: bool) -> str:
    text = written(node, guarded)
    return f"(type({text}) == double ? int({text}) : {text})"


def _literal(value: float | str | bool | None) -> str:
    if isinstance(value, str):
        plain = (one if one.isprintable() and one not in "\\'" else f"\\U{ord(one):08x}" for one in value)
        return f"'{''.join(plain)}'"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(float(value)) if value >= 0 else f"({value!r})"


def _guards(node: Node, names: bool) -> list[str]:
    """What has to hold for a comparison to be told: that a date is one, and that each name in it is there, if asked."""
    found: dict[str, None] = {}
    for part in all_parts(node, into=(Operation, Member, Index, Minus, Call, ListOf)):
        if names and isinstance(part, Member) and part.key.isidentifier() and part.key not in KEYWORDS | RESERVED:
            found[f"has({written(part)})"] = None
        elif isinstance(part, Call) and part.function in ("days_until", "days_since"):
            found[f"is_day({written(part.arguments[0], names)})"] = None
    return sorted(found, key=len)


def _names(node: Node) -> set[str]:
    return {part.name for part in all_parts(node) if isinstance(part, Name)}


def _paths(node: Node) -> set[tuple[str, str]]:
    """The names behind a root that a part asks for."""
    found = set()
    for part in all_parts(node):
        if isinstance(part, Member) and isinstance(part.of, Name) and part.of.name in ROOTS:
            found.add((part.of.name, part.key))
        elif isinstance(part, Operation):
            match part.left, part.right:
                case Literal(str(key)), Name(root) if root in ROOTS:
                    found.add((root, key))
    return found
