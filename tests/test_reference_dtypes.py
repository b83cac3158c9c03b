"""The reference keeps the floating dtype it is given, whichever that is, and warns of nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import harness
import neurona.reference as reference

X, IMAGE, WEIGHT = (4, 6), (2, 3, 6, 5), (3, 3, 3, 3)
ROWS = (np.array([0, 2, 4]), np.array([1, 3, 5]), np.array([0.1, 0.2, 0.3]))
COLUMNS = (np.array([0, 1, 1, 4]), None, None)
CALLS: dict[str, Any] = {
    "gemm": lambda r, m: r.gemm(
        m(X), m(X), trans_b=True, alpha=0.3, beta=0.7, c=m((4, 4)), bias=m((4,))
    ),
    "linear_forward": lambda r, m: r.linear_forward(m(X), m((5, 6)), m((5,)), activation="gelu"),
    "linear_backward": lambda r, m: r.linear_backward(m((4, 5)), m(X), m((5, X[1]))),
    "linear_backward_weight": lambda r, m: r.linear_backward_weight(m((4, 5)), m(X)),
    "conv2d_forward": lambda r, m: r.conv2d_forward(m(IMAGE), m(WEIGHT), m((3,)), padding=1),
    "conv2d_backward_data": lambda r, m: r.conv2d_backward_data(m((2, 3, 4, 3)), m(WEIGHT), (6, 5)),
    "conv2d_backward_weight": lambda r, m: r.conv2d_backward_weight(m((2, 3, 4, 3)), m(IMAGE), 3),
    "conv2d_backward": lambda r, m: r.conv2d_backward(m((2, 3, 4, 3)), m(IMAGE), m(WEIGHT)),
    "conv_transpose2d": lambda r, m: r.conv_transpose2d_forward(m(IMAGE), m(WEIGHT), stride=2),
    "max_pool2d": lambda r, m: r.max_pool2d_forward(m(IMAGE), 2, with_offsets=False),
    "avg_pool2d": lambda r, m: r.avg_pool2d_forward(m(IMAGE), 2),
    "avg_pool2d_backward": lambda r, m: r.avg_pool2d_backward(m((2, 3, 3, 2)), (6, 5), 2),
    "adaptive_avg_pool2d": lambda r, m: r.adaptive_avg_pool2d_forward(m(IMAGE), 2),
    "adaptive_backward": lambda r, m: r.adaptive_avg_pool2d_backward(m(IMAGE), 7),
    "batch_norm": lambda r, m: r.batch_norm_forward(
        m(IMAGE), m((3,)), m((3,)), None, None, training=True
    ),
    "batch_norm_backward": lambda r, m: r.batch_norm_backward(
        m(IMAGE), m(IMAGE), m((3,)), m((3,)), m((3,)), training=True
    ),
    "softmax": lambda r, m: r.softmax_forward(m(X), 1),
    "softmax_backward": lambda r, m: r.softmax_backward(m(X), m(X), 1),
    "log_softmax": lambda r, m: r.log_softmax_forward(m(X), 1),
    "log_softmax_backward": lambda r, m: r.log_softmax_backward(m(X), m(X), 1),
    "cross_entropy": lambda r, m: r.cross_entropy_forward(m(X), np.arange(4), label_smoothing=0.1),
    "leaky_relu": lambda r, m: r.leaky_relu_forward(m(X)),
    "gelu_tanh": lambda r, m: r.gelu_forward(m(X), "tanh"),
    "gelu_backward": lambda r, m: r.gelu_backward(m(X), m(X)),
    "silu_backward": lambda r, m: r.silu_backward(m(X), m(X)),
    "elu": lambda r, m: r.elu_forward(m(X), 0.3),
    "elu_backward": lambda r, m: r.elu_backward(m(X), m(X), 0.3),
    "hard_sigmoid": lambda r, m: r.hard_sigmoid_forward(m(X), 0.3),
    "softplus": lambda r, m: r.softplus_forward(m(X), 0.3),
    "softplus_backward": lambda r, m: r.softplus_backward(m(X), m(X), 0.3),
    "resample2d": lambda r, m: r.resample2d_forward(m(IMAGE), ROWS, COLUMNS),
    "resample2d_backward": lambda r, m: r.resample2d_backward(
        m((2, 3, 3, 4)), ROWS, COLUMNS, (6, 5)
    ),
    "bed_of_nails": lambda r, m: r.bed_of_nails_forward(m(IMAGE), 2),
    "reorder": lambda r, m: r.reorder(m(IMAGE), True),
    "affine_sample": lambda r, m: r.affine_sample(m(IMAGE), m((2, 2, 3))),
    "add": lambda r, m: r.add(m(X), 0.1),
    "div": lambda r, m: r.div(1.0, m(())),
    "sum": lambda r, m: r.sum(m(X)),
    "mean": lambda r, m: r.mean(m(X), 0),
    "max": lambda r, m: r.max(m(X)),
    "dropout": lambda r, m: r.dropout(m(X), 0.3, 1, 2),
}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", CALLS)
def test_results_have_the_dtype_of_the_arguments(name: str, dtype: Any) -> None:
    """float16, float32 and float64 in, the same out, values as near float64 as the type gets."""
    seeds = iter(range(100))
    narrow = CALLS[name](
        reference,
        lambda shape: np.asarray(harness.rng_of(next(seeds)).standard_normal(shape), dtype),
    )
    seeds = iter(range(100))
    wide = CALLS[name](
        reference,
        lambda shape: np.asarray(harness.rng_of(next(seeds)).standard_normal(shape), dtype).astype(
            float
        ),
    )
    for got, expected in zip(harness.results(narrow), harness.results(wide), strict=True):
        assert got.dtype == dtype
        bound = 100 * float(np.finfo(dtype).eps) * (1 + np.abs(expected).max())
        harness.assert_close(got, expected, bound, what=f"dtype:{name} {dtype.__name__}")


def test_optimizers_keep_the_dtype() -> None:
    """Parameters and state are updated in place, in their own dtype."""
    for dtype in (np.float16, np.float64):
        p, g, m, v = (np.ones(3, dtype) for _ in range(4))
        reference.adam_step([p], [g], [m], [v], step=1, lr=0.1)
        reference.sgd_step([p], [g], [m], lr=0.1, momentum=0.9)
        assert {a.dtype for a in (p, g, m, v)} == {np.dtype(dtype)}
