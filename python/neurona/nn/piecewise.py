"""Activation layers made of pieces, and the radial basis function layer."""

from __future__ import annotations

import math

import numpy as np

from ..tensor import Tensor
from . import functional as F
from . import init as initial
from .activation import _Inplace
from .checks import flag, float_dtype, integer, number, positive
from .module import Module
from .parameter import Parameter


class Step(Module):
    """The unit step of the perceptron: y = 1 for x >= 0, else 0; its gradient is 0 by convention.

    Paper: Rosenblatt 1958.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Step()(neurona.tensor([-1.0, 0.0, 2.0])).tolist()
    [0.0, 1.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """x (*) -> y (*)."""
        return F.heaviside(input)


class HardSigmoid(Module):
    """The rigid sigmoid y = min(max(slope x + shift, 0), 1), by default (x + 1) / 2 clipped.

    Not PyTorch's `Hardsigmoid`, which differs by one capital and is x / 6 + 1 / 2 clipped. The
    gradient is `slope` inside and 0 at the kinks and beyond. Raises ValueError for a slope <= 0.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.HardSigmoid()(neurona.tensor([-1.0, 0.0, 1.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    def __init__(self, slope: float = 0.5, shift: float = 0.5) -> None:
        super().__init__()
        self.slope = positive("HardSigmoid", "slope", slope)
        self.shift = number("HardSigmoid", "shift", shift, -math.inf)

    def forward(self, input: Tensor) -> Tensor:
        """x (*) -> y (*)."""
        return F.hard_sigmoid(input, self.slope, self.shift)

    def extra_repr(self) -> str:
        return f"slope={self.slope}, shift={self.shift}"


class Hardsigmoid(_Inplace):
    """PyTorch's y = min(max(x / 6 + 1 / 2, 0), 1).

    Not `HardSigmoid`, which differs by one capital and is (x + 1) / 2 clipped.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Hardsigmoid()(neurona.tensor([-3.0, 0.0, 3.0])).tolist()
    [0.0, 0.5, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """x (*) -> y (*)."""
        return F.hardsigmoid(input, self.inplace)


class ELU(Module):
    """y = x for x > 0, else alpha (exp(x) - 1).

    Raises ValueError for an alpha that is not finite. Paper: Clevert, Unterthiner, Hochreiter 2016.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.ELU()(neurona.tensor([0.0, 2.0])).tolist()
    [0.0, 2.0]
    """

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = number("ELU", "alpha", alpha, -math.inf)
        self.inplace = flag("ELU", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        """x (*) -> y (*)."""
        return F.elu(input, self.alpha, self.inplace)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """y = x for x > 0, else weight x, with a learned slope for all channels or for each one.

    x (N, C, *), weight (1,) or (C,). The slope starts at `init`. Raises ValueError when the
    channels do not fit. Paper: He et al. 2015.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.PReLU()(neurona.tensor([-1.0, 2.0])).tolist()
    [-0.25, 2.0]
    """

    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: object = None,
        dtype: object = None,
    ) -> None:
        super().__init__()
        self.num_parameters = integer("PReLU", "num_parameters", num_parameters, 1)
        self.init = number("PReLU", "init", init, -math.inf)
        kind = float_dtype("PReLU", device, dtype)
        self.weight = Parameter(np.empty(self.num_parameters, kind))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Put the slopes back to `init`."""
        initial.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, *) -> y (N, C, *)."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Softplus(Module):
    """y = log(1 + exp(beta x)) / beta, and x itself where beta x > threshold.

    Raises ValueError for a beta <= 0.

    >>> import neurona
    >>> from neurona import nn
    >>> round(nn.Softplus()(neurona.tensor([0.0])).item(), 4)
    0.6931
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = positive("Softplus", "beta", beta)
        self.threshold = number("Softplus", "threshold", threshold, -math.inf)

    def forward(self, input: Tensor) -> Tensor:
        """x (*) -> y (*)."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class RBF(Module):
    """Radial basis function units: y_k = sum_i (x_i - centers_ki)^2, the distance to each centre.

    x (*, in_features), centers (out_features, in_features), y (*, out_features); the smallest
    output is the best match. The centres start uniform in +-1, where tanh units end. Raises
    ValueError when the last axis of x is not in_features. Paper: LeCun, Bottou, Bengio, Haffner
    1998, the last layer of LeNet-5.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.RBF(84, 10)(neurona.zeros(32, 84)).shape
    (32, 10)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        device: object = None,
        dtype: object = None,
    ) -> None:
        super().__init__()
        self.in_features = integer("RBF", "in_features", in_features, 1)
        self.out_features = integer("RBF", "out_features", out_features, 1)
        kind = float_dtype("RBF", device, dtype)
        self.centers = Parameter(np.empty((self.out_features, self.in_features), kind))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the centres anew."""
        initial.uniform_(self.centers, -1.0, 1.0)

    def forward(self, input: Tensor) -> Tensor:
        """x (*, in_features) -> y (*, out_features)."""
        return F.rbf(input, self.centers)

    def _expected_input(self, shape: tuple[int, ...]) -> str | None:
        fits = len(shape) >= 1 and shape[-1] == self.in_features
        return None if fits else f"(*, {self.in_features})"

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}"
