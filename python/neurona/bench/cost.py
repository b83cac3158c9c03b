"""Work of a row from its shapes: floating-point operations and compulsory memory traffic.

A multiply-add counts as 2. Convolutions count the direct algorithm, so Winograd may show more than
the machine's peak. Bytes count each float32 input once and each output once, except where the
formula of the op needs a second pass over data larger than a cache (batch norm: x three times
forward, five times backward with ReLU).
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from .peers.inputs import conv_output_size, conv_transpose_output_size, pool_output_size
from .peers.models import macs
from .rows import Row

FLOAT = 4
OFFSET = 1
INDEX = 8
# Arrays that a step reads or writes: the parameter twice, its gradient, each of its states twice.
OPTIMIZER_PASSES = {"sgd": 5, "adagrad": 5, "rmsprop": 5}
TWO_STATES = 7


class Work(NamedTuple):
    """Operations and bytes; 0 where the row has no meaningful count."""

    flops: int
    bytes: int


def _gemm(p: dict[str, Any]) -> Work:
    m, n, k = p["M"], p["N"], p["K"]
    return Work(2 * m * n * k, FLOAT * (m * k + k * n + m * n))


def _linear(p: dict[str, Any]) -> Work:
    rows, in_features, out_features = p["N"], p["in_features"], p["out_features"]
    # x, weight and y in any direction: two are read, the third is written
    elements = rows * in_features + in_features * out_features + rows * out_features
    return Work(2 * rows * in_features * out_features, FLOAT * elements)


def _conv(p: dict[str, Any], output: tuple[int, int], *, transposed: bool) -> Work:
    groups = p.get("groups", 1)
    x = p["N"] * p["C"] * p["H"] * p["W"]
    y = p["N"] * p["K"] * prod(output)
    weight = p["K"] * p["C"] // groups * p["R"] * p["S"]
    pixels = p["H"] * p["W"] if transposed else prod(output)
    return Work(2 * p["N"] * pixels * weight, FLOAT * (x + y + weight))


def _max_pool(p: dict[str, Any], direction: str) -> Work:
    x = p["N"] * p["C"] * p["H"] * p["W"]
    y = p["N"] * p["C"] * prod(pool_output_size(p))
    return Work(0, FLOAT * (x + y) + OFFSET * y)


def _upsample(p: dict[str, Any]) -> Work:
    x = p["N"] * p["C"] * p["H"] * p["W"]
    return Work(0, FLOAT * x * (1 + p["factor"] ** 2))


def _unpool(p: dict[str, Any], op: str) -> Work:
    """A dense map beside a thin one; max unpooling reads an int64 place for each thin element."""
    thin = p["N"] * p["C"] * p["H"] * p["W"]
    index = INDEX if op == "max_unpool2d" else 0
    return Work(0, FLOAT * thin * (1 + p["factor"] ** 2) + index * thin)


def _batch_norm_relu(p: dict[str, Any], direction: str) -> Work:
    x = p["N"] * p["C"] * p["H"] * p["W"]
    return Work(0, FLOAT * x * (3 if direction == "F" else 5))


def _network(p: dict[str, Any], op: str) -> Work:
    counts = macs(p["model"])
    per_sample = sum(counts) if op == "infer" else 3 * sum(counts) - counts[0]
    return Work(2 * p["batch"] * per_sample, 0)


def work(row: Row) -> Work:
    """Operations and bytes of one call of the row."""
    p: dict[str, Any] = row.parameters
    if row.op == "gemm":
        return _gemm(p)
    if row.op == "linear":
        return _linear(p)
    if row.op == "conv2d":
        return _conv(p, conv_output_size(p), transposed=False)
    if row.op == "conv_transpose2d":
        return _conv(p, conv_transpose_output_size(p), transposed=True)
    if row.op == "max_pool2d":
        return _max_pool(p, row.direction)
    if row.op == "upsample":
        return _upsample(p)
    if row.op in ("max_unpool2d", "bed_of_nails"):
        return _unpool(p, row.op)
    if row.op in ("affine", "reorder"):
        return Work(0, 2 * FLOAT * p["N"] * p["C"] * p["H"] * p["W"])
    if row.op == "pairwise_distances":
        return Work(3 * p["N"] ** 2 * p["D"], FLOAT * 2 * p["N"] * p["D"] + 2 * FLOAT * p["N"] ** 2)
    if row.op == "activation":
        passes = 2 if row.direction == "F" else 3
        return Work(0, passes * FLOAT * p["N"] * p["C"] * p["H"] * p["W"])
    if row.op == "batch_norm_relu":
        return _batch_norm_relu(p, row.direction)
    if row.op == "cross_entropy":
        return Work(0, 2 * FLOAT * p["N"] * p["C"])
    if row.op == "pointwise_loss":
        return Work(0, 3 * FLOAT * p["N"] * p["C"])
    if row.op == "focal_loss":
        return Work(0, 2 * FLOAT * p["N"] * p["C"])
    if row.op == "optimizer":
        return Work(0, OPTIMIZER_PASSES.get(p["optimizer"], TWO_STATES) * FLOAT * p["count"])
    if row.op in ("train_step", "infer"):
        return _network(p, row.op)
    raise ValueError(f"bench: op must be one of the known ops, got {row.op!r}")
