"""Transposed 2-D convolution: the gradient of a convolution with respect to its input, used as a
layer.

    y[n,k,p,q] = bias[k] + sum over c,h,w,r,s with p = h stride - padding + r dilation (q alike) of
    w[c,k,r,s] x[n,c,h,w]

x (N, C, H, W), w (C, K/groups, R, S), y (N, K, P, Q) with P = (H - 1) stride - 2 padding + dilation
(R - 1) + output_padding + 1. Its own gradients are therefore the forward and the weight passes of
the ordinary convolution, roles exchanged.
"""

from __future__ import annotations

import numpy as np

from . import _checks as check
from .conv2d import Geometry, channel_sum, check_output, correlate, correlate_weight, scatter


def _checked_geometry(
    op: str,
    stride: check.Pair,
    padding: check.Pair,
    output_padding: check.Pair,
    groups: int,
    dilation: check.Pair,
) -> tuple[Geometry, tuple[int, int]]:
    geometry = Geometry.checked(op, stride, padding, dilation, groups)
    extra = check.pair(op, "output_padding", output_padding, 0)
    for axis in range(2):
        limit = max(geometry.stride[axis], geometry.dilation[axis])
        if extra[axis] >= limit:
            raise ValueError(
                f"{op}: output_padding must be smaller than stride or dilation ({limit}), got "
                f"{output_padding!r}"
            )
    return geometry, extra


def _output_size(
    op: str,
    geometry: Geometry,
    extra: tuple[int, int],
    image: tuple[int, ...],
    kernel: tuple[int, ...],
) -> tuple[int, int]:
    """(P, Q) for an input of (H, W)."""
    size = tuple(
        (image[a] - 1) * geometry.stride[a]
        - 2 * geometry.padding[a]
        + geometry.dilation[a] * (kernel[a] - 1)
        + extra[a]
        + 1
        for a in range(2)
    )
    if min(size) < 1:
        raise ValueError(
            f"{op}: padding must leave an output of at least one pixel, "
            f"got padding {geometry.padding} and output size {size}"
        )
    return size[0], size[1]


def _check_weight(op: str, channels: int, weight_shape: tuple[int, ...], groups: int) -> None:
    """The weight of a transposed convolution is (C, K/groups, R, S)."""
    if 0 in weight_shape:
        raise ValueError(f"{op}: weight must have no empty axis, got shape {weight_shape}")
    if channels != weight_shape[0]:
        raise ValueError(
            f"{op}: weight must have {channels} input channels as x has, got weight shape "
            f"{weight_shape}"
        )
    if channels % groups:
        raise ValueError(
            f"{op}: groups must divide the input channels, got groups={groups} for {channels} "
            "channels"
        )


@np.errstate(all="ignore")
def conv_transpose2d_forward(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: check.Pair = 1,
    padding: check.Pair = 0,
    output_padding: check.Pair = 0,
    groups: int = 1,
    dilation: check.Pair = 1,
) -> np.ndarray:
    """Return y (N, K, P, Q) from x (N, C, H, W), weight (C, K/groups, R, S) and bias (K,).

    Raises TypeError for a wrong dtype, ValueError for shapes or parameters that do not fit
    (output_padding must be smaller than stride or dilation), MemoryError for a result beyond any
    memory.

    >>> conv_transpose2d_forward(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)), stride=2).shape
    (1, 1, 4, 4)
    """
    op = "conv_transpose2d"
    x = check.array(op, "x", x, "(N, C, H, W)")
    weight = check.array(op, "weight", weight, "(C, K/groups, R, S)")
    bias = check.optional_array(op, "bias", bias, "(K,)")
    check.same_dtype(op, "weight", weight, "x", x)
    check.same_dtype(op, "bias", bias, "x", x)
    check.no_empty_axis(op, "x", x, "NCHW")
    geometry, extra = _checked_geometry(op, stride, padding, output_padding, groups, dilation)
    _check_weight(op, x.shape[1], weight.shape, geometry.groups)
    k = weight.shape[1] * geometry.groups
    check.shape(op, "bias", bias, (k,))
    size = _output_size(op, geometry, extra, x.shape[2:], weight.shape[2:])
    check.memory(op, "the result", (x.shape[0], k, *size), x.dtype)

    y = scatter(x, weight, geometry, size)
    if bias is not None:
        y += bias.reshape(1, -1, 1, 1)
    return y


