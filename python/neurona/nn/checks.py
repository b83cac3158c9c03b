"""Checks of constructor arguments, shared by the layers: one form of message for all of them."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

_LARGEST = 2**31 - 1


def integer(layer: str, name: str, value: Any, minimum: int) -> int:
    """`value` as an int >= minimum; np.int64 and 0-d integer arrays count, bool and float do
    not.
    """
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{layer}: {name} must be an int, got {type(value).__name__}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{layer}: {name} must be an int, got {type(value).__name__}") from None
    if not minimum <= number <= _LARGEST:
        raise ValueError(f"{layer}: {name} must be in [{minimum}, {_LARGEST}], got {number}")
    return number


def pair(layer: str, name: str, value: Any, minimum: int) -> tuple[int, int]:
    """An int or a pair of ints as (height, width)."""
    if not isinstance(value, tuple | list):
        if isinstance(value, bool | str | float | bytes) or value is None:
            raise TypeError(
                f"{layer}: {name} must be an int or a pair of ints, got {type(value).__name__}"
            )
        number = integer(layer, name, value, minimum)
        return number, number
    if len(value) != 2:
        raise ValueError(f"{layer}: {name} must be an int or a pair of ints, got {value!r}")
    return integer(layer, name, value[0], minimum), integer(layer, name, value[1], minimum)


def single(layer: str, name: str, value: Any, minimum: int) -> tuple[int]:
    """An int or a tuple of one int as (length,)."""
    if isinstance(value, tuple | list):
        if len(value) != 1:
            raise ValueError(f"{layer}: {name} must be an int or a tuple of one, got {value!r}")
        value = value[0]
    return (integer(layer, name, value, minimum),)


def number(layer: str, name: str, value: Any, low: float, high: float = math.inf) -> float:
    """A real number in [low, high]; NaN is refused by the way the comparison is written."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{layer}: {name} must be a number, got {type(value).__name__}")
    if not low <= value <= high or math.isinf(value):
        raise ValueError(f"{layer}: {name} must be in [{low:g}, {high:g}], got {value}")
    return float(value)


def positive(layer: str, name: str, value: Any) -> float:
    """A finite number > 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{layer}: {name} must be a number, got {type(value).__name__}")
    if not 0 < value < math.inf:
        raise ValueError(f"{layer}: {name} must be > 0, got {value}")
    return float(value)


def flag(layer: str, name: str, value: Any) -> bool:
    """A bool."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{layer}: {name} must be a bool, got {type(value).__name__}")
    return bool(value)


def float_dtype(layer: str, device: Any, dtype: Any) -> np.dtype:
    """The dtype of new parameters (float32 unless told) after checking that `device` is the CPU."""
    if device is not None and str(device) != "cpu":
        raise ValueError(f"{layer}: device must be None or 'cpu', got {device!r}")
    chosen = np.dtype(np.float32 if dtype is None else dtype)
    if chosen not in (np.float32, np.float64):
        raise TypeError(f"{layer}: dtype must be float32 or float64, got {chosen}")
    return chosen


def reduction_only(layer: str, size_average: Any, reduce: Any, reduction: Any) -> str:
    """The reduction; the two slots that PyTorch gave up keep their place and accept None only."""
    if size_average is not None or reduce is not None:
        raise ValueError(f"{layer}: size_average and reduce must be None, use reduction= instead")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{layer}: reduction must be 'none', 'mean' or 'sum', got {reduction!r}")
    return str(reduction)


def choice(layer: str, name: str, value: Any, known: tuple[str, ...]) -> str:
    """One of the words in `known`."""
    if value not in known:
        raise ValueError(f"{layer}: {name} must be one of {known}, got {value!r}")
    return str(value)
