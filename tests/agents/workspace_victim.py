"""What tests do to workspaces in a process of its own. As a script: ``python workspace_victim.py WHAT FOLDER``."""

import asyncio
import os
import resource
import signal
import sys

from holdfast.agents.artifacts.workspace import Workspace
from holdfast.errors import WorkspaceError

NOBODY = 65534


def full() -> None:
    """No file of this process gets larger than 1,000 bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


def powerless() -> None:
    """This process has the rights of nobody."""
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


async def main(what: str, folder: str) -> None:
    workspace = Workspace(folder)
    await workspace.names()  # all modules are loaded while they can be
    if what == "full":
        full()
    elif what == "powerless":
        powerless()
    try:
        if what == "powerless":
            await workspace.ready()
        await workspace.put("plan.json", {"text": "x" * 5000})
    except WorkspaceError as error:
        print(error)
    else:
        raise SystemExit("it was written")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
