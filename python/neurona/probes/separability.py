"""Whether a hyperplane separates two classes, decided exactly by linear programming."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ..metrics import as_array

Row = list[Fraction]


class Separability(NamedTuple):
    """The answer of `linear_separability`, with its proof.

    If `separable`, `weight` (d,) and `bias` with weight x + bias > 0 for every sample of class 1
    and < 0 for every one of class 0. Otherwise `mixture` (N,), nonnegative, with the sum 1 in each
    class, for which both classes have the same mean: a point that cannot lie on both sides. What
    does not apply is None.
    """

    separable: bool
    weight: tuple[Fraction, ...] | None
    bias: Fraction | None
    mixture: tuple[Fraction, ...] | None


def linear_separability(x: Any, y: Any) -> Separability:
    """Whether a hyperplane separates the classes 0 and 1, with a proof of either answer.

    x (N, d), y (N,). The classes are inseparable if and only if their convex hulls share a point
    (Farkas 1902). The linear program that looks for one is solved in fractions, without rounding,
    which takes seconds for a few hundred samples. Floats count as the exact binary fractions that
    they are; measurements with one decimal are better given as whole tenths.

    Raises ValueError for shapes that do not fit, numbers that are not finite, labels other than 0
    and 1, or a class without samples.

    >>> import numpy as np
    >>> corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> linear_separability(corners, np.array([0, 0, 0, 1])).separable
    True
    >>> xor = linear_separability(corners, np.array([0, 1, 1, 0]))
    >>> xor.separable, [str(share) for share in xor.mixture]
    (False, ['1/2', '1/2', '1/2', '1/2'])
    """
    op = "linear_separability"
    points, labels = as_array(x), as_array(y)
    if points.ndim != 2 or labels.shape != points.shape[:1]:
        raise ValueError(
            f"{op}: x and y must have shapes (N, d) and (N,), got {points.shape} and {labels.shape}"
        )
    if not np.isfinite(points).all():
        raise ValueError(f"{op}: x must be finite, got inf or nan")
    if not np.array_equal(np.unique(labels), [0, 1]):
        raise ValueError(f"{op}: y must hold 0 and 1, both of them, got {np.unique(labels)}")
    # Column of a sample: its place, signed by its class, and one row per class that counts it.
    # Equal to (0, ..., 0, 1, 1) in sum: two means that agree, of shares that are 1 in each class.
    features = points.shape[1]
    columns = []
    for place, label in zip(points.tolist(), labels.tolist(), strict=True):
        sign = 1 if label else -1
        columns.append([*(sign * Fraction(value) for value in place)])
        columns[-1] += [Fraction(int(label == 1)), Fraction(int(label == 0))]
    shares, dual = _nonnegative_solution(columns, [*[Fraction(0)] * features, *[Fraction(1)] * 2])
    if dual is None:
        return Separability(False, None, None, tuple(shares))
    # dual * column <= 0: d x <= -s in class 1 and d x >= t in class 0, with s + t > 0.
    *direction, s, t = dual
    return Separability(True, tuple(-value for value in direction), (t - s) / 2, None)


def _nonnegative_solution(columns: Sequence[Row], target: Row) -> tuple[Row, Row | None]:
    """z >= 0 with sum_i z_i columns[i] = target, and None; or if there is none, a dual u with
    u columns[i] <= 0 for all i and u target > 0.

    The first phase of the simplex method (Dantzig 1951) with the pivots of Bland (1977), which
    cannot cycle; target >= 0.
    """
    count, height = len(columns), len(target)
    # One slack per row makes a first basis; the slacks' sum is what is minimised.
    table = [
        [column[r] for column in columns] + [Fraction(int(r == s)) for s in range(height)]
        for r in range(height)
    ]
    for row, value in zip(table, target, strict=True):
        row.append(value)
    basis = list(range(count, count + height))
    # The cost row starts with the basis priced out; over the slacks it is 1 - u.
    cost = [-sum((row[i] for row in table), Fraction(0)) for i in range(count)]
    cost += [Fraction(0)] * height + [-sum(target, Fraction(0))]
    while (entering := next((i for i in range(count) if cost[i] < 0), None)) is not None:
        ratios = [
            (row[-1] / row[entering], basis[r], r)
            for r, row in enumerate(table)
            if row[entering] > 0
        ]
        _, _, leaving = min(ratios)
        pivot = table[leaving]
        factor = pivot[entering]
        table[leaving] = pivot = [value / factor for value in pivot]
        for row in [*table[:leaving], *table[leaving + 1 :], cost]:
            if step := row[entering]:
                row[:] = [a - step * b if b else a for a, b in zip(row, pivot, strict=True)]
        basis[leaving] = entering
    if cost[-1]:
        return [], [1 - value for value in cost[count:-1]]
    shares = [Fraction(0)] * count
    for r, i in enumerate(basis):
        if i < count:
            shares[i] = table[r][-1]
    return shares, None
