"""How far each compiled kernel may be from the reference in float64: the table of `verify`.

A rule gets the arguments by name, with float arrays in float64 as they were before the call, and
the expected results; it returns one bound per result. U = 2^-24 is the rounding error of float32.
A sum of K terms has the bound (K + 8) U S, with S the same sum over absolute values: it holds for
every order of summation, whatever the data. Rules of the form (depth + n + c) U come from the
rounding of x - max(x) before the exponential.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import reference
from .step_bounds import STEPS
from .unit import TINY, Arguments, Results, Rule, U


def _absolute(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return np.asarray(np.abs(value))  # of a 0-d array, abs() returns a scalar
    return value


def _magnitude(op: str, arguments: Arguments) -> Results:
    """S: the reference on absolute values, without activation, `bias` and `c` included."""
    given = {name: _absolute(value) for name, value in arguments.items()}
    given.pop("activation", None)
    for name in ("alpha", "beta"):
        if name in given:
            given[name] = abs(given[name])
    result = getattr(reference, op)(**given)
    return result if isinstance(result, tuple) else (result,)


def _linear(op: str, terms: Callable[[Arguments], int], extra: int = 8) -> Rule:
    """A sum of `terms` products per element, and perhaps an activation of it."""

    def rule(arguments: Arguments, expected: Results) -> tuple[Any, ...]:
        sizes: Results = _magnitude(op, arguments)
        grade = (terms(arguments) + extra) * U
        bounds: list[Any] = [None if size is None else grade * size + TINY for size in sizes]
        if arguments.get("activation") is not None:
            # No activation is steeper than 1.13 anywhere; its own error is that of a few roundings.
            bounds[0] = 1.13 * bounds[0] + 8 * U * (1 + np.abs(expected[0]))
        return tuple(bounds)

    return rule


def _winograd(op: str, result: Rule) -> Rule:
    """3 x 3 and 5 x 5 convolutions with stride 1 may run on transformed tiles, whose errors spread
    over the image: the bound is then that of the largest S of the image and channel.
    """

    def rule(arguments: Arguments, expected: Results) -> tuple[Any, ...]:
        bounds = result(arguments, expected)
        kernel = (
            arguments["weight"].shape[2:] if "weight" in arguments else arguments["kernel_size"]
        )
        if tuple(np.broadcast_to(kernel, 2)) not in ((3, 3), (5, 5)) or bounds[0].size == 0:
            return bounds
        size = _magnitude(op, arguments)[0]
        if "weight" in arguments:
            size = size.max(axis=(2, 3), keepdims=True)
        else:
            size = size.max(axis=(2, 3), keepdims=True).max(axis=(0, 1), keepdims=True)
        return (bounds[0] + 100 * U * size, *bounds[1:])

    return rule


def _pixels(a: Arguments) -> int:
    return a["dy"].size // max(a["dy"].shape[1], 1)


def _taps(a: Arguments) -> int:
    return math.prod(a["weight"].shape[2:])


def _window(a: Arguments) -> int:
    return int(np.prod(np.broadcast_to(a["kernel_size"], 2)))


def _relative(ulps: float) -> Rule:
    """A few roundings of each result."""
    return lambda a, y: tuple(2 * ulps * U * np.abs(r) + TINY for r in y)


def _exact(a: Arguments, expected: Results) -> tuple[Any, ...]:
    return tuple(0.0 for _ in expected)


def _smooth_gradient(a: Arguments, expected: Results) -> tuple[Any, ...]:
    """Gradients of gelu and silu, and of sigmoid and tanh from y: products of bounded factors."""
    point = a["x"] if "x" in a else a["y"]
    return (16 * U * np.abs(a["dy"]) * np.maximum(np.abs(point), 1) + TINY,)


def _reduction(op: str) -> Rule:
    def rule(a: Arguments, expected: Results) -> tuple[Any, ...]:
        count = a["x"].size // max(expected[0].size, 1)
        return ((count + 8) * U * _magnitude(op, a)[0] + TINY,)

    return rule


def _softmax(a: Arguments, expected: Results) -> tuple[Any, ...]:
    depth = a["x"].max(axis=a["dim"], keepdims=True) - a["x"]
    n = a["x"].shape[a["dim"]]
    return (U * (depth + n + 8) * expected[0] + n * TINY,)


def _log_softmax(a: Arguments, expected: Results) -> tuple[Any, ...]:
    n = a["x"].shape[a["dim"]]
    return (U * (4 * np.maximum(1, np.abs(expected[0])) + n + 4),)


def _softmax_backward(a: Arguments, expected: Results) -> tuple[Any, ...]:
    dy, y = np.abs(a["dy"]), a["y"]
    n = y.shape[a["dim"]]
    return ((n + 12) * U * y * (dy + (dy * y).sum(axis=a["dim"], keepdims=True)) + TINY,)


def _log_softmax_backward(a: Arguments, expected: Results) -> tuple[Any, ...]:
    dy, y = np.abs(a["dy"]), a["y"]
    n = y.shape[a["dim"]]
    total = dy.sum(axis=a["dim"], keepdims=True)
    return ((n + 12) * U * (dy + np.exp(y) * (1 + np.abs(y)) * total) + TINY,)


def _cross_entropy(a: Arguments, expected: Results) -> tuple[Any, ...]:
    x = a["x"]
    n, c = x.shape
    with_rows = {**a, "reduction": "none", "with_grad": False}
    losses = np.abs(reference.cross_entropy_forward(**with_rows)[0])
    heaviest = 1.0 if a["weight"] is None else a["weight"].max(initial=0.0)
    depth = x.max(axis=1) - x.min(axis=1)
    grade = U * (4 * np.maximum(1, depth) + c + 12)
    rows = heaviest * grade + 8 * U * losses
    scale = 1.0
    if a["reduction"] == "mean":
        total = reference.cross_entropy_forward(**{**with_rows, "reduction": "sum"})[0]
        mean = expected[0]
        scale = n if a["weight"] is None or mean == 0 else max(abs(float(total / mean)), TINY)
        ignored = a["target"].ndim == 1 and a["weight"] is None
        if ignored:
            scale = max(int((a["target"] != a["ignore_index"]).sum()), 1)
    whole = (rows.sum() + (n + 8) * U * losses.sum()) / scale
    loss = rows if a["reduction"] == "none" else whole
    if expected[1] is None:
        return loss, None
    return loss, grade[:, None] * heaviest / scale + 8 * U * np.abs(expected[1]) + TINY


def _focal_loss(a: Arguments, expected: Results) -> tuple[Any, ...]:
    """The error of log p, times the slope of the loss; that of the softmax, times the row's slope.

    Both slopes are at most w (gamma + 1): p log p and 1 - p are between -1 and 1.
    """
    x = a["x"]
    n, c = x.shape
    losses = np.abs(
        reference.focal_loss_forward(**{**a, "reduction": "none", "with_grad": False})[0]
    )
    heaviest = 1.0 if a["weight"] is None else a["weight"].max(initial=0.0)
    steepness = heaviest * (a["gamma"] + 1) ** 2
    depth = x.max(axis=1) - x.min(axis=1)
    rows = steepness * U * (4 * np.maximum(1, depth) + c + 12) + 8 * U * losses
    scale = max(int((a["target"] != a["ignore_index"]).sum()), 1) if a["reduction"] == "mean" else 1
    loss = rows if a["reduction"] == "none" else (rows + 2 * U * losses).sum() / scale
    if expected[1] is None:
        return loss, None
    return loss, rows[:, None] / scale + 8 * U * np.abs(expected[1]) + TINY


def _pointwise_sizes(a: Arguments) -> tuple[Any, Any, Any]:
    """What the roundings of the loss, of dx and of dtarget are relative to, element by element."""
    x, t, loss, parameter = a["x"], np.abs(a["target"]), a["loss"], a["parameter"]
    size = np.abs(x)
    if loss == "hinge":
        terms = abs(parameter) + t * size
        # Where the rounding of margin - t x may change its sign, a slope may be there or not.
        near = np.abs(parameter - a["target"] * x) <= 4 * U * terms
        return terms, np.where(near, t / U, t), np.where(near, size / U, size)
    if loss == "bce":
        log_x, log_rest = (np.abs(np.maximum(np.log(v), -100.0)) for v in (x, 1 - x))
        slope = np.abs(x - a["target"]) / np.maximum(np.abs(x * (1 - x)), 1e-12)
        return np.abs(t - 1) * log_rest + t * log_x, slope, log_rest + log_x
    if loss == "bce_with_logits":
        heavy = 1.0 if a["pos_weight"] is None else np.abs(a["pos_weight"])
        softplus = np.log1p(np.exp(-size)) + np.maximum(-x, 0)
        terms = (1 + t) * size + softplus * (1 + (1 + heavy) * t)
        return terms, (1 + t) * 1.0 + heavy * t, size + (1 + heavy) * softplus
    if loss in ("kl_div", "kl_div_log"):
        log_t = t if loss == "kl_div_log" else np.abs(np.log(np.where(t == 0, 1, t)))
        p = np.exp(a["target"]) if loss == "kl_div_log" else t
        slope = log_t + size + 1
        return p * (log_t + size), p, slope * p if loss == "kl_div_log" else slope
    d = np.abs(x - a["target"])
    if loss == "huber":
        return np.minimum(d, parameter) * d, np.minimum(d, parameter), np.minimum(d, parameter)
    if loss == "smooth_l1" and parameter > 0:
        share = np.minimum(d / parameter, 1)
        return d * share, share, share
    return (d * d, d, d) if loss == "mse" else (d, np.sign(d), np.sign(d))


def _pointwise_loss(a: Arguments, expected: Results) -> tuple[Any, ...]:
    """16 U times the terms of each loss; a sum adds up to 64 of them in float32."""
    sizes = [np.asarray(size) for size in _pointwise_sizes(a)]
    scale = max(a["x"].size, 1) if a["reduction"] == "mean" else 1
    loss = 16 * U * sizes[0] + TINY
    if a["reduction"] != "none":
        loss = (loss.sum() + 80 * U * sizes[0].sum()) / scale
    slopes = [16 * U * size / scale + TINY for size in sizes[1:]]
    return loss, *(b if e is not None else None for b, e in zip(slopes, expected[1:], strict=True))


def _by_channel(values: np.ndarray, ndim: int) -> np.ndarray:
    return values.reshape(1, -1, *[1] * (ndim - 2))


def _batch_norm(a: Arguments, expected: Results) -> tuple[Any, ...]:
    """Two passes: the error of the mean enters y once and the variance squared."""
    x, ndim = a["x"], a["x"].ndim
    axes = tuple(i for i in range(ndim) if i != 1)
    count = x.size // x.shape[1]
    grade = (count + 8) * U if a["training"] else 4 * U
    mean, invstd = expected[1], expected[2]
    mean_error = grade * np.abs(x).mean(axis=axes) if a["training"] else np.zeros_like(mean)
    spread = _by_channel(mean_error + 4 * U * np.abs(mean), ndim)
    s = _by_channel(invstd, ndim)
    xhat = np.abs(x - _by_channel(mean, ndim)) * s
    noise = spread * s + (grade + 8 * U) * xhat + (spread * s) ** 2 * xhat
    weight = 1.0 if a["weight"] is None else np.abs(_by_channel(a["weight"], ndim))
    bias = 0.0 if a["bias"] is None else 2 * U * np.abs(_by_channel(a["bias"], ndim))
    y = weight * noise + bias
    relative = grade + 4 * U + (mean_error * invstd) ** 2
    bounds = [y + TINY, mean_error + 2 * U * np.abs(mean), relative * invstd]
    variance = 1 / invstd**2
    if a["running_mean"] is not None:
        bounds.append(4 * U * (np.abs(a["running_mean"]) + np.abs(mean)) + mean_error)
        bounds.append(4 * U * np.abs(a["running_var"]) + 4 * relative * variance + TINY)
    return tuple(bounds)


def _batch_norm_backward(a: Arguments, expected: Results) -> tuple[Any, ...]:
    x, ndim = a["x"], a["x"].ndim
    axes = tuple(i for i in range(ndim) if i != 1)
    count = x.size // x.shape[1]
    mean, invstd = (_by_channel(np.abs(a[name]), ndim) for name in ("mean", "invstd"))
    xhat = (np.abs(x) + mean) * invstd
    dy = np.abs(a["dy"] if a["y"] is None else np.where(a["y"] <= 0, 0, a["dy"]))
    sum_dy, sum_dy_xhat = dy.sum(axis=axes), (dy * xhat).sum(axis=axes)
    total = dy
    if a["training"]:
        spread = _by_channel(sum_dy, ndim) + xhat * _by_channel(sum_dy_xhat, ndim)
        total = dy + spread / count
    weight = 1.0 if a["weight"] is None else np.abs(_by_channel(a["weight"], ndim))
    grade = (count + 16) * U
    bounds: Results = (grade * weight * invstd * total + TINY, grade * sum_dy_xhat, grade * sum_dy)
    return tuple(b if e is not None else None for b, e in zip(bounds, expected, strict=True))


def _hard_sigmoid(a: Arguments, expected: Results) -> tuple[Any, ...]:
    return (4 * U * (np.abs(a["slope"] * a["x"]) + abs(a["shift"])) + TINY,)


def _hard_sigmoid_backward(a: Arguments, expected: Results) -> tuple[Any, ...]:
    """Where rounding may decide on which side of a kink x lies, either slope is right."""
    line = a["slope"] * a["x"] + a["shift"]
    near = np.minimum(np.abs(line), np.abs(line - 1)) <= _hard_sigmoid(a, expected)[0]
    slope = a["slope"] * np.abs(a["dy"])
    return (np.where(near, slope, 4 * U * slope) + TINY,)


def _affine(a: Arguments, expected: Results) -> tuple[Any, ...]:
    """A sample's place is off by a few roundings; values change by their largest difference."""
    images, matrices = a["images"], np.abs(a["matrices"])
    if images.size == 0:
        return (0.0,)
    reach = np.array([*images.shape[:1:-1], 1.0])
    place = (matrices @ reach).max(axis=1) + 2 * max(images.shape[2:])
    if a["displacements"] is not None:
        place = place + np.abs(a["displacements"]).max(axis=(1, 2, 3))
    largest = np.maximum(np.abs(images).max(axis=(1, 2, 3)), abs(a["fill"]))
    return ((16 * U * (place + 1) * largest * 4)[:, None, None, None],)


