"""Max and min pooling over (N, C, H, W), with their gradients; averages are in avg_pool2d.py.

    y[n,c,p,q] = max over r,s of x[n,c,h,w]
                 with h = p stride - padding + r dilation and w = q stride - padding + s dilation

P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1; ceil_mode rounds up and then drops a
last window that would start beyond the image and its left padding. Padding never wins. `offsets`
holds r * S + s of the winning element, so that the gradient needs no second look at x.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import _checks as check


class Window(NamedTuple):
    """The window of a pooling: pairs (height, width)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    ceil_mode: bool

    @classmethod
    def checked(
        cls,
        op: str,
        kernel_size: check.Pair,
        stride: check.Pair | None,
        padding: check.Pair,
        dilation: check.Pair = 1,
        ceil_mode: bool = False,
    ) -> Window:
        """Check the parameters; a stride of None is the kernel size."""
        kernel = check.pair(op, "kernel_size", kernel_size, 1)
        step = kernel if stride is None else check.pair(op, "stride", stride, 1)
        pad = check.pair(op, "padding", padding, 0)
        spread = check.pair(op, "dilation", dilation, 1)
        for axis in range(2):
            if pad[axis] > (spread[axis] * (kernel[axis] - 1) + 1) // 2:
                raise ValueError(
                    f"{op}: padding must be at most half the effective kernel, got padding "
                    f"{padding!r} "
                    f"for kernel_size {kernel_size!r}, dilation {dilation!r}"
                )
        return cls(kernel, step, pad, spread, bool(ceil_mode))

    def output_size(self, op: str, image: tuple[int, ...]) -> tuple[int, int]:
        """(P, Q) for an image (H, W)."""
        size = []
        for a in range(2):
            room = image[a] + 2 * self.padding[a] - self.dilation[a] * (self.kernel[a] - 1) - 1
            out = (room + (self.stride[a] - 1 if self.ceil_mode else 0)) // self.stride[a] + 1
            if self.ceil_mode and (out - 1) * self.stride[a] >= image[a] + self.padding[a]:
                out -= 1
            if out < 1:
                raise ValueError(
                    f"{op}: kernel_size must not exceed the padded input, got kernel_size "
                    f"{self.kernel}, dilation "
                    f"{self.dilation}, padding {self.padding} for an input of size {tuple(image)}"
                )
            size.append(out)
        return size[0], size[1]

    def reads(self, tap: int, axis: int, length: int, out: int) -> tuple[np.ndarray, np.ndarray]:
        """Along one axis: the index that `tap` reads for each output, and if it is in the image."""
        index = np.arange(out) * self.stride[axis] - self.padding[axis] + tap * self.dilation[axis]
        return np.clip(index, 0, length - 1), (index >= 0) & (index < length)

    def gather(
        self, x: np.ndarray, r: int, s: int, size: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """What tap (r, s) reads, (N, C, P, Q), and whether that is in the image, (P, Q)."""
        rows, row_inside = self.reads(r, 0, x.shape[2], size[0])
        columns, column_inside = self.reads(s, 1, x.shape[3], size[1])
        return x[:, :, rows[:, None], columns], row_inside[:, None] & column_inside


def checked_image(op: str, x: np.ndarray) -> np.ndarray:
    """Return x (N, C, H, W) after checking that only its batch may be empty."""
    x = check.array(op, "x", x, "(N, C, H, W)")
    check.no_empty_axis(op, "x", x, "NCHW")
    return x


def _offset_dtype(window: Window) -> np.dtype:
    return np.dtype(np.uint8 if window.kernel[0] * window.kernel[1] <= 255 else np.int32)


def _select_forward(
    op: str, x: np.ndarray, window: Window, with_offsets: bool, better: np.ufunc, worst: float
) -> tuple[np.ndarray, np.ndarray | None]:
    """The pooling that keeps one element per window; `better(a, b)` says that a replaces b."""
    x = checked_image(op, x)
    size = window.output_size(op, x.shape[2:])
    check.memory(op, "the result", (*x.shape[:2], *size), x.dtype)
    best = np.full((*x.shape[:2], *size), worst, dtype=x.dtype)
    winner = np.full(best.shape, -1, dtype=np.int32)
    touches_image = np.zeros(size, dtype=bool)
    for r in range(window.kernel[0]):
        for s in range(window.kernel[1]):
            value, inside = window.gather(x, r, s, size)
            wins = better(value, best) | (np.isnan(value) & ~np.isnan(best)) | (winner < 0)
            wins &= inside
            touches_image |= inside
            best[wins] = value[wins]
            winner[wins] = r * window.kernel[1] + s
    if not touches_image.all():
        raise ValueError(
            f"{op}: every window must touch the image, got kernel_size {window.kernel}, dilation "
            f"{window.dilation}, "
            f"padding {window.padding} for an input of shape {x.shape}"
        )
    return best, winner.astype(_offset_dtype(window)) if with_offsets else None


def max_pool2d_forward(
    x: np.ndarray,
    kernel_size: check.Pair,
    *,
    stride: check.Pair | None = None,
    padding: check.Pair = 0,
    dilation: check.Pair = 1,
    ceil_mode: bool = False,
    with_offsets: bool = True,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the largest element of each window, y (N, C, P, Q), and its offset r * S + s (None if
    not wanted).

    The first winner in row-major order wins ties and NaN always wins. offsets are uint8 when R * S
    <= 255, else int32. Raises TypeError for a wrong dtype, ValueError for parameters that do not
    fit.

    >>> max_pool2d_forward(np.array([[[[1.0, 3.0], [2.0, 0.0]]]]), 2)
    (array([[[[3.]]]]), array([[[[1]]]], dtype=uint8))
    """
    op = "max_pool2d"
    window = Window.checked(op, kernel_size, stride, padding, dilation, ceil_mode)
    return _select_forward(op, x, window, with_offsets, np.greater, -np.inf)


def min_pool2d_forward(
    x: np.ndarray,
    kernel_size: check.Pair,
    *,
    stride: check.Pair | None = None,
    padding: check.Pair = 0,
    dilation: check.Pair = 1,
    ceil_mode: bool = False,
    with_offsets: bool = True,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the smallest element of each window and its offset; otherwise as `max_pool2d_forward`.

    >>> min_pool2d_forward(np.array([[[[1.0, 3.0], [2.0, 0.0]]]]), 2)
    (array([[[[0.]]]]), array([[[[3]]]], dtype=uint8))
    """
    op = "min_pool2d"
    window = Window.checked(op, kernel_size, stride, padding, dilation, ceil_mode)
    return _select_forward(op, x, window, with_offsets, np.less, np.inf)


def _winning_pixels(
    op: str, offsets: np.ndarray, window: Window, image: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Row and column in the image of each offset (N, C, P, Q), checked to lie inside it."""
    if not isinstance(offsets, np.ndarray):
        raise TypeError(f"{op}: offsets must be a numpy.ndarray, got {type(offsets).__name__}")
    if offsets.dtype != _offset_dtype(window):
        raise TypeError(
            f"{op}: offsets must have dtype {_offset_dtype(window)} for kernel_size "
            f"{window.kernel}, "
            f"got {offsets.dtype}"
        )
    if offsets.ndim != 4:
        raise ValueError(f"{op}: offsets must have shape (N, C, P, Q), got shape {offsets.shape}")
    size = offsets.shape[2:]
    flat = offsets.astype(np.int64)
    tap_row, tap_column = np.divmod(flat, window.kernel[1])
    rows = np.arange(size[0])[:, None] * window.stride[0] - window.padding[0]
    columns = np.arange(size[1]) * window.stride[1] - window.padding[1]
    rows = rows + tap_row * window.dilation[0]
    columns = columns + tap_column * window.dilation[1]
    wrong = (flat < 0) | (tap_row >= window.kernel[0])
    wrong |= (rows < 0) | (rows >= image[0]) | (columns < 0) | (columns >= image[1])
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(
            f"{op}: offsets must point into the image of size {image}, got {flat[first]} at {first}"
        )
    return rows, columns


def _select_backward(
    op: str,
    dy: np.ndarray,
    offsets: np.ndarray,
    input_size: check.Pair,
    window: Window,
    rectified: np.ndarray | None,
) -> np.ndarray:
    dy = check.array(op, "dy", dy, "(N, C, P, Q)")
    image = check.pair(op, "input_size", input_size, 1)
    check.shape(op, "dy", dy, (*dy.shape[:2], *window.output_size(op, image)))
    rows, columns = _winning_pixels(op, offsets, window, image)
    check.shape(op, "offsets", offsets, dy.shape)
    if rectified is not None:
        rectified = check.array(op, "rectified", rectified, "(N, C, P, Q)")
        check.same_dtype(op, "rectified", rectified, "dy", dy)
        check.shape(op, "rectified", rectified, dy.shape)
        dy = np.where(rectified <= 0, dy.dtype.type(0), dy)
    dx = np.zeros((*dy.shape[:2], *image), dtype=dy.dtype)
    n, c = np.arange(dy.shape[0])[:, None, None, None], np.arange(dy.shape[1])[:, None, None]
    np.add.at(dx, (n, c, rows, columns), dy)
    return dx


@np.errstate(all="ignore")
def max_pool2d_backward(
    dy: np.ndarray,
    offsets: np.ndarray,
    input_size: check.Pair,
    kernel_size: check.Pair,
    *,
    stride: check.Pair | None = None,
    padding: check.Pair = 0,
    dilation: check.Pair = 1,
    ceil_mode: bool = False,
    rectified: np.ndarray | None = None,
) -> np.ndarray:
    """Return dx (N, C, H, W): each dy (N, C, P, Q) added to the element that won its window;
    input_size = (H, W). With `rectified`, the y of a ReLU before or behind the pooling, dy counts
    only where that is above 0 (or NaN): the gradient of both.

    Raises TypeError for a wrong dtype, ValueError for shapes, parameters or offsets that do not
    fit.

    >>> max_pool2d_backward(np.array([[[[5.0]]]]), np.array([[[[1]]]], dtype=np.uint8), 2, 2)
    array([[[[0., 5.],
             [0., 0.]]]])
    """
    op = "max_pool2d_backward"
    window = Window.checked(op, kernel_size, stride, padding, dilation, ceil_mode)
    return _select_backward(op, dy, offsets, input_size, window, rectified)


@np.errstate(all="ignore")
def min_pool2d_backward(
    dy: np.ndarray,
    offsets: np.ndarray,
    input_size: check.Pair,
    kernel_size: check.Pair,
    *,
    stride: check.Pair | None = None,
    padding: check.Pair = 0,
    dilation: check.Pair = 1,
    ceil_mode: bool = False,
    rectified: np.ndarray | None = None,
) -> np.ndarray:
    """Return dx (N, C, H, W): as `max_pool2d_backward`, with the offsets of `min_pool2d_forward`.

    >>> min_pool2d_backward(np.array([[[[5.0]]]]), np.array([[[[3]]]], dtype=np.uint8), 2, 2)
    array([[[[0., 0.],
             [0., 5.]]]])
    """
    op = "min_pool2d_backward"
    window = Window.checked(op, kernel_size, stride, padding, dilation, ceil_mode)
    return _select_backward(op, dy, offsets, input_size, window, rectified)


def pool2d_indices(
    offsets: np.ndarray,
    input_size: check.Pair,
    kernel_size: check.Pair,
    *,
    stride: check.Pair | None = None,
    padding: check.Pair = 0,
    dilation: check.Pair = 1,
) -> np.ndarray:
    """Return int64 indices h * W + w of the winners, flat in each plane, from offsets (N, C, P, Q).

    Raises TypeError for a wrong dtype, ValueError for shapes, parameters or offsets that do not
    fit.

    >>> pool2d_indices(np.array([[[[3, 0]]]], dtype=np.uint8), (2, 4), 2)
    array([[[[5, 2]]]])
    """
    op = "pool2d_indices"
    window = Window.checked(op, kernel_size, stride, padding, dilation)
    image = check.pair(op, "input_size", input_size, 1)
    rows, columns = _winning_pixels(op, offsets, window, image)
    return rows * image[1] + columns
