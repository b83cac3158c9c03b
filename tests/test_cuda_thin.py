"""float32 products of a few rows or columns and a large matrix, by each of their kernels."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import emulated
import harness
from compare import assert_exact
from conftest import DEVICES, Backend
from neurona.backends import cuda

ORDERS = list(itertools.product((False, True), repeat=2))
# (rows, lines, depth): every number of rows that threads have sums of, and some between. Lines and
# depths are multiples of 4 or not, of 128 or not; slices end within a step, and warps have pieces
# of unlike lengths or none.
SHAPES = [
    (1, 1056, 512), (2, 256, 2112), (3, 1060, 516), (4, 260, 2084), (5, 1024, 532), (8, 1032, 528),
    (9, 300, 1804), (16, 2112, 256), (16, 260, 2180),
    (1, 1051, 519), (2, 257, 2111), (4, 1059, 515), (7, 259, 2101), (13, 1055, 517),
    (16, 2111, 257),
]  # fmt: skip
# Of depths and lines one is a multiple of 4: loads of 16 bytes in one storage order alone.
SHAPES += [(3, 1057, 516), (6, 1056, 515)]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[Backend]:
    ops = emulated.DeviceOps(emulated.device_with(request.param, seed=4))
    ops.module.set_product_precision("highest")
    yield Backend(request.param, ops)
    ops.module.set_product_precision(cuda.product_precision)


def gemm(trans_a: bool, trans_b: bool, **options: Any) -> Any:
    return lambda o, a, b: o.gemm(a, b, trans_a=trans_a, trans_b=trans_b, **options)


def operands(m: int, n: int, k: int, trans_a: bool, trans_b: bool) -> tuple[np.ndarray, np.ndarray]:
    """Small integers, as they are stored."""
    rng = harness.rng_of("thin", m, n, k, trans_a, trans_b)
    a = harness.integers(rng, (k, m) if trans_a else (m, k))
    return a, harness.integers(rng, (n, k) if trans_b else (k, n))


def both_ways(case: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """(M, N, K) with the few lines as rows of the result, and as its columns."""
    rows, lines, depth = case
    return [(rows, lines, depth), (lines, rows, depth)]


@pytest.mark.parametrize("case", SHAPES, ids=str)
def test_integers_are_exact(device: Backend, case: tuple[int, int, int]) -> None:
    """In the four storage orders of both products."""
    for (m, n, k), order in itertools.product(both_ways(case), ORDERS):
        arrays = operands(m, n, k, *order)
        harness.check_exact(device, gemm(*order), arrays, what=f"gemm {m, n, k} {order}")


@pytest.mark.parametrize("case", [(1, 1056, 512), (7, 1055, 517), (16, 260, 2180)], ids=str)
def test_epilogues(device: Backend, case: tuple[int, int, int]) -> None:
    """What is added and how it ends, where runs of 4 are stored together and where they are not."""
    for (m, n, k), order in itertools.product(both_ways(case), ORDERS[1:3]):
        rng = harness.rng_of("thin epilogue", m, n, k)
        c, bias = harness.integers(rng, (m, n)), harness.integers(rng, (n,))
        arrays = (*operands(m, n, k, *order), c, bias)

        def call(
            o: Any, a: Any, b: Any, c: Any, bias: Any, order: tuple[bool, bool] = order
        ) -> Any:
            options = {"alpha": 2.0, "beta": -1.0, "c": c, "bias": bias, "activation": "relu"}
            return gemm(*order, **options)(o, a, b)

        harness.check_exact(device, call, arrays, what=f"gemm {m, n, k} {order}")


@pytest.mark.parametrize("offset", [1, 2, 4])
def test_operands_that_begin_anywhere(device: Backend, offset: int) -> None:
    """Rows of multiples of 4 elements, of one operand, the other or both, elsewhere."""
    for (m, n, k), order in itertools.product(both_ways((5, 1056, 516)), ORDERS):
        arrays = operands(m, n, k, *order)
        moved = [
            np.concatenate([np.full(offset, np.nan, np.float32), array.ravel()])[offset:].reshape(
                array.shape
            )
            for array in arrays
        ]
        for some in (moved, [moved[0], arrays[1]], [arrays[0], moved[1]]):
            harness.check_exact(device, gemm(*order), some, what=f"gemm {m, n, k} {order}")


def test_neighbours_do_not_leak(device: Backend) -> None:
    """Matrices within larger ones that are NaN: nothing beside them is multiplied, not by 0."""
    for case in [(3, 1060, 516), (6, 1055, 517)]:
        for (m, n, k), order in itertools.product(both_ways(case), ORDERS):
            within = []
            for array in operands(m, n, k, *order):
                large = np.full((array.shape[0] + 3, array.shape[1] + 8), np.nan, np.float32)
                large[:-3, :-8] = array
                within.append(large[:-3, :-8])
            harness.check_exact(device, gemm(*order), within, what=f"gemm {m, n, k} {order}")


def test_infinities_stay_in_their_sums(device: Backend) -> None:
    """An infinite element times the zeros that stand for rows which are not there is no result."""
    for (m, n, k), order in itertools.product(both_ways((3, 1056, 516)), ORDERS):
        a, b = (np.abs(array) + 1 for array in operands(m, n, k, *order))
        large = b if n > m else a
        large[7, 9] = np.inf
        expected = np.dot(a.T if order[0] else a, b.T if order[1] else b)
        got = gemm(*order)(device, a, b)
        assert np.isinf(expected).sum() == 3
        assert_exact(got, expected, what=f"gemm {m, n, k} {order}")


@pytest.mark.parametrize("case", [(2, 1063, 600), (16, 260, 2200)], ids=str)
def test_linear_layers(device: Backend, case: tuple[int, int, int]) -> None:
    """The passes of a large layer of a few samples, and of one with a few outputs."""
    rng = harness.rng_of("thin linear", case)
    for n, out, features in (case, (case[1], case[0], case[2])):
        x, weight = (harness.integers(rng, shape) for shape in ((n, features), (out, features)))
        bias, dy = harness.integers(rng, (out,)), harness.integers(rng, (n, out))
        what = f"linear {n, out, features}"
        forward = lambda o, *a: o.linear_forward(*a)  # noqa: E731
        harness.check_exact(device, forward, (x, weight, bias), what=what)
        data = lambda o, *a: o.linear_backward_data(*a)  # noqa: E731
        harness.check_exact(device, data, (dy, weight), what=what)
        rectified = lambda o, *a: o.linear_backward(*a, rectified=True)  # noqa: E731
        harness.check_exact(device, rectified, (dy, x, weight), what=what)


@pytest.mark.parametrize("case", [(1, 1056, 512), (16, 300, 1900)], ids=str)
def test_random_data_within_the_bound(device: Backend, case: tuple[int, int, int]) -> None:
    """(2 sqrt(K) + 8) u S."""
    rng = harness.rng_of("thin random", case)
    m, n, k = case
    arrays = (harness.normals(rng, (m, k)), harness.normals(rng, (n, k)))
    harness.check_linear(device, gemm(False, True), arrays, k, what=f"gemm {case}")
