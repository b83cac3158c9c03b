"""OneCycleLR: the learning rate rises once and falls, momentum does the reverse (Smith & Topin
2018).
"""

from __future__ import annotations

import math
from typing import Any

from .optimizer import Optimizer, check_number
from .schedule import LRScheduler, check_optimizer, integer


class OneCycleLR(LRScheduler):
    """lr goes from max_lr / div_factor up to max_lr and down to max_lr / (div_factor
    final_div_factor).

    The rise takes the share `pct_start` of `total_steps` (or epochs * steps_per_epoch); step once
    per batch. `anneal_strategy` is "cos" or "linear". With `cycle_momentum` the momentum (or Adam's
    first beta) runs from max_momentum to base_momentum and back. `three_phase` adds a fall that
    mirrors the rise before the last descent.

    Raises ValueError on a step beyond total_steps.

    >>> import neurona
    >>> from neurona import nn, optim
    >>> opt = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1, momentum=0.9)
    >>> schedule = optim.lr_scheduler.OneCycleLR(opt, max_lr=1.0, total_steps=10)
    >>> round(schedule.get_last_lr()[0], 4)
    0.04
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        op = "OneCycleLR"
        check_optimizer(op, optimizer)
        if total_steps is not None:
            self.total_steps = integer(op, "total_steps", total_steps, 1)
        elif epochs is None or steps_per_epoch is None:
            raise ValueError(
                f"{op}: total_steps, or epochs and steps_per_epoch, must be given, got None"
            )
        else:
            self.total_steps = integer(op, "epochs", epochs, 1) * integer(
                op, "steps_per_epoch", steps_per_epoch, 1
            )
        check_number(op, "pct_start", pct_start, "in [0, 1]", lambda value: 0.0 <= value <= 1.0)
        for name, factor in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            check_number(op, name, factor, "finite and > 0", lambda value: 0.0 < value < math.inf)
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"{op}: anneal_strategy must be 'cos' or 'linear', got {anneal_strategy!r}"
            )
        self.anneal_strategy = anneal_strategy
        self.cycle_momentum = bool(cycle_momentum)
        self._phases = self._plan(pct_start, bool(three_phase))
        groups = optimizer.param_groups
        peaks = self._per_group("max_lr", max_lr, len(groups))
        if last_epoch == -1:
            for group, peak in zip(groups, peaks, strict=True):
                group["initial_lr"] = peak / div_factor
                group["max_lr"] = peak
                group["min_lr"] = group["initial_lr"] / final_div_factor
        if self.cycle_momentum:
            if not {"momentum", "betas"} & set(optimizer.defaults):
                raise ValueError(
                    f"{op}: cycle_momentum must be False for an optimizer without momentum or betas"
                )
            lows = self._per_group("base_momentum", base_momentum, len(groups))
            highs = self._per_group("max_momentum", max_momentum, len(groups))
            if last_epoch == -1:
                for group, low, high in zip(groups, lows, highs, strict=True):
                    _set_momentum(group, high)
                    group["max_momentum"] = high
                    group["base_momentum"] = low
        super().__init__(optimizer, last_epoch)

    def _plan(self, share: float, three_phase: bool) -> list[tuple[float, str, str, str, str]]:
        """Each phase: its last step, then the group's keys of lr at start and end and of momentum
        at start and end.
        """
        rise_end = share * self.total_steps - 1
        end = self.total_steps - 1
        rise = (rise_end, "initial_lr", "max_lr", "max_momentum", "base_momentum")
        if not three_phase:
            return [rise, (end, "max_lr", "min_lr", "base_momentum", "max_momentum")]
        return [
            rise,
            (
                2 * share * self.total_steps - 2,
                "max_lr",
                "initial_lr",
                "base_momentum",
                "max_momentum",
            ),
            (end, "initial_lr", "min_lr", "max_momentum", "max_momentum"),
        ]

    @staticmethod
    def _per_group(name: str, value: Any, count: int) -> list[float]:
        values = list(value) if isinstance(value, list | tuple) else [value] * count
        if len(values) != count:
            raise ValueError(
                f"OneCycleLR: {name} must have one value per group ({count}), got {len(values)}"
            )
        for item in values:
            check_number(
                "OneCycleLR", name, item, "finite and >= 0", lambda number: 0.0 <= number < math.inf
            )
        return values

    def _between(self, start: float, end: float, share: float) -> float:
        if self.anneal_strategy == "cos":
            return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * share))
        return (end - start) * share + start

    def _position(self) -> tuple[tuple[float, str, str, str, str], float]:
        """The present phase and the share of it that has passed; the last phase has no end."""
        begin = 0.0
        for phase in self._phases[:-1]:
            if self.last_epoch <= phase[0]:
                break
            begin = phase[0]
        else:
            phase = self._phases[-1]
        length = phase[0] - begin
        return phase, (self.last_epoch - begin) / length if length else 1.0

    def get_lr(self) -> list[float]:
        """The lr of each group; sets the momentum of each group as well."""
        if self.last_epoch > self.total_steps:
            raise ValueError(
                f"OneCycleLR: step must be called at most {self.total_steps} times, "
                f"got {self.last_epoch}"
            )
        (_, lr_from, lr_to, momentum_from, momentum_to), share = self._position()
        lrs = []
        for group in self.optimizer.param_groups:
            lrs.append(self._between(group[lr_from], group[lr_to], share))
            if self.cycle_momentum:
                _set_momentum(group, self._between(group[momentum_from], group[momentum_to], share))
        return lrs


def _set_momentum(group: dict[str, Any], value: float) -> None:
    if "betas" in group:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value
