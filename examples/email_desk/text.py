"""Plain text out of what mail contains: unsafe characters, HTML, quoted history, signatures."""

from __future__ import annotations

import re
import unicodedata
from html import unescape

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_SPACED = frozenset("\n\t")
_REORDERING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BREAKS = frozenset(
    {"address", "blockquote", "br", "div", "h1", "h2", "h3", "h4", "hr", "li", "p", "pre", "table", "tr"}
)
_HIDDEN = frozenset({"head", "script", "style", "title"})
_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)\b[^<>]*>|<[!?/][^<>]*>", re.IGNORECASE)
_LOOKS_LIKE_HTML = re.compile(r"\s*<(?:!doctype|html|body|div|p|table)\b", re.IGNORECASE)

# Where the history of a conversation begins below somebody's own words.
_HISTORY = re.compile(
    r"(?:>|-{2,}\s*(?:original message|forwarded message|weitergeleitete nachricht)|on .{4,120} wrote:\s*$|_{10,}\s*$)",
    re.IGNORECASE,
)
_FORWARDED_HEADER = re.compile(r"(?:from|von|de):\s.*@", re.IGNORECASE)


def clean(text: str) -> str:
    """Text without what a terminal, a JSON document or a header cannot carry.

    Bytes that a header smuggled through as surrogates are read as UTF-8 where they are UTF-8. Line ends become
    ``\\n``; control characters other than tab go, and those that reorder what a reader sees.
    """
    text = text.encode("utf-8", "surrogateescape" if _only_escapes(text) else "replace").decode("utf-8", "replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(
        c for c in text if c in _SPACED or (unicodedata.category(c) not in {"Cc", "Cs"} and c not in _REORDERING)
    )


def one_line(text: str, limit: int = 500) -> str:
    """``text`` cleaned, on one line, of at most ``limit`` characters."""
    line = " ".join(clean(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def looks_like_html(text: str) -> bool:
    """Whether text that says it is plain is HTML all the same."""
    return bool(_LOOKS_LIKE_HTML.match(text))


def html_to_text(html: str) -> str:
    """The readable text of an HTML document, broken ones included.

    Not by ``html.parser``, which takes quadratic time over tags that never end; this takes linear time over anything.
    """
    pieces: list[str] = []
    hidden = 0
    end = 0
    html = _without_comments(html)
    for tag in _TAG.finditer(html):
        if not hidden:
            pieces.append(unescape(html[end : tag.start()]))
        end = tag.end()
        name = (tag[2] or "").lower()
        if name in _HIDDEN:
            hidden = max(0, hidden - 1) if tag[1] else hidden + 1
        elif name == "body":  # a head that was never closed must not swallow the message
            hidden = 0
        elif name in _BREAKS:
            pieces.append("\n")
    if not hidden:
        pieces.append(unescape(html[end:]))
    lines = (" ".join(line.split()) for line in "".join(pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def split_history(text: str) -> tuple[str, str]:
    """The sender's own words, and the history quoted below or between them.

    Returns:
        Both stripped; a signature below ``--`` belongs to neither.
    """
    own: list[str] = []
    history: list[str] = []
    below = False
    for line in text.split("\n"):
        if not below and line.rstrip() == "--":
            break
        quoted = bool(_HISTORY.match(line)) or (bool(own) and bool(_FORWARDED_HEADER.match(line)))
        if quoted and not line.startswith(">"):
            below = True
        if below or quoted:
            history.append(line.lstrip("> "))
        else:
            own.append(line)
    return "\n".join(own).strip(), "\n".join(history).strip()


def is_garbage(text: str) -> bool:
    """Whether more than a tenth of the characters are such that no one wrote them: random bytes have 13 %."""
    bad = sum(c == REPLACEMENT or (c not in "\r\n\t\f" and unicodedata.category(c) in {"Cc", "Cs"}) for c in text)
    return bad * 10 > len(text)


def _only_escapes(text: str) -> bool:
    return all(not 0xD800 <= ord(c) <= 0xDFFF or 0xDC80 <= ord(c) <= 0xDCFF for c in text)


def _without_comments(html: str) -> str:
    kept: list[str] = []
    end = 0
    while (start := html.find("<!--", end)) >= 0 and (stop := html.find("-->", start)) >= 0:
        kept.append(html[end:start])
        end = stop + 3
    kept.append(html[end:])
    return "".join(kept)
