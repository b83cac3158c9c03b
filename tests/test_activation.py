"""Activations and their gradients: exact or within a few ulp, over the whole range of float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import harness
import neurona.reference as reference
from cases import LENGTHS
from harness import SMALLEST_DENORMAL, SMALLEST_NORMAL, Bad, U, bad_arrays


class Activation(NamedTuple):
    """One activation: its parameters, what its gradient starts from, the bounds of both passes."""

    name: str
    parameters: tuple[Any, ...]
    saves: str
    bound: Callable[[np.ndarray, np.ndarray], np.ndarray]
    gradient_bound: Callable[[np.ndarray], np.ndarray]

    def forward(self, ops: Any, x: Any) -> Any:
        """y."""
        return getattr(ops, f"{self.name}_forward")(x, *self.parameters)

    def backward(self, ops: Any, dy: Any, saved: Any) -> Any:
        """dx."""
        return getattr(ops, f"{self.name}_backward")(dy, saved, *self.parameters)

    def saved(self, x: np.ndarray) -> np.ndarray:
        """What the gradient takes: the input, or the output that belongs to it."""
        return x if self.saves == "x" else self.forward(reference, x)


def ulps(n: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """n ulp of the result, and denormals as good as their spacing allows."""
    return lambda x, y: 2 * n * U * np.abs(y) + SMALLEST_NORMAL


def rounded_once(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The bound of a product with a constant that is rounded to float32 first."""
    return 2 * U * np.abs(y) + SMALLEST_DENORMAL


def line_rounded(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The bound of a line of slope 1/6, cut off at 0 and 1: its rounding where it is not cut."""
    return 4 * U * np.minimum(np.abs(x) / 6 + 0.5, 2)


def of_input(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The bound of gelu and silu: 4 u max(|x|, 1)."""
    return 4 * U * np.maximum(np.abs(x), 1)


ACTIVATIONS = [
    Activation("relu", (), "y", lambda x, y: 0 * y, lambda s: 0 * s),
    Activation("leaky_relu", (), "x", rounded_once, lambda s: 2 * U + 0 * s),
    Activation("leaky_relu", (-0.5,), "x", rounded_once, lambda s: 0 * s),
    Activation("sigmoid", (), "y", ulps(4), lambda y: 4 * U * np.abs(y)),
    Activation("tanh", (), "y", ulps(4), lambda y: 4 * U * (1 + y * y)),
    Activation("gelu", (), "x", of_input, lambda x: 16 * U * np.maximum(np.abs(x), 1)),
    Activation("gelu", ("tanh",), "x", of_input, lambda x: 16 * U * np.maximum(np.abs(x), 1)),
    Activation("silu", (), "x", of_input, lambda x: 16 * U * np.maximum(np.abs(x), 1)),
    Activation("elu", (), "x", ulps(3), lambda x: 8 * U * np.exp(np.minimum(x, 0))),
    Activation("elu", (-0.5,), "x", ulps(3), lambda x: 8 * U * np.exp(np.minimum(x, 0))),
    Activation("hard_sigmoid", (), "x", lambda x, y: 2 * U + 0 * y, lambda x: 0 * x),
    Activation("hard_sigmoid", (1 / 6, 0.5), "x", line_rounded, lambda x: 2 * U + 0 * x),
    Activation("softplus", (), "x", ulps(3), lambda x: 8 * U + 0 * x),
    Activation("softplus", (2.0, 1e6), "x", ulps(3), lambda x: 8 * U + 0 * x),
]
EACH = pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: f"{a.name}{a.parameters}")

# Every 65,521st float32 (a prime, so that all mantissas turn up), without NaN and the infinities.
SWEEP = np.arange(0, 2**32, 65521, dtype=np.uint64).astype(np.uint32).view(np.float32)
SWEEP = SWEEP[np.isfinite(SWEEP)]


@EACH
def test_forward_over_the_range(backend: Any, activation: Activation) -> None:
    """65,000 numbers from all of float32, and 20,000 where the functions bend."""
    bend = harness.rng_of("bend").uniform(-12, 12, 20000).astype(np.float32)
    for x in (SWEEP, bend):
        # Beyond 1e18 the cube in gelu's tanh form overflows, and its gradient is 0 * inf.
        x = x[np.abs(x) < 1e18] if activation.saves == "x" else x
        (y,) = harness.truth(activation.forward, (x,))
        bounds = [activation.bound(x.astype(np.float64), y)]
        what = f"{activation.name}_forward {activation.parameters}"
        harness.check_within(backend, activation.forward, (x,), bounds, what=what)


@EACH
def test_backward(backend: Any, activation: Activation) -> None:
    """Random dy, at random inputs and near zero."""
    rng = harness.rng_of("activation backward")
    x = rng.uniform(-12, 12, 20000).astype(np.float32)
    x[::7] *= np.float32(1e-3)
    dy = harness.normals(rng, x.shape)
    saved = activation.saved(x)
    bound = np.abs(dy).astype(np.float64) * activation.gradient_bound(saved.astype(np.float64))
    what = f"{activation.name}_backward {activation.parameters}"
    bounds = [bound + SMALLEST_NORMAL * (bound > 0)]
    harness.check_within(backend, activation.backward, (dy, saved), bounds, what=what)


