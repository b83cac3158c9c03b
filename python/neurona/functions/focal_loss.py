"""Focal loss on rows (N, C) of logits."""

from __future__ import annotations

import numpy as np

from ..autograd import Function, ndarray
from ..backends import current
from .cross_entropy import CrossEntropy


class FocalLoss(CrossEntropy):
    """Focal loss against classes, as one pass like cross-entropy; `options` holds gamma,
    ignore_index and reduction.
    """

    __slots__ = ()
    kernel = "focal_loss_forward"


class SoftFocalLoss(Function):
    """One loss per row, -sum_k t_k (1 - p_k)^gamma log p_k with p = softmax(x).

    t (N, C) holds the targets times their class weights. With g_k = dloss / dlog p_k = t_k (gamma
    (1 - p_k)^(gamma - 1) p_k log p_k - (1 - p_k)^gamma) the gradient is dx = g - p sum_k g_k.
    """

    __slots__ = ()
    fresh_grads = True

    @np.errstate(all="ignore")
    def forward(ctx, x: ndarray, targets: ndarray, gamma: float) -> ndarray:
        log_p = current(x.dtype).log_softmax_forward(x, 1)
        rest = -np.expm1(log_p)  # 1 - p without cancellation where p is near 1
        ctx.saved = (log_p, rest, targets, gamma)
        # A logit of -inf costs something only where it is a target.
        losses = np.where(targets == 0, x.dtype.type(0), -targets * rest**gamma * log_p)
        return losses.sum(axis=1, dtype=x.dtype)

    @np.errstate(all="ignore")
    def backward(ctx, dy: ndarray) -> ndarray:
        log_p, rest, targets, gamma = ctx.saved
        p = np.exp(log_p)
        # At p = 1 the first term tends to 0, though its power may be infinite.
        rising = np.where(rest == 0, rest, gamma * rest ** (gamma - 1) * p * log_p)
        slopes = np.where(targets == 0, dy.dtype.type(0), targets * (rising - rest**gamma))
        dx = slopes - p * slopes.sum(axis=1, keepdims=True)
        return (dx * dy[:, None]).astype(dy.dtype, copy=False)
