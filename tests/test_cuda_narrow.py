"""Convolutions of few channels and outputs with many pixels: the kernels of csrc/cuda/narrow*.

Small images are taken by other kernels, so that those here have 512 pixels and more.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emulated
import harness
from conftest import DEVICES, Backend, _device
from test_cuda_products import passes

# Around 8 and 16 columns, 32 taps and channels; pixels for one, two and eight groups of threads;
# channels in ones, twos and fours; a stride that leaves pixels without a tap.
CASES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 1, 28, 28), (6, 1, 5, 5), {"padding": 2}),
    ((3, 6, 14, 14), (16, 6, 5, 5), {}),
    ((5, 3, 17, 13), (9, 3, 3, 3), {"stride": 2, "padding": 1}),
    ((1, 2, 29, 31), (1, 2, 1, 1), {}),
    ((2, 16, 16, 17), (8, 16, 3, 2), {"dilation": (2, 1), "padding": 1}),
    ((1, 12, 23, 24), (10, 6, 2, 3), {"groups": 2, "padding": (0, 1)}),
    ((9, 1, 16, 16), (2, 1, 2, 2), {"stride": 3}),
    ((2, 4, 40, 33), (16, 4, 4, 4), {"stride": (1, 2), "padding": 3}),
    ((41, 2, 62, 62), (3, 2, 3, 3), {}),
    ((19, 8, 62, 62), (9, 8, 3, 3), {}),
]
# Stride 1 and 3 or 5 columns, which windows do: outputs in tiles of 4, 6 and 8, whole and not; one,
# two and four groups of threads; images in one band and in several, which are the same for no two
# passes; rows of runs that end within a run, at its end, and too long for a block; filters too
# high; a padding that sees nothing but zeros, and one that leaves the gradient none.
WINDOWS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((70, 4, 9, 9), (5, 4, 3, 3), {"padding": 1}),
    ((3, 2, 30, 23), (7, 2, 4, 5), {"padding": (1, 2)}),
    ((2, 5, 33, 38), (12, 5, 1, 3), {"padding": (0, 1)}),
    ((1, 16, 40, 36), (16, 16, 5, 5), {"padding": 2}),
    ((2, 12, 17, 19), (3, 12, 6, 3), {"padding": (4, 3)}),
    ((3, 1, 17, 16), (1, 1, 7, 3), {"padding": (0, 1)}),
    ((1, 1, 3, 420), (2, 1, 3, 3), {"padding": 1}),
    ((1, 3, 4, 1100), (4, 3, 3, 5), {"padding": 2}),
    ((200, 8, 3, 3), (14, 8, 3, 3), {"padding": 1}),
    ((9, 3, 2, 50), (6, 3, 2, 3), {"padding": (3, 0)}),
    ((1, 1, 70, 9), (2, 1, 65, 3), {"padding": (40, 1)}),
]
# A channel or an output too many, and a pixel too few.
OTHERS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((1, 17, 23, 23), (3, 17, 2, 2), {}),
    ((1, 3, 23, 23), (17, 3, 2, 2), {}),
    ((1, 3, 20, 25), (4, 3, 3, 3), {"padding": 1}),
]


@pytest.fixture(params=DEVICES)
def backend(request: pytest.FixtureRequest) -> Backend:
    """The device under each schedule."""
    return Backend(request.param, emulated.DeviceOps(emulated.device_with(request.param, seed=4)))


@pytest.mark.parametrize("case", [*CASES, *WINDOWS, *OTHERS], ids=str)
def test_passes_agree_with_the_reference(backend: Backend, case: Any) -> None:
    """Exactly on integers, within the bound of float32 sums on random data."""
    what = f"{backend} {case}"
    for call, arrays, _ in passes(harness.integers, case):
        harness.check_exact(backend, call, arrays, what=what)
    for call, arrays, terms in passes(harness.normals, case):
        harness.check_linear(backend, call, arrays, terms, what=what)


@pytest.mark.parametrize("case", WINDOWS, ids=str)
def test_both_gradients_at_once(backend: Backend, case: Any) -> None:
    """Of one launch where there are more than 6 outputs, exactly on integers."""
    _, (_, (dy, weight), _), (_, (_, x), _) = passes(harness.integers, case)
    harness.check_exact(
        backend,
        lambda o, *arrays: o.conv2d_backward(*arrays, **case[2]),
        (dy, x, weight),
        what=f"{backend} {case}",
    )


def test_bias_and_activation(backend: Backend) -> None:
    """Behind the sums."""
    rng = harness.rng_of("narrow")
    x, weight = harness.integers(rng, (2, 3, 20, 20)), harness.integers(rng, (5, 3, 3, 3))
    bias = harness.integers(rng, (5,))
    plain = backend.conv2d_forward(x, weight, padding=1)
    got = backend.conv2d_forward(x, weight, bias, padding=1, activation="relu")
    assert np.array_equal(got, np.maximum(plain + bias[:, None, None], 0))


def test_nan_beside_the_last_pixels_stays_with_the_taps_that_see_it(backend: Backend) -> None:
    """Rows of 22 pixels, of which the last run of four has two."""
    x, dy = np.ones((2, 1, 24, 24), np.float32), np.ones((2, 3, 22, 22), np.float32)
    x[0, 0, 12, 23] = np.nan
    dw = np.asarray(backend.conv2d_backward_weight(dy, x, (3, 3), with_bias=False)[0])
    assert np.isnan(dw[..., 2]).all()
    assert np.array_equal(dw[..., :2], np.full((3, 1, 3, 2), 2 * 22 * 22))


def test_nan_stays_with_those_who_read_it(backend: Backend) -> None:
    """A pixel's, an output's and a filter's."""
    x, weight = np.ones((1, 2, 24, 24), np.float32), np.ones((3, 2, 3, 3), np.float32)
    dy = np.ones((1, 3, 24, 24), np.float32)
    x[0, 1, 5, 7] = dy[0, 2, 9, 9] = np.nan
    y = np.asarray(backend.conv2d_forward(x, weight, padding=1))
    expected = np.zeros(y.shape, bool)
    expected[..., 4:7, 6:9] = True
    assert np.array_equal(np.isnan(y), expected)
    dx = np.asarray(backend.conv2d_backward_data(dy, weight, (24, 24), padding=1))
    expected = np.zeros(dx.shape, bool)
    expected[..., 8:11, 8:11] = True
    assert np.array_equal(np.isnan(dx), expected)
    dw = np.asarray(backend.conv2d_backward_weight(dy, x, (3, 3), padding=1, with_bias=False)[0])
    assert np.isnan(dw[2]).all()
    assert np.isnan(dw[:, 1]).all()
    assert np.isfinite(dw[:2, 0]).all()


