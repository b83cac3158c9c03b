"""Predictions that need more than one pass: the Monte Carlo mean of a net with dropout."""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from . import nn
from .autograd import no_grad
from .nn.dropout import DropoutBase
from .tensor import Tensor


class MonteCarlo(NamedTuple):
    """Mean and standard deviation (divided by n) over the passes, each of the output's shape."""

    mean: Tensor
    std: Tensor


def mc_predict(model: nn.Module, x: Any, n: int) -> MonteCarlo:
    """The mean and spread of `n` predictions with dropout left on: an ensemble of the sub-nets that
    dropout samples.

    Only the dropout layers work as in training; all else (batch norm) is in evaluation mode, no
    gradients are recorded, and every mode is restored. Sums are in float64, in one pass over the n
    outputs. Raises ValueError for n < 1 and for a model without a dropout layer with p > 0, whose
    predictions would all be one; TypeError for a wrong kind. Paper: Gal & Ghahramani 2016.

    >>> import neurona
    >>> from neurona import nn
    >>> mean, std = neurona.mc_predict(nn.Dropout(0.5), neurona.ones(1000), 20)
    >>> bool(abs(mean.mean().item() - 1) < 0.1), std.shape
    (True, (1000,))
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"mc_predict: model must be a Module, got {type(model).__name__}")
    if isinstance(n, bool | np.bool_) or not hasattr(n, "__index__"):
        raise TypeError(f"mc_predict: n must be an int, got {type(n).__name__}")
    passes = operator.index(n)
    if passes < 1:
        raise ValueError(f"mc_predict: n must be >= 1, got {n}")
    modes = [(module, module.training) for module in model.modules()]
    layers = [module for module, _ in modes if isinstance(module, DropoutBase) and module.p > 0]
    if not layers:
        raise ValueError("mc_predict: model must have a dropout layer with p > 0, got none")
    model.eval()
    for layer in layers:
        layer.train()
    mean: Any = 0.0
    squares: Any = 0.0
    try:
        with no_grad():
            for count in range(1, passes + 1):
                output = model(x)
                # Welford's update: no sum of squares that would cancel.
                step = output.data.astype(np.float64) - mean
                mean = mean + step / count
                squares = squares + step * (output.data - mean)
    finally:
        for module, mode in modes:
            module.training = mode
    dtype = output.data.dtype
    spread = np.sqrt(squares / passes)
    return MonteCarlo(Tensor(mean.astype(dtype)), Tensor(spread.astype(dtype)))
