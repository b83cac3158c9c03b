"""Dense products: `Linear` and `MatMul`."""

from __future__ import annotations

from typing import Any

from ..autograd import Function, ndarray
from ..backends import current
from .activation import fused_backward


class Linear(Function):
    """y = act(x weight^T + bias): x (N, in), weight (out, in), bias (out,), y (N, out)."""

    __slots__ = ()
    fresh_grads = True

    def forward(
        ctx, x: ndarray, weight: ndarray, bias: ndarray | None, activation: str | None
    ) -> ndarray:
        y = current(x.dtype).linear_forward(x, weight, bias, activation=activation)
        needs = ctx.needs
        ctx.saved = (
            x if needs[1] else None,
            weight if needs[0] else None,
            activation,
            None if activation is None else y,
        )
        return y

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        x, weight, activation, y = ctx.saved
        need_x, need_weight, need_bias, _ = ctx.needs
        backend = current(dy.dtype)
        if activation is not None:
            dy = fused_backward(activation, dy, y)
        dx = dw = db = None
        if need_x and need_weight:
            return *backend.linear_backward(dy, x, weight, with_bias=need_bias), None
        if need_x:
            dx = backend.linear_backward_data(dy, weight)
        if need_weight:
            dw, db = backend.linear_backward_weight(dy, x, with_bias=need_bias)
        elif need_bias:
            db = backend.sum(dy, 0)
        return dx, dw, db


class MatMul(Function):
    """y = a b: a (M, K), b (K, N), y (M, N)."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, a: ndarray, b: ndarray) -> ndarray:
        need_a, need_b = ctx.needs
        ctx.saved = (a if need_b else None, b if need_a else None)
        return current(a.dtype).gemm(a, b)

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        a, b = ctx.saved
        need_a, need_b = ctx.needs
        gemm = current(dy.dtype).gemm
        da = gemm(dy, b, trans_b=True) if need_a else None
        db = gemm(a, dy, trans_a=True) if need_b else None
        return da, db
