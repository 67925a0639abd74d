"""The public names: complete, documented, and an import that configures nothing."""

import inspect
import subprocess
import sys

import pytest

import holdfast as hf


def run_apart(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_names_are_sorted_and_complete() -> None:
    assert list(hf.__all__) == sorted(hf.__all__)
    assert len(set(hf.__all__)) == len(hf.__all__)
    found = {name: getattr(hf, name) for name in dir(hf) if not name.startswith("_")}
    public = {name for name, value in found.items() if not inspect.ismodule(value)}
    assert public - {"TYPE_CHECKING"} == set(hf.__all__)
    assert hf.__version__.count(".") >= 2


@pytest.mark.parametrize("name", hf.__all__)
def test_a_public_name_is_documented(name: str) -> None:
    value = getattr(hf, name)
    assert (value.__doc__ or "").strip()
    assert not (value.__doc__ or "").startswith(f"{name}("), "a dataclass's generated docstring"
    if inspect.isclass(value):
        for member, method in vars(value).items():
            if not member.startswith("_") and (inspect.isfunction(method) or isinstance(method, property)):
                assert (method.__doc__ or "").strip(), f"{name}.{member} has no docstring"


@pytest.mark.parametrize("name", hf.__all__)
def test_a_public_function_is_annotated_throughout(name: str) -> None:
    value = getattr(hf, name)
    functions = [value] if inspect.isfunction(value) else []
    if inspect.isclass(value) and value.__module__.startswith("holdfast"):
        functions = [one for key, one in vars(value).items() if inspect.isfunction(one) and not key.startswith("_")]
    for function in functions:
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty, function
        for parameter in signature.parameters.values():
            assert parameter.name == "self" or parameter.annotation is not inspect.Parameter.empty, function


@pytest.mark.slow
def test_importing_configures_nothing() -> None:
    run_apart(
        """
import asyncio, atexit, logging, os, signal, sys, threading, warnings
handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
filters, environment, path = list(warnings.filters), dict(os.environ), list(sys.path)
hook, recursion = sys.excepthook, sys.getrecursionlimit()
import holdfast
assert not logging.root.handlers and logging.root.level == logging.WARNING
ours = [one for name, one in logging.root.manager.loggerDict.items() if name.split(".")[0] == "holdfast"]
assert not any(one.handlers or one.level or not one.propagate for one in ours if isinstance(one, logging.Logger))
assert type(asyncio.get_event_loop_policy()).__module__.startswith("asyncio.")
assert threading.active_count() == 1
assert handlers == {number: signal.getsignal(number) for number in signal.valid_signals()}
assert filters == warnings.filters and environment == os.environ and path == sys.path
assert hook is sys.excepthook and recursion == sys.getrecursionlimit()
"""
    )


@pytest.mark.slow
def test_importing_loads_no_more_than_it_needs() -> None:
    said = run_apart("import sys, holdfast; print(*sorted({name.split('.')[0] for name in sys.modules}))")
    loaded = set(said.split())
    later = (
        "argon2 asyncpg cel click cryptography fastapi holidays httpx jinja2 numpy opentelemetry prometheus_client "
        "pytest rich starlette structlog typer uvicorn uvloop"
    )
    assert not loaded & set(later.split())
    assert "None" in run_apart("import sys, holdfast; print(sys.modules.get('holdfast.workqueue'))")


@pytest.mark.slow
def test_defining_workflows_opens_nothing() -> None:
    run_apart(
        """
import threading
import holdfast as hf

@hf.step
async def one(x: int) -> int:
    return x

@hf.workflow
async def two(x: int) -> int:
    return await one(x)

connecting = hf.connect("sqlite:////nowhere/at/all.db")
worker = hf.Worker("sqlite:////nowhere/at/all.db", [two])
assert threading.active_count() == 1
"""
    )
