"""2-D convolution (cross-correlation, as all libraries call it) and its three gradients.

    y[n,k,p,q]  = bias[k] + sum over c,r,s of  w[k,c,r,s] x[n,c,h,w]
                  with h = p stride - padding + r dilation and w = q stride - padding + s dilation
    dx[n,c,h,w] = sum over k,r,s and those p,q that read (h, w) of  w[k,c,r,s] dy[n,k,p,q]
    dw[k,c,r,s] = sum over n,p,q of  dy[n,k,p,q] x[n,c,h,w]
    db[k]       = sum over n,p,q of  dy[n,k,p,q]

x (N, C, H, W), w (K, C/groups, R, S), y (N, K, P, Q) with P = floor((H + 2 padding - dilation (R-1)
- 1) / stride) + 1. Each group g maps its own C/groups input channels to its own K/groups output
channels. The loops run over the taps (r, s): for one tap, all the pixels it reads are one strided
slice of the padded input.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import _checks as check
from .activation import apply_activation, check_activation

VARIANTS = (
    None,
    "naive",
    "direct",
    "im2col",
    "pointwise",
    "scatter",
    "narrow",
    "depthwise",
    "winograd",
    "winograd_columns",
)
DIRECTIONS = ("forward", "backward_data", "backward_weight")


class Geometry(NamedTuple):
    """Where the taps of a convolution lie: pairs (height, width)."""

    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int

    @classmethod
    def checked(
        cls, op: str, stride: check.Pair, padding: check.Pair, dilation: check.Pair, groups: int
    ) -> Geometry:
        """Check the four parameters."""
        return cls(
            check.pair(op, "stride", stride, 1),
            check.pair(op, "padding", padding, 0),
            check.pair(op, "dilation", dilation, 1),
            check.integer(op, "groups", groups, 1),
        )

    def output_size(
        self, op: str, image: tuple[int, ...], kernel: tuple[int, ...]
    ) -> tuple[int, int]:
        """(P, Q) for an image (H, W) and a kernel (R, S)."""
        size = []
        for axis, letter in ((0, "height"), (1, "width")):
            padded = image[axis] + 2 * self.padding[axis]
            extent = self.dilation[axis] * (kernel[axis] - 1) + 1
            if extent > padded:
                raise ValueError(
                    f"{op}: kernel must not exceed the padded input, got a kernel of effective "
                    f"{letter} {extent} "
                    f"(kernel_size {kernel[axis]}, dilation {self.dilation[axis]}) for a padded "
                    f"{letter} of {padded}"
                )
            size.append((padded - extent) // self.stride[axis] + 1)
        return size[0], size[1]

    def tap(self, r: int, s: int, size: tuple[int, int]) -> tuple[slice, slice]:
        """The pixels of the padded image that tap (r, s) reads for an output of this size."""
        starts = r * self.dilation[0], s * self.dilation[1]
        return (
            slice(starts[0], starts[0] + (size[0] - 1) * self.stride[0] + 1, self.stride[0]),
            slice(starts[1], starts[1] + (size[1] - 1) * self.stride[1] + 1, self.stride[1]),
        )


def _padded(x: np.ndarray, geometry: Geometry) -> np.ndarray:
    (top, left) = geometry.padding
    return np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)))


def correlate(
    x: np.ndarray, weight: np.ndarray, geometry: Geometry, size: tuple[int, int]
) -> np.ndarray:
    """y (N, K, P, Q) for P, Q = size; no checks."""
    groups = geometry.groups
    n, c = x.shape[:2]
    k, _, kernel_height, kernel_width = weight.shape
    padded = _padded(x, geometry)
    w = weight.reshape(groups, k // groups, c // groups, kernel_height, kernel_width)
    y = np.zeros((n, groups, k // groups, size[0] * size[1]), dtype=x.dtype)
    for r in range(kernel_height):
        for s in range(kernel_width):
            pixels = padded[:, :, *geometry.tap(r, s, size)]
            y += w[:, :, :, r, s] @ pixels.reshape(n, groups, c // groups, size[0] * size[1])
    return y.reshape(n, k, *size)


def scatter(
    dy: np.ndarray, weight: np.ndarray, geometry: Geometry, image: tuple[int, int]
) -> np.ndarray:
    """dx (N, C, H, W) for H, W = image: the transpose of `correlate`; no checks."""
    groups = geometry.groups
    n, k, p, q = dy.shape
    _, c_per_group, kernel_height, kernel_width = weight.shape
    c = c_per_group * groups
    (top, left), (h, w) = geometry.padding, image
    # Rows that no tap covers (a stride that does not divide, output_padding) stay zero.
    padded = np.zeros((n, c, h + 2 * top, w + 2 * left), dtype=dy.dtype)
    transposed = weight.reshape(groups, k // groups, c_per_group, kernel_height, kernel_width)
    transposed = transposed.transpose(0, 2, 1, 3, 4)
    grouped_dy = dy.reshape(n, groups, k // groups, p * q)
    for r in range(kernel_height):
        for s in range(kernel_width):
            spread = transposed[:, :, :, r, s] @ grouped_dy
            padded[:, :, *geometry.tap(r, s, (p, q))] += spread.reshape(n, c, p, q)
    return np.ascontiguousarray(padded[:, :, top : top + h, left : left + w])


def correlate_weight(
    dy: np.ndarray, x: np.ndarray, geometry: Geometry, kernel: tuple[int, int]
) -> np.ndarray:
    """dw (K, C/groups, R, S) for R, S = kernel; no checks."""
    groups = geometry.groups
    n, k, p, q = dy.shape
    c_per_group = x.shape[1] // groups
    padded = _padded(x, geometry)
    # The sum over N, P and Q is one long product per group: (K/g, N P Q) times (N P Q, C/g).
    split = dy.reshape(n, groups, k // groups, p * q).transpose(1, 2, 0, 3)
    by_group = split.reshape(groups, k // groups, n * p * q)
    dw = np.zeros((groups, k // groups, c_per_group, *kernel), dtype=x.dtype)
    for r in range(kernel[0]):
        for s in range(kernel[1]):
            pixels = padded[:, :, *geometry.tap(r, s, (p, q))].reshape(
                n, groups, c_per_group, p * q
            )
            columns = pixels.transpose(1, 0, 3, 2).reshape(groups, n * p * q, c_per_group)
            dw[:, :, :, r, s] = by_group @ columns
    return dw.reshape(k, c_per_group, *kernel)


def channel_sum(dy: np.ndarray) -> np.ndarray:
    """db (K,): dy summed over N, P and Q."""
    return dy.sum(axis=(0, 2, 3), dtype=check.accumulator(dy.dtype)).astype(dy.dtype)


def check_channels(op: str, channels: int, weight_shape: tuple[int, ...], groups: int) -> None:
    """Raise unless `channels` inputs in `groups` groups fit a weight (K, C/groups, R, S)."""
    k, c_per_group = weight_shape[:2]
    if channels % groups or k % groups:
        raise ValueError(
            f"{op}: groups must divide the input and the output channels, got groups={groups} "
            f"for {channels} input and {k} output channels"
        )
    if channels // groups != c_per_group:
        raise ValueError(
            f"{op}: weight must have {channels // groups} input channels per group ({channels} "
            f"channels in {groups} "
            f"groups), got weight shape {weight_shape}"
        )


def check_output(op: str, dy: np.ndarray, expected: tuple[int, ...]) -> None:
    """Raise unless the upstream gradient has the shape of the output."""
    check.shape(op, "dy", dy, expected)


@np.errstate(all="ignore")
def conv2d_forward(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    stride: check.Pair = 1,
    padding: check.Pair = 0,
    dilation: check.Pair = 1,
    groups: int = 1,
    activation: str | None = None,
    variant: str | None = None,
) -> np.ndarray:
    """Return y (N, K, P, Q) from x (N, C, H, W), weight (K, C/groups, R, S) and bias (K,).

    `variant` names an algorithm of the compiled kernels; here it is checked and otherwise ignored.
    Raises TypeError for a wrong dtype, ValueError for shapes or parameters that do not fit,
    MemoryError for a result beyond any memory.

    >>> conv2d_forward(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))).shape
    (1, 1, 2, 2)
    """
    op = "conv2d"
    x = check.array(op, "x", x, "(N, C, H, W)")
    weight = check.array(op, "weight", weight, "(K, C/groups, R, S)")
    bias = check.optional_array(op, "bias", bias, "(K,)")
    check.same_dtype(op, "weight", weight, "x", x)
    check.same_dtype(op, "bias", bias, "x", x)
    check.no_empty_axis(op, "x", x, "NCHW")
    _no_empty_weight(op, weight)
    geometry = Geometry.checked(op, stride, padding, dilation, groups)
    check_activation(op, activation)
    check.choice(op, "variant", variant, VARIANTS)
    check_channels(op, x.shape[1], weight.shape, geometry.groups)
    check.shape(op, "bias", bias, weight.shape[:1])
    size = geometry.output_size(op, x.shape[2:], weight.shape[2:])
    check.memory(op, "the result", (x.shape[0], weight.shape[0], *size), x.dtype)

    y = correlate(x, weight, geometry, size)
    if bias is not None:
        y += bias.reshape(1, -1, 1, 1)
    return apply_activation(activation, y)


def _no_empty_weight(op: str, weight: np.ndarray) -> None:
    if 0 in weight.shape:
        raise ValueError(f"{op}: weight must have no empty axis, got shape {weight.shape}")


@np.errstate(all="ignore")
def conv2d_backward_data(
    dy: np.ndarray,
    weight: np.ndarray,
    input_size: check.Pair,
    *,
    stride: check.Pair = 1,
    padding: check.Pair = 0,
    dilation: check.Pair = 1,
    groups: int = 1,
    variant: str | None = None,
) -> np.ndarray:
    """Return dx (N, C, H, W) from dy (N, K, P, Q), weight (K, C/groups, R, S) and input_size = (H,
    W).

    Raises TypeError for a wrong dtype, ValueError for shapes or parameters that do not fit.

    >>> conv2d_backward_data(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)), 3)[0, 0, 1]
    array([2., 4., 2.])
    """
    op = "conv2d_backward_data"
    dy = check.array(op, "dy", dy, "(N, K, P, Q)")
    weight = check.array(op, "weight", weight, "(K, C/groups, R, S)")
    check.same_dtype(op, "weight", weight, "dy", dy)
    _no_empty_weight(op, weight)
    image = check.pair(op, "input_size", input_size, 1)
    geometry = Geometry.checked(op, stride, padding, dilation, groups)
    check.choice(op, "variant", variant, VARIANTS)
    check_channels(op, weight.shape[1] * geometry.groups, weight.shape, geometry.groups)
    size = geometry.output_size(op, image, weight.shape[2:])
    check_output(op, dy, (dy.shape[0], weight.shape[0], *size))
    channels = weight.shape[1] * geometry.groups
    check.memory(op, "the result", (dy.shape[0], channels, *image), dy.dtype)
    return scatter(dy, weight, geometry, image)


@np.errstate(all="ignore")
def conv2d_backward_weight(
    dy: np.ndarray,
    x: np.ndarray,
    kernel_size: check.Pair,
    *,
    stride: check.Pair = 1,
    padding: check.Pair = 0,
    dilation: check.Pair = 1,
    groups: int = 1,
    with_bias: bool = True,
    variant: str | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return dw (K, C/groups, R, S) and db (K,) from dy (N, K, P, Q), x (N, C, H, W) and
    kernel_size = (R, S).

    db is None without `with_bias`. Raises TypeError for a wrong dtype, ValueError for shapes or
    parameters that do not fit.

    >>> conv2d_backward_weight(np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3)), 2)[1]
    array([4.])
    """
    op = "conv2d_backward_weight"
    dy = check.array(op, "dy", dy, "(N, K, P, Q)")
    x = check.array(op, "x", x, "(N, C, H, W)")
    check.same_dtype(op, "x", x, "dy", dy)
    check.no_empty_axis(op, "x", x, "NCHW")
    check.no_empty_axis(op, "dy", dy, "NKPQ")
    kernel = check.pair(op, "kernel_size", kernel_size, 1)
    geometry = Geometry.checked(op, stride, padding, dilation, groups)
    check.choice(op, "variant", variant, VARIANTS)
    k, c = dy.shape[1], x.shape[1]
    check_channels(op, c, (k, max(1, c // geometry.groups), *kernel), geometry.groups)
    size = geometry.output_size(op, x.shape[2:], kernel)
    check_output(op, dy, (x.shape[0], k, *size))
    dw = correlate_weight(dy, x, geometry, kernel)
    return dw, channel_sum(dy) if with_bias else None


@np.errstate(all="ignore")
def conv2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    *,
    stride: check.Pair = 1,
    padding: check.Pair = 0,
    dilation: check.Pair = 1,
    groups: int = 1,
    with_bias: bool = True,
    variant: str | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return dx, dw and db: what conv2d_backward_data and conv2d_backward_weight return.

    dy (N, K, P, Q), x (N, C, H, W), weight (K, C/groups, R, S); db is None without `with_bias`.
    Raises TypeError for a wrong dtype, ValueError for shapes or parameters that do not fit.

    >>> ones = np.ones((1, 1, 2, 2))
    >>> dx, dw, db = conv2d_backward(ones, np.ones((1, 1, 3, 3)), ones)
    >>> dx[0, 0, 1], dw[0, 0, 0], db
    (array([2., 4., 2.]), array([4., 4.]), array([4.]))
    """
    op = "conv2d_backward"
    dy = check.array(op, "dy", dy, "(N, K, P, Q)")
    x = check.array(op, "x", x, "(N, C, H, W)")
    weight = check.array(op, "weight", weight, "(K, C/groups, R, S)")
    check.same_dtype(op, "x", x, "dy", dy)
    check.same_dtype(op, "weight", weight, "dy", dy)
    check.no_empty_axis(op, "x", x, "NCHW")
    _no_empty_weight(op, weight)
    geometry = Geometry.checked(op, stride, padding, dilation, groups)
    check.choice(op, "variant", variant, VARIANTS)
    check_channels(op, x.shape[1], weight.shape, geometry.groups)
    size = geometry.output_size(op, x.shape[2:], weight.shape[2:])
    check_output(op, dy, (x.shape[0], weight.shape[0], *size))
    dx = scatter(dy, weight, geometry, x.shape[2:])
    dw = correlate_weight(dy, x, geometry, weight.shape[2:])
    return dx, dw, channel_sum(dy) if with_bias else None


@np.errstate(all="ignore")
def conv2d_backward_bias(dy: np.ndarray) -> np.ndarray:
    """Return db (K,): dy (N, K, P, Q) summed over N, P and Q. Raises TypeError, ValueError.

    >>> conv2d_backward_bias(np.ones((2, 1, 3, 3)))
    array([18.])
    """
    return channel_sum(check.array("conv2d_backward_bias", "dy", dy, "(N, K, P, Q)"))


def conv2d_plan(
    x_shape: tuple[int, ...],
    weight_shape: tuple[int, ...],
    *,
    stride: check.Pair = 1,
    padding: check.Pair = 0,
    dilation: check.Pair = 1,
    groups: int = 1,
    direction: str = "forward",
    variant: str | None = None,
) -> str:
    """Return one line that names the shapes and the algorithm, for the reference always naive.

    direction is "forward", "backward_data" or "backward_weight". Raises as `conv2d_forward` does.

    >>> conv2d_plan((1, 3, 8, 8), (4, 3, 3, 3))
    'conv2d forward x (1, 3, 8, 8) weight (4, 3, 3, 3) -> y (1, 4, 6, 6): naive'
    """
    op = "conv2d_plan"
    for name, value in (("x_shape", x_shape), ("weight_shape", weight_shape)):
        if not isinstance(value, (tuple, list)):
            raise TypeError(f"{op}: {name} must be a tuple of 4 ints, got {type(value).__name__}")
        if len(value) != 4:
            raise ValueError(f"{op}: {name} must be a tuple of 4 ints, got {value!r}")
    n, c, h, w = (
        check.integer(op, "x_shape", v, 0 if i == 0 else 1) for i, v in enumerate(x_shape)
    )
    weight = tuple(check.integer(op, "weight_shape", v, 1) for v in weight_shape)
    geometry = Geometry.checked(op, stride, padding, dilation, groups)
    check.choice(op, "direction", direction, DIRECTIONS)
    check.choice(op, "variant", variant, VARIANTS)
    check_channels(op, c, weight, geometry.groups)
    size = geometry.output_size(op, (h, w), weight[2:])
    check.memory(op, "the result", (n, weight[0], *size), np.dtype(np.float32))
    return (
        f"conv2d {direction} x {(n, c, h, w)} weight {weight} -> y {(n, weight[0], *size)}: naive"
    )
