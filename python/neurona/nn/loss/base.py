"""What all loss layers share. `reduction` is "mean", "sum" or "none"; the dead slots size_average
and reduce accept None only.
"""

from __future__ import annotations

import numpy as np

from ...tensor import Tensor
from ..checks import reduction_only
from ..module import Module


class Loss(Module):
    """Holds the reduction."""

    def __init__(
        self, size_average: None = None, reduce: None = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.reduction = reduction_only(type(self).__name__, size_average, reduce, reduction)

    def extra_repr(self) -> str:
        return f"reduction={self.reduction!r}"

    def register_weight(self, name: str, weight: Tensor | np.ndarray | None) -> None:
        """Keep a weight as a buffer, so that it is saved and moved with the model."""
        self.register_buffer(name, Tensor(weight) if isinstance(weight, np.ndarray) else weight)
