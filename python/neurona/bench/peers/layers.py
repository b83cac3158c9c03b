"""The layers of ``models.py`` for libraries without modules: ``build`` gets this file as ``nn``.

A layer knows its parameters, by PyTorch's names and shapes, and asks its input to apply itself: a
library brings a ``Value`` that computes (JAX) or writes a graph (ONNX).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, Self

BATCH_NORM_EPS = 1e-5


class Value(Protocol):
    """What flows through a network, an array or its name in a graph.

    ``weight`` and ``bias`` are whatever ``assign`` gave to the parameters.
    """

    def __add__(self, other: Self) -> Self: ...

    def conv2d(self, weight: Any, bias: Any, stride: int, padding: int) -> Self: ...

    def batch_norm(self, weight: Any, bias: Any) -> Self: ...

    def linear(self, weight: Any, bias: Any) -> Self: ...

    def max_pool2d(self, size: int, stride: int, padding: int) -> Self: ...

    def global_avg_pool(self) -> Self: ...

    def flatten(self) -> Self: ...

    def relu(self) -> Self: ...


class Parameter:
    """A shape, and the library's value once it is assigned."""

    def __init__(self, *shape: int) -> None:
        self.shape = shape
        self.value: Any = None


class Module:
    """Parameters and modules are attributes, named in the order in which they were set."""

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        for name, member in vars(self).items():
            if isinstance(member, Parameter):
                yield prefix + name, member
            elif isinstance(member, Module):
                yield from member.named_parameters(f"{prefix}{name}.")

    def forward(self, x: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: forward is not defined")

    def __call__(self, x: Any) -> Any:
        return self.forward(x)


def assign(model: Module, values: Mapping[str, Any]) -> None:
    """Gives every parameter of the model its value of the same name."""
    for name, parameter in model.named_parameters():
        parameter.value = values[name]


class Sequential(Module):
    def __init__(self, *modules: Module) -> None:
        for number, module in enumerate(modules):
            setattr(self, str(number), module)

    def forward(self, x: Value) -> Value:
        for module in vars(self).values():
            x = module(x)
        return x


class Conv2d(Module):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        self.weight = Parameter(out_channels, in_channels, size, size)
        self.bias = Parameter(out_channels) if bias else None
        self.stride, self.padding = stride, padding

    def forward(self, x: Value) -> Value:
        bias = self.bias.value if self.bias else None
        return x.conv2d(self.weight.value, bias, self.stride, self.padding)


class BatchNorm2d(Module):
    def __init__(self, channels: int) -> None:
        self.weight, self.bias = Parameter(channels), Parameter(channels)

    def forward(self, x: Value) -> Value:
        return x.batch_norm(self.weight.value, self.bias.value)


class Linear(Module):
    def __init__(self, in_features: int, out_features: int) -> None:
        self.weight, self.bias = Parameter(out_features, in_features), Parameter(out_features)

    def forward(self, x: Value) -> Value:
        return x.linear(self.weight.value, self.bias.value)


class MaxPool2d(Module):
    def __init__(self, size: int, *, stride: int, padding: int) -> None:
        self.size, self.stride, self.padding = size, stride, padding

    def forward(self, x: Value) -> Value:
        return x.max_pool2d(self.size, self.stride, self.padding)


class AdaptiveAvgPool2d(Module):
    """To a single pixel, the only size that the networks ask for."""

    def __init__(self, size: int) -> None:
        if size != 1:
            raise ValueError(f"AdaptiveAvgPool2d: size must be 1, got {size}")

    def forward(self, x: Value) -> Value:
        return x.global_avg_pool()


class Flatten(Module):
    def forward(self, x: Value) -> Value:
        return x.flatten()


class ReLU(Module):
    def forward(self, x: Value) -> Value:
        return x.relu()


class Identity(Module):
    def forward(self, x: Value) -> Value:
        return x
