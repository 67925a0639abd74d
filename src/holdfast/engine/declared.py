"""The terms that a workflow's decorator says, checked against its function."""

from __future__ import annotations

import builtins
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, get_origin

from holdfast.errors import UsageError
from holdfast.model.duration import Duration, seconds
from holdfast.model.ids import check_id, check_owner
from holdfast.model.keys import KeySpec, check_spec
from holdfast.model.lanes import check_limit
from holdfast.model.start_rules import Batch, Debounce, RateLimit, Singleton, check_rules
from holdfast.model.terms import Terms

_LIST = re.compile(r"(\w+\.)*[Ll]ist\b")


def declared_terms(
    fn: Callable[..., Any],
    name: str,
    *,
    queue: str,
    key: KeySpec | None,
    limit: int | None,
    lane: str | None,
    timeout: Duration | None,
    cancel_on: str | tuple[str, KeySpec] | None,
    rate_limit: RateLimit | None,
    debounce: Debounce | None,
    batch: Batch | None,
    singleton: Singleton | None,
    share: KeySpec | None,
) -> Terms:
    """The terms of a workflow.

    Args:
        fn: its function.
        name: its name.

    The others are as `holdfast.workflow` has them.

    Raises:
        UsageError: one of them is out of range, or they do not go together.
    """
    of = f"of workflow {name!r}"
    parameters = inspect.signature(fn).parameters
    if limit is not None:
        check_limit(limit, f"limit {of}")
    rules = {"rate_limit": rate_limit, "debounce": debounce, "batch": batch, "singleton": singleton}
    check_rules(rules, of)
    event, event_key = cancel_on if isinstance(cancel_on, tuple) and len(cancel_on) == 2 else (cancel_on, None)
    keys = {"key": key, "the key of cancel_on": event_key, "share": share}
    keys |= {f"the key of {rule}": terms.key for rule, terms in rules.items() if terms is not None}
    if batch is not None:
        _check_batch(fn, parameters, name, batch, keys)
    else:
        for what, spec in keys.items():
            if spec is not None:
                check_spec(spec, parameters, f"{what} {of}")
    in_lane = key is not None or limit is not None or lane is not None
    if singleton is not None and singleton.when_taken == "cancel" and not in_lane:
        # The new run waits in it until the one that it cancels has cleaned up.
        in_lane, key = True, singleton.key
    return Terms(
        queue=check_owner(queue, f"the queue {of}"),
        lane=check_id(lane if lane is not None else name, f"the lane {of}") if in_lane else None,
        key=key,
        slots=limit or 1,
        cancel_on=None if event is None else check_id(event, f"cancel_on {of}"),
        cancel_key=event_key,
        timeout_seconds=None if timeout is None else time_limit(timeout),
        rate_limit=rate_limit,
        debounce=debounce,
        batch=batch,
        singleton=singleton,
        share=share,
    )


def time_limit(timeout: Duration) -> float:
    """How long a run may take, in seconds.

    Raises:
        UsageError: no time at all, or no duration.
    """
    limit = seconds(timeout, what="the timeout of a run")
    if limit <= 0:
        raise UsageError(f"the timeout of a run is {timeout!r}; give more than 0 seconds")
    return limit


def _check_batch(
    fn: Callable[..., Any],
    parameters: Mapping[str, inspect.Parameter],
    name: str,
    batch: Batch,
    keys: Mapping[str, KeySpec | None],
) -> None:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    if len(parameters) != 1 or any(one.kind in variadic for one in parameters.values()):
        takes = ", ".join(parameters) or "none"
        raise UsageError(
            f"workflow {name!r} has a batch, and takes the arguments {takes}; it must take exactly one, a list of items"
        )
    [parameter] = parameters.values()
    if not _may_be_list(parameter.annotation, fn):
        raise UsageError(
            f"workflow {name!r} has a batch, and its argument {parameter.name!r} is annotated as "
            f"{inspect.formatannotation(parameter.annotation)}; annotate it as a list, such as list[dict[str, str]]"
        )
    for what, spec in keys.items():
        if spec is not None and spec != batch.key:
            raise UsageError(
                f"{what} of workflow {name!r} is {spec!r}, and runs of its batch are of one key, {batch.key!r}: give "
                "the same, or none"
            )


def _may_be_list(annotation: Any, fn: Callable[..., Any]) -> bool:
    """Whether an annotation is a list, or names what cannot be looked up yet."""
    if isinstance(annotation, str):
        text = annotation.strip("\"' ")
        if _LIST.match(text):
            return True
        names = {**vars(builtins), **getattr(fn, "__globals__", {})}
        head = re.split(r"[\[|. ]", text)[0]
        return head not in names or (head == text and _may_be_list(names[head], fn))
    return annotation in (inspect.Parameter.empty, Any, list) or get_origin(annotation) is list
