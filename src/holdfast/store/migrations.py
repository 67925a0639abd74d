"""Numbered migrations.

``0002_name.before.sql`` runs before the new code is deployed, ``0003_name.after.sql`` once no old code runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from holdfast.errors import StoreError

_FILE = re.compile(r"(\d{4})_(\w+)\.(before|after)\.sql")


@dataclass(frozen=True, slots=True)
class Migration:
    """One change of a schema.

    Attributes:
        number: from 1; a database's schema version is the last one applied.
        name: the file's name without its ending.
        phase: "before" or "after" the deployment of the code that needs it.
    """

    number: int
    name: str
    phase: str
    sql: str


@cache
def migrations(package: str) -> tuple[Migration, ...]:
    """The migrations in a package's ``migrations`` folder, oldest first."""
    found = []
    for file in files(package).joinpath("migrations").iterdir():
        match = _FILE.fullmatch(file.name)
        if match:
            found.append(Migration(int(match[1]), f"{match[1]}_{match[2]}", match[3], file.read_text("utf-8")))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise StoreError(f"the migrations of {package} are not numbered 1, 2, 3 …: {[m.name for m in found]}")
    return tuple(found)
