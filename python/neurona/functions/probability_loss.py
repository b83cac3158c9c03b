"""Losses of probabilities, element by element: binary cross-entropy and divergence."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Function, ndarray
from ..backends import current

# What a logarithm of 0 counts as, so that a certain but wrong prediction costs a finite amount.
_LOG_FLOOR = -100.0
# Keeps 1 / (x (1 - x)) finite at x = 0 and 1.
_VARIANCE_FLOOR = 1e-12
_quiet = np.errstate(all="ignore")


class BCE(Function):
    """-(t log x + (1 - t) log(1 - x)); dx = (x - t) / (x (1 - x))."""

    __slots__ = ()
    fresh_grads = True

    @_quiet
    def forward(ctx, x: ndarray, target: ndarray) -> ndarray:
        ctx.saved = (x, target)
        log_x, log_rest = np.maximum(np.log(x), _LOG_FLOOR), np.maximum(np.log1p(-x), _LOG_FLOOR)
        return ((target - 1) * log_rest - target * log_x).astype(x.dtype, copy=False)

    @_quiet
    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        x, target = ctx.saved
        need_x, need_target = ctx.needs
        dx = dtarget = None
        if need_x:
            dx = dy * (x - target) / np.maximum(x * (1 - x), _VARIANCE_FLOOR)
            dx = dx.astype(x.dtype, copy=False)
        if need_target:
            log_x = np.maximum(np.log(x), _LOG_FLOOR)
            dtarget = dy * (np.maximum(np.log1p(-x), _LOG_FLOOR) - log_x)
            dtarget = dtarget.astype(x.dtype, copy=False)
        return dx, dtarget


class BCEWithLogits(Function):
    """(1 - t) x + (1 + (w - 1) t) softplus(-x), w the weight of the positive class (1 for None).

    With softplus(-x) = log1p(e^-|x|) + max(-x, 0) no exponential overflows. Without w the gradient
    is sigmoid(x) - t.
    """

    __slots__ = ()
    fresh_grads = True

    @staticmethod
    def softplus_of_minus(x: ndarray) -> ndarray:
        return np.log1p(np.exp(-np.abs(x))) + np.maximum(-x, 0)

    @_quiet
    def forward(ctx, x: ndarray, target: ndarray, pos_weight: ndarray | None) -> ndarray:
        ctx.saved = (x, target, pos_weight)
        softplus = ctx.softplus_of_minus(x)
        if pos_weight is not None:
            softplus = softplus * (1 + (pos_weight - 1) * target)
        return ((1 - target) * x + softplus).astype(x.dtype, copy=False)

    @_quiet
    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        x, target, pos_weight = ctx.saved
        need_x, need_target, _ = ctx.needs
        dx = dtarget = None
        if need_x:
            p = current(x.dtype).sigmoid_forward(x)
            if pos_weight is None:
                dx = dy * (p - target)
            else:
                dx = dy * ((1 - target) * p - pos_weight * target * (1 - p))
            dx = dx.astype(x.dtype, copy=False)
        if need_target:
            dtarget = -dy * x
            if pos_weight is not None:
                dtarget = dtarget + dy * (pos_weight - 1) * ctx.softplus_of_minus(x)
            dtarget = dtarget.astype(x.dtype, copy=False)
        return dx, dtarget


class KLDiv(Function):
    """t (log t - x) with x = log q and 0 log 0 = 0; `log_target` says that t comes as log t."""

    __slots__ = ()
    fresh_grads = True

    @_quiet
    def forward(ctx, x: ndarray, target: ndarray, log_target: bool) -> ndarray:
        ctx.saved = (x, target, log_target)
        if log_target:
            return np.exp(target) * (target - x)
        logarithm = np.log(np.where(target == 0, target.dtype.type(1), target))
        return target * logarithm - target * x

    @_quiet
    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        x, target, log_target = ctx.saved
        need_x, need_target, _ = ctx.needs
        dx = dtarget = None
        p = np.exp(target) if log_target else target
        if need_x:
            dx = -dy * p
        if need_target:
            log_p = target if log_target else np.log(target)
            dtarget = dy * (log_p - x + 1) * (p if log_target else p.dtype.type(1))
        return dx, dtarget
