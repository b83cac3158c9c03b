"""The base of the losses of two arrays of one shape, reduced by "mean", "sum" or "none"."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Function, ndarray
from ..backends import current


class PointwiseLoss(Function):
    """A loss and its gradients in one pass; backward only scales them.

    `loss` is its name among those of `pointwise_loss_forward`, whose docstring has the formulas.
    """

    __slots__ = ()
    loss: str

    def forward(
        ctx,
        x: ndarray,
        target: ndarray,
        reduction: str,
        parameter: float = 1.0,
        pos_weight: ndarray | None = None,
    ) -> ndarray:
        if pos_weight is not None and pos_weight.size != 1:
            pos_weight = np.broadcast_to(pos_weight, x.shape)
        need_x, need_target = ctx.needs[:2]
        result, *gradients = current(x.dtype).pointwise_loss_forward(
            x,
            target,
            ctx.loss,
            parameter=parameter,
            pos_weight=pos_weight,
            reduction=reduction,
            with_grad=need_x,
            with_target_grad=need_target,
        )
        ctx.saved = gradients
        return result

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        factor = dy if dy.ndim else float(dy)
        if type(factor) is float and factor == 1.0:
            return tuple(ctx.saved)
        mul = current(dy.dtype).mul
        return tuple([None if slope is None else mul(slope, factor) for slope in ctx.saved])
