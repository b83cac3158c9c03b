"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998), in the classic form and two modern ones."""

from __future__ import annotations

from ..nn import RBF, AvgPool2d, Conv2d, Linear, MaxPool2d, Module
from ..nn import functional as F
from ..nn.fusion import through_linears, with_relu_and_pool
from ..tensor import Tensor
from .sizes import check_choice, check_image


class RBFHead(RBF):
    """Logits as minus the squared distances to one learned centre per class: x (N, in) -> (N, out).

    The nearest centre wins argmax and softmax alike. The centres (out, in) are all it has: there is
    no bias.

    >>> import neurona
    >>> head = RBFHead(3, 2)
    >>> head(head.centers.detach()).argmax(1).tolist()
    [0, 1]
    """

    def forward(self, input: Tensor) -> Tensor:
        """x (N, in) -> y (N, out)."""
        return -super().forward(input)


class LeNet5(Module):
    """Two 5x5 convolutions of 6 and 16 filters with 2x2 pools, three dense layers: images (N,
    in_channels, S, S) -> logits (N, num_classes).

    | modern | activation | pool    | padding of conv1, conv2 | S  |
    |--------|------------|---------|-------------------------|----|
    | None   | ReLU       | max     | 2, 0                    | 28 |
    | False  | tanh       | average | 0, 0                    | 32 |
    | True   | ReLU       | max     | 2, 2                    | 32 |

    S is what `image_size` is unless given. The first two forms have 61,706 parameters for grey
    images and 10 classes; the classic one takes tanh after the convolutions and after the pools.
    `head="rbf"` puts radial basis functions (`RBFHead`, 840 parameters) in place of the last dense
    layer (850). Raises `ValueError` if the image is too small for two convolutions and pools.

    >>> import neurona
    >>> LeNet5()(neurona.zeros(2, 1, 28, 28)).shape
    (2, 10)
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int | None = None,
        *,
        modern: bool | None = None,
        head: str = "linear",
    ) -> None:
        super().__init__()
        if modern is not None and not isinstance(modern, bool):
            raise TypeError(f"lenet5: modern must be a bool or None, got {type(modern).__name__}")
        check_choice("lenet5", "head", head, ("linear", "rbf"))
        size = (28 if modern is None else 32) if image_size is None else image_size
        paddings = {None: (2, 0), False: (0, 0), True: (2, 2)}[modern]
        check_image("lenet5", size, smallest={None: 12, False: 16, True: 4}[modern])
        side = size
        for padding in paddings:
            side = (side + 2 * padding - 4) // 2
        self.activation = "tanh" if modern is False else "relu"
        self.conv1 = Conv2d(in_channels, 6, kernel_size=5, padding=paddings[0])
        self.pool1: Module = AvgPool2d(2) if modern is False else MaxPool2d(2)
        self.conv2 = Conv2d(6, 16, kernel_size=5, padding=paddings[1])
        self.pool2: Module = AvgPool2d(2) if modern is False else MaxPool2d(2)
        self.fc1 = Linear(16 * side * side, 120)
        self.fc2 = Linear(120, 84)
        self.fc3: Module = RBFHead(84, num_classes) if head == "rbf" else Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, in_channels, S, S)."""
        if self.activation == "tanh":
            x = F.tanh(self.pool1(F.tanh(self.conv1(x))))
            x = F.tanh(self.pool2(F.tanh(self.conv2(x)))).flatten(1)
            return self.fc3(F.tanh(self.fc2(F.tanh(self.fc1(x)))))
        x = with_relu_and_pool(self.conv1, self.pool1, x)
        x = with_relu_and_pool(self.conv2, self.pool2, x).flatten(1)
        return through_linears(self.fc1, self.fc2, self.fc3, x)
