"""A server on this machine that takes what is sent to it, or says that it does not."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """What was received.

    Attributes:
        messages: (title, text) of each that was taken.
        refuse: how many more are refused.
        asked: how many came.
    """

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        self.refuse = 0
        self.asked = 0
        self.port = 0


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            receiver.asked += 1
            taken = receiver.refuse <= 0
            receiver.refuse -= 1
            if taken:
                receiver.messages.append((document["title"], document["message"]))
            self.send_response(200 if taken else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
