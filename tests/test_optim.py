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


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_dict_resumes_bit_for_bit(name: str) -> None:
    make = OPTIMIZERS[name]
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
