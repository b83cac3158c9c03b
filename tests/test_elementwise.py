"""add, sub, mul, div: IEEE results, exactly, with NumPy's broadcasting and with Python numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import harness
from cases import BROADCAST
from compare import assert_exact
from harness import Bad, bad_arrays

OPS = pytest.mark.parametrize("op", ["add", "sub", "mul", "div"])
UFUNCS = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}


def expected(op: str, a: Any, b: Any) -> np.ndarray:
    """NumPy's own float32 result: one correctly rounded operation."""
    with np.errstate(all="ignore"):
        return np.asarray(UFUNCS[op](a, b), dtype=np.float32)


def operands(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Normal numbers of these shapes."""
    rng = harness.rng_of("elementwise", shapes)
    return [harness.normals(rng, shape) for shape in shapes]


@OPS
@pytest.mark.parametrize("shapes", BROADCAST, ids=str)
def test_arrays(backend: Any, op: str, shapes: Any) -> None:
    """Equal shapes, broadcast shapes and empty ones, in both orders."""
    a, b = operands(*shapes)
    for left, right in ((a, b), (b, a)):
        got = getattr(backend, op)(left, right)
        assert got.dtype == np.float32
        assert_exact(got, expected(op, left, right), what=f"{op} {shapes} on {backend}")


@OPS
def test_python_numbers(backend: Any, op: str) -> None:
    """A number takes the dtype of the array, on either side."""
    (a,) = operands((3, 19))
    for number in (2.5, 0.1, -3, 0, 1e300, float("inf"), float("nan")):
        what = f"{op} {number} on {backend}"
        with np.errstate(all="ignore"):
            single = np.float32(number)
        assert_exact(getattr(backend, op)(a, number), expected(op, a, single), what=what)
        assert_exact(getattr(backend, op)(number, a), expected(op, single, a), what=what)


@OPS
def test_special_values(backend: Any, op: str) -> None:
    """All pairs of NaN, infinities, zeros, denormals and huge numbers, and the signs of zeros."""
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-42, 3e38, -3e38, 1.0], np.float32)
    got, wanted = (
        getattr(backend, op)(values[:, None], values),
        expected(op, values[:, None], values),
    )
    assert_exact(got, wanted, what=f"{op} special on {backend}")
    number = ~np.isnan(wanted)
    assert (np.signbit(got) == np.signbit(wanted))[number].all(), f"{op} signs on {backend}"


@OPS
def test_layouts(backend: Any, op: str) -> None:
    """Strides, alignment and byte order change no bit."""
    for shapes in (((3, 19), (3, 19)), ((2, 5, 3, 4), (2, 5, 3, 4)), ((2, 5, 3, 4), (5, 1, 1))):
        call = lambda o, a, b: getattr(o, op)(a, b)  # noqa: E731
        harness.check_layouts(backend, call, operands(*shapes), what=f"{op} {shapes}")


@OPS
def test_aliased_inputs(backend: Any, op: str) -> None:
    """a and b may be one array, or overlap."""
    (a,) = operands((2, 41))
    harness.check_aliased(backend, lambda o, x, y: getattr(o, op)(x, y), a, 2, what=op)
    got = getattr(backend, op)(a[:, :-1], a[:, 1:])
    assert_exact(got, expected(op, a[:, :-1], a[:, 1:]), what=f"{op} overlap on {backend}")


@OPS
def test_views_begin_anywhere(backend: Any, op: str) -> None:
    """Dense views one element into their memory: aligned to a float, and to no more."""
    a, b = operands((1003,), (1003,))
    for left, right in ((a[1:], b[1:]), (a[1:], b[:-1]), (a[3:], b[3:])):
        got = getattr(backend, op)(left, right)
        assert_exact(got, expected(op, left, right), what=f"{op} views on {backend}")
    got = getattr(backend, op)(a[1:], 2.5)
    assert_exact(got, expected(op, a[1:], np.float32(2.5)), what=f"{op} view on {backend}")


@OPS
def test_thread_count_changes_no_bit(compiled: Any, op: str) -> None:
    """1, 2, 3 and 8 threads cut the array at other places."""
    for shapes in (((300_007,), (300_007,)), ((8, 16, 40, 40), (16, 1, 1))):
        arrays = operands(*shapes)
        harness.check_threads(compiled, lambda o, x, y: getattr(o, op)(x, y), arrays, what=op)


X = np.ones((3, 4), np.float32)
HUGE = np.broadcast_to(np.float32(1), (2**20, 2**20))
REJECTED = [
    bad
    for op in UFUNCS
    for bad in (
        *[
            b
            for b in bad_arrays(op, (X, X), ("a", "b"))
            if 1.5 not in [v for v in b.args if isinstance(v, float)]
        ],
        Bad(op, ValueError, ("(3, 4)", "(3,)"), (X, X[:, 0])),
        Bad(op, ValueError, ("(3, 4)", "(2, 4)"), (X, X[:2])),
        Bad(op, TypeError, (), (1.0, 2.0)),
        Bad(op, TypeError, ("b",), (X, True)),
        Bad(op, MemoryError, (), (HUGE, X[0, 0:1])),
    )
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError, with the op and the argument in the message."""
    harness.check_rejected(backend, bad, bad.op)
