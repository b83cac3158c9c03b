"""Layers and losses as functions, with PyTorch's names, arguments and numerics.

Every function takes tensors or plain float arrays. Arguments that PyTorch does not have are
keyword-only.
"""

from __future__ import annotations

from .activation import gelu, leaky_relu, log_softmax, relu, sigmoid, silu, softmax, tanh
from .conv import conv1d, conv2d, conv_transpose2d
from .dropout import dropout, dropout2d
from .group_norm import group_norm, layer_norm
from .linear import linear
from .loss import cross_entropy, l1_loss, mse_loss, nll_loss
from .normalization import batch_norm, normalize
from .piecewise import elu, hard_sigmoid, hardsigmoid, heaviside, prelu, rbf, softplus
from .pooling import adaptive_avg_pool2d, adaptive_max_pool2d, avg_pool2d, max_pool2d, min_pool2d
from .pooling1d import avg_pool1d, max_pool1d
from .shape import flatten, one_hot, pad
from .sizes import conv_output_size
from .upsample import bed_of_nails, interpolate, max_unpool2d

__all__ = [
    "adaptive_avg_pool2d",
    "adaptive_max_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "batch_norm",
    "bed_of_nails",
    "conv1d",
    "conv2d",
    "conv_output_size",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "dropout2d",
    "elu",
    "flatten",
    "gelu",
    "group_norm",
    "hard_sigmoid",
    "hardsigmoid",
    "heaviside",
    "interpolate",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "max_pool1d",
    "max_pool2d",
    "max_unpool2d",
    "min_pool2d",
    "mse_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "prelu",
    "rbf",
    "relu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "tanh",
]
