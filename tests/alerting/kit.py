"""What the tests of alerts share: a database that is looked at when the test says so, and what people were told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import holdfast as hf
from holdfast.services.alerting.rules import AlertRules, read_alerts
from holdfast.services.alerting.watching import Watch


def rules_of(folder: Path, text: str) -> AlertRules:
    """Rules of a file, told to the channel ``ops``."""
    path = folder / "alerts.toml"
    path.write_text(f'to = "ops"\n{text}')
    return read_alerts(path)


def rule(measure: str, above: object, **more: Any) -> str:
    """A rule of a file, whose name is its measure."""
    keys = {"name": measure, "measure": measure, "above": above, **more}
    return "[[alerts]]\n" + "".join(f"{key.rstrip('_')} = {value!r}\n" for key, value in keys.items())


class Looked:
    """A database, and who looks at it."""

    def __init__(self, client: hf.Client, rules: AlertRules) -> None:
        self.client = client
        self.watch = Watch(client.core, rules)

    async def firing(self) -> dict[str, hf.AlertView]:
        """Look, and give what fires by what it is about."""
        assert await self.watch.tick()
        return {one.about: one for one in await self.client.alerts("firing")}

    async def told(self) -> list[str]:
        """The titles of what people are told, in order."""
        found = []
        for view in reversed(await self.client.messages()):
            whole = await self.client.message(view.id)
            assert (whole.verdict, whole.channel) == ("send", "ops")
            found.append(whole.body["title"])
        return found


@asynccontextmanager
async def looking(url: str, folder: Path, text: str) -> AsyncIterator[Looked]:
    """A client, and who looks by some rules."""
    async with hf.connect(url) as client:
        yield Looked(client, rules_of(folder, text))
