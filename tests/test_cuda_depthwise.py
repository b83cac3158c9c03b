"""Depthwise convolutions: the kernels of csrc/cuda/conv2d_depthwise*."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import emulated
import harness
from conftest import DEVICES, Backend, _device
from test_cuda_products import passes

Case = tuple[tuple[int, ...], tuple[int, int], dict[str, Any]]

# x, taps, options. 3, 5 or 7 taps squared with strides of 1 and 2, by walks: channels
# in fours, in pairs and alone, in tiles that are full, narrow, and end early; columns that end in
# the middle of a strip; images of one pixel, of fewer than a strip, and of several bands, which
# have more than one row where there are more than 64 rows; a padding that sees nothing but zeros,
# one that leaves the gradient of the image none, and none; rows and columns that no window sees; so
# many channels that a block of the gradient of the filters has all pixels.
WALKS: list[Case] = [
    ((2, 4, 9, 11), (3, 3), {"padding": 1}),
    ((1, 36, 7, 6), (3, 3), {"padding": 1}),
    ((2, 40, 8, 9), (3, 3), {"stride": 2, "padding": 1}),
    ((1, 7, 13, 10), (3, 3), {"padding": 1}),
    ((2, 33, 6, 9), (3, 3), {"stride": 2}),
    ((1, 64, 30, 5), (3, 3), {"padding": (1, 0)}),
    ((1, 12, 1, 1), (3, 3), {"padding": 1}),
    ((3, 4, 2, 3), (3, 3), {"stride": 2, "padding": 1}),
    ((2, 8, 5, 7), (3, 3), {"padding": (4, 3)}),
    ((2, 8, 6, 5), (3, 3), {"stride": 2, "padding": (3, 4)}),
    ((1, 8, 8, 10), (3, 3), {"stride": 2}),
    ((40, 4, 3, 4), (3, 3), {"padding": 1}),
    ((2, 8, 11, 13), (5, 5), {"padding": 2}),
    ((1, 66, 9, 6), (5, 5), {"stride": 2, "padding": 2}),
    ((1, 3, 12, 9), (5, 5), {"stride": 2, "padding": (1, 2)}),
    ((2, 9, 7, 8), (5, 5), {"padding": (2, 6)}),
    ((1, 10, 2, 3), (5, 5), {"padding": 2}),
    ((1, 4, 5, 5), (5, 5), {}),
    ((1, 4, 10, 12), (5, 5), {"stride": 2, "padding": (6, 0)}),
    ((1, 4, 330, 5), (3, 3), {"padding": 1}),
    ((2, 3, 270, 5), (3, 3), {"padding": 1}),
    ((2, 8, 451, 3), (3, 3), {"stride": 2, "padding": 1}),
    ((1, 4, 390, 6), (5, 5), {"padding": 2}),
    ((1, 6, 500, 9), (5, 5), {"stride": 2, "padding": 1}),
    ((2, 9, 8, 11), (7, 7), {"padding": 3}),
    ((1, 34, 13, 6), (7, 7), {"stride": 2, "padding": 3}),
    ((1, 4, 9, 7), (7, 7), {"padding": (8, 0)}),
    ((1, 3, 290, 7), (7, 7), {"stride": 2, "padding": 2}),
    ((1, 2, 200, 9), (7, 7), {"padding": 3}),
    ((1, 8448, 12, 8), (3, 3), {"padding": 1}),
]
# All others: dilation, other strides and taps, rows and columns that differ; more taps than a block
# holds at once, in many rows and in one; so many pixels that a thread has several.
OTHERS: list[Case] = [
    ((2, 12, 9, 11), (3, 3), {"padding": 2, "dilation": 2}),
    ((1, 6, 11, 10), (3, 3), {"stride": 3, "padding": 1}),
    ((2, 36, 8, 7), (3, 3), {"stride": (1, 2), "padding": 1}),
    ((1, 5, 9, 12), (5, 3), {"padding": (2, 1), "dilation": (1, 3)}),
    ((2, 8, 6, 6), (1, 1), {}),
    ((1, 9, 4, 21), (1, 7), {"padding": (0, 3)}),
    ((1, 4, 14, 15), (13, 11), {"padding": (6, 5)}),
    ((1, 2, 3, 70), (2, 130), {"padding": (1, 65)}),
    ((9, 3, 10, 10), (2, 2), {"stride": 2, "padding": 1, "dilation": (3, 1)}),
    ((1, 2, 530, 512), (2, 1), {}),
]


@pytest.fixture(params=DEVICES)
def backend(request: pytest.FixtureRequest) -> Backend:
    """The device under each schedule."""
    return Backend(request.param, emulated.DeviceOps(emulated.device_with(request.param, seed=6)))


def of_groups(case: Case) -> Any:
    """The convolution with the shape of its filters, one for each channel."""
    x, taps, options = case
    return x, (x[1], 1, *taps), {**options, "groups": x[1]}


@pytest.mark.parametrize("case", [*WALKS, *OTHERS], ids=str)
def test_passes_agree_with_the_reference(backend: Backend, case: Case) -> None:
    """Exactly on integers, within the bound of float32 sums on random data."""
    what = f"{backend} {case}"
    for call, arrays, _ in passes(harness.integers, of_groups(case)):
        harness.check_exact(backend, call, arrays, what=what)
    for call, arrays, terms in passes(harness.normals, of_groups(case)):
        harness.check_linear(backend, call, arrays, terms, what=what)


@pytest.mark.parametrize("taps", [(3, 3), (5, 5), (2, 3)], ids=str)
def test_bias_and_activation(backend: Backend, taps: tuple[int, int]) -> None:
    """Behind the sums, of the forward pass and of a transposed convolution, which is a gradient."""
    rng = harness.rng_of("depthwise", taps)
    x, weight = harness.integers(rng, (2, 8, 7, 6)), harness.integers(rng, (8, 1, *taps))
    bias = harness.integers(rng, (8,))
    expected = backend.conv2d_forward(x, weight, groups=8) + bias[:, None, None]
    for activation, slope in (("relu", 0), ("leaky_relu", 0.01)):
        got = backend.conv2d_forward(x, weight, bias, groups=8, activation=activation)
        factor = np.where(expected > 0, 1, slope).astype(np.float32)
        assert np.allclose(got, expected * factor, rtol=1e-6, atol=0)
    for stride in (1, 2):
        plain = backend.conv_transpose2d_forward(x, weight, stride=stride, groups=8)
        got = backend.conv_transpose2d_forward(x, weight, bias, stride=stride, groups=8)
        assert np.array_equal(got, plain + bias[:, None, None])


@pytest.mark.parametrize("taps", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_nan_stays_with_those_who_read_it(backend: Backend, taps: int, stride: int) -> None:
    """Also where a strip has room for more pixels than there are.

    Of x the first pixel, which the first window alone reads, by its first tap, and one that the
    last window of a row reads by its last tap.
    """
    size = 9 * stride + taps  # 10 windows
    x, weight = np.ones((1, 5, size, size), np.float32), np.ones((5, 1, taps, taps), np.float32)
    dy = np.ones((1, 5, 10, 10), np.float32)
    options = {"stride": stride, "groups": 5}
    last = 9 * stride + taps - 1
    x[0, 1, 0, 0] = x[0, 3, 5, last] = np.nan
    y = np.asarray(backend.conv2d_forward(x, weight, **options))
    assert np.isnan(y[0, 1, 0, 0]) and np.isnan(y[0, 1]).sum() == 1
    rows = {p for p in range(10) if 0 <= 5 - p * stride < taps}
    assert set(zip(*np.nonzero(np.isnan(y[0, 3])), strict=True)) == {(p, 9) for p in rows}
    assert np.isfinite(y[0, [0, 2, 4]]).all()
    dw = np.asarray(
        backend.conv2d_backward_weight(dy, x, (taps, taps), with_bias=False, **options)[0]
    )[:, 0]
    assert np.isnan(dw[1, 0, 0]) and np.isnan(dw[1]).sum() == 1
    assert set(zip(*np.nonzero(np.isnan(dw[3])), strict=True)) == {
        (5 - p * stride, taps - 1) for p in rows
    }
    assert np.isfinite(dw[[0, 2, 4]]).all()
    dy[0, 2, 4, 7] = np.nan
    dx = np.asarray(backend.conv2d_backward_data(dy, weight, (size, size), **options))[0]
    expected = np.zeros((5, size, size), bool)
    expected[2, 4 * stride :, 7 * stride :][:taps, :taps] = True
    assert np.array_equal(np.isnan(dx), expected)


@pytest.mark.parametrize("channels", [3, 4])
def test_places_that_need_more_than_32_bits(backend: Backend, channels: int) -> None:
    """Strides and a padding of 2^28, by which only the middle one of 3 x 3 windows sees pixels."""
    rng = harness.rng_of("far", channels)
    shapes = (1, channels, 2, 2), (channels, 1, 2, 2), (1, channels, 3, 3)
    x, weight, dy = (harness.integers(rng, shape) for shape in shapes)
    options = {"stride": 2**28, "padding": 2**28, "groups": channels}
    y = np.asarray(backend.conv2d_forward(x, weight, **options))
    expected = np.zeros((1, channels, 3, 3), np.float32)
    expected[0, :, 1, 1] = (x[0] * weight[:, 0]).sum((1, 2))
    assert np.array_equal(y, expected)
    middle = dy[0, :, 1, 1, None, None]
    dx = np.asarray(backend.conv2d_backward_data(dy, weight, (2, 2), **options))
    assert np.array_equal(dx[0], middle * weight[:, 0])
    dw = backend.conv2d_backward_weight(dy, x, (2, 2), with_bias=False, **options)[0]
    assert np.array_equal(np.asarray(dw)[:, 0], middle * x[0])


@pytest.mark.parametrize("case", [WALKS[0], WALKS[12], OTHERS[0]], ids=str)
def test_same_bits_whichever_block_comes_last(case: Case) -> None:
    """Under every schedule of the emulation, and in every run of a GPU."""
    (_, _, (call, arrays, _)) = passes(harness.normals, of_groups(case))
    bits = set()
    for name in emulated.SCHEDULES:
        device = _device()
        if not emulated.ON_A_GPU:
            device.module.set_schedule(name, seed=7)
        bits.add(harness.results(call(Backend(name, device), *arrays))[0].tobytes())
    assert len(bits) == 1
