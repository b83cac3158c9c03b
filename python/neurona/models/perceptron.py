"""The perceptron and its learning rule (Rosenblatt 1958)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..autograd import no_grad
from ..nn import Linear, Module, init
from ..tensor import Tensor


class Perceptron(Module):
    """step(w x + b): (N, d) -> (N,), 1 where w x + b >= 0 and 0 elsewhere. Starts at w = b = 0.

    The step has no slope, so the perceptron learns by a rule of its own, `fit`: after every sample
    w += lr (y - output) x and b += lr (y - output). For classes that a line separates it ends
    without mistakes (Novikoff 1962); for others, such as XOR, it never does.

    >>> x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
    >>> gate = Perceptron(2)
    >>> gate.fit(x, np.array([0, 0, 0, 1]))[-1]
    0
    >>> gate(Tensor(x)).tolist()
    [0.0, 0.0, 0.0, 1.0]
    """

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.linear = Linear(in_features, 1)
        for parameter in self.linear.parameters():
            init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """The class of each row, float (N,)."""
        z = self.linear(x).data[:, 0]
        return Tensor((z >= 0).astype(z.dtype))

    def fit(self, x: Any, y: Any, *, lr: float = 1.0, epochs: int = 100) -> list[int]:
        """Run the rule over the samples in order, `epochs` times at most; the number of mistakes in
        each epoch.

        Stops after an epoch without mistakes. Raises ValueError for labels other than 0 and 1,
        shapes that do not fit, an lr that is not > 0 or epochs below 1.
        """
        inputs, labels = (
            value.data if isinstance(value, Tensor) else np.asarray(value) for value in (x, y)
        )
        weight, bias = self.linear.parameters()
        features = weight.shape[1]
        if inputs.ndim != 2 or inputs.shape[1] != features:
            raise ValueError(f"Perceptron: x must have shape (N, {features}), got {inputs.shape}")
        if labels.shape != (len(inputs),):
            raise ValueError(f"Perceptron: y must have shape ({len(inputs)},), got {labels.shape}")
        if not np.isin(labels, (0, 1)).all():
            raise ValueError("Perceptron: y must hold 0 and 1 only")
        if not 0.0 < lr < math.inf:
            raise ValueError(f"Perceptron: lr must be finite and > 0, got {lr}")
        if type(epochs) is not int or epochs < 1:
            raise ValueError(f"Perceptron: epochs must be an int >= 1, got {epochs!r}")
        mistakes: list[int] = []
        with no_grad():
            for _ in range(epochs):
                mistakes.append(0)
                for row, label in zip(inputs.astype(weight.dtype), labels, strict=True):
                    error = int(label) - int(weight.data[0] @ row + bias.data[0] >= 0)
                    if error:
                        weight.data[0] += lr * error * row
                        bias.data[0] += lr * error
                        mistakes[-1] += 1
                if mistakes[-1] == 0:
                    break
        return mistakes
