"""Changing the learning rate while training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Callback, Logs
from .monitor import MonitorCallback


class LearningRateScheduler(Callback):
    """Sets the learning rate to `schedule(epoch, lr)` before each epoch.

    Raises `TypeError` when the schedule returns no number.

    >>> callback = LearningRateScheduler(lambda epoch, lr: lr * 0.9)
    """

    def __init__(self, schedule: Callable[[int, float], float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(
                f"LearningRateScheduler: schedule must be callable, got {type(schedule).__name__}"
            )
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        rate = self.schedule(epoch, self.trainer.lr)
        try:
            self.trainer.lr = float(rate)
        except (TypeError, ValueError):
            raise TypeError(
                f"LearningRateScheduler: schedule must return a float, got {rate!r}"
            ) from None
        if self.verbose:
            self.trainer.print(f"epoch {epoch + 1}: learning rate {self.trainer.lr:.6g}")


class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by `factor` after `patience` epochs without improvement.

    After a reduction, `cooldown` epochs pass unwatched; the rate never falls below `min_lr`. Raises
    `ValueError` unless 0 < factor < 1, or for a bad `mode`.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        if not 0 < factor < 1:
            raise ValueError(f"ReduceLROnPlateau: factor must be in (0, 1), got {factor}")
        super().__init__(monitor, mode, min_delta)
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.wait = self.cooling = 0

    def on_train_begin(self, logs: Logs) -> None:
        self.best, self.wait, self.cooling = self.worst, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        value = self.value(logs)
        if value is None:
            return
        if self.improves(value, self.best):
            self.best, self.wait = value, 0
            self.cooling = max(self.cooling - 1, 0)
        elif self.cooling > 0:
            self.cooling -= 1
        else:
            self.wait += 1
            if self.wait >= self.patience and self.trainer.lr > self.min_lr:
                self.trainer.lr = max(self.trainer.lr * self.factor, self.min_lr)
                self.cooling, self.wait = self.cooldown, 0
                if self.verbose:
                    self.trainer.print(f"epoch {epoch + 1}: learning rate {self.trainer.lr:.6g}")

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "wait": self.wait, "cooling": self.cooling}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.wait, self.cooling = state["best"], state["wait"], state["cooling"]
