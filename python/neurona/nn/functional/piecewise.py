"""Activations made of pieces, and the distance that a radial basis function unit takes."""

from __future__ import annotations

from ...functions import piecewise as pw
from ...tensor import Tensor
from ...tensor.base import apply
from ._arguments import as_float, finite_number, positive_number, replace


def heaviside(input: Tensor, values: float = 1.0) -> Tensor:
    """The unit step: 0 for x < 0, 1 for x > 0, `values` (a number) for x = 0.

    NaN stays NaN, where PyTorch gives 0. The gradient is 0 by convention, at 0 too, where it does
    not exist. Raises ValueError for `values` that is not finite, TypeError for a wrong kind or
    dtype.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.heaviside(neurona.tensor([-1.0, 0.0, 2.0]))
    tensor([0., 1., 1.])
    """
    x = as_float("heaviside", "input", input)
    return apply(pw.Step, x, finite_number("heaviside", "values", values))


def hard_sigmoid(input: Tensor, slope: float = 0.5, shift: float = 0.5) -> Tensor:
    """The rigid sigmoid min(max(slope x + shift, 0), 1), (x + 1) / 2 clipped unless told otherwise.

    `hardsigmoid`, one underscore away, is another function: PyTorch's x / 6 + 1 / 2 clipped. The
    gradient is `slope` inside and 0 at the kinks and beyond. Raises ValueError for a slope <= 0,
    TypeError for a wrong kind or dtype.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.hard_sigmoid(neurona.tensor([-1.0, 0.0, 0.5, 1.0]))
    tensor([0.  , 0.5 , 0.75, 1.  ])
    """
    x = as_float("hard_sigmoid", "input", input)
    slope = positive_number("hard_sigmoid", "slope", slope)
    return apply(pw.HardSigmoid, x, slope, finite_number("hard_sigmoid", "shift", shift))


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """PyTorch's min(max(x / 6 + 1 / 2, 0), 1).

    `hard_sigmoid`, one underscore away, is another function: (x + 1) / 2 clipped. The gradient is
    1 / 6 inside and 0 at the kinks and beyond. Raises TypeError for a wrong kind or dtype.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.hardsigmoid(neurona.tensor([-3.0, 0.0, 1.5, 3.0]))
    tensor([0.  , 0.5 , 0.75, 1.  ])
    """
    x = as_float("hardsigmoid", "input", input)
    if inplace:
        return replace("hardsigmoid", x, pw.HardSigmoid, 1 / 6, 0.5)
    return apply(pw.HardSigmoid, x, 1 / 6, 0.5)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha (e^x - 1).

    Raises TypeError for a wrong kind or dtype, ValueError for an alpha that is not finite. Paper:
    Clevert, Unterthiner, Hochreiter 2016.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.elu(neurona.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.    ])
    """
    x = as_float("elu", "input", input)
    alpha = finite_number("elu", "alpha", alpha)
    return replace("elu", x, pw.ELU, alpha) if inplace else apply(pw.ELU, x, alpha)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight x: x (N, C, ...), weight (1,) or (C,), y as x.

    With fewer than two axes x has one channel. Raises ValueError for a weight of another shape,
    TypeError for a wrong kind or for dtypes that differ. Paper: He et al. 2015.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.prelu(neurona.tensor([[-1.0, -2.0, 3.0]]), neurona.tensor([0.25]))
    tensor([[-0.25, -0.5 ,  3.  ]])
    """
    x = as_float("prelu", "input", input)
    slopes = as_float("prelu", "weight", weight)
    if x.data.dtype != slopes.data.dtype:
        raise TypeError(
            f"prelu: weight must have the dtype of input {x.data.dtype}, got {slopes.data.dtype}"
        )
    channels = x.data.shape[1] if x.data.ndim > 1 else 1
    if slopes.data.ndim > 1 or slopes.data.size not in (1, channels):
        raise ValueError(
            f"prelu: weight must have shape (1,) or ({channels},), got shape {slopes.data.shape}"
        )
    return apply(pw.PReLU, x, slopes)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """ln(1 + e^(beta x)) / beta, a smooth ReLU; x itself where beta x > threshold.

    Raises ValueError for a beta <= 0, TypeError for a wrong kind or dtype.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.softplus(neurona.tensor([0.0, 1000.0]))
    tensor([6.9315e-01, 1.0000e+03])
    """
    x = as_float("softplus", "input", input)
    beta = positive_number("softplus", "beta", beta)
    return apply(pw.Softplus, x, beta, finite_number("softplus", "threshold", threshold))


def rbf(input: Tensor, centers: Tensor) -> Tensor:
    """Squared distances y_k = sum_i (x_i - c_ki)^2: x (..., in), centers (out, in), y (..., out).

    The differences are squared one by one: |x|^2 - 2 x c + |c|^2 would cancel near a centre. Raises
    ValueError for shapes that do not fit, TypeError for a wrong kind or for dtypes that differ.
    Paper: LeCun, Bottou, Bengio, Haffner 1998.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.rbf(neurona.tensor([[1.0, 2.0]]), neurona.tensor([[1.0, 2.0], [0.0, 0.0]]))
    tensor([[0., 5.]])
    """
    x = as_float("rbf", "input", input)
    c = as_float("rbf", "centers", centers)
    if c.data.ndim != 2:
        raise ValueError(f"rbf: centers must have shape (out, in), got shape {c.data.shape}")
    if x.data.ndim == 0 or x.data.shape[-1] != c.data.shape[1]:
        raise ValueError(
            f"rbf: input must have shape (..., {c.data.shape[1]}), got shape {x.data.shape}"
        )
    difference = x.unsqueeze(-2) - c
    return (difference * difference).sum(-1)
