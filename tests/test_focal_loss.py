"""focal_loss_forward: the loss of rows against classes, and its fused gradient."""

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
from neurona.backends.bounds import RULES

CASES = pytest.mark.parametrize(("n", "c"), CROSS_ENTROPY)
REDUCTIONS = ("mean", "sum", "none")
GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)


def operands(n: int, c: int, ignored: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, target and class weights, one of them 0."""
    rng = harness.rng_of("focal", n, c)
    x = harness.normals(rng, (n, c)) * np.float32(3)
    weight = rng.uniform(0.2, 2, c).astype(np.float32)
    weight[c // 2 :][1:2] = 0
    target = rng.integers(0, c, n)
    if ignored and n > 1:
        target[::3] = -100
    return x, target, weight


def call(**options: Any) -> Any:
    """Focal loss as a function of a backend, x, target and, if wanted, class weights."""
    return lambda ops, x, target, weight=None: ops.focal_loss_forward(
        x, target, weight=weight, **options
    )


@CASES
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_and_gradient(backend: Any, n: int, c: int, weighted: bool) -> None:
    """All reductions and exponents, within the bounds of `verify`."""
    arrays = operands(n, c) if weighted else operands(n, c)[:2]
    rule: Any = RULES["focal_loss_forward"]
    for reduction, gamma in itertools.product(REDUCTIONS, GAMMAS):
        options = {"reduction": reduction, "gamma": gamma}
        expected = harness.truth(call(**options), arrays)
        given = {"x": arrays[0].astype(np.float64), "target": arrays[1], "weight": None}
        given |= {"ignore_index": -100, **options}
        if weighted:
            given["weight"] = arrays[2].astype(np.float64)
        what = f"focal_loss ({n}, {c}) {weighted} {options}"
        if n == 1 and weighted and not expected[1].any():
            continue  # a class without weight: nothing to compare
        bounds = rule(given, expected)
        harness.check_within(backend, call(**options), arrays, bounds, what=what)
        loss, none = call(**options, with_grad=False)(backend, *arrays)
        assert none is None
        assert_same_bits(loss, call(**options)(backend, *arrays)[0], what=f"{what} on {backend}")


def test_gamma_0_is_cross_entropy(backend: Any) -> None:
    """The same loss and gradient, up to the divisor of "mean"."""
    x, target, weight = operands(33, 10)
    for reduction in ("sum", "none"):
        got = backend.focal_loss_forward(x, target, gamma=0, weight=weight, reduction=reduction)
        expected = reference.cross_entropy_forward(
            x.astype(np.float64), target, weight=weight.astype(np.float64), reduction=reduction
        )
        for a, b in zip(got, expected, strict=True):
            assert_close(a, b, 100 * U * (1 + np.abs(b)), what=f"focal_loss 0 on {backend}")


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("gamma", GAMMAS)
def test_gradients(gamma: float, reduction: str) -> None:
    """The reference's gradients against central differences."""
    x, target, weight = operands(4, 3)
    options = {"weight": weight.astype(np.float64), "reduction": reduction, "gamma": gamma}

    def gradient(dy: Any, a: Any) -> Any:
        dx = reference.focal_loss_forward(a, target, **options)[1]
        return (dx * (dy[:, None] if reduction == "none" else dy),)

    forward = lambda a: reference.focal_loss_forward(a, target, **options)[0]  # noqa: E731
    harness.check_gradient(forward, gradient, (x,), what=f"focal_loss {gamma} {reduction}")


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.uint64])
def test_any_integer_type_of_labels(backend: Any, dtype: Any) -> None:
    """Labels of every integer type give the same bits."""
    x, target, _ = operands(7, 10, ignored=False)
    expected = backend.focal_loss_forward(x, target)
    for a, b in zip(backend.focal_loss_forward(x, target.astype(dtype)), expected, strict=True):
        assert_same_bits(a, b, what=f"focal_loss labels {dtype.__name__} on {backend}")


def test_layouts(backend: Any) -> None:
    """Strides, alignment and byte order change no bit."""
    for reduction in REDUCTIONS:
        run = call(reduction=reduction)
        harness.check_layouts(backend, run, operands(7, 10), what=f"focal_loss {reduction}")


@pytest.mark.parametrize(("n", "c"), [(3000, 10), (300, 200)])
def test_thread_count_changes_no_bit(compiled: Any, n: int, c: int) -> None:
    """1, 2, 3 and 8 threads, up to the sum over many rows."""
    for reduction in REDUCTIONS:
        arrays = operands(n, c)
        harness.check_threads(compiled, call(reduction=reduction), arrays, what="focal_loss")


