"""Arguments that several functions share."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...autograd import Function, mode
from ...tensor import Tensor

Pair = int | tuple[int, int]
REDUCTIONS = ("mean", "sum", "none")


def as_tensor(op: str, name: str, value: Any) -> Tensor:
    """A tensor as it is, an array as a tensor on its memory; TypeError for anything else."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray):
        return Tensor(value)
    raise TypeError(f"{op}: {name} must be a Tensor or an ndarray, got {type(value).__name__}")


def as_float(op: str, name: str, value: Any) -> Tensor:
    """`as_tensor` for what NumPy computes: TypeError unless the dtype is float32 or float64."""
    x = as_tensor(op, name, value)
    if x.data.dtype not in (np.float32, np.float64):
        raise TypeError(f"{op}: {name} must have dtype float32 or float64, got {x.data.dtype}")
    return x


def positive_number(op: str, name: str, value: Any) -> float:
    """A finite number > 0; NaN is refused by the way the comparison is written."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{op}: {name} must be a number, got {value!r} ({type(value).__name__})")
    if not 0 < value < float("inf"):
        raise ValueError(f"{op}: {name} must be > 0 and finite, got {value!r}")
    return float(value)


def finite_number(op: str, name: str, value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{op}: {name} must be a number, got {value!r} ({type(value).__name__})")
    if not np.isfinite(value):
        raise ValueError(f"{op}: {name} must be finite, got {value!r}")
    return float(value)


def int_single(op: str, name: str, value: Any, minimum: int) -> int:
    """An int >= minimum, or a tuple of one; TypeError, ValueError."""
    if isinstance(value, (tuple, list)):
        if len(value) != 1:
            raise ValueError(f"{op}: {name} must be an int or a tuple of one, got {value!r}")
        (value,) = value
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{op}: {name} must be an int, got {value!r} ({type(value).__name__})")
    if value < minimum:
        raise ValueError(f"{op}: {name} must be >= {minimum}, got {value!r}")
    return int(value)


def int_pair(op: str, name: str, value: Any, minimum: int) -> tuple[int, int]:
    """An int >= minimum or a pair of them, as a pair; TypeError, ValueError."""
    values = value if isinstance(value, (tuple, list)) else (value, value)
    if len(values) != 2:
        raise ValueError(f"{op}: {name} must be an int or a pair of ints, got {value!r}")
    first, second = (int_single(op, name, part, minimum) for part in values)
    return first, second


def check_reduction(op: str, size_average: Any, reduce: Any, reduction: Any) -> None:
    """ValueError for an unknown reduction, or for PyTorch's two dead arguments when given."""
    for name, value in (("size_average", size_average), ("reduce", reduce)):
        if value is not None:
            raise ValueError(f"{op}: {name} must be None (say it with reduction), got {value!r}")
    if reduction not in REDUCTIONS:
        raise ValueError(f"{op}: reduction must be one of {REDUCTIONS}, got {reduction!r}")


def probability(op: str, value: Any) -> float:
    """A number of 0..1."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{op}: p must be a number, got {value!r} ({type(value).__name__})")
    if not 0 <= value <= 1:
        raise ValueError(f"{op}: p must be between 0 and 1, got {value!r}")
    return float(value)


def replace(op: str, input: Tensor, function: type[Function], *args: Any) -> Tensor:
    """What `inplace=True` means: `input` becomes the result.

    It takes the result's memory over, so that whatever others saved of the old values stays valid.
    """
    if mode.enabled and input._requires_grad and input._node is None:
        raise RuntimeError(
            f"{op}: a leaf that requires grad must not be changed in place while operations are "
            "recorded; use neurona.no_grad()"
        )
    result = function.apply(input, *args)
    input.data, input._version = result.data, result._version
    if result._requires_grad:
        input._node, input._requires_grad = result._node, True
    return input


def unbatched(op: str, input: Tensor) -> bool:
    """Whether an image comes as (C, H, W); ValueError unless it is that or (N, C, H, W)."""
    ndim = input.data.ndim
    if ndim == 4:
        return False
    if ndim == 3:
        return True
    raise ValueError(
        f"{op}: input must have shape (N, C, H, W) or (C, H, W), got shape {input.data.shape}"
    )
