"""The inputs of every row, the same bits in every worker.

Arrays come from ``numpy.random.RandomState``, whose stream is frozen across NumPy versions, so
peers with different interpreters see the same numbers. Activations are (N, C, H, W), weights (K,
C/groups, R, S).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
Parameters = dict[str, Any]


def pair(value: int | list[int]) -> tuple[int, int]:
    """An int or a list of two as (height, width)."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def conv_output_size(p: Parameters) -> tuple[int, int]:
    stride, padding = pair(p["stride"]), pair(p["padding"])
    return (
        (p["H"] + 2 * padding[0] - p["R"]) // stride[0] + 1,
        (p["W"] + 2 * padding[1] - p["S"]) // stride[1] + 1,
    )


def conv_transpose_output_size(p: Parameters) -> tuple[int, int]:
    stride, padding = pair(p["stride"]), pair(p["padding"])
    return (
        (p["H"] - 1) * stride[0] - 2 * padding[0] + p["R"],
        (p["W"] - 1) * stride[1] - 2 * padding[1] + p["S"],
    )


def pool_output_size(p: Parameters) -> tuple[int, int]:
    return conv_output_size({**p, "R": p["kernel_size"], "S": p["kernel_size"]})


def upsample_taps(length: int, factor: int, mode: str) -> tuple[Array, Any, Any]:
    """What each element of an axis made `factor` times as long reads: (below, above, part)."""
    places = np.arange(length * factor)
    if mode == "nearest":
        return places // factor, None, None
    middles = np.maximum((places + 0.5) / factor - 0.5, 0)
    below = middles.astype(np.int64)
    part = (middles - below).astype(np.float32)
    return below, np.minimum(below + 1, length - 1), part


def generator(name: str, seed: int) -> np.random.RandomState:
    """The random numbers of one row: a stream of its own, whatever else runs."""
    return np.random.RandomState((zlib.crc32(name.encode()) + seed) % 2**32)


def _normal(random: np.random.RandomState, *shape: int) -> Array:
    return random.standard_normal(shape).astype(np.float32)


