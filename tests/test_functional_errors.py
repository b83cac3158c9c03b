"""nn.functional: what every function refuses alike."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurona
from neurona.nn import functional as F

FLOAT = neurona.ones(1, 1, 4, 4)
CALLS: dict[str, Any] = {
    "linear": lambda x: F.linear(x, neurona.ones(2, 4)),
    "conv2d": lambda x: F.conv2d(x, neurona.ones(1, 1, 2, 2)),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, neurona.ones(1, 1, 2, 2)),
    "max_pool2d": lambda x: F.max_pool2d(x, 2),
    "min_pool2d": lambda x: F.min_pool2d(x, 2),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 2),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, 2),
    "batch_norm": lambda x: F.batch_norm(x, None, None, training=True),
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "sigmoid": F.sigmoid,
    "tanh": F.tanh,
    "gelu": F.gelu,
    "silu": F.silu,
    "softmax": lambda x: F.softmax(x, 0),
    "log_softmax": lambda x: F.log_softmax(x, 0),
    "dropout": lambda x: F.dropout(x, 0.5),
    "mse_loss": lambda x: F.mse_loss(x, FLOAT),
    "l1_loss": lambda x: F.l1_loss(x, FLOAT),
    "smooth_l1_loss": lambda x: F.smooth_l1_loss(x, FLOAT),
    "huber_loss": lambda x: F.huber_loss(x, FLOAT),
    "binary_cross_entropy": lambda x: F.binary_cross_entropy(x, FLOAT),
    "binary_cross_entropy_with_logits": lambda x: F.binary_cross_entropy_with_logits(x, FLOAT),
    "kl_div": lambda x: F.kl_div(x, FLOAT),
    "hinge_loss": lambda x: F.hinge_loss(x, FLOAT),
    "pad": lambda x: F.pad(x, (1, 1)),
}


@pytest.mark.parametrize("op", CALLS)
@pytest.mark.parametrize("bad", [None, "abc", [[1.0], [2.0, 3.0]], b"x", 1.0])
def test_inputs_that_are_no_tensors(op: str, bad: Any) -> None:
    with pytest.raises(TypeError, match=f"{op}: input must be a Tensor or an ndarray"):
        CALLS[op](bad)


@pytest.mark.parametrize("op", [op for op in CALLS if op != "pad"])
@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.float16])
def test_inputs_of_another_dtype(op: str, dtype: Any) -> None:
    with pytest.raises(TypeError, match=np.dtype(dtype).name):
        CALLS[op](FLOAT.to(dtype))


@pytest.mark.parametrize("dtype", [complex, object, "U3", "datetime64[s]"])
def test_arrays_of_no_numbers(dtype: Any) -> None:
    with pytest.raises(TypeError, match="dtype"):
        F.relu(np.zeros(2, dtype))  # type: ignore[arg-type]


@pytest.mark.parametrize("op", [op for op in CALLS if "pool" in op or "conv" in op])
def test_images_have_three_or_four_axes(op: str) -> None:
    for shape in ((), (4,), (4, 4), (1, 1, 1, 4, 4)):
        with pytest.raises(ValueError, match=rf"{op}: input must have shape \(N, C, H, W\) or"):
            CALLS[op](neurona.ones(*shape))


def test_padding_words_of_conv2d() -> None:
    weight = neurona.ones(1, 1, 2, 2)
    with pytest.raises(ValueError, match="'same', 'valid', an int or a pair, got 'foo'"):
        F.conv2d(FLOAT, weight, padding="foo")
    with pytest.raises(ValueError, match="padding='same' must come with stride 1"):
        F.conv2d(FLOAT, weight, padding="same", stride=2)
    for bad in (0, -1, 1.5, (1, 2, 3), None):
        with pytest.raises((TypeError, ValueError), match="dilation"):
            F.conv2d(FLOAT, weight, padding="same", dilation=bad)  # type: ignore[arg-type]
