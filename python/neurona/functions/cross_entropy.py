"""Classification losses on rows (N, C)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Function, ndarray
from ..backends import RECORDED_ONE, current, refuse_while_recording


class CrossEntropy(Function):
    """Softmax and cross-entropy in one pass, which also gives the gradient; backward only scales.

    `options` holds ignore_index, reduction and label_smoothing.
    """

    __slots__ = ()
    kernel = "cross_entropy_forward"

    def forward(
        ctx, x: ndarray, target: ndarray, weight: ndarray | None, options: dict[str, Any]
    ) -> ndarray:
        fused = getattr(current(x.dtype), ctx.kernel)
        loss, dx = fused(x, target, weight=weight, with_grad=ctx.needs[0], **options)
        ctx.saved = (dx,)
        return loss

    def backward(ctx, dy: ndarray) -> ndarray:
        (dx,) = ctx.saved
        if dy.ndim == 1:
            return current(dy.dtype).mul(dx, dy[:, None])
        if dy is not RECORDED_ONE:
            refuse_while_recording("cross-entropy with a factor behind it")
        scale = float(dy)
        return dx if scale == 1.0 else current(dy.dtype).mul(dx, scale)


class NLLLoss(Function):
    """-weight[target] x[i, target] per row, 0 where target is ignored.

    `rows` are the rows that count, `classes` their targets and `scale` (rows,) what multiplies each
    of them: the class weight, divided by the sum of all of them for "mean".
    """

    __slots__ = ()
    fresh_grads = True

    def forward(
        ctx, x: ndarray, rows: ndarray, classes: ndarray, scale: ndarray, total: bool
    ) -> ndarray:
        ctx.saved = (x.shape, rows, classes, scale)
        losses = np.zeros(len(x), x.dtype)
        losses[rows] = -scale * x[rows, classes]
        return losses.sum(dtype=x.dtype) if total else losses

    def backward(ctx, dy: ndarray) -> ndarray:
        shape, rows, classes, scale = ctx.saved
        dx = np.zeros(shape, dy.dtype)
        dx[rows, classes] = -scale * (dy[rows] if dy.ndim else dy)
        return dx