@np.errstate(all="ignore")
def conv_transpose2d_backward_data(
    dy: np.ndarray,
    weight: np.ndarray,
    *,
    stride: check.Pair = 1,
    padding: check.Pair = 0,
    output_padding: check.Pair = 0,
    groups: int = 1,
    dilation: check.Pair = 1,
) -> np.ndarray:
    """Return dx (N, C, H, W) from dy (N, K, P, Q) and weight (C, K/groups, R, S).

    H follows from P by inverting the size formula; a P that no H gives is a ValueError. Raises
    TypeError for a wrong dtype, ValueError for shapes or parameters that do not fit.

    >>> conv_transpose2d_backward_data(np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2)), stride=2).shape
    (1, 1, 2, 2)
    """
    op = "conv_transpose2d_backward_data"
    dy = check.array(op, "dy", dy, "(N, K, P, Q)")
    weight = check.array(op, "weight", weight, "(C, K/groups, R, S)")
    check.same_dtype(op, "weight", weight, "dy", dy)
    check.no_empty_axis(op, "dy", dy, "NKPQ")
    geometry, extra = _checked_geometry(op, stride, padding, output_padding, groups, dilation)
    _check_weight(op, weight.shape[0], weight.shape, geometry.groups)
    k = weight.shape[1] * geometry.groups
    if dy.shape[1] != k:
        raise ValueError(f"{op}: dy must have {k} channels, got shape {dy.shape}")
    image = []
    for axis in range(2):
        reach = geometry.dilation[axis] * (weight.shape[2 + axis] - 1) + extra[axis] + 1
        steps = dy.shape[2 + axis] + 2 * geometry.padding[axis] - reach
        if steps < 0 or steps % geometry.stride[axis]:
            raise ValueError(
                f"{op}: dy must have the shape of an output with these parameters, got shape "
                f"{dy.shape} for weight "
                f"{weight.shape}, stride {geometry.stride}, padding {geometry.padding}, "
                f"output_padding {extra}"
            )
        image.append(steps // geometry.stride[axis] + 1)
    return correlate(dy, weight, geometry, (image[0], image[1]))


@np.errstate(all="ignore")
def conv_transpose2d_backward_weight(
    dy: np.ndarray,
    x: np.ndarray,
    kernel_size: check.Pair,
    *,
    stride: check.Pair = 1,
    padding: check.Pair = 0,
    output_padding: check.Pair = 0,
    groups: int = 1,
    dilation: check.Pair = 1,
    with_bias: bool = True,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return dw (C, K/groups, R, S) and db (K,) from dy (N, K, P, Q), x (N, C, H, W) and
    kernel_size = (R, S).

    db is None without `with_bias`. Raises TypeError for a wrong dtype, ValueError for shapes or
    parameters that do not fit.

    >>> dy, x = np.ones((1, 1, 4, 4)), np.ones((1, 1, 2, 2))
    >>> conv_transpose2d_backward_weight(dy, x, 2, stride=2)[1]
    array([16.])
    """
    op = "conv_transpose2d_backward_weight"
    dy = check.array(op, "dy", dy, "(N, K, P, Q)")
    x = check.array(op, "x", x, "(N, C, H, W)")
    check.same_dtype(op, "x", x, "dy", dy)
    check.no_empty_axis(op, "x", x, "NCHW")
    check.no_empty_axis(op, "dy", dy, "NKPQ")
    kernel = check.pair(op, "kernel_size", kernel_size, 1)
    geometry, extra = _checked_geometry(op, stride, padding, output_padding, groups, dilation)
    k, c = dy.shape[1], x.shape[1]
    if k % geometry.groups or c % geometry.groups:
        raise ValueError(
            f"{op}: groups must divide the input and the output channels, got "
            f"groups={geometry.groups} "
            f"for {c} input and {k} output channels"
        )
    size = _output_size(op, geometry, extra, x.shape[2:], kernel)
    check_output(op, dy, (x.shape[0], k, *size))
    dw = correlate_weight(x, dy, geometry, kernel)
    return dw, channel_sum(dy) if with_bias else None
