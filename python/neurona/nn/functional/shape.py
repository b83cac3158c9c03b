"""pad, one_hot, flatten."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...functions.pad import PadConstant, PadIndexed
from ...tensor import Tensor
from ...tensor.base import apply, plain
from ._arguments import as_tensor

# What NumPy calls the modes that repeat elements of the input.
_NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _widths(pad: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """(before, after) of every axis from PyTorch's (last axis first)."""
    if not isinstance(pad, (tuple, list)):
        raise TypeError(f"pad: pad must be a tuple of ints, got {type(pad).__name__}")
    for width in pad:
        if isinstance(width, bool) or not isinstance(width, (int, np.integer)):
            raise TypeError(f"pad: pad must be a tuple of ints, got {width!r} in it")
    if len(pad) % 2 or len(pad) > 2 * ndim:
        raise ValueError(
            f"pad: pad must hold 2 ints for each of {ndim} axes at most, got {len(pad)}: {pad!r}"
        )
    pairs = [(int(a), int(b)) for a, b in zip(pad[0::2], pad[1::2], strict=True)]
    return tuple([(0, 0)] * (ndim - len(pairs)) + pairs[::-1])


def pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """x with more elements at its borders; `pad` is (left, right, top, bottom, ...).

    "constant" adds `value` (0) to any axes, and negative widths cut. "reflect", "replicate" and
    "circular" repeat elements of the input, in its last axes. Raises ValueError for an unknown mode
    and for widths that do not fit, TypeError for widths that are no ints.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.pad(neurona.tensor([[1.0, 2.0]]), (1, 2))
    tensor([[0., 1., 2., 0., 0.]])
    """
    x = as_tensor("pad", "input", input)
    shape = x.data.shape
    widths = _widths(pad, len(shape))
    if mode == "constant":
        for axis, (length, (before, after)) in enumerate(zip(shape, widths, strict=True)):
            if length + before + after < 0 or min(before, 0) + min(after, 0) < -length:
                raise ValueError(
                    f"pad: pad must not cut more than axis {axis} has, got ({before}, {after}) for "
                    f"shape {shape}"
                )
        return apply(PadConstant, x, widths, 0.0 if value is None else float(value))
    if mode not in _NUMPY_MODES:
        allowed = ("constant", *_NUMPY_MODES)
        raise ValueError(f"pad: mode must be one of {allowed}, got {mode!r}")
    if value is not None:
        raise ValueError(f"pad: value must be None unless mode is 'constant', got {value!r}")
    grid = []
    padded = len(pad) // 2
    for length, (before, after) in zip(
        shape[len(shape) - padded :], widths[len(shape) - padded :], strict=True
    ):
        limit = {"reflect": length - 1, "circular": length}.get(mode, 2**31 - 1 if length else 0)
        if not (0 <= before <= limit and 0 <= after <= limit):
            raise ValueError(
                f"pad: pad must be in 0..{limit} for mode {mode!r} and shape {shape}, "
                f"got ({before}, {after})"
            )
        positions = np.arange(length)
        grid.append(np.pad(positions, (before, after), mode=_NUMPY_MODES[mode]))  # type: ignore[call-overload]
    return apply(PadIndexed, x, tuple(np.ix_(*grid)))


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Labels (...) of any integer type -> int64 (..., num_classes), 1 where the label is.

    `num_classes=-1` takes the largest label + 1. Raises ValueError for a label outside
    0..num_classes-1, TypeError for labels that are no integers.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.one_hot(neurona.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    labels = as_tensor("one_hot", "tensor", tensor).data
    if labels.dtype.kind not in "iu":
        raise TypeError(f"one_hot: tensor must have an integer dtype, got {labels.dtype}")
    if isinstance(num_classes, bool) or not isinstance(num_classes, (int, np.integer)):
        raise TypeError(f"one_hot: num_classes must be an int, got {type(num_classes).__name__}")
    if num_classes == -1:
        if labels.size == 0:
            raise ValueError("one_hot: num_classes must be given for an empty tensor, got -1")
        num_classes = int(labels.max()) + 1
    if num_classes < 1:
        raise ValueError(f"one_hot: num_classes must be > 0, or -1 to infer it, got {num_classes}")
    wrong = (labels < 0) | (labels >= num_classes)
    if wrong.any():
        first = np.unravel_index(int(np.argmax(wrong)), labels.shape)
        raise ValueError(
            f"one_hot: tensor must hold labels in 0..{num_classes - 1}, got {labels[first]} at "
            f"position {tuple(int(i) for i in first)}"
        )
    return plain((labels[..., None] == np.arange(num_classes)).astype(np.int64))


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from `start_dim` to `end_dim` joined into one.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.flatten(neurona.zeros(2, 3, 4), 1).shape
    (2, 12)
    """
    return as_tensor("flatten", "input", input).flatten(start_dim, end_dim)
