"""What all metrics share: sums over batches."""

from __future__ import annotations

from typing import Any

import numpy as np


def as_array(value: Any) -> np.ndarray:
    """The array behind a Tensor (copied to the host if need be), or `numpy.asarray` of the rest."""
    if isinstance(value, np.ndarray):
        return value
    data = getattr(value, "data", None)
    if isinstance(data, np.ndarray):
        return data
    # A tensor on a device has its array copied to the host, where metrics are computed.
    return value.cpu().data if getattr(value, "device", "cpu") != "cpu" else np.asarray(value)


class Metric:
    """Base: `total` over `count`, both summed over batches; `mode` tells which way is better."""

    name = "metric"
    mode = "max"

    def __init__(self, name: str | None = None) -> None:
        if name is not None:
            self.name = name
        self.reset()

    def reset(self) -> None:
        """Forgets all batches."""
        self.total: float = 0
        self.count: float = 0

    def update(self, output: Any, target: Any) -> None:
        """Adds a batch."""
        raise NotImplementedError(f"{type(self).__name__}.update")

    def compute(self) -> float:
        """The value over all batches since `reset`; nan if there were none."""
        return float(self.total / self.count) if self.count else float("nan")

    def state_dict(self) -> dict[str, Any]:
        """The sums, for a checkpoint."""
        return {"total": self.total, "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave."""
        self.total, self.count = state["total"], state["count"]

    def __call__(self, output: Any, target: Any) -> float:
        """The value of a single batch, apart from the running sums."""
        fresh = type(self).__new__(type(self))
        fresh.__dict__.update(self.__dict__)
        fresh.reset()
        fresh.update(output, target)
        return fresh.compute()


class Mean(Metric):
    """Mean of a number per batch, weighted by the size of the batch (the running loss).

    >>> mean = Mean("loss")
    >>> mean.add(1.0, 3); mean.add(2.0, 1)
    >>> mean.compute()
    1.25
    """

    name = "mean"
    mode = "min"

    def add(self, value: float, count: int) -> None:
        """Adds a batch of `count` samples whose mean is `value`."""
        self.total += value * count
        self.count += count
