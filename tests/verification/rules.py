"""Workflows with rules for their starts, which the older build of an upgrade may not know."""

import hashlib

import holdfast as hf
from holdfast.model.start_rules import Batch, RateLimit
from tests.verification.programs import RETRY, note_attempt, quick


@hf.step(retry=RETRY)
async def collected(item: int) -> int:
    note_attempt("collected", item)
    return item


@hf.workflow(batch=Batch(5, within=0.2))
async def collects(items: list[int]) -> list[int]:
    """Is given the items of several starts, each of them once."""
    return await hf.map(collected, items)


@hf.workflow(rate_limit=RateLimit(4, per=0.1, key="key"))
async def rated(key: int, number: int) -> int:
    """Starts a little later where many do."""
    return await quick(number, 0)


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


async def _large(number: int) -> bool:
    return await gives_large(number, text_of(number + 1)) == text_of(number)


async def do(operation: list[object]) -> object:
    """Operations that need what is here."""
    match operation:
        case ["rated", int() as key, int() as number]:
            return await rated(key, number)
        case ["large", int() as number]:
            return await _large(number)
    raise AssertionError(operation)


WORKFLOWS = (collects, rated, gives_large)
