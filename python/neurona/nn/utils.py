"""Gradient clipping."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from ..tensor import Tensor


def _gradients(op: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    tensors = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"{op}: parameters[{position}] must be a Tensor, got {type(tensor).__name__}"
            )
    return [tensor.grad for tensor in tensors if tensor.grad is not None]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by min(1, max_norm / (norm + 1e-6)) in place and return their joint norm
    as it was.

    norm = (sum |g|^p)^(1/p) over all elements of all gradients, p = `norm_type`; inf gives the
    largest |g|. `foreach` has no effect. Raises RuntimeError for a norm that is not finite when
    `error_if_nonfinite`.

    >>> import neurona
    >>> from neurona import nn
    >>> w = nn.Parameter(neurona.tensor([3.0, 4.0]))
    >>> (w * w).sum().backward()
    >>> nn.utils.clip_grad_norm_([w], 1.0).item()
    10.0
    """
    grads = _gradients("clip_grad_norm_", parameters)
    if not max_norm >= 0.0:
        raise ValueError(f"clip_grad_norm_: max_norm must be >= 0, got {max_norm}")
    power = float(norm_type)
    if not power > 0.0:
        raise ValueError(f"clip_grad_norm_: norm_type must be > 0, got {norm_type}")
    if not grads:
        return Tensor(np.zeros((), np.float32))
    if math.isinf(power):
        norm = float(np.max([np.max(np.abs(grad.data), initial=0.0) for grad in grads]))
    else:
        norm = sum(_power_sum(grad.data, power) for grad in grads) ** (1.0 / power)
    if error_if_nonfinite and not math.isfinite(norm):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of the gradients must be finite, got {norm}"
            + _first_nonfinite(grads)
        )
    scale = max_norm / (norm + 1e-6)
    if not scale >= 1.0:  # a NaN norm makes every gradient NaN, as it should
        for grad in grads:
            grad.data[...] *= scale
            grad._version[0] += 1
    return Tensor(np.asarray(norm, grads[0].data.dtype))


def _first_nonfinite(grads: list[Tensor]) -> str:
    """Where to look; nothing when finite gradients add up to an infinite norm."""
    for position, grad in enumerate(grads):
        if not np.isfinite(grad.data).all():
            return f"; the first such gradient is number {position}, of shape {tuple(grad.shape)}"
    return ""


def _power_sum(values: np.ndarray, power: float) -> float:
    """sum |v|^power in float64, so that large and many gradients neither overflow nor lose their
    small ones.
    """
    wide = values.astype(np.float64)
    return float(np.sum(np.square(wide) if power == 2.0 else np.abs(wide) ** power))


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Clip every gradient element to [-clip_value, clip_value], in place; `foreach` has no
    effect.
    """
    if not clip_value >= 0.0:
        raise ValueError(f"clip_grad_value_: clip_value must be >= 0, got {clip_value}")
    for grad in _gradients("clip_grad_value_", parameters):
        np.clip(grad.data, -clip_value, clip_value, out=grad.data)
        grad._version[0] += 1
