"""Batch normalisation (Ioffe and Szegedy 2015) over all axes but the channels.

    xhat = (x - mean) invstd,  invstd = 1 / sqrt(var + eps),  y = weight xhat + bias

x is (N, C), (N, C, L) or (N, C, H, W). Training uses the batch's mean and biased variance, and
updates running = (1 - momentum) running + momentum batch, with the unbiased variance. Evaluation
uses the running statistics.
    training:   dx = weight invstd (dy - mean(dy) - xhat mean(dy xhat))
    evaluation: dx = weight invstd dy
    dweight = sum(dy xhat), dbias = sum(dy)

A relu behind it can run in the same pass: y = max(0, ..), and backward dy counts where y > 0.
"""

from __future__ import annotations

import numpy as np

from . import _checks as check


def _checked_input(op: str, name: str, x: np.ndarray) -> np.ndarray:
    x = check.array(op, name, x)
    if not 2 <= x.ndim <= 4:
        raise ValueError(
            f"{op}: {name} must have shape (N, C), (N, C, L) or (N, C, H, W), got shape {x.shape}"
        )
    check.no_empty_axis(op, name, x, ("NC", "NCL", "NCHW")[x.ndim - 2])
    return x


def _per_channel(
    op: str, name: str, value: np.ndarray | None, x: np.ndarray, x_name: str = "x"
) -> np.ndarray | None:
    value = check.optional_array(op, name, value, "(C,)")
    check.same_dtype(op, name, value, x_name, x)
    check.shape(op, name, value, (x.shape[1],))
    return value


def _check_statistics(op: str, x: np.ndarray, running_mean: object, running_var: object) -> None:
    """Raise unless the running statistics can be used or, in training, updated."""
    if (running_mean is None) != (running_var is None):
        raise ValueError(
            f"{op}: running_mean and running_var must both be given or both be None, got "
            f"{'None' if running_mean is None else 'an array'} and "
            f"{'None' if running_var is None else 'an array'}"
        )
    variance = _per_channel(op, "running_var", running_var, x)  # type: ignore[arg-type]
    _per_channel(op, "running_mean", running_mean, x)  # type: ignore[arg-type]
    if variance is not None and (variance < 0).any():
        raise ValueError(f"{op}: running_var must be >= 0, got {variance.min()}")


@np.errstate(all="ignore")
def batch_norm_forward(
    x: np.ndarray,
    weight: np.ndarray | None,
    bias: np.ndarray | None,
    running_mean: np.ndarray | None,
    running_var: np.ndarray | None,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
    relu: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return y of x's shape, with `relu` max(0, y), and the mean and invstd (C,) that were used.

    weight and bias (C,) may be None (1 and 0); running_mean and running_var (C,) may be None in
    training and are updated in place. Raises TypeError for a wrong dtype; ValueError for shapes or
    ranges that do not fit, and in training when there is only one value per channel.

    >>> x = np.array([[1.0], [3.0]])
    >>> batch_norm_forward(x, None, None, None, None, training=True, eps=1e-9)[0].round(3)
    array([[-1.],
           [ 1.]])
    """
    op = "batch_norm"
    x = _checked_input(op, "x", x)
    weight, bias = _per_channel(op, "weight", weight, x), _per_channel(op, "bias", bias, x)
    _check_statistics(op, x, running_mean, running_var)
    momentum, eps = check.fraction(op, "momentum", momentum), check.positive(op, "eps", eps)
    axes = tuple(a for a in range(x.ndim) if a != 1)
    wide = check.accumulator(x.dtype)
    channels = (1, -1) + (1,) * (x.ndim - 2)
    count = x.size // x.shape[1]

    if training:
        if count == 1:
            raise ValueError(
                f"{op}: x must have more than 1 value per channel in training, got shape {x.shape}"
            )
        if running_mean is not None and running_var is not None:
            check.writable(op, "running_mean", running_mean)
            check.writable(op, "running_var", running_var)
        if count == 0:
            zeros, std = np.zeros(x.shape[1], x.dtype), np.full(x.shape[1], eps**-0.5, x.dtype)
            return x.copy(), zeros, std
        mean = x.sum(axis=axes, dtype=wide) / count
        squares = np.square(x - mean.reshape(channels)).sum(axis=axes, dtype=wide)
        variance = squares / count
        if running_mean is not None and running_var is not None:
            running_mean[...] = (1 - momentum) * running_mean + momentum * mean
            running_var[...] = (1 - momentum) * running_var + momentum * squares / (count - 1)
    else:
        if running_mean is None or running_var is None:
            raise ValueError(
                f"{op}: running_mean and running_var must be given in evaluation, got None"
            )
        mean, variance = running_mean.astype(wide), running_var.astype(wide)

    invstd = 1 / np.sqrt(variance + eps)
    y = (x - mean.reshape(channels)) * invstd.reshape(channels)
    if weight is not None:
        y = y * weight.reshape(channels)
    if bias is not None:
        y = y + bias.reshape(channels)
    if relu:
        y = np.where(y <= 0, 0, y)
    return y.astype(x.dtype), mean.astype(x.dtype), invstd.astype(x.dtype)


@np.errstate(all="ignore")
def batch_norm_backward(
    dy: np.ndarray,
    x: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    invstd: np.ndarray,
    *,
    training: bool,
    y: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dx of x's shape, dweight (C,) and dbias (C,); mean and invstd (C,) come from the
    forward pass, and so does y if that had a relu.

    Raises TypeError for a wrong dtype, ValueError for shapes that do not fit.

    >>> dy, x, one = np.array([[1.0], [2.0]]), np.array([[0.0], [2.0]]), np.ones(1)
    >>> batch_norm_backward(dy, x, one, one, one, training=False)
    (array([[1.],
           [2.]]), array([1.]), array([3.]))
    """
    op = "batch_norm_backward"
    x = _checked_input(op, "x", x)
    dy = check.array(op, "dy", dy)
    check.same_dtype(op, "dy", dy, "x", x)
    check.shape(op, "dy", dy, x.shape)
    if y is not None:
        y = check.array(op, "y", y)
        check.same_dtype(op, "y", y, "x", x)
        check.shape(op, "y", y, x.shape)
        dy = np.where(y <= 0, x.dtype.type(0), dy)
    weight = _per_channel(op, "weight", weight, x)
    for name, value in (("mean", mean), ("invstd", invstd)):
        _per_channel(op, name, check.array(op, name, value), x)
    axes = tuple(a for a in range(x.ndim) if a != 1)
    wide = check.accumulator(x.dtype)
    channels = (1, -1) + (1,) * (x.ndim - 2)

    xhat = (x.astype(wide) - mean.reshape(channels)) * invstd.reshape(channels)
    dbias = dy.sum(axis=axes, dtype=wide)
    dweight = (dy * xhat).sum(axis=axes, dtype=wide)
    scale = invstd.astype(wide) if weight is None else weight * invstd.astype(wide)
    centred = dy.astype(wide)
    if training and x.size:
        count = x.size // x.shape[1]
        centred = centred - (dbias.reshape(channels) + xhat * dweight.reshape(channels)) / count
    dx = (centred * scale.reshape(channels)).astype(x.dtype)
    return dx, dweight.astype(x.dtype), dbias.astype(x.dtype)
