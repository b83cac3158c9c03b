"""Affine maps of images, sampled bilinearly."""

from __future__ import annotations

import numpy as np

from . import _checks as check


def _source(matrices: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each pixel comes from: columns and rows, (N, H, W) each, counted from pixel (0, 0)."""
    dtype = matrices.dtype
    centre_x, centre_y = dtype.type((width - 1) / 2), dtype.type((height - 1) / 2)
    x = np.arange(width, dtype=dtype) - centre_x
    y = (np.arange(height, dtype=dtype) - centre_y)[:, None]
    m = matrices[:, :, :, None, None]
    columns = m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2] + centre_x
    rows = m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2] + centre_y
    return columns, rows


@np.errstate(all="ignore")
def affine_sample(images: np.ndarray, matrices: np.ndarray, fill: float = 0.0) -> np.ndarray:
    """Return (N, C, H, W): each of the images seen through its own of the matrices (N, 2, 3).

    With (x, y) in pixels from an image's centre, the value at (x, y) is that at m @ (x, y, 1), a
    mix of the four nearest pixels; outside, and where that overflows, it is `fill`. Raises
    TypeError for a wrong dtype, ValueError for other shapes and matrices that are not finite.

    >>> shift_right = np.array([[[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]]])
    >>> affine_sample(np.array([[[[1.0, 2.0, 3.0]]]]), shift_right)
    array([[[[0., 1., 2.]]]])
    """
    op = "affine_sample"
    images = check.array(op, "images", images, "(N, C, H, W)")
    matrices = check.array(op, "matrices", matrices, "(N, 2, 3)")
    check.same_dtype(op, "matrices", matrices, "images", images)
    n, channels, height, width = images.shape
    check.shape(op, "matrices", matrices, (n, 2, 3))
    if not np.isfinite(matrices).all():
        raise ValueError(f"{op}: matrices must be finite")
    fill = check.number(op, "fill", fill, "a number", lambda value: True)
    if images.size == 0:
        return images.copy()
    # A frame of two pixels of `fill` all around: a sample outside is clipped to the frame, and so
    # are both of the pixels that it is mixed from.
    framed = np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2)), constant_values=fill)
    x, y = _source(matrices, height, width)
    # fmax and fmin take the number where the other is NaN.
    x = np.fmin(np.fmax(x + images.dtype.type(2), 0), width + 2)
    y = np.fmin(np.fmax(y + images.dtype.type(2), 0), height + 2)
    left, top = np.floor(x), np.floor(y)
    right_share, low_share = (x - left)[:, None], (y - top)[:, None]
    stride = width + 4
    corner = (top.astype(np.intp) * stride + left.astype(np.intp)).reshape(n, 1, -1)
    planes = framed.reshape(n, channels, -1)

    def pixels(offset: int) -> np.ndarray:
        return np.take_along_axis(planes, corner + offset, axis=2).reshape(images.shape)

    upper = pixels(0) + right_share * (pixels(1) - pixels(0))
    lower = pixels(stride) + right_share * (pixels(stride + 1) - pixels(stride))
    return np.asarray(upper + low_share * (lower - upper))
