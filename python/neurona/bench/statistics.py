"""Medians, quartiles and the verdict of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

Verdict = Literal["faster", "slower", "tie"]


class Spread(NamedTuple):
    """A median with its quartiles."""

    median: float
    q1: float
    q3: float

    @property
    def iqr(self) -> float:
        return self.q3 - self.q1

    def overlaps(self, other: Spread) -> bool:
        return self.q1 <= other.q3 and other.q1 <= self.q3


def spread(samples: Sequence[float]) -> Spread:
    """Median and quartiles of at least one sample (linear interpolation)."""
    q1, median, q3 = np.percentile(np.asarray(samples, np.float64), (25, 50, 75))
    return Spread(float(median), float(q1), float(q3))


def ratio(other: Sequence[float], ours: Sequence[float]) -> Spread:
    """How many times longer the other took, round by round: above 1, ours is faster.

    Samples of one round were taken next to each other, so what slows the whole machine for a while
    cancels out.
    """
    return spread([a / b for a, b in zip(other, ours, strict=True)])


def verdict(other: Sequence[float], ours: Sequence[float]) -> Verdict:
    """``tie`` when the interquartile intervals of the times overlap, else who is faster."""
    theirs, mine = spread(other), spread(ours)
    if mine.overlaps(theirs):
        return "tie"
    return "faster" if mine.median < theirs.median else "slower"


def geometric_mean(values: Sequence[float]) -> float:
    """The mean that suits ratios; values must be positive."""
    return float(np.exp(np.mean(np.log(np.asarray(values, np.float64)))))
