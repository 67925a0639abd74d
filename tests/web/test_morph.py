"""How a part of a page is moved over to new content: what stays the same element, and what people did to it."""

from __future__ import annotations

import json
from typing import Any

from playwright.async_api import Page

from holdfast.web.assets import asset
from tests.web.conftest import System

ROWS = '<table class="t"><tbody>{}</tbody></table>'


def row(key: str, word: str) -> str:
    return f'\n<tr data-key="{key}"><td><a href="#{key}">{key}</a> <input type="checkbox"></td><td>{word}</td></tr>\n'


async def morphed(page: Page, before: str, meanwhile: str, after: str) -> Any:
    """Put content in, do something to it, move it over; gives what came of it."""
    return await page.evaluate(
        f"""async () => {{
            const {{ morph }} = await import({json.dumps(asset("morph.js"))});
            const place = document.createElement("div");
            document.querySelector("main").replaceChildren(place);
            place.innerHTML = {json.dumps(before)};
            place.querySelectorAll("*").forEach((one, number) => {{ one.stamp = number; }});
            {meanwhile}
            morph(place, {json.dumps(after)});
            return {{
                html: place.innerHTML.replace(/\\s+/g, " ").replace(/> </g, "><").trim(),
                stamps: Object.fromEntries(
                    [...place.querySelectorAll("[data-key]")].map((one) => [one.dataset.key, one.stamp ?? null])),
                focus: document.activeElement.getAttribute("href"),
                checked: [...place.querySelectorAll("input:checked")]
                    .map((one) => one.closest("[data-key]").dataset.key),
                open: [...place.querySelectorAll("details")].map((one) => one.open),
                typed: [...place.querySelectorAll("input[type=text], textarea")].map((one) => one.value),
            }};
        }}"""
    )


async def test_rows_keep_their_focus_and_ticks_whatever_comes_and_goes(system: System, page: Page) -> None:
    await page.goto(f"{system.address}/keys")
    before = "\n" + ROWS.format(row("a", "1") + row("b", "1") + row("c", "1"))
    doing = "place.querySelector('[data-key=b] input').checked = true; place.querySelector('[data-key=b] a').focus();"
    for after in (
        ROWS.format(row("b", "2")),
        ROWS.format(row("n", "1") + row("a", "2") + row("b", "2") + row("c", "2")),
        "\n\n" + ROWS.format(row("c", "1") + row("b", "2") + row("a", "1")),
        f'<p class="new">new</p>{ROWS.format(row("b", "2") + row("m", "1"))}<p>more</p>',
    ):
        found = await morphed(page, before, doing, after)
        wanted = after.replace("\n", "").replace('data-key="n"', 'data-key="n" class="live-new"')
        assert found["html"] == wanted.replace('data-key="m"', 'data-key="m" class="live-new"').replace("> <", "><")
        assert (found["focus"], found["checked"]) == ("#b", ["b"])
        assert found["stamps"]["b"] is not None


async def test_folds_and_what_was_typed_stay(system: System, page: Page) -> None:
    await page.goto(f"{system.address}/keys")
    part = '<details{}><summary>s</summary><input type="text" value="{}"><textarea>{}</textarea></details>'
    doing = (
        "place.querySelector('details').open = true;"
        "place.querySelector('input').value = 'typed'; place.querySelector('textarea').value = 'typed';"
    )
    found = await morphed(page, part.format("", "x", "x"), doing, part.format("", "y", "y") + "<b>more</b>")
    assert found["open"] == [True]
    assert found["typed"] == ["typed", "typed"]


async def test_another_kind_of_element_is_put_in_and_not_made_of_what_was_there(system: System, page: Page) -> None:
    await page.goto(f"{system.address}/keys")
    found = await morphed(
        page, '<div class="head">h</div><div class="table">t</div>', "", '<div class="empty">e</div><pre> a \n b </pre>'
    )
    assert found["html"] == '<div class="empty">e</div><pre> a b </pre>'
    found = await morphed(page, '<p><span class="queued">q</span></p>', "", '<p><span class="running">r</span></p>')
    assert found["html"] == '<p><span class="running">r</span></p>'