def _uniform(a: Arguments, expected: Results) -> tuple[Any, ...]:
    return (4 * U * (abs(a["low"]) + abs(a["high"])),)


def _normal(a: Arguments, expected: Results) -> tuple[Any, ...]:
    """A radius is at most 6.7; near a multiple of pi / 2 the error is that of the angle."""
    return (U * (2 * abs(a["mean"]) + 60 * a["std"]),)


def _conv2d_backward(a: Arguments, expected: Results) -> tuple[Any, ...]:
    """Those of its two passes."""
    geometry = {name: a[name] for name in ("stride", "padding", "dilation", "groups", "variant")}
    data = {"dy": a["dy"], "weight": a["weight"], "input_size": a["x"].shape[2:], **geometry}
    filters = {"dy": a["dy"], "x": a["x"], "kernel_size": a["weight"].shape[2:], **geometry}
    filters["with_bias"] = a["with_bias"]
    return (
        *RULES["conv2d_backward_data"](data, expected[:1]),
        *RULES["conv2d_backward_weight"](filters, expected[1:]),
    )


RULES: dict[str, Rule] = {
    "gemm": _linear("gemm", lambda a: a["a"].shape[0 if a["trans_a"] else 1] + 2),
    "linear_forward": _linear("linear_forward", lambda a: a["x"].shape[1] + 1),
    "linear_backward_data": _linear("linear_backward_data", lambda a: a["weight"].shape[0]),
    "linear_backward_weight": _linear("linear_backward_weight", lambda a: len(a["dy"])),
    "linear_backward": _linear("linear_backward", lambda a: max(a["dy"].shape)),
    "conv2d_forward": _winograd(
        "conv2d_forward",
        _linear("conv2d_forward", lambda a: a["weight"].shape[1] * _taps(a) + 1),
    ),
    "conv2d_backward_data": _winograd(
        "conv2d_backward_data",
        _linear("conv2d_backward_data", lambda a: a["weight"].shape[0] * _taps(a)),
    ),
    "conv2d_backward_weight": _winograd(
        "conv2d_backward_weight", _linear("conv2d_backward_weight", _pixels)
    ),
    "conv2d_backward": _conv2d_backward,
    "conv2d_backward_bias": _linear("conv2d_backward_bias", _pixels),
    "conv_transpose2d_forward": _winograd(
        "conv_transpose2d_forward",
        _linear("conv_transpose2d_forward", lambda a: a["weight"].shape[0] * _taps(a) + 1),
    ),
    "conv_transpose2d_backward_data": _winograd(
        "conv_transpose2d_backward_data",
        _linear("conv_transpose2d_backward_data", lambda a: a["weight"].shape[1] * _taps(a)),
    ),
    "conv_transpose2d_backward_weight": _winograd(
        "conv_transpose2d_backward_weight",
        _linear("conv_transpose2d_backward_weight", lambda a: max(_pixels(a), a["x"].size)),
    ),
    "max_pool2d_forward": _exact,
    "max_pool2d_backward": _linear("max_pool2d_backward", _window),
    "min_pool2d_forward": _exact,
    "min_pool2d_backward": _linear("min_pool2d_backward", _window),
    "pool2d_indices": _exact,
    "avg_pool2d_forward": _linear("avg_pool2d_forward", _window, 10),
    "avg_pool2d_backward": _linear("avg_pool2d_backward", _window, 10),
    "adaptive_avg_pool2d_forward": _linear(
        "adaptive_avg_pool2d_forward", lambda a: math.prod(a["x"].shape[2:]), 10
    ),
    "adaptive_avg_pool2d_backward": _linear(
        "adaptive_avg_pool2d_backward", lambda a: math.prod(a["dy"].shape[2:]), 10
    ),
    "resample2d_forward": _linear("resample2d_forward", lambda a: 4),
    "resample2d_backward": _linear(
        "resample2d_backward", lambda a: 2 * (len(a["rows"][0]) + len(a["columns"][0]))
    ),
    "bed_of_nails_forward": _exact,
    "max_unpool2d_forward": _exact,
    "max_unpool2d_backward": _exact,
    "batch_norm_forward": _batch_norm,
    "batch_norm_backward": _batch_norm_backward,
    "softmax_forward": _softmax,
    "softmax_backward": _softmax_backward,
    "log_softmax_forward": _log_softmax,
    "log_softmax_backward": _log_softmax_backward,
    "cross_entropy_forward": _cross_entropy,
    "focal_loss_forward": _focal_loss,
    "pointwise_loss_forward": _pointwise_loss,
    "relu_forward": _exact,
    "relu_backward": _exact,
    "leaky_relu_forward": _relative(1),
    "leaky_relu_backward": _relative(1),
    "sigmoid_forward": _relative(4),
    "sigmoid_backward": _smooth_gradient,
    "tanh_forward": _relative(4),
    "tanh_backward": _smooth_gradient,
    "gelu_forward": lambda a, y: (8 * U * np.maximum(np.abs(a["x"]), 1),),
    "gelu_backward": _smooth_gradient,
    "silu_forward": lambda a, y: (8 * U * np.maximum(np.abs(a["x"]), 1),),
    "silu_backward": _smooth_gradient,
    "elu_forward": lambda a, y: (8 * U * np.abs(y[0]) + TINY,),
    "elu_backward": lambda a, dx: (8 * U * np.abs(dx[0]) + TINY,),
    "hard_sigmoid_forward": _hard_sigmoid,
    "hard_sigmoid_backward": _hard_sigmoid_backward,
    "softplus_forward": lambda a, y: ((8 + np.abs(a["beta"] * a["x"])) * U * np.abs(y[0]) + TINY,),
    "softplus_backward": lambda a, dx: ((8 + np.abs(a["beta"] * a["x"])) * U * np.abs(a["dy"]),),
    "add": _relative(1),
    "sub": _relative(1),
    "mul": _relative(1),
    "div": _relative(1),
    "sum": _reduction("sum"),
    "mean": _reduction("mean"),
    "max": _exact,
    "philox": _exact,
    "random_uniform": _uniform,
    "random_normal": _normal,
    "dropout": lambda a, y: (2 * U * np.abs(y[0]),),
    **STEPS,
    "reorder": _exact,
    "affine_sample": _affine,
    "pairwise_distances": lambda a, d: ((a["x"].shape[1] + 8) * 2.0**-50 * d[0],),
}
