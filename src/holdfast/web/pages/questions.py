"""Questions that are asked before something is done: a text, and the button that does it."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import Response

from holdfast.web.page import Page


def question(
    page: Page,
    title: str,
    *,
    text: str,
    to: str,
    label: str,
    back: str,
    kind: str = "primary",
    fields: Mapping[str, str] | None = None,
) -> Response:
    """A page, or a dialog on the page where one is, that asks.

    Args:
        title: the question.
        text: what will come of it.
        to: the path that the form is posted to.
        label: on the button that does it.
        back: where one goes who leaves it.
        kind: of the button: primary or danger.
        fields: what the form sends.
    """
    return page.render(
        "pages/question.html", title=title, text=text, to=to, label=label, back=back, kind=kind, fields=fields or {}
    )
