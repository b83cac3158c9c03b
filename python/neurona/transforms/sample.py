"""Reading images through affine maps and fields of displacements."""

from __future__ import annotations

import numpy as np

from ..backends import current, named
from .arguments import described


def affine(
    images: np.ndarray,
    matrices: np.ndarray,
    fill: float = 0.0,
    *,
    displacements: np.ndarray | None = None,
) -> np.ndarray:
    """Each image seen through its own affine map, sampled bilinearly.

    images (N, C, H, W) and matrices (N, 2, 3) give (N, C, H, W): with (x, y) measured in pixels
    from the image's centre, the value at (x, y) is that of the image at m @ (x, y, 1), a mix of the
    four nearest pixels; outside it is `fill`. `displacements` (N, 2, H, W) are added to those
    places: columns, then rows. Raises TypeError or ValueError for other shapes and for matrices
    that are not finite.

    >>> shift_right = np.array([[[1, 0, -1], [0, 1, 0]]], np.float32)
    >>> affine(np.array([[[[1, 2, 3]]]], np.float32), shift_right).tolist()
    [[[[0.0, 1.0, 2.0]]]]
    """
    if not isinstance(images, np.ndarray) or images.dtype.kind != "f":
        raise TypeError(f"affine: images must be a float array, got {described(images)}")
    if images.ndim != 4:
        raise ValueError(f"affine: images must have shape (N, C, H, W), got {images.shape}")
    matrices = np.asarray(matrices)
    n, channels, height, width = images.shape
    if matrices.shape != (n, 2, 3):
        raise ValueError(f"affine: matrices must have shape ({n}, 2, 3), got {matrices.shape}")
    if not np.isfinite(matrices).all():
        raise ValueError("affine: matrices must be finite")
    # float32 runs on the compiled kernel; others, float16 among them, are the reference's.
    backend = current(images.dtype) if images.dtype == np.float32 else named("reference")
    if displacements is not None:
        displacements = np.asarray(displacements)
        if displacements.shape != (n, 2, height, width):
            raise ValueError(
                f"affine: displacements must have shape {(n, 2, height, width)}, "
                f"got {displacements.shape}"
            )
        displacements = displacements.astype(images.dtype, copy=False)
    matrices = matrices.astype(images.dtype)
    return np.asarray(backend.affine_sample(images, matrices, fill, displacements))