def _gemm(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    m, n, k = p["M"], p["N"], p["K"]
    return {
        "a": _normal(random, *((k, m) if p["trans_a"] else (m, k))),
        "b": _normal(random, *((n, k) if p["trans_b"] else (k, n))),
    }


def _weighted(
    direction: str, random: np.random.RandomState, shapes: dict[str, tuple[int, ...]]
) -> Arrays:
    """The arrays that a direction of a layer with x, weight, bias and y reads."""
    names = {"F": ("x", "weight", "bias"), "D": ("dy", "weight"), "W": ("dy", "x")}[direction]
    return {name: _normal(random, *shapes[name]) for name in names if name in shapes}


def _linear(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    rows, in_features, out_features = p["N"], p["in_features"], p["out_features"]
    shapes: dict[str, tuple[int, ...]] = {
        "x": (rows, in_features),
        "weight": (out_features, in_features),
        "dy": (rows, out_features),
    }
    return _weighted(direction, random, shapes | ({"bias": (out_features,)} if p["bias"] else {}))


def _conv2d(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    shapes = {
        "x": (p["N"], p["C"], p["H"], p["W"]),
        "weight": (p["K"], p["C"] // p["groups"], p["R"], p["S"]),
        "dy": (p["N"], p["K"], *conv_output_size(p)),
    }
    return _weighted(direction, random, shapes | ({"bias": (p["K"],)} if p["bias"] else {}))


def _conv_transpose2d(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    shapes = {
        "x": (p["N"], p["C"], p["H"], p["W"]),
        "weight": (p["C"], p["K"], p["R"], p["S"]),
        "dy": (p["N"], p["K"], *conv_transpose_output_size(p)),
    }
    return _weighted(direction, random, shapes | ({"bias": (p["K"],)} if p["bias"] else {}))


def _max_pool2d(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    arrays = {"x": _normal(random, p["N"], p["C"], p["H"], p["W"])}
    if direction == "B":
        arrays["dy"] = _normal(random, p["N"], p["C"], *pool_output_size(p))
    return arrays


def _upsample(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    shape, factor = (p["N"], p["C"], p["H"], p["W"]), p["factor"]
    if direction == "F":
        return {"x": _normal(random, *shape)}
    return {"dy": _normal(random, *shape[:2], factor * shape[2], factor * shape[3])}


def _max_unpool2d(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    """Values, or a gradient, and for each window of the large map the flat place of its winner."""
    factor = p["factor"]
    thin = p["N"], p["C"], p["H"], p["W"]
    large = p["H"] * factor, p["W"] * factor
    down, right = random.randint(0, factor, (2, *thin), dtype=np.int64)
    rows = np.arange(p["H"])[:, None] * factor + down
    indices = rows * large[1] + np.arange(p["W"]) * factor + right
    if direction == "F":
        return {"x": _normal(random, *thin), "indices": indices}
    return {"dy": _normal(random, *thin[:2], *large), "indices": indices}


def _bed_of_nails(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    return {"x": _normal(random, p["N"], p["C"], p["H"], p["W"])}


def _affine(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    """Images, and maps that turn, scale and shift a little, as augmentation does."""
    identity = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    change = _normal(random, p["N"], 2, 3) * np.array([0.1, 0.1, 2], np.float32)
    images = _normal(random, p["N"], p["C"], p["H"], p["W"])
    return {"images": images, "matrices": identity + change}


def _reorder(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    """Forward from channels-last to C order, as flattening wants it, backward the other way."""
    return {"x": _normal(random, p["N"], p["C"], p["H"], p["W"])}


def _pairwise_distances(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    return {"x": _normal(random, p["N"], p["D"]), "y": _normal(random, p["N"], p["D"])}


def _batch_norm_relu(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    shape, channels = (p["N"], p["C"], p["H"], p["W"]), p["C"]
    arrays = {"x": _normal(random, *shape), "weight": _normal(random, channels)}
    if direction == "F":
        arrays["bias"] = _normal(random, channels)
        arrays["running_mean"] = np.zeros(channels, np.float32)
        arrays["running_var"] = np.ones(channels, np.float32)
        return arrays
    # y only decides which gradients ReLU lets through: its own random numbers spare the comparison
    # the elements whose sign depends on rounding.
    arrays["y"] = np.maximum(_normal(random, *shape), 0)
    arrays["dy"] = _normal(random, *shape)
    arrays["mean"] = arrays["x"].mean(axis=(0, 2, 3), dtype=np.float64).astype(np.float32)
    variance = arrays["x"].var(axis=(0, 2, 3), dtype=np.float64)
    arrays["invstd"] = (1 / np.sqrt(variance + 1e-5)).astype(np.float32)
    return arrays


def _activation(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    """Backward, ``x`` is the function's output for those whose gradient follows from it."""
    x = _normal(random, p["N"], p["C"], p["H"], p["W"])
    if direction == "F":
        return {"x": x}
    from_output = GRADIENT_FROM_OUTPUT.get(p["activation"])
    if from_output is not None:
        x = from_output(x)
    return {"x": x, "dy": _normal(random, *x.shape)}


def _cross_entropy(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    target = random.randint(0, p["C"], (p["N"],), dtype=np.int64)
    return {"x": _normal(random, p["N"], p["C"]), "target": target}


def _pointwise_loss(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    """A target of probabilities, for hinge of signs; x as the loss wants it."""
    shape, loss = (p["N"], p["C"]), p["loss"]
    target = random.uniform(0, 1, shape).astype(np.float32)
    x = _normal(random, *shape)
    if loss == "hinge":
        target = np.where(target < 0.5, -1, 1).astype(np.float32)
    elif loss == "bce":  # away from 0 and 1, where its gradient has no bound
        x = random.uniform(0.05, 0.95, shape).astype(np.float32)
    elif loss == "kl_div":
        x = -np.abs(x)
    return {"x": x, "target": target}


def _optimizer(p: Parameters, direction: str, random: np.random.RandomState) -> Arrays:
    return {"param": _normal(random, p["count"]), "grad": _normal(random, p["count"])}


# Activations whose backward pass reads their output.
GRADIENT_FROM_OUTPUT: dict[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
}

BUILDERS = {
    "gemm": _gemm,
    "linear": _linear,
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "max_pool2d": _max_pool2d,
    "max_unpool2d": _max_unpool2d,
    "bed_of_nails": _bed_of_nails,
    "upsample": _upsample,
    "affine": _affine,
    "reorder": _reorder,
    "pairwise_distances": _pairwise_distances,
    "batch_norm_relu": _batch_norm_relu,
    "activation": _activation,
    "cross_entropy": _cross_entropy,
    "pointwise_loss": _pointwise_loss,
    "focal_loss": _cross_entropy,
    "optimizer": _optimizer,
}


def build_inputs(name: str, op: str, direction: str, p: Parameters, seed: int) -> Arrays:
    """The arrays one direction of an op reads, by name."""
    return BUILDERS[op](p, direction, generator(f"{name}:{direction}", seed))
