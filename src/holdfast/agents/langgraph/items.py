"""`Store`: LangGraph's store for long-term memory on holdfast's databases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any, TypeVar

from langgraph.store.base import (
    BaseStore,
    GetOp,
    InvalidNamespaceError,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    TTLConfig,
    validate_op_namespace,
)

from holdfast.agents.langgraph.matching import check_conditions, check_filter, matches, meets
from holdfast.agents.langgraph.reaching import Reach, Reaching
from holdfast.engine.client import Client
from holdfast.errors import UsageError
from holdfast.model.ids import check_id
from holdfast.model.payload import codec_of
from holdfast.model.run import instant
from holdfast.store.graph_keeping import within
from holdfast.store.graph_rows import ItemPlace, ItemRow, NewItem

NAMESPACES_AT_ONCE = 200
"""So many namespaces are read at once."""

MOST_MINUTES = 1e9

_CODEC = codec_of(dict[str, Any])

Found = TypeVar("Found", bound=Item)


class Store(Reaching, BaseStore):
    """A store for LangGraph: ``async with Store(url) as store: graph = builder.compile(store=store)``.

    In code without an event loop ``with Store(url) as store`` does the same. Items are plain JSON, and come back as
    they were put. There is no index for meaning: ``index`` and ``query`` are ignored, as by LangGraph's own stores
    without one, and a search gives what changed last first.

    Args:
        url: the address of a database, as for `hf.connect`; the environment's ``HOLDFAST_URL`` unless given.
        client: a client that is open, instead: its database and its tenant, for as long as it is open.
        tenant: whose items; nobody else's are seen.
        ttl: how long items last, in minutes after they were last put, got or found: ``{"default_ttl": 60}``;
            ``"refresh_on_read": False`` counts from when they were put. What has expired is not seen any more.

    Raises:
        UsageError: the arguments do not go together.
    """

    supports_ttl = True

    def __init__(
        self,
        url: str | None = None,
        *,
        client: Client | None = None,
        tenant: str = "default",
        ttl: TTLConfig | None = None,
    ) -> None:
        super().__init__()
        self.ttl_config = ttl
        self._reach = Reach(url, client, tenant, "the store")

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """See `abatch`."""
        asked = list(ops)
        return self._reach.wait(lambda: self.abatch(asked), "abatch")

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """Do several things: what reads sees what was there before; what writes is written together or not at all.

        Raises:
            InvalidNamespaceError: a label of a namespace is empty, no text, or has a period in it.
            UsageError: a key, a filter, a limit or a time to live is wrong.
            PayloadError: a value is not plain JSON.
            StoreUnavailable: the database does not answer.
        """
        asked = list(ops)
        for op in asked:
            validate_op_namespace(op)
        # What is to be written is looked at before anything is done; of two puts in one place the last counts.
        puts = {(op.namespace, op.key): _new_item(op) for op in asked if isinstance(op, PutOp)}
        results: list[Result] = [None] * len(asked)
        gets = [(n, op) for n, op in enumerate(asked) if isinstance(op, GetOp)]
        for (n, _), item in zip(gets, await self._get([op for _, op in gets]), strict=True):
            results[n] = item
        for n, op in enumerate(asked):
            if isinstance(op, SearchOp):
                results[n] = await self._search(op)
            elif isinstance(op, ListNamespacesOp):
                results[n] = await self._list(op)
            elif not isinstance(op, GetOp | PutOp):
                raise UsageError(f"{op!r} is no operation of a store")
        if puts:
            await self._reach.write(lambda graphs: graphs.put_items(self.tenant, list(puts.values())))
        return results

    async def _get(self, ops: Sequence[GetOp]) -> list[Item | None]:
        if not ops:
            return []
        places = [ItemPlace(_path(op.namespace), check_id(op.key, "the key")) for op in ops]
        rows = await self._reach.read(lambda graphs: graphs.items(self.tenant, places))
        await self._renew([row for op, row in zip(ops, rows, strict=True) if row is not None and op.refresh_ttl])
        return [None if row is None else _item(row, Item) for row in rows]

    async def _search(self, op: SearchOp) -> list[SearchItem]:
        asked = check_filter(op.filter)
        limit, offset = _amount(op.limit, "limit"), _amount(op.offset, "offset")
        rows = await self._reach.read(
            lambda graphs: graphs.find_items(
                self.tenant,
                _path(op.namespace_prefix),
                lambda value: not asked or meets(_CODEC.decode(value, "an item"), asked),
                limit=limit,
                offset=offset,
            )
        )
        if op.refresh_ttl:
            await self._renew(rows)
        return [_item(row, SearchItem) for row in rows]

    async def _list(self, op: ListNamespacesOp) -> list[tuple[str, ...]]:
        conditions = check_conditions(op.match_conditions)
        wanted = _amount(op.offset, "offset") + _amount(op.limit, "limit")
        found: list[tuple[str, ...]] = []
        first, before = within(_path(_beginning(conditions)))
        while len(found) < wanted:
            page = await self._namespaces(first, before)
            for path in page:
                namespace = tuple(path[1:-1].split("."))
                cut = namespace[: op.max_depth]
                if found[-1:] != [cut] and all(matches(condition, namespace) for condition in conditions):
                    found.append(cut)
            if len(page) < NAMESPACES_AT_ONCE:
                break
            # What else is inside one that is found would only be cut to the same.
            first = within(_path(cut))[1] if found[-1:] == [cut] and cut != namespace else path
        return found[op.offset : wanted]

    async def _namespaces(self, first: str, before: str) -> list[str]:
        return await self._reach.read(
            lambda graphs: graphs.namespaces(self.tenant, first, before, limit=NAMESPACES_AT_ONCE)
        )

    async def _renew(self, rows: Sequence[ItemRow]) -> None:
        """Have what was looked at expire later."""
        places = [ItemPlace(row.namespace, row.key) for row in rows if row.ttl_us is not None]
        if places:
            await self._reach.write(lambda graphs: graphs.renew_items(self.tenant, places))


def _beginning(conditions: Iterable[MatchCondition]) -> tuple[str, ...]:
    """The labels that all namespaces that are asked for begin with."""
    starts = [tuple(takewhile("*".__ne__, path)) for kind, path in conditions if kind == "prefix"]
    return max(starts, key=len, default=())


def _path(namespace: Iterable[str]) -> str:
    return "." + "".join(f"{label}." for label in namespace)


def _new_item(op: PutOp) -> NewItem:
    if not op.namespace:
        raise InvalidNamespaceError("an item needs a namespace of at least one label")
    path, key = _path(op.namespace), check_id(op.key, "the key")
    if op.value is None:
        return NewItem(path, key, None)
    if not isinstance(op.value, Mapping):
        raise UsageError(f"the value of item {key!r} is {op.value!r}; give a mapping with texts as keys")
    return NewItem(path, key, _CODEC.encode(dict(op.value), f"item {key!r}"), _ttl_us(op.ttl))


def _ttl_us(minutes: float | None) -> int | None:
    if minutes is None:
        return None
    if isinstance(minutes, bool) or not isinstance(minutes, int | float) or not 0 < minutes < MOST_MINUTES:
        raise UsageError(f"ttl is {minutes!r}; give a number of minutes above 0, or None for no end")
    return round(minutes * 60_000_000)


def _amount(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UsageError(f"{what} is {value!r}; give a whole number, 0 or more")
    return value


def _item(row: ItemRow, kind: type[Found]) -> Found:
    return kind(
        namespace=tuple(row.namespace[1:-1].split(".")),
        key=row.key,
        value=_CODEC.decode(row.value, f"item {row.key!r}"),
        created_at=instant(row.created_at),
        updated_at=instant(row.updated_at),
    )
