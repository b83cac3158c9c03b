"""neurona itself, in a process of its own like every other library.

Ops run through ``neurona.kernels``, networks through ``neurona.nn``. With the option
``backend="reference"`` networks run in float64 on the NumPy reference: the truth that training
steps are held against.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import neurona
from neurona import kernels
from neurona.backends import cpu

from .inputs import Array, Arrays, Parameters, build_inputs, upsample_taps
from .steps import network_task, optimizer_task
from .worker import Request, Task, Unsupported

NAME = "neurona"


def versions() -> dict[str, str]:
    return {"neurona": neurona.__version__, "numpy": np.__version__, "isa": cpu.isa()}


def extra(command: str, request: dict[str, Any]) -> dict[str, Any]:
    """``probe`` and ``fma_peak``: the machine's own peak, so that a row can be a share of it."""
    if command not in ("probe", "fma_peak"):
        raise ValueError(f"{NAME}: command must be a known one, got {command!r}")
    threads = request["threads"]
    sustained = command == "fma_peak"
    rates = {"fma_flops": cpu.measure_fma_peak(request["seconds"], threads, sustained)}
    if command == "probe":
        rates["bandwidth_bytes"] = cpu.measure_bandwidth(request["mebibytes"], threads)
    return rates


def _as_in_a_network(name: str, array: Array) -> Array:
    """A copy in memory as inside a network: of the arena, activations channels-last."""
    if array.dtype != np.float32:
        return array
    copy: Array = cpu.empty(array.shape, channels_last=array.ndim == 4 and name != "weight")
    copy[...] = array
    return copy


def _named(*names: str) -> Callable[[Any], dict[str, Array]]:
    """Gives names to the arrays of a result; None, as an absent bias gradient, is left out."""

    def outputs(result: Any) -> dict[str, Array]:
        values = result if isinstance(result, tuple) else (result,)
        return {k: v for k, v in zip(names, values, strict=False) if v is not None}

    return outputs


