"""gemm and the linear layer: exact on integers, bounded on random data, any layout and threads."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import harness
import neurona.reference as reference
from cases import GEMM, GEMM_EMPTY, GEMM_LARGE, GEMM_STRIPS
from compare import assert_close, assert_exact
from harness import Bad, bad_arrays, bad_ranks

ACTIVATIONS = ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu")


def operands(
    make: Any, case: tuple[int, int, int], *, trans_a: bool = False, trans_b: bool = False
) -> Any:
    """a, b, bias and c of a case."""
    m, n, k = case
    rng = harness.rng_of(case, trans_a, trans_b)
    a = make(rng, (k, m) if trans_a else (m, k))
    b = make(rng, (n, k) if trans_b else (k, n))
    return a, b, make(rng, (n,)), make(rng, (m, n))


@pytest.mark.parametrize("case", GEMM + GEMM_STRIPS + GEMM_EMPTY, ids=str)
def test_integers_are_exact(backend: Any, case: tuple[int, int, int]) -> None:
    """Every shape around the seams, in the four storage orders, with alpha, beta, c and bias."""
    for trans_a, trans_b in itertools.product((False, True), repeat=2):
        arrays = operands(harness.integers, case, trans_a=trans_a, trans_b=trans_b)

        def plain(
            ops: Any, a: Any, b: Any, bias: Any, c: Any, ta: bool = trans_a, tb: bool = trans_b
        ) -> Any:
            return ops.gemm(a, b, trans_a=ta, trans_b=tb)

        def full(
            ops: Any, a: Any, b: Any, bias: Any, c: Any, ta: bool = trans_a, tb: bool = trans_b
        ) -> Any:
            return ops.gemm(a, b, trans_a=ta, trans_b=tb, alpha=2.0, beta=-3.0, c=c, bias=bias)

        what = (
            f"gemm {case} trans {trans_a, trans_b} seed={harness.seed_of(case, trans_a, trans_b)}"
        )
        harness.check_exact(backend, plain, arrays, what=what)
        harness.check_exact(backend, full, arrays, what=f"{what} alpha beta c bias")


@pytest.mark.parametrize("case", GEMM[::4] + GEMM[-10:] + GEMM_STRIPS[::3], ids=str)
def test_random_data_within_the_bound(backend: Any, case: tuple[int, int, int]) -> None:
    """(2 sqrt(K) + 8) u S for the product with bias."""
    a, b, bias, _ = operands(harness.normals, case)
    harness.check_linear(
        backend,
        lambda ops, a, b, bias: ops.gemm(a, b, bias=bias),
        (a, b, bias),
        case[2] + 1,
        what=f"gemm {case} seed={harness.seed_of(case, False, False)}",
    )


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_fused_activation(backend: Any, activation: str) -> None:
    """The activation is applied after alpha, beta, c and bias."""
    case = (13, 33, 20)
    arrays = operands(harness.normals, case)

    def call(ops: Any, a: Any, b: Any, bias: Any, c: Any, name: str | None = activation) -> Any:
        return ops.gemm(a, b, alpha=0.5, beta=0.5, c=c, bias=bias, activation=name)

    (size,) = harness.magnitude(lambda ops, *args: call(ops, *args, name=None), arrays)
    # No activation has a slope above 1.13, and its own rounding is below 8 u of its argument.
    bound = 1.13 * harness.random_bound(case[2] + 2, size) + 8 * harness.U * (1 + size)
    harness.check_within(backend, call, arrays, [bound], what=f"gemm+{activation} {case}")


def test_beta_zero_never_reads_c(backend: Any) -> None:
    """A c full of NaN leaves no trace when beta is 0."""
    a, b, _, c = operands(harness.integers, (7, 17, 9))
    spoiled = np.full_like(c, np.nan)
    expected = reference.gemm(a, b)
    assert_exact(backend.gemm(a, b, beta=0.0, c=spoiled), expected, what=f"gemm on {backend}")


@pytest.mark.parametrize("case", GEMM[::5] + GEMM_EMPTY, ids=str)
def test_linear_integers(backend: Any, case: tuple[int, int, int]) -> None:
    """Forward, gradient of the input, of the weight and of the bias."""
    n, features_out, features_in = case
    rng = harness.rng_of("linear", case)
    x, weight = (harness.integers(rng, s) for s in ((n, features_in), (features_out, features_in)))
    bias, dy = harness.integers(rng, (features_out,)), harness.integers(rng, (n, features_out))
    what = f"linear {case} seed={harness.seed_of('linear', case)}"
    harness.check_exact(backend, lambda o, *a: o.linear_forward(*a), (x, weight, bias), what=what)
    harness.check_exact(backend, lambda o, *a: o.linear_forward(*a), (x, weight), what=what)
    harness.check_exact(backend, lambda o, *a: o.linear_backward_data(*a), (dy, weight), what=what)
    harness.check_exact(backend, lambda o, *a: o.linear_backward_weight(*a), (dy, x), what=what)
    assert backend.linear_backward_weight(dy, x, with_bias=False)[1] is None
    harness.check_exact(backend, lambda o, *a: o.linear_backward(*a), (dy, x, weight), what=what)
    assert backend.linear_backward(dy, x, weight, with_bias=False)[2] is None
    rectified = lambda o, *a: o.linear_backward(*a, rectified=True)  # noqa: E731
    harness.check_exact(backend, rectified, (dy, x, weight), what=what)


@pytest.mark.parametrize("case", [(64, 10, 784), (33, 65, 257), (1, 7, 5)], ids=str)
def test_linear_random(backend: Any, case: tuple[int, int, int]) -> None:
    """The three products of a linear layer within their bounds."""
    n, features_out, features_in = case
    rng = harness.rng_of("linear", case)
    x, weight = (harness.normals(rng, s) for s in ((n, features_in), (features_out, features_in)))
    bias, dy = harness.normals(rng, (features_out,)), harness.normals(rng, (n, features_out))
    what = f"linear {case} seed={harness.seed_of('linear', case)}"
    for call, arrays, terms in (
        (lambda o, *a: o.linear_forward(*a), (x, weight, bias), features_in + 1),
        (lambda o, *a: o.linear_backward_data(*a), (dy, weight), features_out),
        (lambda o, *a: o.linear_backward_weight(*a), (dy, x), n),
        (lambda o, *a: o.linear_backward(*a), (dy, x, weight), max(n, features_out)),
    ):
        harness.check_linear(backend, call, arrays, terms, what=what)


def test_layouts(backend: Any) -> None:
    """Strides, alignment and byte order of a, b, bias and c change no bit."""
    arrays = operands(harness.normals, (13, 18, 9))
    call = lambda o, a, b, bias, c: o.gemm(a, b, bias=bias, beta=0.5, c=c)  # noqa: E731
    harness.check_layouts(backend, call, arrays, what="gemm")
    rng = harness.rng_of("linear layouts")
    x, weight, bias = (harness.normals(rng, s) for s in ((5, 7), (18, 7), (18,)))
    dy = harness.normals(rng, (5, 18))
    harness.check_layouts(
        backend, lambda o, *a: o.linear_forward(*a), (x, weight, bias), what="linear"
    )
    harness.check_layouts(
        backend, lambda o, *a: o.linear_backward_data(*a), (dy, weight), what="linear"
    )
    harness.check_layouts(
        backend, lambda o, *a: o.linear_backward_weight(*a), (dy, x), what="linear"
    )
    harness.check_layouts(
        backend, lambda o, *a: o.linear_backward(*a), (dy, x, weight), what="linear"
    )


def test_aliased_inputs(backend: Any) -> None:
    """One array may be a and b and c."""
    square = harness.normals(harness.rng_of("square"), (19, 19))
    call = lambda o, a, b, c: o.gemm(a, b, beta=1.0, c=c)  # noqa: E731
    harness.check_aliased(backend, call, square, 3, what="gemm")


def test_thread_count_changes_no_bit(compiled: Any) -> None:
    """1, 2, 3 and 8 threads."""
    m, n, k = GEMM_LARGE
    a, b, bias, _ = operands(harness.normals, GEMM_LARGE)
    harness.check_threads(compiled, lambda o, *x: o.gemm(*x), (a, b), what="gemm")
    for shape in ((m, k), (8, 4 * k)):
        rng = harness.rng_of("threads", shape)
        x, weight = harness.normals(rng, shape), harness.normals(rng, (n, shape[1]))
        dy = harness.normals(rng, (shape[0], n))
        harness.check_threads(
            compiled, lambda o, *v: o.linear_forward(*v), (x, weight, bias), what="linear"
        )
        harness.check_threads(
            compiled, lambda o, *v: o.linear_backward_data(*v), (dy, weight), what="linear"
        )
        harness.check_threads(
            compiled, lambda o, *v: o.linear_backward_weight(*v), (dy, x), what="linear"
        )
        harness.check_threads(
            compiled, lambda o, *v: o.linear_backward(*v), (dy, x, weight), what="linear"
        )


def test_a_row_does_not_depend_on_its_neighbours(backend: Any) -> None:
    """A sample gives the same bits alone and within a batch; NumPy promises it to rounding only."""
    rng = harness.rng_of("rows")
    x, weight = harness.normals(rng, (33, 70)), harness.normals(rng, (19, 70))
    together = backend.linear_forward(x, weight)
    for row in (0, 6, 31, 32):
        alone = backend.linear_forward(x[row : row + 1].copy(), weight)
        bound = 0.0
        if backend.name == "reference":
            bound = harness.random_bound(
                70, (np.abs(x[row : row + 1]) @ np.abs(weight.T)).astype(float)
            )
        assert_close(alone, together[row : row + 1], bound, what=f"linear row {row} on {backend}")


def test_a_row_has_the_same_bits_in_a_large_product(compiled: Any) -> None:
    """Rows of a product of strips against the same rows in products too small for them."""
    rng = harness.rng_of("strips")
    shapes = ((203, 1030), (1030, 150), (150,), (203, 150))
    a, b, bias, c = (harness.normals(rng, shape) for shape in shapes)
    kwargs = {"alpha": 0.7, "beta": 1.3, "activation": "leaky_relu"}
    together = compiled.gemm(a, b, bias=bias, c=c, **kwargs)
    for first, last in ((0, 1), (5, 12), (100, 147), (198, 203)):
        rows = slice(first, last)
        part = compiled.gemm(a[rows].copy(), b, bias=bias, c=c[rows].copy(), **kwargs)
        assert_exact(part, together[rows], what=f"rows {first} to {last} on {compiled}")


def test_rows_a_page_apart_are_kept_for_the_next_chunks(compiled: Any) -> None:
    """Such rows are copied; with 1,300 columns one thread meets each copy several times."""
    rng = harness.rng_of("kept")
    a, b = harness.integers(rng, (83, 1024)), harness.integers(rng, (1024, 1300))
    exact = (a.astype(np.float64) @ b.astype(np.float64)).astype(np.float32)
    call = lambda o, a, b: o.gemm(a, b)  # noqa: E731
    harness.check_threads(compiled, call, (a, b), what="gemm")
    assert_exact(compiled.gemm(a, b), exact, what="gemm")


def test_a_transposed_a_larger_than_its_workspace(compiled: Any) -> None:
    """Rearranging 140 x 130,000 floats takes more than the 64 MiB that are used at a time."""
    rng = harness.rng_of("turned")
    a, b = harness.integers(rng, (130_000, 140)), harness.integers(rng, (130_000, 64))
    exact = a.T.astype(np.float64) @ b.astype(np.float64)
    assert np.abs(exact).max() < 2**24  # so that the sums are exact in float32
    # One thread rearranges strip by strip; more of them share the rearranged rows.
    call = lambda o, a, b: o.gemm(a, b, trans_a=True)  # noqa: E731
    harness.check_threads(compiled, call, (a, b), what="gemm")
    assert_exact(compiled.gemm(a, b, trans_a=True), exact.astype(np.float32), what="gemm")


def test_nan_and_infinity_propagate(backend: Any) -> None:
    """Each position of each argument; 0 * NaN is NaN."""
    arrays = operands(harness.normals, (3, 5, 4))
    call = lambda o, a, b, bias, c: o.gemm(a, b, bias=bias, beta=0.5, c=c)  # noqa: E731
    harness.check_nan_positions(backend, call, arrays, what="gemm")
    zeros = np.zeros((2, 3), np.float32)
    poisoned = np.full((3, 4), np.nan, np.float32)
    assert np.isnan(backend.gemm(zeros, poisoned)).all()


def test_gradients() -> None:
    """The reference's gradients against central differences."""
    rng = harness.rng_of("gradients")
    arrays = [harness.normals(rng, s) for s in ((3, 4), (2, 4), (2,))]

    def backward(dy: Any, x: Any, weight: Any, bias: Any) -> Any:
        return reference.linear_backward(dy, x, weight)

    harness.check_gradient(reference.linear_forward, backward, arrays, what="linear")


