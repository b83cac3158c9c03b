"""Hinge losses: nothing to pay beyond a margin."""

from __future__ import annotations

import math

import numpy as np

from ....creation import where
from ....functions.regression_loss import HingeLoss
from ....tensor import Tensor
from ....tensor.base import apply
from ...checks import choice, integer, number, positive
from .._arguments import as_tensor, check_reduction
from ._shared import as_float, checked_pair, class_rows, class_weight, kept_classes, reduced

FORMS = ("sum", "max")


def hinge_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean"
) -> Tensor:
    """max(0, margin - t x) for scores x (*) and targets t (*) of -1 and 1.

    The gradient is -t where t x < margin, else 0: an output beyond the margin costs nothing. Raises
    ValueError for other targets, shapes that differ and margin <= 0. Paper: Cortes & Vapnik 1995.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.hinge_loss(neurona.tensor([-0.5, 2.0]), neurona.tensor([1, 1]), reduction="none")
    tensor([1.5, 0. ])
    """
    op = "hinge_loss"
    margin = positive(op, "margin", margin)
    x, y = checked_pair(op, input, target, None, None, reduction)
    wrong = np.abs(y.data) != 1
    if wrong.any():
        raise ValueError(f"{op}: target must hold -1 and 1, got {y.data[wrong].flat[0]:g}")
    return apply(HingeLoss, x, y, reduction, margin)


def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    *,
    form: str = "sum",
) -> Tensor:
    """weight[t] sum_{i != t} max(0, margin - x[t] + x[i])^p / C: the hinge loss of C classes.

    x (N, C) or (C,) holds scores, t (N) or () classes; p is 1 or 2. `form="max"` takes the most
    wrong class alone, without the division by C. "mean" divides by N. Raises ValueError for classes
    outside 0..C-1 and parameters that do not fit. Papers: Weston & Watkins 1999 (sum), Crammer &
    Singer 2001 (max).

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.multi_margin_loss(neurona.tensor([[0.1, 0.2, 0.4, 0.8]]), neurona.tensor([3]))
    tensor(0.325)
    """
    op = "multi_margin_loss"
    x = as_float(op, "input", input)
    labels = as_tensor(op, "target", target)
    check_reduction(op, size_average, reduce, reduction)
    if integer(op, "p", p, 1) > 2:
        raise ValueError(f"{op}: p must be 1 or 2, got {p}")
    margin = number(op, "margin", margin, -math.inf)
    choice(op, "form", form, FORMS)
    if x.data.ndim > 2:
        raise ValueError(f"{op}: input must have shape (N, C) or (C,), got {x.data.shape}")
    if labels.data.dtype.kind not in "iu":
        raise TypeError(f"{op}: target must have an integer dtype, got {labels.data.dtype}")
    rows, labels, shape = class_rows(op, x, labels)
    n, c = rows.data.shape
    _, classes = kept_classes(op, labels.data, c, None)
    own = np.zeros((n, c), bool)
    own[np.arange(n), classes] = True
    violation = (margin + rows - rows[np.arange(n), classes].reshape(n, 1)).relu()
    violation = where(Tensor(own), 0.0, violation)
    if p == 2:
        violation = violation * violation
    losses = violation.sum(1) / c if form == "sum" else violation.max(1).values
    if weight is not None:
        losses = losses * Tensor(class_weight(op, "weight", weight, x, c)[classes])
    return reduced(losses.reshape(shape), reduction)
