"""Whether the parts of a file of phases go together: what phases need, and limits that say two things."""

from __future__ import annotations

from holdfast.model.definitions import circle_of
from holdfast.model.nearest import nearest
from holdfast.model.phase_faults import Faults
from holdfast.model.phase_reading import Reading


def check_needs(reading: Reading, faults: Faults) -> None:
    """Phases need phases that are there, and do not go round in a circle."""
    for name, phase in reading.phases.items():
        for index, other in enumerate(phase.needs):
            if other not in reading.phases:
                near = nearest(other, reading.phases)
                meant = f"did you mean {near}?" if near else f"the phases are {', '.join(reading.phases)}"
                place = reading.layer.phases[name]["needs"].place
                faults.add((*place, index), f"is {other!r}, which is no phase; {meant}")
    if circle := circle_of({name: phase.needs for name, phase in reading.phases.items()}):
        way = " -> ".join(circle)
        faults.add(reading.layer.phases[circle[0]]["needs"].place, f"goes round in a circle: {way}; leave one out")


def check_limits(reading: Reading, faults: Faults) -> None:
    """What one queue or one rate limits has one limit."""
    for table in (*reading.layer.models.values(), *reading.layer.providers.values()):
        if "burst" in table and "rate" not in table:
            faults.add(table["burst"].place, "stands without a rate; give both, or leave it out")
        elif "burst" in table and table["burst"].value > table["rate"].value[0]:
            most = table["rate"].value[0]
            faults.add(table["burst"].place, f"is more than the {most:,} of rate; give at most as many")
    first: dict[str, str] = {}
    for name, table in reading.layer.models.items():
        terms = reading.models[name]
        provider = reading.providers.get(terms.provider)
        if terms.limits.concurrency is not None and provider is not None and provider.concurrency is not None:
            reason = (
                f"stands beside that of [providers.{terms.provider}], which is for this model too; give one of them"
            )
            faults.add(table["concurrency"].place, reason)
        other = first.setdefault(terms.id, name)
        if reading.models[other].limits != terms.limits:
            place = next((table[key].place for key in ("concurrency", "rate", "burst") if key in table), None)
            same = f"[models.{other}] is {terms.id} too"
            faults.add(
                place or ("models", name), f"is limited otherwise than it is elsewhere: {same}; give both the same"
            )
