"""``python -m email_desk``: the desk without the rest of the command line."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from .demo import SAMPLE, run_demo


def main() -> int:
    parser = argparse.ArgumentParser(prog="email_desk", description="Answer mail with drafts, durably.")
    parser.add_argument("--mail", type=Path, default=SAMPLE, help="an .eml file, a folder of them, or an mbox file")
    parser.add_argument("--url", default=os.environ.get("HOLDFAST_URL", "sqlite:///email-desk.db"), help="the database")
    parser.add_argument("--out", type=Path, default=Path("drafts"), help="folder for drafts")
    parser.add_argument("--exit", action="store_true", help="end when all is done, rather than watch for new mail")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    given = parser.parse_args()
    return asyncio.run(
        run_demo(
            mail=given.mail,
            url=given.url,
            out=given.out,
            exit_when_done=given.exit,
            json_output=given.json,
            stdout=sys.stdout,
            stderr=sys.stderr,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
