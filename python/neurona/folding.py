"""Batch normalisation folded into the layer before it, for inference."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import numpy as np

from .autograd import Function, enable_grad
from .nn import BatchNorm1d, BatchNorm2d, Conv2d, Identity, Linear, Module, Parameter, Sequential
from .tensor import Tensor

Call = tuple[Module, Any, Any]  # a layer, what it was given, what it returned


def folded(layer: Module, norm: Module) -> Module:
    """A copy of `layer`, a Conv2d or Linear, that computes norm(layer(x)) of evaluation mode.

    With s = weight / sqrt(running_var + eps), per output: w' = s w, b' = s (b - running_mean) +
    bias, in float64 and then rounded. Raises TypeError for other layers, ValueError for a norm
    without running statistics or of another width.

    >>> from neurona import nn
    >>> folded(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)).bias.shape
    (8,)
    """
    pairs = ((Conv2d, BatchNorm2d), (Linear, BatchNorm1d))
    if not any(type(layer) is first and type(norm) is second for first, second in pairs):
        raise TypeError(
            "folded: layer and norm must be Conv2d and BatchNorm2d, or Linear and BatchNorm1d, "
            f"got {type(layer).__name__} and {type(norm).__name__}"
        )
    source: Any = layer
    batch_norm: Any = norm
    outputs = source.weight.shape[0]
    if batch_norm.running_mean is None:
        raise ValueError("folded: norm must have running statistics, got track_running_stats=False")
    if batch_norm.num_features != outputs:
        raise ValueError(
            f"folded: norm must have as many features as layer has outputs, {outputs}, "
            f"got {batch_norm.num_features}"
        )
    scale = 1 / np.sqrt(batch_norm.running_var.data.astype(np.float64) + batch_norm.eps)
    if batch_norm.weight is not None:
        scale = scale * batch_norm.weight.data
    weight, dtype = source.weight.data, source.weight.data.dtype
    bias = -batch_norm.running_mean.data.astype(np.float64)
    if source.bias is not None:
        bias = bias + source.bias.data
    bias = bias * scale
    if batch_norm.bias is not None:
        bias = bias + batch_norm.bias.data
    result: Any = copy.deepcopy(source)
    result.weight = Parameter(
        Tensor((weight * scale.reshape(-1, *[1] * (weight.ndim - 1))).astype(dtype))
    )
    result.bias = Parameter(Tensor(bias.astype(dtype)))
    return result


def _consumers(outputs: list[Tensor]) -> Counter[Function]:
    """How many operations, or results, read from each node of the graph behind `outputs`."""
    counts: Counter[Function] = Counter()
    due = [tensor._node for tensor in outputs if tensor._node is not None]
    counts.update(due)
    seen = set(due)
    while due:
        for edge in due.pop().edges:
            if isinstance(edge, Function):
                counts[edge] += 1
                if edge not in seen:
                    seen.add(edge)
                    due.append(edge)
    return counts


def _calls(model: Module, example: Tensor) -> tuple[list[Call], Counter[Function]]:
    """The calls of layers that may be folded, in their order, and the graph's consumers."""
    calls: list[Call] = []

    def note(module: Module, args: Any, output: Any) -> None:
        calls.append((module, args[0], output))

    kinds = (Conv2d, Linear, BatchNorm2d, BatchNorm1d)
    handles = [
        module.register_forward_hook(note) for module in model.modules() if type(module) in kinds
    ]
    given = Tensor(example.data)
    given.requires_grad = True  # so that the graph is complete, whatever is frozen
    try:
        with enable_grad():
            result = model(given)
    finally:
        for handle in handles:
            handle.remove()
    outputs = [result] if isinstance(result, Tensor) else list(result)
    return calls, _consumers(outputs)


def _remove(model: Module, norm: Module) -> None:
    """Take `norm` out of `model`: from a Sequential, or as an Identity where a name is needed."""
    for parent in model.modules():
        for name, child in list(parent.named_children()):
            if child is norm and type(parent) is Sequential:
                delattr(parent, name)
            elif child is norm:
                setattr(parent, name, Identity())


def _replace(model: Module, layer: Module, new: Module) -> None:
    for parent in model.modules():
        for name, child in list(parent.named_children()):
            if child is layer:
                setattr(parent, name, new)


def fold_batch_norm(model: Module, example: Tensor) -> Module:
    """A copy of `model` in evaluation mode, with each batch norm that follows a Conv2d or Linear
    folded into it: fewer passes over memory, the same function up to rounding.

    `model(example)` is run once to see what follows what: a pair is folded when each of the two is
    called once and nothing else reads what lies between them. In a Sequential the batch norm goes,
    so that a ReLU behind it becomes part of the convolution's kernel; elsewhere an Identity takes
    its place. The weights are a snapshot: fold again after more training. Raises TypeError for a
    wrong kind.

    >>> import neurona
    >>> from neurona import nn
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    >>> neurona.fold_batch_norm(model, neurona.zeros(1, 3, 8, 8))
    Sequential(
      (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
      (2): ReLU()
    )
    """
    if not isinstance(model, Module):
        raise TypeError(f"fold_batch_norm: model must be a Module, got {type(model).__name__}")
    if not isinstance(example, Tensor):
        raise TypeError(f"fold_batch_norm: example must be a Tensor, got {type(example).__name__}")
    result = copy.deepcopy(model).eval()
    calls, consumers = _calls(result, example)
    times_called = Counter(module for module, _, _ in calls)
    makers = {id(output): module for module, _, output in calls}
    for norm, given, _ in calls:
        layer = makers.get(id(given))
        if (
            layer is None
            or type(norm) is not {Conv2d: BatchNorm2d, Linear: BatchNorm1d}.get(type(layer))
            or times_called[layer] != 1
            or times_called[norm] != 1
            or consumers[given._node] != 1
            or getattr(norm, "running_mean", None) is None
        ):
            continue
        _replace(result, layer, folded(layer, norm))
        _remove(result, norm)
    return result
