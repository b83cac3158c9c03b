"""Checks that the transforms share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..tensor import Tensor


def numbers(op: str, name: str, values: Any, count: int) -> tuple[float, ...]:
    """`values` as `count` finite floats."""
    if not isinstance(values, Sequence) or len(values) != count:
        raise ValueError(f"{op}: {name} must hold {count} numbers, got {values!r}")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{op}: {name} must hold numbers, got {value!r}")
        if not math.isfinite(value):
            raise ValueError(f"{op}: {name} must be finite, got {value!r}")
    return tuple(float(value) for value in values)


def pair(op: str, name: str, value: Any) -> tuple[float, float]:
    """One number for both axes, or a pair."""
    first, second = numbers(op, name, value if isinstance(value, Sequence) else (value,) * 2, 2)
    return first, second


def bounds(op: str, name: str, value: Any) -> tuple[float, float]:
    """A number s as (-s, s), or a pair (from, to)."""
    if not isinstance(value, Sequence):
        (limit,) = numbers(op, name, (value,), 1)
        if limit < 0:
            raise ValueError(f"{op}: {name} must be >= 0 or a pair, got {value!r}")
        return -limit, limit
    low, high = numbers(op, name, value, 2)
    if low > high:
        raise ValueError(f"{op}: {name} must be a pair (from, to), got {value!r}")
    return low, high


def batch(op: str, images: Any) -> np.ndarray:
    """The array of images (N, C, H, W) behind an array or a Tensor."""
    array = images.data if isinstance(images, Tensor) else images
    if not isinstance(array, np.ndarray) or array.ndim != 4:
        raise ValueError(f"{op}: images must have shape (N, C, H, W), got {described(array)}")
    return array


def like(images: Any, changed: np.ndarray) -> Any:
    """`changed` as the kind of `images`: an array or a Tensor."""
    return Tensor(changed) if isinstance(images, Tensor) else changed


def described(value: Any) -> str:
    """What came, for a message."""
    return str(value.shape) if isinstance(value, np.ndarray) else type(value).__name__
