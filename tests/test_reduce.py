"""sum, mean and max over all axes or some, in any layout, with NaN and ties."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import harness
from cases import REDUCE
from harness import Bad, bad_arrays

CASES = pytest.mark.parametrize(("shape", "dim"), REDUCE, ids=str)
KINDS = pytest.mark.parametrize("op", ["sum", "mean", "max"])


def call(op: str, dim: Any, keepdim: bool = False) -> Any:
    """The reduction as a function of a backend and x."""
    return lambda ops, x: getattr(ops, op)(x, dim, keepdim)


@CASES
@pytest.mark.parametrize("keepdim", [False, True])
def test_integers_are_exact(backend: Any, shape: Any, dim: Any, keepdim: bool) -> None:
    """Sums of integers, and maxima with many ties of which the first wins."""
    x = harness.integers(harness.rng_of("reduce", shape), shape)
    what = f"{shape} dim={dim} keepdim={keepdim}"
    harness.check_exact(backend, call("sum", dim, keepdim), (x,), what=f"sum {what}")
    if not isinstance(dim, tuple):
        harness.check_exact(backend, call("max", dim, keepdim), (x,), what=f"max {what}")


@CASES
def test_random_data_within_the_bound(backend: Any, shape: Any, dim: Any) -> None:
    """(2 sqrt(K) + 8) u S."""
    x = harness.normals(harness.rng_of("reduce", shape), shape)
    for op in ("sum", "mean"):
        result = harness.truth(call(op, dim), (x,))[0]
        terms = max(1, x.size // max(1, result.size))
        harness.check_linear(backend, call(op, dim), (x,), terms, what=f"{op} {shape} dim={dim}")


def test_a_long_sum_of_one_sign(backend: Any) -> None:
    """A million equal terms: a running float32 sum would lose the last ones."""
    x = np.full(1_000_000, 0.1, np.float32)
    harness.check_linear(backend, call("sum", None), (x,), 1000, what="sum of a constant")


def test_nothing_to_reduce(backend: Any) -> None:
    """The sum of nothing is 0, its mean nan; reducing the other axis keeps the empty one."""
    empty = np.zeros((0, 3), np.float32)
    for dim in (None, 0, 1, (0, 1)):
        harness.check_exact(backend, call("sum", dim), (empty,), what=f"sum empty {dim}")
        harness.check_exact(backend, call("mean", dim), (empty,), what=f"mean empty {dim}")
    harness.check_exact(backend, call("max", 1), (empty,), what="max empty")


@KINDS
def test_layouts(backend: Any, op: str) -> None:
    """Strides, alignment and byte order change no bit."""
    for shape, dim in (
        ((3, 19), None),
        ((3, 19), 0),
        ((3, 19), 1),
        ((2, 5, 3, 4), 1),
        ((2, 5, 3, 4), None),
    ):
        x = harness.normals(harness.rng_of("reduce", shape), shape)
        harness.check_layouts(backend, call(op, dim), (x,), what=f"{op} {shape} dim={dim}")


@KINDS
def test_thread_count_changes_no_bit(compiled: Any, op: str) -> None:
    """1, 2, 3 and 8 threads."""
    for shape, dim in (((300_007,), None), ((700, 500), 0), ((700, 500), 1), ((8, 16, 30, 30), 1)):
        x = harness.normals(harness.rng_of("reduce", shape), shape)
        harness.check_threads(compiled, call(op, dim), (x,), what=f"{op} {shape} dim={dim}")


@KINDS
def test_nan_and_infinity_propagate(backend: Any, op: str) -> None:
    """Each position reaches its own results; the first NaN is the maximum."""
    x = harness.normals(harness.rng_of("reduce nan"), (3, 18))
    for dim in (None, 0, 1):
        harness.check_nan_positions(backend, call(op, dim), (x,), what=f"{op} dim={dim}")
    x[1, [2, 5]] = np.nan
    x[2] = -np.inf
    if op == "max":
        harness.check_exact(backend, call(op, 1), (x,), what="max of nan and -inf")


X = np.ones((3, 4), np.float32)
REJECTED = [
    bad
    for op in ("sum", "mean", "max")
    for bad in (
        *bad_arrays(op, (X,), ("x",)),
        *[Bad(op, ValueError, ("dim",), (X, d)) for d in (2, -3, 2**70)],
        *[Bad(op, TypeError, ("dim",), (X, d)) for d in (1.0, "1", True)],
        Bad(op, MemoryError, (), (np.broadcast_to(np.float32(1), (2**20, 2**20)), 0)),
    )
] + [
    *[
        Bad(op, ValueError, ("dim",), (X, d))
        for op in ("sum", "mean")
        for d in ((0, 0), (0, -2), (0, 2))
    ],
    *[Bad(op, TypeError, ("dim",), (X, d)) for op in ("sum", "mean") for d in ((0, 1.0), {})],
    Bad("max", TypeError, ("dim",), (X, (0, 1))),
    Bad("max", ValueError, ("x", "(0, 4)"), (X[:0],)),
    Bad("max", ValueError, ("x", "(0, 4)"), (X[:0], 0)),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError, with the op and the argument in the message."""
    harness.check_rejected(backend, bad, bad.op)
