"""Checks that the functions of this package share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor

DISTANCES = ("l2", "l1")


def vectors(op: str, name: str, value: Any, wide: bool = True) -> np.ndarray:
    """The array (N, D) of float vectors behind a tensor or array, in float64 if `wide`."""
    array = value.data if isinstance(value, Tensor) else value
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{op}: {name} must be a Tensor or an ndarray, got {type(value).__name__}")
    if array.dtype.kind != "f":
        raise TypeError(f"{op}: {name} must have a floating dtype, got {array.dtype}")
    if array.ndim != 2:
        raise ValueError(f"{op}: {name} must have shape (N, D), got {array.shape}")
    return array.astype(np.float64, copy=False) if wide else array


def class_labels(op: str, value: Any, count: int | None = None) -> np.ndarray:
    """The array (N,) of integer labels behind a tensor, an array or a sequence."""
    array = value.data if isinstance(value, Tensor) else np.asarray(value)
    if array.ndim != 1 or (count is not None and len(array) != count):
        wanted = "(N,)" if count is None else f"({count},)"
        raise ValueError(f"{op}: labels must have shape {wanted}, got {array.shape}")
    if array.dtype.kind not in "iu":
        raise TypeError(f"{op}: labels must have an integer dtype, got {array.dtype}")
    return array


def known_distance(op: str, distance: str) -> str:
    """The name of a distance."""
    if distance not in DISTANCES:
        raise ValueError(f"{op}: distance must be one of {DISTANCES}, got {distance!r}")
    return distance
