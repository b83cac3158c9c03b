"""How far each optimizer step may be from the reference in float64: part of the table of `verify`.

A step is a rate times a quotient. Its error is that of the terms of the numerator, and that of the
terms of the denominator as far as they cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .unit import TINY, Arguments, Results, Rule, U


def _sgd(a: Arguments, expected: Results) -> tuple[Any, ...]:
    """16 U times the absolute terms; the parameters come first, then the buffers."""
    buffers = a["buffers"] or [np.zeros_like(p) for p in a["params"]]
    params, kept = [], []
    for p, g, b in zip(a["params"], a["grads"], buffers, strict=True):
        gradient = np.abs(g) + a["weight_decay"] * np.abs(p)
        buffer = gradient if a["first"] else a["momentum"] * np.abs(b) + gradient
        params.append(16 * U * (np.abs(p) + a["lr"] * (gradient + buffer)) + TINY)
        kept.append(16 * U * buffer + TINY)
    return (*params, *(kept if a["buffers"] else ()))


def _adam(a: Arguments, expected: Results) -> tuple[Any, ...]:
    """The step is lr m / (sqrt(v) + eps): m's error is relative to its terms, v's to itself."""
    n = len(a["params"])
    beta1, beta2, step = a["beta1"], a["beta2"], a["step"]
    params, first, second = [], [], []
    for i, (p, g, m, v) in enumerate(
        zip(a["params"], a["grads"], a["exp_avgs"], a["exp_avg_sqs"], strict=True)
    ):
        coupled = 0.0 if a["decoupled"] else a["weight_decay"]
        gradient = np.abs(g) + coupled * np.abs(p)
        m_size = beta1 * np.abs(m) + (1 - beta1) * gradient
        v_size = beta2 * v + (1 - beta2) * gradient**2
        v_new = expected[2 * n + i] if not a["max_exp_avg_sqs"] else expected[3 * n + i]
        root = np.sqrt(v_new / (1 - beta2**step)) + a["eps"]
        move = a["lr"] * m_size / (1 - beta1**step) / root
        slack = v_size / np.maximum(v_new, TINY)
        params.append(
            32 * U * (np.abs(p) * (1 + a["lr"] * a["weight_decay"]) + move * slack) + TINY
        )
        first.append(16 * U * m_size + TINY)
        second.append(16 * U * v_size + TINY)
    return (*params, *first, *second, *(second if a["max_exp_avg_sqs"] else ()))


def _gradient_size(a: Arguments, i: int) -> Any:
    p = np.abs(a["params"][i])
    return np.abs(a["grads"][i]) + (0.0 if a.get("decoupled") else a["weight_decay"] * p)


def _root(a: Arguments, square: Any) -> Any:
    return np.sqrt(square + a["eps"]) if a["eps_inside"] else np.sqrt(square) + a["eps"]


def _parameter(a: Arguments, i: int, move: Any) -> Any:
    return 32 * U * (np.abs(a["params"][i]) * (1 + a["lr"] * a["weight_decay"]) + move) + TINY


def _by_parameter(bounds: Callable[[Arguments, int, Results], Iterator[Any]]) -> Rule:
    """The bounds of one parameter, then of its state, for all of them and in the order of lists."""

    def rule(a: Arguments, expected: Results) -> tuple[Any, ...]:
        n = len(a["params"])
        rows = [list(bounds(a, i, expected[i::n])) for i in range(n)]
        return tuple(bound for column in zip(*rows, strict=True) for bound in column)

    return rule


def _adagrad(a: Arguments, i: int, new: Results) -> Iterator[Any]:
    g = _gradient_size(a, i)
    size = a["sums"][i] + g * g
    rate = a["lr"] / (1 + (a["step"] - 1) * a["lr_decay"])
    yield _parameter(a, i, rate * g / _root(a, new[1]) * size / np.maximum(new[1], TINY))
    yield 16 * U * size + TINY


def _rmsprop(a: Arguments, i: int, new: Results) -> Iterator[Any]:
    g = _gradient_size(a, i)
    size = a["alpha"] * a["square_avgs"][i] + (1 - a["alpha"]) * g * g
    move = g / _root(a, new[1]) * size / np.maximum(new[1], TINY)
    if a["momentum"] != 0:
        move = a["momentum"] * np.abs(a["buffers"][i]) + move
    yield _parameter(a, i, a["lr"] * move)
    yield 16 * U * size + TINY
    if a["buffers"] is not None:
        yield 32 * U * move + TINY


def _adadelta(a: Arguments, i: int, new: Results) -> Iterator[Any]:
    g, rho, eps, moved = _gradient_size(a, i), a["rho"], a["eps"], a["acc_deltas"][i]
    size = rho * a["square_avgs"][i] + (1 - rho) * g * g
    move = np.sqrt((moved + eps) / (new[1] + eps)) * g * (size + eps) / (new[1] + eps)
    yield _parameter(a, i, a["lr"] * move)
    yield 16 * U * size + TINY
    yield 64 * U * (rho * moved + (1 - rho) * move * move) + TINY


def _adamax(a: Arguments, i: int, new: Results) -> Iterator[Any]:
    g = _gradient_size(a, i)
    mean = np.abs(a["exp_avgs"][i]) + (1 - a["beta1"]) * g
    size = np.maximum(a["beta2"] * a["exp_infs"][i], g + a["eps"])
    rate = a["lr"] / (1 - a["beta1"] ** a["step"])
    yield _parameter(a, i, rate * mean / new[2] * size / new[2])
    yield 16 * U * mean + TINY
    yield 16 * U * size + TINY


def _nadam(a: Arguments, i: int, new: Results) -> Iterator[Any]:
    g, beta2 = _gradient_size(a, i), a["beta2"]
    mean = np.abs(a["exp_avgs"][i]) + (1 - a["beta1"]) * g
    size = beta2 * a["exp_avg_sqs"][i] + (1 - beta2) * g * g
    root = np.sqrt(new[2] / (1 - beta2 ** a["step"])) + a["eps"]
    move = (a["gradient_rate"] * g + a["mean_rate"] * mean) / root
    yield _parameter(a, i, move * size / np.maximum(new[2], TINY))
    yield 16 * U * mean + TINY
    yield 16 * U * size + TINY


STEPS: dict[str, Rule] = {
    "sgd_step": _sgd,
    "adam_step": _adam,
    "adagrad_step": _by_parameter(_adagrad),
    "rmsprop_step": _by_parameter(_rmsprop),
    "adadelta_step": _by_parameter(_adadelta),
    "adamax_step": _by_parameter(_adamax),
    "nadam_step": _by_parameter(_nadam),
}
