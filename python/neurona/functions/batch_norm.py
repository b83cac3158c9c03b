"""Batch normalisation (Ioffe & Szegedy 2015)."""

from __future__ import annotations

from typing import Any

from ..autograd import Function, ndarray
from ..backends import current


class BatchNorm(Function):
    """y = weight (x - mean) / sqrt(var + eps) + bias per channel of (N, C), (N, C, L) or (N, C, H,
    W). The running statistics are updated in place when training. With options["relu"], max(0, y).
    """

    __slots__ = ()
    fresh_grads = True

    def forward(
        ctx,
        x: ndarray,
        weight: ndarray | None,
        bias: ndarray | None,
        running_mean: ndarray | None,
        running_var: ndarray | None,
        options: dict[str, Any],
    ) -> ndarray:
        y, mean, invstd = current(x.dtype).batch_norm_forward(
            x, weight, bias, running_mean, running_var, **options
        )
        activated = y if options["relu"] else None
        ctx.saved = (x, weight, mean, invstd, options["training"], activated)
        return y

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        x, weight, mean, invstd, training, y = ctx.saved
        return current(dy.dtype).batch_norm_backward(
            dy, x, weight, mean, invstd, training=training, y=y
        )
