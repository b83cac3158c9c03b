"""Products that are cut along k: whichever block of a tile comes last adds the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import emulated
import harness
from compare import assert_same_bits
from neurona.backends import cuda

SCHEDULES = ["forward", "reverse", "shuffled", "shuffled", "shuffled"]

# Fewer tiles than a GPU has multiprocessors: one, several, with edges, with pairs and fours of
# columns that one instruction stores, and without.
CASES: dict[str, tuple[Callable[..., Any], tuple[int, ...], tuple[int, ...]]] = {
    "one_tile": (lambda o, a, b: o.gemm(a, b), (7, 5000), (5000, 12)),
    "odd": (lambda o, a, b: o.gemm(a, b, trans_a=True), (1999, 67), (1999, 35)),
    "linear": (lambda o, x, w: o.linear_forward(x, w), (128, 1200), (256, 1200)),
    "narrow": (lambda o, x, w: o.linear_forward(x, w), (128, 2000), (10, 2000)),
    "few rows": (lambda o, x, w: o.linear_forward(x, w), (3, 2100), (261, 2100)),
    "few columns": (lambda o, x, dy: o.gemm(x, dy, trans_a=True), (2100, 260), (2100, 9)),
    "weights": (
        lambda o, x, dy: o.conv2d_backward_weight(dy, x, 5, padding=2)[0],
        (2, 3, 33, 31),
        (2, 6, 33, 31),
    ),
}


@pytest.fixture(params=["highest", "high", "medium"])
def device(request: pytest.FixtureRequest) -> Iterator[emulated.DeviceOps]:
    module = emulated.device_module()
    module.set_product_precision(request.param)
    yield emulated.DeviceOps(module)
    module.set_product_precision(cuda.product_precision)


@pytest.mark.parametrize("name", CASES)
def test_slices_are_added_in_their_order(device: Any, name: str) -> None:
    """Blocks take turns in other orders, and each launch finds its counters at zero."""
    call, *shapes = CASES[name]
    rng = harness.rng_of("slices", name)
    arrays = [harness.normals(rng, shape) for shape in shapes]
    results = []
    for seed, schedule in enumerate(SCHEDULES):
        if not emulated.ON_A_GPU:
            device.module.set_schedule(schedule, seed=seed)
        results.append(np.array(call(device, *arrays)))
    assert np.isfinite(results[0]).all()  # also where a counter had been left behind
    for other in results[1:]:
        assert_same_bits(other, results[0], what=name)
