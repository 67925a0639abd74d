"""Dependencies: an item waits for other items and for runs, is hidden as long, and is due as much later."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from holdfast.errors import IllegalMove, ItemChanged, UsageError
from holdfast.model.expressions import Const
from holdfast.model.work import FINAL
from holdfast.store.work_rows import ItemRow, LinkRow
from holdfast.workqueue import moves
from holdfast.workqueue.items import Items
from holdfast.workqueue.part import TRIES
from holdfast.workqueue.showing import link_view
from holdfast.workqueue.views import LinksView, LinkView

LINKS_AT_MOST = 100
"""So many others may one item wait for."""

LOOK_AT_MOST = 10_000
"""So many items are looked at for a circle."""

WAITED_FOR = ("ask", "hold")
"""The kinds of items that a run waits for."""


class Linking(Items):
    """The part of a work queue that has to do with what waits for what."""

    async def depend(self, id: str, *, on: str | None = None, on_run: str | None = None) -> LinksView:
        """Let an item wait: it is in no queue until what it waits for has ended, and then due as much later.

        Args:
            id: the item that is to wait.
            on: the id of an item that is done first, whether it is completed or skipped.
            on_run: or the id of a run that ends first, however it ends.

        Returns:
            What the item waits for now, and what waits for it. What has ended already is waited for no more.

        Raises:
            UsageError: neither or both of ``on`` and ``on_run`` are given, or they would wait for one another.
            ItemNotFound: there is no such item.
            RunNotFound: there is no such run.
            IllegalMove: the item has ended.
        """
        link, row = await self._link(id, on, on_run)
        if row.status in FINAL:
            raise IllegalMove(f"item {id!r} has ended: it is {row.status}, and waits for nothing", item_id=id,
                              status=row.status)  # fmt: skip
        there = await self._patiently(self._work.links_of(self.tenant, [row.uid]))
        if len(there) >= LINKS_AT_MOST:
            raise UsageError(f"item {id!r} waits for {len(there)} others; at most {LINKS_AT_MOST} are possible")
        await self._refuse_circle(row, link)
        await self._patiently(self._work.put_links([link]))
        try:
            # Somebody may have made the other half of a circle meanwhile.
            await self._refuse_circle(row, link)
        except UsageError:
            await self._patiently(self._work.delete_links([link]))
            raise
        await self._look_at_links(id)
        await self._record("item.depend", id, on=on, on_run=on_run)
        return await self.links(id)

    async def undepend(self, id: str, *, on: str | None = None, on_run: str | None = None) -> LinksView:
        """Let an item wait for another, or for a run, no more.

        Args:
            id: the item that waits.
            on: the id of the item that it waits for.
            on_run: or the id of the run.

        Raises:
            UsageError: neither or both of ``on`` and ``on_run`` are given.
            ItemNotFound: there is no such item.
        """
        link, _ = await self._link(id, on, on_run, known=False)
        await self._patiently(self._work.delete_links([link]))
        await self._look_at_links(id)
        await self._record("item.undepend", id, on=on, on_run=on_run)
        return await self.links(id)

    async def links(self, id: str) -> LinksView:
        """What an item waits for, and what waits for it.

        Raises:
            ItemNotFound: there is no such item.
        """
        row = await self._item(id)
        above = await self._patiently(self._looks.links_of(self.tenant, [row.uid]))
        below = await self._patiently(self._looks.links_on(self.tenant, [row.uid]))
        uids = {link.on_item for link in above if link.on_item is not None} | {link.item for link in below}
        names = {other.uid: other.id for other in await self._rows(uids)} | {row.uid: row.id}
        return LinksView(_views(above, names), _views(below, names))

    async def _link(
        self, id: str, on: str | None, on_run: str | None, *, known: bool = True
    ) -> tuple[LinkRow, ItemRow]:
        """The dependency that is meant, and the item that waits."""
        if (on is None) == (on_run is None):
            raise UsageError("give one of on=, an item, and on_run=, a run")
        row = await self._item(id)
        now = self.core.now_us()
        if on is not None:
            other = await self._item(on)
            if other.uid == row.uid:
                raise UsageError(f"item {id!r} cannot wait for itself")
            return LinkRow(self.tenant, row.uid, other.uid, None, now, None), row
        assert on_run is not None
        if known:
            await self._find(on_run)
        return LinkRow(self.tenant, row.uid, None, on_run, now, None), row

    async def _look_at_links(self, id: str) -> None:
        """Let an item wait, or wait no more, as its dependencies say."""
        for _ in range(TRIES):
            row = await self._item(id)
            if row.status in FINAL:
                return
            waits = any(
                link.done_at is None for link in await self._patiently(self._work.links_of(self.tenant, [row.uid]))
            )
            if waits == row.blocked:
                return
            now = self.core.now_us()
            moved = moves.block(row, now) if waits else moves.unblock(row, now)
            change = moves.change_of(row, moved, actor=self._actor, now=now)
            if (await self._patiently(self._work.put_items([change])))[0] == "done":
                return
        raise ItemChanged(f"item {id!r} is changed by others at the same time; look and try again", item_id=id)

    async def _refuse_circle(self, row: ItemRow, link: LinkRow) -> None:
        """Refuse a dependency by which an item would wait for itself, through others or through a run that asks."""
        if link.on_item is not None:
            found, runs = await self._above([link.on_item])
            meets = row.uid in found or (row.kind in WAITED_FOR and row.run in runs)
        else:
            waiting = [row, *await self._rows(await self._below([row.uid]))]
            meets = any(one.kind in WAITED_FOR and one.run == link.on_run for one in waiting)
        if meets:
            what = "the run" if link.on_item is None else "the other item"
            raise UsageError(
                f"item {row.id!r} cannot wait for that: {what} waits for it, so that neither would ever end"
            )

    async def _above(self, first: Sequence[bytes]) -> tuple[set[bytes], set[str]]:
        """The items and the runs that some items wait for, through others too; they themselves included."""
        found, runs, frontier = set(first), set[str](), list(first)
        while frontier:
            links = await self._patiently(self._work.links_of(self.tenant, frontier))
            open_links = [link for link in links if link.done_at is None]
            runs.update(link.on_run for link in open_links if link.on_run is not None)
            frontier = _new(found, [link.on_item for link in open_links if link.on_item is not None])
        return found, runs

    async def _below(self, first: Sequence[bytes]) -> set[bytes]:
        """The items that wait for some items, through others too."""
        found, frontier = set(first), list(first)
        while frontier:
            links = await self._patiently(self._work.links_on(self.tenant, frontier))
            frontier = _new(found, [link.item for link in links if link.done_at is None])
        return found

    async def _rows(self, uids: Collection[bytes]) -> list[ItemRow]:
        """The items of these uids, in no order."""
        if not uids:
            return []
        found = await self._patiently(self._looks.scored(self.tenant, list(uids), Const(0), now=self.core.now_us()))
        return [one.item for one in found]


def _new(found: set[bytes], uids: Sequence[bytes]) -> list[bytes]:
    """Those that are not found yet, each once; they are from now on."""
    new = list(dict.fromkeys(uid for uid in uids if uid not in found))
    found.update(new)
    if len(found) > LOOK_AT_MOST:
        raise UsageError(f"more than {LOOK_AT_MOST:,} items wait for one another here; no more is possible")
    return new


def _views(links: Sequence[LinkRow], names: dict[bytes, str]) -> list[LinkView]:
    return [link_view(link, names) for link in sorted(links, key=lambda link: link.created_at)]
