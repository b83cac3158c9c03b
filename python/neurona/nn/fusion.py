"""A layer and the ReLU behind it as one kernel."""

from __future__ import annotations

from typing import Any

from . import functional as F
from .conv import Conv2d
from .layer_errors import name_layer
from .linear import Linear
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d

_FUSABLE = (Linear, Conv2d, BatchNorm1d, BatchNorm2d)


def fusable(layer: Module) -> bool:
    """A subclass may compute something else, and hooks must see what they watch."""
    return layer._hooks is None and type(layer) in _FUSABLE


def with_relu(layer: Module, input: Any) -> Any:
    """relu(layer(input)), the same bits, in one pass where the layer has such a kernel.

    >>> import neurona
    >>> from neurona import nn
    >>> with_relu(nn.BatchNorm1d(1), neurona.tensor([[1.0], [3.0]])).flatten()
    tensor([0., 1.])
    """
    if not fusable(layer):
        return F.relu(layer(input))
    fused: Any = layer
    try:
        return fused.forward_fused(input, "relu")
    except (TypeError, ValueError) as error:
        name_layer(layer, error, (input,))
        raise
