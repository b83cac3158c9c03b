"""Learning-rate schedules; lr_t is the rate after t steps, lr_0 the one the optimizer was made
with.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .decay import ConstantLR, InverseTimeDecay, PolynomialLR
from .one_cycle import OneCycleLR
from .optimizer import Optimizer, check_number
from .plateau import ReduceLROnPlateau
from .schedule import LRScheduler, integer
from .sequential import SequentialLR
from .warm_restarts import CosineAnnealingWarmRestarts

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "ExponentialLR",
    "InverseTimeDecay",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


def _check_gamma(op: str, gamma: float) -> None:
    check_number(op, "gamma", gamma, "finite and >= 0", lambda value: 0.0 <= value < math.inf)


class LambdaLR(LRScheduler):
    """lr_t = lr_0 f(t), with one function for all groups or a list with one per group.

    The functions are not part of the state_dict.

    >>> from neurona import nn, optim
    >>> opt = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.5)
    >>> optim.lr_scheduler.LambdaLR(opt, lambda t: 1 / (1 + t)).get_last_lr()
    [0.5]
    """

    _not_saved = ("optimizer", "lr_lambdas")

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
        last_epoch: int = -1,
    ) -> None:
        count = len(getattr(optimizer, "param_groups", ()))
        self.lr_lambdas = (
            list(lr_lambda) if isinstance(lr_lambda, list | tuple) else [lr_lambda] * count
        )
        if len(self.lr_lambdas) != count:
            raise ValueError(
                f"LambdaLR: lr_lambda must have one function per group ({count}), "
                f"got {len(self.lr_lambdas)}"
            )
        for function in self.lr_lambdas:
            if not callable(function):
                raise TypeError(
                    f"LambdaLR: lr_lambda must be callable, got {type(function).__name__}"
                )
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """lr_0 f(t) for each group."""
        return [
            base * function(self.last_epoch)
            for base, function in zip(self.base_lrs, self.lr_lambdas, strict=True)
        ]


class StepLR(LRScheduler):
    """lr_t = lr_0 gamma^floor(t / step_size).

    >>> from neurona import nn, optim
    >>> opt = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.5)
    >>> schedule = optim.lr_scheduler.StepLR(opt, step_size=1, gamma=0.5)
    >>> _ = opt.step()
    >>> schedule.step()
    >>> opt.param_groups[0]["lr"]
    0.25
    """

    def __init__(
        self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.step_size = integer("StepLR", "step_size", step_size, 1)
        _check_gamma("StepLR", gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present lr, times gamma at every multiple of step_size."""
        due = self.last_epoch > 0 and self.last_epoch % self.step_size == 0
        return self._group_lrs(self.gamma if due else 1.0)


class MultiStepLR(LRScheduler):
    """lr_t = lr_0 gamma^(number of milestones <= t)."""

    def __init__(
        self,
        optimizer: Optimizer,
        milestones: Iterable[int],
        gamma: float = 0.1,
        last_epoch: int = -1,
    ) -> None:
        self.milestones = Counter(
            integer("MultiStepLR", "milestones", value, 0) for value in milestones
        )
        _check_gamma("MultiStepLR", gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present lr, times gamma at a milestone."""
        return self._group_lrs(self.gamma ** self.milestones[self.last_epoch])

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict(state_dict)
        self.milestones = Counter(self.milestones)


class ExponentialLR(LRScheduler):
    """lr_t = lr_0 gamma^t."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        _check_gamma("ExponentialLR", gamma)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present lr times gamma."""
        return self._group_lrs(self.gamma if self.last_epoch > 0 else 1.0)


class CosineAnnealingLR(LRScheduler):
    """lr_t = eta_min + (lr_0 - eta_min) (1 + cos(pi t / T_max)) / 2 (Loshchilov & Hutter 2017).

    >>> from neurona import nn, optim
    >>> opt = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.5)
    >>> schedule = optim.lr_scheduler.CosineAnnealingLR(opt, T_max=2)
    >>> _ = opt.step()
    >>> schedule.step()
    >>> round(opt.param_groups[0]["lr"], 6)
    0.25
    """

    def __init__(
        self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        self.T_max = integer("CosineAnnealingLR", "T_max", T_max, 1)
        check_number(
            "CosineAnnealingLR",
            "eta_min",
            eta_min,
            "finite and >= 0",
            lambda v: 0.0 <= v < math.inf,
        )
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The curve, followed from the present lr (from its formula right after a resume and where
        it turns at 0).
        """
        t, period, low = self.last_epoch, self.T_max, self.eta_min
        if t == 0:
            return self._group_lrs()
        if self._step_count == 1:
            return [
                low + (base - low) * (1 + math.cos(t * math.pi / period)) / 2
                for base in self.base_lrs
            ]
        pairs = zip(self._group_lrs(), self.base_lrs, strict=True)
        if (t - 1 - period) % (2 * period) == 0:
            return [lr + (base - low) * (1 - math.cos(math.pi / period)) / 2 for lr, base in pairs]
        ratio = (1 + math.cos(math.pi * t / period)) / (1 + math.cos(math.pi * (t - 1) / period))
        return [ratio * (lr - low) + low for lr, _ in pairs]


class LinearLR(LRScheduler):
    """lr_t = lr_0 (start_factor + (end_factor - start_factor) min(t, total_iters) / total_iters):
    warm-up or linear decay.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        check_number(
            "LinearLR", "start_factor", start_factor, "in (0, 1]", lambda value: 0.0 < value <= 1.0
        )
        check_number(
            "LinearLR", "end_factor", end_factor, "in [0, 1]", lambda value: 0.0 <= value <= 1.0
        )
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = integer("LinearLR", "total_iters", total_iters, 1)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present lr, scaled by the ratio of this step's factor to the last one's."""
        if self.last_epoch == 0:
            return self._group_lrs(self.start_factor)
        if self.last_epoch > self.total_iters:
            return self._group_lrs()
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return self._group_lrs(1.0 + rise / before)
