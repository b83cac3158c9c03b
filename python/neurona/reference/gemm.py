"""Matrix product and the linear layer.

gemm:   y = act(alpha op(a) op(b) + beta c + bias)        op(a) (M, K), op(b) (K, N), y (M, N)
linear: y = act(x weight^T + bias)                        x (N, in), weight (out, in), y (N, out)
"""

from __future__ import annotations

import numpy as np

from . import _checks as check
from .activation import apply_activation, check_activation


@np.errstate(all="ignore")
def gemm(
    a: np.ndarray,
    b: np.ndarray,
    *,
    trans_a: bool = False,
    trans_b: bool = False,
    alpha: float = 1.0,
    beta: float = 0.0,
    c: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    activation: str | None = None,
) -> np.ndarray:
    """Return act(alpha op(a) @ op(b) + beta c + bias), shape (M, N).

    a is (M, K), or (K, M) with trans_a; b is (K, N), or (N, K) with trans_b; c is (M, N) and never
    read when beta == 0; bias is (N,). Raises TypeError for a wrong dtype, ValueError for shapes
    that do not fit.

    >>> gemm(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), alpha=2.0)
    array([[22.]])
    """
    op = "gemm"
    a = check.array(op, "a", a, "(M, K)")
    b = check.array(op, "b", b, "(K, N)")
    bias = check.optional_array(op, "bias", bias, "(N,)")
    c = check.optional_array(op, "c", c, "(M, N)")
    for name, value in (("b", b), ("bias", bias), ("c", c)):
        check.same_dtype(op, name, value, "a", a)
    alpha, beta = check.number(op, "alpha", alpha), check.number(op, "beta", beta)
    check_activation(op, activation)
    left, right = (a.T if trans_a else a), (b.T if trans_b else b)
    if left.shape[1] != right.shape[0]:
        raise ValueError(
            f"{op}: a and b must share K, got shapes {a.shape} and {b.shape} "
            f"with trans_a={trans_a}, trans_b={trans_b}"
        )
    rows_columns = (left.shape[0], right.shape[1])
    check.memory(op, "the result", rows_columns, a.dtype)
    check.shape(op, "c", c, rows_columns)
    check.shape(op, "bias", bias, rows_columns[1:])
    if beta != 0 and c is None:
        raise ValueError(f"{op}: c must be given when beta != 0, got beta={beta}")

    y = left @ right
    if alpha != 1:
        y = y * a.dtype.type(alpha)
    if beta != 0 and c is not None:
        y = y + a.dtype.type(beta) * c
    if bias is not None:
        y = y + bias
    return apply_activation(activation, y)


@np.errstate(all="ignore")
def linear_forward(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    *,
    activation: str | None = None,
) -> np.ndarray:
    """Return act(x @ weight.T + bias): x (N, in), weight (out, in), bias (out,), y (N, out).

    Raises TypeError for a wrong dtype, ValueError for shapes that do not fit.

    >>> linear_forward(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]), np.array([0.5]))
    array([[11.5]])
    """
    op = "linear"
    x = check.array(op, "x", x, "(N, in)")
    weight = check.array(op, "weight", weight, "(out, in)")
    bias = check.optional_array(op, "bias", bias, "(out,)")
    check.same_dtype(op, "weight", weight, "x", x)
    check.same_dtype(op, "bias", bias, "x", x)
    check_activation(op, activation)
    if x.shape[1] != weight.shape[1]:
        raise ValueError(
            f"{op}: x and weight must have the same number of input features, "
            f"got shapes {x.shape} and {weight.shape}"
        )
    check.shape(op, "bias", bias, weight.shape[:1])
    check.memory(op, "the result", (x.shape[0], weight.shape[0]), x.dtype)

    y = x @ weight.T
    if bias is not None:
        y = y + bias
    return apply_activation(activation, y)


@np.errstate(all="ignore")
def linear_backward_data(dy: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return dx = dy @ weight: dy (N, out), weight (out, in), dx (N, in).

    Raises TypeError for a wrong dtype, ValueError for shapes that do not fit.

    >>> linear_backward_data(np.array([[2.0]]), np.array([[3.0, 4.0]]))
    array([[6., 8.]])
    """
    op = "linear_backward_data"
    dy = check.array(op, "dy", dy, "(N, out)")
    weight = check.array(op, "weight", weight, "(out, in)")
    check.same_dtype(op, "weight", weight, "dy", dy)
    if dy.shape[1] != weight.shape[0]:
        raise ValueError(
            f"{op}: dy and weight must have the same number of output features, "
            f"got shapes {dy.shape} and {weight.shape}"
        )
    return dy @ weight


@np.errstate(all="ignore")
def linear_backward_weight(
    dy: np.ndarray, x: np.ndarray, *, with_bias: bool = True
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return dw = dy.T @ x, shape (out, in), and db = the sum of dy over the batch (None without
    bias).

    Raises TypeError for a wrong dtype, ValueError for shapes that do not fit.

    >>> linear_backward_weight(np.array([[2.0]]), np.array([[3.0, 4.0]]))
    (array([[6., 8.]]), array([2.]))
    """
    op = "linear_backward_weight"
    dy = check.array(op, "dy", dy, "(N, out)")
    x = check.array(op, "x", x, "(N, in)")
    check.same_dtype(op, "x", x, "dy", dy)
    if dy.shape[0] != x.shape[0]:
        raise ValueError(
            f"{op}: dy and x must have the same N, got shapes {dy.shape} and {x.shape}"
        )
    db = dy.sum(axis=0, dtype=check.accumulator(dy.dtype)).astype(dy.dtype) if with_bias else None
    return dy.T @ x, db


@np.errstate(all="ignore")
def linear_backward(
    dy: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray,
    *,
    with_bias: bool = True,
    rectified: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return dx, dw and db: what linear_backward_data and linear_backward_weight return.

    With `rectified`, x is what a ReLU returned, and dx is the gradient before that ReLU: 0 where x
    is not above 0 (or NaN).

    Raises TypeError for a wrong dtype, ValueError for shapes that do not fit.

    >>> linear_backward(np.array([[2.0]]), np.array([[3.0, 4.0]]), np.array([[5.0, 6.0]]))
    (array([[10., 12.]]), array([[6., 8.]]), array([2.]))
    """
    op = "linear_backward"
    dy = check.array(op, "dy", dy, "(N, out)")
    x = check.array(op, "x", x, "(N, in)")
    weight = check.array(op, "weight", weight, "(out, in)")
    check.same_dtype(op, "x", x, "dy", dy)
    check.same_dtype(op, "weight", weight, "dy", dy)
    if dy.shape[0] != x.shape[0] or weight.shape != (dy.shape[1], x.shape[1]):
        raise ValueError(
            f"{op}: dy (N, out), x (N, in) and weight (out, in) do not fit, "
            f"got shapes {dy.shape}, {x.shape} and {weight.shape}"
        )
    dx = linear_backward_data(dy, weight)
    if rectified:
        dx = np.where(x <= 0, dx.dtype.type(0), dx)
    return dx, *linear_backward_weight(dy, x, with_bias=with_bias)
