"""Average and adaptive average pooling over (N, C, H, W), with their gradients.

    average:  y[n,c,p,q] = (sum over the window's pixels inside the image) / divisor adaptive: the
    same with rows floor(p H / P) .. ceil((p + 1) H / P) - 1 for window p, columns alike

The divisor is `divisor_override`, or the number of pixels of the window: inside the image and its
padding with count_include_pad (ceil_mode may push a window beyond both, those pixels never count),
inside the image without it.
"""

from __future__ import annotations

import numpy as np

from . import _checks as check
from .pool2d import Window, checked_image


def _spans(
    window: Window, axis: int, length: int, out: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Along one axis, for each output: first and past-the-last index, and count with padding."""
    start = np.arange(out) * window.stride[axis] - window.padding[axis]
    stop = np.minimum(start + window.kernel[axis], length + window.padding[axis])
    return np.maximum(start, 0), np.minimum(stop, length), stop - start


def _divisors(
    window: Window,
    image: tuple[int, ...],
    size: tuple[int, int],
    count_include_pad: bool,
    divisor_override: int | None,
) -> np.ndarray:
    """The divisor of each output, shape (P, Q)."""
    if divisor_override is not None:
        return np.full(size, divisor_override)
    counts = []
    for axis in range(2):
        first, last, with_padding = _spans(window, axis, image[axis], size[axis])
        counts.append(with_padding if count_include_pad else last - first)
    return counts[0][:, None] * counts[1]


def _checked_divisor(op: str, divisor_override: int | None) -> int | None:
    if divisor_override is None:
        return None
    return check.integer(op, "divisor_override", divisor_override, 1)


@np.errstate(all="ignore")
def avg_pool2d_forward(
    x: np.ndarray,
    kernel_size: check.Pair,
    *,
    stride: check.Pair | None = None,
    padding: check.Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    """Return the average of each window, y (N, C, P, Q).

    Raises TypeError for a wrong dtype, ValueError for parameters that do not fit.

    >>> avg_pool2d_forward(np.array([[[[1.0, 3.0], [2.0, 0.0]]]]), 2)
    array([[[[1.5]]]])
    """
    op = "avg_pool2d"
    window = Window.checked(op, kernel_size, stride, padding, 1, ceil_mode)
    divisor = _checked_divisor(op, divisor_override)
    x = checked_image(op, x)
    size = window.output_size(op, x.shape[2:])
    check.memory(op, "the result", (*x.shape[:2], *size), x.dtype)
    total = np.zeros((*x.shape[:2], *size), dtype=check.accumulator(x.dtype))
    for r in range(window.kernel[0]):
        for s in range(window.kernel[1]):
            value, inside = window.gather(x, r, s, size)
            total += np.where(inside, value, 0)
    total /= _divisors(window, x.shape[2:], size, count_include_pad, divisor)
    return total.astype(x.dtype)


@np.errstate(all="ignore")
def avg_pool2d_backward(
    dy: np.ndarray,
    input_size: check.Pair,
    kernel_size: check.Pair,
    *,
    stride: check.Pair | None = None,
    padding: check.Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> np.ndarray:
    """Return dx (N, C, H, W): dy (N, C, P, Q) / divisor added to every pixel of its window;
    input_size = (H, W).

    Raises TypeError for a wrong dtype, ValueError for shapes or parameters that do not fit.

    >>> avg_pool2d_backward(np.array([[[[4.0]]]]), 2, 2)
    array([[[[1., 1.],
             [1., 1.]]]])
    """
    op = "avg_pool2d_backward"
    window = Window.checked(op, kernel_size, stride, padding, 1, ceil_mode)
    divisor = _checked_divisor(op, divisor_override)
    dy = check.array(op, "dy", dy, "(N, C, P, Q)")
    image = check.pair(op, "input_size", input_size, 1)
    size = window.output_size(op, image)
    check.shape(op, "dy", dy, (*dy.shape[:2], *size))
    check.memory(op, "the result", (*dy.shape[:2], *image), dy.dtype)
    share = dy / _divisors(window, image, size, count_include_pad, divisor)
    dx = np.zeros((*dy.shape[:2], *image), dtype=share.dtype)
    for r in range(window.kernel[0]):
        for s in range(window.kernel[1]):
            rows, row_inside = window.reads(r, 0, image[0], size[0])
            columns, column_inside = window.reads(s, 1, image[1], size[1])
            # One tap reads a pixel for one output at most, so plain indexing adds every share.
            block = np.ix_(row_inside, column_inside)
            dx[:, :, rows[row_inside][:, None], columns[column_inside]] += share[:, :, *block]
    return dx.astype(dy.dtype)


def _bins(length: int, out: int) -> list[slice]:
    """The input slice of each output along one axis."""
    return [slice(i * length // out, -((i + 1) * length // -out)) for i in range(out)]


@np.errstate(all="ignore")
def adaptive_avg_pool2d_forward(x: np.ndarray, output_size: check.Pair) -> np.ndarray:
    """Return the averages over a grid of output_size = (P, Q) windows that cover x (N, C, H, W).

    Raises TypeError for a wrong dtype, ValueError for an output size below 1.

    >>> adaptive_avg_pool2d_forward(np.array([[[[1.0, 3.0], [2.0, 0.0]]]]), 1)
    array([[[[1.5]]]])
    """
    op = "adaptive_avg_pool2d"
    x = checked_image(op, x)
    size = check.pair(op, "output_size", output_size, 1)
    check.memory(op, "the result", (*x.shape[:2], *size), x.dtype)
    y = np.empty((*x.shape[:2], *size), dtype=x.dtype)
    for p, rows in enumerate(_bins(x.shape[2], size[0])):
        for q, columns in enumerate(_bins(x.shape[3], size[1])):
            pixels = x[:, :, rows, columns]
            y[:, :, p, q] = pixels.mean(axis=(2, 3), dtype=check.accumulator(x.dtype))
    return y


@np.errstate(all="ignore")
def adaptive_avg_pool2d_backward(dy: np.ndarray, input_size: check.Pair) -> np.ndarray:
    """Return dx (N, C, H, W): dy (N, C, P, Q) spread evenly over its window; input_size = (H, W).

    Raises TypeError for a wrong dtype, ValueError for an input size below 1.

    >>> adaptive_avg_pool2d_backward(np.array([[[[4.0]]]]), 2)
    array([[[[1., 1.],
             [1., 1.]]]])
    """
    op = "adaptive_avg_pool2d_backward"
    dy = check.array(op, "dy", dy, "(N, C, P, Q)")
    check.no_empty_axis(op, "dy", dy, "NCPQ")
    image = check.pair(op, "input_size", input_size, 1)
    check.memory(op, "the result", (*dy.shape[:2], *image), dy.dtype)
    dx = np.zeros((*dy.shape[:2], *image), dtype=check.accumulator(dy.dtype))
    for p, rows in enumerate(_bins(image[0], dy.shape[2])):
        for q, columns in enumerate(_bins(image[1], dy.shape[3])):
            count = (rows.stop - rows.start) * (columns.stop - columns.start)
            dx[:, :, rows, columns] += dy[:, :, p : p + 1, q : q + 1].astype(dx.dtype) / count
    return dx.astype(dy.dtype)
