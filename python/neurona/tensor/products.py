"""Products of vectors, matrices and stacks of matrices."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..functions.elementwise import Mul
from ..functions.linear import MatMul
from ..functions.reduce import Sum
from ..functions.shape import Expand, GetItem, Reshape, Stack
from .base import TensorBase, apply, plain

if TYPE_CHECKING:
    from ..tensor import Tensor


def matmul(a: Any, b: Any) -> Tensor:
    """a (..., M, K) times b (..., K, N) -> (..., M, N), with NumPy's rules for vectors.

    Leading axes broadcast. Raises ValueError for a 0-D operand and for shapes that do not fit.

    >>> import neurona
    >>> neurona.matmul(neurona.ones(2, 3), neurona.ones(3)).shape
    (2,)
    """
    a = a if isinstance(a, TensorBase) else plain(a)
    b = b if isinstance(b, TensorBase) else plain(b)
    shape_a, shape_b = a.data.shape, b.data.shape
    if not shape_a or not shape_b:
        raise ValueError(
            f"matmul: a and b must have at least 1 axis, got shapes {shape_a} and {shape_b}"
        )
    if shape_a[-1] != shape_b[-2 if len(shape_b) > 1 else 0]:
        raise ValueError(
            "matmul: the last axis of a must be as long as the one before last of b, got shapes "
            f"{shape_a} and {shape_b}"
        )
    if len(shape_a) == 2 == len(shape_b):
        return apply(MatMul, a, b)
    if len(shape_a) == 1 == len(shape_b) and a.data.dtype.kind == b.data.dtype.kind == "f":
        # A matrix product would lay out b for many columns: 25 times slower for a million terms.
        return apply(Sum, apply(Mul, a, b), None, False)
    if len(shape_b) <= 2:
        rows = apply(Reshape, a, (math.prod(shape_a[:-1]), shape_a[-1]))
        matrix = b if len(shape_b) == 2 else apply(Reshape, b, (shape_b[0], 1))
        return apply(Reshape, apply(MatMul, rows, matrix), shape_a[:-1] + shape_b[1:])
    if len(shape_a) == 1:
        product = _stacked(apply(Reshape, a, (1, shape_a[0])), b)
        return apply(Reshape, product, product.data.shape[:-2] + product.data.shape[-1:])
    return _stacked(a, b)


def _stacked(a: TensorBase, b: TensorBase) -> Tensor:
    """One product per matrix of the broadcast leading axes."""
    shape_a, shape_b = a.data.shape, b.data.shape
    try:
        batch = np.broadcast_shapes(shape_a[:-2], shape_b[:-2])
    except ValueError:
        raise ValueError(
            f"matmul: the leading axes must broadcast, got shapes {shape_a} and {shape_b}"
        ) from None
    count = math.prod(batch)
    result = (*batch, shape_a[-2], shape_b[-1])
    if count == 0:
        return plain(np.zeros(result, a.data.dtype))
    matrices = [
        apply(Reshape, apply(Expand, t, batch + t.data.shape[-2:]), (count, *t.data.shape[-2:]))
        for t in (a, b)
    ]
    products = [
        apply(MatMul, apply(GetItem, matrices[0], i), apply(GetItem, matrices[1], i))
        for i in range(count)
    ]
    return apply(Reshape, apply(Stack, 0, *products), result)
