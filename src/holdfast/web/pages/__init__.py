"""The pages, a file for each entry of the navigation."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from holdfast.web.section import Section


def sections() -> list[Section]:
    """The sections of all files in this folder, by name."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    return [module.site for module in modules if hasattr(module, "site")]
