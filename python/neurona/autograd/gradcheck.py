"""The numerical check of gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
) -> bool:
    """Compare the gradients of `func` with central differences, (f(x + eps) - f(x - eps)) / 2 eps.

    The float64 tensors among `inputs` (one tensor, or a tuple) that require grad are checked, for a
    random upstream gradient: each element must agree within atol + rtol |numeric|. Backward runs
    twice, and the two may differ by `nondet_tol` at most. Returns True; a disagreement raises
    RuntimeError with the worst element, or gives False without `raise_exception`. Raises ValueError
    when there is nothing to check and TypeError for a checked tensor that is not float64.

    >>> import neurona
    >>> x = neurona.tensor([0.5, -1.0], dtype=neurona.float64, requires_grad=True)
    >>> with neurona.use_backend("reference"):
    ...     neurona.autograd.gradcheck(lambda x: (x * x).sum(), x)
    True
    """
    arguments = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    checked = [i for i, t in enumerate(arguments) if getattr(t, "requires_grad", False)]
    if not checked:
        raise ValueError("gradcheck: inputs must hold a tensor that requires grad, got none")
    for i in checked:
        if arguments[i].dtype != np.float64:
            raise TypeError(
                f"gradcheck: inputs[{i}] must have dtype float64, got {arguments[i].dtype}"
            )
    problem = _first_problem(func, arguments, checked, eps, atol, rtol, nondet_tol)
    if problem is not None and raise_exception:
        raise RuntimeError(f"gradcheck: {problem}")
    return problem is None


def _first_problem(
    func: Callable[..., Any],
    arguments: tuple[Any, ...],
    checked: Sequence[int],
    eps: float,
    atol: float,
    rtol: float,
    nondet_tol: float,
) -> str | None:
    shape = _first(func(*arguments)).shape
    upstream = np.random.default_rng(0).uniform(0.5, 1.5, shape)
    analytic = _gradients(func, arguments, checked, upstream)
    again = _gradients(func, arguments, checked, upstream)
    for position, first, second in zip(checked, analytic, again, strict=True):
        spread = float(np.max(np.abs(first - second), initial=0.0))
        if not spread <= nondet_tol:
            return (
                f"backward is not deterministic, two runs differ by {spread:g} in the gradient of "
                f"inputs[{position}]"
            )
    for position, gradient in zip(checked, analytic, strict=True):
        numeric = _numeric(func, arguments, position, upstream, eps)
        excess = np.abs(gradient - numeric) - (atol + rtol * np.abs(numeric))
        agrees = excess <= 0
        if not agrees.all():
            worst = np.unravel_index(
                int(np.argmax(np.where(agrees, -np.inf, excess))), agrees.shape
            )
            index = tuple(int(i) for i in worst)
            return (
                f"the gradient of inputs[{position}] at {index} must be {numeric[index]:.8g} "
                f"(numerically), got {gradient[index]:.8g}"
            )
    return None


def _first(result: Any) -> Any:
    return result[0] if isinstance(result, tuple) else result


def _gradients(
    func: Callable[..., Any],
    arguments: tuple[Any, ...],
    checked: Sequence[int],
    upstream: np.ndarray,
) -> list[np.ndarray]:
    leaves = list(arguments)
    for i in checked:
        leaves[i] = arguments[i].detach().clone()
        leaves[i].requires_grad = True
    _first(func(*leaves)).backward(upstream)
    return [
        np.zeros(leaves[i].shape) if leaves[i].grad is None else leaves[i].grad.data
        for i in checked
    ]


def _numeric(
    func: Callable[..., Any],
    arguments: tuple[Any, ...],
    position: int,
    upstream: np.ndarray,
    eps: float,
) -> np.ndarray:
    """d(sum of upstream * func) / d(inputs[position]), one element at a time."""
    trial = list(arguments)
    trial[position] = arguments[position].detach().clone()
    values = trial[position].data
    gradient = np.zeros(values.shape)
    for index in np.ndindex(*values.shape):
        kept = values[index]
        values[index] = kept + eps
        above = _first(func(*trial)).data.copy()  # copies, for a view would change with the input
        values[index] = kept - eps
        below = _first(func(*trial)).data.copy()
        values[index] = kept
        gradient[index] = np.sum(upstream * (above - below)) / (2 * eps)
    return gradient
