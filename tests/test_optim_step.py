"""sgd_step and adam_step: one step against float64, in place, over lists of arrays."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import harness
from cases import LENGTHS
from compare import assert_close, assert_exact, assert_same_bits
from harness import SMALLEST_NORMAL, Bad, U

SHAPES: list[tuple[int, ...]] = [*[(n,) for n in LENGTHS], (3, 19), (4, 3, 5, 2), (), (0, 3)]

SGD: list[dict[str, Any]] = [
    {"lr": 0.1},
    {"lr": 0.1, "weight_decay": 0.01},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.1, "momentum": 0.9, "first": True, "dampening": 0.5},
    {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1, "maximize": True},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True, "first": True},
    {"lr": 0.0},
]
ADAM: list[dict[str, Any]] = [
    {"lr": 1e-3, "step": 1},
    {"lr": 1e-3, "step": 7, "beta1": 0.7, "beta2": 0.9, "eps": 1e-3},
    {"lr": 1e-2, "step": 2, "weight_decay": 0.1},
    {"lr": 1e-2, "step": 100_000, "weight_decay": 0.1, "decoupled": True},
    {"lr": 1e-2, "step": 3, "maximize": True},
    {"lr": 1e-2, "step": 3, "amsgrad": True},
    {"lr": 1e-2, "step": 3, "amsgrad": True, "decoupled": True, "weight_decay": 0.2},
]


def state(shapes: list[tuple[int, ...]], lists: int) -> list[list[np.ndarray]]:
    """params, grads, first moments, and non-negative second moments."""
    rng = harness.rng_of("optimizer", shapes)
    made = [[harness.normals(rng, s) for s in shapes] for _ in range(lists)]
    made[3:] = [[np.asarray(np.square(a)) for a in arrays] for arrays in made[3:]]
    return made


def sgd(options: dict[str, Any]) -> Any:
    """The step as a function of a backend and arrays: works on copies, returns all it updated."""

    def call(ops: Any, *arrays: np.ndarray) -> Any:
        n = len(arrays) // 3
        params, buffers = ([a.copy() for a in part] for part in (arrays[:n], arrays[2 * n :]))
        momentum = options.get("momentum", 0.0)
        ops.sgd_step(params, list(arrays[n : 2 * n]), buffers if momentum else None, **options)
        return *params, *buffers

    return call


def adam(options: dict[str, Any]) -> Any:
    """The same for adam_step; the last list is amsgrad's."""
    plain = {k: v for k, v in options.items() if k != "amsgrad"}

    def call(ops: Any, *arrays: np.ndarray) -> Any:
        n = len(arrays) // 5
        parts = [[a.copy() for a in arrays[i * n : (i + 1) * n]] for i in range(5)]
        params, _, first, second, largest = parts
        grads = list(arrays[n : 2 * n])
        if options.get("amsgrad"):
            plain["max_exp_avg_sqs"] = largest
        ops.adam_step(params, grads, first, second, **plain)
        return *params, *first, *second, *largest

    return call


@pytest.mark.parametrize("options", SGD, ids=str)
def test_sgd(backend: Any, options: dict[str, Any]) -> None:
    """16 u times the absolute terms, for every length and rank at once."""
    params, grads, buffers = state(SHAPES, 3)
    decay, momentum = options.get("weight_decay", 0.0), options.get("momentum", 0.0)
    sizes = []
    for p, g, b in zip(params, grads, buffers, strict=True):
        gradient = np.abs(g) + decay * np.abs(p)
        buffer = momentum * np.abs(b) + gradient
        sizes.append((np.abs(p) + options["lr"] * (gradient + buffer), buffer + np.abs(b)))
    bounds = [
        16 * U * np.asarray(s, np.float64) for s in itertools.chain(*zip(*sizes, strict=True))
    ]
    arrays = [*params, *grads, *buffers]
    harness.check_within(backend, sgd(options), arrays, bounds, what=f"sgd_step {options}")


