"""Argument checks of the reference: every error is raised here, before anything is computed.

Messages read ``op: argument, rule, got value``. A wrong kind or dtype is a TypeError, a wrong value
or shape a ValueError, and a size that no machine can hold a MemoryError.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

Pair = int | Sequence[int]

LARGEST_INT = 2**31 - 1
# No machine has this much memory: refuse before NumPy tries (a broadcast view may claim any size).
LARGEST_ARRAY_BYTES = 2**40


def array(op: str, name: str, value: Any, layout: str | None = None) -> np.ndarray:
    """Return a floating array, C-contiguous and native; a `layout` "(N, C)" asks for two axes."""
    if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{op}: {name} must be a numpy.ndarray, got {type(value).__name__}")
    if not np.issubdtype(value.dtype, np.floating):
        raise TypeError(
            f"{op}: {name} must have a floating dtype, got {value.dtype}; use .astype(np.float32)"
        )
    if layout is not None and value.ndim != layout.count(",") + 1 - layout.count(",)"):
        raise ValueError(f"{op}: {name} must have shape {layout}, got shape {value.shape}")
    memory(op, name, value.shape, value.dtype)
    # One layout for all: the bits of a result must not depend on the strides of the arguments.
    return np.require(np.asarray(value), value.dtype.newbyteorder("="), ["C", "A"])


def optional_array(op: str, name: str, value: Any, layout: str | None = None) -> np.ndarray | None:
    """The same as `array`, letting None through."""
    return None if value is None else array(op, name, value, layout)


def memory(op: str, name: str, shape: Iterable[int], dtype: np.dtype) -> None:
    """Raise MemoryError when an array of this shape could not exist."""
    shape = tuple(shape)
    size = math.prod(shape) * dtype.itemsize
    if size > LARGEST_ARRAY_BYTES:
        raise MemoryError(f"{op}: {name} of shape {shape} needs {size} bytes")


def same_dtype(op: str, name: str, value: np.ndarray | None, other: str, model: np.ndarray) -> None:
    """Raise TypeError unless `value` has the dtype of `model`."""
    if value is not None and value.dtype.newbyteorder("=") != model.dtype.newbyteorder("="):
        raise TypeError(
            f"{op}: {name} must have the dtype of {other}, {model.dtype}, got {value.dtype}; "
            f"use .astype(np.{model.dtype})"
        )


def shape(op: str, name: str, value: np.ndarray | None, expected: tuple[int, ...]) -> None:
    """Raise ValueError unless `value` (when given) has exactly this shape."""
    if value is not None and value.shape != expected:
        raise ValueError(f"{op}: {name} must have shape {expected}, got shape {value.shape}")


def no_empty_axis(op: str, name: str, value: np.ndarray, axes: str) -> None:
    """Raise ValueError when an axis other than the first, the batch, is empty."""
    for letter, length in zip(axes[1:], value.shape[1:], strict=True):
        if length == 0:
            raise ValueError(f"{op}: {name} must have {letter} >= 1, got shape {value.shape}")


def writable(op: str, name: str, value: np.ndarray) -> None:
    """Raise ValueError when an array that will be updated in place is read-only."""
    if not value.flags.writeable:
        raise ValueError(f"{op}: {name} must be writable, got a read-only array")


def _as_int(value: Any) -> int | None:
    """An int from an int, a NumPy integer or a 0-d integer array; None for anything else."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        return None
    return int(value)


def integer(op: str, name: str, value: Any, minimum: int = 0, maximum: int = LARGEST_INT) -> int:
    """Return an int of the closed range minimum..maximum."""
    number = _as_int(value)
    if number is None:
        raise TypeError(f"{op}: {name} must be an int, got {value!r} ({type(value).__name__})")
    if number < minimum:
        raise ValueError(f"{op}: {name} must be >= {minimum}, got {number}")
    if number > maximum:
        raise ValueError(f"{op}: {name} must be <= {maximum}, got {number}")
    return number


def pair(op: str, name: str, value: Any, minimum: int) -> tuple[int, int]:
    """Return (height, width) from an int or a pair of ints, each of them >= minimum."""
    number = _as_int(value)
    if number is not None:
        numbers: list[int | None] = [number, number]
    elif isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim == 1):
        if len(value) != 2:
            raise ValueError(
                f"{op}: {name} must be an int or a pair of ints, got {len(value)} values: {value!r}"
            )
        numbers = [_as_int(item) for item in value]
    else:
        numbers = [None]
    checked = [n for n in numbers if n is not None]
    if len(checked) != 2:
        raise TypeError(
            f"{op}: {name} must be an int or a pair of ints, got {value!r} ({type(value).__name__})"
        )
    if min(checked) < minimum:
        raise ValueError(f"{op}: {name} must be >= {minimum} in both axes, got {value!r}")
    if max(checked) > LARGEST_INT:
        raise ValueError(f"{op}: {name} must be <= {LARGEST_INT} in both axes, got {value!r}")
    return checked[0], checked[1]


def number(
    op: str,
    name: str,
    value: Any,
    rule: str = "finite",
    valid: Callable[[float], bool] = math.isfinite,
) -> float:
    """Return a float for which `valid` holds; `rule` says so in words."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    is_bool = isinstance(value, (bool, np.bool_))
    if is_bool or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{op}: {name} must be a number, got {value!r} ({type(value).__name__})")
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not valid(result):
        raise ValueError(f"{op}: {name} must be {rule}, got {value!r}")
    return result


def non_negative(op: str, name: str, value: Any) -> float:
    """Return a finite float >= 0."""
    return number(op, name, value, "finite and >= 0", lambda v: 0 <= v < math.inf)


def positive(op: str, name: str, value: Any) -> float:
    """Return a finite float > 0."""
    return number(op, name, value, "finite and > 0", lambda v: 0 < v < math.inf)


def fraction(op: str, name: str, value: Any) -> float:
    """Return a float of the closed range 0..1."""
    return number(op, name, value, "between 0 and 1", lambda v: 0 <= v <= 1)


def choice(op: str, name: str, value: Any, allowed: Sequence[str | None]) -> Any:
    """Return `value` when it is one of the allowed names."""
    if not (isinstance(value, str) or (value is None and None in allowed)):
        raise TypeError(
            f"{op}: {name} must be one of {allowed}, got {value!r} ({type(value).__name__})"
        )
    if value not in allowed:
        raise ValueError(f"{op}: {name} must be one of {allowed}, got {value!r}")
    return value


def axis(op: str, value: Any, ndim: int, name: str = "dim") -> int:
    """Return a non-negative axis number from one of -ndim..ndim-1."""
    index = _as_int(value)
    if index is None:
        raise TypeError(f"{op}: {name} must be an int, got {value!r} ({type(value).__name__})")
    if not -ndim <= index < ndim:
        raise ValueError(f"{op}: {name} must be in {-ndim}..{ndim - 1}, got {index}")
    return index % ndim


def accumulator(dtype: np.dtype) -> np.dtype:
    """The dtype of long sums: at least float64, so that their order hardly matters."""
    return np.promote_types(dtype, np.float64)
