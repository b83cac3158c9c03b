"""linear."""

from __future__ import annotations

import math

from ...autograd import mode
from ...functions.linear import Linear, LinearChain
from ...functions.shape import Reshape
from ...tensor import Tensor
from ...tensor.base import apply, shared
from ._arguments import as_tensor
from .activation import after

# Their gradients need what comes before them, which a fused call does not keep.
NEED_INPUT = ("gelu", "silu")


def linear_chain(
    input: Tensor, layers: list[tuple[Tensor, Tensor | None]], activation: str | None
) -> Tensor:
    """`linear` with each weight and bias, ReLUs between them and `activation` behind the last, as
    one node of the graph: x (N, in); all of them need gradients.
    """
    return apply(LinearChain, input, activation, *[part for layer in layers for part in layer])


def linear(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, *, activation: str | None = None
) -> Tensor:
    """y = act(x W^T + b): x (..., in), W (out, in), b (out,), y (..., out).

    `activation` ("relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu") is applied in the same
    pass. Raises ValueError for shapes that do not fit and TypeError for dtypes that differ.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.linear(neurona.ones(2, 3), neurona.ones(4, 3), neurona.zeros(4))[0]
    tensor([3., 3., 3., 3.])
    """
    if activation in NEED_INPUT and mode.enabled:
        return after(activation, linear(input, weight, bias))
    x = as_tensor("linear", "input", input)
    if x.data.ndim == 2:
        return apply(Linear, x, weight, bias, activation)
    shape = x.data.shape
    if not shape:
        raise ValueError("linear: input must have shape (..., in), got shape ()")
    rows = shared(x, apply(Reshape, x, (math.prod(shape[:-1]), shape[-1])))
    y = apply(Linear, rows, weight, bias, activation)
    return shared(y, apply(Reshape, y, (*shape[:-1], y.data.shape[1])))
