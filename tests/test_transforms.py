"""Affine maps of images against a naive loop, and the random ones within their ranges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import harness
import neurona
from neurona import Generator, transforms
from neurona.transforms import Augmented, RandomAffine, affine


def naive_affine(image: np.ndarray, matrix: np.ndarray, fill: float) -> np.ndarray:
    """One image (H, W) pixel by pixel in float64."""
    height, width = image.shape
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    result = np.empty((height, width))
    for row in range(height):
        for column in range(width):
            x, y = matrix[:, :2] @ (np.array([column, row]) - centre) + matrix[:, 2] + centre
            total = 0.0
            for j in (math.floor(y), math.floor(y) + 1):
                for i in (math.floor(x), math.floor(x) + 1):
                    inside = 0 <= i < width and 0 <= j < height
                    share = max(0.0, 1 - abs(x - i)) * max(0.0, 1 - abs(y - j))
                    total += share * (image[j, i] if inside else fill)
            result[row, column] = total
    return result


@pytest.mark.parametrize("shape", [(3, 2, 5, 7), (2, 1, 8, 8), (1, 1, 1, 1), (2, 3, 1, 4)])
@pytest.mark.parametrize("fill", [0.0, -1.5])
def test_affine_equals_the_naive_loop(shape: tuple[int, ...], fill: float) -> None:
    rng = harness.rng_of("affine", shape)
    images = rng.normal(size=shape)
    matrices = rng.normal(size=(shape[0], 2, 3)) * [1, 1, 2]
    result = affine(images, matrices, fill)
    for n in range(shape[0]):
        for c in range(shape[1]):
            expected = naive_affine(images[n, c], matrices[n], fill)
            np.testing.assert_allclose(result[n, c], expected, rtol=0, atol=1e-12)
    single = affine(images.astype(np.float32), matrices, fill)
    assert single.dtype == np.float32
    # Coordinates of up to 20 pixels are rounded to 2^-20 of a pixel.
    np.testing.assert_allclose(single, result, rtol=0, atol=1e-4)


def test_identity_turn_and_shift_are_exact() -> None:
    image = harness.rng_of("turn").normal(size=(1, 1, 6, 6)).astype(np.float32)
    identity = np.array([[[1, 0, 0], [0, 1, 0]]], np.float32)
    assert (affine(image, identity) == image).all()
    # The pixel at (x, y) comes from (y, -x): a quarter turn clockwise, rows counted downwards.
    turn = np.array([[[0, 1, 0], [-1, 0, 0]]], np.float32)
    assert (affine(image, turn)[0, 0] == np.rot90(image[0, 0], -1)).all()
    shift = np.array([[[1, 0, 0], [0, 1, 2]]], np.float32)
    expected = np.concatenate([image[:, :, 2:], np.full((1, 1, 2, 6), 7, np.float32)], axis=2)
    assert (affine(image, shift, fill=7) == expected).all()


def linear_parts(transform: RandomAffine, n: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """The forward maps of n draws for images 20 high and 30 wide: (n, 2, 2) and shifts (n, 2)."""
    maps = transform.matrices(n, 20, 30)
    forward = np.linalg.inv(maps[:, :, :2])
    return forward, -(forward @ maps[:, :, 2:])[:, :, 0]


def test_draws_fill_their_ranges_and_no_more() -> None:
    forward, shift = linear_parts(RandomAffine(30, (0.1, 0.2), (0.5, 2.0), generator=Generator(1)))
    size = np.sqrt(np.linalg.det(forward))
    angle = np.degrees(np.arctan2(forward[:, 1, 0], forward[:, 0, 0]))
    for values, low, high in (
        (size, 0.5, 2.0), (angle, -30, 30), (shift[:, 0], -3, 3), (shift[:, 1], -4, 4),
    ):  # fmt: skip
        margin = (high - low) / 50
        assert low - 1e-9 <= values.min() < low + margin
        assert high - margin < values.max() <= high + 1e-9
    # A turn and a scale keep right angles.
    assert np.abs((forward[:, :, 0] * forward[:, :, 1]).sum(axis=1)).max() < 1e-9


def test_shear_slants_one_axis() -> None:
    forward, _ = linear_parts(RandomAffine(0, shear=20, generator=Generator(2)))
    slant = np.degrees(np.arctan(-forward[:, 0, 1]))
    assert -20 <= slant.min() < -19 and 19 < slant.max() <= 20
    np.testing.assert_allclose(forward[:, 1], np.tile([0, 1], (500, 1)), atol=1e-12)
    both, _ = linear_parts(RandomAffine(0, shear=(0, 0, 10, 20), generator=Generator(2)))
    slant = np.degrees(np.arctan(-both[:, 1, 0] / both[:, 0, 0]))
    assert slant.min() >= 10 - 1e-9 and slant.max() <= 20 + 1e-9


def test_positive_degrees_turn_clockwise() -> None:
    image = np.zeros((1, 1, 9, 9), np.float32)
    image[0, 0, 4, 8] = 1  # right of the centre
    turned = RandomAffine((90, 90))(image)
    assert turned[0, 0, 8, 4] == pytest.approx(1, abs=1e-5)  # below it


def test_each_image_has_its_own_draw_and_the_seed_decides() -> None:
    images = np.tile(harness.rng_of("own").normal(size=(1, 1, 12, 12)), (4, 1, 1, 1))
    images = images.astype(np.float32)

    def changed() -> np.ndarray:
        return RandomAffine(40, (0.2, 0.2), generator=Generator(3))(images)

    first = changed()
    assert (first == changed()).all()
    assert all((first[i] != first[j]).any() for i in range(4) for j in range(i))


def test_tensors_and_empty_batches() -> None:
    images = neurona.rand(2, 1, 5, 5)
    transform = RandomAffine(10, generator=Generator(4))
    assert isinstance(transform(images), neurona.Tensor)
    assert transform(np.zeros((0, 1, 5, 5), np.float32)).shape == (0, 1, 5, 5)


def test_augmented_loader_trains() -> None:
    x, y, *_ = neurona.datasets.digits()
    data = neurona.utils.data.TensorDataset(neurona.tensor(x[:100]), neurona.tensor(y[:100]))
    loader = Augmented(
        neurona.utils.data.DataLoader(data, batch_size=50), RandomAffine(5, generator=Generator(5))
    )
    assert len(loader) == 2
    trainer = neurona.Trainer(
        neurona.models.digits_cnn(), loss="cross_entropy", optimizer="adam", metrics=["accuracy"]
    )
    assert len(trainer.fit(loader, epochs=2, verbose=0).history["loss"]) == 2


BAD: list[tuple[type[Exception], str, Any]] = [
    (ValueError, "degrees must be >= 0 or a pair, got -1", lambda: RandomAffine(-1)),
    (ValueError, "degrees must be a pair", lambda: RandomAffine((3, 1))),
    (TypeError, "degrees must hold numbers, got 'x'", lambda: RandomAffine(("x", 1))),
    (ValueError, "degrees must be finite", lambda: RandomAffine(math.nan)),
    (ValueError, r"translate must lie in \[0, 1\]", lambda: RandomAffine(0, (0.1, 1.1))),
    (ValueError, "translate must hold 2 numbers", lambda: RandomAffine(0, (0.1,))),
    (ValueError, "scale must be 0 < from <= to", lambda: RandomAffine(0, scale=(0, 1))),
    (ValueError, "shear must hold 2 numbers", lambda: RandomAffine(0, shear=(1, 2, 3))),
    (ValueError, "images must have shape", lambda: RandomAffine(0)(np.zeros((3, 3), np.float32))),
    (TypeError, "images must be a float array", lambda: affine(np.zeros((1, 1, 2, 2), int), None)),
    (ValueError, r"matrices must have shape \(1, 2, 3\)",
     lambda: affine(np.zeros((1, 1, 2, 2)), np.zeros((2, 2, 3)))),
    (ValueError, "matrices must be finite",
     lambda: affine(np.zeros((1, 1, 2, 2)), np.full((1, 2, 3), np.nan))),
    (TypeError, "transform must be callable", lambda: Augmented([], None)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "message", "call"), BAD, ids=[message for _, message, _ in BAD])
def test_bad_arguments(kind: type[Exception], message: str, call: Any) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_the_module_is_loaded_when_used() -> None:
    assert neurona.transforms is transforms
