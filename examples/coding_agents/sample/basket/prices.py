"""Prices are whole cents."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Item:
    """Goods of one kind."""

    name: str
    cents: int
    count: int = 1


def total(items: list[Item], discount_percent: int = 0) -> int:
    """What all items cost, in cents, after the discount."""
    cents = sum(item.cents * item.count for item in items)
    return cents - discount_percent