def _gemm(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    a, b, trans_a, trans_b = t["a"], t["b"], bool(p["trans_a"]), bool(p["trans_b"])
    gemm = kernels.gemm
    return Task(lambda: gemm(a, b, trans_a=trans_a, trans_b=trans_b), _named("y"))


def _linear(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    if direction == "F":
        x, weight, bias = t["x"], t["weight"], t.get("bias")
        forward = kernels.linear_forward
        return Task(lambda: forward(x, weight, bias), _named("y"))
    dy = t["dy"]
    if direction == "D":
        weight, backward_data = t["weight"], kernels.linear_backward_data
        return Task(lambda: backward_data(dy, weight), _named("dx"))
    x, with_bias = t["x"], bool(p["bias"])
    backward = kernels.linear_backward_weight
    return Task(lambda: backward(dy, x, with_bias=with_bias), _named("dw", "db"))


def _geometry(p: Parameters) -> dict[str, Any]:
    def int_or_pair(value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    return {name: int_or_pair(p[name]) for name in ("stride", "padding", "groups") if name in p}


def _conv2d(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    geometry: dict[str, Any] = {**_geometry(p), "variant": variant}
    names = {"F": "forward", "D": "backward_data", "W": "backward_weight"}
    plan = kernels.conv2d_plan(
        (p["N"], p["C"], p["H"], p["W"]),
        (p["K"], p["C"] // p["groups"], p["R"], p["S"]),
        direction=names[direction],
        **geometry,
    )
    if direction == "F":
        x, weight, bias = t["x"], t["weight"], t.get("bias")
        forward = kernels.conv2d_forward
        return Task(lambda: forward(x, weight, bias, **geometry), _named("y"), plan=plan)
    dy = t["dy"]
    if direction == "D":
        weight, size = t["weight"], (p["H"], p["W"])
        backward = kernels.conv2d_backward_data
        return Task(lambda: backward(dy, weight, size, **geometry), _named("dx"), plan=plan)
    x, size = t["x"], (p["R"], p["S"])
    geometry["with_bias"] = bool(p["bias"])
    backward = kernels.conv2d_backward_weight
    return Task(lambda: backward(dy, x, size, **geometry), _named("dw", "db"), plan=plan)


def _conv_transpose2d(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    geometry = _geometry(p)
    if direction == "F":
        x, weight, bias = t["x"], t["weight"], t.get("bias")
        forward = kernels.conv_transpose2d_forward
        return Task(lambda: forward(x, weight, bias, **geometry), _named("y"))
    dy = t["dy"]
    if direction == "D":
        weight, backward = t["weight"], kernels.conv_transpose2d_backward_data
        return Task(lambda: backward(dy, weight, **geometry), _named("dx"))
    x, size = t["x"], (p["R"], p["S"])
    geometry["with_bias"] = bool(p["bias"])
    backward = kernels.conv_transpose2d_backward_weight
    return Task(lambda: backward(dy, x, size, **geometry), _named("dw", "db"))


def _max_pool2d(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    x, size = t["x"], p["kernel_size"]
    geometry = _geometry(p)
    forward, backward = kernels.max_pool2d_forward, kernels.max_pool2d_backward
    if direction == "F":
        return Task(lambda: forward(x, size, **geometry), lambda result: {"y": result[0]})
    offsets, dy, input_size = forward(x, size, **geometry)[1], t["dy"], x.shape[2:]
    return Task(lambda: backward(dy, offsets, input_size, size, **geometry), _named("dx"))


def _max_unpool2d(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    # As pooling leaves them: in the memory order of the values.
    indices = t["indices"].transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)
    if direction == "F":
        x, size = t["x"], (p["H"] * p["factor"], p["W"] * p["factor"])
        forward = kernels.max_unpool2d_forward
        return Task(lambda: forward(x, indices, size), _named("y"))
    dy, backward = t["dy"], kernels.max_unpool2d_backward
    return Task(lambda: backward(dy, indices), _named("dx"))


def _bed_of_nails(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    x, factor, forward = t["x"], p["factor"], kernels.bed_of_nails_forward
    return Task(lambda: forward(x, factor), _named("y"))


def _upsample(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    rows, columns = (upsample_taps(p[axis], p["factor"], p["mode"]) for axis in "HW")
    if direction == "F":
        x, forward = t["x"], kernels.resample2d_forward
        return Task(lambda: forward(x, rows, columns), _named("y"))
    dy, size, backward = t["dy"], (p["H"], p["W"]), kernels.resample2d_backward
    return Task(lambda: backward(dy, rows, columns, size), _named("dx"))


def _affine(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    images, matrices, affine = t["images"], t["matrices"], kernels.affine_sample
    return Task(lambda: affine(images, matrices), _named("y"))


def _reorder(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    back, reorder = direction == "B", kernels.reorder
    x = np.ascontiguousarray(t["x"]) if back else t["x"]
    return Task(lambda: reorder(x, back), _named("y"))


def _pairwise_distances(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    x, y, distances = t["x"], t["y"], kernels.pairwise_distances
    return Task(lambda: distances(x, y), _named("d"))


def _batch_norm_relu(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    x, weight = t["x"], t["weight"]
    if direction == "F":
        bias, mean, var = t["bias"], t["running_mean"], t["running_var"]
        forward_kernel = kernels.batch_norm_forward

        def forward() -> Array:
            y: Array = forward_kernel(x, weight, bias, mean, var, training=True, relu=True)[0]
            return y

        return Task(forward, _named("y"))
    y, dy, mean, invstd = t["y"], t["dy"], t["mean"], t["invstd"]
    backward = kernels.batch_norm_backward
    return Task(
        lambda: backward(dy, x, weight, mean, invstd, training=True, y=y),
        _named("dx", "dw", "db"),
    )


def _activation(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    x, name = t["x"], p["activation"]
    # hard_sigmoid by its default is the course's (x + 1) / 2; PyTorch's is (x + 3) / 6
    options = {"slope": 1 / 6} if name == "hard_sigmoid" else {}
    if direction == "F":
        forward = getattr(kernels, f"{name}_forward")
        return Task(lambda: forward(x, **options), _named("y"))
    dy, backward = t["dy"], getattr(kernels, f"{name}_backward")
    return Task(lambda: backward(dy, x, **options), _named("dx"))


def _cross_entropy(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    x, target, cross_entropy = t["x"], t["target"], kernels.cross_entropy_forward
    return Task(lambda: cross_entropy(x, target), _named("loss", "dx"))


def _pointwise_loss(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    x, target, loss, forward = t["x"], t["target"], p["loss"], kernels.pointwise_loss_forward
    return Task(lambda: forward(x, target, loss), _named("loss", "dx"))


def _focal_loss(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    x, target, gamma, forward = t["x"], t["target"], p["gamma"], kernels.focal_loss_forward
    return Task(lambda: forward(x, target, gamma=gamma), _named("loss", "dx"))


def _optimizer(p: Parameters, direction: str, t: Arrays, variant: str | None) -> Task:
    parameter = neurona.tensor(t["param"], requires_grad=True)
    parameter.grad = neurona.tensor(t["grad"])
    return optimizer_task(neurona, p["optimizer"], parameter)


OPS: dict[str, Callable[[Parameters, str, Arrays, str | None], Task]] = {
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
    "focal_loss": _focal_loss,
    "optimizer": _optimizer,
}


def prepare(request: Request) -> Task:
    """The row through the C++ kernels, or for networks through ``neurona.nn`` and autograd."""
    if request.op in ("train_step", "infer"):
        if request.options.get("backend") == "reference":
            return network_task(neurona, request, adapt=lambda value: value.to(neurona.float64))
        record = neurona.record if request.parameters.get("recorded") else None
        return network_task(neurona, request, record=record)
    if request.op not in OPS:
        raise Unsupported(f"no counterpart of {request.op}")
    p = request.parameters
    arrays = build_inputs(request.name, request.op, request.direction, p, request.seed)
    arrays = {name: _as_in_a_network(name, array) for name, array in arrays.items()}
    return OPS[request.op](p, request.direction, arrays, request.options.get("variant"))
