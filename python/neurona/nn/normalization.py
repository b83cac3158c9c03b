"""Batch normalisation (Ioffe & Szegedy 2015)."""

from __future__ import annotations

import numpy as np

from ..tensor import Tensor
from . import functional as F
from .checks import float_dtype, integer, number
from .module import Module
from .parameter import Parameter


class _BatchNorm(Module):
    """Parameters, running statistics and the choice between batch and running statistics."""

    _ranks: tuple[int, ...]
    _layout: str

    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: object = None,
        dtype: object = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        layer = type(self).__name__
        self.num_features = integer(layer, "num_features", num_features, 1)
        self.eps = number(layer, "eps", eps, 0.0)
        if self.eps == 0.0:
            raise ValueError(f"{layer}: eps must be > 0, got {eps}")
        self.momentum = None if momentum is None else number(layer, "momentum", momentum, 0.0, 1.0)
        self.affine = bool(affine)
        self.track_running_stats = bool(track_running_stats)
        kind = float_dtype(layer, device, dtype)
        shape = (self.num_features,)
        self.register_parameter("weight", Parameter(np.ones(shape, kind)) if affine else None)
        self.register_parameter(
            "bias", Parameter(np.zeros(shape, kind)) if affine and bias else None
        )
        tracked = self.track_running_stats
        self.register_buffer("running_mean", Tensor(np.zeros(shape, kind)) if tracked else None)
        self.register_buffer("running_var", Tensor(np.ones(shape, kind)) if tracked else None)
        self.register_buffer(
            "num_batches_tracked", Tensor(np.zeros((), np.int64)) if tracked else None
        )

    def reset_running_stats(self) -> None:
        """Forget the statistics: mean 0, variance 1, no batch seen."""
        for buffer, value in (
            (self.running_mean, 0),
            (self.running_var, 1),
            (self.num_batches_tracked, 0),
        ):
            if buffer is not None:
                buffer.fill_(value)

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and the statistics forgotten."""
        self.reset_running_stats()
        for parameter, value in ((self.weight, 1), (self.bias, 0)):
            if parameter is not None:
                parameter.data[...] = value

    def forward(self, input: Tensor) -> Tensor:
        """Normalise over all axes but the channels; the shape stays."""
        return self.forward_fused(input, None)

    def forward_fused(self, input: Tensor, activation: str | None) -> Tensor:
        """`forward` and an activation, None or "relu", in one pass of the kernel."""
        if input.ndim not in self._ranks:
            raise ValueError(f"input must be {self._layout}, got shape {tuple(input.shape)}")
        mean, var, count = self.running_mean, self.running_var, self.num_batches_tracked
        training, momentum = self.training, self.momentum
        if not training:
            training, momentum, count = mean is None, 0.0, None
        elif count is None:
            mean = var = None
        if momentum is None:
            momentum = 0.0 if count is None else 1.0 / (int(count.data) + 1)
        output = F.batch_norm(
            input,
            mean,
            var,
            self.weight,
            self.bias,
            training,
            momentum,
            self.eps,
            activation=activation,
        )
        if count is not None:  # after the call, so that a refused batch is not counted
            count.data[...] += 1
        return output

    def _expected_input(self, shape: tuple[int, ...]) -> str | None:
        fits = len(shape) in self._ranks and shape[1] == self.num_features
        return None if fits else self._layout.replace("C", str(self.num_features))

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """y = weight (x - mean) / sqrt(var + eps) + bias per channel of (N, C) or (N, C, L).

    In training mean and (biased) variance are those of the batch, and the running statistics move
    by running = (1 - momentum) running + momentum batch, with the unbiased variance;
    `momentum=None` averages all batches alike. In evaluation the running statistics are used.
    Raises ValueError for one value per channel in training. Paper: Ioffe & Szegedy 2015, "Batch
    normalization".

    >>> import neurona
    >>> from neurona import nn
    >>> nn.BatchNorm1d(64)(neurona.randn(32, 64)).shape
    (32, 64)
    """

    _ranks = (2, 3)
    _layout = "(N, C) or (N, C, L)"


class BatchNorm2d(_BatchNorm):
    """y = weight (x - mean) / sqrt(var + eps) + bias per channel of (N, C, H, W).

    Statistics, momentum and errors are those of `BatchNorm1d`.

    >>> import neurona
    >>> from neurona import nn
    >>> list(nn.BatchNorm2d(6).state_dict())
    ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    """

    _ranks = (4,)
    _layout = "(N, C, H, W)"
