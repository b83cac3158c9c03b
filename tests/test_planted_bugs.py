"""The harness itself: faults of the kind that kernels have must not get past it."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import harness
import neurona.reference as reference

SHAPE_X, SHAPE_WEIGHT = (2, 20, 9, 8), (17, 20, 3, 3)
Forward = Callable[..., np.ndarray]


def honest(x: Any, weight: Any, bias: Any, *, padding: int) -> np.ndarray:
    """The right convolution."""
    return reference.conv2d_forward(x, weight, bias, padding=padding)


def last_term_dropped(x: Any, weight: Any, bias: Any, *, padding: int) -> np.ndarray:
    """A loop over K that ends one step early."""
    short = weight.copy()
    short[:, -1, -1, -1] = 0
    return honest(x, short, bias, padding=padding)


def bias_twice(x: Any, weight: Any, bias: Any, *, padding: int) -> np.ndarray:
    """The epilogue of two blocks of K both add the bias."""
    return honest(x, weight, 2 * bias, padding=padding)


def bias_forgotten(x: Any, weight: Any, bias: Any, *, padding: int) -> np.ndarray:
    """No block adds the bias."""
    return honest(x, weight, None, padding=padding)


def tail_lane_garbage(x: Any, weight: Any, bias: Any, *, padding: int) -> np.ndarray:
    """The 17th output channel keeps what was in memory."""
    y = honest(x, weight, bias, padding=padding)
    y[:, 16, -1, -1] = y[:, 15, -1, -1]
    return y


def rows_swapped(x: Any, weight: Any, bias: Any, *, padding: int) -> np.ndarray:
    """Two rows of a tile are stored in each other's place."""
    y = honest(x, weight, bias, padding=padding)
    y[:, :, [3, 4]] = y[:, :, [4, 3]]
    return y


def stale_accumulator(x: Any, weight: Any, bias: Any, *, padding: int) -> np.ndarray:
    """A tile starts with the sums of the one before."""
    y = honest(x, weight, bias, padding=padding)
    y[1, :, 0, 0] += y[0, :, -1, -1]
    return y


def padding_off_by_one(x: Any, weight: Any, bias: Any, *, padding: int) -> np.ndarray:
    """The border reads the neighbouring row instead of zeros."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)), mode="edge")
    return honest(padded, weight, bias, padding=0)


def kernel_flipped(x: Any, weight: Any, bias: Any, *, padding: int) -> np.ndarray:
    """A true convolution instead of a correlation."""
    return honest(x, weight[:, :, ::-1, ::-1], bias, padding=padding)


def one_channel_twice(x: Any, weight: Any, bias: Any, *, padding: int) -> np.ndarray:
    """The seam between two blocks of K is counted on both sides."""
    doubled = weight.copy()
    doubled[:, 10, 1, 1] *= 2
    return honest(x, doubled, bias, padding=padding)


def pixel_not_written(x: Any, weight: Any, bias: Any, *, padding: int) -> np.ndarray:
    """One output is left as NaN, as fresh memory may be."""
    y = honest(x, weight, bias, padding=padding)
    y[1, 5, 3, 2] = np.nan
    return y


def zeroed(x: Any, weight: Any, bias: Any, *, padding: int) -> np.ndarray:
    """Nothing is computed at all."""
    return np.zeros_like(honest(x, weight, bias, padding=padding))


def half_precision_sums(x: Any, weight: Any, bias: Any, *, padding: int) -> np.ndarray:
    """Products rounded to 11 bits: right on small integers, wrong on anything else."""
    rounded = (np.float16(a).astype(x.dtype) for a in (x, weight, bias))
    return honest(*rounded, padding=padding)


FAULTS: list[Forward] = [
    last_term_dropped,
    bias_twice,
    bias_forgotten,
    tail_lane_garbage,
    rows_swapped,
    stale_accumulator,
    padding_off_by_one,
    kernel_flipped,
    one_channel_twice,
    pixel_not_written,
    zeroed,
]


def call(ops: Any, x: Any, weight: Any, bias: Any) -> Any:
    """The convolution that all faults imitate."""
    return ops.conv2d_forward(x, weight, bias, padding=1)


def operands(make: Any) -> tuple[np.ndarray, ...]:
    """x, weight and bias."""
    rng = harness.rng_of("planted bugs")
    return make(rng, SHAPE_X), make(rng, SHAPE_WEIGHT), make(rng, SHAPE_WEIGHT[:1])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_faults_are_caught(fault: Forward) -> None:
    """On integers and within the bound for random data alike."""
    broken = SimpleNamespace(conv2d_forward=fault)
    with pytest.raises(AssertionError):
        harness.check_exact(broken, call, operands(harness.integers), what="planted")
    with pytest.raises(AssertionError):
        harness.check_linear(broken, call, operands(harness.normals), 181, what="planted")


def test_lost_precision_is_caught() -> None:
    """Integers cannot show it, the bound on random data does."""
    broken = SimpleNamespace(conv2d_forward=half_precision_sums)
    harness.check_exact(broken, call, operands(harness.integers), what="planted")
    with pytest.raises(AssertionError):
        harness.check_linear(broken, call, operands(harness.normals), 181, what="planted")


def test_the_right_convolution_passes() -> None:
    """The checks accept what is right."""
    right = SimpleNamespace(conv2d_forward=honest)
    harness.check_exact(right, call, operands(harness.integers), what="planted")
    harness.check_linear(right, call, operands(harness.normals), 181, what="planted")


def test_layout_dependence_and_written_inputs_are_caught() -> None:
    """A kernel that sums in memory order, and one that writes into its input."""

    def in_memory_order(x: np.ndarray) -> np.ndarray:
        return np.add.accumulate(x.ravel(order="K"))[-1:].copy()

    def destructive(x: np.ndarray) -> np.ndarray:
        y = x.copy()
        if x.flags.writeable:
            x[...] = 0
        return y

    x = harness.normals(harness.rng_of("layouts"), (5, 6, 7))
    for function in (in_memory_order, destructive):
        with pytest.raises(AssertionError):
            harness.check_layouts(None, lambda _, a, f=function: f(a), (x,), what="planted")


def test_a_gradient_wrong_by_a_fifth_of_a_percent_is_caught() -> None:
    """Central differences are accurate enough for that."""
    x = harness.normals(harness.rng_of("gradient"), (3, 4))

    def backward(dy: Any, a: Any) -> Any:
        return (1.002 * reference.softmax_backward(dy, reference.softmax_forward(a, 1), 1),)

    with pytest.raises(AssertionError):
        harness.check_gradient(
            lambda a: reference.softmax_forward(a, 1), backward, (x,), what="planted"
        )
