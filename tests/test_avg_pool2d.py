"""Average and adaptive average pooling with their gradients."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import harness
import neurona.reference as reference
from cases import ADAPTIVE, ADAPTIVE_CHANNELS, POOL2D, POOL2D_EMPTY, POOL2D_LARGE, Pool2d
from harness import Bad, bad_arrays, bad_pairs, bad_ranks

DIVISORS: list[dict[str, Any]] = [{}, {"count_include_pad": False}, {"divisor_override": 4}]
CASES = pytest.mark.parametrize("case", [*POOL2D, POOL2D_EMPTY], ids=str)


def forward(case: Pool2d, divisor: dict[str, Any]) -> Any:
    """The forward pass as a function of a backend and x."""
    return lambda ops, x: ops.avg_pool2d_forward(x, case.kernel, **case.options, **divisor)


def backward(case: Pool2d, divisor: dict[str, Any]) -> Any:
    """The backward pass as a function of a backend and dy."""
    size = (case.H, case.W)
    return lambda ops, dy: ops.avg_pool2d_backward(dy, size, case.kernel, **case.options, **divisor)


def taps(case: Pool2d) -> int:
    """Pixels of one window."""
    kernel = case.kernel if isinstance(case.kernel, tuple) else (case.kernel, case.kernel)
    return kernel[0] * kernel[1]


@CASES
def test_forward(backend: Any, case: Pool2d) -> None:
    """(2 sqrt(K) + 10) u S with every rule for the divisor; sums of integers over 4 are exact."""
    x = harness.normals(harness.rng_of(case), case.x)
    for divisor in DIVISORS:
        call, what = (
            forward(case, divisor),
            f"avg_pool2d {case} {divisor} seed={harness.seed_of(case)}",
        )
        (size,) = harness.magnitude(call, (x,))
        bound = harness.random_bound(taps(case), size) + 2 * harness.U * size
        harness.check_within(backend, call, (x,), [bound], what=what)
    whole = harness.integers(harness.rng_of(case), case.x)
    harness.check_exact(
        backend, forward(case, DIVISORS[2]), (whole,), what=f"avg_pool2d {case} / 4"
    )


@CASES
def test_backward(backend: Any, case: Pool2d) -> None:
    """dy / divisor on every pixel of the window, summed where windows overlap."""
    rng = harness.rng_of(case, "gradient")
    shape = forward(case, {})(reference, np.zeros(case.x)).shape
    dy = harness.normals(rng, shape)
    for divisor in DIVISORS:
        what = f"avg_pool2d_backward {case} {divisor} seed={harness.seed_of(case, 'gradient')}"
        call = backward(case, divisor)
        (size,) = harness.magnitude(call, (dy,))
        bound = harness.random_bound(taps(case), size) + 2 * harness.U * size
        harness.check_within(backend, call, (dy,), [bound], what=what)
    whole = harness.integers(rng, shape)
    what = f"avg_pool2d_backward {case} / 4"
    harness.check_exact(backend, backward(case, DIVISORS[2]), (whole,), what=what)


@pytest.mark.parametrize(("h", "w", "p", "q"), ADAPTIVE)
def test_adaptive(backend: Any, h: int, w: int, p: int, q: int) -> None:
    """Windows of unequal size that cover the image; upsampling too."""
    for channels in ADAPTIVE_CHANNELS:
        rng = harness.rng_of("adaptive", h, w, p, q, channels)
        x, dy = harness.normals(rng, (2, channels, h, w)), harness.normals(rng, (2, channels, p, q))
        what = f"({h}, {w}) -> ({p}, {q}) C={channels}"
        for op, array, size in (("forward", x, (p, q)), ("backward", dy, (h, w))):
            name = f"adaptive_avg_pool2d_{op}"
            call = lambda o, a, f=name, s=size: getattr(o, f)(a, s)  # noqa: E731
            (total,) = harness.magnitude(call, (array,))
            bound = harness.random_bound(h * w + p * q, total)
            harness.check_within(backend, call, (array,), [bound], what=f"{name} {what}")


def test_adaptive_integers_and_empty_batch(backend: Any) -> None:
    """Windows of a power of two are exact; no sample gives an empty result."""
    x = harness.integers(harness.rng_of("adaptive integers"), (3, 17, 8, 8))
    forward_call = lambda o, a: o.adaptive_avg_pool2d_forward(a, (4, 2))  # noqa: E731
    backward_call = lambda o, a: o.adaptive_avg_pool2d_backward(a, (16, 32))  # noqa: E731
    for array in (x, x[:0]):
        harness.check_exact(backend, forward_call, (array,), what="adaptive_avg_pool2d_forward")
        harness.check_exact(backend, backward_call, (array,), what="adaptive_avg_pool2d_backward")


def test_layouts(backend: Any) -> None:
    """Strides, alignment and byte order change no bit."""
    for channels, case in itertools.product((5, 17), (Pool2d(2, 1, 7, 6, 3, 2, 1),)):
        x = harness.normals(harness.rng_of("avg layouts", channels), (2, channels, 7, 6))
        dy = harness.normals(harness.rng_of("avg layouts dy", channels), (2, channels, 4, 3))
        harness.check_layouts(backend, forward(case, {}), (x,), what="avg_pool2d")
        harness.check_layouts(backend, backward(case, {}), (dy,), what="avg_pool2d_backward")
        harness.check_layouts(
            backend, lambda o, a: o.adaptive_avg_pool2d_forward(a, (3, 2)), (x,), what="adaptive"
        )
        harness.check_layouts(
            backend, lambda o, a: o.adaptive_avg_pool2d_backward(a, (7, 6)), (dy,), what="adaptive"
        )


def test_thread_count_changes_no_bit(compiled: Any) -> None:
    """1, 2, 3 and 8 threads."""
    case = POOL2D_LARGE
    x = harness.normals(harness.rng_of(case), case.x)
    harness.check_threads(compiled, forward(case, {}), (x,), what="avg_pool2d")
    dy = harness.normals(harness.rng_of(case), forward(case, {})(reference, x).shape)
    harness.check_threads(compiled, backward(case, {}), (dy,), what="avg_pool2d_backward")
    call = lambda o, a: o.adaptive_avg_pool2d_forward(a, (5, 7))  # noqa: E731
    harness.check_threads(compiled, call, (x,), what="adaptive_avg_pool2d")
    call = lambda o, a: o.adaptive_avg_pool2d_backward(a, (31, 30))  # noqa: E731
    harness.check_threads(compiled, call, (x,), what="adaptive_avg_pool2d_backward")


def test_nan_and_infinity_propagate(backend: Any) -> None:
    """Each position reaches exactly the windows that hold it."""
    case = Pool2d(1, 2, 4, 5, 3, 2, 1)
    rng = harness.rng_of("avg nan")
    x, dy = harness.normals(rng, case.x), harness.normals(rng, (1, 2, 2, 3))
    harness.check_nan_positions(backend, forward(case, {}), (x,), what="avg_pool2d")
    harness.check_nan_positions(backend, backward(case, {}), (dy,), what="avg_pool2d_backward")
    adaptive = lambda o, a: o.adaptive_avg_pool2d_forward(a, (3, 2))  # noqa: E731
    harness.check_nan_positions(backend, adaptive, (x,), what="adaptive_avg_pool2d")


@pytest.mark.parametrize("divisor", DIVISORS, ids=str)
def test_gradients(divisor: dict[str, Any]) -> None:
    """The reference's gradients against central differences."""
    case = Pool2d(2, 2, 5, 4, 3, 2, 1, 1, True)
    x = harness.normals(harness.rng_of("avg gradient"), case.x)
    harness.check_gradient(
        lambda a: forward(case, divisor)(reference, a),
        lambda dy, a: (backward(case, divisor)(reference, dy),),
        (x,),
        what=f"avg_pool2d {divisor}",
    )
    harness.check_gradient(
        lambda a: reference.adaptive_avg_pool2d_forward(a, (3, 3)),
        lambda dy, a: (reference.adaptive_avg_pool2d_backward(dy, (5, 4)),),
        (x,),
        what="adaptive_avg_pool2d",
    )


