"""LRScheduler: what all learning-rate schedules but ReduceLROnPlateau share."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from ..errors import suggest_keywords
from .optimizer import Optimizer


def integer(op: str, name: str, value: Any, minimum: int) -> int:
    """Raise unless `value` is an int >= minimum."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{op}: {name} must be an int, got {type(value).__name__}")
    if value < minimum:
        raise ValueError(f"{op}: {name} must be >= {minimum}, got {value}")
    return value


def check_optimizer(op: str, optimizer: Any) -> None:
    """Raise unless `optimizer` is one."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{op}: optimizer must be an Optimizer, got {type(optimizer).__name__}")


class LRScheduler:
    """Base class: `step()`, once per epoch or batch and after `optimizer.step()`, sets every
    group's lr to `get_lr()`.

    `last_epoch` counts the steps; -1 starts afresh and remembers each group's lr as "initial_lr" in
    `base_lrs`. `get_lr` works from the lr that stands in the group, so that schedules can be
    combined and rounding equals PyTorch's.
    """

    _not_saved: tuple[str, ...] = ("optimizer",)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in cls.__dict__:
            cls.__init__ = suggest_keywords(cls.__name__)(cls.__init__)  # type: ignore[method-assign]

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        op = type(self).__name__
        check_optimizer(op, optimizer)
        integer(op, "last_epoch", last_epoch, -1)
        for number, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ValueError(
                    f"{op}: param_groups[{number}] must have 'initial_lr' to go on from "
                    f"last_epoch {last_epoch}, got none"
                )
        self.optimizer = optimizer
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self._last_lr: list[float] = []
        self._advance()

    def get_lr(self) -> list[float]:
        """The next lr of each group."""
        raise NotImplementedError(f"{type(self).__name__}: get_lr is not defined")

    def get_last_lr(self) -> list[float]:
        """The lr of each group as last set."""
        return self._last_lr

    def step(self) -> None:
        """Count one step and set the lr of each group; warns when no `optimizer.step()` came before
        the first.
        """
        if self._step_count == 1 and self.optimizer._step_count == 0:
            warnings.warn(
                f"{type(self).__name__}: step() should come after optimizer.step(), "
                "or the first lr is never used",
                UserWarning,
                stacklevel=2,
            )
        self._advance()

    def _advance(self) -> None:
        self.last_epoch += 1
        self._step_count += 1
        self._set_lrs()

    def _restart(self) -> None:
        """Go to step 0 from the initial lr, wherever this schedule stood; SequentialLR needs it."""
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = base
        self.last_epoch = -1
        self._advance()

    def _set_lrs(self) -> None:
        for group, lr in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = lr
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _group_lrs(self, factor: float = 1.0) -> list[float]:
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer and functions."""
        return {key: value for key, value in self.__dict__.items() if key not in self._not_saved}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; raises ValueError for keys this schedule does not
        have.
        """
        unexpected = [
            key for key in state_dict if key not in self.__dict__ or key in self._not_saved
        ]
        if unexpected:
            raise ValueError(f"{type(self).__name__}: state_dict has unexpected keys {unexpected}")
        self.__dict__.update(state_dict)
