"""Pictures of data, training and networks; needs matplotlib (`pip install neurona[plot]`).

Every function returns a matplotlib `Figure`, which shows itself in a notebook, and writes it to
`path`, atomically, when given one; the suffix chooses the format. ImportError names the extra when
matplotlib is missing.

>>> from neurona import plot
>>> figure = plot.learning_curves({"loss": [2.3, 0.9, 0.4], "val_loss": [1.2, 0.8, 0.7]})
>>> [line.get_label() for line in figure.axes[0].lines]
['loss', 'val_loss']
"""

from __future__ import annotations

from .classes import confusion_matrix, decision_boundary, misclassified
from .curves import (
    activation_curves,
    compare_runs,
    histograms,
    learning_curves,
    loss_curves,
    loss_values,
)
from .images import convolution, feature_maps, filters
from .surface import loss_surface

__all__ = [
    "activation_curves",
    "compare_runs",
    "confusion_matrix",
    "convolution",
    "decision_boundary",
    "feature_maps",
    "filters",
    "histograms",
    "learning_curves",
    "loss_curves",
    "loss_surface",
    "loss_values",
    "misclassified",
]
