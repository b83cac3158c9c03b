"""conv_transpose2d: forward and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import harness
import neurona.reference as reference
from cases import (
    CONV_TRANSPOSE2D,
    CONV_TRANSPOSE2D_EMPTY,
    CONV_TRANSPOSE2D_LARGE,
    CONV_TRANSPOSE2D_SMALLEST,
    ConvTranspose2d,
)
from harness import Bad, bad_arrays, bad_pairs, bad_ranks

DIRECTIONS = ("forward", "backward_data", "backward_weight")
EACH_DIRECTION = pytest.mark.parametrize("direction", DIRECTIONS)
CASES = pytest.mark.parametrize("case", [*CONV_TRANSPOSE2D, CONV_TRANSPOSE2D_LARGE], ids=str)


def calls(case: ConvTranspose2d) -> dict[str, Callable[..., Any]]:
    """The three passes of a case as functions of a backend and arrays."""
    kernel = (case.R, case.S)
    return {
        "forward": lambda o, x, w, b: o.conv_transpose2d_forward(x, w, b, **case.options),
        "backward_data": lambda o, dy, w: o.conv_transpose2d_backward_data(dy, w, **case.options),
        "backward_weight": lambda o, dy, x: o.conv_transpose2d_backward_weight(
            dy, x, kernel, **case.options
        ),
    }


def operands(make: Any, case: ConvTranspose2d) -> dict[str, tuple[np.ndarray, ...]]:
    """The arguments of the three passes, with a random dy."""
    rng = harness.rng_of(case)
    x, weight, bias = make(rng, case.x), make(rng, case.weight), make(rng, (case.K,))
    zeros = np.zeros(case.x), np.zeros(case.weight)
    dy = make(rng, reference.conv_transpose2d_forward(*zeros, **case.options).shape)
    return {"forward": (x, weight, bias), "backward_data": (dy, weight), "backward_weight": (dy, x)}


def terms(case: ConvTranspose2d, direction: str) -> tuple[int, ...]:
    """At most so many products lie behind one element of each result."""
    taps = case.R * case.S
    if direction == "forward":
        return (case.C // case.groups * taps + 1,)
    if direction == "backward_data":
        return (case.K // case.groups * taps,)
    pixels = case.N * case.H * case.W
    return pixels, pixels * taps


@CASES
@EACH_DIRECTION
def test_integers_are_exact(backend: Any, case: ConvTranspose2d, direction: str) -> None:
    """Every shape, every pass."""
    arrays = operands(harness.integers, case)[direction]
    what = f"conv_transpose2d_{direction} {case} seed={harness.seed_of(case)}"
    harness.check_exact(backend, calls(case)[direction], arrays, what=what)


@CASES
@EACH_DIRECTION
def test_random_data_within_the_bound(backend: Any, case: ConvTranspose2d, direction: str) -> None:
    """(2 sqrt(K) + 8) u S."""
    arrays = operands(harness.normals, case)[direction]
    what = f"conv_transpose2d_{direction} {case} seed={harness.seed_of(case)}"
    harness.check_linear(backend, calls(case)[direction], arrays, terms(case, direction), what=what)


@EACH_DIRECTION
def test_empty_batch(backend: Any, direction: str) -> None:
    """No sample gives an empty output and weight gradients of exact zeros."""
    case = CONV_TRANSPOSE2D_EMPTY
    arrays = operands(harness.integers, case)[direction]
    harness.check_exact(backend, calls(case)[direction], arrays, what=f"{direction} {case}")


def test_without_bias(backend: Any) -> None:
    """The bias may be missing, and its gradient may be left out."""
    case = CONV_TRANSPOSE2D[3]
    x, weight, bias = operands(harness.integers, case)["forward"]
    zero = np.zeros_like(bias)
    plain = backend.conv_transpose2d_forward(x, weight, **case.options)
    with_zero = backend.conv_transpose2d_forward(x, weight, zero, **case.options)
    harness.assert_exact(plain, with_zero, what=f"conv_transpose2d on {backend}")
    dy, x = operands(harness.integers, case)["backward_weight"]
    result = backend.conv_transpose2d_backward_weight(
        dy, x, (case.R, case.S), **case.options, with_bias=False
    )
    assert result[1] is None


@EACH_DIRECTION
def test_layouts(backend: Any, direction: str) -> None:
    """Strides, alignment and byte order change no bit, and the inputs stay."""
    case = ConvTranspose2d(2, 5, 4, 3, 6, 3, 2, 2, 1, 1)
    arrays = operands(harness.normals, case)[direction]
    what = f"conv_transpose2d_{direction} {case}"
    harness.check_layouts(backend, calls(case)[direction], arrays, what=what)


@EACH_DIRECTION
def test_thread_count_changes_no_bit(compiled: Any, direction: str) -> None:
    """1, 2, 3 and 8 threads."""
    case = CONV_TRANSPOSE2D_LARGE
    arrays = operands(harness.normals, case)[direction]
    what = f"conv_transpose2d_{direction} {case}"
    harness.check_threads(compiled, calls(case)[direction], arrays, what=what)


def test_aliased_inputs(backend: Any) -> None:
    """x may be the weight as well."""
    square = harness.normals(harness.rng_of("square transposed"), (3, 3, 4, 4))
    call = lambda o, x, w: o.conv_transpose2d_forward(x, w, stride=2)  # noqa: E731
    harness.check_aliased(backend, call, square, 2, what="conv_transpose2d")


@EACH_DIRECTION
def test_nan_and_infinity_propagate(backend: Any, direction: str) -> None:
    """Each position of each argument reaches exactly the outputs that depend on it."""
    case = ConvTranspose2d(1, 2, 2, 3, 2, 2, 2, 2)
    arrays = operands(harness.normals, case)[direction]
    what = f"conv_transpose2d_{direction} {case}"
    harness.check_nan_positions(backend, calls(case)[direction], arrays, what=what)


@pytest.mark.parametrize("case", CONV_TRANSPOSE2D_SMALLEST, ids=str)
def test_gradients(case: ConvTranspose2d) -> None:
    """The reference's gradients against central differences."""

    def backward(dy: Any, x: Any, weight: Any, bias: Any) -> Any:
        passes = calls(case)
        dx = passes["backward_data"](reference, dy, weight)
        return dx, *passes["backward_weight"](reference, dy, x)

    forward = lambda *arrays: calls(case)["forward"](reference, *arrays)  # noqa: E731
    arrays = operands(harness.normals, case)["forward"]
    harness.check_gradient(forward, backward, arrays, what=f"conv_transpose2d {case}")


