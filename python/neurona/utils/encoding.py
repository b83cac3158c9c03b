"""From raw labels and images to what a network takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Integer labels (...) as float32 one-hot rows (..., num_classes); argmax takes it back.

    `num_classes` is the largest label + 1 unless given. Raises ValueError for a label outside
    0..num_classes-1, TypeError for labels that are no integers.

    >>> from neurona.utils import to_categorical
    >>> to_categorical([0, 2]).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    labels = x if isinstance(x, Tensor) else Tensor(np.asarray(x))
    return F.one_hot(labels, -1 if num_classes is None else num_classes).data.astype(np.float32)


def preprocess(images: Any, *, flatten: bool = True) -> np.ndarray:
    """uint8 images (N, ...) as float32 in [0, 1], divided by 255, and as vectors (N, pixels).

    `flatten=False` keeps the shape. Raises TypeError for another dtype, whose range is unknown, and
    ValueError for an array without axes.

    >>> import numpy as np
    >>> from neurona.utils import preprocess
    >>> preprocess(np.full((2, 28, 28), 255, np.uint8)).shape
    (2, 784)
    """
    array = images.data if isinstance(images, Tensor) else np.asarray(images)
    if array.dtype != np.uint8:
        raise TypeError(f"preprocess: images must have dtype uint8, got {array.dtype}")
    if array.ndim == 0:
        raise ValueError("preprocess: images must have shape (N, ...), got shape ()")
    scaled = array.astype(np.float32) / np.float32(255)
    return scaled.reshape(len(array), math.prod(array.shape[1:])) if flatten else scaled
