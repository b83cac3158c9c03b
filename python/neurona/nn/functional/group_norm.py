"""layer_norm and group_norm: statistics of each sample instead of the batch."""

from __future__ import annotations

import math
from typing import Any

from ...functions.batch_norm import BatchNorm
from ...tensor import Tensor
from ...tensor.base import apply
from ._arguments import as_float, int_single, positive_number


def _standardise(x: Tensor, rows: int, eps: float) -> Tensor:
    """(x - mean) / sqrt(var + eps) of each of `rows` equal parts: batch norm with the parts as its
    channels and a batch of one.
    """
    shape = x.data.shape
    if x.data.size == 0:
        return x
    if x.data.size == rows:
        return x - x  # a value alone is its own mean
    parts = x.reshape(1, rows, x.data.size // rows)
    options = {"training": True, "momentum": 0.0, "eps": eps, "relu": False}
    return apply(BatchNorm, parts, None, None, None, None, options).reshape(*shape)


def _scaled(
    op: str, y: Tensor, weight: Any, bias: Any, shape: tuple[int, ...], axes: Any
) -> Tensor:
    """weight y + bias, both of `shape`, laid along the axes that `axes` (a shape too) names."""
    for name, given in (("weight", weight), ("bias", bias)):
        if given is None:
            continue
        values = as_float(op, name, given)
        if values.data.shape != shape:
            raise ValueError(f"{op}: {name} must have shape {shape}, got shape {values.data.shape}")
        values = values.reshape(*axes)
        y = y * values if name == "weight" else y + values
    return y


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = weight (x - mean) / sqrt(var + eps) + bias over the last axes, `normalized_shape`.

    Mean and (biased) variance are those of each sample alone, in training and evaluation alike;
    weight and bias have `normalized_shape`. Raises ValueError for shapes that do not fit and for
    eps <= 0, TypeError for a wrong kind or dtype. Paper: Ba, Kiros, Hinton 2016.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.layer_norm(neurona.tensor([[1.0, 3.0], [5.0, 5.0]]), (2,))
    tensor([[-1.,  1.],
            [ 0.,  0.]])
    """
    op = "layer_norm"
    x = as_float(op, "input", input)
    eps = positive_number(op, "eps", eps)
    if not isinstance(normalized_shape, (tuple, list)):
        raise TypeError(
            f"{op}: normalized_shape must be a tuple of ints, got {normalized_shape!r} "
            f"({type(normalized_shape).__name__})"
        )
    shape = tuple(int_single(op, "normalized_shape", n, 1) for n in normalized_shape)
    rank = len(shape)
    if not rank or x.data.shape[-rank:] != shape:
        raise ValueError(
            f"{op}: normalized_shape must be the last axes of input {x.data.shape}, got {shape}"
        )
    y = _standardise(x, x.data.size // math.prod(shape), eps)
    return _scaled(op, y, weight, bias, shape, shape)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """y = weight (x - mean) / sqrt(var + eps) + bias over each group of C / num_groups channels.

    x (N, C, ...), weight and bias (C,). Mean and (biased) variance are those of one sample's group,
    in training and evaluation alike. Raises ValueError for shapes that do not fit, for groups that
    do not divide C and for eps <= 0, TypeError for a wrong kind or dtype. Paper: Wu & He 2018.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> F.group_norm(neurona.tensor([[1.0, 3.0, 10.0, 30.0]]), 2)
    tensor([[-1.,  1., -1.,  1.]])
    """
    op = "group_norm"
    x = as_float(op, "input", input)
    groups = int_single(op, "num_groups", num_groups, 1)
    eps = positive_number(op, "eps", eps)
    shape = x.data.shape
    if len(shape) < 2:
        raise ValueError(f"{op}: input must have shape (N, C, ...), got shape {shape}")
    if shape[1] % groups:
        raise ValueError(f"{op}: num_groups must divide the {shape[1]} channels, got {groups}")
    y = _standardise(x, shape[0] * groups, eps)
    per_channel = (shape[1], *(1,) * (len(shape) - 2))
    return _scaled(op, y, weight, bias, (shape[1],), per_channel)
