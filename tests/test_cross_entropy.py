"""Cross-entropy against classes and probabilities, with every option, and its fused gradient."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import harness
import neurona.reference as reference
from cases import CROSS_ENTROPY
from compare import assert_close, assert_exact, assert_same_bits
from harness import Bad, U, bad_arrays

CASES = pytest.mark.parametrize(("n", "c"), CROSS_ENTROPY)
KINDS = pytest.mark.parametrize("kind", ["classes", "ignored", "probabilities"])
REDUCTIONS = ("mean", "sum", "none")


def operands(n: int, c: int, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, target and class weights."""
    rng = harness.rng_of("cross_entropy", n, c, kind)
    x = harness.normals(rng, (n, c)) * np.float32(3)
    weight = rng.uniform(0.2, 2, c).astype(np.float32)
    if kind == "probabilities":
        share = rng.uniform(0, 1, (n, c))
        return x, (share / share.sum(axis=1, keepdims=True)).astype(np.float32), weight
    target = rng.integers(0, c, n)
    if kind == "ignored" and n > 1:
        target[::2] = -100
    return x, target, weight


def call(**options: Any) -> Any:
    """Cross-entropy as a function of a backend, x, target and, if wanted, class weights."""
    return lambda ops, x, target, weight=None: ops.cross_entropy_forward(
        x, target, weight=weight, **options
    )


@CASES
@KINDS
def test_loss_and_gradient(backend: Any, n: int, c: int, kind: str) -> None:
    """All reductions, with and without weights and smoothing, within the bounds of softmax."""
    x, target, weight = operands(n, c, kind)
    wide = x.astype(np.float64)
    depth = np.abs(reference.log_softmax_forward(wide, 1)).max(axis=1)
    p = np.exp(reference.log_softmax_forward(wide, 1))
    row_grade = U * (4 * np.maximum(1, depth) + 2 * np.sqrt(c) + 12)
    for weighted, smoothing in itertools.product((False, True), (0.0, 0.1, 1.0)):
        arrays = (x, target, weight) if weighted else (x, target)
        heaviest = float(weight.max()) if weighted else 1.0
        losses, _ = harness.truth(call(reduction="none", label_smoothing=smoothing), arrays)
        total = harness.truth(call(reduction="sum", label_smoothing=smoothing), arrays)[0]
        mean = harness.truth(call(reduction="mean", label_smoothing=smoothing), arrays)[0]
        divisor = float(total / mean) if mean else 1.0
        rows = heaviest * row_grade + 8 * U * np.abs(losses)
        whole = rows.sum() + (2 * np.sqrt(n) + 8) * U * np.abs(losses).sum()
        for reduction in REDUCTIONS:
            options = {"reduction": reduction, "label_smoothing": smoothing}
            what = f"cross_entropy ({n}, {c}) {kind} weighted={weighted} {options}"
            scale = divisor if reduction == "mean" else 1.0
            _, dx = harness.truth(call(**options), arrays)
            slack = row_grade[:, None] * (np.abs(dx) + 2 * p * heaviest / scale) + 2.0**-126
            slack += 8 * U * heaviest / c / scale * (smoothing > 0)
            bound = rows if reduction == "none" else whole / scale
            harness.check_within(backend, call(**options), arrays, [bound, slack], what=what)
            loss, none = call(**options, with_grad=False)(backend, *arrays)
            assert none is None
            assert_same_bits(
                loss, call(**options)(backend, *arrays)[0], what=f"{what} on {backend}"
            )


@pytest.mark.parametrize(
    "dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
)
def test_any_integer_type_of_labels(backend: Any, dtype: Any) -> None:
    """Labels of every integer type give the same bits."""
    x, target, _ = operands(7, 10, "classes")
    expected = backend.cross_entropy_forward(x, target)
    got = backend.cross_entropy_forward(x, target.astype(dtype))
    for a, b in zip(got, expected, strict=True):
        assert_same_bits(a, b, what=f"cross_entropy labels {dtype.__name__} on {backend}")


def test_ignore_index_of_a_valid_class(backend: Any) -> None:
    """Rows of the ignored class count neither in sum nor divisor, and get no gradient."""
    x, target, weight = operands(33, 10, "classes")
    kept = target != 3
    assert kept.any() and not kept.all()
    loss, dx = backend.cross_entropy_forward(x, target, weight=weight, ignore_index=3)
    expected, expected_dx = reference.cross_entropy_forward(
        x[kept].astype(np.float64), target[kept], weight=weight.astype(np.float64)
    )
    assert_close(loss, expected, 100 * U * (1 + expected), what=f"cross_entropy on {backend}")
    assert_close(dx[kept], expected_dx, 100 * U, what=f"cross_entropy on {backend}")
    assert_exact(dx[~kept], np.zeros_like(dx[~kept]), what=f"cross_entropy on {backend}")


def test_many_rows(backend: Any) -> None:
    """The divisor and the sum of the losses, over more rows than one piece of work."""
    x, target, weight = operands(5000, 3, "ignored")
    for reduction in ("mean", "sum"):
        expected, expected_dx = harness.truth(call(reduction=reduction), (x, target, weight))
        loss, dx = call(reduction=reduction)(backend, x, target, weight)
        assert_close(loss, expected, 100 * U * expected, what=f"cross_entropy rows on {backend}")
        bound = 100 * U * np.abs(expected_dx).max()
        assert_close(dx, expected_dx, bound, what=f"cross_entropy rows on {backend}")


