"""How gradients flow: their size in each layer, and what of the input drives an output."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import enable_grad
from ..callbacks import Callback
from ..nn import Conv2d, Module
from ..tensor import Tensor


def gradient_norms(model: Module) -> dict[str, float]:
    """The Euclidean norm of the gradient of each layer's own parameters, by the layer's path, from
    the input's side to the output's.

    Layers without parameters or without gradients are left out. Norms that shrink towards the first
    layers show that gradients vanish.

    >>> import neurona
    >>> from neurona import nn
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    >>> model(neurona.ones(4, 2)).sum().backward()
    >>> list(gradient_norms(model))
    ['0', '2']
    """
    if not isinstance(model, Module):
        raise TypeError(f"gradient_norms: model must be a Module, got {type(model).__name__}")
    norms = {}
    for path, module in model.named_modules():
        squares = [
            float(np.sum(np.square(parameter.grad.data, dtype=np.float64)))
            for parameter in module.parameters(recurse=False)
            if parameter.grad is not None
        ]
        if squares:
            norms[path] = math.sqrt(sum(squares))
    return norms


class GradientMonitor(Callback):
    """A callback that keeps each layer's mean gradient norm over the batches of an epoch.

    `history` maps a layer's path to a list with one value per epoch.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self._sums: dict[str, float] = {}
        self._batches = 0

    def on_epoch_begin(self, epoch: int, logs: Any) -> None:
        self._sums, self._batches = {}, 0

    def on_train_batch_end(self, batch: int, logs: Any) -> None:
        self._batches += 1
        for path, norm in gradient_norms(self.model).items():
            self._sums[path] = self._sums.get(path, 0.0) + norm

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        for path, total in self._sums.items():
            self.history.setdefault(path, []).append(total / self._batches)

    def state_dict(self) -> dict[str, Any]:
        history = {path: list(values) for path, values in self.history.items()}
        return {"history": history, "sums": dict(self._sums), "batches": self._batches}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.history = {path: list(values) for path, values in state["history"].items()}
        self._sums, self._batches = dict(state["sums"]), state["batches"]


def input_gradient(model: Module, x: Any, target: Any = None) -> np.ndarray:
    """d output / d x for every sample, of the shape of x: where the model looks (Simonyan, Vedaldi
    & Zisserman 2014).

    x is (N, ...). Of an output (N, C) the score of class target[n] is taken, or the largest one
    when `target` is None; of any other output the sum per sample. The model runs in evaluation
    mode, and its mode, parameters and gradients are left as they were.

    Raises TypeError for an x that holds no floats, ValueError for targets out of range.

    >>> import numpy as np
    >>> from neurona import nn
    >>> model = nn.Linear(2, 1)
    >>> bool((input_gradient(model, np.ones((3, 2), np.float32)) == model.weight.data).all())
    True
    """
    op = "input_gradient"
    if not isinstance(model, Module):
        raise TypeError(f"{op}: model must be a Module, got {type(model).__name__}")
    array = x.data if isinstance(x, Tensor) else np.asarray(x)
    if array.dtype.kind != "f":
        raise TypeError(f"{op}: x must have a floating dtype, got {array.dtype}")
    leaf = Tensor(array.copy())
    leaf.requires_grad = True
    kept = [(parameter, parameter.grad) for parameter in model.parameters()]
    modes = [(module, module.training) for module in model.modules()]
    for parameter, _ in kept:
        parameter.grad = None
    model.eval()
    try:
        with enable_grad():
            output = model(leaf)
            output.backward(Tensor(_selection(op, output.data, target)))
    finally:
        for parameter, grad in kept:
            parameter.grad = grad
        for module, mode in modes:
            module.training = mode
    return np.zeros_like(array) if leaf.grad is None else leaf.grad.data


def _selection(op: str, output: np.ndarray, target: Any) -> np.ndarray:
    """1 at the scores whose gradient is wanted, 0 elsewhere."""
    if output.ndim != 2:
        if target is not None:
            raise ValueError(f"{op}: target must be None for an output of shape {output.shape}")
        return np.ones_like(output)
    chosen = (
        output.argmax(axis=1) if target is None else np.asarray(getattr(target, "data", target))
    )
    if chosen.ndim == 0:
        chosen = np.full(len(output), chosen)
    if chosen.shape != output.shape[:1] or chosen.dtype.kind not in "iu":
        raise ValueError(
            f"{op}: target must be {len(output)} class indices, got {chosen.dtype} {chosen.shape}"
        )
    wrong = (chosen < 0) | (chosen >= output.shape[1])
    if wrong.any():
        raise ValueError(
            f"{op}: target must be in 0..{output.shape[1] - 1}, got {chosen[wrong][0]}"
        )
    selection = np.zeros_like(output)
    selection[np.arange(len(output)), chosen] = 1
    return selection


def filters(model: Module) -> dict[str, np.ndarray]:
    """Copies of the weights (K, C / groups, R, S) of every Conv2d, by its path.

    A network may have any number of convolutions. Trained on images, those near the input come to
    answer to low-level features, edges and colours, those behind them to motifs put together of
    these; the filters themselves need not look like anything.

    >>> from neurona import nn
    >>> {path: w.shape for path, w in filters(nn.Sequential(nn.Conv2d(1, 4, 3))).items()}
    {'0': (4, 1, 3, 3)}
    """
    return {
        path: module.weight.data.copy(order="C")
        for path, module in model.named_modules()
        if isinstance(module, Conv2d)
    }
