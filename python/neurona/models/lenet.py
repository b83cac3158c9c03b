"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998), with ReLU and max pooling."""

from __future__ import annotations

from ..nn import Conv2d, Linear, Module
from ..nn import functional as F
from ..tensor import Tensor
from .sizes import check_image


class LeNet5(Module):
    """Two 5x5 convolutions, three linear layers: (N, in_channels, S, S) -> logits (N, num_classes).

    For 28x28 grey images and 10 classes it has 61,706 parameters. Raises `ValueError` if
    `image_size` < 12, where nothing would be left for the second convolution and its pooling.

    >>> import neurona
    >>> LeNet5()(neurona.zeros(2, 1, 28, 28)).shape
    (2, 10)
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> None:
        super().__init__()
        check_image("lenet5", image_size, smallest=12)
        side = (image_size // 2 - 4) // 2
        self.conv1 = Conv2d(in_channels, 6, kernel_size=5, padding=2)
        self.conv2 = Conv2d(6, 16, kernel_size=5)
        self.fc1 = Linear(16 * side * side, 120)
        self.fc2 = Linear(120, 84)
        self.fc3 = Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, in_channels, S, S)."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.flatten(1)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)
