"""Data made by code: points in the plane that no line separates, and drawn shapes.

All take a `generator`, or the default one that `neurona.manual_seed` sets, so that a seed gives the
same data for ever. Points are float32 (N, 2), labels int64, both in random order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..random import Generator, default_generator

Points = tuple[np.ndarray, np.ndarray]


def _check(op: str, n_samples: int, noise: float | None, classes: int = 2) -> None:
    if isinstance(n_samples, bool) or not isinstance(n_samples, int | np.integer):
        raise TypeError(f"{op}: n_samples must be an int, got {type(n_samples).__name__}")
    if n_samples < classes:
        raise ValueError(f"{op}: n_samples must be >= {classes}, got {n_samples}")
    if noise is not None and not 0.0 <= noise < math.inf:
        raise ValueError(f"{op}: noise must be finite and >= 0, or None, got {noise}")


def _shuffled(
    x: np.ndarray, y: np.ndarray, noise: float | None, generator: Generator | None
) -> Points:
    source = generator or default_generator
    order = source.permutation(len(y))
    x = x[order].astype(np.float32)
    if noise:
        x += source.normal(x.shape, 0.0, noise)
    return x, y[order]


def _on_circle(turns: np.ndarray) -> np.ndarray:
    return np.stack([np.cos(2 * math.pi * turns), np.sin(2 * math.pi * turns)], axis=1)


def make_moons(
    n_samples: int = 100, *, noise: float | None = None, generator: Generator | None = None
) -> Points:
    """Two half circles of radius 1 that interlock; half of the points each, moved by N(0, noise^2).

    >>> x, y = make_moons(100, noise=0.1)
    >>> x.shape, np.bincount(y).tolist()
    ((100, 2), [50, 50])
    """
    _check("make_moons", n_samples, noise)
    upper = n_samples // 2
    first = _on_circle(np.linspace(0.0, 0.5, upper))
    second = np.array([1.0, 0.5]) - _on_circle(np.linspace(0.0, 0.5, n_samples - upper))
    y = (np.arange(n_samples) >= upper).astype(np.int64)
    return _shuffled(np.concatenate([first, second]), y, noise, generator)


def make_circles(
    n_samples: int = 100,
    *,
    noise: float | None = None,
    factor: float = 0.8,
    generator: Generator | None = None,
) -> Points:
    """A circle of radius 1 (class 0) and one of radius `factor` in it (class 1).

    Raises ValueError unless factor is in [0, 1).

    >>> x, y = make_circles(100, factor=0.5)
    >>> [round(float(np.hypot(*x[y == k].T).mean()), 3) for k in (0, 1)]
    [1.0, 0.5]
    """
    _check("make_circles", n_samples, noise)
    if not 0.0 <= factor < 1.0:
        raise ValueError(f"make_circles: factor must be in [0, 1), got {factor}")
    outer = n_samples // 2
    inner = n_samples - outer
    x = np.concatenate(
        [_on_circle(np.arange(outer) / outer), factor * _on_circle(np.arange(inner) / inner)]
    )
    y = (np.arange(n_samples) >= outer).astype(np.int64)
    return _shuffled(x, y, noise, generator)


def make_xor(
    n_samples: int = 100, *, noise: float | None = None, generator: Generator | None = None
) -> Points:
    """The corners of the unit square, a quarter of the points each; class 1 where the coordinates
    differ.

    Without noise and with 4 samples it is the truth table of XOR.

    >>> x, y = make_xor(4)
    >>> sorted(zip(x.tolist(), y.tolist()))
    [([0.0, 0.0], 0), ([0.0, 1.0], 1), ([1.0, 0.0], 1), ([1.0, 1.0], 0)]
    """
    _check("make_xor", n_samples, noise)
    corner = np.arange(n_samples) % 4
    first, second = corner // 2, corner % 2
    return _shuffled(np.stack([first, second], axis=1), first ^ second, noise, generator)


def make_gaussians(
    n_samples: int = 1000,
    *,
    weights: Sequence[float] = (0.8, 0.1, 0.1),
    radius: float = 1.5,
    std: float = 1.0,
    generator: Generator | None = None,
) -> Points:
    """One normal cloud per class, centred on a circle of `radius`; class k has the share
    weights[k] of the points.

    The default is an imbalanced problem of three overlapping classes. Raises ValueError for weights
    that do not add up to 1, or give a class no point.

    >>> np.bincount(make_gaussians(1000)[1]).tolist()
    [800, 100, 100]
    """
    shares = np.asarray(weights, np.float64)
    _check("make_gaussians", n_samples, std, len(shares))
    if shares.ndim != 1 or not (shares > 0).all() or not math.isclose(shares.sum(), 1.0):
        raise ValueError(
            f"make_gaussians: weights must be > 0 and add up to 1, got {list(weights)}"
        )
    ends = np.round(np.cumsum(shares) * n_samples).astype(int)
    counts = np.diff(ends, prepend=0)
    if not counts.all():
        raise ValueError(
            f"make_gaussians: n_samples must give each class a point, got {n_samples} for "
            f"weights {list(weights)}"
        )
    y = np.repeat(np.arange(len(shares)), counts)
    centres = radius * _on_circle(np.arange(len(shares)) / len(shares) + 0.25)
    return _shuffled(centres[y], y, std, generator)
