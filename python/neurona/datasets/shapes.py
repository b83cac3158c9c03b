"""Drawn shapes with a class for every pixel: a data set for segmentation made by code."""

from __future__ import annotations

import numpy as np

from ..random import Generator, default_generator

SHAPE_CLASSES = ("background", "disc", "square", "triangle")


def make_shapes(
    n_samples: int = 100,
    *,
    image_size: int = 32,
    shapes_per_image: int = 3,
    noise: float = 0.1,
    generator: Generator | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Grey images float32 (N, 1, S, S) of discs, squares and triangles on a dark ground, and the
    class of every pixel, int64 (N, S, S): an index into `SHAPE_CLASSES`.

    Every image holds `shapes_per_image` shapes of random kind, place, size and brightness, later
    ones on top, under normal noise. A seed gives the same images for ever. Raises TypeError or
    ValueError for sizes that are no positive ints; images have at least 8 pixels a side.

    >>> images, masks = make_shapes(2)
    >>> images.shape, masks.shape
    ((2, 1, 32, 32), (2, 32, 32))
    """
    limits = (("n_samples", n_samples, 1), ("image_size", image_size, 8))
    for name, value, minimum in (*limits, ("shapes_per_image", shapes_per_image, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise TypeError(f"make_shapes: {name} must be an int, got {type(value).__name__}")
        if value < minimum:
            raise ValueError(f"make_shapes: {name} must be >= {minimum}, got {value}")
    if not 0.0 <= noise < np.inf:
        raise ValueError(f"make_shapes: noise must be finite and >= 0, got {noise}")
    source = generator or default_generator
    kinds = source.integers(1, len(SHAPE_CLASSES), (n_samples, shapes_per_image))
    # Columns: row and column of the centre, half the width, brightness.
    numbers = source.uniform((n_samples, shapes_per_image, 4)).astype(np.float64)
    images = np.zeros((n_samples, image_size, image_size), np.float32)
    masks = np.zeros((n_samples, image_size, image_size), np.int64)
    for image, mask, kinds_here, numbers_here in zip(images, masks, kinds, numbers, strict=True):
        for kind, (row, column, half, light) in zip(kinds_here, numbers_here, strict=True):
            radius = image_size * (0.1 + 0.12 * half)
            centre = radius + np.array([row, column]) * (image_size - 1 - 2 * radius)
            inside = _inside(int(kind), image_size, centre, radius)
            image[inside] = 0.5 + 0.5 * light
            mask[inside] = kind
    if noise:
        images += source.normal(images.shape, 0.0, noise)
    return images[:, None], masks


def _inside(kind: int, size: int, centre: np.ndarray, radius: float) -> np.ndarray:
    """The pixels (S, S) of a shape; the triangle stands on its base."""
    down = np.arange(size)[:, None] - centre[0]
    right = np.abs(np.arange(size)[None, :] - centre[1])
    if SHAPE_CLASSES[kind] == "disc":
        return down * down + right * right <= radius * radius
    if SHAPE_CLASSES[kind] == "square":
        return (np.abs(down) <= radius) & (right <= radius)
    return (np.abs(down) <= radius) & (2 * right <= down + radius)
