"""Things in pieces of bounded size, so that what is made of a piece fits into memory."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def batches(
    items: Iterable[T], size: Callable[[T], int], room: int, most: int = 1_000_000
) -> Iterator[list[T]]:
    """Yield the items in batches: of `most` items and `room` bytes, or of one larger item."""
    batch: list[T] = []
    total = 0
    for item in items:
        taken = size(item)
        if batch and (len(batch) >= most or total + taken > room):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += taken
    if batch:
        yield batch
