"""Bending images: every pixel moves a little, neighbours almost together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..backends import FLOAT32, current
from ..random import Generator, default_generator
from .arguments import batch, like, numbers, pair
from .sample import affine


@lru_cache(maxsize=32)
def _smoothing(size: int, sigma: float) -> np.ndarray:
    """(size, size): row i holds the weights by which pixel i averages its line.

    A Gaussian of `sigma` pixels cut off 4 sigma away; a line is mirrored at both ends, the end
    pixel itself once.
    """
    if sigma == 0:
        return np.eye(size, dtype=np.float32)
    reach = int(4 * sigma)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    weights /= weights.sum()
    period = max(2 * (size - 1), 1)
    neighbours = np.abs(np.arange(size)[:, None] + offsets) % period
    neighbours = np.minimum(neighbours, period - neighbours) if size > 1 else 0 * neighbours
    matrix = np.zeros((size, size))
    np.add.at(matrix, (np.arange(size)[:, None], neighbours), weights)
    return matrix.astype(np.float32)


def smooth_displacements(
    n: int,
    height: int,
    width: int,
    alpha: tuple[float, float],
    sigma: tuple[float, float],
    generator: Generator | None,
) -> np.ndarray:
    """(n, 2, height, width): by how many columns and rows each pixel's place moves.

    Uniform numbers of [-1, 1), smoothed along lines and columns, times alpha / 2.
    """
    noise = (generator or default_generator).uniform((n, 2, height, width), -1, 1)
    gemm = current(FLOAT32).gemm
    across = gemm(noise.reshape(-1, width), _smoothing(width, sigma[0]), trans_b=True)
    turned = np.ascontiguousarray(across.reshape(n, 2, height, width).swapaxes(2, 3))
    down = gemm(turned.reshape(-1, height), _smoothing(height, sigma[1]), trans_b=True)
    fields = down.reshape(n, 2, width, height).swapaxes(2, 3)
    sizes = np.array(alpha, np.float32) / 2
    return np.ascontiguousarray(fields * sizes[:, None, None])


class ElasticTransform:
    """Bends each image of a batch by a smooth random field of its own.

    The place that each pixel is read from moves by alpha / 2 times numbers of [-1, 1) smoothed by a
    Gaussian of `sigma` pixels: about 0.1 alpha / sigma pixels root mean square where sigma is
    several pixels. `alpha` and `sigma` may be pairs (along columns, along rows). What comes in from
    outside is `fill`. Calls take float images (N, C, H, W), an array or a Tensor, and return the
    same kind; the draws come from `generator` or the default one. Raises TypeError or ValueError
    for amounts that are no numbers or make no sense.

    Simard, Steinkraus, Platt, Best Practices for Convolutional Neural Networks (2003).

    >>> import neurona
    >>> ElasticTransform(alpha=30, sigma=4)(neurona.zeros(3, 1, 28, 28)).shape
    (3, 1, 28, 28)
    """

    def __init__(
        self,
        alpha: float | Sequence[float] = 50.0,
        sigma: float | Sequence[float] = 5.0,
        *,
        fill: float = 0.0,
        generator: Generator | None = None,
    ) -> None:
        self.alpha = pair("ElasticTransform", "alpha", alpha)
        self.sigma = pair("ElasticTransform", "sigma", sigma)
        for name, values in (("alpha", self.alpha), ("sigma", self.sigma)):
            if min(values) < 0:
                raise ValueError(f"ElasticTransform: {name} must be >= 0, got {values}")
        self.fill = numbers("ElasticTransform", "fill", (fill,), 1)[0]
        self.generator = generator

    def __call__(self, images: Any) -> Any:
        """Images (N, C, H, W) -> the same kind and shape, changed."""
        array = batch("ElasticTransform", images)
        n, _, height, width = array.shape
        unchanged = np.broadcast_to(np.eye(2, 3, dtype=np.float32), (n, 2, 3))
        fields = self.displacements(n, height, width)
        return like(images, affine(array, unchanged, self.fill, displacements=fields))

    def displacements(self, n: int, height: int, width: int) -> np.ndarray:
        """n random fields (n, 2, height, width) for `affine`: columns and rows to add."""
        return smooth_displacements(n, height, width, self.alpha, self.sigma, self.generator)
