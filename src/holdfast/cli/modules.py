"""Finds workflows, steps and turn engines in a user's module, and says plainly what is there when they are not."""

from __future__ import annotations

import difflib
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from holdfast.errors import UsageError

if TYPE_CHECKING:
    from types import ModuleType

    from holdfast.agents.phases.registry import Phases
    from holdfast.conversations.engine import TurnEngine
    from holdfast.engine.step import Step
    from holdfast.engine.workflow import Workflow
    from holdfast.store.values.codec import PayloadCodec

T = TypeVar("T")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)

log = logging.getLogger("holdfast.cli")


def load(place: str) -> list[Workflow[Any, Any]]:
    """The workflows at a place.

    Args:
        place: ``module`` for all workflows in it, or ``module:name`` for one.

    Returns:
        At least one; each once.

    Raises:
        UsageError: the module cannot be imported, or has no such workflow.
    """
    name, colon, wanted = place.partition(":")
    module = _import(name)
    there = workflows_of(module)
    if not colon:
        if not there:
            raise UsageError(
                f"module {name!r} ({_file(module)}) has no workflow: decorate an `async def` with @hf.workflow. "
                f"It has: {_names(module)}"
            )
        return list(there.values())
    by_name = {workflow.name: workflow for workflow in there.values()}
    found = there.get(wanted) or by_name.get(wanted)
    if found is not None:
        return [found]
    shown = ", ".join(there) or "none"
    if hasattr(module, wanted):
        what = type(getattr(module, wanted)).__name__
        raise UsageError(f"{place} is a {what.lower()} and not a workflow; the workflows of {name!r} are: {shown}")
    close = difflib.get_close_matches(wanted, [*there, *by_name], 1)
    raise UsageError(
        f"module {name!r} ({_file(module)}) has no {wanted!r}; its workflows are: {shown}"
        f"{f'. Do you mean {name}:{close[0]}?' if close else ''}"
    )


def load_engines(places: Sequence[str]) -> list[TurnEngine]:
    """The turn engines at some places, each once.

    Args:
        places: each ``module`` for all engines in it, or ``module:name`` for one.

    Raises:
        UsageError: a module cannot be imported, or has no such engine.
    """
    found: list[TurnEngine] = []
    for place in places:
        name, colon, wanted = place.partition(":")
        module = _import(name)
        there = engines_of(module)
        if not there or (colon and wanted not in there):
            shown = ", ".join(there) or "none: make a hf.TurnEngine and give it a name there"
            what = f"has no turn engine {wanted!r}" if colon else "has no turn engine"
            raise UsageError(f"module {name!r} ({_file(module)}) {what}; its turn engines are: {shown}")
        found += [there[wanted]] if colon else there.values()
    return _each_once(found)


def load_all(places: Sequence[str]) -> tuple[list[Workflow[Any, Any]], list[TurnEngine]]:
    """The workflows and the turn engines at some places, each once.

    Raises:
        UsageError: a module cannot be imported, or has nothing of the kind.
    """
    workflows: list[Workflow[Any, Any]] = []
    engines: list[TurnEngine] = []
    for place in places:
        name, colon, wanted = place.partition(":")
        module = _import(name)
        there = engines_of(module)
        if colon and wanted in there:
            engines.append(there[wanted])
        elif colon or not there:
            workflows += load(place)
        else:
            workflows += workflows_of(module).values()
            engines += there.values()
    return _each_once(workflows), _each_once(engines)


def _each_once(found: Sequence[T]) -> list[T]:
    return list({id(one): one for one in found}.values())


def load_step(place: str) -> Step[Any, Any]:
    """The step at a place.

    Args:
        place: ``module:step``.

    Raises:
        UsageError: the module cannot be imported, or has no such step.
    """
    from holdfast.engine.step import Step

    return _one(place, Step, "step", "steps", "decorate a function with @hf.step")


def load_phases(place: str) -> Phases:
    """What `hf.load_phases` gave, at a place.

    Args:
        place: ``module:name``, by its name in the module or in its file.

    Raises:
        UsageError: the module cannot be imported, or has no such phases.
    """
    from holdfast.agents.phases.registry import Phases

    return _one(place, Phases, "phases", "phases", "load a file of them with hf.load_phases")


