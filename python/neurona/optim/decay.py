"""Schedules with a closed form that ends or fades: ConstantLR, PolynomialLR, InverseTimeDecay."""

from __future__ import annotations

from .optimizer import Optimizer, check_number, not_negative
from .schedule import LRScheduler, integer


class ConstantLR(LRScheduler):
    """lr_t = lr_0 factor for t < total_iters, then lr_0.

    >>> from neurona import nn, optim
    >>> opt = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.5)
    >>> optim.lr_scheduler.ConstantLR(opt, factor=0.5, total_iters=2).get_last_lr()
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        factor: float = 1.0 / 3,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        # PyTorch divides by the factor at the end, so that 0 would give nan.
        check_number("ConstantLR", "factor", factor, "in (0, 1]", lambda value: 0.0 < value <= 1.0)
        self.factor = factor
        self.total_iters = integer("ConstantLR", "total_iters", total_iters, 0)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present lr, times factor at the start and divided by it at the end."""
        if self.last_epoch == 0:
            return self._group_lrs(self.factor)
        return self._group_lrs(1.0 / self.factor if self.last_epoch == self.total_iters else 1.0)


class PolynomialLR(LRScheduler):
    """lr_t = lr_0 (1 - min(t, total_iters) / total_iters)^power.

    >>> from neurona import nn, optim
    >>> opt = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.5)
    >>> schedule = optim.lr_scheduler.PolynomialLR(opt, total_iters=2)
    >>> _ = opt.step()
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_iters: int = 5,
        power: float = 1.0,
        last_epoch: int = -1,
    ) -> None:
        self.total_iters = integer("PolynomialLR", "total_iters", total_iters, 1)
        check_number("PolynomialLR", "power", power, "finite and >= 0", not_negative)
        self.power = power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """The present lr, scaled by the ratio of this step's factor to the last one's."""
        if self.last_epoch == 0 or self.last_epoch > self.total_iters:
            return self._group_lrs()
        now = 1.0 - self.last_epoch / self.total_iters
        before = 1.0 - (self.last_epoch - 1) / self.total_iters
        return self._group_lrs((now / before) ** self.power)


class InverseTimeDecay(LRScheduler):
    """lr_t = lr_0 / (1 + decay t), t counting updates: step once per batch.

    The divisor applies to the initial lr and does not compound. It is decay of the learning rate,
    not of the weights, which is the optimizer's `weight_decay`.

    >>> from neurona import nn, optim
    >>> opt = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.5)
    >>> schedule = optim.lr_scheduler.InverseTimeDecay(opt, decay=1.0)
    >>> for _ in range(3):
    ...     _ = opt.step()
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.125]
    """

    def __init__(self, optimizer: Optimizer, decay: float, last_epoch: int = -1) -> None:
        check_number("InverseTimeDecay", "decay", decay, "finite and >= 0", not_negative)
        self.decay = decay
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        """lr_0 / (1 + decay t) for each group."""
        return [base / (1.0 + self.decay * self.last_epoch) for base in self.base_lrs]
