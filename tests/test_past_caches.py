"""Arrays that outgrow the caches are stored past them: the same bits as in pieces that do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import harness
from compare import assert_exact
from neurona._core import cpu_info

L3 = cpu_info()["l3"]
# Just too large for the L3 with two arrays of it; odd, so that pieces begin within a vector.
COUNT = L3 // 8 + 1001
PIECE = 4099

pytestmark = pytest.mark.skipif(
    L3 > 256 << 20, reason=f"arrays that outgrow an L3 of {L3 >> 20} MiB take gigabytes"
)


def in_pieces(function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """Each piece fits into a cache."""
    cuts = range(0, arrays[0].size, PIECE)
    return np.concatenate([function(*(a[i : i + PIECE] for a in arrays)) for i in cuts])


@pytest.mark.parametrize("op", ["relu", "gelu"])
def test_activations(compiled: Any, op: str) -> None:
    x, dy = (harness.normals(harness.rng_of(op, side), (COUNT,)) for side in "xy")
    forward = getattr(compiled, f"{op}_forward")
    backward = getattr(compiled, f"{op}_backward")
    assert_exact(forward(x), in_pieces(forward, x), what=f"{op} forward on {compiled}")
    assert_exact(backward(dy, x), in_pieces(backward, dy, x), what=f"{op} backward on {compiled}")


def test_sums_and_products(compiled: Any) -> None:
    a, b = (harness.normals(harness.rng_of("past caches", side), (COUNT,)) for side in "ab")
    assert_exact(compiled.add(a, b), a + b, what=f"add on {compiled}")
    assert_exact(compiled.mul(a, 3.0), a * np.float32(3), what=f"mul on {compiled}")


@pytest.mark.parametrize("channels", [64, 21, 70])
def test_batch_norm(compiled: Any, channels: int) -> None:
    """Whole vectors per row, or not: the latter are stored as always."""
    rng = harness.rng_of("past caches", channels)
    rows = COUNT // channels + 3
    x, dy = (harness.normals(rng, (rows, channels)) for _ in range(2))
    mean, var, weight, bias = (abs(harness.normals(rng, (channels,))) + 0.1 for _ in range(4))

    def forward(part: np.ndarray) -> np.ndarray:
        y: np.ndarray = compiled.batch_norm_forward(part, weight, bias, mean, var, training=False)[
            0
        ]
        return y

    y = forward(x)
    for i in range(0, rows, rows // 7):
        assert_exact(y[i : i + 9], forward(x[i : i + 9]), what=f"forward on {compiled}")
    invstd = (1 / np.sqrt(var)).astype(np.float32)
    dx, dw, db = compiled.batch_norm_backward(dy, x, weight, mean, invstd, training=True)
    centred = (x - mean.astype(np.float64)) * invstd
    wanted = weight * invstd * (dy - db / rows - centred * dw / rows)
    bound = 1e-6 * weight * invstd * (abs(dy) + (abs(db) + abs(centred * dw)) / rows + 1e-3)
    assert (abs(dx - wanted) <= 8 * bound).all()
