"""SGD, Adam, AdamW: trajectories of PyTorch, hand-computed steps, groups, state, rejected
arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import nn, optim
from nn_helpers import EPS, NUMBERS, assert_close, fill

OPTIMIZERS: dict[str, Callable[[Any], optim.Optimizer]] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "sgd_momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.01),
    "sgd_nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "sgd_maximize": lambda p: optim.SGD(p, lr=0.1, momentum=0.5, maximize=True),
    "adam": lambda p: optim.Adam(p, lr=0.05),
    "adam_decay_amsgrad": lambda p: optim.Adam(
        p, lr=0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1, amsgrad=True
    ),
    "adam_maximize": lambda p: optim.Adam(p, lr=0.05, maximize=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.05, weight_decay=0.1),
    "adamw_amsgrad": lambda p: optim.AdamW(
        p, lr=0.05, weight_decay=0.1, amsgrad=True, maximize=True
    ),
}
# Composed in NumPy, without a kernel of their own.
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


@pytest.fixture(params=["reference", "cpu"])
def kernels(request: pytest.FixtureRequest) -> Iterator[str]:
    with neurona.use_backend(request.param):
        yield request.param


def parameters() -> list[nn.Parameter]:
    return [nn.Parameter(fill((3,), 1)), nn.Parameter(fill((2, 2), 2))]


def set_grads(params: list[nn.Parameter], t: int) -> None:
    for i, param in enumerate(params):
        param.grad = neurona.Tensor(fill(tuple(param.shape), 10 + 3 * t + i))


def run(
    params: list[nn.Parameter], optimizer: optim.Optimizer, start: int = 0, stop: int = 10
) -> None:
    """Given gradients; the second parameter has none at step 4, so that the two count
    differently.
    """
    for t in range(start, stop):
        set_grads(params, t)
        if t == 4:
            params[1].grad = None
        optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_ten_steps_equal_pytorch(name: str, kernels: str) -> None:
    params = parameters()
    run(params, OPTIMIZERS[name](params))
    for param, expected in zip(params, NUMBERS["optim"][name], strict=True):
        assert_close(param.data.ravel(), expected, 10 * 16 * EPS, name)


@pytest.mark.parametrize("name", COMPOSED)
def test_ten_composed_steps_equal_pytorch(name: str) -> None:
    params = parameters()
    run(params, COMPOSED[name](params))
    for param, expected in zip(params, NUMBERS["optim"][name], strict=True):
        assert_close(param.data.ravel(), expected, 10 * 16 * EPS, name)


def quadratic(make: Callable[[Any], optim.Optimizer], steps: int = 5) -> list[float]:
    """theta after each step on theta^2 / 2, from 1."""
    theta = nn.Parameter(np.ones(1))
    optimizer = make([theta])
    path = []
    for _ in range(steps):
        theta.grad = neurona.Tensor(theta.data.copy())
        optimizer.step()
        path.append(theta.item())
    return path


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda p: optim.SGD(p, lr=0.1), [0.9, 0.81, 0.729, 0.6561, 0.59049]),
        (lambda p: optim.SGD(p, lr=0.1, momentum=0.9), [0.9, 0.72, 0.486, 0.2268, -0.02916]),
        (
            lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
            [0.81, 0.5751, 0.327321, 0.093888, -0.104582],
        ),
        (lambda p: optim.Adam(p, lr=0.1), [0.9, 0.800412, 0.701586, 0.603939, 0.507964]),
        (
            lambda p: optim.AdamW(p, lr=0.1, weight_decay=0.01),
            [0.899, 0.798519, 0.698911, 0.600599, 0.50408],
        ),
    ],
)
def test_quadratic_by_hand(make: Callable[[Any], optim.Optimizer], expected: list[float]) -> None:
    with neurona.use_backend("reference"):  # float64, to which the six digits belong
        assert_close(quadratic(make), expected, 5.1e-7, "quadratic")


def test_momentum_keeps_lr_outside_the_buffer() -> None:
    theta = nn.Parameter(np.ones(1, np.float32))
    optimizer = optim.SGD([theta], lr=0.1, momentum=0.9)
    for lr in (0.1, 0.01):
        optimizer.param_groups[0]["lr"] = lr
        theta.grad = neurona.Tensor(theta.data.copy())
        optimizer.step()
    assert_close(theta.item(), 0.882, 4 * EPS, "sgd_momentum")


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_one_call_of_the_backend_per_group(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    waist = neurona.backends.current(np.dtype(np.float32))

    class Counting:
        def __getattr__(self, op: str) -> Any:
            def call(params: list[np.ndarray], *args: Any, **kwargs: Any) -> Any:
                calls.append(len(params))
                return getattr(waist, op)(params, *args, **kwargs)

            return call

    monkeypatch.setattr(neurona.backends, "current", lambda dtype: Counting())
    params = parameters()
    optimizer = OPTIMIZERS[name](params)
    run(params, optimizer, 0, 3)
    assert calls == [2, 2, 2]


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


def test_velocity_resumes_bit_for_bit() -> None:
    def make(p: Any) -> optim.SGD:
        return optim.SGD(p, lr=0.1, momentum=0.9, velocity=True)

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


def test_groups_have_their_own_options() -> None:
    first, second = parameters()
    optimizer = optim.SGD(
        [{"params": [first], "lr": 0.5}, {"params": second}], lr=0.25, momentum=0.0
    )
    before = first.data.copy(), second.data.copy()
    for param in (first, second):
        param.grad = neurona.Tensor(np.ones(param.shape, np.float32))
    optimizer.step()
    assert_close(first, before[0] - np.float32(0.5), 0.0)
    assert_close(second, before[1] - np.float32(0.25), 0.0)


def test_no_gradient_means_no_change_and_no_state() -> None:
    params = parameters()
    optimizer = optim.Adam(params)
    before = [param.data.copy() for param in params]
    optimizer.step()
    assert optimizer.state == {}
    for param, old in zip(params, before, strict=True):
        assert_close(param, old, 0.0)


def test_zero_grad_and_closure() -> None:
    params = parameters()
    optimizer = optim.SGD(params, lr=0.1)
    set_grads(params, 0)
    optimizer.zero_grad(set_to_none=False)
    assert all(not param.grad.data.any() for param in params)
    optimizer.zero_grad()
    assert all(param.grad is None for param in params)

    def closure() -> neurona.Tensor:
        optimizer.zero_grad()
        loss = (params[0] * params[0]).sum()
        loss.backward()
        return loss

    before = params[0].data.copy()
    with neurona.no_grad():
        loss = optimizer.step(closure)
    assert_close(loss.item(), float(np.sum(before.astype(np.float64) ** 2)), 4 * EPS)
    assert_close(params[0], before - np.float32(0.2) * before, EPS)


@pytest.mark.parametrize("name", [*OPTIMIZERS, *COMPOSED])
def test_state_dict_resumes_bit_for_bit(name: str) -> None:
    make = {**OPTIMIZERS, **COMPOSED}[name]
    straight = parameters()
    run(straight, make(straight))

    params = parameters()
    optimizer = make(params)
    run(params, optimizer, 0, 6)
    state = optimizer.state_dict()
    copies = [nn.Parameter(param.data.copy()) for param in params]
    resumed = make(copies)
    resumed.load_state_dict(state)
    run(copies, resumed, 6, 10)
    for param, expected in zip(copies, straight, strict=True):
        assert param.data.tobytes() == expected.data.tobytes()


def test_state_dict_has_pytorch_layout() -> None:
    params = parameters()
    optimizer = optim.Adam(params, lr=0.05)
    run(params, optimizer, 0, 6)
    state = optimizer.state_dict()
    assert set(state) == {"state", "param_groups"}
    assert list(state["state"][0]) == ["exp_avg", "exp_avg_sq", "step"]
    assert [state["state"][i]["step"] for i in (0, 1)] == [6, 5]
    assert state["param_groups"][0]["params"] == [0, 1]
    assert state["param_groups"][0]["betas"] == (0.9, 0.999)


def test_load_state_dict_takes_arrays_and_copies_them() -> None:
    params = parameters()
    optimizer = optim.SGD(params, lr=0.1, momentum=0.9)
    buffer = np.ones(3, np.float32)
    optimizer.load_state_dict(
        {
            "state": {0: {"momentum_buffer": buffer}},
            "param_groups": [{"params": [0, 1], "lr": 0.5}],
        }
    )
    buffer[:] = 7
    assert optimizer.state[params[0]]["momentum_buffer"].data.tolist() == [1.0, 1.0, 1.0]
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_load_state_dict_refuses_what_does_not_fit_and_changes_nothing() -> None:
    params = parameters()
    optimizer = optim.SGD(params, lr=0.1, momentum=0.9)
    run(params, optimizer, 0, 2)
    good = optimizer.state_dict()
    bad_shape = {
        "state": {0: {"momentum_buffer": np.zeros(4, np.float32)}},
        "param_groups": [{"params": [0, 1], "lr": 9.0}],
    }
    for bad, message in (
        (bad_shape, "momentum_buffer must have its parameter's shape (3,), got (4,)"),
        ({"state": {}, "param_groups": []}, "groups of [2] parameters, got []"),
        ({"state": {5: {}}, "param_groups": [{"params": [0, 1]}]}, "parameter 5"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            optimizer.load_state_dict(bad)
    with pytest.raises(TypeError, match="state_dict must have the keys"):
        optimizer.load_state_dict([])
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert optimizer.state_dict()["state"].keys() == good["state"].keys()


def test_add_param_group_and_names() -> None:
    first, second = parameters()
    optimizer = optim.SGD([("w", first)], lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["w"]
    optimizer.add_param_group({"params": [second], "lr": 0.5})
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]
    with pytest.raises(ValueError, match="only once"):
        optimizer.add_param_group({"params": [second]})


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: optim.SGD(p, lr=-1.0), ValueError, "SGD: lr must be finite and >= 0, got -1.0"),
        (lambda p: optim.SGD(p, lr=float("nan")), ValueError, "lr must be finite and >= 0"),
        (lambda p: optim.SGD(p, lr="0.1"), TypeError, "lr must be a number, got str"),
        (lambda p: optim.SGD(p, momentum=-1), ValueError, "momentum must be finite"),
        (lambda p: optim.SGD(p, weight_decay=-1), ValueError, "weight_decay must be finite"),
        (lambda p: optim.SGD(p, nesterov=True), ValueError, "nesterov must come with momentum"),
        (lambda p: optim.Adam(p, betas=(1.0, 0.9)), ValueError, r"betas\[0\] must be in \[0, 1\)"),
        (lambda p: optim.Adam(p, betas=0.9), ValueError, "betas must be a pair"),
        (lambda p: optim.AdamW(p, eps=-1e-8), ValueError, "AdamW: eps must be finite"),
        (lambda p: optim.Adagrad(p, lr_decay=-1), ValueError, "Adagrad: lr_decay must be finite"),
        (lambda p: optim.Adagrad(p, eps=-1), ValueError, "eps must be finite and >= 0, got -1"),
        (lambda p: optim.RMSprop(p, alpha=1.5), ValueError, r"alpha must be in \[0, 1\], got 1.5"),
        (lambda p: optim.RMSprop(p, momentum="a"), TypeError, "momentum must be a number"),
        (lambda p: optim.Adadelta(p, rho=-0.1), ValueError, r"rho must be in \[0, 1\], got -0.1"),
        (lambda p: optim.Adamax(p, betas=(0.9, 1.0)), ValueError, r"betas\[1\] must be in"),
        (lambda p: optim.NAdam(p, momentum_decay=-1), ValueError, "momentum_decay must be finite"),
        (lambda p: optim.SGD([]), ValueError, "params must not be empty"),
        (lambda p: optim.SGD(p[0]), TypeError, "params must be an iterable"),
        (lambda p: optim.SGD([p[0], p[0]]), ValueError, r"params\[1\] must appear only once"),
        (lambda p: optim.SGD([p[0] * 2]), ValueError, r"params\[0\] must be a leaf"),
        (lambda p: optim.SGD([p[0].data]), TypeError, r"params\[0\] must be a Tensor, got ndarray"),
    ],
)
def test_bad_arguments(make: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(parameters())


def test_lr_set_to_nan_is_refused_at_the_step() -> None:
    params = parameters()
    optimizer = optim.SGD(params, lr=0.1)
    optimizer.param_groups[0]["lr"] = float("nan")
    set_grads(params, 0)
    before = params[0].data.copy()
    with pytest.raises(ValueError, match="lr must be finite"):
        optimizer.step()
    assert_close(params[0], before, 0.0)


def test_a_step_invalidates_saved_tensors() -> None:
    """A graph recorded before the step must not be used after it: its saved weights have
    changed.
    """
    weight = nn.Parameter(fill((3,), 1))
    optimizer = optim.SGD([weight], lr=0.1)
    loss = (weight * weight).sum()
    weight.grad = neurona.Tensor(np.ones(3, np.float32))
    optimizer.step()
    with pytest.raises(RuntimeError, match="in place"):
        loss.backward()
