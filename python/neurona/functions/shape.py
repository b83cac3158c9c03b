"""Operations that move elements and change none."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import Function, ndarray
from ..backends import DEVICE_FLOAT32, FLOAT32, current
from .elementwise import unbroadcast


def _flattens_channels_last(x: ndarray, shape: tuple[int, ...]) -> bool:
    """Whether images in channels-last memory become a row each, for which a copy is needed."""
    n, c, h, w = x.shape
    return (
        shape in ((n, c * h * w), (n, -1), (-1, c * h * w))
        and c > 1
        and h * w > 1
        and x.transpose(0, 2, 3, 1).flags.c_contiguous
    )


class Reshape(Function):
    """The same elements in another shape, a view where the strides allow it.

    Images become rows of features by a kernel of its own, since they lie channels-last in memory
    and a layer after them needs the C order; their gradient goes back likewise.
    """

    __slots__ = ()

    def forward(ctx, x: ndarray, shape: tuple[int, ...]) -> ndarray:
        is_float32 = x.dtype is FLOAT32 or x.dtype is DEVICE_FLOAT32
        flattens = x.ndim == 4 and is_float32 and _flattens_channels_last(x, shape)
        ctx.saved = (x.shape, flattens)
        if flattens:
            x = current(x.dtype).reorder(x, False)
        return x.reshape(shape)

    def backward(ctx, dy: ndarray) -> ndarray:
        shape, flattened = ctx.saved
        dx = dy.reshape(shape)
        return current(dx.dtype).reorder(dx, True) if flattened else dx


class Permute(Function):
    """The axes in another order."""

    __slots__ = ()

    def forward(ctx, x: ndarray, dims: tuple[int, ...]) -> ndarray:
        ctx.saved = (dims,)
        return x.transpose(dims)

    def backward(ctx, dy: ndarray) -> ndarray:
        (dims,) = ctx.saved
        return dy.transpose(np.argsort([d % dy.ndim for d in dims]))


class Expand(Function):
    """Axes of length 1 repeated without a copy."""

    __slots__ = ()

    def forward(ctx, x: ndarray, shape: tuple[int, ...]) -> ndarray:
        ctx.saved = (x.shape,)
        return np.broadcast_to(x, shape)

    def backward(ctx, dy: ndarray) -> ndarray:
        return unbroadcast(dy, ctx.saved[0])


class GetItem(Function):
    """x[index] for NumPy's basic and advanced indexing."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: ndarray, index: Any) -> ndarray:
        ctx.saved = (x.shape, index)
        return x[index]

    def backward(ctx, dy: ndarray) -> ndarray:
        shape, index = ctx.saved
        dx = np.zeros(shape, dy.dtype, like=dy)
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(part, (ndarray, list)) for part in parts):
            np.add.at(dx, index, dy)  # an element may be picked more than once
        else:
            dx[index] = dy
        return dx


class SetItem(Function):
    """A copy of x in which x[index] is `value`."""

    __slots__ = ()

    def forward(ctx, x: ndarray, index: Any, value: ndarray | float) -> ndarray:
        ctx.saved = (index, np.shape(value))
        y = x.copy(order="K")
        y[index] = value
        return y

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        index, shape = ctx.saved
        need_x, _, need_value = ctx.needs
        dx = dvalue = None
        if need_x:
            dx = dy.copy(order="K")
            dx[index] = 0
        if need_value:
            dvalue = unbroadcast(np.asarray(dy[index]), shape)
        return dx, None, dvalue


class Copy(Function):
    """A copy in memory of its own."""

    __slots__ = ()

    def forward(ctx, x: ndarray) -> ndarray:
        return x.copy(order="K")

    def backward(ctx, dy: ndarray) -> ndarray:
        return dy


class Cat(Function):
    """Tensors joined along an axis that they have."""

    __slots__ = ()

    def forward(ctx, dim: int, *arrays: ndarray) -> ndarray:
        ctx.saved = (dim, [array.shape[dim] for array in arrays])
        return np.concatenate(arrays, axis=dim)

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        dim, lengths = ctx.saved
        return (None, *np.split(dy, np.cumsum(lengths[:-1]), axis=dim))


class Stack(Function):
    """Tensors of one shape joined along a new axis."""

    __slots__ = ()

    def forward(ctx, dim: int, *arrays: ndarray) -> ndarray:
        ctx.saved = (dim,)
        return np.stack(arrays, axis=dim)

    def backward(ctx, dy: ndarray) -> tuple[Any, ...]:
        return (None, *np.moveaxis(dy, ctx.saved[0], 0))
