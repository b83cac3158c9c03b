"""What the callbacks that watch a quantity share: is the new value better than the best so far?"""

from __future__ import annotations

import math
import warnings
from typing import Any

from .base import Callback, Logs

_LARGER_IS_BETTER = ("acc", "auc", "precision", "recall", "f1", "iou")


class MonitorCallback(Callback):
    """Base of the callbacks with `monitor`, `mode` and `min_delta`.

    `mode` is `min`, `max` or `auto`, which takes `max` for accuracies, precision, recall, F1
    and IoU.
    Raises `ValueError` for another mode.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(
                f"{type(self).__name__}: mode must be 'auto', 'min' or 'max', got {mode!r}"
            )
        if mode == "auto":
            mode = "max" if any(part in monitor for part in _LARGER_IS_BETTER) else "min"
        self.monitor, self.mode, self.min_delta = monitor, mode, abs(min_delta)
        self.best = self.worst

    @property
    def worst(self) -> float:
        """The value that every other one improves on."""
        return -math.inf if self.mode == "max" else math.inf

    def improves(self, value: float, best: float) -> bool:
        """Whether `value` is better than `best` by more than `min_delta`; nan never is."""
        if self.mode == "max":
            return value - self.min_delta > best
        return value + self.min_delta < best

    def value(self, logs: Logs) -> float | None:
        """The watched value; None, with a warning, if the run does not produce it."""
        if self.monitor not in logs:
            warnings.warn(
                f"{type(self).__name__}: monitor {self.monitor!r} is not among {sorted(logs)}",
                stacklevel=2,
            )
            return None
        return float(logs[self.monitor])

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = state["best"]
