"""Turning, shifting, scaling and slanting images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..random import Generator, default_generator
from .arguments import batch, bounds, like, numbers
from .elastic import ElasticTransform
from .sample import affine


class RandomAffine:
    """Turns, shifts, scales and shears each image of a batch by amounts of its own.

    `degrees` d turns by up to d clockwise or against (a pair: from, to). `translate` (a, b) shifts
    by up to a W columns and b H rows. `scale` (from, to) is the factor of size. `shear` s slants
    along x by up to s degrees (a pair: from, to; four numbers: the same for y as well). What comes
    in from outside is `fill`. `elastic` (alpha, sigma) bends the images too, as `ElasticTransform`
    does, in the same sampling. Calls take float images (N, C, H, W), an array or a Tensor, and
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
        elastic: tuple[float, float] | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.degrees = bounds("RandomAffine", "degrees", degrees)
        self.translate = numbers(
            "RandomAffine", "translate", (0, 0) if translate is None else translate, 2
        )
        if not all(0 <= part <= 1 for part in self.translate):
            raise ValueError(f"RandomAffine: translate must lie in [0, 1], got {translate}")
        self.scale = numbers("RandomAffine", "scale", (1, 1) if scale is None else scale, 2)
        if not 0 < self.scale[0] <= self.scale[1]:
            raise ValueError(f"RandomAffine: scale must be 0 < from <= to, got {scale}")
        slants = (0.0, 0.0) if shear is None else shear
        if isinstance(slants, Sequence) and len(slants) == 4:
            self.shear = (
                bounds("RandomAffine", "shear", slants[:2]),
                bounds("RandomAffine", "shear", slants[2:]),
            )
        else:
            self.shear = (bounds("RandomAffine", "shear", slants), (0.0, 0.0))
        self.fill = numbers("RandomAffine", "fill", (fill,), 1)[0]
        self.elastic = None
        if elastic is not None:
            alpha, sigma = numbers("RandomAffine", "elastic", elastic, 2)
            self.elastic = ElasticTransform(alpha, sigma, generator=generator)
        self.generator = generator

    def __call__(self, images: Any) -> Any:
        """Images (N, C, H, W) -> the same kind and shape, changed."""
        array = batch("RandomAffine", images)
        n, _, height, width = array.shape
        matrices = self.matrices(n, height, width)
        fields = self.elastic.displacements(n, height, width) if self.elastic else None
        return like(images, affine(array, matrices, self.fill, displacements=fields))

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


def _between(bounds: Sequence[float], share: np.ndarray) -> np.ndarray:
    return bounds[0] + (bounds[1] - bounds[0]) * share
