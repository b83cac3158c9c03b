"""Residual networks (He, Zhang, Ren, Sun 2016) of basic blocks, with torchvision's names."""

from __future__ import annotations

from collections.abc import Sequence

from ..nn import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Linear, MaxPool2d, Module, Sequential, init
from ..nn import functional as F
from ..nn.fusion import with_relu
from ..tensor import Tensor
from .sizes import check_choice, check_image, check_int


def _conv3x3(in_channels: int, out_channels: int, stride: int = 1) -> Conv2d:
    # The normalisation that follows would cancel a bias.
    return Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)


class BasicBlock(Module):
    """y = relu(BN(conv(relu(BN(conv(x))))) + shortcut(x)): (N, C, H, W) -> (N, K, H/stride,
    W/stride).

    The shortcut is x itself where sizes agree, else a 1x1 convolution with batch normalisation
    (`downsample`). `residual=False` leaves it out: the plain block of the same depth.

    >>> import neurona
    >>> BasicBlock(4, 8, stride=2)(neurona.zeros(2, 4, 6, 6)).shape
    (2, 8, 3, 3)
    """

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, *, residual: bool = True
    ) -> None:
        super().__init__()
        self.conv1 = _conv3x3(in_channels, channels, stride)
        self.bn1 = BatchNorm2d(channels)
        self.conv2 = _conv3x3(channels, channels)
        self.bn2 = BatchNorm2d(channels)
        self.residual = residual
        self.downsample: Module | None = None
        if residual and (stride != 1 or in_channels != channels):
            self.downsample = Sequential(
                Conv2d(in_channels, channels, 1, stride=stride, bias=False), BatchNorm2d(channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) -> y (N, K, H/stride, W/stride)."""
        y = self.bn2(self.conv2(with_relu(self.bn1, self.conv1(x))))
        if self.residual:
            y = y + (x if self.downsample is None else self.downsample(x))
        return F.relu(y)


def _stage(
    in_channels: int, channels: int, blocks: int, stride: int, residual: bool = True
) -> Sequential:
    first = BasicBlock(in_channels, channels, stride, residual=residual)
    rest = [BasicBlock(channels, channels, residual=residual) for _ in range(blocks - 1)]
    return Sequential(first, *rest)


def _kaiming(model: Module) -> None:
    """The initialisation of the paper, by fan-out."""
    for module in model.modules():
        if isinstance(module, Conv2d):
            init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class ResNet(Module):
    """Four stages of `BasicBlock`s with 64 to 512 channels: (N, in_channels, S, S) -> logits (N,
    num_classes).

    `stem="imagenet"` begins with a 7x7 convolution of stride 2 and a 3x3 maximum of stride 2, for
    images of 224 pixels; "small" with a 3x3 convolution alone, for images of 32. Names and shapes
    of the parameters are torchvision's, so that its weights load into `ResNet((2, 2, 2, 2))`, known
    as `resnet18`. Raises `ValueError` for another stem or if there are not four counts >= 1.

    >>> import neurona
    >>> ResNet((1, 1, 1, 1), 10, stem="small").eval()(neurona.zeros(1, 3, 8, 8)).shape
    (1, 10)
    """

    def __init__(
        self,
        layers: Sequence[int],
        num_classes: int = 1000,
        in_channels: int = 3,
        *,
        stem: str = "imagenet",
    ) -> None:
        super().__init__()
        check_choice("resnet", "stem", stem, ("imagenet", "small"))
        if len(layers) != 4:
            raise ValueError(f"resnet: layers must be four counts, got {tuple(layers)}")
        for count in layers:
            check_int("resnet", "layers", count, 1)
        large = stem == "imagenet"
        size, stride, padding = (7, 2, 3) if large else (3, 1, 1)
        self.conv1 = Conv2d(in_channels, 64, size, stride=stride, padding=padding, bias=False)
        self.bn1 = BatchNorm2d(64)
        self.maxpool: Module | None = MaxPool2d(3, stride=2, padding=1) if large else None
        self.layer1 = _stage(64, 64, layers[0], 1)
        self.layer2 = _stage(64, 128, layers[1], 2)
        self.layer3 = _stage(128, 256, layers[2], 2)
        self.layer4 = _stage(256, 512, layers[3], 2)
        self.avgpool = AdaptiveAvgPool2d(1)
        self.fc = Linear(512, num_classes)
        _kaiming(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, in_channels, S, S) of any size."""
        x = with_relu(self.bn1, self.conv1(x))
        if self.maxpool is not None:
            x = self.maxpool(x)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


class ResCNN(Module):
    """The residual network for small images of section 4.2 of the paper, `depth` = 6 n + 2 layers:
    (N, in_channels, S, S) -> logits (N, num_classes).

    A 3x3 convolution, three stages of n blocks with `width`, 2 `width`, 4 `width` channels, the
    mean over all pixels, a dense layer. `residual=False` is the plain network of the same layers,
    which gets worse with depth where the residual one does not. Raises `ValueError` if `depth` is
    not 6 n + 2 or `image_size` < 4.

    >>> import neurona
    >>> ResCNN(depth=8, width=4).eval()(neurona.zeros(2, 1, 8, 8)).shape
    (2, 10)
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 1,
        image_size: int = 8,
        *,
        depth: int = 20,
        width: int = 16,
        residual: bool = True,
    ) -> None:
        super().__init__()
        check_image("rescnn", image_size, smallest=4)
        check_int("rescnn", "width", width, 1)
        check_int("rescnn", "depth", depth, 8)
        blocks, rest = divmod(depth - 2, 6)
        if rest:
            raise ValueError(f"rescnn: depth must be 6 n + 2, got {depth}")
        self.conv1 = _conv3x3(in_channels, width)
        self.bn1 = BatchNorm2d(width)
        self.layer1 = _stage(width, width, blocks, 1, residual)
        self.layer2 = _stage(width, 2 * width, blocks, 2, residual)
        self.layer3 = _stage(2 * width, 4 * width, blocks, 2, residual)
        self.avgpool = AdaptiveAvgPool2d(1)
        self.fc = Linear(4 * width, num_classes)
        _kaiming(self)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images (N, in_channels, S, S)."""
        x = with_relu(self.bn1, self.conv1(x))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.avgpool(x).flatten(1))
