"""A layer and the ReLU behind it as one kernel, or a max pooling before the ReLU."""

from __future__ import annotations

from typing import Any

from ..autograd import is_grad_enabled
from . import functional as F
from .conv import Conv2d
from .functional.conv import conv2d_relu_max_pool2d
from .functional.linear import linear_chain
from .layer_errors import name_layer
from .linear import Linear
from .module import Module
from .normalization import BatchNorm1d, BatchNorm2d
from .pooling import MaxPool2d

_FUSABLE = (Linear, Conv2d, BatchNorm1d, BatchNorm2d)


def fusable(layer: Module) -> bool:
    """A subclass may compute something else, and hooks must see what they watch."""
    return layer._hooks is None and type(layer) in _FUSABLE


def swappable(pool: Module) -> bool:
    """Whether relu(pool(x)) is pool(relu(x)) and nobody watches."""
    return type(pool) is MaxPool2d and pool._hooks is None and not pool.return_indices


# Elements of which a pass should cost a GPU less than a kernel of its own: 4 MiB stay in its cache.
# A guess, to be measured.
_FEW_ON_DEVICE = 1 << 20


def _relu_is_free(layer: Module, input: Any) -> bool:
    """Whether the layer's own kernel should have the ReLU even where gradients are asked for."""
    if getattr(input, "device", "cpu") == "cpu" or input.ndim < 2 or input.shape[1] == 0:
        return False
    channels = getattr(layer, "out_channels", input.shape[1])
    few: bool = input.data.size // input.shape[1] * channels <= _FEW_ON_DEVICE
    return few


def _is_one_node(layer: Module, pool: Module, input: Any) -> bool:
    """Whether a convolution, the ReLU and the pooling are one node of the graph: on a device, whose
    kernels then have the ReLU and its gradient for nothing.
    """
    plain = fusable(layer) and type(layer) is Conv2d and swappable(pool)
    if not plain or getattr(input, "device", "cpu") == "cpu" or input.ndim != 4:
        return False
    simple: bool = layer._extra_padding is None and not layer.strict  # type: ignore[attr-defined]
    return simple


def _at_once(layer: Any, pool: Any, input: Any) -> Any:
    names = ("stride", "padding", "dilation")
    geometry = {name: getattr(layer, name) for name in (*names, "groups")}
    window = {name: getattr(pool, name) for name in ("kernel_size", *names, "ceil_mode")}
    geometry["padding"] = layer._kernel_padding
    return conv2d_relu_max_pool2d(input, layer.weight, layer.bias, geometry, window)


def with_relu_and_pool(layer: Module, pool: Module, input: Any) -> Any:
    """pool(relu(layer(input))), the same bits.

    Where gradients will be asked for, the ReLU comes last if the pooling is swappable: it then
    reads and writes the smaller maps, and so does its gradient (20 maps of 24x24, batch 100: 0.36
    ms less of a step of 8.4). Without gradients, or of few elements on a device, the layer's own
    kernel has it for nothing; so have a convolution's and the pooling's on a device.
    """
    if not is_grad_enabled():
        return pool(with_relu(layer, input))
    if _is_one_node(layer, pool, input):
        try:
            return _at_once(layer, pool, input)
        except (TypeError, ValueError) as error:
            unnamed = error
        pool(with_relu(layer, input))  # which says what does not fit by the name of its layer
        raise unnamed
    if swappable(pool) and not _relu_is_free(layer, input):
        return F.relu(pool(layer(input)))
    return pool(with_relu(layer, input))


def with_relu(layer: Module, input: Any) -> Any:
    """relu(layer(input)), the same bits, in one pass where the layer has such a kernel.

    >>> import neurona
    >>> from neurona import nn
    >>> with_relu(nn.BatchNorm1d(1), neurona.tensor([[1.0], [3.0]])).flatten()
    tensor([0., 1.])
    """
    if not fusable(layer):
        return F.relu(layer(input))
    fused: Any = layer
    try:
        return fused.forward_fused(input, "relu")
    except (TypeError, ValueError) as error:
        name_layer(layer, error, (input,))
        raise


def _all_need_gradients(layer: Any) -> bool:
    parts = (layer.weight,) if layer.bias is None else (layer.weight, layer.bias)
    return all(part.requires_grad for part in parts)


def _are_one_node(layers: list[Any], input: Any) -> bool:
    """Whether linear layers and the ReLUs between them are one node of the graph: on a device,
    where a layer's gradients come with that of the ReLU before it.
    """
    if not is_grad_enabled() or getattr(input, "device", "cpu") == "cpu" or input.ndim != 2:
        return False
    return all(
        type(layer) is Linear and fusable(layer) and _all_need_gradients(layer) for layer in layers
    )


def through_linears(*layers_and_input: Any, relu_behind: bool = False) -> Any:
    """The layers one after the other with a ReLU between each two, and behind the last one if
    asked; the same bits.

    >>> import neurona
    >>> from neurona import nn
    >>> through_linears(nn.Linear(4, 3), nn.Linear(3, 2), neurona.zeros(5, 4)).shape
    (5, 2)
    """
    *layers, input = layers_and_input
    if len(layers) > 1 and _are_one_node(layers, input):
        parts = [(layer.weight, layer.bias) for layer in layers]
        try:
            return linear_chain(input, parts, "relu" if relu_behind else None)
        except (TypeError, ValueError) as error:
            unnamed = error
        _in_turn(layers, input, relu_behind)  # which says what does not fit by the layer's name
        raise unnamed
    return _in_turn(layers, input, relu_behind)


def _in_turn(layers: list[Any], input: Any, relu_behind: bool) -> Any:
    for layer in layers[:-1]:
        input = with_relu(layer, input)
    return with_relu(layers[-1], input) if relu_behind else layers[-1](input)


def through_linears_and_relu(*layers_and_input: Any) -> Any:
    """`through_linears` with a ReLU behind the last one too."""
    return through_linears(*layers_and_input, relu_behind=True)
