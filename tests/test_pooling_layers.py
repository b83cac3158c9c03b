"""Adaptive max pooling and pooling of sequences, against loops over the windows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import autograd, nn
from neurona.nn import functional as F
from nn_helpers import assert_close


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """float64 runs on the reference without its note."""
    with neurona.use_backend("reference"):
        yield


def leaf(*shape: int) -> neurona.Tensor:
    return neurona.tensor(np.random.default_rng(shape).standard_normal(shape), requires_grad=True)


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (3, 2), (6, 7), (7, 9), (8, 11), (4, None)])
def test_adaptive_max_pool2d(size: Any) -> None:
    """Bins floor(i H / P) .. ceil((i + 1) H / P), overlapping where P does not divide H."""
    x = leaf(2, 3, 8, 9)
    rows, columns = size[0], size[1] or 9
    y, indices = F.adaptive_max_pool2d(x, size, return_indices=True)
    assert y.shape == indices.shape == (2, 3, rows, columns) and indices.dtype == np.int64
    dy = np.random.default_rng(1).standard_normal(y.shape)
    dx = np.zeros(x.shape)
    for n, c, p, q in np.ndindex(y.shape):
        top, bottom = p * 8 // rows, -(-(p + 1) * 8 // rows)
        left, right = q * 9 // columns, -(-(q + 1) * 9 // columns)
        window = x.data[n, c, top:bottom, left:right]
        row, column = np.unravel_index(window.argmax(), window.shape)
        place = (top + row) * 9 + left + column
        assert y.data[n, c, p, q] == window.max() and indices.data[n, c, p, q] == place
        dx[n, c, top + row, left + column] += dy[n, c, p, q]
    y.backward(neurona.Tensor(dy))
    assert x.grad is not None
    assert_close(x.grad, dx, 1e-14, "adaptive_max_pool2d")
    layer = nn.AdaptiveMaxPool2d(size)
    assert (layer(x[0]).data == y.data[0]).all() and "output_size" in repr(layer)
    assert len(nn.AdaptiveMaxPool2d(size, return_indices=True)(x)) == 2


def test_adaptive_max_pool2d_ties_and_nan() -> None:
    """As max_pool2d: the first of equals, and NaN always, whether or not the size divides."""
    for size in (5, 6):
        ties = neurona.zeros(1, 1, size, size, requires_grad=True)
        y, indices = F.adaptive_max_pool2d(ties, 3, return_indices=True)
        starts = [i * size // 3 for i in range(3)]
        assert indices.data[0, 0].tolist() == [[r * size + c for c in starts] for r in starts]
        x = neurona.zeros(1, 1, size, size)
        x.data[0, 0, size - 1, 0] = np.nan
        assert np.isnan(F.adaptive_max_pool2d(x, 3).data).sum() == 1


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2}, {"stride": (1,), "padding": 1}, {"ceil_mode": True}]
)
@pytest.mark.parametrize("unbatched", [False, True])
def test_pooling_of_sequences(options: dict[str, Any], unbatched: bool) -> None:
    x = leaf(2, 3, 8).data[0 if unbatched else slice(None)]
    stride = np.ravel(options.get("stride", 3))[0]
    pad = options.get("padding", 0)
    span = 8 + 2 * pad - 3
    count = (-(-span // stride) if options.get("ceil_mode") else span // stride) + 1
    wide = np.pad(x, ((0, 0),) * (x.ndim - 1) + ((pad, pad),), constant_values=np.nan)
    windows = [wide[..., i * stride : i * stride + 3] for i in range(count)]
    largest = np.stack([np.nanmax(w, axis=-1) for w in windows], axis=-1)
    means = np.stack([np.nansum(w, axis=-1) / w.shape[-1] for w in windows], axis=-1)
    given = neurona.Tensor(x)
    y, indices = F.max_pool1d(given, 3, return_indices=True, **options)
    assert_close(y, largest, 0.0, "max_pool1d")
    assert (np.take_along_axis(x, indices.data, axis=-1) == y.data).all()
    assert (nn.MaxPool1d(3, **options)(given).data == y.data).all()
    assert_close(F.avg_pool1d(given, 3, **options), means, 1e-15, "avg_pool1d")
    assert (nn.AvgPool1d(3, **options)(given).data == F.avg_pool1d(given, 3, **options).data).all()


def test_gradients_equal_central_differences() -> None:
    for function in (
        lambda x: F.max_pool1d(x, 3, 2, 1, 1, True),
        lambda x: F.max_pool1d(x, 2, dilation=2),
        lambda x: F.avg_pool1d(x, 3, 2, 1, True, False),
    ):
        assert autograd.gradcheck(function, leaf(2, 2, 7))
    assert autograd.gradcheck(lambda x: F.adaptive_max_pool2d(x, (2, 3)), leaf(1, 2, 5, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: F.max_pool1d(x, 2),
            ValueError,
            "max_pool1d: input must have shape (N, C, L) or",
        ),
        (
            lambda x: F.avg_pool1d(x[0], 0),
            ValueError,
            "avg_pool1d: kernel_size must be >= 1, got 0",
        ),
        (lambda x: F.max_pool1d(x[0], (2, 2)), ValueError, "must be an int or a tuple of one"),
        (lambda x: F.avg_pool1d([1.0], 2), TypeError, "avg_pool1d: input must be a Tensor"),
        (lambda x: nn.MaxPool1d(2.0), TypeError, "MaxPool1d: kernel_size must be an int"),
        (lambda x: nn.AvgPool1d(2, -1), ValueError, "AvgPool1d: stride must be in [1,"),
        (
            lambda x: nn.MaxPool1d(2)(x),
            ValueError,
            "expected input (N, C, L) or (C, L), got (1, 2,",
        ),
        (lambda x: F.adaptive_max_pool2d(x, 0), ValueError, "output_size must be >= 1, got 0"),
        (lambda x: F.adaptive_max_pool2d(x, "2"), TypeError, "output_size must be an int"),
        (lambda x: F.adaptive_max_pool2d(x[0, 0], 1), ValueError, "input must have shape (N, C, H"),
        (lambda x: F.adaptive_max_pool2d(x[..., :0], 1), ValueError, "input must have pixels"),
        (
            lambda x: nn.AdaptiveMaxPool2d((1, 2, 3)),
            ValueError,
            "AdaptiveMaxPool2d: output_size mus",
        ),
    ],
)
def test_bad_arguments(call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call(neurona.ones(1, 2, 4, 4))
