"""The sampling of affine maps: exact and bounded values, tails, threads, NaN, bad arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import harness
import neurona
from harness import Bad, bad_arrays, bad_ranks
from neurona.transforms import affine

F32 = np.float32
SHAPES = [(2, 3, 5, 7), (3, 1, 28, 28), (1, 2, 1, 1), (2, 1, 4, 33), (1, 1, 17, 16), (0, 1, 4, 4)]


def sample(ops: Any, images: np.ndarray, matrices: np.ndarray) -> Any:
    return ops.affine_sample(images, matrices, -0.5)


def maps(rng: np.random.Generator, n: int) -> np.ndarray:
    """Turns and shifts that bring in what lies outside."""
    return (rng.normal(size=(n, 2, 3)) * [1, 1, 4]).astype(F32)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values(backend: Any, shape: tuple[int, ...]) -> None:
    rng = harness.rng_of("affine", shape)
    images, matrices = harness.normals(rng, shape), maps(rng, shape[0])
    # Places of up to 4 sizes of the image, rounded three times; then four neighbours mixed.
    bound = 64 * harness.U * max(shape) * (np.abs(images).max(initial=0) + 0.5)
    harness.check_within(backend, sample, (images, matrices), [bound], what="affine_sample")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_half_pixels_are_exact(backend: Any, shape: tuple[int, ...]) -> None:
    """Even integers, whole and half steps: no rounding anywhere."""
    rng = harness.rng_of("half", shape)
    images = harness.integers(rng, shape) * 4
    matrices = (rng.integers(-4, 5, (shape[0], 2, 3)) / 2).astype(F32)
    harness.check_exact(backend, sample, (images, matrices), what="affine_sample")


def test_layouts_and_threads(backend: Any) -> None:
    rng = harness.rng_of("affine layouts")
    images, matrices = harness.normals(rng, (3, 2, 5, 19)), maps(rng, 3)
    harness.check_layouts(backend, sample, (images, matrices), what="affine_sample")


def test_thread_count_changes_no_bit(compiled: Any) -> None:
    rng = harness.rng_of("affine threads")
    images, matrices = harness.normals(rng, (50, 2, 29, 31)), maps(rng, 50)
    harness.check_threads(compiled, sample, (images, matrices), what="affine_sample")


def test_special_values(backend: Any) -> None:
    """NaN and infinities in the image and in `fill` reach the samples that they touch."""
    rng = harness.rng_of("affine nan")
    images, matrices = harness.normals(rng, (2, 1, 3, 4)), maps(rng, 2) / 2
    harness.check_nan_positions(backend, sample, (images, matrices), what="affine", spoil=(0,))
    got = backend.affine_sample(images, matrices + F32(100), np.nan)
    assert np.isnan(got).all()


def test_places_that_overflow_are_outside(backend: Any) -> None:
    """Places beyond float32, infinite or not a number, read `fill`."""
    images = np.ones((2, 1, 4, 21), F32)  # whole columns and half rows: never x = y or x = -y
    matrices = np.full((2, 2, 3), 3e38, F32)
    matrices[:, :, 2] = 0
    matrices[1, :, 1] = -3e38
    got = backend.affine_sample(images, matrices, 7)
    assert (got == 7).all()


def test_other_dtypes_run_on_the_reference() -> None:
    for dtype in (np.float16, np.float64):
        images = np.arange(6, dtype=dtype).reshape(1, 1, 2, 3)
        shifted = affine(images, np.array([[[1, 0, 1], [0, 1, 0]]]))
        assert shifted.dtype == dtype and shifted.tolist() == [[[[1, 2, 0], [4, 5, 0]]]]


def test_verify_compares_it() -> None:
    rng = harness.rng_of("affine verify")
    with neurona.verify() as report:
        affine(harness.normals(rng, (4, 1, 28, 28)), maps(rng, 4) / 4, 1.0)
    assert report.worst["affine_sample"] <= 1


X, M = np.ones((2, 3, 4, 5), F32), np.zeros((2, 2, 3), F32)
OP = "affine_sample"
REJECTED = [
    *bad_arrays(OP, (X, M), ("images", "matrices")),
    *bad_ranks(OP, (X, M), ("images", "matrices")),
    Bad(OP, ValueError, ("matrices", "(2, 2, 3)"), (X, M[:1])),
    Bad(OP, ValueError, ("matrices", "(2, 2, 3)"), (X, M[:, :1])),
    Bad(OP, ValueError, ("finite",), (X, M + F32(np.nan))),
    Bad(OP, ValueError, ("finite",), (X, M + F32(np.inf))),
    Bad(OP, TypeError, ("fill",), (X, M, "1")),
    Bad(OP, TypeError, ("fill",), (X, M, None)),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    harness.check_rejected(backend, bad, OP)
