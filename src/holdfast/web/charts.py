"""Charts as SVG, drawn by a library: runs by status over time, work items by what was done, costs, and sparklines.

A chart is a picture of its own that a page shows with <img>, in the colours of one theme. Colours are those of
``static/tokens.css``; a picture sees no style of the page.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import pygal  # type: ignore[import-untyped]
from pygal.style import Style  # type: ignore[import-untyped]

from holdfast.model.run import Status
from holdfast.web.text import money, number

# The library hangs a finder of its plugins into Python, in a form that Python has given up and warns of.
sys.meta_path[:] = [one for one in sys.meta_path if not isinstance(one, pygal.PluginImportFixer)]

Theme = Literal["light", "dark"]

COLOURS: dict[Theme, dict[str, str]] = {
    "light": {
        "text": "#5d6771", "line": "#e0e4e8", "main": "#0a6a62",
        "succeeded": "#2f9e54", "failed": "#d63b36", "cancelled": "#9aa4ae", "held": "#d98410",
    },
    "dark": {
        "text": "#949ea8", "line": "#262c32", "main": "#5fcabb",
        "succeeded": "#3f9f60", "failed": "#d8514b", "cancelled": "#59636d", "held": "#c4811f",
    },
}  # fmt: skip
"""By theme: the colours of text, guides, a plain line, and of what runs ended as."""

ENDS = (str(Status.SUCCEEDED), str(Status.CANCELLED), str(Status.FAILED))
"""How runs end, as they are stacked from below."""

HIGH = 170
SPARK_WIDE, SPARK_HIGH = 120, 26

_FONT = "system-ui,-apple-system,'Segoe UI',Roboto,sans-serif"


def ends_chart(labels: Sequence[str], ends: Mapping[str, Sequence[int]], theme: Theme, width: int = 700) -> bytes:
    """Runs that ended, stacked by how they did.

    Args:
        labels: the times of the bars, from left to right.
        ends: by status as many numbers.
        theme: whose colours.
        width: in pixels.
    """
    shown = [status for status in ENDS if status in ends]
    chart = _chart(pygal.StackedBar, theme, [COLOURS[theme][one] for one in shown], width, HIGH)
    chart.spacing = 10 if len(labels) < 30 else 6
    _label(chart, labels, width)
    for status in shown:
        chart.add(status, list(ends[status]))
    chart.y_labels = ticks(max((sum(column) for column in zip(*ends.values(), strict=True)), default=0))
    chart.value_formatter = number
    return _drawn(chart)


def work_chart(labels: Sequence[str], moves: Mapping[str, Sequence[int]], theme: Theme, width: int = 700) -> bytes:
    """Work items: bars side by side of what was completed, skipped and made.

    Args:
        labels: the times of the bars, from left to right.
        moves: by ``completed``, ``skipped`` and ``created`` as many numbers.
        theme: whose colours.
        width: in pixels.
    """
    shown = [move for move in ("completed", "skipped", "created") if move in moves]
    colours = {"completed": "succeeded", "skipped": "cancelled", "created": "main"}
    chart = _chart(pygal.Bar, theme, [COLOURS[theme][colours[one]] for one in shown], width, HIGH)
    chart.spacing = 10 if len(labels) < 30 else 6
    _label(chart, labels, width)
    for move in shown:
        chart.add(move, list(moves[move]))
    chart.y_labels = ticks(max((max(column) for column in zip(*moves.values(), strict=True)), default=0))
    chart.value_formatter = number
    return _drawn(chart)


def cost_chart(labels: Sequence[str], costs: Sequence[Decimal], theme: Theme, width: int = 700) -> bytes:
    """What models cost, bar by bar.

    Args:
        labels: the days of the bars, from left to right.
        costs: of each, in US dollars.
        theme: whose colours.
        width: in pixels.
    """
    chart = _chart(pygal.Bar, theme, [COLOURS[theme]["main"]], width, HIGH)
    chart.spacing = 10 if len(labels) < 30 else 6
    _label(chart, labels, width)
    chart.add("cost", [float(one) for one in costs])
    # As for whole numbers, of a size of which the highest has ten to a hundred.
    highest = max([*costs, Decimal(0)])
    size = Decimal(1).scaleb(highest.adjusted() - 1) if highest else Decimal(1)
    chart.y_labels = [float(one * size) for one in ticks(math.ceil(highest / size))]
    chart.value_formatter = lambda value: money(Decimal(f"{value:.6g}"))
    return _drawn(chart)


def _label(chart: Any, labels: Sequence[str], width: int) -> None:
    """Labels below the bars, one for every so many, so that they do not touch."""
    chart.x_labels = list(labels)
    each = max(1, -(-len(labels) * 68 // width))
    chart.x_labels_major = [label for place, label in enumerate(labels) if place % each == 0]
    chart.show_minor_x_labels = False


def spark_chart(values: Sequence[float], theme: Theme, colour: str = "main") -> bytes:
    """A line without axes, for a cell of a table."""
    chart = _chart(pygal.Line, theme, [COLOURS[theme].get(colour, COLOURS[theme]["main"])], SPARK_WIDE, SPARK_HIGH)
    chart.margin = chart.margin_top = 1
    chart.spacing = 0
    chart.fill, chart.show_dots, chart.show_x_labels, chart.show_y_labels = True, False, False, False
    chart.range = (0, max([*values, 1]))  # a line of nothing lies at the bottom, and not in the middle
    chart.add("", list(values))
    return _drawn(chart)


def ticks(highest: int) -> list[int]:
    """Round numbers for an axis: two to five, from 0 to the highest or beyond it."""
    if highest < 4:
        return list(range(max(highest, 1) + 1))
    step = 1
    while True:
        for factor in (1, 2, 5):
            if highest <= 4 * step * factor:
                return [one * step * factor for one in range(-(-highest // (step * factor)) + 1)]
        step *= 10


def _chart(kind: Any, theme: Theme, palette: Sequence[str], width: int, height: int) -> Any:
    # The library measures by this style; what it makes of it is replaced by ours.
    style = Style(colors=tuple(palette), label_font_size=11, major_label_font_size=11, font_family=_FONT)
    chart = kind(
        js=(), css=(), style=style, width=width, height=height, explicit_size=True, show_legend=False, margin=2,
        margin_top=8, truncate_label=-1, no_data_text="", disable_xml_declaration=True,
    )  # fmt: skip
    chart.add_xml_filter(lambda root: _painted(root, theme, palette))
    return chart


def _drawn(chart: Any) -> bytes:
    drawn: str = chart.render()
    return drawn.encode()


def _painted(root: Any, theme: Theme, palette: Sequence[str]) -> Any:
    """The picture in our colours, as attributes: no policy lets a style through that stands in it.

    Neither the library's script is left nor what it would show, the labels on hover.
    """
    colours = COLOURS[theme]
    for parent in list(root.iter()):
        for child in list(parent):
            name, classes = _name(child), (child.get("class") or "").split()
            if name in ("style", "script", "desc", "title", "") or "overlay" in (child.get("class") or ""):
                parent.remove(child)
            elif "axis" in classes and name == "g":
                across = "x" in classes
                for inside in list(child.iter()):
                    if _name(inside) == "text":
                        inside.set("text-anchor", "middle" if across else "end")
                    elif _name(inside) == "path" and across:
                        inside.set("opacity", "0")
    for element in root.iter():
        name, classes = _name(element), (element.attrib.pop("class", None) or "").split()
        place = next((one.removeprefix("color-") for one in classes if one.startswith("color-")), None)
        if place is not None:
            element.set("fill", palette[int(place)])
            element.set("stroke", palette[int(place)])
        if name == "text":
            element.set("fill", colours["text"])
        elif name == "rect":
            element.set("stroke", "none")
            if "background" in classes:
                element.set("fill", "none")
        elif name == "path" and "line" in classes and "reactive" in classes:
            element.set("fill-opacity", ".18")
            element.set("stroke-width", "1.5")
        elif name == "path":
            element.set("fill", "none")
            element.set("stroke", colours["line"])
    root.attrib.pop("id", None)
    root.set("font-family", _FONT)
    root.set("font-size", "11")
    return root


def _name(element: Any) -> str:
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""