def test_same_bits_whichever_block_comes_last() -> None:
    """Under every schedule of the emulation, and in every run of a GPU."""
    (_, _, (call, arrays, _)) = passes(harness.normals, CASES[1])
    bits = set()
    for name in emulated.SCHEDULES:
        device = _device()
        if not emulated.ON_A_GPU:
            device.module.set_schedule(name, seed=5)
        bits.add(harness.results(call(Backend(name, device), *arrays))[0].tobytes())
    assert len(bits) == 1


def test_places_of_more_than_32_bits_are_left_to_the_naive_kernels(backend: Backend) -> None:
    """The products count elements of an image with its padding, and sums of two such counts."""
    weight = (64, 64, 3, 3)
    assert "direct" in backend.conv2d_plan((1, 64, 4000, 4000), weight, padding=1)
    assert "naive" in backend.conv2d_plan((1, 64, 4096, 4096), weight, padding=1)
    assert "naive" in backend.conv2d_plan((1, 64, 8, 8), weight, padding=3000)
    assert "2^30" in backend.conv2d_plan((1, 64, 8, 8), weight, padding=3000)


@pytest.mark.parametrize("channels", [4, 6])
def test_images_that_begin_anywhere(backend: Backend, channels: int) -> None:
    """Memory in the order of the kernels which does not begin at a multiple of 16 bytes."""
    case = (2, channels, 17, 18), (channels, channels, 3, 3), {"padding": 1}

    def moved(images: np.ndarray) -> np.ndarray:
        n, c, h, w = images.shape
        flat = np.concatenate([[0], images.transpose(0, 2, 3, 1).ravel()]).astype(np.float32)
        return flat[1:].reshape(n, h, w, c).transpose(0, 3, 1, 2)

    for call, arrays, _ in passes(harness.integers, case):
        there = [moved(array) for array in arrays]
        harness.check_exact(backend, call, there, what=f"{backend} {channels}")
