"""What the second version and later ones had in flight, as code; databases that they left are in ``v*.*.sql``."""

import asyncio
from pathlib import Path

import holdfast as hf

mended = {"is": True}
"""Steps fail and get stuck while it is not: so they did when the dumps were made."""


@hf.step
async def add(x: int) -> int:
    return x + 1


@hf.step(retry=hf.Retry(max_attempts=5, initial=3600, jitter=0))
async def flaky() -> int:
    if not mended["is"]:
        raise ValueError("not yet")
    return 7


@hf.step(retry=hf.Retry(max_attempts=1))
async def broken() -> int:
    if not mended["is"]:
        raise ValueError("broken")
    return 8


@hf.step
async def hangs() -> int:
    if not mended["is"]:
        await asyncio.sleep(3600)
    # Here: the earlier versions know of no models.
    from holdfast.agents.recording import Request, record_requests

    record_requests("hangs", [Request("openai:small", "ok", None, 10, 0, 5, 7, 1, 2)])
    return 9


@hf.workflow
async def sleeps(x: int) -> int:
    y = await add(x)
    await hf.sleep(7200)
    return await add(y)


@hf.workflow
async def family() -> list[int]:
    return [*(await hf.gather(sleeps(1), sleeps(2))), *(await hf.map(sleeps, [3, 4], limit=1))]


@hf.workflow(key="customer", limit=1, lane="desk")
async def served(customer: str, x: int) -> int:
    await hf.sleep(7200)
    return await add(x)


@hf.workflow
async def expects(key: str) -> object:
    hf.progress(1, 2, "asked")
    return await hf.wait_for_event("paid", key=key, timeout="30d")


@hf.workflow
async def takes(key: str) -> object:
    return await hf.wait_for_event("early", key=key)


@hf.workflow(cancel_on=("order_cancelled", "order"))
async def cancellable(order: str) -> None:
    await hf.sleep("365d")


@hf.workflow(timeout="1h")
async def limited() -> None:
    await hf.sleep("365d")


@hf.workflow
async def gate() -> object:
    await add(1)
    return await hf.hold("look at it")


@hf.workflow
async def tries() -> int:
    return await flaky()


@hf.workflow
async def fails() -> int:
    await add(1)
    await broken()
    await hf.sleep(7200)
    return await add(8)


@hf.workflow
async def again(x: int) -> int:
    if x < 2:
        hf.continue_as_new(x + 1)
    await hf.sleep(7200)
    return await add(x)


@hf.workflow(queue="bulk")
async def stuck() -> int:
    await add(1)
    return await hangs()


@hf.workflow
async def asks() -> object:
    await add(1)
    return await hf.ask("approve the refund", assignee="ann", due="2d")


@hf.workflow
async def renew(company: str, seats: int) -> str:
    return f"{company} has {seats} seats"


async def model(query: hf.Query) -> object:
    """What the customer says, it has understood."""
    said = query.messages[-1].content
    if said == "Hooli" and not mended["is"]:
        await asyncio.sleep(3600)
    return {"message": "Thanks.", "extracted": {"seats": int(said)} if said.isdigit() else {"company": said}}


def hand_over(turn: hf.Turn, to: hf.Handover) -> None:
    to.start(renew, turn.state.collected["company"], turn.state.collected["seats"])


chat = hf.TurnEngine(Path(__file__).parent / "renewal.toml", model, hand_over=hand_over, ttl="36500d")


def writer(scene: hf.Scene) -> str:
    return f"asked {scene.prompt}"


hf.scripted("offers", writer)
offers = hf.load_phases(Path(__file__).parent / "offer.toml")


@hf.workflow
async def offer() -> str:
    outputs = await offers.execute()
    return str(outputs["letter"])


@hf.workflow
async def answers(message: hf.Incoming) -> str:
    await hf.publish("replies", {"to": message.data["id"]}, id=f"reply/{message.id}", key="ann")
    await hf.sleep(7200)
    await hf.publish("replies", {"again": message.data["id"]}, id=f"again/{message.id}", key="ann")
    return str(message.data["id"])


@hf.workflow
async def nightly() -> str:
    return hf.current().run_id


@hf.workflow
async def paused() -> int:
    return 1


ALL = [
    sleeps, family, served, expects, takes, cancellable, limited, gate, tries, fails, again, stuck, nightly, paused
]  # fmt: skip
