"""SequentialLR: one schedule after another."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from .optimizer import Optimizer
from .schedule import LRScheduler, check_optimizer, integer


class SequentialLR(LRScheduler):
    """`schedulers[i]` rules from step `milestones[i - 1]` on, starting at its own step 0.

    Raises ValueError unless there is one milestone fewer than schedules, in rising order, and all
    schedules belong to `optimizer`.

    >>> from neurona import nn, optim
    >>> from neurona.optim import lr_scheduler
    >>> opt = optim.SGD(nn.Linear(2, 1).parameters(), lr=1.0)
    >>> warm_up = lr_scheduler.ConstantLR(opt, factor=0.5, total_iters=2)
    >>> schedule = lr_scheduler.SequentialLR(
    ...     opt, [warm_up, lr_scheduler.ExponentialLR(opt, 0.5)], milestones=[2]
    ... )
    >>> _ = opt.step()
    >>> rates = [schedule.get_last_lr()[0]]
    >>> for _ in range(3):
    ...     schedule.step()
    ...     rates.append(schedule.get_last_lr()[0])
    >>> rates
    [0.5, 0.5, 1.0, 0.5]
    """

    _not_saved = ("optimizer", "_schedulers")

    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: Sequence[LRScheduler],
        milestones: Sequence[int],
        last_epoch: int = -1,
    ) -> None:
        op = "SequentialLR"
        check_optimizer(op, optimizer)
        if not schedulers:
            raise ValueError(f"{op}: schedulers must not be empty")
        for position, scheduler in enumerate(schedulers):
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(
                    f"{op}: schedulers[{position}] must be an LRScheduler, "
                    f"got {type(scheduler).__name__}"
                )
            if scheduler.optimizer is not optimizer:
                raise ValueError(
                    f"{op}: schedulers[{position}] must belong to the same optimizer, "
                    "got another one's"
                )
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"{op}: milestones must have one entry fewer than the {len(schedulers)} "
                f"schedulers, got {len(milestones)}"
            )
        bounds = [integer(op, "milestones", value, 1) for value in milestones]
        if any(first >= second for first, second in zip(bounds, bounds[1:], strict=False)):
            raise ValueError(f"{op}: milestones must rise, got {bounds}")
        self._schedulers = list(schedulers)
        self._milestones = bounds
        super().__init__(optimizer, last_epoch)

    def _advance(self) -> None:
        first = self._step_count == 0
        self.last_epoch += 1
        self._step_count += 1
        current = bisect_right(self._milestones, self.last_epoch)
        ruling = self._schedulers[current]
        if first and self.last_epoch == 0:
            # Each schedule set the lr when it was made; the first one's step 0 is what counts.
            for group in self.optimizer.param_groups:
                group["lr"] = group["initial_lr"]
            ruling._restart()
        elif not first and current > 0 and self._milestones[current - 1] == self.last_epoch:
            ruling._restart()
        elif not first:
            ruling._advance()
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimizer; the schedules' own states are the list "_schedulers"."""
        own = super().state_dict()
        own["_schedulers"] = [scheduler.state_dict() for scheduler in self._schedulers]
        return own

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave; raises ValueError when it does not fit."""
        saved = dict(state_dict)
        inner = saved.pop("_schedulers", None)
        if not isinstance(inner, list | tuple) or len(inner) != len(self._schedulers):
            raise ValueError(
                f"SequentialLR: state_dict must hold the states of {len(self._schedulers)} "
                "schedulers"
            )
        super().load_state_dict(saved)
        for scheduler, state in zip(self._schedulers, inner, strict=True):
            scheduler.load_state_dict(state)
