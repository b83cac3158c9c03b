"""Batch normalisation: training, evaluation, running statistics and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import harness
import neurona.reference as reference
from cases import BATCH_NORM, BATCH_NORM_LARGE
from compare import assert_close, assert_exact, assert_same_bits
from harness import Bad, U, bad_arrays

EPS = 1e-5
CASES = pytest.mark.parametrize("shape", [*BATCH_NORM, BATCH_NORM_LARGE], ids=str)
MODES = pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])


def operands(shape: tuple[int, ...], mean: float = 0.0) -> tuple[np.ndarray, ...]:
    """x, weight, bias, running mean, running variance."""
    rng = harness.rng_of("batch_norm", shape)
    c = shape[1]
    x = harness.normals(rng, shape) + np.float32(mean)
    variance = rng.uniform(0.5, 2, c).astype(np.float32)
    return x, *(harness.normals(rng, (c,)) for _ in range(3)), variance


def forward(training: bool) -> Any:
    """Forward as a function that returns y, mean, invstd and the updated running statistics."""

    def call(ops: Any, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any) -> Any:
        running = np.array(running_mean, copy=True), np.array(running_var, copy=True)
        return *ops.batch_norm_forward(
            x, weight, bias, *running, training=training, eps=EPS
        ), *running

    return call


def backward(training: bool) -> Any:
    """Backward as a function of a backend and arrays."""
    return lambda ops, dy, x, weight, mean, invstd: ops.batch_norm_backward(
        dy, x, weight, mean, invstd, training=training
    )


def by_channel(values: np.ndarray, ndim: int) -> np.ndarray:
    """Values per channel, shaped to broadcast against x."""
    return values.reshape(1, -1, *[1] * (ndim - 2))


def forward_bounds(arrays: tuple[np.ndarray, ...], training: bool) -> list[np.ndarray]:
    """Bounds of y, mean, invstd and running statistics: the errors of a two-pass algorithm."""
    x, weight, bias, running_mean, running_var = (a.astype(np.float64) for a in arrays)
    axes = tuple(a for a in range(x.ndim) if a != 1)
    count = x.size // x.shape[1]
    grade = (2 * np.sqrt(count) + 8) * U if training else 2 * U
    mean = x.mean(axes) if training else running_mean
    variance = x.var(axes) if training else running_var
    invstd = 1 / np.sqrt(variance + EPS)
    mean_error = grade * np.abs(x).mean(axes) if training else np.zeros_like(mean)
    # The mean's own error enters the variance squared.
    spread = by_channel(mean_error, x.ndim) + 4 * U * by_channel(np.abs(mean), x.ndim)
    xhat = np.abs(x - by_channel(mean, x.ndim)) * by_channel(invstd, x.ndim)
    noise = spread * by_channel(invstd, x.ndim) + (grade + 8 * U) * xhat
    y = np.abs(by_channel(weight, x.ndim)) * noise + 2 * U * np.abs(by_channel(bias, x.ndim))
    running = 4 * U * np.abs(running_mean) + 0.1 * mean_error + 4 * U * np.abs(mean)
    running_v = 4 * U * running_var + 0.2 * (grade + 4 * U) * variance + mean_error**2
    return [y, mean_error + 2 * U * np.abs(mean), (grade + 4 * U) * invstd, running, running_v]


@CASES
@MODES
@pytest.mark.parametrize("mean", [0.0, 1000.0])
def test_forward(backend: Any, shape: tuple[int, ...], training: bool, mean: float) -> None:
    """Also at a mean of a thousand standard deviations, where one-pass variances fail."""
    arrays = operands(shape, mean)
    what = f"batch_norm {shape} training={training} mean={mean}"
    bounds = forward_bounds(arrays, training)
    harness.check_within(backend, forward(training), arrays, bounds, what=what)


@CASES
@MODES
def test_backward(backend: Any, shape: tuple[int, ...], training: bool) -> None:
    """dx, dweight and dbias for a random dy."""
    arrays = operands(shape)
    x, weight = arrays[:2]
    dy = harness.normals(harness.rng_of("batch_norm dy", shape), shape)
    _, mean, invstd = forward(training)(reference, *arrays)[:3]
    m, s, w = (np.abs(by_channel(a.astype(np.float64), x.ndim)) for a in (mean, invstd, weight))
    axes = tuple(a for a in range(x.ndim) if a != 1)
    count = x.size // x.shape[1]
    xhat = (np.abs(x - by_channel(mean, x.ndim)) + m) * s
    sum_dy, sum_dy_xhat = np.abs(dy).sum(axes, dtype=np.float64), (np.abs(dy) * xhat).sum(axes)
    total = np.abs(dy).astype(np.float64)
    if training:
        total = (
            total + (by_channel(sum_dy, x.ndim) + xhat * by_channel(sum_dy_xhat, x.ndim)) / count
        )
    grade = (2 * np.sqrt(count) + 16) * U
    bounds = [grade * w * s * total, grade * sum_dy_xhat, grade * sum_dy]
    what = f"batch_norm_backward {shape} training={training}"
    harness.check_within(
        backend, backward(training), (dy, x, weight, mean, invstd), bounds, what=what
    )


def test_optional_arguments(backend: Any) -> None:
    """No weight is a weight of 1, no bias a bias of 0, and training needs no running statistics."""
    x, _, _, running_mean, running_var = operands((5, 17, 3, 3))
    one, zero = np.ones(17, np.float32), np.zeros(17, np.float32)
    for training in (True, False):
        running = running_mean.copy(), running_var.copy()
        with_arrays = backend.batch_norm_forward(x, one, zero, *running, training=training)
        running = running_mean.copy(), running_var.copy()
        without = backend.batch_norm_forward(x, None, None, *running, training=training)
        for a, b in zip(with_arrays, without, strict=True):
            assert_exact(a, b, what=f"batch_norm training={training} on {backend}")
        _, mean, invstd = without
        arguments = x, one, mean, invstd
        full = backend.batch_norm_backward(x, *arguments, training=training)
        bare = backend.batch_norm_backward(x, x, None, mean, invstd, training=training)
        for a, b in zip(full, bare, strict=True):
            assert_exact(a, b, what=f"batch_norm_backward training={training} on {backend}")
    bare = backend.batch_norm_forward(x, None, None, None, None, training=True)
    assert_same_bits(
        bare[0],
        backend.batch_norm_forward(x, None, None, running_mean, running_var, training=True)[0],
        what=f"batch_norm on {backend}",
    )


@CASES
@MODES
def test_a_relu_in_the_same_pass(backend: Any, shape: tuple[int, ...], training: bool) -> None:
    """The bits of batch norm and relu one after the other, forward and backward, NaN included."""
    x, weight, bias, *running = operands(shape)
    x.flat[:1] = np.nan
    dy = harness.normals(harness.rng_of("batch_norm relu", shape), shape)
    runs = []
    for relu in (False, True):
        statistics = [running[0].copy(), running[1].copy()]
        runs.append(
            backend.batch_norm_forward(x, weight, bias, *statistics, training=training, relu=relu)
        )
    (y, mean, invstd), fused = runs
    for a, b in zip((backend.relu_forward(y), mean, invstd), fused, strict=True):
        assert_same_bits(b, a, what=f"batch_norm+relu {shape} on {backend}")
    gated = backend.relu_backward(dy, fused[0])
    arguments = x, weight, mean, invstd
    apart = backend.batch_norm_backward(gated, *arguments, training=training)
    together = backend.batch_norm_backward(dy, *arguments, training=training, y=fused[0])
    for a, b in zip(apart, together, strict=True):
        assert_same_bits(b, a, what=f"batch_norm_backward+relu {shape} on {backend}")


def test_evaluation_changes_no_statistics(backend: Any) -> None:
    """Running statistics are updated in training alone, with the momentum given."""
    x, weight, bias, running_mean, running_var = operands((4, 3, 5))
    before = running_mean.copy(), running_var.copy()
    backend.batch_norm_forward(x, weight, bias, running_mean, running_var, training=False)
    assert_same_bits(running_mean, before[0], what="running_mean")
    assert_same_bits(running_var, before[1], what="running_var")
    arrays = x, weight, bias, running_mean, running_var
    backend.batch_norm_forward(*arrays, training=True, momentum=0.0)
    assert_exact(running_mean, before[0], what="running_mean")
    backend.batch_norm_forward(*arrays, training=True, momentum=1.0)
    wide = x.astype(np.float64)
    assert_close(running_mean, wide.mean((0, 2)), 40 * U, what="running_mean")
    assert_close(running_var, wide.var((0, 2), ddof=1), 80 * U, what="running_var")


def test_constant_channel_and_empty_batch(backend: Any) -> None:
    """A variance of 0 gives the bias; an empty batch changes nothing."""
    x, weight, bias, running_mean, running_var = operands((4, 3, 5))
    x[...] = 7
    y, mean, invstd = backend.batch_norm_forward(x, weight, bias, None, None, training=True)
    assert_exact(y, np.broadcast_to(bias[:, None], x.shape), what=f"batch_norm on {backend}")
    assert_exact(mean, np.full(3, 7.0), what=f"batch_norm on {backend}")
    before = running_mean.copy(), running_var.copy()
    for training in (True, False):
        running = running_mean, running_var
        y, mean, invstd = backend.batch_norm_forward(
            x[:0], weight, bias, *running, training=training
        )
        assert y.shape == (0, 3, 5)
        dx, dweight, dbias = backend.batch_norm_backward(
            x[:0], x[:0], weight, mean, invstd, training=training
        )
        assert dx.shape == (0, 3, 5)
        assert_exact(dweight, np.zeros(3), what=f"batch_norm_backward on {backend}")
        assert_exact(dbias, np.zeros(3), what=f"batch_norm_backward on {backend}")
    assert_same_bits(running_mean, before[0], what=f"running_mean on {backend}")
    assert_same_bits(running_var, before[1], what=f"running_var on {backend}")


@MODES
@pytest.mark.parametrize("shape", [(6, 5), (4, 5, 3), (3, 17, 3, 4)], ids=str)
def test_layouts(backend: Any, shape: tuple[int, ...], training: bool) -> None:
    """Strides, alignment and byte order of every input change no bit."""
    arrays = operands(shape)
    running = arrays[3:]
    harness.check_layouts(
        backend,
        lambda o, *a: forward(training)(o, *a, *running),
        arrays[:3],
        what=f"batch_norm {shape}",
    )
    dy = harness.normals(harness.rng_of("batch_norm dy", shape), shape)
    _, mean, invstd = forward(training)(reference, *arrays)[:3]
    inputs = (dy, *arrays[:2], mean, invstd)
    what = f"batch_norm_backward {shape}"
    harness.check_layouts(backend, backward(training), inputs, what=what)


@MODES
def test_thread_count_changes_no_bit(compiled: Any, training: bool) -> None:
    """1, 2, 3 and 8 threads."""
    for shape in (BATCH_NORM_LARGE, (3000, 20), (40, 20, 300)):
        arrays = operands(shape)
        harness.check_threads(compiled, forward(training), arrays, what=f"batch_norm {shape}")
        dy = harness.normals(harness.rng_of("batch_norm dy", shape), shape)
        _, mean, invstd = forward(training)(reference, *arrays)[:3]
        inputs = (dy, *arrays[:2], mean, invstd)
        what = f"batch_norm_backward {shape}"
        harness.check_threads(compiled, backward(training), inputs, what=what)


@MODES
def test_nan_stays_in_its_channel(backend: Any, training: bool) -> None:
    """NaN and infinities reach their own channel and no other."""
    arrays = operands((3, 2, 2, 2))
    call = forward(training)
    harness.check_nan_positions(backend, call, arrays, what="batch_norm", spoil=(0, 2))
    arrays[1][1] = np.nan
    y = call(backend, *arrays)[0]
    expected = np.zeros(y.shape, bool)
    expected[:, 1] = True
    assert_exact(np.isnan(y), expected, what=f"batch_norm nan in weight on {backend}")


@MODES
@pytest.mark.parametrize("shape", [(4, 2), (2, 2, 3)], ids=str)
def test_gradients(shape: tuple[int, ...], training: bool) -> None:
    """The reference's gradients against central differences."""
    x, weight, bias, mean, variance = operands(shape)
    running = mean.astype(np.float64), variance.astype(np.float64)

    def call(*arrays: Any) -> Any:
        copies = running[0].copy(), running[1].copy()
        return reference.batch_norm_forward(*arrays, *copies, training=training)

    def gradient(dy: Any, x: Any, weight: Any, bias: Any) -> Any:
        _, used_mean, invstd = call(x, weight, bias)
        return reference.batch_norm_backward(dy, x, weight, used_mean, invstd, training=training)

    what = f"batch_norm {shape} training={training}"
    harness.check_gradient(lambda *a: call(*a)[0], gradient, (x, weight, bias), what=what)


