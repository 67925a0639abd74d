import unittest

from basket import Item, total

TEA = Item("tea", 500, count=2)
POT = Item("pot", 2000)


class TotalTest(unittest.TestCase):
    def test_without_a_discount(self) -> None:
        assert total([TEA, POT]) == 3000

    def test_an_empty_basket_costs_nothing(self) -> None:
        assert total([]) == 0

    def test_a_tenth_less(self) -> None:
        assert total([TEA, POT], discount_percent=10) == 2700

    def test_nobody_gets_money_for_buying(self) -> None:
        assert total([TEA], discount_percent=120) == 0


if __name__ == "__main__":
    unittest.main()