def test_the_gradient_of_a_relu_before_the_layer(backend: Any) -> None:
    """That of the layer and then the ReLU's, also for NaN and either zero."""
    for n, wide, out in ((9, 12, 8), (33, 7, 5), (3, 40, 300)):
        rng = harness.rng_of("rectified", n)
        x, weight = harness.integers(rng, (n, wide)), harness.integers(rng, (out, wide))
        x[0, :3] = np.nan, -0.0, 0.0
        dy = harness.integers(rng, (n, out))
        dx = backend.linear_backward(dy, x, weight, rectified=True)[0]
        expected = reference.relu_backward(reference.linear_backward_data(dy, weight), x)
        assert_exact(dx, expected, what=f"linear_backward on {backend}")
        assert (dx != reference.linear_backward_data(dy, weight)).any()


A, B = np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)
X, WEIGHT, DY = (
    np.ones((3, 4), np.float32),
    np.ones((5, 4), np.float32),
    np.ones((3, 5), np.float32),
)
HUGE = np.broadcast_to(np.float32(1), (2**20, 2**20))
REJECTED = [
    *bad_arrays("gemm", (A, B), ("a", "b")),
    *bad_ranks("gemm", (A, B), ("a", "b")),
    Bad("gemm", ValueError, ("a", "b", "4", "3"), (A, A)),
    Bad("gemm", ValueError, ("bias",), (A, B), {"bias": np.ones(4, np.float32)}),
    Bad("gemm", ValueError, ("bias",), (A, B), {"bias": np.ones((1, 5), np.float32)}),
    Bad("gemm", TypeError, ("bias",), (A, B), {"bias": np.ones(5)}),
    Bad("gemm", ValueError, ("c", "beta"), (A, B), {"beta": 1.0}),
    Bad("gemm", ValueError, ("c",), (A, B), {"beta": 1.0, "c": np.ones((5, 3), np.float32)}),
    Bad("gemm", TypeError, ("alpha",), (A, B), {"alpha": "1"}),
    Bad("gemm", TypeError, ("beta",), (A, B), {"beta": True}),
    Bad("gemm", ValueError, ("activation", "swish"), (A, B), {"activation": "swish"}),
    Bad("gemm", TypeError, ("activation",), (A, B), {"activation": 1}),
    Bad("gemm", MemoryError, (), (HUGE, np.ones((2**20, 1), np.float32))),
    *bad_arrays("linear_forward", (X, WEIGHT), ("x", "weight")),
    *bad_ranks("linear_forward", (X, WEIGHT), ("x", "weight")),
    Bad("linear_forward", ValueError, ("(3, 5)", "(5, 4)"), (DY, WEIGHT)),
    Bad("linear_forward", ValueError, ("bias",), (X, WEIGHT, np.ones(4, np.float32))),
    *bad_arrays("linear_backward_data", (DY, WEIGHT), ("dy", "weight")),
    Bad("linear_backward_data", ValueError, ("(3, 4)", "(5, 4)"), (X, WEIGHT)),
    *bad_arrays("linear_backward_weight", (DY, X), ("dy", "x")),
    Bad("linear_backward_weight", ValueError, ("(3, 5)", "(2, 4)"), (DY, X[:2])),
    *bad_arrays("linear_backward", (DY, X, WEIGHT), ("dy", "x", "weight")),
    Bad("linear_backward", ValueError, ("(3, 5)", "(2, 4)", "(5, 4)"), (DY, X[:2], WEIGHT)),
    Bad("linear_backward", ValueError, ("(3, 5)", "(3, 4)", "(5, 3)"), (DY, X, WEIGHT[:, :3])),
    Bad("linear_backward", ValueError, ("(3, 5)", "(3, 4)", "(4, 4)"), (DY, X, WEIGHT[:4])),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError, with the op and the argument in the message."""
    harness.check_rejected(backend, bad, "gemm" if bad.op == "gemm" else "linear")
