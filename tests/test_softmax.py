"""Softmax and log-softmax along any axis, with their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import harness
import neurona.reference as reference
from cases import SOFTMAX
from compare import assert_close
from harness import SMALLEST_NORMAL, Bad, U, bad_arrays

CASES = pytest.mark.parametrize(("shape", "dim"), SOFTMAX, ids=str)
KINDS = pytest.mark.parametrize("kind", ["softmax", "log_softmax"])


def forward(kind: str, dim: int) -> Any:
    """The forward pass as a function of a backend and x."""
    return lambda ops, x: getattr(ops, f"{kind}_forward")(x, dim)


def backward(kind: str, dim: int) -> Any:
    """The backward pass as a function of a backend, dy and y."""
    return lambda ops, dy, y: getattr(ops, f"{kind}_backward")(dy, y, dim)


def operands(shape: tuple[int, ...], scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """x and dy."""
    rng = harness.rng_of("softmax", shape, scale)
    return harness.normals(rng, shape) * np.float32(scale), harness.normals(rng, shape)


@CASES
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_softmax(backend: Any, shape: tuple[int, ...], dim: int, scale: float) -> None:
    """u (max(x) - x_i + 2 sqrt(n) + 8) y, and rows that add up to 1."""
    x, _ = operands(shape, scale)
    n = shape[dim]
    y = reference.softmax_forward(x.astype(np.float64), dim)
    depth = x.max(axis=dim, keepdims=True) - x if x.size else x
    bound = U * (depth + 2 * np.sqrt(n) + 8) * y + n * SMALLEST_NORMAL
    what = f"softmax_forward {shape} dim={dim} scale={scale}"
    harness.check_within(backend, forward("softmax", dim), (x,), [bound], what=what)
    total = backend.softmax_forward(x, dim).sum(axis=dim, dtype=np.float64, keepdims=True)
    assert_close(total, np.ones_like(total), (2 * np.sqrt(n) + 8) * U, what=f"softmax_sum {what}")


@CASES
@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_log_softmax(backend: Any, shape: tuple[int, ...], dim: int, scale: float) -> None:
    """u (4 max(1, |y|) + 2 sqrt(n) + 4)."""
    x, _ = operands(shape, scale)
    y = reference.log_softmax_forward(x.astype(np.float64), dim)
    bound = U * (4 * np.maximum(1, np.abs(y)) + 2 * np.sqrt(shape[dim]) + 4)
    what = f"log_softmax_forward {shape} dim={dim} scale={scale}"
    harness.check_within(backend, forward("log_softmax", dim), (x,), [bound], what=what)


@CASES
@KINDS
def test_backward(backend: Any, shape: tuple[int, ...], dim: int, kind: str) -> None:
    """(2 sqrt(n) + 12) u S with S the same formula on absolute values."""
    x, dy = operands(shape)
    y = forward(kind, dim)(reference, x)
    wide_y, size = y.astype(np.float64), np.abs(dy).astype(np.float64)
    if kind == "softmax":
        size = wide_y * (size + (size * wide_y).sum(axis=dim, keepdims=True))
    else:
        size = size + np.exp(wide_y) * (1 + np.abs(wide_y)) * size.sum(axis=dim, keepdims=True)
    bound = (2 * np.sqrt(shape[dim]) + 12) * U * size
    what = f"{kind}_backward {shape} dim={dim}"
    harness.check_within(backend, backward(kind, dim), (dy, y), [bound], what=what)


@KINDS
def test_large_logits_do_not_overflow(backend: Any, kind: str) -> None:
    """The maximum is subtracted first: only differences count."""
    x = np.array([[1e4, 1e4 - 1, -1e4, 1e4], [-3e38, -3e38, 3e38, 0]], np.float32)
    expected = forward(kind, 1)(reference, x.astype(np.float64))
    bound = 8 * U * (1 + np.abs(expected))
    got = forward(kind, 1)(backend, x)
    finite = np.abs(expected) < 3e38
    assert_close(got[finite], expected[finite], bound[finite], what=f"{kind} on {backend}")


@KINDS
def test_special_rows(backend: Any, kind: str) -> None:
    """A row of -inf, +inf or NaN gives NaN; -inf beside a number gives probability 0."""
    inf, nan = np.inf, np.nan
    x = np.array([[-inf] * 3, [inf, 0, 1], [nan, 0, 1], [-inf, 0, 1], [0, -inf, -inf]], np.float32)
    expected = forward(kind, 1)(reference, x.astype(np.float64))
    got = forward(kind, 1)(backend, x)
    assert_close(got, expected, 8 * U, what=f"{kind} special on {backend}")
    got = forward(kind, 0)(backend, np.ascontiguousarray(x.T))
    assert_close(got, expected.T, 8 * U, what=f"{kind} special on {backend}")


@KINDS
def test_layouts(backend: Any, kind: str) -> None:
    """Strides, alignment and byte order change no bit."""
    for shape, dim in (
        ((5, 17), 1),
        ((5, 17), 0),
        ((2, 5, 3, 4), 1),
        ((2, 17, 3, 4), 1),
        ((2, 5, 3, 4), 3),
    ):
        x, dy = operands(shape)
        harness.check_layouts(backend, forward(kind, dim), (x,), what=f"{kind} {shape} {dim}")
        y = forward(kind, dim)(reference, x)
        what = f"{kind}_backward {shape} {dim}"
        harness.check_layouts(backend, backward(kind, dim), (dy, y), what=what)


@KINDS
def test_aliased_inputs(backend: Any, kind: str) -> None:
    """dy and y may be one array."""
    _, dy = operands((5, 17))
    harness.check_aliased(backend, backward(kind, 1), -np.abs(dy), 2, what=kind)


@KINDS
def test_thread_count_changes_no_bit(compiled: Any, kind: str) -> None:
    """1, 2, 3 and 8 threads."""
    for shape, dim in (((700, 60), 1), ((60, 700), 0), ((8, 21, 20, 20), 1), ((2, 40000), 1)):
        x, dy = operands(shape)
        harness.check_threads(compiled, forward(kind, dim), (x,), what=f"{kind} {shape} {dim}")
        y = forward(kind, dim)(reference, x)
        what = f"{kind}_backward {shape} {dim}"
        harness.check_threads(compiled, backward(kind, dim), (dy, y), what=what)


@KINDS
def test_a_row_does_not_depend_on_its_neighbours(compiled: Any, kind: str) -> None:
    """A row gives the same bits alone and within a batch."""
    x, _ = operands((33, 10))
    together = forward(kind, 1)(compiled, x)
    for row in (0, 15, 16, 32):
        alone = forward(kind, 1)(compiled, x[row : row + 1].copy())
        what = f"{kind} row {row} on {compiled}"
        harness.assert_same_bits(alone, together[row : row + 1], what=what)


@KINDS
@pytest.mark.parametrize(("shape", "dim"), [((3, 4), 1), ((2, 3, 2), 1)])
def test_gradients(kind: str, shape: tuple[int, ...], dim: int) -> None:
    """The reference's gradients against central differences."""
    x, _ = operands(shape)

    def gradient(dy: Any, a: Any) -> Any:
        return (backward(kind, dim)(reference, dy, forward(kind, dim)(reference, a)),)

    call = lambda a: forward(kind, dim)(reference, a)  # noqa: E731
    harness.check_gradient(call, gradient, (x,), what=f"{kind} {shape} {dim}")


X = np.ones((3, 4), np.float32)
REJECTED = [
    bad
    for kind in ("softmax", "log_softmax")
    for bad in (
        *bad_arrays(f"{kind}_forward", (X,), ("x",), dim=1),
        *[Bad(f"{kind}_forward", ValueError, ("dim",), (X, d)) for d in (2, -3, 7, 2**70)],
        *[
            Bad(f"{kind}_forward", TypeError, ("dim",), (X, d))
            for d in (None, 1.0, "1", True, (0, 1))
        ],
        Bad(f"{kind}_forward", ValueError, ("x", "(3, 0)"), (X[:, :0], 1)),
        Bad(f"{kind}_forward", ValueError, ("dim",), (np.ones((), np.float32), 0)),
        *bad_arrays(f"{kind}_backward", (X, X), ("dy", "y"), dim=1),
        Bad(f"{kind}_backward", ValueError, ("dy",), (X[:2], X, 1)),
        Bad(f"{kind}_backward", ValueError, ("dim",), (X, X, 2)),
    )
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError, with the op and the argument in the message."""
    harness.check_rejected(backend, bad, bad.op.rsplit("_", 1)[0])
