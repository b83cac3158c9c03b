"""Convolutions: shapes are logical (N, C, H, W), memory is channels-last and only kernels care."""

from __future__ import annotations

from typing import Any

from ..autograd import Function, ndarray
from ..backends import current
from .activation import fused_backward


def _kept(needs: list[bool], x: ndarray, weight: ndarray) -> tuple[Any, ...]:
    """What `_gradients` needs of x and the weight."""
    return (
        x if needs[1] else None,
        weight if needs[0] else None,
        x.shape[2:],
        weight.shape[2:],
    )


def _gradients(
    needs: list[bool],
    dy: ndarray,
    x: ndarray | None,
    weight: ndarray | None,
    input_size: tuple[int, ...],
    kernel_size: tuple[int, ...],
    geometry: dict[str, Any],
) -> tuple[Any, ...]:
    """Those of x, the weight and the bias, from that of x * weight + bias."""
    need_x, need_weight, need_bias, *_ = needs
    backend = current(dy.dtype)
    if need_x and need_weight:
        gradients: tuple[Any, ...]
        gradients = backend.conv2d_backward(dy, x, weight, with_bias=need_bias, **geometry)
        return gradients
    dx = dw = db = None
    if need_x:
        dx = backend.conv2d_backward_data(dy, weight, input_size, **geometry)
    if need_weight:
        dw, db = backend.conv2d_backward_weight(dy, x, kernel_size, with_bias=need_bias, **geometry)
    elif need_bias:
        db = backend.conv2d_backward_bias(dy)
    return dx, dw, db


class Conv2d(Function):
    """y = act(x * weight + bias): x (N, C, H, W), weight (K, C/groups, R, S), y (N, K, P, Q).

    `geometry` holds stride, padding, dilation, groups and variant, as the kernels take them.
    """

    __slots__ = ()
    fresh_grads = True

    def forward(
        ctx,
        x: ndarray,
        weight: ndarray,
        bias: ndarray | None,
        activation: str | None,
        geometry: dict[str, Any],
    ) -> ndarray:
        y = current(x.dtype).conv2d_forward(x, weight, bias, activation=activation, **geometry)
        kept = None if activation is None else y
        ctx.saved = (*_kept(ctx.needs, x, weight), geometry, activation, kept)
        return y

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        *of_layer, activation, y = ctx.saved
        if activation is not None:
            dy = fused_backward(activation, dy, y)
        return _gradients(ctx.needs, dy, *of_layer)


class Conv2dReluMaxPool2d(Function):
    """y = max_pool(relu(x * weight + bias)); the pooling's backward pass has the ReLU's in it.

    `window` holds the pooling's kernel_size, stride, padding, dilation and ceil_mode.
    """

    __slots__ = ()
    fresh_grads = True

    def forward(
        ctx,
        x: ndarray,
        weight: ndarray,
        bias: ndarray | None,
        geometry: dict[str, Any],
        window: dict[str, Any],
    ) -> ndarray:
        backend = current(x.dtype)
        activated = backend.conv2d_forward(x, weight, bias, activation="relu", **geometry)
        y, offsets = backend.max_pool2d_forward(activated, **window)
        ctx.saved = (
            *_kept(ctx.needs, x, weight),
            geometry,
            y,
            offsets,
            activated.shape[2:],
            window,
        )
        return y

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        *of_layer, y, offsets, size, window = ctx.saved
        dy = current(dy.dtype).max_pool2d_backward(dy, offsets, size, rectified=y, **window)
        return _gradients(ctx.needs, dy, *of_layer)


class ConvTranspose2d(Function):
    """The adjoint of Conv2d's map: x (N, C, H, W), weight (C, K/groups, R, S), y (N, K, P, Q)."""

    __slots__ = ()
    fresh_grads = True

    def forward(
        ctx, x: ndarray, weight: ndarray, bias: ndarray | None, geometry: dict[str, Any]
    ) -> ndarray:
        y = current(x.dtype).conv_transpose2d_forward(x, weight, bias, **geometry)
        needs = ctx.needs
        ctx.saved = (
            x if needs[1] else None,
            weight if needs[0] else None,
            weight.shape[2:],
            geometry,
        )
        return y

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        x, weight, kernel_size, geometry = ctx.saved
        need_x, need_weight, need_bias, _ = ctx.needs
        backend = current(dy.dtype)
        dx = dw = db = None
        if need_x:
            dx = backend.conv_transpose2d_backward_data(dy, weight, **geometry)
        if need_weight:
            dw, db = backend.conv_transpose2d_backward_weight(
                dy, x, kernel_size, with_bias=need_bias, **geometry
            )
        elif need_bias:
            db = backend.conv2d_backward_bias(dy)
        return dx, dw, db
