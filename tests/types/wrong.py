"""Calls that a type checker must refuse: each line marked so, and no other. Checked, never executed."""

import holdfast as hf


@hf.step
async def charge(order: str, cents: int = 0) -> int:
    return cents


@hf.step
def weigh(order: str) -> float:
    return 1.0


@hf.workflow
async def checkout(order: str, cents: int) -> int:
    await charge()  # wrong
    await charge(1)  # wrong
    await charge("a", "b")  # wrong
    await charge("a", cent=1)  # wrong
    await weigh("a", "b")  # wrong
    text: str = await charge("a")  # wrong
    number: int = weigh("a")  # wrong
    one, two = await hf.gather(charge("a"))  # wrong
    await hf.gather(charge)  # wrong
    await hf.map(lambda x: 3, [1])  # wrong
    await hf.sleep(None)  # wrong
    await hf.sleep_until("2030-01-01")  # wrong
    await checkout("a")  # wrong
    await hf.ask("Really?", due=b"2d", form=bool)  # wrong
    print(one, two)
    return len(text) + number


@hf.workflow  # wrong
def plain(order: str) -> int:
    return 1


@hf.step(retries=3)  # wrong
async def unknown_option() -> None: ...


@hf.step(on_timeout="later")  # wrong
def unknown_choice() -> None: ...


async def outside() -> None:
    async with hf.connect("memory://") as client:
        await client.start(checkout)  # wrong
        await client.start(checkout, "o-1", "500")  # wrong
        await client.start(checkout, "o-1", 500, rush=True)  # wrong
        await client.start(charge, "o-1")  # wrong
        await client.start(checkout.options(prio=1), "o-1", 500)  # wrong
        text: str = await (await client.start(checkout, "o-1", 500)).result()  # wrong
        await hf.execute(checkout, 1)  # wrong
        hf.Worker(client, [charge])  # wrong
        await client.stats(since="2026-01-01")  # wrong
        await client.put_user("ann", groups=3)  # wrong
        print(text)
