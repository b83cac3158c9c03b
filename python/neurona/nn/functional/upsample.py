"""Enlarging maps: max_unpool2d, bed_of_nails, interpolate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...functions.upsample import BedOfNails, Interpolate, MaxUnpool2d, Taps
from ...tensor import Tensor
from ...tensor.base import apply
from ._arguments import Pair, as_float, as_tensor, int_pair, positive_number, unbatched

_MODES = {3: ("nearest", "linear"), 4: ("nearest", "bilinear")}


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    output_size: Any = None,
) -> Tensor:
    """The inverse of `max_pool2d`, as far as there is one: maxima at their places, 0 elsewhere.

    x and indices (N, C, P, Q) or (C, P, Q), indices as `max_pool2d(return_indices=True)` gives
    them; y (N, C, H, W) with H = (P - 1) stride - 2 padding + kernel, and W alike. `output_size`,
    (H, W) or the whole shape, picks another size less than a stride away, since several sizes pool
    to the same P. Where two values share a place, one of them stays. Raises ValueError for shapes,
    sizes and indices that do not fit, TypeError for a wrong kind or dtype. Paper: Zeiler & Fergus
    2014.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> x = neurona.arange(16).float().reshape(1, 4, 4)
    >>> y, indices = F.max_pool2d(x, 2, return_indices=True)
    >>> F.max_unpool2d(y, indices, 2)[0, 1].tolist()
    [0.0, 5.0, 0.0, 7.0]
    """
    op = "max_unpool2d"
    x, places = as_float(op, "input", input), as_tensor(op, "indices", indices)
    kernel = int_pair(op, "kernel_size", kernel_size, 1)
    steps = kernel if stride is None else int_pair(op, "stride", stride, 1)
    pads = int_pair(op, "padding", padding, 0)
    if places.data.dtype.kind not in "iu":
        raise TypeError(f"{op}: indices must have an integer dtype, got {places.data.dtype}")
    single = unbatched(op, x)
    if places.data.shape != x.data.shape:
        raise ValueError(
            f"{op}: indices must have the shape of input {x.data.shape}, "
            f"got shape {places.data.shape}"
        )
    height, width = (
        (n - 1) * s - 2 * p + k
        for n, s, p, k in zip(x.data.shape[-2:], steps, pads, kernel, strict=True)
    )
    size = (height, width)
    if output_size is not None:
        size = _chosen_size(x.data.shape, output_size, size, steps)
    if min(size) < 1:
        raise ValueError(
            f"{op}: padding must leave something of the output, got {padding!r} for {size}"
        )
    found = places.data.astype(np.int64, copy=False)
    if single:
        return apply(MaxUnpool2d, x.unsqueeze(0), found[None], size).squeeze(0)
    return apply(MaxUnpool2d, x, found, size)


def _chosen_size(
    shape: tuple[int, ...], output_size: Any, default: tuple[int, int], steps: tuple[int, int]
) -> tuple[int, int]:
    if not isinstance(output_size, (tuple, list)) or len(output_size) not in (2, len(shape)):
        raise ValueError(
            f"max_unpool2d: output_size must be (H, W) or a whole shape, got {output_size!r}"
        )
    size = int_pair("max_unpool2d", "output_size", tuple(output_size[-2:]), 1)
    for wanted, usual, step in zip(size, default, steps, strict=True):
        if not usual - step < wanted < usual + step:
            raise ValueError(
                f"max_unpool2d: output_size must be less than a stride {steps} away from "
                f"{default}, got {size}"
            )
    return size


def bed_of_nails(input: Tensor, kernel_size: Pair) -> Tensor:
    """Each value in the top left corner of a block of its own that is 0 elsewhere.

    x (N, C, H, W) or (C, H, W), y (N, C, H kh, W kw). The gradient is that of the corners. Raises
    ValueError for a block size below 1, TypeError for a wrong kind or dtype.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.bed_of_nails(neurona.tensor([[[1.0, 2.0]]]), 2)
    tensor([[[1., 0., 2., 0.],
             [0., 0., 0., 0.]]])
    """
    x = as_float("bed_of_nails", "input", input)
    single = unbatched("bed_of_nails", x)
    block = int_pair("bed_of_nails", "kernel_size", kernel_size, 1)
    if single:
        return apply(BedOfNails, x.unsqueeze(0), block).squeeze(0)
    return apply(BedOfNails, x, block)


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resample the axes after the first two of x (N, C, H, W) or (N, C, L).

    Either `size` (an int or one per axis) or `scale_factor` (a number or one per axis, giving
    floor(H scale_factor)) is given. "nearest" reads floor(i / scale), so that a whole factor
    repeats each value in a block; "bilinear" ("linear" for (N, C, L)) weighs the neighbours of (i +
    1/2) / scale - 1/2, or of i (H - 1) / (P - 1) with `align_corners`. 1 / scale is 1 /
    scale_factor, or H / P with `size` or `recompute_scale_factor`. `antialias` must be False.
    Raises ValueError for values that do not fit, TypeError for a wrong kind or dtype.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.interpolate(neurona.tensor([[[[1.0, 2.0]]]]), scale_factor=2)[0, 0]
    tensor([[1., 1., 2., 2.],
            [1., 1., 2., 2.]])
    """
    op = "interpolate"
    x = as_float(op, "input", input)
    shape = x.data.shape
    if len(shape) not in _MODES:
        raise ValueError(f"{op}: input must have shape (N, C, H, W) or (N, C, L), got {shape}")
    if mode not in _MODES[len(shape)]:
        raise ValueError(
            f"{op}: mode must be one of {_MODES[len(shape)]} for {len(shape)} axes, got {mode!r}"
        )
    if antialias is not False:
        raise ValueError(f"{op}: antialias must be False, got {antialias!r}")
    if align_corners is not None and mode == "nearest":
        raise ValueError(f"{op}: align_corners must be None for mode 'nearest', got a bool")
    if min(shape[2:]) < 1:
        raise ValueError(f"{op}: input must have no empty axis after the first two, got {shape}")
    sizes, steps = _sizes(shape[2:], size, scale_factor, recompute_scale_factor)
    taps = tuple(
        _nearest(n, p, step) if mode == "nearest" else _linear(n, p, step, bool(align_corners))
        for n, p, step in zip(shape[2:], sizes, steps, strict=True)
    )
    return apply(Interpolate, x, taps)