F32 = np.float32
X, DY = np.ones((2, 3, 6, 6), F32), np.ones((2, 3, 3, 3), F32)
FORWARD, BACKWARD = "avg_pool2d_forward", "avg_pool2d_backward"
ADAPT, ADAPT_BACK = "adaptive_avg_pool2d_forward", "adaptive_avg_pool2d_backward"
REJECTED = [
    *bad_arrays(FORWARD, (X,), ("x",), kernel_size=2),
    *bad_ranks(FORWARD, (X,), ("x",), kernel_size=2),
    *bad_pairs(FORWARD, (X,), "kernel_size", 1),
    *bad_pairs(FORWARD, (X,), "stride", 1, kernel_size=2),
    *bad_pairs(FORWARD, (X,), "padding", 0, kernel_size=2),
    Bad(FORWARD, ValueError, ("padding",), (X, 2), {"padding": 2}),
    Bad(FORWARD, ValueError, ("kernel_size", "7"), (X, 7)),
    Bad(FORWARD, ValueError, ("divisor_override", "0"), (X, 2), {"divisor_override": 0}),
    Bad(FORWARD, TypeError, ("divisor_override",), (X, 2), {"divisor_override": 1.5}),
    Bad(FORWARD, ValueError, ("x",), (np.ones((2, 3, 0, 6), F32), 2)),
    *bad_arrays(BACKWARD, (DY, 6, 2), ("dy",)),
    *bad_pairs(BACKWARD, (DY,), "input_size", 1, kernel_size=2),
    Bad(BACKWARD, ValueError, ("dy",), (DY, 8, 2)),
    Bad(BACKWARD, ValueError, ("divisor_override",), (DY, 6, 2), {"divisor_override": 0}),
    *bad_arrays(ADAPT, (X, 2), ("x",)),
    *bad_ranks(ADAPT, (X, 2), ("x",)),
    *bad_pairs(ADAPT, (X,), "output_size", 1),
    Bad(ADAPT, ValueError, ("x",), (np.ones((2, 3, 0, 6), F32), 2)),
    Bad(ADAPT, MemoryError, (), (X, 2**22)),
    *bad_arrays(ADAPT_BACK, (DY, 6), ("dy",)),
    *bad_pairs(ADAPT_BACK, (DY,), "input_size", 1),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError, with the op and the argument in the message."""
    harness.check_rejected(backend, bad, bad.op.rsplit("_", 1)[0])
