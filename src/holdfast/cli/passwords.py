"""Reads a password: from a prompt that does not show it, or from standard input; never from an argument."""

from __future__ import annotations

import getpass
import sys

from holdfast.errors import UsageError


def read_password(whose: str) -> str:
    """A new password, asked for twice on a terminal; elsewhere the first line of standard input.

    Args:
        whose: for the prompt.

    Raises:
        UsageError: there is none, or the second is not the first.
    """
    if not sys.stdin.isatty():
        try:
            line = sys.stdin.readline()
        except UnicodeDecodeError:
            raise UsageError("the password from standard input is not UTF-8 text") from None
        password = line.rstrip("\r\n")
        if not password:
            raise UsageError("there is no password on standard input; its first line is the password")
        return password
    try:
        password = getpass.getpass(f"Password of {whose}: ", stream=sys.stderr)
        again = getpass.getpass("The same again: ", stream=sys.stderr)
    except EOFError:
        raise UsageError("no password was given") from None
    if password != again:
        raise UsageError("the two passwords differ; nothing was changed")
    return password
