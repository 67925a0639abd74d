"""Workflows with rules for their starts, with handlers of failures and with large values; and those that are started
from outside: what an older build of an upgrade may not know."""

import hashlib
import os
import signal

import holdfast as hf
from holdfast.model.start_rules import Batch, Debounce, RateLimit, Singleton
from tests.verification.programs import RETRY, note_attempt, quick

SHARED = "shared"
"""A queue in which each share has a limit."""

PER_SHARE = 2

MOST, PER_SECONDS = 4, 0.1
"""So many runs of `rated` start in any stretch of that length, for each key."""


@hf.step(retry=RETRY)
async def collected(item: int) -> int:
    note_attempt("collected", item)
    return item


@hf.workflow(batch=Batch(5, within=0.2))
async def collects(items: list[int]) -> list[int]:
    """Is given the items of several starts, each of them once."""
    return await hf.map(collected, items)


@hf.workflow(rate_limit=RateLimit(MOST, per=PER_SECONDS, key="key"))
async def rated(key: int, number: int) -> int:
    """Starts a little later where many do."""
    return await quick(number, 0)


@hf.step(retry=RETRY)
async def noted(kind: str, key: int, number: int) -> int:
    note_attempt(kind, key, number)
    return number


@hf.workflow(rate_limit=RateLimit(MOST, per=PER_SECONDS, key="key", excess="drop"))
async def dropped(key: int, number: int) -> int:
    """Is not started where many are."""
    return await noted("dropped", key, number)


@hf.workflow(debounce=Debounce(0.1, longest=1.0, key="key"))
async def settles_down(key: int, number: int) -> int:
    """Has the newest of the numbers that came shortly after each other."""
    return await noted("settled", key, number)


@hf.workflow(singleton=Singleton(key="key"))
async def only(key: int, number: int) -> int:
    """Is open once at a time; while it is, further starts are skipped."""
    await noted("only", key, number)
    await hf.sleep(0.02)
    return await noted("only", key, number)


@hf.workflow(singleton=Singleton(key="key", when_taken="cancel"))
async def newest(key: int, number: int) -> int:
    """Gives way to a newer one, when it has cleaned up."""
    try:
        await noted("newest", key, number)
        await hf.sleep(0.3)
    finally:
        async with hf.shield():
            await noted("newest", key, number)
    return number


@hf.step(retry=RETRY)
async def in_share(share: int, number: int) -> int:
    note_attempt("share in", share, number)
    try:
        note_attempt("share", share, number)
        return number
    finally:
        note_attempt("share out", share, number)


@hf.workflow(queue=SHARED, share="customer")
async def shares(customer: str, share: int, number: int) -> int:
    """Takes turns with those of other tenants and customers."""
    return await in_share(share, number)


@hf.workflow
async def comes_in(message: hf.Incoming) -> int:
    """A line of a file."""
    assert isinstance(message.data, dict)
    return await noted("came in", 0, message.data["number"])


@hf.workflow
async def amends(failure: hf.RunFailure) -> int:
    """Is started when another fails."""
    return await noted("amended", 0, failure.input["number"])


@hf.workflow(on_failure=amends)
async def fails(number: int) -> None:
    raise ValueError(f"step {number}")


@hf.workflow
async def little(number: int) -> int:
    """One of many."""
    return number


@hf.step(retry=RETRY)
async def ends_its_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@hf.workflow
async def deadly() -> None:
    """Takes whatever executes it along."""
    await ends_its_process()


@hf.step(retry=RETRY)
async def large(number: int) -> str:
    note_attempt("large", number)
    return text_of(number)


@hf.workflow
async def gives_large(number: int, text: str) -> str:
    return await large(number) if text == text_of(number + 1) else ""


def text_of(number: int) -> str:
    """A text that is kept apart, where large values are, and is not made smaller by much."""
    return "".join(hashlib.sha256(f"{number}/{n}".encode()).hexdigest() for n in range(40))


async def do(operation: list[object]) -> object:
    """Operations that need what is here."""
    match operation:
        case ["rated", int() as key, int() as number]:
            return await rated(key, number)
        case ["large", int() as number]:
            return await gives_large(number, text_of(number + 1)) == text_of(number)
        case ["many", int() as limit, int() as count]:
            return await hf.map(little, range(count), limit=limit or None) == list(range(count))
        case ["amended", int() as number]:
            try:
                await fails(number)
            except hf.RunFailed as error:
                return str(error.__cause__) == f"step {number}"
    raise AssertionError(operation)


WORKFLOWS = (
    collects, rated, dropped, settles_down, only, newest, shares, comes_in, amends, fails, little, deadly, gives_large,
)  # fmt: skip
