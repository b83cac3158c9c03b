"""The record that every data-set function returns."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


class ArrayDataset:
    """Training and test arrays of a data set, with the names of its classes.

    `train` and `test` are pairs (x, y): x float32, images (N, 1, H, W) in [0, 1] or features
    (N, F); y int64 (N,). Unpacks into four arrays: `x_train, y_train, x_test, y_test = digits()`.
    `scale` is the stored integer that became x = 1.
    """

    def __init__(
        self,
        name: str,
        train: tuple[np.ndarray, np.ndarray],
        test: tuple[np.ndarray, np.ndarray],
        classes: tuple[str, ...],
        scale: int = 1,
    ) -> None:
        self.name, self.train, self.test = name, train, test
        self.classes, self.scale = classes, scale

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample, without the batch axis."""
        return self.train[0].shape[1:]

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((*self.train, *self.test))

    def __repr__(self) -> str:
        return (
            f"ArrayDataset({self.name!r}, train={len(self.train[1])}, test={len(self.test[1])}, "
            f"input_shape={self.input_shape}, classes={len(self.classes)})"
        )


def image_pair(images: np.ndarray, labels: np.ndarray, full: int) -> tuple[np.ndarray, np.ndarray]:
    """Grey images (N, H, W) of 0..full as float32 (N, 1, H, W) in [0, 1], and int64 labels."""
    scaled = images[:, None].astype(np.float32)
    scaled /= np.float32(full)
    return scaled, labels.astype(np.int64)
