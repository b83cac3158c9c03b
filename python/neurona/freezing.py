"""Weights that are constant from here on, for inference: brought into the kernels' order once."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from .backends import FLOAT32, cpu
from .nn import Conv2d, Linear, Module


class ConstantArray(np.ndarray):
    """A read-only array with what the kernels made of it; copies and views of it are without."""

    packed: Any = None


def _constant(weight: np.ndarray) -> ConstantArray:
    elements = np.array(weight, order="C")
    elements.flags.writeable = False
    result = elements.view(ConstantArray)
    result.packed = cpu.PackedWeight(elements)
    return result


def freeze(model: Module) -> Module:
    """A copy of `model` for inference, in evaluation mode, whose weights are constant: what the
    kernels of Conv2d and Linear make of them is made in the first call and kept.

    Bringing weights into the kernels' order takes longer than computing with them where channels
    are many and pixels or rows few, as in the last blocks of ResNet-18 on one image. The results
    are those of `model` up to rounding, which may depend on the number of images; the weights are
    kept a second time. No parameter requires a gradient, and the weights of Conv2d and Linear are
    read-only: to change them in place is a ValueError. Freeze again after more training. Best after
    `fold_batch_norm` and before `record`. On a CUDA device and for float64 nothing is packed.

    Raises TypeError unless `model` is a Module.

    >>> import neurona
    >>> from neurona import nn
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).eval()
    >>> x = neurona.randn(1, 3, 8, 8)
    >>> float((neurona.freeze(model)(x) - model(x)).abs().max()) < 1e-5
    True
    """
    if not isinstance(model, Module):
        raise TypeError(f"freeze: model must be a Module, got {type(model).__name__}")
    result = copy.deepcopy(model).eval().requires_grad_(False)
    for layer in result.modules():
        if isinstance(layer, Conv2d | Linear) and layer.weight.data.dtype is FLOAT32:
            layer.weight.data = _constant(layer.weight.data)
    return result
