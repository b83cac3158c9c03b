"""The two small data sets that are part of the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .dataset import ArrayDataset, image_pair
from .idx import read_idx

_DATA = Path(__file__).parent / "data"
_DIGITS_TRAIN = 1437


def digits() -> ArrayDataset:
    """Optical recognition of handwritten digits: 1,797 images of 8x8 pixels, 10 classes.

    The images are the test part of the UCI data set (Alpaydin and Kaynak 1998), its pixels 0..16
    scaled to [0, 1]. The order is kept: the first 1,437 train, the last 360 test, so that most
    writers of the test images do not occur in training.

    >>> digits()
    ArrayDataset('digits', train=1437, test=360, input_shape=(1, 8, 8), classes=10)
    """
    images = read_idx(_DATA / "digits-images-idx3-ubyte.gz")
    labels = read_idx(_DATA / "digits-labels-idx1-ubyte.gz")
    x, y = image_pair(images, labels, full=16)
    return ArrayDataset(
        "digits",
        (x[:_DIGITS_TRAIN], y[:_DIGITS_TRAIN]),
        (x[_DIGITS_TRAIN:], y[_DIGITS_TRAIN:]),
        tuple("0123456789"),
        scale=16,
    )


def iris() -> ArrayDataset:
    """Iris flowers: 150 samples, 4 lengths in cm as stored, 3 species (Fisher 1936).

    Every fifth sample (10 of each species) is a test sample, the others train.

    >>> iris()
    ArrayDataset('iris', train=120, test=30, input_shape=(4,), classes=3)
    """
    lines = (_DATA / "iris.csv").read_text("ascii").splitlines()[1:]
    rows = [line.split(",") for line in lines]
    names = tuple(dict.fromkeys(row[4] for row in rows))
    x = np.array([row[:4] for row in rows], np.float32)
    y = np.array([names.index(row[4]) for row in rows], np.int64)
    test = np.arange(len(rows)) % 5 == 4
    return ArrayDataset("iris", (x[~test], y[~test]), (x[test], y[test]), names)