def test_nothing_to_average(backend: Any) -> None:
    """All rows ignored or no rows at all: the mean is nan, the sum 0."""
    x, target, _ = operands(4, 3, "classes")
    for rows, labels in ((x, np.full(4, -100)), (x[:0], target[:0]), (x[:0], x[:0])):
        loss, dx = backend.cross_entropy_forward(rows, labels)
        assert np.isnan(loss) and loss.shape == ()
        assert_exact(dx, np.zeros_like(rows), what=f"cross_entropy on {backend}")
        for reduction, shape in (("sum", ()), ("none", rows.shape[:1])):
            loss, dx = backend.cross_entropy_forward(rows, labels, reduction=reduction)
            assert_exact(loss, np.zeros(shape), what=f"cross_entropy {reduction} on {backend}")
            assert_exact(dx, np.zeros_like(rows), what=f"cross_entropy {reduction} on {backend}")


def test_special_logits(backend: Any) -> None:
    """-inf for another class is harmless, for the target an infinite loss; NaN stays NaN."""
    inf = np.inf
    x = np.array([[0, -inf, 1], [-inf, 0, 1], [np.nan, 0, 1], [inf, 0, 1], [-inf] * 3], np.float32)
    target = np.zeros(5, np.int64)
    loss, _ = backend.cross_entropy_forward(x, target, reduction="none")
    expected, _ = reference.cross_entropy_forward(x.astype(np.float64), target, reduction="none")
    assert_close(loss, expected, 16 * U, what=f"cross_entropy special on {backend}")
    assert np.isfinite(loss[0]) and loss[1] == inf and np.isnan(loss[2:]).all()


@KINDS
def test_layouts(backend: Any, kind: str) -> None:
    """Strides, alignment and byte order of logits, targets and weights change no bit."""
    arrays = operands(7, 10, kind)
    for reduction in REDUCTIONS:
        what = f"cross_entropy {kind} {reduction}"
        harness.check_layouts(backend, call(reduction=reduction), arrays, what=what)


@KINDS
def test_thread_count_changes_no_bit(compiled: Any, kind: str) -> None:
    """1, 2, 3 and 8 threads, up to the sum over many rows."""
    for n, c in ((3000, 10), (300, 200)):
        arrays = operands(n, c, kind)
        for reduction in REDUCTIONS:
            what = f"cross_entropy ({n}, {c}) {kind} {reduction}"
            options = {"reduction": reduction, "label_smoothing": 0.1}
            harness.check_threads(compiled, call(**options), arrays, what=what)


@KINDS
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradients(kind: str, reduction: str) -> None:
    """The reference's gradients against central differences."""
    x, target, weight = operands(4, 3, kind)
    labels = target.astype(np.float64) if kind == "probabilities" else target
    options = {"weight": weight.astype(np.float64), "reduction": reduction, "label_smoothing": 0.2}

    def gradient(dy: Any, a: Any) -> Any:
        dx = reference.cross_entropy_forward(a, labels, **options)[1]
        return (dx * (dy[:, None] if reduction == "none" else dy),)

    forward = lambda a: reference.cross_entropy_forward(a, labels, **options)[0]  # noqa: E731
    harness.check_gradient(forward, gradient, (x,), what=f"cross_entropy {kind} {reduction}")


F32 = np.float32
X, TARGET = np.ones((3, 4), F32), np.zeros(3, np.int64)
OP = "cross_entropy_forward"


def label(value: int, dtype: Any = np.int64) -> np.ndarray:
    """Targets of which the one at position 2 is `value`."""
    return np.array([0, 1, value], dtype)


REJECTED = [
    *bad_arrays(OP, (X, TARGET), ("x",)),
    Bad(OP, ValueError, ("x",), (X[0], TARGET)),
    Bad(OP, ValueError, ("x",), (X[:, :0], TARGET)),
    *[
        Bad(OP, ValueError, ("target", str(v), "position 2"), (X, label(v)))
        for v in (4, -1, 2**40, 2**32, -(2**63))
    ],
    Bad(OP, ValueError, ("target", "18446744073709551615"), (X, label(2**64 - 1, np.uint64))),
    Bad(OP, ValueError, ("target", "got 9 at position 1"), (X, np.array([0, 9, -5]))),
    Bad(OP, ValueError, ("target",), (X, TARGET[:2])),
    Bad(OP, ValueError, ("target",), (X, TARGET[:, None])),
    *[
        Bad(OP, TypeError, ("target",), (X, t))
        for t in (None, [0, 1, 2], "abc", TARGET.astype(bool), TARGET.astype(object))
    ],
    Bad(OP, TypeError, ("target",), (X, TARGET.astype(F32))),
    Bad(OP, TypeError, ("target", "float64"), (X, np.ones((3, 4)))),
    Bad(OP, ValueError, ("target",), (X, np.ones((3, 3), F32))),
    *[
        Bad(OP, ValueError, ("weight",), (X, TARGET), {"weight": w})
        for w in (np.ones(3, F32), np.ones((4, 1), F32), -np.ones(4, F32), np.full(4, np.nan, F32))
    ],
    Bad(OP, ValueError, ("weight", "-2"), (X, TARGET), {"weight": np.array([1, -2, 1, -3], F32)}),
    Bad(OP, TypeError, ("weight",), (X, TARGET), {"weight": np.ones(4)}),
    *[
        Bad(OP, ValueError, ("label_smoothing",), (X, TARGET), {"label_smoothing": v})
        for v in (1.5, -0.1, float("nan"))
    ],
    Bad(OP, TypeError, ("label_smoothing",), (X, TARGET), {"label_smoothing": "0"}),
    Bad(OP, ValueError, ("reduction", "avg"), (X, TARGET), {"reduction": "avg"}),
    Bad(OP, TypeError, ("reduction",), (X, TARGET), {"reduction": None}),
    Bad(OP, TypeError, ("ignore_index",), (X, TARGET), {"ignore_index": 1.0}),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError with op and argument in the message, before any label is used."""
    harness.check_rejected(backend, bad, "cross_entropy")
