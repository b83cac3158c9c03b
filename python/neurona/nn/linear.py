"""Linear: the dense layer."""

from __future__ import annotations

import math

import numpy as np

from ..tensor import Tensor
from . import functional as F
from . import init
from .checks import float_dtype, integer
from .module import Module
from .parameter import Parameter


def check_bias_init(layer: str, bias_init: str) -> str:
    """How the bias starts: drawn as the weight is, or at 0."""
    if bias_init not in ("uniform", "zeros"):
        raise ValueError(f"{layer}: bias_init must be 'uniform' or 'zeros', got {bias_init!r}")
    return bias_init


def reset_uniform(module: Module, fan_in: int, bias_init: str) -> None:
    """Draw the module's own weight and bias uniformly from +-1/sqrt(fan_in), or the bias as 0."""
    bound = 1.0 / math.sqrt(fan_in) if fan_in > 0 else 0.0
    for name, parameter in module.named_parameters(recurse=False):
        if name == "bias" and bias_init == "zeros":
            init.zeros_(parameter)
        else:
            init.uniform_(parameter, -bound, bound)


class Linear(Module):
    """y = x W^T + b, on the last axis.

    x (*, in_features), W (out_features, in_features), b (out_features,), y (*, out_features). W and
    b start uniform in +-1/sqrt(in_features); `bias_init="zeros"` starts b at 0. Raises ValueError
    when the last axis of x is not in_features.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Linear(400, 120)(neurona.zeros(32, 400)).shape
    (32, 120)
    """

    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        device: object = None,
        dtype: object = None,
        *,
        bias_init: str = "uniform",
    ) -> None:
        super().__init__()
        self.in_features = integer("Linear", "in_features", in_features, 1)
        self.out_features = integer("Linear", "out_features", out_features, 1)
        self.bias_init = check_bias_init("Linear", bias_init)
        kind = float_dtype("Linear", device, dtype)
        self.weight = Parameter(np.empty((self.out_features, self.in_features), kind))
        self.register_parameter(
            "bias", Parameter(np.empty(self.out_features, kind)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weight and the bias anew."""
        reset_uniform(self, self.in_features, self.bias_init)

    def forward(self, input: Tensor) -> Tensor:
        """x (*, in_features) -> y (*, out_features)."""
        return F.linear(input, self.weight, self.bias)

    def forward_fused(self, input: Tensor, activation: str) -> Tensor:
        """`forward` and an activation in one pass of the kernel."""
        return F.linear(input, self.weight, self.bias, activation=activation)

    def _expected_input(self, shape: tuple[int, ...]) -> str | None:
        fits = len(shape) >= 1 and shape[-1] == self.in_features
        return None if fits else f"(*, {self.in_features})"

    def extra_repr(self) -> str:
        sizes = f"in_features={self.in_features}, out_features={self.out_features}"
        return f"{sizes}, bias={self.bias is not None}"
