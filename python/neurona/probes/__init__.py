"""Probes: what a model's gradients, curvature, memory and votes tell about it, and whether a
hyperplane separates two classes.

>>> import neurona
>>> from neurona import nn, probes
>>> model = nn.Linear(3, 1)
>>> probes.input_gradient(model, neurona.zeros(2, 3)).shape
(2, 3)
"""

from __future__ import annotations

from .ensemble import Ensemble
from .gradients import GradientMonitor, filters, gradient_norms, input_gradient
from .hessian import numeric_hessian
from .memory import MemoryEstimate, memory_estimate
from .search import Trial, grid_search, lr_sweep
from .separability import Separability, linear_separability

__all__ = [
    "Ensemble",
    "GradientMonitor",
    "MemoryEstimate",
    "Separability",
    "Trial",
    "filters",
    "gradient_norms",
    "grid_search",
    "input_gradient",
    "linear_separability",
    "lr_sweep",
    "memory_estimate",
    "numeric_hessian",
]
