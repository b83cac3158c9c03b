"""ReduceLROnPlateau: lower the learning rate when a measured value stops improving."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from .optimizer import Optimizer, check_number, not_negative
from .schedule import check_optimizer, integer


class ReduceLROnPlateau:
    """lr <- max(lr factor, min_lr) after more than `patience` steps without improvement, then
    `cooldown` steps of rest.

    `step(value)` takes the value watched. It improves when it is below best (1 - threshold) ("rel")
    or best - threshold ("abs"); mode "max" is the mirror image. Changes of lr below `eps` are left
    out. NaN never improves.

    >>> import neurona
    >>> from neurona import nn, optim
    >>> opt = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.5)
    >>> schedule = optim.lr_scheduler.ReduceLROnPlateau(opt, factor=0.5, patience=1)
    >>> for loss in (1.0, 1.0, 1.0):
    ...     schedule.step(loss)
    >>> schedule.get_last_lr()
    [0.25]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0,
        eps: float = 1e-8,
    ) -> None:
        op = "ReduceLROnPlateau"
        check_optimizer(op, optimizer)
        if mode not in ("min", "max"):
            raise ValueError(f"{op}: mode must be 'min' or 'max', got {mode!r}")
        if threshold_mode not in ("rel", "abs"):
            raise ValueError(f"{op}: threshold_mode must be 'rel' or 'abs', got {threshold_mode!r}")
        check_number(op, "factor", factor, "in [0, 1)", lambda value: 0.0 <= value < 1.0)
        check_number(op, "threshold", threshold, "finite and >= 0", not_negative)
        check_number(op, "eps", eps, "finite and >= 0", not_negative)
        groups = optimizer.param_groups
        self.min_lrs = list(min_lr) if isinstance(min_lr, list | tuple) else [min_lr] * len(groups)
        if len(self.min_lrs) != len(groups):
            raise ValueError(
                f"{op}: min_lr must have one value per group ({len(groups)}), "
                f"got {len(self.min_lrs)}"
            )
        for low in self.min_lrs:
            check_number(op, "min_lr", low, "finite and >= 0", not_negative)
        self.optimizer = optimizer
        self.mode = mode
        self.factor = factor
        self.patience = integer(op, "patience", patience, 0)
        self.threshold = threshold
        self.threshold_mode = threshold_mode
        self.cooldown = integer(op, "cooldown", cooldown, 0)
        self.eps = eps
        self.best = math.inf if mode == "min" else -math.inf
        self.num_bad_epochs = 0
        self.cooldown_counter = 0
        self.last_epoch = 0
        self._last_lr: list[float] = [group["lr"] for group in groups]

    def get_last_lr(self) -> list[float]:
        """The lr of each group as last set."""
        return self._last_lr

    def step(self, metrics: Any) -> None:
        """Take the value of this epoch and lower the lr if it is time."""
        value = float(metrics.item() if hasattr(metrics, "item") else metrics)
        self.last_epoch += 1
        if self._improved(value):
            self.best = value
            self.num_bad_epochs = 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            self._reduce()
            self.cooldown_counter = self.cooldown
            self.num_bad_epochs = 0
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _improved(self, value: float) -> bool:
        sign = 1.0 if self.mode == "min" else -1.0
        if self.threshold_mode == "rel":
            return sign * value < sign * (self.best * (1.0 - sign * self.threshold))
        return sign * value < sign * (self.best - sign * self.threshold)

    def _reduce(self) -> None:
        for group, low in zip(self.optimizer.param_groups, self.min_lrs, strict=True):
            lower = max(group["lr"] * self.factor, low)
            if group["lr"] - lower > self.eps:
                group["lr"] = lower

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; raises ValueError for keys this schedule does not
        have.
        """
        unexpected = [key for key in state_dict if key not in self.__dict__ or key == "optimizer"]
        if unexpected:
            raise ValueError(f"ReduceLROnPlateau: state_dict has unexpected keys {unexpected}")
        self.__dict__.update(state_dict)
