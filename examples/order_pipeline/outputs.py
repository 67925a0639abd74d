"""What the phases give."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, model_validator


class Facts(BaseModel):
    """What the papers say of a house."""

    address: str
    built: int
    area_m2: int
    heating: str
    asked_dollars: int


class Defect(BaseModel):
    """Something that is wrong with it."""

    where: str
    what: str
    severity: Literal["minor", "serious", "urgent"]


class Repair(BaseModel):
    """What it costs to mend one of them."""

    what: str
    dollars: int


class Costs(BaseModel):
    """What all repairs cost. A model that cannot add is told so, and asked again."""

    repairs: list[Repair]
    total_dollars: int

    @model_validator(mode="after")
    def _adds_up(self) -> Costs:
        if self.total_dollars != (total := sum(one.dollars for one in self.repairs)):
            raise ValueError(f"the repairs cost {total} dollars together, and not {self.total_dollars}")
        return self


class Report(BaseModel):
    """What the customer gets."""

    title: str
    summary: str
    text: str


OUTPUTS: dict[str, Any] = {
    "Facts": Facts,
    "Defects": list[Defect],
    "Questions": list[str],
    "Costs": Costs,
    "Remarks": list[str],
    "Report": Report,
}
"""By the names that ``phases.toml`` has for them."""
