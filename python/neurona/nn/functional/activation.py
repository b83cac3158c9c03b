"""Activations and softmax."""

from __future__ import annotations

import warnings
from typing import Any

from ...functions import activation as act
from ...functions.softmax import LogSoftmax, Softmax
from ...tensor import Tensor
from ...tensor.base import apply
from ._arguments import as_tensor, positive_number, replace


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0), element by element; the gradient at 0 is 0.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.relu(neurona.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    x = as_tensor("relu", "input", input)
    return replace("relu", x, act.ReLU) if inplace else apply(act.ReLU, x)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope x.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.leaky_relu(neurona.tensor([-1.0, 2.0]), 0.5)
    tensor([-0.5,  2. ])
    """
    x = as_tensor("leaky_relu", "input", input)
    if inplace:
        return replace("leaky_relu", x, act.LeakyReLU, negative_slope)
    return apply(act.LeakyReLU, x, negative_slope)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e^-x), without overflow for any x.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.sigmoid(neurona.tensor([0.0, -1e4]))
    tensor([0.5, 0. ])
    """
    return apply(act.Sigmoid, as_tensor("sigmoid", "input", input))


def tanh(input: Tensor) -> Tensor:
    """(e^x - e^-x) / (e^x + e^-x).

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.tanh(neurona.tensor([0.0, 100.0]))
    tensor([0., 1.])
    """
    return apply(act.Tanh, as_tensor("tanh", "input", input))


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x Phi(x), Phi the normal distribution function ("none"), or its approximation by "tanh".

    Raises ValueError for another `approximate`. Paper: Hendrycks & Gimpel 2016.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.gelu(neurona.tensor([0.0, 1.0]))
    tensor([0.    , 0.8413])
    """
    return apply(act.GELU, as_tensor("gelu", "input", input), approximate)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x sigmoid(x).

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.silu(neurona.tensor([0.0, 1.0]))
    tensor([0.    , 0.7311])
    """
    x = as_tensor("silu", "input", input)
    return replace("silu", x, act.SiLU) if inplace else apply(act.SiLU, x)


def _softmax_input(
    op: str, input: Tensor, dim: int | None, dtype: Any, temperature: float
) -> tuple[Tensor, int]:
    x = as_tensor(op, "input", input)
    temperature = positive_number(op, "temperature", temperature)
    if dim is None:
        warnings.warn(
            f"{op}: dim was not given; taking {0 if x.ndim in (0, 1, 3) else 1} for an input of "
            f"{x.ndim} axes, pass dim explicitly",
            UserWarning,
            stacklevel=3,
        )
        dim = 0 if x.ndim in (0, 1, 3) else 1
    x = x if dtype is None else x.to(dtype)
    return (x if temperature == 1.0 else x / temperature), dim


def softmax(
    input: Tensor, dim: int | None = None, dtype: Any = None, *, temperature: float = 1.0
) -> Tensor:
    """e^(x/T) / sum e^(x/T) along `dim`, T the `temperature`; x may be shifted by any constant.

    A large T evens the result out, a small one sharpens it. `dtype` casts first. Without `dim` a
    warning says which one is taken. Raises ValueError for an axis that the input lacks or that is
    empty, and for T <= 0. Paper for T: Hinton, Vinyals, Dean 2015.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.softmax(neurona.tensor([1000.0, 1000.0]), 0)
    tensor([0.5, 0.5])
    """
    x, axis = _softmax_input("softmax", input, dim, dtype, temperature)
    return apply(Softmax, x, axis)


def log_softmax(
    input: Tensor, dim: int | None = None, dtype: Any = None, *, temperature: float = 1.0
) -> Tensor:
    """The logarithm of `softmax`, x/T - ln sum e^(x/T) along `dim`; arguments and errors as there.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.log_softmax(neurona.tensor([0.0, 0.0]), 0)
    tensor([-0.6931, -0.6931])
    """
    x, axis = _softmax_input("log_softmax", input, dim, dtype, temperature)
    return apply(LogSoftmax, x, axis)


def after(activation: str | None, x: Tensor) -> Tensor:
    """The activations that a fused call leaves to a call of their own while recording."""
    return gelu(x) if activation == "gelu" else silu(x)