@pytest.mark.parametrize("options", ADAM, ids=str)
def test_adam(backend: Any, options: dict[str, Any]) -> None:
    """16 u times the absolute terms, for every length and rank at once."""
    params, grads, first, second, largest = state(SHAPES, 5)
    arrays = [*params, *grads, *first, *second, *largest]
    expected = harness.truth(adam(options), arrays)
    n, decay = len(SHAPES), options.get("weight_decay", 0.0)
    beta1, beta2 = options.get("beta1", 0.9), options.get("beta2", 0.999)
    bounds: list[list[Any]] = [[], [], [], []]
    for i, (p, g, m, v) in enumerate(zip(params, grads, first, second, strict=True)):
        gradient = np.abs(g).astype(np.float64) + decay * np.abs(p)
        m_size = beta1 * np.abs(m) + (1 - beta1) * gradient
        v_size = beta2 * v + (1 - beta2) * gradient**2
        # A step is lr m / denominator: it has the error of m's terms and that of sqrt(v).
        spread = m_size / np.maximum(np.abs(expected[n + i]), SMALLEST_NORMAL)
        move = np.abs(expected[i] - p) + options["lr"] * decay * np.abs(p)
        slack = U * v_size / np.maximum(expected[2 * n + i], SMALLEST_NORMAL)
        bounds[0].append(16 * U * np.abs(p) + 16 * U * move * (1 + spread) + move * 8 * slack)
        bounds[1].append(16 * U * m_size)
        bounds[2].append(16 * U * v_size)
        bounds[3].append(16 * U * v_size if options.get("amsgrad") else 0 * v_size)
    flat = [np.asarray(b) for b in itertools.chain(*bounds)]
    harness.check_within(backend, adam(options), arrays, flat, what=f"adam_step {options}")


def test_the_look_ahead_point_of_nesterov(backend: Any) -> None:
    """Half theta squared from 1 with lr 0.1 and momentum 0.9, worked out by hand."""
    p, buffer = np.array([1.0], np.float32), np.zeros(1, np.float32)
    for i, wanted in enumerate((0.81, 0.5751, 0.327321, 0.093888, -0.104582)):
        options = {"lr": 0.1, "momentum": 0.9, "nesterov": True, "first": i == 0}
        backend.sgd_step([p], [p.copy()], [buffer], **options)
        assert_close(p, np.array([wanted]), 1e-6, what=f"sgd_step nesterov {i} on {backend}")


def test_the_first_adam_step_is_lr_times_the_sign(backend: Any) -> None:
    """With zero moments the bias corrections cancel all but the sign of the gradient."""
    g = np.array([4.0, -0.25, 1e-3, -1e3], np.float32)
    p, m, v = np.ones(4, np.float32), np.zeros(4, np.float32), np.zeros(4, np.float32)
    backend.adam_step([p], [g], [m], [v], step=1, lr=0.5)
    assert_close(p, 1 - 0.5 * np.sign(g).astype(np.float64), 1e-4, what=f"adam_step on {backend}")


def test_gradients_are_not_written(backend: Any) -> None:
    """Only params and state change; the layout of the gradients does not matter."""
    params, grads, buffers = state([(4, 5)], 3)
    expected = sgd(SGD[4])(backend, params[0], grads[0], buffers[0])
    for name, view in harness.layouts(grads[0]):
        before = view.tobytes()
        got = sgd(SGD[4])(backend, params[0], view, buffers[0])
        for a, b in zip(got, expected, strict=True):
            assert_same_bits(a, b, what=f"sgd_step {name} on {backend}")
        assert view.tobytes() == before, name


def test_channels_last_parameters(backend: Any) -> None:
    """Parameters and state may have different dense layouts: elements still meet their own."""
    params, grads, first, second, _ = state([(4, 3, 5, 2)], 5)
    expected = [params[0].copy(), first[0].copy(), second[0].copy()]
    backend.adam_step(expected[:1], grads, expected[1:2], expected[2:], step=1, lr=0.1)
    last = np.moveaxis(np.moveaxis(params[0], 1, -1).copy(), -1, 1)
    m, v = first[0].copy(), second[0].copy()
    backend.adam_step([last], grads, [m], [v], step=1, lr=0.1)
    for got, wanted in zip((last, m, v), expected, strict=True):
        assert_exact(np.ascontiguousarray(got), wanted, what=f"adam_step layouts on {backend}")


def test_nan_and_infinity_propagate(backend: Any) -> None:
    """A NaN gradient spoils its own element alone."""
    params, grads, buffers = state([(3, 6)], 3)
    arrays = params[0], grads[0], buffers[0]
    call = sgd({"lr": 0.1, "momentum": 0.9})
    harness.check_nan_positions(backend, call, arrays, what="sgd_step")
    moments = *arrays, np.square(params[0]), np.square(grads[0])
    call = adam({"lr": 0.1, "step": 2, "amsgrad": True})
    harness.check_nan_positions(backend, call, moments, what="adam_step", spoil=(0, 1))


def test_each_parameter_as_if_alone(backend: Any) -> None:
    """More parameters than one launch of a device takes, some of them at odd places in memory."""
    lists = state([(i % 9 + 1,) for i in range(150)], 4)
    for arrays in lists:
        arrays[::4] = [np.append(np.float32(0), a)[1:] for a in arrays[::4]]
    alone = [[a.copy() for a in arrays] for arrays in lists]
    backend.adam_step(*lists, step=2, lr=0.1, weight_decay=0.1)
    for i in range(150):
        backend.adam_step(*[[arrays[i]] for arrays in alone], step=2, lr=0.1, weight_decay=0.1)
    for got, wanted in zip(itertools.chain(*lists), itertools.chain(*alone), strict=True):
        assert_same_bits(got, wanted, what=f"adam_step of many on {backend}")


