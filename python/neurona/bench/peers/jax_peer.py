"""JAX on the CPU as a peer: every row is one function, compiled by XLA in its first call.

Gradients are JAX's own transposes of the forward functions, for the one argument that the row asks
for. A call counts until its results are there.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from .inputs import Arrays, Parameters, build_inputs, conv_transpose_output_size
from .jax_network import network_task
from .jax_primitives import Tensors, convolve, cross_entropy, jax, max_pool2d, to_jax, to_numpy
from .worker import Request, Task, Unsupported

NAME = "jax"


def versions() -> dict[str, str]:
    return {"jax": jax.__version__, "jaxlib": importlib.import_module("jaxlib").__version__}


def extra(command: str, request: dict[str, Any]) -> dict[str, Any]:
    raise ValueError(f"{NAME}: command must be a known one, got {command!r}")


def _transposed(linear: Callable[[Any], Any], shape: tuple[int, ...], dy: Any) -> Any:
    """The gradient of a linear function whose argument has ``shape``."""
    return jax.linear_transpose(linear, jax.ShapeDtypeStruct(shape, np.float32))(dy)[0]


def _with_bias(y: Any, t: Tensors) -> Any:
    return y + t["bias"] if "bias" in t else y


def _bias_gradient(p: Parameters, dy: Any) -> Tensors:
    return {"db": dy.sum(axis=tuple(range(dy.ndim - 1)))} if p["bias"] else {}


def _gemm(p: Parameters, direction: str, t: Tensors) -> Tensors:
    a = t["a"].T if p["trans_a"] else t["a"]
    b = t["b"].T if p["trans_b"] else t["b"]
    return {"y": a @ b}


def _linear(p: Parameters, direction: str, t: Tensors) -> Tensors:
    if direction == "F":
        return {"y": _with_bias(t["x"] @ t["weight"].T, t)}
    if direction == "D":
        return {"dx": t["dy"] @ t["weight"]}
    return {"dw": t["dy"].T @ t["x"], **_bias_gradient(p, t["dy"])}


def _conv2d(p: Parameters, direction: str, t: Tensors) -> Tensors:
    def convolution(x: Any, weight: Any) -> Any:
        return convolve(x, weight, p["stride"], p["padding"], p["groups"])

    if direction == "F":
        return {"y": _with_bias(convolution(t["x"], t["weight"]), t)}
    dy = t["dy"]
    if direction == "D":
        image = (p["N"], p["H"], p["W"], p["C"])
        return {"dx": _transposed(lambda x: convolution(x, t["weight"]), image, dy)}
    filters = (p["R"], p["S"], p["C"] // p["groups"], p["K"])
    dw = _transposed(lambda weight: convolution(t["x"], weight), filters, dy)
    return {"dw": dw, **_bias_gradient(p, dy)}


def _conv_transpose2d(p: Parameters, direction: str, t: Tensors) -> Tensors:
    """The transpose of the convolution from its output (K channels) to its input (C channels)."""

    def convolution(y: Any, weight: Any) -> Any:
        return convolve(y, weight, p["stride"], p["padding"])

    if direction == "F":
        image = (p["N"], *conv_transpose_output_size(p), p["K"])
        y = _transposed(lambda y: convolution(y, t["weight"]), image, t["x"])
        return {"y": _with_bias(y, t)}
    dy = t["dy"]
    if direction == "D":
        return {"dx": convolution(dy, t["weight"])}
    filters = (p["R"], p["S"], p["K"], p["C"])
    dw = _transposed(lambda weight: convolution(dy, weight), filters, t["x"])
    return {"dw": dw, **_bias_gradient(p, dy)}


def _max_pool2d(p: Parameters, direction: str, t: Tensors) -> Tensors:
    return {"y": max_pool2d(t["x"], p["kernel_size"], p["stride"], p["padding"])}


def _activation(p: Parameters, direction: str, t: Tensors) -> Tensors:
    name = p["activation"]
    options = {"approximate": False} if name == "gelu" else {}
    return {"y": getattr(jax.nn, name)(t["x"], **options)}


def _cross_entropy(p: Parameters, direction: str, t: Tensors) -> Tensors:
    loss, dx = jax.value_and_grad(cross_entropy)(t["x"], t["target"])
    return {"loss": loss, "dx": dx}


OPS: dict[str, Callable[[Parameters, str, Tensors], Tensors]] = {
    "gemm": _gemm,
    "linear": _linear,
    "conv2d": _conv2d,
    "conv_transpose2d": _conv_transpose2d,
    "max_pool2d": _max_pool2d,
    "activation": _activation,
    "cross_entropy": _cross_entropy,
}
FORWARD_ONLY = ("max_pool2d", "activation")


def _outputs(results: Tensors) -> Arrays:
    return {name: to_numpy(name, value) for name, value in results.items()}


def prepare(request: Request) -> Task:
    """The row as a compiled function of its inputs."""
    p, direction = request.parameters, request.direction
    if request.op in ("train_step", "infer"):
        return network_task(request)
    if request.op not in OPS or (request.op in FORWARD_ONLY and direction != "F"):
        raise Unsupported(f"no counterpart of {request.op} {direction}")
    arrays = build_inputs(request.name, request.op, direction, p, request.seed)
    tensors = {name: to_jax(name, array) for name, array in arrays.items()}
    compiled = jax.jit(functools.partial(OPS[request.op], p, direction))
    return Task(lambda: jax.block_until_ready(compiled(tensors)), _outputs)
