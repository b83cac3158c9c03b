"""Data made by code, splits and encodings: shapes, shares, seeds, rejected arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import datasets
from neurona.utils import preprocess, to_categorical
from neurona.utils.data import train_val_split
from nn_helpers import EPS, assert_close

MAKERS: dict[str, Callable[..., tuple[np.ndarray, np.ndarray]]] = {
    "moons": datasets.make_moons,
    "circles": datasets.make_circles,
    "xor": datasets.make_xor,
    "gaussians": datasets.make_gaussians,
    "shapes": datasets.make_shapes,
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_seed_fixes_the_data(name: str) -> None:
    make = MAKERS[name]
    first = make(40, generator=neurona.Generator(3))
    again = make(40, generator=neurona.Generator(3))
    other = make(40, generator=neurona.Generator(4))
    for a, b in zip(first, again, strict=True):
        assert a.tobytes() == b.tobytes()
    assert first[0].tobytes() != other[0].tobytes()
    assert first[0].dtype == np.float32 and first[1].dtype == np.int64
    assert len(first[0]) == len(first[1]) == 40
    neurona.manual_seed(3)
    assert make(40)[0].tobytes() == first[0].tobytes()


def test_points_lie_where_they_should() -> None:
    x, y = datasets.make_moons(101)
    centre = np.where(y[:, None] == 0, [0.0, 0.0], [1.0, 0.5])
    assert_close(np.hypot(*(x - centre).T), np.ones(101), 4 * EPS, "moons")
    assert np.bincount(y).tolist() == [50, 51]
    x, y = datasets.make_circles(60, factor=0.3)
    assert_close(np.hypot(*x.T), np.where(y == 0, 1.0, 0.3), 4 * EPS, "circles")
    x, y = datasets.make_xor(400, noise=0.05)
    corners = np.round(x).astype(int)
    assert (y == (corners[:, 0] != corners[:, 1])).all()
    assert_close(np.std(x - corners), 0.05, 5 * 0.05 / np.sqrt(2 * x.size), "noise")


def test_no_line_separates_them() -> None:
    """The best linear fit of +-1 labels makes mistakes on all three."""
    for make in (datasets.make_moons, datasets.make_circles, datasets.make_xor):
        x, y = make(200, generator=neurona.Generator(1))
        features = np.column_stack([x, np.ones(200)])
        weights = np.linalg.lstsq(features, 2.0 * y - 1.0, rcond=None)[0]
        assert ((features @ weights > 0) != y).mean() > 0.05


def test_a12_gaussians_are_imbalanced_and_overlap() -> None:
    x, y = datasets.make_gaussians(5000, generator=neurona.Generator(1))
    assert np.bincount(y).tolist() == [4000, 500, 500]
    centres = np.array([x[y == k].mean(axis=0) for k in range(3)])
    assert_close(np.hypot(*centres.T), np.full(3, 1.5), 0.25, "radius")
    nearest = ((x[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert 0.7 < (nearest == y).mean() < 0.95


def test_shapes_have_a_class_for_every_pixel() -> None:
    images, masks = datasets.make_shapes(50, noise=0.0, generator=neurona.Generator(2))
    assert images.shape == (50, 1, 32, 32) and masks.shape == (50, 32, 32)
    assert ((images[:, 0] > 0) == (masks > 0)).all()
    assert images.min() == 0.0 and 0.5 <= images[images > 0].min() and images.max() <= 1.0
    assert np.unique(masks).tolist() == list(range(len(datasets.SHAPE_CLASSES)))
    areas = {
        kind: [
            int((mask == k).sum())
            for k in [datasets.SHAPE_CLASSES.index(kind)]
            for mask in datasets.make_shapes(200, shapes_per_image=1, noise=0.0)[1]
            if (mask == k).any()
        ]
        for kind in ("disc", "square", "triangle")
    }
    means = {kind: float(np.mean(values)) for kind, values in areas.items()}
    assert means["triangle"] < means["disc"] < means["square"]
    empty, mask = datasets.make_shapes(1, shapes_per_image=0, noise=0.0)
    assert not empty.any() and not mask.any()


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: datasets.make_moons(1), ValueError, "make_moons: n_samples must be >= 2, got 1"),
        (lambda: datasets.make_xor(4.0), TypeError, "n_samples must be an int, got float"),
        (lambda: datasets.make_moons(9, noise=-1), ValueError, "noise must be finite and >= 0"),
        (lambda: datasets.make_circles(9, factor=1.0), ValueError, r"factor must be in \[0, 1\)"),
        (lambda: datasets.make_gaussians(9, weights=(0.5, 0.6)), ValueError, "add up to 1, got"),
        (lambda: datasets.make_gaussians(4), ValueError, "give each class a point, got 4"),
        (lambda: datasets.make_shapes(0), ValueError, "n_samples must be >= 1, got 0"),
        (lambda: datasets.make_shapes(1, image_size=4), ValueError, "image_size must be >= 8"),
        (lambda: datasets.make_shapes(1, noise=float("nan")), ValueError, "noise must be finite"),
    ],
)
def test_bad_arguments(call: Callable[[], Any], kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


# ---- train_val_split ----


def test_a9_the_parts_are_disjoint_and_complete() -> None:
    """E27: what trains and what selects are different samples."""
    x, y = np.arange(50.0).reshape(25, 2), np.arange(25)
    generator = neurona.Generator(3)
    x_train, x_val, y_train, y_val = train_val_split(x, y, val_size=0.3, generator=generator)
    assert len(y_val) == 8 and not set(y_train) & set(y_val)
    assert sorted([*y_train, *y_val]) == y.tolist()
    assert (x_train == x[y_train]).all() and (x_val == x[y_val]).all()
    assert y_val.tolist() != list(range(17, 25)) and y_val.tolist() != list(range(8))
    again = train_val_split(y, val_size=0.3, generator=neurona.Generator(3))
    assert again[1].tolist() == y_val.tolist()


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.77])
def test_stratified_parts_have_the_shares_of_the_whole(share: float) -> None:
    labels = np.repeat([3, 5, 9], [80, 13, 7])
    train, held = train_val_split(labels, val_size=share, stratify=labels)
    assert len(held) == round(100 * share) and len(train) + len(held) == 100
    for label, size in ((3, 80), (5, 13), (9, 7)):
        assert abs((held == label).sum() - share * size) < 1
        assert (train == label).any()


def test_tensors_stay_tensors() -> None:
    parts = train_val_split(neurona.arange(10), val_size=0.5)
    assert all(isinstance(part, neurona.Tensor) and len(part) == 5 for part in parts)


@pytest.mark.parametrize(
    ("arguments", "options", "kind", "message"),
    [
        ([], {}, ValueError, "at least one array must be given"),
        ([[1, 2]], {}, TypeError, "item 0 must be a Tensor or an ndarray, got list"),
        ([np.zeros(3), np.zeros(4)], {}, ValueError, r"the same length, got shapes \[\(3,\)"),
        ([np.zeros(3)], {"val_size": 1.0}, ValueError, r"val_size must be in \(0, 1\)"),
        ([np.zeros(3)], {"val_size": 0.1}, ValueError, "leave samples on both sides, got 0.1 of 3"),
        ([np.zeros(3)], {"val_size": "1"}, TypeError, "val_size must be a number, got str"),
        ([np.zeros(3)], {"stratify": np.zeros(2)}, ValueError, r"stratify must have shape \(3,\)"),
        (
            [np.zeros(3)],
            {"stratify": np.array([0, 0, 1]), "val_size": 0.5},
            ValueError,
            "at least 2 samples of each class, got 1",
        ),
        (
            [np.zeros(4)],
            {"stratify": np.array([0, 0, 1, 1]), "val_size": 0.75},
            ValueError,
            "leave every class a training sample",
        ),
    ],
)
def test_bad_splits(
    arguments: list[Any], options: dict[str, Any], kind: type, message: str
) -> None:
    with pytest.raises(kind, match=message):
        train_val_split(*arguments, **options)


# ---- encodings ----


def test_a8_one_hot() -> None:
    """sedan, minivan, bus, truck are the rows of the identity; argmax goes back."""
    assert (to_categorical(np.arange(4)) == np.eye(4)).all()
    labels = np.array([[2, 0], [1, 1]], np.uint8)
    rows = to_categorical(labels, 5)
    assert rows.shape == (2, 2, 5) and rows.dtype == np.float32
    assert (rows.argmax(-1) == labels).all()
    with pytest.raises(ValueError, match=r"labels in 0..3, got 4"):
        to_categorical([0, 4], 4)
    with pytest.raises(TypeError, match="integer dtype, got float64"):
        to_categorical([0.5])


def test_a7_images_become_vectors_in_the_unit_interval() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    images[0, 0, :2] = 0, 255
    scaled = preprocess(images)
    flat = preprocess(neurona.Tensor(images), flatten=True)
    assert scaled.dtype == np.float32 and (scaled.min(), scaled.max()) == (0.0, 1.0)
    assert flat.shape == (5, 784) and (flat.reshape(images.shape) == scaled).all()
    assert (np.round(scaled * 255) == images).all()
    assert preprocess(images[:0], flatten=True).shape == (0, 784)
    with pytest.raises(TypeError, match="must have an integer dtype, got float32"):
        preprocess(scaled)
    with pytest.raises(ValueError, match=r"pixels in 0..16, got 0..255"):
        preprocess(images, scale=16)
    with pytest.raises(ValueError, match="scale must be finite and > 0, got 0"):
        preprocess(images, scale=0)
