"""A residual multi-layer perceptron, and its plain twin, to see what depth does."""

from __future__ import annotations

from ..nn import Flatten, Linear, Module, Sequential, init
from ..nn import functional as F
from ..nn.checks import number
from ..nn.fusion import with_relu
from ..tensor import Tensor
from .sizes import check_int


def _start(layer: Linear, gain: float = 1.0) -> None:
    """He's weights times `gain`, bias 0."""
    init.kaiming_normal_(layer.weight, nonlinearity="relu")
    layer.weight.data *= gain
    if layer.bias is not None:
        init.zeros_(layer.bias)


class ResidualPair(Module):
    """h2 = relu(W2 h1 + b2 + h), h1 = relu(W1 h + b1): (N, width) -> (N, width).

    With W2 = 0, b2 = 0 the block is the identity for h >= 0, which any h behind a ReLU is; a
    negative h becomes 0. `residual=False` leaves out the term h.

    >>> import neurona
    >>> block = ResidualPair(2, branch_gain=0.0)
    >>> block(neurona.tensor([[3.0, -1.0]])).tolist()
    [[3.0, 0.0]]
    """

    def __init__(self, width: int, *, residual: bool = True, branch_gain: float = 1.0) -> None:
        super().__init__()
        self.fc1, self.fc2 = Linear(width, width), Linear(width, width)
        self.residual = residual
        _start(self.fc1)
        _start(self.fc2, branch_gain)

    def forward(self, h: Tensor) -> Tensor:
        """h (N, width) -> h2 (N, width)."""
        y = self.fc2(with_relu(self.fc1, h))
        return F.relu(y + h if self.residual else y)


class ResMLP(Module):
    """`depth` dense layers of `width` units, in pairs with a shortcut: (N, ...) -> logits (N,
    num_classes).

    The first layer and the last have no shortcut, so `depth` counts them and (depth - 2) / 2
    blocks. `residual=False` is the plain network of the same layers. `branch_gain` scales the
    initial weights at the end of every branch: 0 makes each block start as the identity. All layers
    but the last start with He's weights and biases of 0. Raises `ValueError` for an odd depth or
    one below 4.

    >>> import neurona
    >>> ResMLP(64, depth=10)(neurona.zeros(2, 1, 8, 8)).shape
    (2, 10)
    """

    def __init__(
        self,
        in_features: int = 784,
        num_classes: int = 10,
        *,
        width: int = 32,
        depth: int = 10,
        residual: bool = True,
        branch_gain: float = 1.0,
    ) -> None:
        super().__init__()
        check_int("resmlp", "width", width, 1)
        check_int("resmlp", "depth", depth, 4)
        if depth % 2:
            raise ValueError(f"resmlp: depth must be even, got {depth}")
        gain = number("resmlp", "branch_gain", branch_gain, 0.0)
        if not residual and gain != 1.0:
            raise ValueError(f"resmlp: branch_gain must be 1 without shortcuts, got {gain}")
        self.flatten = Flatten()
        self.stem = Linear(in_features, width)
        self.blocks = Sequential(
            *(
                ResidualPair(width, residual=residual, branch_gain=gain)
                for _ in range((depth - 2) // 2)
            )
        )
        self.head = Linear(width, num_classes)
        _start(self.stem)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes)."""
        return self.head(self.blocks(with_relu(self.stem, self.flatten(x))))
