"""Learning-rate schedules: twelve steps equal PyTorch's, state, rejected arguments."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import nn, optim
from neurona.optim import lr_scheduler
from nn_helpers import NUMBERS, assert_close

SCHEDULES: dict[str, Callable[[optim.Optimizer], Any]] = {
    "StepLR": lambda o: lr_scheduler.StepLR(o, 3, gamma=0.3),
    "MultiStepLR": lambda o: lr_scheduler.MultiStepLR(o, [2, 5, 5], gamma=0.3),
    "ExponentialLR": lambda o: lr_scheduler.ExponentialLR(o, 0.9),
    "CosineAnnealingLR": lambda o: lr_scheduler.CosineAnnealingLR(o, 5, eta_min=0.01),
    "LinearLR": lambda o: lr_scheduler.LinearLR(
        o, start_factor=0.25, end_factor=0.9, total_iters=4
    ),
    "LambdaLR": lambda o: lr_scheduler.LambdaLR(o, lambda t: 0.95**t),
    "OneCycleLR": lambda o: lr_scheduler.OneCycleLR(o, max_lr=1.0, total_steps=12),
    "OneCycleLR_three": lambda o: lr_scheduler.OneCycleLR(
        o,
        max_lr=1.0,
        epochs=3,
        steps_per_epoch=4,
        pct_start=0.4,
        anneal_strategy="linear",
        three_phase=True,
    ),
    "CosineAnnealingWarmRestarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(
        o, 3, T_mult=2, eta_min=0.01
    ),
    "CosineAnnealingWarmRestarts_1": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 4),
    "ConstantLR": lambda o: lr_scheduler.ConstantLR(o, factor=0.25, total_iters=4),
    "PolynomialLR": lambda o: lr_scheduler.PolynomialLR(o, total_iters=8, power=1.5),
    "SequentialLR": lambda o: lr_scheduler.SequentialLR(
        o,
        [
            lr_scheduler.LinearLR(o, 0.25, 0.9, 3),
            lr_scheduler.ExponentialLR(o, 0.5),
            lr_scheduler.CosineAnnealingLR(o, 4, 0.01),
        ],
        [3, 6],
    ),
    "SequentialLR_restarts": lambda o: lr_scheduler.SequentialLR(
        o,
        [
            lr_scheduler.ConstantLR(o, 0.1, 2),
            lr_scheduler.CosineAnnealingWarmRestarts(o, 3, 2),
            lr_scheduler.StepLR(o, 2, 0.3),
            lr_scheduler.PolynomialLR(o, 4),
        ],
        [2, 6, 9],
    ),
}
# Rounding of a dozen products and cosines in float64.
BOUND = 1e-14


def sgd() -> optim.SGD:
    return optim.SGD([nn.Parameter(np.zeros(1, np.float32))], lr=0.4, momentum=0.9)


def rates(optimizer: optim.Optimizer, schedule: Any, steps: int) -> list[float]:
    path = []
    for _ in range(steps):
        optimizer.step()
        schedule.step()
        path.append(optimizer.param_groups[0]["lr"])
        assert schedule.get_last_lr() == [path[-1]]
    return path


@pytest.mark.parametrize("name", SCHEDULES)
def test_twelve_steps_equal_pytorch(name: str) -> None:
    optimizer = sgd()
    schedule = SCHEDULES[name](optimizer)
    first = optimizer.param_groups[0]["lr"]
    assert_close([first, *rates(optimizer, schedule, 12)], NUMBERS["sched"][name], BOUND, name)


@pytest.mark.parametrize("name", ["OneCycleLR", "OneCycleLR_three"])
@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_one_cycle_turns_momentum_the_other_way(name: str, kind: str) -> None:
    optimizer = (
        sgd() if kind == "sgd" else optim.Adam([nn.Parameter(np.zeros(1, np.float32))], lr=0.4)
    )
    schedule = SCHEDULES[name](optimizer)

    def momentum() -> float:
        group = optimizer.param_groups[0]
        return group["momentum"] if kind == "sgd" else group["betas"][0]

    path = [momentum()]
    for _ in range(12):
        optimizer.step()
        schedule.step()
        path.append(momentum())
    assert_close(path, NUMBERS["sched_momentum"][name], BOUND, name)


def test_one_cycle_refuses_a_step_too_many() -> None:
    optimizer = sgd()
    schedule = SCHEDULES["OneCycleLR"](optimizer)
    rates(optimizer, schedule, 12)
    with pytest.raises(ValueError, match="at most 12 times"):
        schedule.step()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("min_rel", {"patience": 1, "factor": 0.5}),
        (
            "max_abs",
            {
                "mode": "max",
                "threshold_mode": "abs",
                "threshold": 0.05,
                "patience": 1,
                "cooldown": 2,
                "factor": 0.1,
                "min_lr": 0.001,
            },
        ),
    ],
)
def test_plateau_equals_pytorch(name: str, options: dict[str, Any]) -> None:
    optimizer = sgd()
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    path = []
    for value in (1, 0.9, 0.9, 0.9, 0.9, 0.8, 0.85, 0.9, 0.9, 0.9, 0.9, 0.79):
        schedule.step(neurona.tensor(value))
        path.append(optimizer.param_groups[0]["lr"])
    assert_close(path, NUMBERS["plateau"][name], BOUND, "ReduceLROnPlateau")


def test_plateau_counts_nan_as_no_improvement() -> None:
    optimizer = sgd()
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    schedule.step(float("nan"))
    assert optimizer.param_groups[0]["lr"] == 0.2


@pytest.mark.parametrize("name", SCHEDULES)
def test_state_dict_resumes(name: str) -> None:
    optimizer = sgd()
    schedule = SCHEDULES[name](optimizer)
    rates(optimizer, schedule, 5)
    saved = schedule.state_dict(), optimizer.state_dict()
    assert "optimizer" not in saved[0]
    assert not any(callable(value) for value in saved[0].values())

    other = sgd()
    resumed = SCHEDULES[name](other)
    other.load_state_dict(saved[1])
    resumed.load_state_dict(saved[0])
    assert rates(other, resumed, 6) == rates(optimizer, schedule, 6)


def test_inverse_time_decay_counts_updates_and_does_not_compound() -> None:
    optimizer = sgd()
    schedule = lr_scheduler.InverseTimeDecay(optimizer, decay=0.5)
    expected = [0.4 / (1 + 0.5 * t) for t in range(1, 5)]
    assert_close(rates(optimizer, schedule, 4), expected, BOUND, "InverseTimeDecay")


def test_warm_restarts_between_epochs() -> None:
    optimizer = sgd()
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2, T_mult=2)
    path = []
    for epoch in (0.5, 2.0, 3.0, 7.0):
        optimizer.step()
        schedule.step(epoch)
        path.append(schedule.get_last_lr()[0])
    # Periods 0..2, 2..6, 6..14: at shares 1/4, 0, 1/4 and 1/8 of them.
    expected = [0.2 * (1 + math.cos(math.pi * share)) for share in (0.25, 0, 0.25, 0.125)]
    assert_close(path, expected, BOUND, "warm restarts")
    with pytest.raises(ValueError, match="epoch must be finite and >= 0, got -1"):
        schedule.step(-1)


def test_resume_by_last_epoch() -> None:
    optimizer = sgd()
    optimizer.param_groups[0]["initial_lr"] = 0.4
    lr_scheduler.CosineAnnealingLR(optimizer, 5, eta_min=0.01, last_epoch=2)
    assert_close(optimizer.param_groups[0]["lr"], NUMBERS["sched"]["CosineAnnealingLR"][3], BOUND)
    with pytest.raises(ValueError, match="must have 'initial_lr'"):
        lr_scheduler.StepLR(sgd(), 3, last_epoch=2)


def test_each_group_keeps_its_own_base() -> None:
    groups = [{"params": [nn.Parameter(np.zeros(1, np.float32))], "lr": lr} for lr in (0.5, 0.25)]
    optimizer = optim.SGD(groups)
    schedule = lr_scheduler.LambdaLR(optimizer, [lambda t: 0.5**t, lambda t: 1.0])
    optimizer.step()
    schedule.step()
    assert schedule.get_last_lr() == [0.25, 0.25]


def test_warns_when_the_optimizer_did_not_step_first() -> None:
    optimizer = sgd()
    schedule = lr_scheduler.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match="after optimizer.step"):
        schedule.step()
    optimizer.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedule.step()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: lr_scheduler.StepLR(o, 0), ValueError, "step_size must be >= 1, got 0"),
        (lambda o: lr_scheduler.StepLR(o, 1.5), TypeError, "step_size must be an int"),
        (lambda o: lr_scheduler.StepLR(None, 1), TypeError, "optimizer must be an Optimizer"),
        (lambda o: lr_scheduler.ExponentialLR(o, float("nan")), ValueError, "gamma must be"),
        (lambda o: lr_scheduler.CosineAnnealingLR(o, 0), ValueError, "T_max must be >= 1"),
        (lambda o: lr_scheduler.LinearLR(o, start_factor=0.0), ValueError, "start_factor must"),
        (lambda o: lr_scheduler.LambdaLR(o, [abs, abs]), ValueError, "one function per group"),
        (lambda o: lr_scheduler.LambdaLR(o, 3), TypeError, "lr_lambda must be callable"),
        (lambda o: lr_scheduler.OneCycleLR(o, 1.0), ValueError, "total_steps, or epochs"),
        (lambda o: lr_scheduler.ConstantLR(o, factor=0.0), ValueError, "factor must be in"),
        (lambda o: lr_scheduler.PolynomialLR(o, 0), ValueError, "total_iters must be >= 1"),
        (lambda o: lr_scheduler.PolynomialLR(o, power=-1), ValueError, "power must be finite"),
        (lambda o: lr_scheduler.InverseTimeDecay(o, -1e-6), ValueError, "decay must be finite"),
        (lambda o: lr_scheduler.InverseTimeDecay(o, "1"), TypeError, "decay must be a number"),
        (lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 0), ValueError, "T_0 must be >= 1"),
        (lambda o: lr_scheduler.SequentialLR(o, [], []), ValueError, "must not be empty"),
        (lambda o: lr_scheduler.SequentialLR(o, [None], []), TypeError, "must be an LRScheduler"),
        (
            lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.StepLR(o, 1)], [2]),
            ValueError,
            "one entry fewer than the 1 schedulers, got 1",
        ),
        (
            lambda o: lr_scheduler.SequentialLR(
                o, [lr_scheduler.StepLR(o, 1) for _ in range(3)], [2, 2]
            ),
            ValueError,
            r"milestones must rise, got \[2, 2\]",
        ),
        (
            lambda o: lr_scheduler.SequentialLR(
                o, [lr_scheduler.StepLR(o, 1), lr_scheduler.StepLR(sgd(), 1)], [2]
            ),
            ValueError,
            r"schedulers\[1\] must belong to the same optimizer",
        ),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, "best"), ValueError, "mode must be"),
        (lambda o: lr_scheduler.ReduceLROnPlateau(o, factor=1.0), ValueError, "factor must be"),
    ],
)
def test_bad_arguments(make: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(sgd())


def test_load_state_dict_refuses_unknown_keys() -> None:
    schedule = lr_scheduler.StepLR(sgd(), 1)
    with pytest.raises(ValueError, match="unexpected keys"):
        schedule.load_state_dict({"colour": 1})
