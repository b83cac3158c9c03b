"""Random changes of training images that leave their class as it is, a whole batch at a time.

>>> import numpy as np
>>> augment = RandomAffine(degrees=10, translate=(0.1, 0.1), generator=Generator(0))
>>> augment(np.ones((2, 1, 28, 28), np.float32)).shape
(2, 1, 28, 28)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from .backends import current, named
from .random import Generator, default_generator
from .tensor import Tensor


def affine(images: np.ndarray, matrices: np.ndarray, fill: float = 0.0) -> np.ndarray:
    """Each image seen through its own affine map, sampled bilinearly.

    images (N, C, H, W) and matrices (N, 2, 3) give (N, C, H, W): with (x, y) measured in pixels
    from the image's centre, the value at (x, y) is that of the image at m @ (x, y, 1), a mix of the
    four nearest pixels; outside it is `fill`. Raises TypeError or ValueError for other shapes and
    for matrices that are not finite.

    >>> shift_right = np.array([[[1, 0, -1], [0, 1, 0]]], np.float32)
    >>> affine(np.array([[[[1, 2, 3]]]], np.float32), shift_right).tolist()
    [[[[0.0, 1.0, 2.0]]]]
    """
    if not isinstance(images, np.ndarray) or images.dtype.kind != "f":
        raise TypeError(f"affine: images must be a float array, got {_described(images)}")
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
    return np.asarray(backend.affine_sample(images, matrices.astype(images.dtype), fill))


class RandomAffine:
    """Turns, shifts, scales and shears each image of a batch by amounts of its own.

    `degrees` d turns by up to d clockwise or against (a pair: from, to). `translate` (a, b) shifts
    by up to a W columns and b H rows. `scale` (from, to) is the factor of size. `shear` s slants
    along x by up to s degrees (a pair: from, to; four numbers: the same for y as well). What comes
    in from outside is `fill`. Calls take float images (N, C, H, W), an array or a Tensor, and
    return the same kind; the draws come from `generator` or the default one. Raises TypeError or
    ValueError for amounts that are no numbers or make no sense.

    >>> import neurona
    >>> RandomAffine(0, translate=(0.5, 0))(neurona.zeros(3, 1, 4, 4)).shape
    (3, 1, 4, 4)
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        fill: float = 0.0,
        *,
        generator: Generator | None = None,
    ) -> None:
        self.degrees = _range("degrees", degrees)
        self.translate = _numbers("translate", (0, 0) if translate is None else translate, 2)
        if not all(0 <= part <= 1 for part in self.translate):
            raise ValueError(f"RandomAffine: translate must lie in [0, 1], got {translate}")
        self.scale = _numbers("scale", (1, 1) if scale is None else scale, 2)
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"RandomAffine: scale must be 0 < from <= to, got {scale}")
        slants = (0.0, 0.0) if shear is None else shear
        if isinstance(slants, Sequence) and len(slants) == 4:
            self.shear = (_range("shear", slants[:2]), _range("shear", slants[2:]))
        else:
            self.shear = (_range("shear", slants), (0.0, 0.0))
        self.fill = _numbers("fill", (fill,), 1)[0]
        self.generator = generator

    def __call__(self, images: Any) -> Any:
        """Images (N, C, H, W) -> the same kind and shape, changed."""
        array = images.data if isinstance(images, Tensor) else images
        if not isinstance(array, np.ndarray) or array.ndim != 4:
            raise ValueError(
                f"RandomAffine: images must have shape (N, C, H, W), got {_described(array)}"
            )
        n, _, height, width = array.shape
        changed = affine(array, self.matrices(n, height, width), self.fill)
        return Tensor(changed) if isinstance(images, Tensor) else changed

    def matrices(self, n: int, height: int, width: int) -> np.ndarray:
        """n random maps (n, 2, 3) for `affine`, from a pixel of the result to one of the image."""
        draw = (self.generator or default_generator).uniform((6, n)).astype(np.float64)
        angle = np.radians(_between(self.degrees, draw[0]))
        slant_x, slant_y = (
            np.radians(_between(s, d)) for s, d in zip(self.shear, draw[1:3], strict=True)
        )
        size = _between(self.scale, draw[3])
        shift_x = (2 * draw[4] - 1) * self.translate[0] * width
        shift_y = (2 * draw[5] - 1) * self.translate[1] * height
        # Forwards: shear along x, then along y, turn, scale, shift. Before scaling its linear part
        # [[a b] [c d]] has determinant 1, which makes the way back simple.
        tilt = angle - slant_y
        a = np.cos(tilt) / np.cos(slant_y)
        b = -a * np.tan(slant_x) - np.sin(angle)
        c = np.sin(tilt) / np.cos(slant_y)
        d = -c * np.tan(slant_x) + np.cos(angle)
        back = np.array([[d, -b], [-c, a]]).transpose(2, 0, 1) / size[:, None, None]
        shift = back @ np.stack([shift_x, shift_y], axis=1)[:, :, None]
        return np.concatenate([back, -shift], axis=2)


class Augmented:
    """Batches (x, y, ...) of a loader with x changed by `transform`, for `Trainer.fit`.

    >>> loader = [(np.zeros((2, 1, 4, 4), np.float32), np.zeros(2, np.int64))]
    >>> [x.shape for x, y in Augmented(loader, RandomAffine(5))]
    [(2, 1, 4, 4)]
    """

    def __init__(self, loader: Any, transform: Any) -> None:
        if not callable(transform):
            raise TypeError(f"Augmented: transform must be callable, got {_described(transform)}")
        self.loader, self.transform = loader, transform

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for x, *rest in self.loader:
            yield (self.transform(x), *rest)


def _between(bounds: Sequence[float], share: np.ndarray) -> np.ndarray:
    return bounds[0] + (bounds[1] - bounds[0]) * share


def _numbers(name: str, values: Any, count: int) -> tuple[float, ...]:
    if not isinstance(values, Sequence) or len(values) != count:
        raise ValueError(f"RandomAffine: {name} must hold {count} numbers, got {values!r}")
    for value in values:
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"RandomAffine: {name} must hold numbers, got {value!r}")
        if not math.isfinite(value):
            raise ValueError(f"RandomAffine: {name} must be finite, got {value!r}")
    return tuple(float(value) for value in values)


def _range(name: str, value: Any) -> tuple[float, float]:
    """A number s as (-s, s), or a pair (from, to)."""
    if not isinstance(value, Sequence):
        (limit,) = _numbers(name, (value,), 1)
        if limit < 0:
            raise ValueError(f"RandomAffine: {name} must be >= 0 or a pair, got {value!r}")
        return -limit, limit
    low, high = _numbers(name, value, 2)
    if low > high:
        raise ValueError(f"RandomAffine: {name} must be a pair (from, to), got {value!r}")
    return low, high


def _described(value: Any) -> str:
    return str(value.shape) if isinstance(value, np.ndarray) else type(value).__name__