F32 = np.float32
X, WEIGHT = np.ones((2, 4, 5, 6), F32), np.ones((4, 6, 3, 3), F32)
DY = np.ones((2, 6, 7, 8), F32)
FORWARD, DATA, WEIGHTS = (f"conv_transpose2d_{d}" for d in DIRECTIONS)
REJECTED = [
    *bad_arrays(FORWARD, (X, WEIGHT), ("x", "weight")),
    *bad_ranks(FORWARD, (X, WEIGHT), ("x", "weight")),
    *bad_pairs(FORWARD, (X, WEIGHT), "stride", 1),
    *bad_pairs(FORWARD, (X, WEIGHT), "padding", 0),
    *bad_pairs(FORWARD, (X, WEIGHT), "output_padding", 0),
    *bad_pairs(FORWARD, (X, WEIGHT), "dilation", 1),
    Bad(FORWARD, ValueError, ("output_padding", "1"), (X, WEIGHT), {"output_padding": 1}),
    Bad(
        FORWARD,
        ValueError,
        ("output_padding",),
        (X, WEIGHT),
        {"output_padding": (0, 2), "stride": 2},
    ),
    Bad(FORWARD, ValueError, ("weight", "4", "3"), (X, WEIGHT[:3])),
    Bad(FORWARD, ValueError, ("groups", "3"), (X, WEIGHT), {"groups": 3}),
    Bad(FORWARD, TypeError, ("groups",), (X, WEIGHT), {"groups": 2.0}),
    Bad(FORWARD, ValueError, ("groups",), (X, WEIGHT), {"groups": 0}),
    Bad(FORWARD, ValueError, ("padding",), (X, WEIGHT), {"padding": 4}),
    Bad(FORWARD, ValueError, ("weight",), (X, np.ones((4, 0, 3, 3), F32))),
    Bad(FORWARD, ValueError, ("x",), (np.ones((2, 4, 0, 6), F32), WEIGHT)),
    Bad(FORWARD, ValueError, ("bias", "6"), (X, WEIGHT, np.ones(4, F32))),
    Bad(FORWARD, MemoryError, (), (X, WEIGHT), {"stride": 2**22}),
    *bad_arrays(DATA, (DY, WEIGHT), ("dy", "weight")),
    Bad(DATA, ValueError, ("dy",), (DY[:, :5], WEIGHT)),
    Bad(DATA, ValueError, ("dy",), (DY, WEIGHT), {"stride": 3}),
    *bad_arrays(WEIGHTS, (DY, X), ("dy", "x"), kernel_size=3),
    *bad_pairs(WEIGHTS, (DY, X), "kernel_size", 1),
    Bad(WEIGHTS, ValueError, ("dy",), (DY, X, 2)),
    Bad(WEIGHTS, ValueError, ("dy",), (DY[:1], X, 3)),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError, with the op and the argument in the message."""
    harness.check_rejected(backend, bad, "conv_transpose2d")


def test_a_sample_does_not_depend_on_the_batch(compiled: Any) -> None:
    """64 channels on 8x8 pixels: few tiles for Winograd alone, enough in the batch."""
    rng = harness.rng_of("transposed batch")
    x, weight = harness.normals(rng, (16, 64, 8, 8)), harness.normals(rng, (64, 64, 3, 3))
    together = compiled.conv_transpose2d_forward(x, weight, padding=1)
    alone = compiled.conv_transpose2d_forward(x[3:4].copy(), weight, padding=1)
    harness.assert_same_bits(alone, together[3:4], what=f"transposed sample on {compiled}")
