"""Rounded products on the instructions of sm_90a: TMA and wgmma, as the host emulates them.

The shapes, bounds and exact cases are those of the other tensor-core product, and every product of
dense matrices is packed, also where it would not pay. On a GPU they are skipped unless it is one.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import emulated
import harness
import test_cuda_products as unpacked
from conftest import DEVICES, Backend, _device
from neurona.backends import cuda
from test_cuda_products import CONVOLUTIONS, ROUNDOFF, SHAPES, gemm, stored

# (M, N, K) around tiles of 128 rows and 128 columns, steps of 64 or 32 along K, and a ring of four
# of them; several tiles for each block that stays, and slices of K.
TILES = [
    (128, 128, 64),
    (129, 127, 65),
    (127, 129, 31),
    (64, 192, 33),
    (200, 300, 129),
    (257, 5, 255),
    (3, 260, 520),
    (140, 130, 600),
]
# Enough tiles of 128 x 256 for every multiprocessor, of which the last ones are small: for clusters
# of two blocks, of which one may multiply nothing at last, and for blocks alone.
WIDE = [(1665, 1313, 40), (2817, 641, 40), (1537, 1313, 40)]
# Those of 1 x 1 that are products of dense matrices, and others that are not.
POINTWISE: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, int]]] = [
    ((2, 130, 9, 8), (140, 130, 1, 1), {}),
    ((2, 6, 5, 4), (4, 3, 1, 1), {"groups": 2}),
    ((2, 6, 5, 4), (4, 6, 1, 1), {"stride": 2}),
    ((2, 6, 5, 4), (4, 6, 1, 1), {"padding": 1}),
]
# Around tiles of 128 patches and 64, 128 or 256 filters, and steps of 64 or 32 channels; strides,
# remainders without taps and pixels that nobody reads, padding wider than the kernel, dilation.
PATCHES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 70, 9, 8), (66, 70, 3, 3), {"padding": 1}),
    ((3, 33, 7, 11), (130, 33, 3, 3), {"stride": 2, "padding": 1}),
    ((1, 130, 8, 8), (4, 130, 2, 2), {}),
    ((2, 9, 14, 19), (5, 9, 5, 4), {"stride": (2, 3), "padding": (2, 0)}),
    ((2, 20, 14, 9), (7, 20, 3, 2), {"dilation": (3, 2), "padding": 4}),
    ((2, 40, 12, 11), (36, 40, 1, 1), {"stride": 2}),
    ((2, 70, 6, 5), (130, 70, 2, 2), {}),
    ((1, 5, 3, 40), (3, 5, 3, 3), {"padding": 3}),
    ((4, 30, 8, 7), (40, 30, 2, 2), {"stride": 3}),
    ((3, 40, 1, 2), (33, 40, 1, 1), {"padding": (1, 3)}),
]
# Which the copy engine's fields do not hold: strides, offsets, corners, taps.
NOT_PATCHES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((1, 3, 20, 9), (40, 3, 2, 2), {"stride": (9, 1)}),
    ((1, 2, 3, 262), (3, 2, 1, 3), {"dilation": (1, 130)}),
    ((1, 2, 3, 140), (3, 2, 1, 2), {"padding": (0, 129), "dilation": (1, 2)}),
    ((1, 2, 13, 12), (3, 2, 12, 11), {}),
]


@pytest.fixture(params=itertools.product(ROUNDOFF, DEVICES), ids=" ".join)
def rounded(request: pytest.FixtureRequest) -> Iterator[tuple[Backend, float]]:
    """The device as one of sm_90a at each precision and schedule, and the unit roundoff."""
    precision, name = request.param
    device = _device()
    if emulated.ON_A_GPU:
        if not device.module.device_capability() // 10 == 9:
            pytest.skip("the GPU has not the instructions of sm_90a")
    else:
        device.module.set_schedule(name.removeprefix("cuda-"), seed=3)
        device.module.set_capability(90)
    device.module.set_product_precision(precision)
    device.module.set_packing("always")
    yield Backend(f"{name} {precision} packed", device), ROUNDOFF[precision]
    device.module.set_packing("where it pays")
    device.module.set_product_precision(cuda.product_precision)
    if not emulated.ON_A_GPU:
        device.module.set_capability(80)


def operands_packed(
    backend: Backend, call: Callable[..., object], arrays: tuple[np.ndarray, ...]
) -> int:
    """By a call. Bits do not tell: on a GPU those of both tensor-core products may be the same."""
    module = backend.ops.module  # type: ignore[union-attr]
    module.use_packed_again(True)
    try:
        call(backend, *arrays)
    finally:
        module.use_packed_again(False)
        count = module.forget_packed()
    return int(count)


@pytest.mark.parametrize("case", [*SHAPES, *TILES], ids=str)
def test_integers_are_exact(rounded: tuple[Backend, float], case: tuple[int, int, int]) -> None:
    """Small integers have few bits: nothing is rounded, in any of the four storage orders."""
    unpacked.test_integers_are_exact(rounded, case)


@pytest.mark.parametrize("case", WIDE, ids=str)
def test_wide_tiles_are_exact(rounded: tuple[Backend, float], case: tuple[int, int, int]) -> None:
    """Of 256 columns, where there are enough of them."""
    backend, _ = rounded
    arrays = stored(harness.integers, case, False, True)
    harness.check_exact(backend, gemm(False, True), arrays, what=f"gemm {case}")


@pytest.mark.parametrize("case", [*SHAPES, *TILES], ids=str)
def test_random_data_within_the_bound(
    rounded: tuple[Backend, float], case: tuple[int, int, int]
) -> None:
    """Each factor is off by one unit roundoff at most."""
    unpacked.test_random_data_within_the_bound(rounded, case)


def test_it_does_round(rounded: tuple[Backend, float]) -> None:
    """1 + 1.5 units becomes 1 + 2 units, and half a unit above 1 is a tie."""
    unpacked.test_it_does_round(rounded)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, 1e-40, -0.0])
def test_special_values(rounded: tuple[Backend, float], value: float) -> None:
    """NaN and infinity stay; a number keeps its size to rounding, also the smallest ones."""
    unpacked.test_special_values(rounded, value)


@pytest.mark.parametrize("case", [(130, 140, 70), (20, 10, 700)], ids=str)
def test_what_is_done_with_the_sums(
    rounded: tuple[Backend, float], case: tuple[int, int, int]
) -> None:
    """Scale, what is there already, bias and activation, with and without slices of K."""
    backend, _ = rounded
    a, b = stored(harness.integers, case, False, False)
    m, n, _ = case
    rng = harness.rng_of(case)
    bias, c = harness.integers(rng, (n,)), harness.integers(rng, (m, n))
    got = backend.gemm(a, b, alpha=2.0, beta=1.0, c=c, bias=bias, activation="relu")
    assert np.array_equal(got, np.maximum(2 * (a @ b) + c + bias, 0))


def test_nan_stays_in_its_row_and_column(rounded: tuple[Backend, float]) -> None:
    """What lies beyond a matrix is 0, whatever is in its last line."""
    backend, _ = rounded
    a, b = np.ones((129, 65), np.float32), np.ones((65, 130), np.float32)
    a[128, 64] = np.nan
    b[64, 129] = np.inf
    got = backend.gemm(a, b)
    assert np.isnan(got[128]).all()
    assert np.isinf(got[:128, 129]).all()
    assert np.array_equal(got[:128, :129], np.full((128, 129), 65, np.float32))


@pytest.mark.parametrize("case", [*CONVOLUTIONS, *POINTWISE, *PATCHES, *NOT_PATCHES], ids=str)
def test_convolutions(rounded: tuple[Backend, float], case: object) -> None:
    """Exact on integers and within the bound, whichever product takes them."""
    unpacked.test_convolutions(rounded, case)


def test_wide_tiles_of_patches_are_exact(rounded: tuple[Backend, float]) -> None:
    """Of 256 filters, where there are enough of them."""
    backend, _ = rounded
    case: Any = ((1, 3, 70, 130), (131, 3, 2, 2), {"padding": 1})
    call, arrays, _ = unpacked.passes(harness.integers, case)[0]
    harness.check_exact(backend, call, arrays, what=f"conv2d {case}")


def test_wide_tiles_of_filter_gradients_are_exact(rounded: tuple[Backend, float]) -> None:
    """Of 256 filters, for enough rows of 64 channels of a tap."""
    backend, _ = rounded
    case: Any = ((1, 960, 4, 4), (130, 960, 3, 3), {})
    call, arrays, _ = unpacked.passes(harness.integers, case)[2]
    harness.check_exact(backend, call, arrays, what=f"conv2d {case}")


@pytest.mark.parametrize("case", [*PATCHES, *NOT_PATCHES], ids=str)
def test_which_convolutions_are_packed(rounded: tuple[Backend, float], case: Any) -> None:
    """The forward pass and the gradient of the image, which is made of products without strides;
    that of the filters as bfloat16 alone.
    """
    backend, unit = rounded
    packed = [
        operands_packed(backend, call, arrays) > 0
        for call, arrays, _ in unpacked.passes(harness.integers, case)
    ]
    forward = case in PATCHES
    data = forward or "stride" in case[2]
    assert packed == [forward, data, forward and unit == ROUNDOFF["medium"]]


def test_small_products_are_not_packed(rounded: tuple[Backend, float]) -> None:
    """Only where it pays, or always, or never."""
    backend, _ = rounded
    module = backend.ops.module  # type: ignore[union-attr]
    for case, pays in [((300, 260, 300), True), ((300, 260, 200), False), ((200, 300, 300), False)]:
        arrays = stored(harness.integers, case, False, False)
        for packing, packs in (("always", True), ("where it pays", pays), ("never", False)):
            module.set_packing(packing)
            assert operands_packed(backend, gemm(False, False), arrays) == 2 * packs


@pytest.mark.skipif(emulated.ON_A_GPU, reason="a GPU is what it is")
def test_other_devices_never_pack() -> None:
    """Whatever was asked for."""
    module = _device().module
    module.set_product_precision("medium")
    module.set_packing("always")
    a, b = stored(harness.normals, (130, 140, 70), False, False)
    try:
        bits = []
        for capability in (80, 90):
            module.set_capability(capability)
            bits.append(np.asarray(_device().gemm(a, b)).tobytes())
        assert bits[0] != bits[1]
        with pytest.raises(ValueError, match="capability must be 80 or 90, got 70"):
            module.set_capability(70)
    finally:
        module.set_capability(80)
        module.set_packing("where it pays")
        module.set_product_precision(cuda.product_precision)


def test_unknown_packings_are_refused() -> None:
    """By name."""
    with pytest.raises(ValueError, match="packing must be 'where it pays', 'always' or 'never'"):
        _device().module.set_packing("sometimes")


@pytest.mark.parametrize("what", ["gemm", "conv2d_forward"])
def test_packed_operands_can_be_kept(rounded: tuple[Backend, float], what: str) -> None:
    """For measurements: then nobody looks whether a source has changed, until told to."""
    module = rounded[0].ops.module  # type: ignore[union-attr]
    shapes = {"gemm": [(20, 30), (30, 10)], "conv2d_forward": [(1, 5, 6, 7), (4, 5, 3, 3)]}[what]
    arrays = [module.to_device(np.ones(shape, np.float32)) for shape in shapes]

    def product() -> np.ndarray:
        return module.to_host(getattr(module, what)(*arrays))

    fresh = product()
    module.use_packed_again(True)
    try:
        assert np.array_equal(product(), fresh)
        module.copy_into(arrays[0], module.to_device(np.zeros(shapes[0], np.float32)))
        assert np.array_equal(product(), fresh)
        module.forget_packed()
        assert not product().any()
    finally:
        module.use_packed_again(False)
        module.forget_packed()