def load_codec(place: str) -> PayloadCodec:
    """The codec at a place, ``module:name``.

    Raises:
        UsageError: the module cannot be imported, or has no codec of this name.
    """
    from holdfast.codecs.chain import check_codec

    name, _, wanted = place.partition(":")
    if not name or not wanted:
        raise UsageError(f"values.codec is {place!r}; give MODULE:NAME, as in shop.codecs:kms")
    module = _import(name)
    if not hasattr(module, wanted):
        raise UsageError(f"module {name!r} ({_file(module)}) has no {wanted!r}. It has: {_names(module)}")
    return check_codec(getattr(module, wanted), place)


def _one(place: str, kind: type[N], one: str, many: str, way: str) -> N:
    name, colon, wanted = place.partition(":")
    module = _import(name)
    there = _instances(module, kind)
    found = there.get(wanted) or {value.name: value for value in there.values()}.get(wanted)
    if found is not None:
        return found
    shown = ", ".join(f"{name}:{known}" for known in there) or f"none: {way}"
    said = f"has no {one} {wanted!r}; its {many} are" if colon else f"is a module; name one of its {many}"
    raise UsageError(f"{name!r} ({_file(module)}) {said}: {shown}")


def workflows_of(module: ModuleType) -> dict[str, Workflow[Any, Any]]:
    """The workflows in a module's names, each under the first of its names."""
    from holdfast.engine.workflow import Workflow

    return _instances(module, Workflow)


def engines_of(module: ModuleType) -> dict[str, TurnEngine]:
    """The turn engines in a module's names, each under the first of its names."""
    if "holdfast.conversations.engine" not in sys.modules:
        return {}  # Nobody has made one.
    from holdfast.conversations.engine import TurnEngine

    return _instances(module, TurnEngine)


def _instances(module: ModuleType, kind: type[T]) -> dict[str, T]:
    found: dict[str, T] = {}
    for name, value in vars(module).items():
        if isinstance(value, kind) and all(value is not known for known in found.values()):
            found[name] = value
    return found


def _import(name: str) -> ModuleType:
    here = os.getcwd()
    if name.endswith(".py") or "/" in name:
        path = Path(name.removesuffix(".py"))
        written = ".".join(part for part in path.parts if part not in (".", "/"))
        raise UsageError(f"{name!r} is a path; give the module's name as Python imports it, such as {written}")
    if not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"{name!r} is not the name of a module; write MODULE or MODULE:NAME, such as shop:checkout")
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise _failed(name, error) from error
        modules = _modules_in(here)
        close = difflib.get_close_matches(name, modules, 1)
        raise UsageError(
            f"no module {name!r} was found in {here} or where Python looks for modules; "
            f"modules in {here}: {', '.join(modules) or 'none'}{f'. Do you mean {close[0]}?' if close else ''}"
        ) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _failed(name, error) from error


def _failed(name: str, error: BaseException) -> UsageError:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith("<frozen ")]
    at = frames[-1] if frames and frames[-1].filename != __file__ else None
    # Where the module itself went on to what failed is what its author looks for.
    ours = [frame for frame in frames if frame.filename.startswith(os.getcwd())]
    at = ours[-1] if ours else at
    where = f"{at.filename}, line {at.lineno}" if at is not None else ""
    if isinstance(error, SyntaxError) and error.filename:
        where = f"{error.filename}, line {error.lineno}"
    log.debug("the module's own traceback", exc_info=error)
    return UsageError(
        f"module {name!r} cannot be imported: {type(error).__name__}: {error}{f' ({where})' if where else ''}"
    )


def _modules_in(folder: str) -> list[str]:
    try:
        entries = sorted(Path(folder).iterdir())
    except OSError:
        return []
    names = [path.stem for path in entries if path.suffix == ".py" and path.stem.isidentifier()]
    names += [path.name for path in entries if path.is_dir() and (path / "__init__.py").is_file()]
    return names[:20]


def _names(module: ModuleType) -> str:
    names = [
        f"{name} ({type(value).__name__.lower()})"
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]
    return ", ".join(names[:20]) or "nothing of its own"


def _file(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or "built in"
