"""A small CRM over HTTP: a server with sample data, and what the desk asks it.

``python -m examples.email_desk.crm`` serves it on 127.0.0.1:8765. ``GET /contacts/<address>``, ``/deals/<address>`` and
``/updates/<address>`` give JSON; 404 says that nobody is known at the address.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import TracebackType
from typing import Any
from urllib.parse import quote, unquote
from weakref import WeakKeyDictionary

import httpx

DATA = Path(__file__).parent / "sample" / "crm.json"
PORT = 8765
AT_ONCE = 32
"""So many requests of a process are under way; what waits for its turn does not count as a slow CRM."""

_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class Unfit(ValueError):
    """The CRM answered something that is no answer."""


async def ask(url: str, kind: str, address: str, seconds: float) -> Any:
    """What the CRM knows of an address.

    Args:
        url: of the CRM.
        kind: ``contacts``, ``deals`` or ``updates``.
        seconds: how long it may take for the answer.

    Returns:
        Plain JSON; None if it knows nobody there.

    Raises:
        httpx.HTTPError: it cannot be reached, or says that it cannot answer.
        TimeoutError: it takes too long.
        Unfit: what it answers is no JSON.
    """
    gate = _gates.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE))
    async with gate, asyncio.timeout(seconds), httpx.AsyncClient(verify=_tls(), trust_env=False) as client:
        answer = await client.get(f"{url.rstrip('/')}/{kind}/{quote(address.lower(), safe='@')}", timeout=seconds)
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    answer.raise_for_status()
    if answer.status_code != httpx.codes.OK:
        raise Unfit(f"the CRM answered with status {answer.status_code}")
    try:
        return answer.json()
    except ValueError as error:
        raise Unfit(f"the CRM's answer on {kind} is no JSON") from error


@lru_cache
def _tls() -> Any:
    """Made once: it takes longer than the request."""
    return httpx.create_ssl_context(trust_env=False)


class _Server(ThreadingHTTPServer):
    request_queue_size = 512  # a desk with a full mailbox asks for all of its messages at once


class Crm:
    """The server, in ``with``: in a thread, on 127.0.0.1.

    Args:
        port: 0 for any that is free.
        fault: is asked before each answer with the path; may wait, or give an answer of its own: status and bytes.

    Attributes:
        url: its address.
    """

    def __init__(self, port: int = 0, fault: Callable[[str], tuple[int, bytes] | None] | None = None) -> None:
        data: dict[str, dict[str, Any]] = json.loads(DATA.read_text(encoding="utf-8"))

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                _, _, rest = unquote(self.path).partition("/")
                kind, _, address = rest.partition("/")
                known = data.get(kind, {}).get(address)
                said = fault(self.path) if fault is not None else None
                status, body = said or (404 if known is None else 200, json.dumps(known).encode())
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(body)))
                    self.end_headers()
                    self.wfile.write(body)
                except OSError:
                    self.close_connection = True  # whoever asked waits no longer

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing: the desk tells what it was answered."""

        self._server = _Server(("127.0.0.1", port), Answer)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Answer nobody any more."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Crm:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def main() -> int:
    """Serve until interrupted."""
    try:
        with Crm(PORT) as crm:
            print(f"The CRM answers on {crm.url}; Ctrl-C ends.", flush=True)
            asyncio.run(asyncio.Event().wait())
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        print(f"crm: port {PORT} cannot be used: {error.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
