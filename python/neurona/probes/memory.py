"""memory_estimate: what training or applying a model holds in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from ..nn import Module
from ..summary import summary


class MemoryEstimate(NamedTuple):
    """Bytes of parameters, their gradients, the optimizer's buffers and the activations."""

    parameters: int
    gradients: int
    optimizer: int
    activations: int

    @property
    def total(self) -> int:
        """All four together."""
        return sum(self)


def memory_estimate(
    model: Module,
    input_size: Sequence[int],
    *,
    training: bool = True,
    buffers_per_parameter: int = 0,
) -> MemoryEstimate:
    """Bytes for a batch of shape `input_size`, batch axis included, without working memory of the
    kernels.

    Training keeps the input and the output of every layer until backward has used them, so that the
    activations grow linearly with the batch; evaluation keeps a layer's input and output only.
    `buffers_per_parameter`: 1 for momentum, 2 for Adam. Raises ValueError when the model refuses an
    input of that shape or the buffers are no int >= 0.

    >>> from neurona import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> memory_estimate(model, (10, 4)).activations
    880
    >>> memory_estimate(model, (10, 4), training=False).activations
    640
    """
    if type(buffers_per_parameter) is not int or buffers_per_parameter < 0:
        raise ValueError(
            f"memory_estimate: buffers_per_parameter must be an int >= 0, "
            f"got {buffers_per_parameter!r}"
        )
    report = summary(model, input_size)
    parameters = list(model.parameters())
    width = parameters[0].data.itemsize if parameters else 4
    sizes = [math.prod(input_size) * width]
    sizes += [
        math.prod(layer["output"]) * width for layer in report.layers if layer["output"] is not None
    ]
    trained = sum(p.data.nbytes for p in parameters if p.requires_grad) if training else 0
    pairs = [first + second for first, second in zip(sizes, sizes[1:], strict=False)]
    return MemoryEstimate(
        parameters=report.totals["param_bytes"],
        gradients=trained,
        optimizer=buffers_per_parameter * trained,
        activations=sum(sizes) if training else max(pairs, default=sizes[0]),
    )