def test_many_rows(backend: Any) -> None:
    """The divisor and the sum of the losses, over more rows than one piece of work."""
    arrays = operands(5000, 3)
    for reduction in ("mean", "sum"):
        expected, expected_dx = harness.truth(call(reduction=reduction), arrays)
        loss, dx = call(reduction=reduction)(backend, *arrays)
        assert_close(loss, expected, 100 * U * expected, what=f"focal_loss rows on {backend}")
        bound = 100 * U * np.abs(expected_dx).max()
        assert_close(dx, expected_dx, bound, what=f"focal_loss rows on {backend}")


def test_nothing_to_average(backend: Any) -> None:
    """All rows ignored or no rows at all: the mean is nan, the sum 0, the gradient 0."""
    x, target, _ = operands(4, 3)
    x[0, 0] = np.nan
    for rows, labels in ((x, np.full(4, -100)), (x[:0], target[:0])):
        for reduction, wanted in (("mean", np.nan), ("sum", 0.0)):
            loss, dx = backend.focal_loss_forward(rows, labels, reduction=reduction)
            assert_exact(loss, np.array(wanted), what=f"focal_loss {reduction} on {backend}")
            assert_exact(dx, np.zeros_like(rows), what=f"focal_loss {reduction} on {backend}")


def test_special_logits(backend: Any) -> None:
    """Certain rows cost nothing, hopeless ones their distance; NaN stays in its row."""
    x = np.array([[0, -np.inf, 1], [1e4, -1e4, 0], [-1e4, 1e4, 0], [np.nan, 0, 1]], np.float32)
    target = np.zeros(4, np.int64)
    for gamma in (0.5, 2.0):
        loss, dx = backend.focal_loss_forward(x, target, gamma=gamma, reduction="none")
        assert np.isfinite(dx[:3]).all() and np.isnan(loss[3]) and np.isnan(dx[3]).all()
        assert np.isfinite(loss[0]) and loss[1] == 0 and loss[2] == 2e4
        assert_exact(dx[1:3], np.array([[0, 0, 0], [-1, 1, 0]], np.float32), what="focal_loss far")
    weight = np.array([0, 1, 1], np.float32)
    x = np.array([[-np.inf, 0, 1]], np.float32)
    loss, dx = backend.focal_loss_forward(x, target[:1], weight=weight)
    assert loss == 0 and not dx.any()


F32 = np.float32
X, TARGET = np.ones((3, 4), F32), np.zeros(3, np.int64)
OP = "focal_loss_forward"
REJECTED = [
    *bad_arrays(OP, (X, TARGET), ("x",)),
    Bad(OP, ValueError, ("x",), (X[0], TARGET)),
    Bad(OP, ValueError, ("x",), (X[:, :0], TARGET)),
    *[
        Bad(OP, ValueError, ("target", str(v), "position 2"), (X, np.array([0, 1, v])))
        for v in (4, -1, 2**40, -(2**63))
    ],
    Bad(OP, ValueError, ("target",), (X, TARGET[:2])),
    Bad(OP, ValueError, ("target",), (X, TARGET[:, None])),
    *[
        Bad(OP, TypeError, ("target",), (X, t))
        for t in (None, [0, 1, 2], "abc", TARGET.astype(bool), TARGET.astype(F32), X)
    ],
    *[
        Bad(OP, ValueError, ("weight",), (X, TARGET), {"weight": w})
        for w in (np.ones(3, F32), np.ones((4, 1), F32), -np.ones(4, F32), np.full(4, np.nan, F32))
    ],
    Bad(OP, TypeError, ("weight",), (X, TARGET), {"weight": np.ones(4)}),
    *[
        Bad(OP, ValueError, ("gamma",), (X, TARGET), {"gamma": v})
        for v in (-0.1, float("nan"), float("inf"))
    ],
    *[Bad(OP, TypeError, ("gamma",), (X, TARGET), {"gamma": v}) for v in ("2", None, True)],
    Bad(OP, ValueError, ("reduction",), (X, TARGET), {"reduction": "avg"}),
    Bad(OP, TypeError, ("reduction",), (X, TARGET), {"reduction": None}),
    Bad(OP, TypeError, ("ignore_index",), (X, TARGET), {"ignore_index": 1.0}),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError, with the op and the argument in the message."""
    harness.check_rejected(backend, bad, "focal_loss")