def test_thread_count_changes_no_bit(compiled: Any) -> None:
    """1, 2, 3 and 8 threads, over large and small arrays together."""
    shapes: list[tuple[int, ...]] = [(200_003,), (7,), (300, 500)]
    params, grads, first, second, largest = state(shapes, 5)
    sgd_arrays = [*params, *grads, *first]
    harness.check_threads(compiled, sgd(SGD[5]), sgd_arrays, what="sgd_step")
    arrays = [*params, *grads, *first, *second, *largest]
    harness.check_threads(compiled, adam(ADAM[6]), arrays, what="adam_step")


def test_empty_lists_are_no_work(backend: Any) -> None:
    """No parameter, no step, no error."""
    backend.sgd_step([], [], None, lr=0.1)
    backend.adam_step([], [], [], [], step=1, lr=0.1)


ONE, TWO = np.ones(4, np.float32), np.ones((2, 2), np.float32)
READ_ONLY = np.broadcast_to(np.float32(1), (4,))
NAN = float("nan")
GOOD_SGD = ([ONE, TWO], [ONE, TWO], [ONE, TWO])
GOOD_ADAM = ([ONE], [ONE], [ONE], [ONE])


def sgd_bad(
    error: type[Exception], words: tuple[str, ...], args: Any = GOOD_SGD, **options: Any
) -> Bad:
    """A bad sgd_step."""
    return Bad("sgd_step", error, words, args, {"lr": 0.1, "momentum": 0.9, **options})


def adam_bad(
    error: type[Exception], words: tuple[str, ...], args: Any = GOOD_ADAM, **options: Any
) -> Bad:
    """A bad adam_step."""
    return Bad("adam_step", error, words, args, {"lr": 0.1, "step": 1, **options})


REJECTED = [
    *[
        sgd_bad(ValueError, (n,), **{n: v})
        for n in ("lr", "momentum", "weight_decay")
        for v in (-1.0, NAN)
    ],
    *[
        sgd_bad(TypeError, (n,), **{n: v})
        for n in ("lr", "momentum", "weight_decay")
        for v in ("1", None)
    ],
    sgd_bad(ValueError, ("nesterov",), nesterov=True, dampening=0.1),
    sgd_bad(ValueError, ("nesterov",), nesterov=True, momentum=0.0),
    sgd_bad(ValueError, ("buffers",), ([ONE], [ONE], None)),
    sgd_bad(ValueError, ("buffers",), ([ONE, TWO], [ONE, TWO], [ONE])),
    sgd_bad(ValueError, ("grads",), ([ONE, TWO], [ONE], [ONE, TWO])),
    sgd_bad(ValueError, ("grads", "(2, 2)", "(4,)"), ([ONE, TWO], [ONE, ONE], [ONE, TWO])),
    sgd_bad(TypeError, ("grads",), ([ONE], [np.ones(4)], [ONE])),
    sgd_bad(TypeError, ("grads",), ([ONE], [None], [ONE])),
    sgd_bad(TypeError, ("params",), ([[1.0]], [ONE], [ONE])),
    sgd_bad(TypeError, ("params",), (None, [ONE], [ONE])),
    sgd_bad(ValueError, ("params", "read-only"), ([READ_ONLY], [ONE], [ONE])),
    sgd_bad(ValueError, ("buffers", "read-only"), ([ONE], [ONE], [READ_ONLY])),
    *[
        adam_bad(ValueError, (n,), **{n: v})
        for n in ("lr", "eps", "weight_decay", "beta1", "beta2")
        for v in (-1.0, NAN)
    ],
    *[adam_bad(ValueError, (n,), **{n: 1.0}) for n in ("beta1", "beta2")],
    *[adam_bad(ValueError, ("step",), step=v) for v in (0, -1, 2**70)],
    *[adam_bad(TypeError, ("step",), step=v) for v in (1.0, True, None)],
    adam_bad(ValueError, ("exp_avgs",), ([ONE], [ONE], [], [ONE])),
    adam_bad(ValueError, ("exp_avg_sqs",), ([ONE], [ONE], [ONE], [TWO])),
    adam_bad(ValueError, ("max_exp_avg_sqs",), max_exp_avg_sqs=[]),
    adam_bad(ValueError, ("exp_avgs", "read-only"), ([ONE], [ONE], [READ_ONLY], [ONE])),
    adam_bad(TypeError, ("exp_avg_sqs",), ([ONE], [ONE], [ONE], [np.ones(4)])),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused_and_change_nothing(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError before the first parameter changes."""
    harness.check_rejected(backend, bad, bad.op)
    assert (ONE == 1).all() and (TWO == 1).all()
