"""Activation layers: element-wise functions, and softmax over one axis. The shape stays."""

from __future__ import annotations

from ..tensor import Tensor
from . import functional as F
from .checks import flag, integer, number, positive
from .module import Module


class _Inplace(Module):
    """Takes PyTorch's `inplace`, which changes neither the result nor the gradient."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = flag(type(self).__name__, "inplace", inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_Inplace):
    """y = max(0, x); NaN stays NaN, the gradient at 0 is 0.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.ReLU()(neurona.tensor([-1.0, 2.0])).numpy().tolist()
    [0.0, 2.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """x (*) -> y (*)."""
        return F.relu(input, self.inplace)


class LeakyReLU(Module):
    """y = x for x > 0, negative_slope x otherwise.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.LeakyReLU(0.5)(neurona.tensor([-1.0, 2.0])).numpy().tolist()
    [-0.5, 2.0]
    """

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = number("LeakyReLU", "negative_slope", negative_slope, float("-inf"))
        self.inplace = flag("LeakyReLU", "inplace", inplace)

    def forward(self, input: Tensor) -> Tensor:
        """x (*) -> y (*)."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}" + (", inplace=True" if self.inplace else "")


class Sigmoid(Module):
    """y = 1 / (1 + exp(-x)).

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Sigmoid()(neurona.tensor([0.0])).item()
    0.5
    """

    def forward(self, input: Tensor) -> Tensor:
        """x (*) -> y (*)."""
        return F.sigmoid(input)


class Tanh(Module):
    """y = tanh(x).

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Tanh()(neurona.tensor([0.0])).item()
    0.0
    """

    def forward(self, input: Tensor) -> Tensor:
        """x (*) -> y (*)."""
        return F.tanh(input)


class GELU(Module):
    """y = x Phi(x), Phi the normal distribution function (Hendrycks & Gimpel 2016).

    `approximate="tanh"` takes y = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).

    >>> import neurona
    >>> from neurona import nn
    >>> nn.GELU()(neurona.tensor([0.0])).item()
    0.0
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate must be 'none' or 'tanh', got {approximate!r}")
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """x (*) -> y (*)."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class SiLU(_Inplace):
    """y = x sigmoid(x).

    >>> import neurona
    >>> from neurona import nn
    >>> nn.SiLU()(neurona.tensor([0.0])).item()
    0.0
    """

    def forward(self, input: Tensor) -> Tensor:
        """x (*) -> y (*)."""
        return F.silu(input, self.inplace)


class _OverDim(Module):
    def __init__(self, dim: int | None = None, *, temperature: float = 1.0) -> None:
        super().__init__()
        layer = type(self).__name__
        self.dim = dim if dim is None else integer(layer, "dim", dim, -(2**31))
        self.temperature = positive(layer, "temperature", temperature)

    def extra_repr(self) -> str:
        return f"dim={self.dim}" + (
            "" if self.temperature == 1.0 else f", temperature={self.temperature}"
        )


class Softmax(_OverDim):
    """y_i = exp(x_i / T) / sum_j exp(x_j / T) along `dim`, T the `temperature`; without `dim` the
    axis is guessed, with a warning. Raises ValueError for T <= 0.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Softmax(dim=1)(neurona.zeros(1, 4)).numpy().tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """x (*) -> y (*), whose sum along dim is 1."""
        return F.softmax(input, self.dim, temperature=self.temperature)


class LogSoftmax(_OverDim):
    """y_i = x_i / T - log(sum_j exp(x_j / T)) along `dim`, T the `temperature`; without `dim` the
    axis is guessed, with a warning. Raises ValueError for T <= 0.

    >>> import neurona
    >>> from neurona import nn
    >>> round(nn.LogSoftmax(dim=1)(neurona.zeros(1, 2)).numpy()[0, 0].item(), 4)
    -0.6931
    """

    def forward(self, input: Tensor) -> Tensor:
        """x (*) -> y (*)."""
        return F.log_softmax(input, self.dim, temperature=self.temperature)
