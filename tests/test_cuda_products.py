"""Products on tensor cores: TF32 and bfloat16 elements, sums in float32, on the emulated device."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import emulated
import harness
import neurona.reference as reference
from conftest import DEVICES, Backend, _device
from neurona.backends import cuda

# Unit roundoffs of the elements: 10 and 7 bits of mantissa behind the leading one.
ROUNDOFF = {"high": 2.0**-11, "medium": 2.0**-8}
# (M, N, K) around tiles of 16, 32 and 64, parts of 32 and 64, and the 3 to 5 of them that are under
# way at once.
SHAPES = [
    (1, 1, 1), (7, 5, 3), (64, 64, 16), (65, 63, 17), (63, 65, 31), (1, 67, 33), (61, 1, 95),
    (130, 70, 300), (300, 250, 33),
]  # fmt: skip
# Multiples of 4, which travel together.
FOURS = [(4, 4, 4), (64, 64, 32), (60, 68, 36), (68, 60, 96), (4, 132, 100), (128, 64, 164)]
FOURS += [(300, 252, 36), (16, 20, 400)]
# Products that are cut along K.
LONG = [(20, 10, 700), (20, 12, 700), (8, 8, 1028), (20, 35, 1100)]
# Enough tiles of 128 for every multiprocessor, to the left of a tile's end and beyond it.
MANY_TILES = [(1500, 1412, 36), (1540, 1412, 20)]
CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, int]]] = [
    ((2, 3, 9, 8), (5, 3, 3, 3), {"padding": 1}),
    ((3, 8, 7, 7), (6, 4, 3, 2), {"stride": 2, "groups": 2, "padding": 1}),
    ((1, 20, 6, 5), (70, 20, 1, 1), {}),
    # Channels that travel in fours.
    ((2, 8, 9, 7), (16, 4, 3, 2), {"stride": 2, "groups": 2, "padding": 1}),
    ((2, 12, 11, 5), (68, 12, 3, 3), {"padding": 2, "dilation": 2}),
    # Pixels do, taps do not, and the other way round.
    ((1, 4, 5, 7), (6, 4, 3, 3), {"padding": 1}),
    ((1, 6, 5, 7), (8, 6, 2, 3), {"stride": 3, "padding": 1}),
]
# Enough tiles of 128 for every multiprocessor: of a forward pass, the gradient of an image, and
# that of the weights.
LARGE_CONVOLUTIONS = [
    ((1, 4, 130, 130), (68, 4, 1, 1), {}),
    ((1, 68, 130, 130), (4, 68, 1, 1), {}),
    ((1, 1880, 3, 3), (68, 1880, 3, 3), {"padding": 1}),
]


@pytest.fixture(params=itertools.product(ROUNDOFF, DEVICES), ids=" ".join)
def rounded(request: pytest.FixtureRequest) -> Iterator[tuple[Backend, float]]:
    """The device at each precision and schedule, with the unit roundoff of an element."""
    precision, name = request.param
    device = _device()
    if not emulated.ON_A_GPU:
        device.module.set_schedule(name.removeprefix("cuda-"), seed=2)
    device.module.set_product_precision(precision)
    yield Backend(f"{name} {precision}", device), ROUNDOFF[precision]
    device.module.set_product_precision(cuda.product_precision)


ORDERS = list(itertools.product((False, True), repeat=2))


def gemm(trans_a: bool, trans_b: bool) -> Any:
    """The product of stored operands."""
    return lambda ops, a, b: ops.gemm(a, b, trans_a=trans_a, trans_b=trans_b)


def stored(make: Any, case: tuple[int, int, int], trans_a: bool, trans_b: bool) -> Any:
    """Its operands."""
    m, n, k = case
    rng = harness.rng_of(case, trans_a, trans_b)
    return make(rng, (k, m) if trans_a else (m, k)), make(rng, (n, k) if trans_b else (k, n))


def share(backend: Backend, cases: list[Any]) -> list[Any]:
    """Every case for one schedule each, of what is too large for all."""
    turn = next(i for i, name in enumerate(DEVICES) if str(backend).startswith(name))
    return cases[turn :: len(DEVICES)]


def check_rounded(backend: Any, call: Any, arrays: Any, terms: int, unit: float, what: str) -> None:
    """Two rounded factors in each product, and sums in float32."""
    sizes = harness.magnitude(call, arrays)
    bounds = [2.01 * unit * size + harness.random_bound(terms, size) for size in sizes]
    harness.check_within(backend, call, arrays, bounds, what=what)


@pytest.mark.parametrize("case", [*SHAPES, *FOURS, *LONG], ids=str)
def test_integers_are_exact(rounded: tuple[Backend, float], case: tuple[int, int, int]) -> None:
    """Small integers have few bits: nothing is rounded, in any of the four storage orders."""
    backend, _ = rounded
    for order in ORDERS:
        arrays = stored(harness.integers, case, *order)
        harness.check_exact(backend, gemm(*order), arrays, what=f"gemm {case} {order}")


def test_large_tiles(rounded: tuple[Backend, float]) -> None:
    """The same of products with many tiles."""
    backend, _ = rounded
    for i, order in share(backend, list(enumerate(ORDERS))):
        case = MANY_TILES[i % 2]
        arrays = stored(harness.integers, case, *order)
        harness.check_exact(backend, gemm(*order), arrays, what=f"gemm {case} {order}")


@pytest.mark.parametrize("offset", range(4))
def test_operands_that_begin_anywhere(rounded: tuple[Backend, float], offset: int) -> None:
    """Rows of multiples of 4 elements that do not all begin at a multiple of 16 bytes."""
    backend, _ = rounded
    for order in ORDERS:
        arrays = [
            np.concatenate([np.zeros(offset, np.float32), array.ravel()])[offset:].reshape(
                array.shape
            )
            for array in stored(harness.integers, (12, 20, 40), *order)
        ]
        for chosen in ([True, False], [False, True], [True, True]):
            some = [
                array if moved else array.copy()
                for array, moved in zip(arrays, chosen, strict=True)
            ]
            harness.check_exact(backend, gemm(*order), some, what=f"gemm {order} {chosen}")


def test_nothing_along_k(rounded: tuple[Backend, float]) -> None:
    """Sums of nothing are 0."""
    backend, _ = rounded
    for order in ORDERS:
        arrays = stored(harness.integers, (5, 8, 0), *order)
        harness.check_exact(backend, gemm(*order), arrays, what=f"gemm {order}")


@pytest.mark.parametrize("case", [*SHAPES, *FOURS, *LONG], ids=str)
def test_random_data_within_the_bound(
    rounded: tuple[Backend, float], case: tuple[int, int, int]
) -> None:
    """Each factor is off by one unit roundoff at most."""
    backend, unit = rounded
    for order in ORDERS:
        arrays = stored(harness.normals, case, *order)
        check_rounded(backend, gemm(*order), arrays, case[2], unit, f"gemm {case} {order}")


def test_it_does_round(rounded: tuple[Backend, float]) -> None:
    """1 + 1.5 units becomes 1 + 2 units, and half a unit above 1 is a tie."""
    backend, unit = rounded
    a = np.array([[1 + 3 * unit]], np.float32)
    one = np.ones((1, 1), np.float32)
    assert backend.gemm(a, one)[0, 0] == np.float32(1 + 4 * unit)
    tie = backend.gemm(np.array([[1 + unit]], np.float32), one)[0, 0]
    assert tie == (1 + 2 * unit if unit == ROUNDOFF["high"] else 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, 1e-40, -0.0])
def test_special_values(rounded: tuple[Backend, float], value: float) -> None:
    """NaN and infinity stay; a number keeps its size to rounding, also the smallest ones."""
    backend, unit = rounded
    got = backend.gemm(np.array([[value]], np.float32), np.ones((1, 1), np.float32))[0, 0]
    if np.isfinite(value):
        assert abs(got - np.float32(value)) <= max(unit * abs(value), 2.0**-126 * unit)
    else:
        assert np.array_equal(got, np.float32(value), equal_nan=True)


def passes(make: Any, case: Any) -> list[tuple[Any, tuple[np.ndarray, np.ndarray], int]]:
    """The three passes of a convolution: what to call, with what, and the terms of a sum."""
    x_shape, w_shape, options = case
    rng = harness.rng_of(case)
    x, weight = make(rng, x_shape), make(rng, w_shape)
    dy = make(rng, reference.conv2d_forward(x, weight, **options).shape)
    return [
        (lambda o, x, w: o.conv2d_forward(x, w, **options), (x, weight), weight[0].size),
        (
            lambda o, d, w: o.conv2d_backward_data(d, w, x_shape[2:], **options),
            (dy, weight),
            weight.size // weight.shape[1],
        ),
        (
            lambda o, d, x: o.conv2d_backward_weight(d, x, w_shape[2:], with_bias=False, **options),
            (dy, x),
            dy.size // dy.shape[1],
        ),
    ]


def test_large_convolutions(rounded: tuple[Backend, float]) -> None:
    """Each pass of which there are many tiles."""
    backend, _ = rounded
    for i, case in share(backend, list(enumerate(LARGE_CONVOLUTIONS))):
        call, arrays, _ = passes(harness.integers, case)[i]
        harness.check_exact(backend, call, arrays, what=f"{backend} {case}")


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolutions(rounded: tuple[Backend, float], case: Any) -> None:
    """The three passes: exact on integers, within the bound on random data."""
    backend, unit = rounded
    for make in (harness.integers, harness.normals):
        for call, arrays, terms in passes(make, case):
            if make is harness.integers:
                harness.check_exact(backend, call, arrays, what=f"{backend} {case}")
            else:
                check_rounded(backend, call, arrays, terms, unit, f"{backend} {case}")
