"""A small convolutional network for small images."""

from __future__ import annotations

from ..nn import Conv2d, Linear, MaxPool2d, Module
from ..nn.fusion import with_relu_and_pool
from ..tensor import Tensor
from .sizes import check_image


class DigitsCNN(Module):
    """Two 3x3 convolutions with pooling and a linear layer; 6,090 parameters for 8x8 digits.

    (N, in_channels, S, S) -> logits (N, num_classes). Raises `ValueError` if `image_size` < 4.

    >>> import neurona
    >>> DigitsCNN()(neurona.zeros(2, 1, 8, 8)).shape
    (2, 10)
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 8) -> None:
        super().__init__()
        check_image("digits_cnn", image_size, smallest=4)
        self.conv1 = Conv2d(in_channels, 16, kernel_size=3, padding=1)
        self.conv2 = Conv2d(16, 32, kernel_size=3, padding=1)
        self.pool = MaxPool2d(2)
        self.fc = Linear(32 * (image_size // 4) ** 2, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, in_channels, S, S)."""
        x = with_relu_and_pool(self.conv1, self.pool, x)
        x = with_relu_and_pool(self.conv2, self.pool, x)
        return self.fc(x.flatten(1))
