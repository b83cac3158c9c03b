"""Losses of probabilities, element by element."""

from __future__ import annotations

from typing import Any

from ....autograd import Function
from ....functions.probability_loss import BCE, BCEWithLogits, KLDiv, KLDivLog
from ....tensor import Tensor
from ....tensor.base import apply
from ...checks import choice, flag
from ._shared import broadcast_weight, checked_pair, reduced, warn_of_probabilities

KL_REDUCTIONS = ("none", "mean", "sum", "batchmean")


def _weighted(
    op: str,
    function: type[Function],
    x: Tensor,
    y: Tensor,
    weight: Tensor | None,
    reduction: str,
    *options: Any,
) -> Tensor:
    """The weighted losses; unlike that of classes, their "mean" divides by the elements."""
    if weight is None:
        return apply(function, x, y, reduction, *options)
    losses = apply(function, x, y, "none", *options)
    return reduced(losses * broadcast_weight(op, "weight", weight, losses), reduction)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
) -> Tensor:
    """-weight (t log x + (1 - t) log(1 - x)) for probabilities x and targets t, both (*) in 0..1.

    The negative log-likelihood of a Bernoulli variable. Logarithms count as -100 at least. "mean"
    divides by the number of elements; integer and boolean targets take the dtype of x. Raises
    ValueError for values outside 0..1 and shapes that differ.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.binary_cross_entropy(neurona.tensor([0.5, 0.0]), neurona.tensor([1, 1]), reduction="none")
    tensor([  0.6931, 100.    ])
    """
    op = "binary_cross_entropy"
    x, y = checked_pair(op, input, target, size_average, reduce, reduction)
    for name, values in (("input", x.data), ("target", y.data)):
        if values.size and not (values.min() >= 0 and values.max() <= 1):
            hint = "; binary_cross_entropy_with_logits takes logits" if name == "input" else ""
            raise ValueError(
                f"{op}: {name} must be in 0..1, got {values.min():g}..{values.max():g}{hint}"
            )
    return _weighted(op, BCE, x, y, weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """-weight (pos_weight t log p + (1 - t) log(1 - p)) with p = sigmoid(x), finite for every x.

    x (*) and t (*); several columns of t may be 1 at once (multi-label). `pos_weight` broadcasts
    against x. "mean" divides by the number of elements, that is by samples and labels: sum over the
    labels with reduction="none". Raises ValueError for shapes that do not fit.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> x, t = neurona.tensor([[2.0, -1.0, 0.0]]), neurona.tensor([[1, 0, 1]])
    >>> F.binary_cross_entropy_with_logits(x, t, reduction="none").sum(1)
    tensor([1.1333])
    """
    op = "binary_cross_entropy_with_logits"
    x, y = checked_pair(op, input, target, size_average, reduce, reduction)
    warn_of_probabilities(op, x, "sigmoid")
    factor = None
    if pos_weight is not None:
        factor = broadcast_weight(op, "pos_weight", pos_weight, x).detach()
    return _weighted(op, BCEWithLogits, x, y, weight, reduction, 1.0, factor)


def kl_div(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:
    """t (log t - x): the divergence KL(t || q) for log-probabilities x = log q, which come first,
    and probabilities t, which come second (or their logarithms with `log_target`).

    Both are (N, *). "mean" divides by the number of elements; "batchmean" divides the sum by N and
    gives the mathematical value. t = 0 contributes 0. Raises ValueError for shapes that differ.
    Paper: Kullback & Leibler 1951.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> p, q = neurona.tensor([[0.7, 0.2, 0.1]]), neurona.tensor([[0.5, 0.3, 0.2]])
    >>> F.kl_div(q.log(), p, reduction="batchmean")
    tensor(0.0851)
    """
    op = "kl_div"
    flag(op, "log_target", log_target)
    choice(op, "reduction", reduction, KL_REDUCTIONS)
    by_batch = reduction == "batchmean"
    reduction = "sum" if by_batch else reduction
    x, y = checked_pair(op, input, target, size_average, reduce, reduction)
    loss = apply(KLDivLog if log_target else KLDiv, x, y, reduction)
    return loss / (x.data.shape[0] if x.data.ndim else 1) if by_batch else loss