def _sizes(
    lengths: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[list[int], list[float]]:
    """The new lengths, and how far each element of the result moves in the input."""
    op, axes = "interpolate", len(lengths)
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{op}: either size or scale_factor must be given, got both or none")
    name, given = ("scale_factor", scale_factor) if size is None else ("size", size)
    values = list(given) if isinstance(given, (tuple, list)) else [given] * axes
    if len(values) != axes:
        raise ValueError(f"{op}: {name} must have {axes} values, one per axis, got {given!r}")
    if size is not None:
        if recompute:
            raise ValueError(f"{op}: recompute_scale_factor must come with scale_factor, not size")
        wanted = [int_pair(op, "size", value, 1)[0] for value in values]
        return wanted, [n / p for n, p in zip(lengths, wanted, strict=True)]
    factors = [positive_number(op, "scale_factor", value) for value in values]
    sizes = [math.floor(n * factor) for n, factor in zip(lengths, factors, strict=True)]
    if min(sizes) < 1:
        raise ValueError(
            f"{op}: scale_factor must leave something of {lengths}, got {scale_factor!r}"
        )
    if recompute:
        return sizes, [n / p for n, p in zip(lengths, sizes, strict=True)]
    return sizes, [1 / factor for factor in factors]


def _nearest(length: int, size: int, step: float) -> Taps:
    # In float32, as PyTorch computes the positions: the last bit decides which element is read.
    places = np.floor(np.arange(size, dtype=np.float32) * np.float32(step)).astype(np.int64)
    return Taps(np.minimum(places, length - 1))


def _linear(length: int, size: int, step: float, align_corners: bool) -> Taps:
    if align_corners:
        places = np.arange(size) * ((length - 1) / (size - 1) if size > 1 else 0.0)
    else:
        places = np.maximum((np.arange(size) + 0.5) * step - 0.5, 0.0)
    below = np.minimum(places.astype(np.int64), length - 1)
    return Taps(below, np.minimum(below + 1, length - 1), np.minimum(places - below, 1.0))