F32 = np.float32
X, C4 = np.ones((3, 4, 5), F32), np.ones(4, F32)
FORWARD, BACKWARD = "batch_norm_forward", "batch_norm_backward"
READ_ONLY = np.broadcast_to(F32(1), (4,))
TRAIN, EVAL = {"training": True}, {"training": False}


def with_argument(position: int, value: Any) -> tuple[Any, ...]:
    """A good call with one argument replaced."""
    arguments = [X, C4, C4, C4.copy(), C4.copy()]
    arguments[position] = value
    return tuple(arguments)


NAMES = ("x", "weight", "bias", "running_mean", "running_var")
REJECTED = [
    *bad_arrays(FORWARD, (X, None, None, None, None), ("x",), **TRAIN),
    *[
        Bad(FORWARD, TypeError, (n, "float64"), with_argument(i, np.ones(4)), TRAIN)
        for i, n in enumerate(NAMES)
        if i
    ],
    *[
        Bad(FORWARD, ValueError, (n, "4", "5"), with_argument(i, np.ones(5, F32)), TRAIN)
        for i, n in enumerate(NAMES)
        if i
    ],
    *[
        Bad(FORWARD, ValueError, ("x",), with_argument(0, np.ones(s, F32)), TRAIN)
        for s in ((4,), (2, 4, 2, 2, 2), (2, 0, 3), (2, 4, 0))
    ],
    Bad(
        FORWARD,
        ValueError,
        ("more than 1 value per channel", "(1, 4)"),
        with_argument(0, np.ones((1, 4), F32)),
        TRAIN,
    ),
    Bad(
        FORWARD,
        ValueError,
        ("more than 1 value per channel",),
        with_argument(0, np.ones((1, 4, 1, 1), F32)),
        TRAIN,
    ),
    Bad(FORWARD, ValueError, ("running_mean",), with_argument(3, READ_ONLY), TRAIN),
    Bad(FORWARD, ValueError, ("running_var",), with_argument(4, READ_ONLY), TRAIN),
    Bad(FORWARD, ValueError, ("running_var",), with_argument(4, -C4), EVAL),
    Bad(FORWARD, ValueError, ("running_mean",), (X, C4, C4, None, None), EVAL),
    *[
        Bad(FORWARD, ValueError, ("eps",), with_argument(0, X), {**TRAIN, "eps": e})
        for e in (0.0, -1.0, float("nan"))
    ],
    *[
        Bad(FORWARD, ValueError, ("momentum",), with_argument(0, X), {**TRAIN, "momentum": m})
        for m in (2.0, -0.1, float("nan"))
    ],
    Bad(FORWARD, TypeError, ("momentum",), with_argument(0, X), {**TRAIN, "momentum": "0.1"}),
    Bad(FORWARD, TypeError, ("eps",), with_argument(0, X), {**TRAIN, "eps": None}),
    *bad_arrays(BACKWARD, (X, X, None, C4, C4), ("dy", "x"), **TRAIN),
    Bad(BACKWARD, ValueError, ("dy",), (X[:2], X, C4, C4, C4), TRAIN),
    Bad(BACKWARD, ValueError, ("mean",), (X, X, C4, C4[:3], C4), TRAIN),
    Bad(BACKWARD, ValueError, ("invstd",), (X, X, C4, C4, C4[:3]), TRAIN),
    Bad(BACKWARD, TypeError, ("mean",), (X, X, C4, None, C4), TRAIN),
    Bad(BACKWARD, ValueError, ("y",), (X, X, C4, C4, C4), {**TRAIN, "y": X[:2]}),
    Bad(BACKWARD, TypeError, ("y",), (X, X, C4, C4, C4), {**TRAIN, "y": X.astype(int)}),
    Bad(BACKWARD, TypeError, ("y",), (X, X, C4, C4, C4), {**TRAIN, "y": "relu"}),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError, with the op and the argument in the message."""
    harness.check_rejected(backend, bad, "batch_norm")
