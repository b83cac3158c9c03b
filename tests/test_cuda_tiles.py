"""float32 products by each kind of tile: one tile of it for every multiprocessor of a GPU."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

import emulated
import harness
from conftest import DEVICES, Backend
from neurona.backends import cuda

ORDERS = list(itertools.product((False, True), repeat=2))
# (M, N, K): tiles of 64 x 64, 128 x 64, 128 x 128 and 128 x 256 in fours, then single elements. K
# is two or three parts more than are under way at once, so that their places are taken again.
SHAPES = [
    (764, 700, 132), (8440, 124, 84), (1500, 1404, 68), (1500, 2804, 68),
    (763, 701, 131), (8440, 123, 81), (1499, 1403, 65),
]  # fmt: skip
# Short depths: each number of them that threads hold, all and not all of them; runs of 4 columns
# that are stored together, and others; tiles of 128 that end within the result and at its end.
SHORT = [
    (1500, 1404, 16), (1500, 1404, 1), (16900, 128, 4), (129, 8448, 8),
    (1499, 1403, 15), (1501, 1405, 5), (131, 8450, 3), (17000, 17, 10),
]  # fmt: skip
CONVOLUTIONS: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, int]]] = [
    ((1, 8, 70, 66), (68, 8, 3, 3), {"padding": 1}),
    ((1, 4, 130, 130), (68, 4, 3, 3), {"stride": 2, "padding": 2}),
    ((1, 3, 130, 131), (10, 3, 3, 2), {"padding": 1}),
    ((1, 1880, 3, 3), (68, 1880, 3, 3), {"padding": 1}),
]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Iterator[Backend]:
    ops = emulated.DeviceOps(emulated.device_with(request.param, seed=3))
    ops.module.set_product_precision("highest")
    yield Backend(request.param, ops)
    ops.module.set_product_precision(cuda.product_precision)


def share(backend: Backend, cases: list[Any]) -> list[Any]:
    """Every case for one schedule each: they are large."""
    turn = DEVICES.index(str(backend))
    return cases[turn :: len(DEVICES)]


@pytest.mark.parametrize("case", SHAPES + SHORT, ids=str)
def test_products_of_many_tiles(device: Backend, case: tuple[int, int, int]) -> None:
    """Exact on integers, in the four storage orders."""
    m, n, k = case
    for trans_a, trans_b in share(device, ORDERS):
        rng = harness.rng_of(case, trans_a, trans_b)
        a = harness.integers(rng, (k, m) if trans_a else (m, k))
        b = harness.integers(rng, (n, k) if trans_b else (k, n))
        what = f"gemm {case} {trans_a, trans_b}"
        harness.check_exact(
            device,
            lambda o, a, b, ta=trans_a, tb=trans_b: o.gemm(a, b, trans_a=ta, trans_b=tb),
            (a, b),
            what=what,
        )


@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu"])
def test_epilogues_of_short_depths(device: Backend, activation: str | None) -> None:
    """Bias and activation, and what is added to; in whole runs and single elements."""
    for case, order in share(device, list(itertools.product(SHORT[3:5], ORDERS[:3]))):
        m, n, k = case
        rng = harness.rng_of("short", case)
        a = harness.integers(rng, (k, m) if order[0] else (m, k))
        b = harness.integers(rng, (n, k) if order[1] else (k, n))
        c, bias = harness.integers(rng, (m, n)), harness.integers(rng, (n,))

        def call(
            o: Any, a: Any, b: Any, c: Any, bias: Any, order: tuple[bool, bool] = order
        ) -> Any:
            added = {} if activation else {"alpha": 2.0, "beta": -1.0, "c": c}
            options = {"trans_a": order[0], "trans_b": order[1], "activation": activation}
            return o.gemm(a, b, bias=bias, **options, **added)

        what = f"gemm {case} {order}"
        if activation == "leaky_relu":  # whose slope is no power of two
            harness.check_linear(device, call, (a, b, c, bias), k + 2, what=what)
        else:
            harness.check_exact(device, call, (a, b, c, bias), what=what)


def test_gradients_of_a_large_layer(device: Backend) -> None:
    """Of few samples: that of the weight is as large as the weight."""
    for n in share(device, [3, 9, 16]):
        rng = harness.rng_of("large layer", n)
        x, weight = harness.integers(rng, (n, 1500)), harness.integers(rng, (1412, 1500))
        dy = harness.integers(rng, (n, 1412))
        call = lambda o, *a: o.linear_backward(*a, rectified=True)  # noqa: E731
        harness.check_exact(device, call, (dy, x, weight), what=f"linear_backward {n}")


@pytest.mark.parametrize("case", CONVOLUTIONS, ids=str)
def test_convolutions_of_many_tiles(device: Backend, case: Any) -> None:
    """The three passes, each by one schedule."""
    x_shape, w_shape, settings = case
    rng = harness.rng_of("tiles", case)
    x, weight = harness.integers(rng, x_shape), harness.integers(rng, w_shape)
    padding, stride = settings.get("padding", 0), settings.get("stride", 1)
    height, width = ((x_shape[i] + 2 * padding - w_shape[i]) // stride + 1 for i in (2, 3))
    dy = harness.integers(rng, (x_shape[0], w_shape[0], height, width))
    passes = [
        (lambda o, x, w, dy: o.conv2d_forward(x, w, **settings)),
        (lambda o, x, w, dy: o.conv2d_backward_data(dy, w, x_shape[2:], **settings)),
        (lambda o, x, w, dy: o.conv2d_backward_weight(dy, x, w_shape[2:], **settings)[0]),
    ]
    for call in share(device, passes):
        harness.check_exact(device, call, (x, weight, dy), what=f"conv2d {case}")
