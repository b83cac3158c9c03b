"""Optimizers and forms without a kernel of their own: trajectories of PyTorch, steps by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import nn, optim
from nn_helpers import EPS, NUMBERS, assert_close
from test_optim import OPTIMIZERS, parameters, run, set_grads

COMPOSED: dict[str, Callable[[Any], optim.Optimizer]] = {
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1),
    "adagrad_decay": lambda p: optim.Adagrad(
        p,
        lr=0.1,
        lr_decay=0.1,
        weight_decay=0.1,
        initial_accumulator_value=0.2,
        eps=1e-3,
        maximize=True,
    ),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.02),
    "rmsprop_centered_momentum": lambda p: optim.RMSprop(
        p,
        lr=0.02,
        alpha=0.9,
        eps=1e-3,
        weight_decay=0.1,
        momentum=0.8,
        centered=True,
        maximize=True,
    ),
    "adadelta": lambda p: optim.Adadelta(p, lr=2.0),
    "adadelta_decay": lambda p: optim.Adadelta(
        p, lr=2.0, rho=0.7, eps=1e-3, weight_decay=0.1, maximize=True
    ),
    "adamax": lambda p: optim.Adamax(p, lr=0.05),
    "adamax_decay": lambda p: optim.Adamax(
        p, lr=0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1, maximize=True
    ),
    "nadam": lambda p: optim.NAdam(p, lr=0.05),
    "nadam_decay": lambda p: optim.NAdam(
        p,
        lr=0.05,
        betas=(0.8, 0.95),
        eps=1e-3,
        weight_decay=0.1,
        momentum_decay=0.5,
        maximize=True,
    ),
    "nadam_decoupled": lambda p: optim.NAdam(
        p, lr=0.05, weight_decay=0.1, decoupled_weight_decay=True
    ),
}


@pytest.mark.parametrize("name", COMPOSED)
def test_ten_composed_steps_equal_pytorch(name: str) -> None:
    params = parameters()
    run(params, COMPOSED[name](params))
    for param, expected in zip(params, NUMBERS["optim"][name], strict=True):
        assert_close(param.data.ravel(), expected, 10 * 16 * EPS, name)


@pytest.mark.parametrize("name", ["adam", "adam_decay_amsgrad", "adam_maximize", "adamw_amsgrad"])
def test_the_form_without_a_kernel_is_the_same_where_they_must_agree(name: str) -> None:
    """With eps = 0 it does not matter where eps stands."""

    def final(eps_inside: bool) -> list[np.ndarray]:
        params = parameters()
        optimizer = OPTIMIZERS[name](params)
        optimizer.param_groups[0].update(eps=0.0, eps_inside=eps_inside)
        run(params, optimizer)
        return [param.data for param in params]

    for composed, kernel in zip(final(True), final(False), strict=True):
        assert_close(composed, kernel, 10 * 16 * EPS, name)


def test_without_bias_correction() -> None:
    """Two steps by hand: m and v as they are, in the order of the definition."""
    g, lr, eps = np.array([0.5, -2.0]), 0.1, 1e-3
    param = nn.Parameter(np.zeros(2))
    optimizer = optim.AdamW([param], lr=lr, eps=eps, weight_decay=0.0, bias_correction=False)
    p, m, v = np.zeros(2), np.zeros(2), np.zeros(2)
    with neurona.use_backend("reference"):
        for _ in range(2):
            param.grad = neurona.Tensor(g.copy())
            optimizer.step()
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            p = p - lr * m / (np.sqrt(v) + eps)
    assert_close(param, p, 1e-15, "adam")


@pytest.mark.parametrize("make", [optim.Adagrad, optim.RMSprop])
def test_where_eps_stands(make: Any) -> None:
    def first_step(eps_inside: bool) -> float:
        param = nn.Parameter(np.zeros(1))
        options = {"alpha": 0.0} if make is optim.RMSprop else {}
        optimizer = make([param], lr=1.0, eps=0.5, eps_inside=eps_inside, **options)
        param.grad = neurona.Tensor(np.array([2.0]))
        with neurona.use_backend("reference"):
            optimizer.step()
        return -param.item()

    assert_close(first_step(False), 2 / 2.5, 1e-15, "outside")
    assert_close(first_step(True), 2 / np.sqrt(4.5), 1e-15, "inside")


# ---- the velocity form ----


def test_velocity_with_weight_decay_and_maximize_is_the_usual_path() -> None:
    """At a constant rate, and with the first buffer starting from zero in both forms."""

    def final(velocity: bool) -> list[np.ndarray]:
        params = parameters()
        optimizer = optim.SGD(
            params, lr=0.1, momentum=0.9, weight_decay=0.1, maximize=True, velocity=velocity
        )
        run(params, optimizer)
        return [param.data for param in params]

    for ours, usual in zip(final(True), final(False), strict=True):
        assert_close(ours, usual, 10 * 16 * EPS, "velocity")


def test_nesterov_takes_the_gradient_ahead_and_leaves_the_point() -> None:
    """The closure sees p + momentum v, weight decay counts there too, and an error puts p back."""
    param = nn.Parameter(np.array([1.0, -2.0], np.float32))
    optimizer = optim.SGD(
        [param], lr=0.1, momentum=0.5, weight_decay=0.2, nesterov=True, velocity=True
    )
    seen: list[np.ndarray] = []

    def closure() -> float:
        seen.append(param.data.copy())
        param.grad = neurona.Tensor(param.data.copy())
        return 7.0

    p, v = param.data.astype(np.float64), np.zeros(2)
    for _ in range(3):
        assert optimizer.step(closure) == 7.0
        ahead = p + 0.5 * v
        assert_close(seen[-1], ahead, 8 * EPS, "ahead")
        v = 0.5 * v - 0.1 * (ahead + 0.2 * ahead)
        p = p + v
        assert_close(param, p, 8 * EPS, "p")
    before = param.data.tobytes()

    def broken() -> None:
        raise RuntimeError("no loss")

    with pytest.raises(RuntimeError, match="no loss"):
        optimizer.step(broken)
    assert param.data.tobytes() == before
    with pytest.raises(ValueError, match="closure must be given with velocity and nesterov"):
        optimizer.step()
    assert param.data.tobytes() == before


@pytest.mark.parametrize("name", [*COMPOSED, "velocity"])
def test_state_dict_resumes_bit_for_bit(name: str) -> None:
    make = COMPOSED.get(name, lambda p: optim.SGD(p, lr=0.1, momentum=0.9, velocity=True))
    straight, params = parameters(), parameters()
    run(straight, make(straight))
    optimizer = make(params)
    run(params, optimizer, 0, 6)
    resumed = make(params)
    resumed.load_state_dict(optimizer.state_dict())
    run(params, resumed, 6, 10)
    assert [p.data.tobytes() for p in params] == [p.data.tobytes() for p in straight]


@pytest.mark.parametrize("name", [*COMPOSED, "velocity"])
def test_composed_steps_refuse_what_does_not_fit_and_change_nothing(name: str) -> None:
    make = COMPOSED.get(name, lambda p: optim.SGD(p, lr=0.1, momentum=0.5, velocity=True))
    params = parameters()
    optimizer = make(params)
    set_grads(params, 0)
    params[1].grad = neurona.Tensor(np.ones(4, np.float32))
    before = [param.data.tobytes() for param in params]
    with pytest.raises(ValueError, match=r"must have its parameter's shape \(2, 2\), got \(4,\)"):
        optimizer.step()
    set_grads(params, 0)
    params[1].data.flags.writeable = False
    with pytest.raises(ValueError, match="must be writable"):
        optimizer.step()
    assert [param.data.tobytes() for param in params] == before
    assert optimizer.state == {}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: optim.Adagrad(p, lr_decay=-1), ValueError, "Adagrad: lr_decay must be finite"),
        (lambda p: optim.Adagrad(p, eps=-1), ValueError, "eps must be finite and >= 0, got -1"),
        (lambda p: optim.RMSprop(p, alpha=1.5), ValueError, r"alpha must be in \[0, 1\], got 1.5"),
        (lambda p: optim.RMSprop(p, momentum="a"), TypeError, "momentum must be a number"),
        (lambda p: optim.Adadelta(p, rho=-0.1), ValueError, r"rho must be in \[0, 1\], got -0.1"),
        (lambda p: optim.Adamax(p, betas=(0.9, 1.0)), ValueError, r"betas\[1\] must be in"),
        (lambda p: optim.NAdam(p, momentum_decay=-1), ValueError, "momentum_decay must be finite"),
    ],
)
def test_bad_arguments(make: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(parameters())
