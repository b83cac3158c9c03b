"""Data sets: `digits` and `iris` are part of the package, `mnist` and `fashion_mnist` are found or
downloaded, `make_moons` and its like are made by code.

>>> x_train, y_train, x_test, y_test = digits()
>>> x_train.shape, str(x_train.dtype), y_train.shape
((1437, 1, 8, 8), 'float32', (1437,))
"""

from __future__ import annotations

from .bundled import digits, iris
from .dataset import ArrayDataset
from .idx import parse_idx, read_idx
from .locate import cache_folder, search_folders
from .mnist_like import fashion_mnist, mnist
from .names import NAMES, check_name
from .shapes import SHAPE_CLASSES, make_shapes
from .toy import make_circles, make_gaussians, make_moons, make_xor

__all__ = [
    "NAMES",
    "SHAPE_CLASSES",
    "ArrayDataset",
    "cache_folder",
    "digits",
    "fashion_mnist",
    "iris",
    "load",
    "make_circles",
    "make_gaussians",
    "make_moons",
    "make_shapes",
    "make_xor",
    "mnist",
    "parse_idx",
    "read_idx",
    "search_folders",
]


def load(name: str, download: bool = False) -> ArrayDataset:
    """A data set by its name, `-` and `_` being the same.

    Raises `ValueError` for an unknown name, naming the nearest one, and what the data set raises.

    >>> load("iris").classes
    ('setosa', 'versicolor', 'virginica')
    """
    key = check_name(name)
    if key == "digits":
        return digits()
    if key == "iris":
        return iris()
    return mnist(download) if key == "mnist" else fashion_mnist(download)
