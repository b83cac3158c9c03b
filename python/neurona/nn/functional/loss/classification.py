"""Losses of logits (or log-probabilities) against classes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ....backends import refuse_while_recording
from ....functions.cross_entropy import CrossEntropy, NLLLoss
from ....functions.focal_loss import FocalLoss, SoftFocalLoss
from ....tensor import Tensor
from ....tensor.base import apply
from ...checks import choice, number
from .._arguments import as_tensor, check_reduction
from ._shared import (
    as_float,
    check_columns,
    class_rows,
    class_weight,
    float_one_hot,
    kept_classes,
    rows_of,
    warn_of_probabilities,
)

NORMS = ("weight", "n")


def _log(op: str, input: Tensor) -> Tensor:
    """Logits whose softmax is the probabilities `input`, each row divided by its sum."""
    x = as_float(op, "input", input)
    if not ((x.data >= 0) & (x.data <= 1)).all():
        raise ValueError(f"{op}: input must be in 0..1 when from_logits is False, got other values")
    return x.clamp(min=float(np.finfo(x.data.dtype).tiny)).log()


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    *,
    norm: str = "weight",
    from_logits: bool = True,
) -> Tensor:
    """-weight log softmax(x)[target], with softmax and gradient in one pass.

    x (N, C), (N, C, d1, ...) or (C,) holds logits. target holds classes of any integer type, (N),
    (N, d1, ...) or (), or class probabilities (or one-hot integers) of x's shape. "mean" divides by
    the weights of the rows that are not `ignore_index` (nan when there is none), with `norm="n"` by
    the number of these rows. `label_smoothing` e mixes the target with the uniform distribution:
    (1 - e) target + e / C. `from_logits=False` takes probabilities, whose rows are divided by their
    sums. Raises ValueError for classes outside 0..C-1, shapes and parameters that do not fit,
    TypeError for wrong dtypes.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.cross_entropy(neurona.zeros(2, 10), neurona.tensor([3, 7]))
    tensor(2.3026)
    """
    op = "cross_entropy"
    x = as_tensor(op, "input", input)
    target = as_tensor(op, "target", target)
    check_reduction(op, size_average, reduce, reduction)
    choice(op, "norm", norm, NORMS)
    if target._requires_grad:
        raise ValueError("cross_entropy: target must not require grad; use .detach()")
    if from_logits:
        warn_of_probabilities(op, x)
    else:
        x = _log(op, x)
    check_columns(op, x, target)
    target = float_one_hot(op, x, target)
    by_count = norm == "n" and reduction == "mean" and target.data.dtype.kind != "f"
    options: dict[str, Any] = {
        "ignore_index": ignore_index,
        "reduction": "sum" if by_count else reduction,
        "label_smoothing": label_smoothing,
    }
    if x.data.ndim == 2:
        loss = apply(CrossEntropy, x, target, weight, options)
    else:
        if target.data.dtype.kind == "f" and target.data.shape == x.data.shape and x.data.ndim:
            rows, shape = rows_of(x)
            targets = rows_of(target)[0]
        else:
            if target.data.dtype.kind == "f":
                raise TypeError(
                    "cross_entropy: target must hold integer classes, or probabilities of input's "
                    f"shape {x.data.shape}, got {target.data.dtype} of shape {target.data.shape}"
                )
            rows, targets, shape = class_rows(op, x, target)
        loss = apply(CrossEntropy, rows, targets, weight, options)
        if reduction == "none":
            loss = loss.reshape(shape)
    if by_count:
        refuse_while_recording("cross_entropy with a mean over the samples")
        count = np.count_nonzero(target.data != ignore_index)
        loss = loss / count if count else loss * math.nan
    return loss


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: None = None,
    ignore_index: int = -100,
    reduce: None = None,
    reduction: str = "mean",
    *,
    norm: str = "weight",
) -> Tensor:
    """-weight[target] x[target], x the log-probabilities of `log_softmax`.

    Shapes, "mean", `norm` and errors as `cross_entropy` with class targets.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.nll_loss(neurona.tensor([[-0.5, -1.0]]), neurona.tensor([1]))
    tensor(1.)
    """
    op = "nll_loss"
    x = as_tensor(op, "input", input)
    check_reduction(op, size_average, reduce, reduction)
    choice(op, "norm", norm, NORMS)
    if x.data.dtype.kind != "f":
        raise TypeError(f"nll_loss: input must have a floating dtype, got {x.data.dtype}")
    labels = as_tensor(op, "target", target)
    if labels.data.dtype.kind not in "iu":
        raise TypeError(f"nll_loss: target must have an integer dtype, got {labels.data.dtype}")
    rows, labels, shape = class_rows(op, x, labels)
    count = rows.data.shape[1]
    picked, chosen = kept_classes(op, labels.data, count, ignore_index)
    scale = np.ones(len(picked), x.data.dtype)
    if weight is not None:
        scale = class_weight(op, "weight", weight, x, count)[chosen]
    if reduction == "mean":
        total = len(picked) if norm == "n" else scale.sum()
        if total == 0:
            scale = np.full_like(scale, np.nan)
            if len(scale) == 0:
                return apply(NLLLoss, rows, picked, chosen, scale, True) * math.nan
        else:
            scale = scale / total
    loss = apply(NLLLoss, rows, picked, chosen, scale, reduction != "none")
    return loss.reshape(shape) if reduction == "none" else loss


def focal_loss(
    input: Tensor,
    target: Tensor,
    gamma: float = 2.0,
    alpha: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """-alpha[target] (1 - p)^gamma log p with p = softmax(x)[target]: cross-entropy in which rows
    that are right already count little.

    Shapes are those of `cross_entropy`; `alpha` (C,) weighs the classes. "mean" divides by the
    number of rows that are not `ignore_index`, so that gamma 0 is `cross_entropy` with norm="n",
    bit by bit. The loss turns towards hard rows; rare classes gain from it only as far as they are
    hard, for imbalance `alpha` does the work. Raises ValueError for gamma < 0, and as
    `cross_entropy`. Paper: Lin et al. 2017.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.focal_loss(neurona.zeros(2, 2), neurona.tensor([0, 1]), gamma=1.0)
    tensor(0.3466)
    """
    op = "focal_loss"
    x = as_float(op, "input", input)
    target = as_tensor(op, "target", target)
    check_reduction(op, None, None, reduction)
    gamma = number(op, "gamma", gamma, 0.0)
    if gamma == 0:
        return cross_entropy(x, target, alpha, None, ignore_index, None, reduction, norm="n")
    warn_of_probabilities(op, x)
    check_columns(op, x, target)
    target = float_one_hot(op, x, target)
    if target._requires_grad:
        raise ValueError("focal_loss: target must not require grad; use .detach()")
    if target.data.dtype.kind == "f" and target.data.shape == x.data.shape and x.data.ndim:
        return _soft_focal_loss(op, x, target, gamma, alpha, reduction)
    if target.data.dtype.kind not in "iu":
        raise TypeError(
            "focal_loss: target must hold integer classes, or probabilities of input's shape "
            f"{x.data.shape}, got {target.data.dtype} of shape {target.data.shape}"
        )
    rows, labels, shape = class_rows(op, x, target)
    kept_classes(op, labels.data, rows.data.shape[1], ignore_index)
    weight = None
    if alpha is not None:
        weight = class_weight(op, "alpha", alpha, x, rows.data.shape[1])
    options = {"gamma": gamma, "ignore_index": ignore_index, "reduction": reduction}
    loss = apply(FocalLoss, rows, labels, weight, options)
    return loss.reshape(shape) if reduction == "none" else loss


def _soft_focal_loss(
    op: str, x: Tensor, target: Tensor, gamma: float, alpha: Any, reduction: str
) -> Tensor:
    """`focal_loss` against probabilities of x's shape."""
    rows, shape = rows_of(x)
    targets = rows_of(as_float(op, "target", target, x))[0].data
    if alpha is not None:
        targets = targets * class_weight(op, "alpha", alpha, x, rows.data.shape[1])
    losses = apply(SoftFocalLoss, rows, targets, gamma)
    if reduction == "none":
        return losses.reshape(shape)
    total = losses.sum()
    if reduction == "sum":
        return total
    return total / len(targets) if len(targets) else total * math.nan
