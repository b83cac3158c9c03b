"""Batch normalisation folded into the layer before it, for inference."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import numpy as np

from .autograd import Function, enable_grad, no_grad
from .nn import BatchNorm1d, BatchNorm2d, Conv2d, Identity, Linear, Module, Parameter
from .tensor import Tensor

# Of the largest output, for the roundings of the weights: 1.1e-5 is the most that ResNet-18 needed.
TOLERANCE = 2e-4
# A layer, what it was given, what it returned, and the node and version of that at the time.
Call = tuple[Module, Tensor, Tensor, Any, int]


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
    trains = source.weight.requires_grad
    scaled = weight * scale.reshape(-1, *[1] * (weight.ndim - 1))
    result.weight = Parameter(Tensor(scaled.astype(dtype)), requires_grad=trains)
    result.bias = Parameter(Tensor(bias.astype(dtype)), requires_grad=trains)
    return result


def _consumers(outputs: list[Tensor]) -> Counter[Any]:
    """How many operations, or results, read from each node and leaf of the graph behind `outputs`.

    Leaves are counted by their id.
    """
    due = [tensor._node for tensor in outputs if tensor._node is not None]
    counts: Counter[Any] = Counter(due)
    seen = set(due)
    while due:
        for edge in due.pop().edges:
            counts[edge if isinstance(edge, Function) else id(edge)] += 1
            if isinstance(edge, Function) and edge not in seen:
                seen.add(edge)
                due.append(edge)
    return counts


def _tensors(value: Any) -> list[Tensor]:
    """All tensors in a result, nested in tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for item in value for t in _tensors(item)] if isinstance(value, list | tuple) else []


def _calls(model: Module, example: Tensor) -> tuple[list[Call], Counter[Any], list[np.ndarray]]:
    """The calls of layers that may be folded, in their order, the graph's consumers, and what the
    model returns.
    """
    calls: list[Call] = []

    def note(module: Module, args: Any, output: Any) -> None:
        calls.append((module, args[0], output, output._node, output._version[0]))

    kinds = (Conv2d, Linear, BatchNorm2d, BatchNorm1d)
    noted = [m for m in model.modules() if type(m) in kinds and m._hooks is None]
    for module in noted:
        module.register_forward_hook(note)
    trains = [(parameter, parameter._requires_grad) for parameter in model.parameters()]
    for parameter, _ in trains:
        parameter.requires_grad = True  # so that the graph is complete, whatever is frozen
    try:
        with enable_grad():
            outputs = _tensors(model(Tensor(example.data)))
    finally:
        for module in noted:
            module.__dict__["_hooks"] = None  # an empty table would keep a ReLU from being fused
        for parameter, needed in trains:
            parameter.requires_grad = needed
    return calls, _consumers(outputs), [tensor.data.copy() for tensor in outputs]


def _replace(model: Module, layer: Module, new: Module) -> None:
    """Under all names that it has."""
    for parent in list(model.modules()):
        for name, child in parent._members("module"):
            if child is layer:
                setattr(parent, name, new)


def _can_be_folded(
    layer: Module, norm: Module, between: Tensor, call: Call, consumers: Counter[Any]
) -> bool:
    """Whether `norm` reads what `layer` returned, as it returned it, and nothing else does."""
    pairs: dict[type[Module], type[Module]] = {Conv2d: BatchNorm2d, Linear: BatchNorm1d}
    weights = [parameter for module in (layer, norm) for parameter in module.parameters()]
    return (
        type(norm) is pairs.get(type(layer))
        and getattr(norm, "running_mean", None) is not None
        and (type(layer) is Conv2d or between.data.ndim == 2)
        and (between._node, between._version[0]) == call[3:]
        and consumers[between._node] == 1
        and all(consumers[id(parameter)] == 1 for parameter in weights)
    )


def fold_batch_norm(model: Module, example: Tensor) -> Module:
    """A copy of `model` in evaluation mode, with each batch norm that follows a Conv2d or Linear
    folded into it: fewer passes over memory, the same function up to rounding.

    `model(example)` is run once to see what follows what: a pair is folded when each of the two is
    called once and nothing else reads what lies between them or their parameters. An Identity takes
    the place of the batch norm; a ReLU behind it in a Sequential becomes part of the convolution's
    kernel. The weights are a snapshot: fold again after more training. What the model does with
    other sizes of input than the example's is supposed to be the same.

    Raises TypeError for a wrong kind of argument, and RuntimeError when the copy does not return
    what the model does: it reads its layers' insides in a way that the graph does not show.

    >>> import neurona
    >>> from neurona import nn
    >>> model = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.ReLU())
    >>> neurona.fold_batch_norm(model, neurona.zeros(1, 3, 8, 8))
    Sequential(
      (0): Conv2d(3, 8, kernel_size=(3, 3), stride=(1, 1))
      (1): Identity()
      (2): ReLU()
    )
    """
    if not isinstance(model, Module):
        raise TypeError(f"fold_batch_norm: model must be a Module, got {type(model).__name__}")
    if not isinstance(example, Tensor):
        raise TypeError(f"fold_batch_norm: example must be a Tensor, got {type(example).__name__}")
    result = copy.deepcopy(model).eval()
    calls, consumers, expected = _calls(result, example)
    times_called = Counter(call[0] for call in calls)
    makers = {id(call[2]): call for call in calls}
    for norm, given, *_ in calls:
        made = makers.get(id(given))
        if made is None or times_called[norm] != 1 or times_called[made[0]] != 1:
            continue
        if _can_be_folded(made[0], norm, given, made, consumers):
            _replace(result, made[0], folded(made[0], norm))
            _replace(result, norm, Identity())
    with no_grad():
        got = [tensor.data for tensor in _tensors(result(Tensor(example.data)))]
    for ours, theirs in zip(got, expected, strict=True):
        # Folding rounds each weight once more; a wrong fold is off by the size of the outputs.
        scale = np.abs(theirs).max(initial=0.0)
        if not np.allclose(ours, theirs, rtol=0, atol=TOLERANCE * scale, equal_nan=True):
            raise RuntimeError(
                "fold_batch_norm: the folded model must return what the model does, but differs by "
                f"{np.abs(ours - theirs).max():.3g} where outputs are up to {scale:.3g}"
            )
    return result