@EACH
def test_lengths_and_shapes(backend: Any, activation: Activation) -> None:
    """Tails of every length, 0-d, empty and 4-D arrays: the same numbers as one by one."""
    x = harness.normals(harness.rng_of("lengths"), (max(LENGTHS),)) * np.float32(3)
    x = x.copy()
    shapes = [(n,) for n in LENGTHS] + [(), (0,), (0, 3, 4, 5), (2, 3, 4, 5), (3, 17, 5, 1)]
    for shape in shapes:
        part = x[: int(np.prod(shape))].reshape(shape)
        (y,) = harness.truth(activation.forward, (part,))
        what = f"{activation.name}_forward {shape}"
        bounds = [activation.bound(part.astype(np.float64), y)]
        harness.check_within(backend, activation.forward, (part,), bounds, what=what)
        saved = activation.saved(part)
        slack = np.abs(part) * activation.gradient_bound(saved.astype(np.float64))
        call, what = activation.backward, f"{activation.name}_backward {shape}"
        harness.check_within(backend, call, (part, saved), [slack + 0.0], what=what)


@EACH
def test_layouts(backend: Any, activation: Activation) -> None:
    """Strides, alignment and byte order change no bit."""
    for shape in ((3, 19), (2, 5, 3, 4)):
        x = harness.normals(harness.rng_of("activation", shape), shape)
        dy = harness.normals(harness.rng_of("activation dy", shape), shape)
        what = f"{activation.name} {shape}"
        harness.check_layouts(backend, activation.forward, (x,), what=what)
        saved = activation.saved(x)
        harness.check_layouts(backend, activation.backward, (dy, saved), what=what)


@EACH
def test_aliased_inputs(backend: Any, activation: Activation) -> None:
    """dy and the saved array may be one."""
    x = harness.normals(harness.rng_of("aliased"), (37,))
    harness.check_aliased(backend, activation.backward, x, 2, what=activation.name)


@EACH
def test_thread_count_changes_no_bit(compiled: Any, activation: Activation) -> None:
    """1, 2, 3 and 8 threads cut the array at other places."""
    x = harness.normals(harness.rng_of("threads"), (300_007,))
    harness.check_threads(compiled, activation.forward, (x,), what=activation.name)
    harness.check_threads(compiled, activation.backward, (x[::-1].copy(), x), what=activation.name)


@EACH
def test_special_values(backend: Any, activation: Activation) -> None:
    """NaN stays NaN and zeros stay zeros; +inf and -inf go where the limits are."""
    x = np.array([np.nan, np.inf, 0.0, -0.0, 1e-42, -1e-42], np.float32)
    (y,) = harness.truth(activation.forward, (x,))
    bounds = [
        activation.bound(np.nan_to_num(x.astype(np.float64), posinf=1), np.nan_to_num(y, posinf=1))
    ]
    what = f"{activation.name}_forward {activation.parameters} special"
    harness.check_within(backend, activation.forward, (x,), bounds, what=what)
    if activation.name in ("relu", "leaky_relu", "sigmoid", "tanh"):
        x = np.array([-np.inf], np.float32)
        harness.check_within(backend, activation.forward, (x,), [4 * U], what=what)
    dy = np.array([np.nan, 1.0, 1.0], np.float32)
    saved = activation.saved(np.array([0.5, np.nan, 0.5], np.float32))
    dx = activation.backward(backend, dy, saved)
    assert np.isnan(dx[0]) and np.isfinite(dx[2]), f"{activation.name} on {backend}: {dx}"
    if activation.name in ("sigmoid", "tanh", "gelu", "silu", "elu", "softplus"):
        assert np.isnan(dx[1]), f"{activation.name} on {backend}: {dx}"


@EACH
def test_gradients(activation: Activation) -> None:
    """The reference's gradients against central differences."""
    x = harness.normals(harness.rng_of("activation gradient"), (5, 6)) * np.float32(2)

    def gradient(dy: Any, a: Any) -> Any:
        return (activation.backward(reference, dy, activation.saved(a)),)

    what = f"{activation.name} {activation.parameters}"
    harness.check_gradient(lambda a: activation.forward(reference, a), gradient, (x,), what=what)


X = np.ones((3, 4), np.float32)
NAMES = {a.name: a.saves for a in ACTIVATIONS}
REJECTED = [
    bad
    for name, saves in NAMES.items()
    for bad in (
        *bad_arrays(f"{name}_forward", (X,), ("x",)),
        *bad_arrays(f"{name}_backward", (X, X), ("dy", saves)),
        Bad(f"{name}_backward", ValueError, ("(3, 4)", "(2, 4)"), (X, X[:2])),
    )
] + [
    Bad("gelu_forward", ValueError, ("approximate", "exact"), (X, "exact")),
    Bad("gelu_backward", ValueError, ("approximate", "exact"), (X, X, "exact")),
    Bad("gelu_forward", TypeError, ("approximate",), (X, 1)),
    Bad("leaky_relu_forward", TypeError, ("negative_slope",), (X, "0.1")),
    Bad("leaky_relu_backward", TypeError, ("negative_slope",), (X, X, None)),
    Bad("leaky_relu_forward", ValueError, ("negative_slope",), (X, float("nan"))),
    Bad("elu_forward", TypeError, ("alpha",), (X, "1")),
    Bad("elu_backward", ValueError, ("alpha", "finite"), (X, X, float("inf"))),
    Bad("hard_sigmoid_forward", ValueError, ("slope", "> 0"), (X, 0)),
    Bad("hard_sigmoid_backward", ValueError, ("slope", "> 0"), (X, X, -1.0)),
    Bad("hard_sigmoid_forward", ValueError, ("shift",), (X, 1, float("nan"))),
    Bad("softplus_forward", ValueError, ("beta", "> 0"), (X, 0.0)),
    Bad("softplus_backward", ValueError, ("beta", "> 0"), (X, X, float("nan"))),
    Bad("softplus_forward", TypeError, ("threshold",), (X, 1.0, True)),
    Bad("softplus_backward", ValueError, ("threshold",), (X, X, 1.0, float("inf"))),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError, with the op and the argument in the message."""
    harness.check_rejected(backend, bad, bad.op.rsplit("_", 1)[0])
