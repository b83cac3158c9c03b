"""Encodings of labels and images as arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..nn.functional import one_hot
from ..tensor import Tensor


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Class indices (...) -> one-hot rows, float32 (..., num_classes); `argmax(-1)` goes back.

    `num_classes=None` takes the largest label + 1. Raises ValueError for a label outside
    0..num_classes-1, TypeError for labels that are no integers.

    >>> to_categorical([0, 2])
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    labels = x if isinstance(x, Tensor) else Tensor(np.asarray(x))
    return one_hot(labels, -1 if num_classes is None else num_classes).data.astype(np.float32)


def preprocess(images: Any, *, scale: float = 255.0, flatten: bool = False) -> np.ndarray:
    """Integer images (N, ...) with pixels 0..scale -> float32 in [0, 1]; (N, features) with
    `flatten`.

    Raises TypeError for images that are no integers, so that nothing is scaled twice, and
    ValueError for pixels outside 0..scale.

    >>> preprocess(np.full((2, 28, 28), 255, np.uint8), flatten=True).shape
    (2, 784)
    """
    array = images.data if isinstance(images, Tensor) else np.asarray(images)
    if array.dtype.kind not in "iu":
        raise TypeError(f"preprocess: images must have an integer dtype, got {array.dtype}")
    if array.ndim == 0:
        raise ValueError("preprocess: images must have at least one axis, got shape ()")
    if not 0.0 < scale < np.inf:
        raise ValueError(f"preprocess: scale must be finite and > 0, got {scale}")
    if array.size and (array.min() < 0 or array.max() > scale):
        raise ValueError(
            f"preprocess: images must have pixels in 0..{scale:g}, got {array.min()}..{array.max()}"
        )
    scaled = array.astype(np.float32) / np.float32(scale)
    if not flatten:
        return scaled
    return scaled.reshape(len(scaled), int(np.prod(scaled.shape[1:], dtype=np.int64)))
