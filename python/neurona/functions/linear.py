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


class LinearChain(Function):
    """Linear layers with a ReLU between each two, and `activation` behind the last.

    The arguments are x (N, in), `activation`, and each layer's weight and bias; all weights, and
    biases unless they are None, need gradients. A layer's gradient comes with that of the ReLU
    before it.
    """

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, activation: str | None, *layers: ndarray | None) -> ndarray:
        backend = current(x.dtype)
        weights, biases = layers[::2], layers[1::2]
        values = [x]
        for number, (weight, bias) in enumerate(zip(weights, biases, strict=True), start=1):
            behind = "relu" if number < len(weights) else activation
            values.append(backend.linear_forward(values[-1], weight, bias, activation=behind))
        ctx.saved = (activation, *weights, *values)
        return values[-1]

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        activation, *rest = ctx.saved
        count = len(rest) // 2
        weights, values = rest[:count], rest[count:]
        if activation is not None:
            dy = fused_backward(activation, dy, values[-1])
        backend = current(dy.dtype)
        gradient: Any = dy  # of what the layer returns, before the ReLU
        gradients: list[Any] = []
        for number in reversed(range(count)):
            x, weight, with_bias = values[number], weights[number], ctx.needs[3 + 2 * number]
            if number > 0 or ctx.needs[0]:
                gradient, *own = backend.linear_backward(
                    gradient, x, weight, with_bias=with_bias, rectified=number > 0
                )
            else:
                own = backend.linear_backward_weight(gradient, x, with_bias=with_bias)
                gradient = None
            gradients = [*own, *gradients]
        return gradient, None, *gradients


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
