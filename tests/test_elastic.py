"""Elastic bending: its fields, what it leaves alone, and its arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import Generator
from neurona.transforms import ElasticTransform, RandomAffine, affine


def naive_field(noise: np.ndarray, sigma: float) -> np.ndarray:
    """(H, W) smoothed by a Gaussian over a mirrored image, one pixel at a time, in float64."""
    reach = int(4 * sigma)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-(offsets**2) / (2 * sigma**2))
    weights /= weights.sum()
    mirrored = np.pad(noise.astype(np.float64), reach, mode="reflect")
    result = np.empty(noise.shape)
    for i in range(noise.shape[0]):
        for j in range(noise.shape[1]):
            window = mirrored[i : i + 2 * reach + 1, j : j + 2 * reach + 1]
            result[i, j] = weights @ window @ weights
    return result


@pytest.mark.parametrize(("height", "width", "sigma"), [(9, 14, 1.5), (3, 5, 2.0), (28, 28, 4.0)])
def test_fields_equal_the_naive_loop(height: int, width: int, sigma: float) -> None:
    fields = ElasticTransform((30, 20), sigma, generator=Generator(1)).displacements(
        2, height, width
    )
    noise = Generator(1).uniform((2, 2, height, width), -1, 1)
    for image in range(2):
        for axis, alpha in enumerate((30, 20)):
            expected = alpha / 2 * naive_field(noise[image, axis], sigma)
            np.testing.assert_allclose(fields[image, axis], expected, atol=2e-6)


def test_the_size_of_the_moves() -> None:
    """0.577 of a uniform number, times alpha / 2, over 2 sigma sqrt(pi) by smoothing two axes."""
    fields = ElasticTransform(30, 4, generator=Generator(2)).displacements(20, 128, 128)
    expected = 15 / math.sqrt(3) / (2 * 4 * math.sqrt(math.pi))
    assert fields[..., 20:-20, 20:-20].std() == pytest.approx(expected, rel=0.1)


def test_the_image_is_read_at_the_moved_places() -> None:
    images = np.random.default_rng(3).random((4, 2, 12, 9), np.float32)
    transform = ElasticTransform(20, 2, fill=0.5, generator=Generator(4))
    fields = ElasticTransform(20, 2, generator=Generator(4)).displacements(4, 12, 9)
    unchanged = np.broadcast_to(np.eye(2, 3, dtype=np.float32), (4, 2, 3))
    assert (transform(images) == affine(images, unchanged, 0.5, displacements=fields)).all()


@pytest.mark.parametrize("options", [{"alpha": 0}, {"alpha": (0, 0), "sigma": 0}])
def test_no_strength_changes_nothing(options: dict[str, Any]) -> None:
    images = np.random.default_rng(5).random((3, 1, 7, 1), np.float32)
    assert (ElasticTransform(**options)(images) == images).all()


def test_a_tensor_stays_one_and_seeds_repeat() -> None:
    images = neurona.rand(3, 1, 10, 10)

    def bent() -> Any:
        return ElasticTransform(30, 3, generator=Generator(6))(images)

    assert isinstance(bent(), neurona.Tensor)
    assert (bent().numpy() == bent().numpy()).all()
    assert (bent().numpy() != images.numpy()).mean() > 0.9


def test_affine_and_elastic_share_one_sampling() -> None:
    images = np.random.default_rng(7).random((3, 1, 10, 10), np.float32)
    both = RandomAffine(20, (0.1, 0.1), elastic=(25, 3), generator=Generator(8))
    generator = Generator(8)
    matrices = RandomAffine(20, (0.1, 0.1), generator=generator).matrices(3, 10, 10)
    fields = ElasticTransform(25, 3, generator=generator).displacements(3, 10, 10)
    assert (both(images) == affine(images, matrices, displacements=fields)).all()


def test_float64_runs_on_the_reference() -> None:
    images = np.random.default_rng(9).random((2, 1, 8, 8))
    bent = ElasticTransform(20, 2, generator=Generator(10))(images)
    single = ElasticTransform(20, 2, generator=Generator(10))(images.astype(np.float32))
    assert bent.dtype == np.float64
    np.testing.assert_allclose(bent, single, atol=2e-5)


BAD: list[tuple[type[Exception], str, Any]] = [
    (ValueError, "alpha must be >= 0", lambda: ElasticTransform(-1)),
    (ValueError, "sigma must be >= 0", lambda: ElasticTransform(1, (1, -1))),
    (ValueError, "alpha must hold 2 numbers", lambda: ElasticTransform((1, 2, 3))),
    (TypeError, "sigma must hold numbers, got 'x'", lambda: ElasticTransform(1, ("x", 1))),
    (ValueError, "sigma must be finite", lambda: ElasticTransform(1, math.inf)),
    (TypeError, "fill must hold numbers", lambda: ElasticTransform(fill="0")),
    (ValueError, "images must have shape", lambda: ElasticTransform()(np.zeros((3, 3)))),
    (ValueError, "elastic must hold 2 numbers", lambda: RandomAffine(0, elastic=(1,))),
    (ValueError, "alpha must be >= 0", lambda: RandomAffine(0, elastic=(-1, 1))),
    (
        ValueError,
        r"displacements must have shape \(1, 2, 2, 2\)",
        lambda: affine(
            np.zeros((1, 1, 2, 2)), np.zeros((1, 2, 3)), displacements=np.zeros((1, 2, 2))
        ),
    ),
]


@pytest.mark.parametrize(("error", "message", "call"), BAD)
def test_bad_arguments(error: type[Exception], message: str, call: Any) -> None:
    with pytest.raises(error, match=message):
        call()
