"""The networks of the end-to-end rows, described once as data and built by every library.

A network is a list of layers on an input (C, H, W). ``build`` needs only a module that speaks
``torch.nn``, so each library gets the same architecture from the same lines.
"""

from __future__ import annotations

from typing import Any

Layer = tuple[Any, ...]

#   ("conv", K, R, stride, padding)      with bias
#   ("conv_bn", K, R, stride, padding)   without bias, then batch norm
#   ("block", K, stride)                 relu(conv_bn(relu(conv_bn(x))) + shortcut(x)), 3x3
#   ("linear", out)
#   ("max_pool", size, stride, padding)
#   ("global_avg_pool",)  ("flatten",)  ("relu",)

RELU: Layer = ("relu",)
FLATTEN: Layer = ("flatten",)
HALVE: Layer = ("max_pool", 2, 2, 0)


def _mlp(*widths: int) -> list[Layer]:
    layers: list[Layer] = [FLATTEN]
    for width in widths[:-1]:
        layers += [("linear", width), RELU]
    return [*layers, ("linear", widths[-1])]


def _vgg_stage(channels: int) -> list[Layer]:
    return [("conv_bn", channels, 3, 1, 1), RELU, ("conv_bn", channels, 3, 1, 1), RELU, HALVE]


# Two blocks at each of four widths, the later ones beginning with half the size; `out` classes.
def _resnet18_stages(out: int) -> list[Layer]:
    widths = (64, 128, 256, 512)
    blocks = [("block", width, 1 + (i == 0 and width > 64)) for width in widths for i in (0, 1)]
    return [*blocks, ("global_avg_pool",), FLATTEN, ("linear", out)]


NETWORKS: dict[str, tuple[tuple[int, int, int], list[Layer]]] = {
    "lenet5": (
        (1, 28, 28),
        [
            *[("conv", 6, 5, 1, 2), RELU, HALVE, ("conv", 16, 5, 1, 0), RELU, HALVE],
            *_mlp(120, 84, 10),
        ],
    ),
    "cnn_20_40": (
        (1, 28, 28),
        [
            *[("conv", 20, 5, 1, 0), RELU, HALVE, ("conv", 40, 5, 1, 0), RELU, HALVE],
            *_mlp(1000, 1000, 10),
        ],
    ),
    "mlp64": ((1, 28, 28), _mlp(64, 64, 64, 10)),
    "mlp256": ((1, 28, 28), _mlp(256, 10)),
    "mlp512": ((1, 28, 28), _mlp(512, 512, 10)),
    "mlp1024": ((1, 28, 28), _mlp(1024, 1024, 1024, 10)),
    "vgg_small": ((3, 32, 32), [*_vgg_stage(32), *_vgg_stage(64), FLATTEN, ("linear", 10)]),
    "resnet8": (
        (3, 32, 32),
        [
            *[("conv_bn", 16, 3, 1, 1), RELU, ("block", 16, 1), ("block", 32, 2), ("block", 64, 2)],
            *[("global_avg_pool",), FLATTEN, ("linear", 10)],
        ],
    ),
    "resnet18": (
        (3, 224, 224),
        [
            *[("conv_bn", 64, 7, 2, 3), RELU, ("max_pool", 3, 2, 1)],
            *_resnet18_stages(1000),
        ],
    ),
    # For small images, as is usual: a 3x3 stem that keeps the size, and no pooling.
    "resnet18_32": ((3, 32, 32), [("conv_bn", 64, 3, 1, 1), RELU, *_resnet18_stages(10)]),
}


def classes(name: str) -> int:
    """Width of the last layer."""
    return int(NETWORKS[name][1][-1][1])


def _conv_bn(nn: Any, in_channels: int, layer: Layer) -> list[Any]:
    _, channels, size, stride, padding = layer
    return [
        nn.Conv2d(in_channels, channels, size, stride=stride, padding=padding, bias=False),
        nn.BatchNorm2d(channels),
    ]


