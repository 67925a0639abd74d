"""The fixtures for pytest, used as a project uses them."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

CONFTEST = """
import pytest
from shop import charge, checkout

pytest_plugins = ["holdfast.testing.fixtures"]


@pytest.fixture
def holdfast_options():
    return {"workflows": [checkout], "fakes": {charge: "r-1"}}
"""

SHOP = """
import holdfast as hf


@hf.step
async def charge(cents: int) -> str:
    raise AssertionError("for real")


@hf.step
async def post() -> str:
    return "for real"


@hf.workflow
async def checkout() -> list[str]:
    await hf.sleep("100d")
    return [await charge(500), await post()]


@hf.workflow
async def other() -> str:
    return "other"
"""


def run(folder: Path, test: str) -> str:
    for name, text in {"conftest.py": CONFTEST, "shop.py": SHOP, "test_shop.py": test}.items():
        (folder / name).write_text(text)
    options = ["-p", "no:cacheprovider", "-o", "asyncio_mode=auto", "-W", "error", "-q"]
    options += ["-o", "asyncio_default_fixture_loop_scope=function"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


def test_environments_are_made_with_the_options_and_closed(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
from shop import charge, checkout, other, post

async def test_options(holdfast_environment):
    async with holdfast_environment() as env:
        assert await env.run(checkout) == ["r-1", "for real"]

async def test_more(holdfast_environment):
    async with holdfast_environment([checkout, other], fakes={post: "p-1"}, horizon="1d") as env:
        assert await env.run(other) == "other"
        run = await env.start(checkout)
        await env.skip("101d")
        assert await run.result() == ["r-1", "p-1"]
""",
    )
    assert "2 passed" in said, said


def test_an_environment_that_is_not_used_fails_its_test(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
def test_forgets(holdfast_environment):
    holdfast_environment()

async def test_leaves_open(holdfast_environment):
    env = holdfast_environment()
    await env.__aenter__()
    holdfast_environment.env = env
""",
    )
    assert "was made and is not entered" in said, said
    assert "was made and is open" in said, said


def test_the_fixtures_alone_need_pytest() -> None:
    code = "import sys, holdfast.testing; print('pytest' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "False\n"
