"""The Hessian of a function by differences of its gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..autograd import enable_grad
from ..tensor import Tensor


def numeric_hessian(
    func: Callable[..., Tensor], inputs: Tensor | Iterable[Tensor], *, eps: float = 1e-5
) -> np.ndarray:
    """H_ij = d2 func / (dx_i dx_j), (n, n) float64, over the n elements of all `inputs` in a row.

    `inputs` are float64 leaves that require grad, one or several, such as the parameters of a
    model; `func(*inputs)` gives a scalar, and may ignore its arguments. Each row is a central
    difference of gradients with step `eps`; the symmetric part is returned. The eigenvalues tell a
    minimum (all > 0) from a saddle (both signs). Inputs and their gradients are left as they were.

    Raises TypeError for inputs of another kind, ValueError for an eps that is not > 0 or a func
    that gives no scalar.

    >>> import neurona
    >>> x = neurona.tensor([1.0, 2.0], dtype=neurona.float64, requires_grad=True)
    >>> with neurona.use_backend("reference"):
    ...     h = numeric_hessian(lambda x: (x[0] * x[0] * x[1]).sum(), x)
    >>> h.round(6).tolist()
    [[4.0, 2.0], [2.0, 0.0]]
    """
    op = "numeric_hessian"
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if not tensors:
        raise ValueError(f"{op}: inputs must not be empty")
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"{op}: inputs[{position}] must be a Tensor, got {type(tensor).__name__}"
            )
        if tensor.dtype != np.float64:
            raise TypeError(f"{op}: inputs[{position}] must have dtype float64, got {tensor.dtype}")
        if not (tensor.requires_grad and tensor.is_leaf):
            raise ValueError(f"{op}: inputs[{position}] must be a leaf that requires grad")
    if not 0.0 < eps < math.inf:
        raise ValueError(f"{op}: eps must be finite and > 0, got {eps}")
    kept = [tensor.grad for tensor in tensors]
    rows = []
    try:
        for tensor in tensors:
            values = tensor.data
            for index in np.ndindex(*values.shape):
                middle = values[index]
                try:
                    values[index] = middle + eps
                    above = _gradient(op, func, tensors)
                    values[index] = middle - eps
                    below = _gradient(op, func, tensors)
                finally:
                    values[index] = middle
                rows.append((above - below) / (2 * eps))
    finally:
        for tensor, grad in zip(tensors, kept, strict=True):
            tensor.grad = grad
    hessian = np.array(rows)
    return (hessian + hessian.T) / 2


def _gradient(op: str, func: Callable[..., Any], tensors: list[Tensor]) -> np.ndarray:
    for tensor in tensors:
        tensor.grad = None
    with enable_grad():
        value = func(*tensors)
    if not isinstance(value, Tensor) or value.data.size != 1:
        raise ValueError(f"{op}: func must give a scalar Tensor, got {value!r:.80}")
    value.backward()
    return np.concatenate(
        [
            np.zeros(tensor.data.size) if tensor.grad is None else tensor.grad.data.ravel()
            for tensor in tensors
        ]
    )
