"""Layer and group normalisation: statistics of each sample, the same in training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..tensor import Tensor
from . import functional as F
from .checks import flag, float_dtype, integer, positive
from .module import Module
from .parameter import Parameter


class _Affine(Module):
    """Weight 1 and bias 0 of one shape, or neither."""

    weight: Parameter | None
    bias: Parameter | None

    def _create(
        self, shape: tuple[int, ...], affine: bool, bias: bool, device: object, dtype: object
    ) -> None:
        kind = float_dtype(type(self).__name__, device, dtype)
        self.register_parameter("weight", Parameter(np.empty(shape, kind)) if affine else None)
        self.register_parameter(
            "bias", Parameter(np.empty(shape, kind)) if affine and bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        for parameter, value in ((self.weight, 1), (self.bias, 0)):
            if parameter is not None:
                parameter.data[...] = value


class LayerNorm(_Affine):
    """y = weight (x - mean) / sqrt(var + eps) + bias over the last axes, of `normalized_shape`.

    Mean and (biased) variance are those of each sample alone; weight and bias have
    `normalized_shape` (an int stands for one axis). Raises ValueError when the last axes of x are
    others. Paper: Ba, Kiros, Hinton 2016, "Layer normalization".

    >>> import neurona
    >>> from neurona import nn
    >>> nn.LayerNorm(64)(neurona.randn(32, 64)).shape
    (32, 64)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: object = None,
        dtype: object = None,
    ) -> None:
        super().__init__()
        given = normalized_shape if isinstance(normalized_shape, tuple | list) else None
        lengths = [normalized_shape] if given is None else given
        self.normalized_shape = tuple(
            integer("LayerNorm", "normalized_shape", n, 1) for n in lengths
        )
        if not self.normalized_shape:
            raise ValueError("LayerNorm: normalized_shape must name an axis, got ()")
        self.eps = positive("LayerNorm", "eps", eps)
        self.elementwise_affine = flag("LayerNorm", "elementwise_affine", elementwise_affine)
        self._create(self.normalized_shape, self.elementwise_affine, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """x (*, normalized_shape) -> y of the same shape."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def _expected_input(self, shape: tuple[int, ...]) -> str | None:
        fits = shape[-len(self.normalized_shape) :] == self.normalized_shape
        return None if fits else f"(*, {', '.join(map(str, self.normalized_shape))})"

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(_Affine):
    """y = weight (x - mean) / sqrt(var + eps) + bias over each group of C / num_groups channels.

    x (N, C, *), weight and bias (C,); mean and (biased) variance are those of one sample's group.
    Raises ValueError when num_groups does not divide C and when the channels do not fit. Paper: Wu
    & He 2018, "Group normalization".

    >>> import neurona
    >>> from neurona import nn
    >>> nn.GroupNorm(2, 6)(neurona.randn(4, 6, 8, 8)).shape
    (4, 6, 8, 8)
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: object = None,
        dtype: object = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_groups = integer("GroupNorm", "num_groups", num_groups, 1)
        self.num_channels = integer("GroupNorm", "num_channels", num_channels, 1)
        if self.num_channels % self.num_groups:
            raise ValueError(
                f"GroupNorm: num_channels must be a multiple of num_groups {self.num_groups}, "
                f"got {self.num_channels}"
            )
        self.eps = positive("GroupNorm", "eps", eps)
        self.affine = flag("GroupNorm", "affine", affine)
        self._create((self.num_channels,), self.affine, bias, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, *) -> y (N, C, *)."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def _expected_input(self, shape: tuple[int, ...]) -> str | None:
        fits = len(shape) >= 2 and shape[1] == self.num_channels
        return None if fits else f"(N, {self.num_channels}, *)"

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"
