"""The syntax of rules: a text in the Common Expression Language (CEL) to a tree, with the place of each part of it.

All of CEL but maps, messages, bytes and unsigned numbers, which no rule has a use for. Every number is a floating point
number, as those of JSON are, so that ``signals.usage > 50`` needs no decimal point.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple, NoReturn
from unicodedata import east_asian_width

from holdfast.errors import RuleError, UsageError
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
    children,
)

MAX_RULE_CHARACTERS = 2_000
MAX_DEPTH = 50
MAX_LIST_VALUES = 500
MAX_WHOLE_NUMBER = 2**53
"""The largest whole number, of either sign: up to here a float is exact."""

MACROS = {"exists": (1,), "all": (1,), "exists_one": (1,), "filter": (1,), "map": (1, 2)}
"""What goes through a list, and how many expressions each has behind its variable."""

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
RESERVED = frozenset({
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
    "namespace", "return", "var", "void", "while",
})  # fmt: skip
KEYWORDS = frozenset({"true", "false", "null", "in"})


def parse(text: object, place: str = "rule") -> Node:
    """A rule's tree.

    Args:
        text: at most 2,000 characters, nested at most 50 deep.
        place: what the rule is called in messages.

    Raises:
        RuleError: it cannot be read; the message shows the place and says what to write.
        UsageError: it is not a text.
    """
    if not isinstance(text, str):
        raise UsageError(f"{place} is {text!r:.100}; give a text such as 'signals.usage_score < 50'")
    if len(text) > MAX_RULE_CHARACTERS:
        reason = f"the rule has {len(text):,} characters, and at most {MAX_RULE_CHARACTERS:,} are read"
        raise refusal(text, MAX_RULE_CHARACTERS, reason, place)
    if (bad := re.search("[\0\ud800-\udfff]", text)) is not None:
        what = "a NUL character" if bad[0] == "\0" else "half of a surrogate pair"
        raise refusal(text, bad.start(), f"here is {what}: leave it out", place)
    return _Parser(text, place).rule()


def refusal(text: str, at: int, reason: str, place: str = "rule") -> RuleError:
    """The error that shows a line of a rule, or of a long one the part around the place, with a caret below."""
    first = text.rfind("\n", 0, at) + 1
    last = text.find("\n", at)
    last = len(text) if last < 0 else last
    start, end = max(first, at - 60), min(last, at + 40)
    shown = "".join(one if one.isprintable() else " " for one in text[start:end])
    before = "..." if start > first else ""
    pad = "".join("  " if east_asian_width(one) in "WF" else " " for one in before + shown[: at - start])
    line, column = text.count("\n", 0, at) + 1, at - first + 1
    after = "..." if end < last else ""
    said = f"{place}: {reason} (line {line}, column {column})\n    {before}{shown}{after}\n    {pad}^"
    return RuleError(said, line=line, column=column)


class _Token(NamedTuple):
    """A piece of a rule. ``kind``: text, number, word, sign or end."""

    kind: str
    text: str
    at: int


_TOKENS = re.compile(
    r"""(?:\s|//[^\n]*)*+(?:
        (?P<text>[rR]?(?:'''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\"|'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+"))
        | (?P<number>0[xX][0-9a-fA-F]+|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
        | (?P<word>[A-Za-z_][A-Za-z0-9_]*)
        | (?P<sign>&&|\|\||==|!=|<=|>=|[-<>!?:+*/%()\[\]{},.])
        | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL,
)
_BLANK = re.compile(r"(?:\s|//[^\n]*)*+")
_BEHIND_NUMBER = re.compile(r"%|[\w.]+")
_RAW = re.compile(r"""[rR]('''|\"\"\"|'|")""")
_ESCAPE = re.compile(
    r"""\\(?:x([0-9a-fA-F]{2})|X([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))""", re.DOTALL
)
_ESCAPED = dict(zip("abfnrtv\\'\"`?", "\a\b\f\n\r\t\v\\'\"`?", strict=True))
_MEANT = {
    "and": "&&", "AND": "&&", "or": "||", "OR": "||", "not": "!", "NOT": "!", "is": "==", "IN": "in",
    "True": "true", "TRUE": "true", "False": "false", "FALSE": "false", "None": "null", "NULL": "null",
}  # fmt: skip
_MEANT_SIGNS = {
    "=": "==", "&": "&&", "|": "||", "≥": ">=", "≤": "<=", "≠": "!=", "“": '"', "”": '"', "„": '"', "‘": "'",
    "’": "'", "−": "-", "–": "-", "×": "*", "÷": "/", "~": "matches()",
}  # fmt: skip


class _Parser:
    """Reads one rule from left to right, a method for each rule of the grammar."""

    def __init__(self, text: str, place: str) -> None:
        self._text = text
        self._place = place
        self._depth = 0
        self._last = 0
        self._tokens = self._split()
        self._token = next(self._tokens)

    def rule(self) -> Node:
        if self._token.kind == "end":
            self._fail("the rule is empty: write what holds, such as signals.usage_score < 50")
        node = self._expression()
        if self._token.kind != "end":
            self._fail_behind()
        stack: list[tuple[Node, int]] = [(node, 1)]
        while stack:
            part, depth = stack.pop()
            if depth > MAX_DEPTH:
                self._fail(f"the rule is nested more than {MAX_DEPTH} deep here: make it flatter", part.at)
            stack += ((child, depth + 1) for child in children(part))
        return node

    def _expression(self) -> Node:
        self._enter()
        node = self._junction("||")
        if self._sign("?"):
            at = self._last
            yes = self._junction("||")
            self._expect(":", "expected : and what holds otherwise")
            node = Choice(node, yes, self._expression(), at)
        self._depth -= 1
        return node

    def _junction(self, op: str) -> Node:
        parts = [self._junction("&&") if op == "||" else self._relation()]
        at = self._token.at
        while self._sign(op):
            parts.append(self._junction("&&") if op == "||" else self._relation())
        return parts[0] if len(parts) == 1 else Junction(op, tuple(parts), at)

    def _relation(self) -> Node:
        node = self._sum()
        if (op := self._relates()) is None:
            return node
        at = self._last
        node = Operation(op, node, self._sum(), at)
        token = self._token
        if self._relates() is not None:
            self._fail("a comparison has two sides: join two of them with &&, as in 1 < x && x < 5", token.at)
        return node

    def _relates(self) -> str | None:
        token = self._token
        if (token.kind == "sign" and token.text in COMPARISONS) or (token.kind == "word" and token.text == "in"):
            self._advance()
            return token.text
        return None

    def _sum(self) -> Node:
        node = self._product()
        while self._token.kind == "sign" and self._token.text in ("+", "-"):
            op, at = self._token.text, self._token.at
            self._advance()
            node = Operation(op, node, self._product(), at)
        return node

    def _product(self) -> Node:
        node = self._unary()
        while self._token.kind == "sign" and self._token.text in ("*", "/", "%"):
            op, at = self._token.text, self._token.at
            if op == "%":
                self._fail("% is for whole numbers, and these are none: leave it out; 5% is written 5")
            self._advance()
            node = Operation(op, node, self._unary(), at)
        return node

    def _unary(self) -> Node:
        token = self._token
        for sign, kind in (("!", Not), ("-", Minus)):
            if not self._sign(sign):
                continue
            self._enter()
            again = self._token.kind == "sign" and self._token.text == sign
            if sign == "-" and self._token.kind == "number":
                node = self._member(Literal(-self._number(), token.at))
            else:
                inner = self._unary() if again else self._member(self._primary())
                node = kind(inner, token.at)
            self._depth -= 1
            return node
        return self._member(self._primary())

    def _member(self, node: Node) -> Node:
        while True:
            at = self._token.at
            if self._sign("."):
                node = self._dotted(node, at)
            elif self._sign("["):
                key = self._expression()
                self._expect("]", "expected a closing bracket: ]")
                if isinstance(key, Literal) and isinstance(key.value, str):
                    node = Member(node, key.value, False, at)
                else:
                    node = Index(node, key, at)
            else:
                return node

    def _dotted(self, node: Node, at: int) -> Node:
        token = self._token
        if token.kind != "word":
            self._fail("expected a name behind the dot")
        if token.text in KEYWORDS:
            self._fail(f'{token.text} is a word of the language: write ["{token.text}"] instead of the dot')
        self._advance()
        if not self._sign("("):
            return Member(node, token.text, True, at)
        arguments = self._items(")")
        if token.text not in MACROS:
            return Call(token.text, arguments, node, token.at)
        counts = MACROS[token.text]
        if len(arguments) - 1 not in counts or not isinstance(arguments[0], Name):
            self._fail(
                f"{token.text} goes through a list: write a name for its entries, a comma, and what is asked of each, "
                f'as in subject.contacts.{token.text}(c, c.name == "Ann")',
                token.at,
            )
        return Macro(token.text, node, arguments[0].name, arguments[1:], token.at)

    def _primary(self) -> Node:
        token = self._token
        if token.kind == "number":
            return Literal(self._number(), token.at)
        if token.kind == "text":
            value = self._string(token)
            self._advance()
            return Literal(value, token.at)
        if token.kind == "word":
            return self._word(token)
        if self._sign("("):
            node = self._expression()
            self._expect(")", "expected a closing parenthesis: )")
            return node
        if self._sign("["):
            items = self._items("]")
            if len(items) > MAX_LIST_VALUES:
                self._fail(f"the list has {len(items):,} values, and at most {MAX_LIST_VALUES} are read", token.at)
            return ListOf(items, token.at)
        if token.text == "{":
            self._fail("a rule has no maps: leave the braces out")
        self._fail("expected a value: a name such as signals.usage_score, a number, a text in quotes, true or false")

    def _word(self, token: _Token) -> Node:
        self._advance()
        match token.text:
            case "true" | "false":
                return Literal(token.text == "true", token.at)
            case "null":
                return Literal(None, token.at)
            case "in":
                self._fail("expected a value before in", token.at)
        if token.text in _MEANT and not (self._token.kind == "sign" and self._token.text in ".["):
            self._fail(f"write {_MEANT[token.text]} instead of {token.text}", token.at)
        if token.text in RESERVED:
            self._fail(f"{token.text} is a reserved word, and names nothing", token.at)
        if token.text in ("b", "B") and self._token.kind == "text" and self._token.at == token.at + 1:
            self._fail("a rule has no bytes: leave the b before the quote out", token.at)
        if not self._sign("("):
            return Name(token.text, token.at)
        arguments = self._items(")")
        if token.text != "has":
            return Call(token.text, arguments, None, token.at)
        path = arguments[0] if len(arguments) == 1 else None
        if not isinstance(path, Member):
            self._fail("has() asks for one name with a dot in it, as in has(signals.usage_score)", token.at)
        if not path.dotted:
            self._fail(f'has() asks for a name behind a dot: write "{path.key}" in what stands before it', path.at)
        return Has(path, token.at)

    def _items(self, closing: str) -> tuple[Node, ...]:
        items: list[Node] = []
        while not self._sign(closing):
            items.append(self._expression())
            if not self._sign(","):
                self._expect(closing, f"expected a comma or {closing}")
                break
        return tuple(items)

    def _number(self) -> float:
        token = self._token
        digits = token.text
        hexadecimal = digits[:2] in ("0x", "0X")
        if (digits.isdigit() or hexadecimal) and int(digits, 16 if hexadecimal else 10) > MAX_WHOLE_NUMBER:
            self._fail(f"whole numbers are compared up to 2**53 ({MAX_WHOLE_NUMBER:,}) only")
        value = float(int(digits, 16)) if hexadecimal else float(digits)
        if not math.isfinite(value):
            self._fail("the number is too large")
        end = token.at + len(digits)
        rest = _BEHIND_NUMBER.match(self._text, end)
        self._advance()
        if rest is not None and rest[0] in ("u", "U"):
            self._fail("a rule has no unsigned numbers: leave the u out", end)
        if rest is not None and rest[0] == "%":
            self._fail("leave the % out: percent are plain numbers", end)
        if rest is not None and rest[0] != "in":
            self._fail("this is no number: write it as in 12, 0.5, 10000 or 1e9", token.at)
        return value

    def _string(self, token: _Token) -> str:
        raw = _RAW.match(token.text)
        quoted = token.text[1:] if raw else token.text
        width = 3 if quoted[:3] in ("'''", '"""') and len(quoted) >= 6 else 1
        inner = quoted[width:-width]
        start = token.at + len(token.text) - len(quoted) + width
        if raw:
            return inner

        def unescaped(escape: re.Match[str]) -> str:
            short, shorter, four, eight, octal, one = escape.groups()
            if one is not None and one not in _ESCAPED:
                self._fail(f"\\{one} means nothing in a text: write \\\\ for a backslash", start + escape.start())
            if one is not None:
                return _ESCAPED[one]
            code = int(octal, 8) if octal is not None else int(short or shorter or four or eight, 16)
            if 0xD800 <= code < 0xE000 or code > 0x10FFFF or code == 0:
                self._fail("there is no such character", start + escape.start())
            return chr(code)

        return _ESCAPE.sub(unescaped, inner)

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(f"the rule is nested more than {MAX_DEPTH} deep from here on: make it flatter")

    def _sign(self, sign: str) -> bool:
        found = self._token.kind == "sign" and self._token.text == sign
        if found:
            self._advance()
        return found

    def _expect(self, sign: str, reason: str) -> None:
        if not self._sign(sign):
            self._fail_behind(reason)

    def _advance(self) -> None:
        self._last = self._token.at
        self._token = next(self._tokens)

    def _split(self) -> Iterator[_Token]:
        end = 0
        while True:
            found = _TOKENS.match(self._text, end)
            if found is None or found.lastgroup is None:
                blank = _BLANK.match(self._text, end)
                self._fail_character(end if blank is None else blank.end())
            yield _Token(found.lastgroup, found[found.lastgroup], found.start(found.lastgroup))
            end = found.end()

    def _fail_character(self, at: int) -> NoReturn:
        one = self._text[at]
        if one in "'\"":
            self._fail("this quote is never closed: a text ends on its line", at)
        if one in _MEANT_SIGNS:
            self._fail(f"write {_MEANT_SIGNS[one]} instead of {one}", at)
        self._fail("this character means nothing here; texts stand in quotes", at)

    def _fail_behind(self, reason: str = "expected &&, ||, a comparison, or the end") -> NoReturn:
        """Refuse what stands behind a complete expression."""
        token = self._token
        if token.kind == "word" and token.text in _MEANT:
            self._fail(f"write {_MEANT[token.text]} instead of {token.text}")
        if token.text == ")":
            self._fail("there is no ( that this parenthesis closes" if reason.endswith("end") else reason)
        if token.text == "!":
            self._fail("write != for not equal, or && ! to join")
        self._fail(reason)

    def _fail(self, reason: str, at: int | None = None) -> NoReturn:
        raise refusal(self._text, self._token.at if at is None else at, reason, self._place)
