"""Losses."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ...functions.cross_entropy import CrossEntropy, NLLLoss
from ...functions.regression_loss import L1Loss, MSELoss
from ...functions.softmax import LogSoftmax, Softmax
from ...tensor import Tensor
from ...tensor.base import apply
from ._arguments import as_tensor, check_reduction

_softmax_warned = False


def _warn_of_softmax(input: Tensor) -> None:
    """Say once that cross_entropy applies the softmax itself."""
    global _softmax_warned
    if not _softmax_warned:
        _softmax_warned = True
        warnings.warn(
            f"cross_entropy: input comes from {type(input._node).__name__}, but it must hold "
            "logits: cross_entropy applies log_softmax itself (said once)",
            UserWarning,
            stacklevel=3,
        )


def _rows(x: Tensor) -> tuple[Tensor, tuple[int, ...]]:
    """(N, C, d1, ...) or (C,) as rows (N d1 ..., C), and the shape of one value per row."""
    shape = x.data.shape
    if len(shape) == 1:
        return x.reshape(1, shape[0]), ()
    last = x.permute(0, *range(2, len(shape)), 1)
    return last.reshape(math.prod(shape[:1] + shape[2:]), shape[1]), shape[:1] + shape[2:]


def _class_rows(op: str, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """Logits as rows, their class targets in one axis, and the shape of the losses."""
    if x.data.ndim == 0:
        raise ValueError(f"{op}: input must have shape (N, C), (N, C, d1, ...) or (C,), got ()")
    rows, shape = _rows(x)
    if target.data.shape != shape:
        raise ValueError(
            f"{op}: target must have shape {shape} for an input of shape {x.data.shape}, "
            f"got shape {target.data.shape}"
        )
    return rows, target.reshape(rows.data.shape[0]), shape


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """-weight log softmax(x)[target], with softmax and gradient in one pass.

    x (N, C), (N, C, d1, ...) or (C,) holds logits. target holds classes of any integer type, (N),
    (N, d1, ...) or (), or class probabilities of x's shape. "mean" divides by the weights of the
    rows that are not `ignore_index` (nan when there is none). `label_smoothing` e mixes the target
    with the uniform distribution: (1 - e) target + e / C. Raises ValueError for classes outside
    0..C-1, shapes and parameters that do not fit, TypeError for wrong dtypes.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.cross_entropy(neurona.zeros(2, 10), neurona.tensor([3, 7]))
    tensor(2.3026)
    """
    x = as_tensor("cross_entropy", "input", input)
    target = as_tensor("cross_entropy", "target", target)
    check_reduction("cross_entropy", size_average, reduce, reduction)
    if target._requires_grad:
        raise ValueError("cross_entropy: target must not require grad; use .detach()")
    if type(x._node) in (Softmax, LogSoftmax):
        _warn_of_softmax(x)
    options: dict[str, Any] = {
        "ignore_index": ignore_index,
        "reduction": reduction,
        "label_smoothing": label_smoothing,
    }
    if x.data.ndim == 2:
        return apply(CrossEntropy, x, target, weight, options)
    if target.data.dtype.kind == "f" and target.data.shape == x.data.shape and x.data.ndim:
        rows, shape = _rows(x)
        targets = _rows(target)[0]
    else:
        if target.data.dtype.kind == "f":
            raise TypeError(
                "cross_entropy: target must hold integer classes, or probabilities of input's "
                f"shape {x.data.shape}, got {target.data.dtype} of shape {target.data.shape}"
            )
        rows, targets, shape = _class_rows("cross_entropy", x, target)
    loss = apply(CrossEntropy, rows, targets, weight, options)
    return loss.reshape(shape) if reduction == "none" else loss


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
) -> Tensor:
    """-weight[target] x[target], x the log-probabilities of `log_softmax`.

    Shapes, "mean" and errors as `cross_entropy` with class targets.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.nll_loss(neurona.tensor([[-0.5, -1.0]]), neurona.tensor([1]))
    tensor(1.)
    """
    x = as_tensor("nll_loss", "input", input)
    check_reduction("nll_loss", size_average, reduce, reduction)
    if x.data.dtype.kind != "f":
        raise TypeError(f"nll_loss: input must have a floating dtype, got {x.data.dtype}")
    labels = as_tensor("nll_loss", "target", target)
    if labels.data.dtype.kind not in "iu":
        raise TypeError(f"nll_loss: target must have an integer dtype, got {labels.data.dtype}")
    rows, labels, shape = _class_rows("nll_loss", x, labels)
    count = rows.data.shape[1]
    classes = labels.data
    kept = classes != ignore_index
    wrong = kept & ((classes < 0) | (classes >= count))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(
            f"nll_loss: target must be in 0..{count - 1} or ignore_index ({ignore_index}), "
            f"got {classes[first]} at position {first}"
        )
    picked = np.flatnonzero(kept)
    chosen = classes[picked].astype(np.int64)
    scale = np.ones(len(picked), x.data.dtype)
    if weight is not None:
        weights = as_tensor("nll_loss", "weight", weight).data
        if weights.shape != (count,) or not (weights >= 0).all():
            raise ValueError(
                f"nll_loss: weight must hold {count} numbers >= 0, got shape {weights.shape}"
            )
        scale = weights[chosen].astype(x.data.dtype)
    if reduction == "mean":
        total = scale.sum()
        if total == 0:
            scale = np.full_like(scale, np.nan)
            if len(scale) == 0:
                return apply(NLLLoss, rows, picked, chosen, scale, True) * math.nan
        else:
            scale = scale / total
    loss = apply(NLLLoss, rows, picked, chosen, scale, reduction != "none")
    return loss.reshape(shape) if reduction == "none" else loss


def _regression(
    op: str,
    function: Any,
    input: Tensor,
    target: Tensor,
    size_average: None,
    reduce: None,
    reduction: str,
    weight: Tensor | None,
) -> Tensor:
    x, y = as_tensor(op, "input", input), as_tensor(op, "target", target)
    check_reduction(op, size_average, reduce, reduction)
    if x.data.shape != y.data.shape:
        raise ValueError(
            f"{op}: target must have the shape of input {x.data.shape}, got shape {y.data.shape}"
        )
    if weight is None:
        return apply(function, x, y, reduction)
    weights = as_tensor(op, "weight", weight)
    losses = apply(function, x, y, "none") * weights
    if reduction == "none":
        return losses
    if losses.data.shape != x.data.shape:
        raise ValueError(
            f"{op}: weight must broadcast to {x.data.shape}, got shape {weights.data.shape}"
        )
    total = losses.sum()
    return total if reduction == "sum" else total / weights.expand(x.data.shape).sum()


def mse_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """(x - target)^2, averaged over all elements by "mean"; the shapes must be equal (ValueError).

    With `weight` the elements are weighted, and "mean" divides by the sum of the weights.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.mse_loss(neurona.tensor([1.0, 3.0]), neurona.tensor([0.0, 0.0]))
    tensor(5.)
    """
    return _regression("mse_loss", MSELoss, input, target, size_average, reduce, reduction, weight)


def l1_loss(
    input: Tensor,
    target: Tensor,
    size_average: None = None,
    reduce: None = None,
    reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:
    """|x - target|, reduced and weighted as in `mse_loss`; the gradient at 0 is 0.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.l1_loss(neurona.tensor([1.0, 3.0]), neurona.tensor([0.0, 0.0]))
    tensor(2.)
    """
    return _regression("l1_loss", L1Loss, input, target, size_average, reduce, reduction, weight)
