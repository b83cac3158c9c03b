"""Metrics of numbers: output and target of one shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Metric, as_array


class _Elementwise(Metric):
    mode = "min"

    def _errors(self, difference: np.ndarray) -> np.ndarray:
        raise NotImplementedError(type(self).__name__)

    def update(self, output: Any, target: Any) -> None:
        values, wanted = as_array(output), as_array(target)
        if values.shape != wanted.shape:
            raise ValueError(
                f"{self.name}: target must have shape {values.shape}, got {wanted.shape}"
            )
        self.total += float(self._errors(values.astype(np.float64) - wanted).sum())
        self.count += values.size


class MeanSquaredError(_Elementwise):
    """Mean of (output - target)^2 over all elements.

    >>> MeanSquaredError()(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    2.0
    """

    name = "mse"

    def _errors(self, difference: np.ndarray) -> np.ndarray:
        return difference * difference


class MeanAbsoluteError(_Elementwise):
    """Mean of |output - target| over all elements."""

    name = "mae"

    def _errors(self, difference: np.ndarray) -> np.ndarray:
        return np.abs(difference)
