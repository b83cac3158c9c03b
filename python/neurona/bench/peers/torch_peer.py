"""PyTorch as a peer.

Three variants: ``torch`` is what a script gets by default; ``torch_tuned`` has channels-last memory
and fused optimizers, and runs only where that changes something; ``torch_compiled`` is the tuned
one with its networks through ``torch.compile``. Kernels are called below autograd, which spares
torch that overhead.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from .inputs import Parameters, build_inputs, pair
from .steps import network_task, optimizer_task
from .worker import Request, Task, Unsupported

NAME = "torch"
FUSED = ("sgd", "adam", "adagrad")  # optimizers with one kernel for the whole step
Tensors = dict[str, Any]
# Untyped, because type checkers run where torch need not be installed.
torch: Any = importlib.import_module("torch")
aten = torch.ops.aten
torch.set_num_threads(int(os.environ["NEURONA_BENCH_THREADS"]))


def versions() -> dict[str, str]:
    config = torch.__config__.show()
    libraries = [
        line.strip(" -")
        for line in config.splitlines()
        if "Math Kernel" in line or "MKL-DNN" in line
    ]
    capability = torch.backends.cpu.get_cpu_capability()
    return {"torch": torch.__version__, "libraries": "; ".join([*libraries, capability])}


def extra(command: str, request: dict[str, Any]) -> dict[str, Any]:
    raise ValueError(f"{NAME}: command must be a known one, got {command!r}")


def _named(*names: str) -> Callable[[Any], dict[str, np.ndarray[Any, Any]]]:
    """Gives names to the tensors of a result; None, as an absent bias gradient, is left out."""

    def outputs(result: Any) -> dict[str, np.ndarray[Any, Any]]:
        values = result if isinstance(result, (tuple, list)) else (result,)
        pairs = zip(names, values, strict=False)
        return {name: value.numpy() for name, value in pairs if value is not None}

    return outputs


def _gemm(p: Parameters, direction: str, t: Tensors, tuned: bool) -> Task:
    a = t["a"].t() if p["trans_a"] else t["a"]
    b = t["b"].t() if p["trans_b"] else t["b"]
    return Task(lambda: torch.mm(a, b), _named("y"))


def _linear(p: Parameters, direction: str, t: Tensors, tuned: bool) -> Task:
    if direction == "F":
        x, weight, bias = t["x"], t["weight"], t.get("bias")
        return Task(lambda: torch.nn.functional.linear(x, weight, bias), _named("y"))
    dy = t["dy"]
    if direction == "D":
        weight = t["weight"]
        return Task(lambda: torch.mm(dy, weight), _named("dx"))
    x, dy_t = t["x"], dy.t()
    return Task(lambda: (torch.mm(dy_t, x), dy.sum(0)), _named("dw", "db"))


def _convolution(
    p: Parameters, direction: str, t: Tensors, tuned: bool, *, transposed: bool = False
) -> Task:
    stride, padding, groups = pair(p["stride"]), pair(p["padding"]), p.get("groups", 1)
    if direction == "F":
        x, weight, bias = t["x"], t["weight"], t.get("bias")
        if transposed:
            forward = torch.conv_transpose2d
            return Task(lambda: forward(x, weight, bias, stride, padding), _named("y"))
        dilation = (1, 1)
        call = torch.conv2d
        return Task(lambda: call(x, weight, bias, stride, padding, dilation, groups), _named("y"))
    # The gradient of one argument reads only the shape of that argument: an empty stand-in will do.
    shape = (p["C"], p["K"]) if transposed else (p["K"], p["C"] // groups)
    layout = torch.channels_last if tuned else torch.contiguous_format
    x_like = torch.empty((p["N"], p["C"], p["H"], p["W"]), memory_format=layout)
    weight_like = torch.empty((*shape, p["R"], p["S"]), memory_format=layout)
    x, weight, dy = t.get("x", x_like), t.get("weight", weight_like), t["dy"]
    mask = [True, False, False] if direction == "D" else [False, True, bool(p["bias"])]
    bias_sizes = [p["K"]] if p["bias"] else None

    def backward() -> Any:
        return aten.convolution_backward(
            *(dy, x, weight, bias_sizes, stride, padding, (1, 1), transposed, (0, 0), groups, mask)
        )

    names = _named("dx", "dw", "db")
    wanted = dict(zip(("dx", "dw", "db"), mask, strict=True))
    return Task(backward, lambda grads: {k: v for k, v in names(grads).items() if wanted[k]})


def _max_pool2d(p: Parameters, direction: str, t: Tensors, tuned: bool) -> Task:
    x, size, stride, padding = t["x"], pair(p["kernel_size"]), pair(p["stride"]), pair(p["padding"])
    if direction == "F":
        pool = aten.max_pool2d_with_indices
        return Task(lambda: pool(x, size, stride, padding), _named("y"))
    indices = aten.max_pool2d_with_indices(x, size, stride, padding)[1]
    backward, dy = aten.max_pool2d_with_indices_backward, t["dy"]
    return Task(
        lambda: backward(dy, x, size, stride, padding, (1, 1), False, indices), _named("dx")
    )


def _max_unpool2d(p: Parameters, direction: str, t: Tensors, tuned: bool) -> Task:
    indices = t["indices"]
    if direction == "F":
        x, size = t["x"], (p["H"] * p["factor"], p["W"] * p["factor"])
        return Task(lambda: aten.max_unpool2d(x, indices, size), _named("y"))
    # What autograd runs for it.
    dy, places = t["dy"].flatten(2), indices.flatten(2)
    return Task(lambda: dy.gather(2, places).view(indices.shape), _named("dx"))


def _bed_of_nails(p: Parameters, direction: str, t: Tensors, tuned: bool) -> Task:
    x, factor = t["x"], p["factor"]
    size = (*x.shape[:2], p["H"] * factor, p["W"] * factor)
    layout = torch.channels_last if tuned else torch.contiguous_format

    def forward() -> Any:
        y = torch.empty(size, memory_format=layout).zero_()
        y[:, :, ::factor, ::factor] = x
        return y

    return Task(forward, _named("y"))


def _upsample(p: Parameters, direction: str, t: Tensors, tuned: bool) -> Task:
    small = (p["H"], p["W"])
    large = tuple(p["factor"] * extent for extent in small)
    corners = () if p["mode"] == "nearest" else (False,)
    if direction == "F":
        x, forward = t["x"], getattr(aten, f"upsample_{p['mode']}2d")
        return Task(lambda: forward(x, large, *corners), _named("y"))
    dy, backward = t["dy"], getattr(aten, f"upsample_{p['mode']}2d_backward")
    shape = (p["N"], p["C"], *small)
    return Task(lambda: backward(dy, large, shape, *corners), _named("dx"))


def _reorder(p: Parameters, direction: str, t: Tensors, tuned: bool) -> Task:
    layouts = torch.channels_last, torch.contiguous_format
    before, after = layouts if direction == "F" else layouts[::-1]
    x = t["x"].to(memory_format=before)
    return Task(lambda: x.contiguous(memory_format=after), _named("y"))


def _batch_norm_relu(p: Parameters, direction: str, t: Tensors, tuned: bool) -> Task:
    x, weight = t["x"], t["weight"]
    if direction == "F":
        bias, mean, var = t["bias"], t["running_mean"], t["running_var"]
        norm = torch.native_batch_norm
        return Task(
            lambda: torch.relu_(norm(x, weight, bias, mean, var, True, 0.1, 1e-5)[0]), _named("y")
        )
    y, dy, mean, invstd = t["y"], t["dy"], t["mean"], t["invstd"]

    def backward() -> Any:
        dz = aten.threshold_backward(dy, y, 0)
        return aten.native_batch_norm_backward(
            *(dz, x, weight, None, None, mean, invstd, True, 1e-5, [True, True, True])
        )

    return Task(backward, _named("dx", "dw", "db"))


def _activation(p: Parameters, direction: str, t: Tensors, tuned: bool) -> Task:
    x, name = t["x"], p["activation"].replace("hard_", "hard")
    if direction == "F":
        forward = getattr(aten, name)
        return Task(lambda: forward(x), _named("y"))
    # threshold_backward is the gradient of ReLU
    backward = getattr(aten, "threshold_backward" if name == "relu" else f"{name}_backward")
    dy = t["dy"]
    if name == "elu":
        return Task(lambda: backward(dy, 1, 1, 1, False, x), _named("dx"))
    options = ACTIVATION_OPTIONS.get(name, ())
    return Task(lambda: backward(dy, x, *options), _named("dx"))


def _cross_entropy(p: Parameters, direction: str, t: Tensors, tuned: bool) -> Task:
    x, target, one = t["x"], t["target"], torch.ones(())

    def loss_and_gradient() -> Any:
        log_probabilities = aten._log_softmax(x, 1, False)
        loss, weight = aten.nll_loss_forward(log_probabilities, target, None, 1, -100)
        grad = aten.nll_loss_backward(one, log_probabilities, target, None, 1, -100, weight)
        return loss, aten._log_softmax_backward_data(grad, log_probabilities, 1, torch.float32)

    return Task(loss_and_gradient, _named("loss", "dx"))


def _pointwise_loss(p: Parameters, direction: str, t: Tensors, tuned: bool) -> Task:
    x, target, one = t["x"], t["target"], torch.ones(())
    loss, mean, scale = p["loss"], 1, 1 / x.numel()
    # What autograd runs where ATen has no gradient under a name.
    gradients = {
        "l1": lambda: torch.sign(x - target).mul_(scale),
        "bce_with_logits": lambda: (torch.sigmoid(x) - target).mul_(scale),
        "kl_div": lambda: target * -scale,
    }
    if loss == "hinge":
        raise Unsupported("max(0, 1 - target x) is not among its losses")
    name = {
        "bce": "binary_cross_entropy",
        "bce_with_logits": "binary_cross_entropy_with_logits",
        "kl_div": "kl_div",
    }.get(loss, f"{loss}_loss")
    weights = {"bce": (None,), "bce_with_logits": (None, None)}.get(loss, ())
    width = (1.0,) if loss in ("huber", "smooth_l1") else ()
    forward = getattr(aten, name)
    backward: Any = getattr(aten, f"{name}_backward", None)

    def loss_and_gradient() -> Any:
        value = forward(x, target, *weights, mean, *width)
        if loss in gradients:
            return value, gradients[loss]()
        return value, backward(one, x, target, *weights, mean, *width)

    return Task(loss_and_gradient, _named("loss", "dx"))


def _optimizer(p: Parameters, direction: str, t: Tensors, tuned: bool) -> Task:
    parameter = t["param"].requires_grad_()
    parameter.grad = t["grad"]
    fastest = "fused" if p["optimizer"] in FUSED else "foreach"
    return optimizer_task(torch, p["optimizer"], parameter, **({fastest: True} if tuned else {}))


# What the gradients below autograd have no default for.
ACTIVATION_OPTIONS: dict[str, tuple[float, ...]] = {
    "relu": (0,),
    "leaky_relu": (0.01, False),
    "softplus": (1, 20),
}

OPS: dict[str, Callable[[Parameters, str, Tensors, bool], Task]] = {
    "gemm": _gemm,
    "linear": _linear,
    "conv2d": _convolution,
    "conv_transpose2d": functools.partial(_convolution, transposed=True),
    "max_pool2d": _max_pool2d,
    "max_unpool2d": _max_unpool2d,
    "bed_of_nails": _bed_of_nails,
    "upsample": _upsample,
    "reorder": _reorder,
    "batch_norm_relu": _batch_norm_relu,
    "activation": _activation,
    "cross_entropy": _cross_entropy,
    "pointwise_loss": _pointwise_loss,
    "optimizer": _optimizer,
}
SAME_WHEN_TUNED = ("gemm", "linear", "reorder", "cross_entropy", "pointwise_loss")


def _channels_last(value: Any) -> Any:
    is_image = isinstance(value, torch.nn.Module) or value.ndim == 4
    return value.to(memory_format=torch.channels_last) if is_image else value


def _compiled(value: Any) -> Any:
    """Channels-last; modules compile themselves when first called, in place: names stay."""
    value = _channels_last(value)
    if isinstance(value, torch.nn.Module):
        value.compile()
    return value


def _network_task(request: Request) -> Task:
    if request.options.get("compiled"):
        return network_task(torch, request, adapt=_compiled, fused=True)
    if request.options.get("tuned"):
        return network_task(torch, request, adapt=_channels_last, fused=True)
    return network_task(torch, request)


def prepare(request: Request) -> Task:
    """The row through ATen's kernels, or for whole networks through ``torch.nn`` and autograd."""
    p, tuned = request.parameters, bool(request.options.get("tuned"))
    is_network = request.op in ("train_step", "infer")
    if request.options.get("compiled") and not is_network:
        raise Unsupported("only networks are compiled")
    if tuned and request.op in SAME_WHEN_TUNED:
        raise Unsupported("nothing to tune")
    # Set once here, because a context around every call would be timed with it.
    torch.set_grad_enabled(is_network)
    if is_network:
        return _network_task(request)
    if request.op not in OPS:
        raise Unsupported(f"no counterpart of {request.op}")
    arrays = build_inputs(request.name, request.op, request.direction, p, request.seed)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    if tuned:
        tensors = {name: _channels_last(tensor) for name, tensor in tensors.items()}
    return OPS[request.op](p, request.direction, tensors, tuned)
