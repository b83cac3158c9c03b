"""Distances between rows, and the losses that learn them."""

from __future__ import annotations

from ....functions.distance import LastAxisNorm
from ....tensor import Tensor
from ....tensor.base import apply
from ...checks import choice, flag, number
from ...checks import positive as above_zero
from .._arguments import check_reduction
from ._shared import as_float, reduced, same_shape

DISTANCES = ("l2", "l1")
_POWERS = {"l2": 2.0, "l1": 1.0}


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """(sum_k |x1_k - x2_k + eps|^p)^(1/p) between the rows of x1 (N, D) and x2 (N, D): (N).

    Also for (D,). p may be infinite; with eps 0 the gradient at distance 0 is 0. Raises ValueError
    unless the shapes are equal and p > 0.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.pairwise_distance(neurona.tensor([[3.0, 4.0]]), neurona.zeros(1, 2), eps=0.0)
    tensor([5.])
    """
    op = "pairwise_distance"
    a = as_float(op, "x1", x1)
    b = as_float(op, "x2", x2, a)
    flag(op, "keepdim", keepdim)
    if p != float("inf"):
        p = above_zero(op, "p", p)
    eps = number(op, "eps", eps, 0.0)
    same_shape(op, a, b, "x2", "x1")
    if a.data.ndim == 0:
        raise ValueError(f"{op}: x1 must have shape (N, D) or (D,), got ()")
    difference = a - b
    length = apply(LastAxisNorm, difference + eps if eps else difference, float(p))
    return length.reshape(*length.data.shape, 1) if keepdim else length


def contrastive_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 1.0,
    *,
    squared_neg: bool = True,
    distance: str = "l2",
    reduction: str = "mean",
) -> Tensor:
    """t d^2 + (1 - t) max(0, margin - d)^2 for embeddings (N, D) at distance d; t (N) is 1 for
    pairs of one class, 0 for others.

    `squared_neg=False` leaves the second term unsquared. The gradient at d = 0 is 0. Raises
    ValueError for shapes that differ, targets other than 0 and 1, and margin <= 0. Paper: Hadsell,
    Chopra & LeCun 2006.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> a, b = neurona.tensor([[1.0], [1.0]]), neurona.tensor([[2.0], [3.0]])
    >>> F.contrastive_loss(a, b, neurona.tensor([1, 0]), margin=4.0, reduction="none")
    tensor([1., 4.])
    """
    op = "contrastive_loss"
    margin = above_zero(op, "margin", margin)
    flag(op, "squared_neg", squared_neg)
    choice(op, "distance", distance, DISTANCES)
    check_reduction(op, None, None, reduction)
    a = as_float(op, "input1", input1)
    b = as_float(op, "input2", input2, a)
    same_shape(op, a, b, "input2", "input1")
    same = as_float(op, "target", target, a)
    if same.data.shape != a.data.shape[:-1]:
        raise ValueError(
            f"{op}: target must have shape {a.data.shape[:-1]} for inputs of shape {a.data.shape}, "
            f"got shape {same.data.shape}"
        )
    if not ((same.data == 0) | (same.data == 1)).all():
        raise ValueError(f"{op}: target must hold 1 (same class) and 0, got other values")
    power = _POWERS[distance]
    d = pairwise_distance(a, b, power, 0.0)
    missing = (margin - d).relu()
    apart = missing * missing if squared_neg else missing
    return reduced(same * _squared(a, b, d, power) + (1.0 - same) * apart, reduction)


def _squared(a: Tensor, b: Tensor, d: Tensor, p: float) -> Tensor:
    """d^2; for p = 2 without the root, which would cost accuracy."""
    if p != 2:
        return d * d
    difference = a - b
    return (difference * difference).sum(-1)


def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    *,
    squared: bool = False,
    distance: str | None = None,
) -> Tensor:
    """max(0, margin + d(a, p) - d(a, n)) for embeddings (N, D) of anchors, positives, negatives.

    d is `pairwise_distance` with `p` and `eps`. `squared=True` takes d^2, the form of Schroff et
    al. 2015, and `distance="l2"` or "l1" names the distance in place of `p`; both leave `eps` out.
    `swap` uses d(p, n) where it is smaller than d(a, n) (Balntas et al. 2016). Raises ValueError
    for shapes that differ and margin <= 0.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> a, p, n = neurona.tensor([[1.0]]), neurona.tensor([[2.0]]), neurona.tensor([[3.0]])
    >>> F.triplet_margin_loss(a, p, n, margin=4.0, squared=True)
    tensor(1.)
    """
    op = "triplet_margin_loss"
    check_reduction(op, size_average, reduce, reduction)
    margin = above_zero(op, "margin", margin)
    flag(op, "swap", swap)
    flag(op, "squared", squared)
    power, shift = p, eps
    if distance is not None:
        power = _POWERS[choice(op, "distance", distance, DISTANCES)]
    if squared or distance is not None:
        shift = 0.0
    a = as_float(op, "anchor", anchor)
    others = [
        as_float(op, name, value, a)
        for name, value in (("positive", positive), ("negative", negative))
    ]
    for name, other in zip(("positive", "negative"), others, strict=True):
        same_shape(op, a, other, name, "anchor")

    def length(x: Tensor, y: Tensor) -> Tensor:
        d = pairwise_distance(x, y, power, shift)
        return _squared(x, y, d, power) if squared else d

    near, far = length(a, others[0]), length(a, others[1])
    if swap:
        far = far.minimum(length(others[0], others[1]))
    return reduced((margin + near - far).relu(), reduction)
