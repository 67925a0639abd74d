"""The dashboard: pages that work without scripts and are live with them.

How a page is made, from ``web/pages/queues.py`` with ``web/templates/pages/queues.html``:

    site = Section("queues")                                    # the entry of the navigation that it lights up

    @site.get("/queues")
    async def queues(page: Page) -> Response:
        return page.render("pages/queues.html", title="Queues and lanes", queues=await page.client.queues())

    @site.post("/queues")
    async def change(page: Page) -> Response:
        form = await page.form(Role.OPERATOR, shared=True)      # refuses viewers (403) and a wrong CSRF token
        name, total = form.text("name"), form.integer("total", least=1)
        if form.sound:
            with form.refusals():                               # an error of holdfast stands at the head of the form
                await page.client.set_queue(name, total=total)
                return page.done("/queues", f"Queue {name} executes at most {total} runs")
        return page.render("pages/queues.html", title="Queues and lanes", ...)   # 422, each error at its field

``page.client`` is the client of whoever asks, ``page.work`` their work queue, and ``page.conversations`` are their
conversations.

Every file in ``web/pages`` that has a ``site`` is found. Addresses are written from the dashboard's root;
``page.url()``, and ``url()`` in templates, put the folder in front under which it is mounted.

Templates extend ``base.html`` and fill the blocks ``actions`` (buttons beside the title) and ``content``. They see
``page``, ``url``, ``live`` and the macros of ``components.html`` as ``ui``. Everything is escaped; an unknown name is
an error. A strict policy forbids inline scripts and styles, ``style="…"`` too: use a class, or an attribute of SVG.

A part that is kept live is a block of its own inside an element with ``live()``:

    <div {{ live("rows", url("/api/v1/live/queues")) }}>{% block rows %}…{% endblock %}</div>

When the stream (server-sent events) says that something changed, ``static/live.js`` asks for the page's own address
again with the header ``Holdfast-Fragment: rows``, is given that block alone, and moves the element over to it: what has
focus keeps it, open ``details`` stay open. A list's items that come and go have a ``data-key``. A block sees what the
handler gave and no ``{% set %}`` outside of it; a handler may look at ``page.fragment`` and leave out what is not in
that block.

A button that asks first is ``ui.action(href, label)``, a link to a page that extends ``dialog.html`` and has its form
in the block ``dialog``; with scripts that block opens as a dialog on the page where one is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.web.app import create_app

__all__ = ["create_app"]


def __getattr__(name: str) -> object:
    # Importing holdfast must not need FastAPI.
    if name == "create_app":
        from holdfast.web.app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
