"""CosineAnnealingWarmRestarts (Loshchilov & Hutter 2017)."""

from __future__ import annotations

import math

from .optimizer import Optimizer, check_number, not_negative
from .schedule import LRScheduler, integer


class CosineAnnealingWarmRestarts(LRScheduler):
    """lr = eta_min + (lr_0 - eta_min) (1 + cos(pi T_cur / T_i)) / 2; a period T_i lasts T_0 steps,
    the next ones T_mult times as long each.

    `step(epoch)` goes to a point in time, which may lie between two epochs: `epoch + i /
    batches`.

    >>> from neurona import nn, optim
    >>> opt = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.5)
    >>> schedule = optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, T_0=2)
    >>> _ = opt.step()
    >>> rates = []
    >>> for _ in range(2):
    ...     schedule.step()
    ...     rates.append(round(schedule.get_last_lr()[0], 6))
    >>> rates
    [0.25, 0.5]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        T_0: int,
        T_mult: int = 1,
        eta_min: float = 0.0,
        last_epoch: int = -1,
    ) -> None:
        op = "CosineAnnealingWarmRestarts"
        self.T_0 = integer(op, "T_0", T_0, 1)
        self.T_mult = integer(op, "T_mult", T_mult, 1)
        check_number(op, "eta_min", eta_min, "finite and >= 0", not_negative)
        self.eta_min = eta_min
        self.T_i, self.T_cur = float(T_0), 0.0
        super().__init__(optimizer, last_epoch)

    def step(self, epoch: float | None = None) -> None:
        """Count one step, or go to `epoch`, a number >= 0."""
        if epoch is None:
            super().step()
            return
        check_number("CosineAnnealingWarmRestarts", "epoch", epoch, "finite and >= 0", not_negative)
        self._step_count += 1
        self._go_to(float(epoch))

    def _advance(self) -> None:
        self._step_count += 1
        self._go_to(self._time() + 1.0)

    def _time(self) -> float:
        """Where the schedule stands; `last_epoch` is the whole number below it."""
        return self.last_epoch if self.last_epoch < 0 else self.last_epoch + self.T_cur % 1.0

    def _go_to(self, time: float) -> None:
        self.last_epoch = math.floor(time)
        self.T_i, self.T_cur = float(self.T_0), time
        if self.T_mult == 1:
            self.T_cur = time % self.T_0
        else:
            while self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        self._set_lrs()

    def get_lr(self) -> list[float]:
        """The curve's value at T_cur for each group."""
        share = (1.0 + math.cos(math.pi * self.T_cur / self.T_i)) / 2.0
        return [self.eta_min + (base - self.eta_min) * share for base in self.base_lrs]
