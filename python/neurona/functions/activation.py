"""Activations: y = f(x), element by element."""

from __future__ import annotations

from ..autograd import Function, ndarray
from ..backends import current

# Their gradients follow from y alone, so they can be fused into the operation that makes x.
FUSABLE = ("relu", "leaky_relu", "sigmoid", "tanh")


def fused_backward(activation: str, dy: ndarray, y: ndarray) -> ndarray:
    """The gradient before a fused activation; leaky_relu's y has the sign of its x."""
    backend = current(dy.dtype)
    if activation == "relu":
        return backend.relu_backward(dy, y)
    if activation == "leaky_relu":
        return backend.leaky_relu_backward(dy, y)
    if activation == "sigmoid":
        return backend.sigmoid_backward(dy, y)
    return backend.tanh_backward(dy, y)


class ReLU(Function):
    """y = max(x, 0); the gradient at 0 is 0."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray) -> ndarray:
        y = current(x.dtype).relu_forward(x)
        ctx.saved = (y,)
        return y

    def backward(ctx, dy: ndarray) -> ndarray:
        return current(dy.dtype).relu_backward(dy, ctx.saved[0])


class LeakyReLU(Function):
    """y = x where x > 0, else negative_slope x."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, negative_slope: float) -> ndarray:
        ctx.saved = (x, negative_slope)
        return current(x.dtype).leaky_relu_forward(x, negative_slope)

    def backward(ctx, dy: ndarray) -> ndarray:
        x, negative_slope = ctx.saved
        return current(dy.dtype).leaky_relu_backward(dy, x, negative_slope)


class Sigmoid(Function):
    """y = 1 / (1 + exp(-x))."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray) -> ndarray:
        y = current(x.dtype).sigmoid_forward(x)
        ctx.saved = (y,)
        return y

    def backward(ctx, dy: ndarray) -> ndarray:
        return current(dy.dtype).sigmoid_backward(dy, ctx.saved[0])


class Tanh(Function):
    """y = tanh(x)."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray) -> ndarray:
        y = current(x.dtype).tanh_forward(x)
        ctx.saved = (y,)
        return y

    def backward(ctx, dy: ndarray) -> ndarray:
        return current(dy.dtype).tanh_backward(dy, ctx.saved[0])


class GELU(Function):
    """y = x Phi(x), or its approximation by tanh."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, approximate: str) -> ndarray:
        ctx.saved = (x, approximate)
        return current(x.dtype).gelu_forward(x, approximate)

    def backward(ctx, dy: ndarray) -> ndarray:
        x, approximate = ctx.saved
        return current(dy.dtype).gelu_backward(dy, x, approximate)


class SiLU(Function):
    """y = x sigmoid(x)."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray) -> ndarray:
        ctx.saved = (x,)
        return current(x.dtype).silu_forward(x)

    def backward(ctx, dy: ndarray) -> ndarray:
        return current(dy.dtype).silu_backward(dy, ctx.saved[0])
