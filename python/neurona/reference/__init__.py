"""The NumPy reference: every kernel of neurona, naive on purpose, for any floating dtype.

It is the specification of the compiled kernels (same names, same arguments, same shapes) and the
backend of float64 tensors. All functions take and return plain NumPy arrays; nothing here imports
anything but NumPy.
"""

from __future__ import annotations

from .activation import (
    elu_backward,
    elu_forward,
    gelu_backward,
    gelu_forward,
    hard_sigmoid_backward,
    hard_sigmoid_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid_backward,
    sigmoid_forward,
    silu_backward,
    silu_forward,
    softplus_backward,
    softplus_forward,
    tanh_backward,
    tanh_forward,
)
from .adaptive import (
    adadelta_step,
    adagrad_step,
    adamax_step,
    nadam_step,
    rmsprop_step,
)
from .affine import affine_sample
from .avg_pool2d import (
    adaptive_avg_pool2d_backward,
    adaptive_avg_pool2d_forward,
    avg_pool2d_backward,
    avg_pool2d_forward,
)
from .batch_norm import batch_norm_backward, batch_norm_forward
from .conv2d import (
    conv2d_backward,
    conv2d_backward_bias,
    conv2d_backward_data,
    conv2d_backward_weight,
    conv2d_forward,
    conv2d_plan,
)
from .conv_transpose2d import (
    conv_transpose2d_backward_data,
    conv_transpose2d_backward_weight,
    conv_transpose2d_forward,
)
from .cross_entropy import cross_entropy_forward
from .distance import pairwise_distances
from .elementwise import add, div, mul, sub
from .focal_loss import focal_loss_forward
from .gemm import (
    gemm,
    linear_backward,
    linear_backward_data,
    linear_backward_weight,
    linear_forward,
)
from .optim import adam_step, sgd_step
from .pointwise_loss import pointwise_loss_forward
from .pool2d import (
    max_pool2d_backward,
    max_pool2d_forward,
    min_pool2d_backward,
    min_pool2d_forward,
    pool2d_indices,
)
from .random import dropout, philox, random_normal, random_uniform
from .reduce import max, mean, sum
from .reorder import reorder
from .softmax import (
    log_softmax_backward,
    log_softmax_forward,
    softmax_backward,
    softmax_forward,
)
from .upsample import (
    bed_of_nails_forward,
    max_unpool2d_backward,
    max_unpool2d_forward,
    resample2d_backward,
    resample2d_forward,
)

__all__ = [
    "adadelta_step",
    "adagrad_step",
    "adam_step",
    "adamax_step",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool2d_forward",
    "add",
    "affine_sample",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "bed_of_nails_forward",
    "conv2d_backward",
    "conv2d_backward_bias",
    "conv2d_backward_data",
    "conv2d_backward_weight",
    "conv2d_forward",
    "conv2d_plan",
    "conv_transpose2d_backward_data",
    "conv_transpose2d_backward_weight",
    "conv_transpose2d_forward",
    "cross_entropy_forward",
    "div",
    "dropout",
    "elu_backward",
    "elu_forward",
    "focal_loss_forward",
    "gelu_backward",
    "gelu_forward",
    "gemm",
    "hard_sigmoid_backward",
    "hard_sigmoid_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "linear_backward",
    "linear_backward_data",
    "linear_backward_weight",
    "linear_forward",
    "log_softmax_backward",
    "log_softmax_forward",
    "max",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "max_unpool2d_backward",
    "max_unpool2d_forward",
    "mean",
    "min_pool2d_backward",
    "min_pool2d_forward",
    "mul",
    "nadam_step",
    "pairwise_distances",
    "philox",
    "pointwise_loss_forward",
    "pool2d_indices",
    "random_normal",
    "random_uniform",
    "relu_backward",
    "relu_forward",
    "reorder",
    "resample2d_backward",
    "resample2d_forward",
    "rmsprop_step",
    "sgd_step",
    "sigmoid_backward",
    "sigmoid_forward",
    "silu_backward",
    "silu_forward",
    "softmax_backward",
    "softmax_forward",
    "softplus_backward",
    "softplus_forward",
    "sub",
    "sum",
    "tanh_backward",
    "tanh_forward",
]
