"""batch_norm and normalize."""

from __future__ import annotations

import math
from typing import Any

from ...functions.batch_norm import BatchNorm
from ...tensor import Tensor
from ...tensor.base import apply
from ._arguments import as_tensor


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    activation: str | None = None,
) -> Tensor:
    """y = weight (x - mean) / sqrt(var + eps) + bias per channel of (N, C), (N, C, L) or (N, C, H,
    W).

    In training mean and (biased) variance are those of the batch, and running_* move in place by
    running = (1 - momentum) running + momentum batch, with the unbiased variance; otherwise running
    statistics are used. `activation="relu"` gives max(0, y) in the same pass, with the bits of
    `F.relu(F.batch_norm(..))`; there is no other. Raises ValueError for one value per channel in
    training, for lengths other than C and for missing statistics. Paper: Ioffe & Szegedy 2015.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.batch_norm(neurona.tensor([[1.0], [3.0]]), None, None, training=True).flatten()
    tensor([-1.,  1.])
    """
    x = as_tensor("batch_norm", "input", input)
    if not training and (running_mean is None or running_var is None):
        raise ValueError(
            "batch_norm: running_mean and running_var must be given outside training, got None"
        )
    if activation not in (None, "relu"):
        raise ValueError(f"batch_norm: activation must be None or 'relu', got {activation!r}")
    shape = x.data.shape
    if training and len(shape) > 1 and shape[0] * math.prod(shape[2:]) == 1:
        raise ValueError(
            f"batch_norm: training needs more than 1 value per channel, got shape {shape}"
        )
    options = {"training": training, "momentum": momentum, "eps": eps, "relu": activation == "relu"}
    return apply(BatchNorm, x, weight, bias, running_mean, running_var, options)


def normalize(
    input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: None = None
) -> Tensor:
    """x / max(|x|_p, eps), the norm taken along `dim`.

    `out` must be None (ValueError); p must be > 0.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.normalize(neurona.tensor([[3.0, 4.0]]))
    tensor([[0.6, 0.8]])
    """
    if out is not None:
        raise ValueError("normalize: out must be None, got a tensor")
    if not p > 0:
        raise ValueError(f"normalize: p must be > 0, got {p}")
    x = as_tensor("normalize", "input", input)
    if p == 2:
        norm = (x * x).sum(dim, keepdim=True).sqrt()
    elif math.isinf(p):
        norm = x.abs().amax(dim, keepdim=True)
    else:
        norm = (x.abs() ** p).sum(dim, keepdim=True) ** (1.0 / p)
    return x / norm.clamp(min=eps)
