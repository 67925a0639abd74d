"""What a basket of goods costs."""

from basket.prices import Item, total

__all__ = ["Item", "total"]
