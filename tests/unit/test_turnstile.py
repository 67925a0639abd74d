"""Who keeps the writers of an SQLite file waiting is told, and nobody else."""

import os
import threading
import time
from pathlib import Path

from holdfast.store.sqlite.turnstile import Turnstile, holder


def test_the_next_in_line_leaves_its_name_only_while_it_waits(tmp_path: Path) -> None:
    path = str(tmp_path / "some.db")
    writer, waiter, ends = Turnstile(path), Turnstile(path), threading.Event()
    gate = Path(f"{path}-gate")
    assert holder(path) is None

    def wait() -> None:
        with waiter:
            ends.wait(30)

    thread = threading.Thread(target=wait)
    with writer:
        assert gate.read_bytes() == b""  # without a line nothing is written there
        thread.start()
        until = time.monotonic() + 30
        while gate.read_bytes().strip() != b"%d" % os.getpid() and time.monotonic() < until:
            time.sleep(0.001)
        found = holder(path)
        assert found is not None
        assert found[0] == os.getpid()
        assert abs(found[1] - time.time()) < 30
    until = time.monotonic() + 30
    while gate.read_bytes().strip() != b"0" and time.monotonic() < until:
        time.sleep(0.001)
    assert gate.read_bytes().strip() == b"0"
    ends.set()
    thread.join()
    assert holder(path) is None
    writer.close()
    waiter.close()
