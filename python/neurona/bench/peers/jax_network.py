"""Training steps and inference of the networks in JAX: one compiled function each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from . import layers
from .inputs import Arrays, Parameters
from .jax_primitives import (
    Tensors,
    convolve,
    cross_entropy,
    jax,
    jnp,
    max_pool2d,
    to_jax,
    to_numpy,
)
from .models import build
from .steps import VERIFIED_LOSSES, NetworkArrays, network_arrays, training_outputs
from .worker import Request, Task

IMAGES = (0, 1, 2)  # the axes that batch norm averages over: N, H, W


@dataclass
class Activations:
    """The ``layers.Value`` of JAX: images as NHWC, or features."""

    array: Any
    training: bool

    def _with(self, array: Any) -> Activations:
        return Activations(array, self.training)

    def __add__(self, other: Activations) -> Activations:
        return self._with(self.array + other.array)

    def conv2d(self, weight: Any, bias: Any, stride: int, padding: int) -> Activations:
        y = convolve(self.array, weight, stride, padding)
        return self._with(y if bias is None else y + bias)

    def batch_norm(self, weight: Any, bias: Any) -> Activations:
        """Statistics of the batch, or in evaluation mode the initial ones: mean 0, variance 1."""
        x, mean, variance = self.array, 0.0, 1.0
        if self.training:
            mean, variance = x.mean(IMAGES), x.var(IMAGES)
        scale = weight / jnp.sqrt(variance + layers.BATCH_NORM_EPS)
        return self._with((x - mean) * scale + bias)

    def linear(self, weight: Any, bias: Any) -> Activations:
        return self._with(self.array @ weight.T + bias)

    def max_pool2d(self, size: int, stride: int, padding: int) -> Activations:
        return self._with(max_pool2d(self.array, size, stride, padding))

    def global_avg_pool(self) -> Activations:
        return self._with(self.array.mean((1, 2), keepdims=True))

    def flatten(self) -> Activations:
        """Channel by channel, the order that the weights of the next layer expect."""
        channels_first = self.array.transpose(0, 3, 1, 2)
        return self._with(channels_first.reshape(channels_first.shape[0], -1))

    def relu(self) -> Activations:
        return self._with(jax.nn.relu(self.array))


def _logits(model: layers.Module, parameters: Tensors, x: Any, *, training: bool) -> Any:
    layers.assign(model, parameters)
    return model(Activations(x, training)).array


def _compiled_step(model: layers.Module, p: Parameters) -> Any:
    """Forward, backward and SGD in PyTorch's formula; the old state's memory holds the new one."""
    rate, momentum = p["lr"], p["momentum"]

    def loss_of(parameters: Tensors, x: Any, labels: Any) -> Any:
        return cross_entropy(_logits(model, parameters, x, training=True), labels)

    def step(parameters: Tensors, velocity: Tensors, x: Any, labels: Any) -> Any:
        loss, gradient = jax.value_and_grad(loss_of)(parameters, x, labels)
        velocity = jax.tree.map(lambda v, g: momentum * v + g, velocity, gradient)
        parameters = jax.tree.map(lambda w, v: w - rate * v, parameters, velocity)
        return loss, parameters, velocity

    return jax.jit(step, donate_argnums=(0, 1))


def _to_jax(arrays: Arrays) -> Tensors:
    return {name: to_jax(name, array) for name, array in arrays.items()}


class _Training:
    """Parameters and velocities between steps."""

    def __init__(self, arrays: NetworkArrays, compiled: Any) -> None:
        self.initial, self._compiled = arrays.parameters, compiled
        self._x, self._labels = to_jax("x", arrays.x), to_jax("labels", arrays.labels)
        self._rewind()

    def _rewind(self) -> None:
        self._parameters = _to_jax(self.initial)
        self._velocity = jax.tree.map(jnp.zeros_like, self._parameters)

    def step(self) -> Any:
        loss, self._parameters, self._velocity = jax.block_until_ready(
            self._compiled(self._parameters, self._velocity, self._x, self._labels)
        )
        return loss

    def reset(self) -> None:
        self._rewind()
        self.step()

    def outputs(self, first_loss: Any) -> Arrays:
        after = {
            name: np.array(to_numpy(name, value), np.float64)
            for name, value in self._parameters.items()
        }
        losses = [float(first_loss), *(float(self.step()) for _ in range(VERIFIED_LOSSES - 1))]
        return training_outputs(self.initial, after, losses)


def network_task(request: Request) -> Task:
    """The task of a ``train_step`` or ``infer`` row."""
    model = build(layers, request.parameters["model"])
    arrays = network_arrays(model, request)
    if request.op == "train_step":
        training = _Training(arrays, _compiled_step(model, request.parameters))
        return Task(training.step, training.outputs, training.reset)
    parameters, x = _to_jax(arrays.parameters), to_jax("x", arrays.x)
    infer = jax.jit(lambda parameters, x: _logits(model, parameters, x, training=False))
    return Task(
        lambda: jax.block_until_ready(infer(parameters, x)), lambda y: {"y": to_numpy("y", y)}
    )
