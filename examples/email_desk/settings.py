"""What a process of the desk is told: where the CRM is, where files lie, and which stages models do."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import holdfast as hf

STAGES_BY_MODEL = ("draft", "tone", "fact", "qa")
"""What a model may do; all else is done by the rules."""

OUTPUTS: dict[str, Any] = {"Remarks": list[str]}
"""By the names that ``phases.toml`` has for them."""


@dataclass
class Settings:
    """Read from the environment when the desk is imported; whoever embeds it sets them before its worker begins.

    Attributes:
        crm: the address of the CRM, as ``http://127.0.0.1:8765``; empty for none.
        crm_seconds: how long the CRM may take for an answer.
        domain: of the desk's own addresses: an answer comes from the one that was written to, if it is there.
        folder: where conversations and artifacts lie. All workers of a desk share it.
        phases: by which models work; None for the rules alone.
    """

    crm: str = ""
    crm_seconds: float = 3.0
    domain: str = "shop.example"
    folder: Path = field(default_factory=lambda: Path("mail-desk"))
    phases: hf.Phases | None = None

    def threads(self, tenant: str) -> Path:
        """Where the conversations of a tenant lie."""
        return self.folder / "threads" / quote(tenant, safe="")

    @property
    def artifacts(self) -> hf.Workspace:
        """Where the artifacts of the calling run lie."""
        here = hf.current()
        run = hf.Workspace(self.folder / "artifacts").within(quote(here.tenant, safe=""))
        return run.within(quote(here.run_id, safe=""))

    def models(self) -> list[str]:
        """The stages that a new run has models for."""
        if self.phases is None:
            return []
        phases = self.phases.file(hf.current().tenant).phases
        return [stage for stage in STAGES_BY_MODEL if stage in phases]


def with_models(path: str | Path) -> hf.Phases:
    """The phases of a file; the scripted models of the example are among those that it may name."""
    from .scripted import register  # models need an extra of holdfast

    register()
    return hf.load_phases(path, outputs=OUTPUTS)


def from_environment() -> Settings:
    """``MAIL_DESK_CRM``, ``_DOMAIN``, ``_FOLDER`` and ``_PHASES``, a file of phases; each may be left out."""
    found = Settings(crm=os.environ.get("MAIL_DESK_CRM", ""))
    if domain := os.environ.get("MAIL_DESK_DOMAIN"):
        found.domain = domain
    if folder := os.environ.get("MAIL_DESK_FOLDER"):
        found.folder = Path(folder)
    if path := os.environ.get("MAIL_DESK_PHASES"):
        found.phases = with_models(path)
    return found


settings = from_environment()