def _residual_block(nn: Any, in_channels: int, channels: int, stride: int) -> Any:
    class ResidualBlock(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            first = _conv_bn(nn, in_channels, ("conv_bn", channels, 3, stride, 1))
            second = _conv_bn(nn, channels, ("conv_bn", channels, 3, 1, 1))
            self.body = nn.Sequential(*first, nn.ReLU(), *second)
            reshapes = stride != 1 or in_channels != channels
            projection = _conv_bn(nn, in_channels, ("conv_bn", channels, 1, stride, 0))
            self.shortcut = nn.Sequential(*projection) if reshapes else nn.Identity()
            self.relu = nn.ReLU()

        def forward(self, x: Any) -> Any:
            return self.relu(self.body(x) + self.shortcut(x))

    return ResidualBlock()


def build(nn: Any, name: str) -> Any:
    """The network ``name`` as an ``nn.Sequential`` of the library whose ``nn`` is given."""
    layers = NETWORKS[name][1]
    modules: list[Any] = []
    for layer, (channels, height, width) in zip(layers, _shapes(name), strict=True):
        kind = layer[0]
        if kind == "conv":
            _, out_channels, size, stride, padding = layer
            modules.append(nn.Conv2d(channels, out_channels, size, stride=stride, padding=padding))
        elif kind == "conv_bn":
            modules += _conv_bn(nn, channels, layer)
        elif kind == "block":
            modules.append(_residual_block(nn, channels, layer[1], layer[2]))
        elif kind == "max_pool":
            modules.append(nn.MaxPool2d(layer[1], stride=layer[2], padding=layer[3]))
        elif kind == "global_avg_pool":
            modules.append(nn.AdaptiveAvgPool2d(1))
        elif kind == "flatten":
            modules.append(nn.Flatten())
        elif kind == "linear":
            modules.append(nn.Linear(channels * height * width, layer[1]))
        else:
            modules.append(nn.ReLU())
    return nn.Sequential(*modules)


def _out(size: int, kernel: int, stride: int, padding: int) -> int:
    return (size + 2 * padding - kernel) // stride + 1


def _after(layer: Layer, shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Shape (C, H, W) behind a layer."""
    channels, height, width = shape
    if layer[0] in ("conv", "conv_bn"):
        _, out_channels, size, stride, padding = layer
        return (
            out_channels,
            _out(height, size, stride, padding),
            _out(width, size, stride, padding),
        )
    if layer[0] == "block":
        return (layer[1], _out(height, 3, layer[2], 1), _out(width, 3, layer[2], 1))
    if layer[0] == "max_pool":
        return (channels, _out(height, *layer[1:]), _out(width, *layer[1:]))
    if layer[0] == "global_avg_pool":
        return (channels, 1, 1)
    if layer[0] == "linear":
        return (layer[1], 1, 1)
    return shape


def _shapes(name: str) -> list[tuple[int, int, int]]:
    """Shape (C, H, W) in front of each layer."""
    shape, layers = NETWORKS[name]
    shapes = []
    for layer in layers:
        shapes.append(shape)
        shape = _after(layer, shape)
    return shapes


def _layer_macs(layer: Layer, shape: tuple[int, int, int]) -> int:
    channels, height, width = shape
    out_channels, p, q = _after(layer, shape)
    terms = 0
    if layer[0] in ("conv", "conv_bn"):
        terms = channels * layer[2] ** 2
    elif layer[0] == "linear":
        terms = channels * height * width
    elif layer[0] == "block":
        reshapes = layer[2] != 1 or channels != out_channels
        terms = 9 * channels + 9 * out_channels + channels * reshapes
    return out_channels * p * q * terms


def macs(name: str) -> list[int]:
    """Multiply-adds of one sample's forward pass, for each layer that has any."""
    counts = [_layer_macs(*pair) for pair in zip(NETWORKS[name][1], _shapes(name), strict=True)]
    return [count for count in counts if count]
