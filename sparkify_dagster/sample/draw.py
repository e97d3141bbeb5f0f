"""Random draws that give the same values on every machine.

Only `random()` and plain arithmetic: the results of log, exp and pow differ between C libraries,
and those of sum() over floats between Python 3.11 and 3.12.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from random import Random
from typing import Generic, TypeVar

T = TypeVar("T")


def generator(seed: int, purpose: str) -> Random:
    """Return the random generator of one part, independent of the other parts' draws."""
    return Random(f"{seed}/{purpose}")


def one_of(rng: Random, items: Sequence[T]) -> T:
    """Return one item, all equally likely."""
    return items[int(rng.random() * len(items))]


def whole(rng: Random, low: int, high: int) -> int:
    """Return a whole number from low up to, not including, high."""
    return low + int(rng.random() * (high - low))


def mixed(rng: Random, items: Iterable[T]) -> list[T]:
    """Return the items in random order."""
    result = list(items)
    for last in range(len(result) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        result[last], result[other] = result[other], result[last]
    return result


def streak(rng: Random, chance: float, most: int) -> int:
    """Return how often in a row something of this chance happens, at most `most` times."""
    count = 0
    while count < most and rng.random() < chance:
        count += 1
    return count


class Ranked(Generic[T]):
    """Draws items with Zipf-like odds: rank r = 0, 1 ... with weight 1 / (r + flatness)."""

    def __init__(self, items: Sequence[T], flatness: float) -> None:
        self.items = items
        self._sums = list(accumulate(1 / (rank + flatness) for rank in range(len(items))))

    def draw(self, rng: Random) -> T:
        """Return one item."""
        rank = bisect_right(self._sums, rng.random() * self._sums[-1])
        return self.items[min(rank, len(self.items) - 1)]
