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
from .loss import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    contrastive_loss,
    cross_entropy,
    focal_loss,
    hinge_loss,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    multi_margin_loss,
    nll_loss,
    pairwise_distance,
    smooth_l1_loss,
    triplet_margin_loss,
)
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
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "contrastive_loss",
    "conv1d",
    "conv2d",
    "conv_output_size",
    "conv_transpose2d",
    "cross_entropy",
    "dropout",
    "dropout2d",
    "elu",
    "flatten",
    "focal_loss",
    "gelu",
    "group_norm",
    "hard_sigmoid",
    "hardsigmoid",
    "heaviside",
    "hinge_loss",
    "huber_loss",
    "interpolate",
    "kl_div",
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
    "multi_margin_loss",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "prelu",
    "rbf",
    "relu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
    "triplet_margin_loss",
]
