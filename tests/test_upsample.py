"""Max unpooling, bed of nails, interpolation, and transposed convolution as an adjoint."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import autograd, nn
from neurona.nn import functional as F
from nn_helpers import EPS, assert_close

RNG = np.random.default_rng(24)
pytestmark = pytest.mark.filterwarnings("ignore:neurona. the compiled kernels compute in float32")


def leaf(*shape: int) -> neurona.Tensor:
    return neurona.tensor(np.random.default_rng(shape).standard_normal(shape), requires_grad=True)


def taps_by_hand(length: int, size: int, step: float, mode: str) -> np.ndarray:
    """The (size, length) matrix of one axis, element by element."""
    matrix = np.zeros((size, length))
    for i in range(size):
        if mode == "nearest":
            matrix[i, min(int(i * step), length - 1)] = 1
            continue
        place = i * step if mode == "corners" else max((i + 0.5) * step - 0.5, 0.0)
        below = min(int(place), length - 1)
        matrix[i, below] += 1 - (place - below)
        matrix[i, min(below + 1, length - 1)] += place - below
    return matrix


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "corners"])
@pytest.mark.parametrize("size", [(10, 14), (9, 3), (1, 1), (5, 7), (2, 20)])
def test_interpolate_is_a_product_with_two_matrices(mode: str, size: tuple[int, int]) -> None:
    x = leaf(2, 3, 5, 7)
    corners = mode == "corners"
    steps = [
        (n - 1) / max(p - 1, 1) if corners else n / p for n, p in zip((5, 7), size, strict=True)
    ]
    rows, columns = (
        taps_by_hand(n, p, s, mode) for n, p, s in zip((5, 7), size, steps, strict=True)
    )
    options: dict[str, Any] = (
        {"mode": "nearest"} if mode == "nearest" else {"mode": "bilinear", "align_corners": corners}
    )
    y = F.interpolate(x, size, **options)
    assert_close(y, rows @ x.data @ columns.T, 1e-12, "interpolate")
    dy = RNG.standard_normal(y.shape)
    y.backward(neurona.Tensor(dy))
    assert x.grad is not None
    assert_close(x.grad, rows.T @ dy @ columns, 1e-12, "interpolate gradient")


@pytest.mark.parametrize("factor", [1, 2, 3, (2, 3)])
def test_nearest_repeats_each_value_in_a_block(factor: Any) -> None:
    """C19: np.kron with ones; the gradient is the sum of each block."""
    blocks = factor if isinstance(factor, tuple) else (factor, factor)
    x = leaf(2, 3, 4, 5)
    y = nn.Upsample(scale_factor=factor)(x)
    assert (y.data == np.kron(x.data, np.ones((1, 1, *blocks)))).all()
    dy = RNG.standard_normal(y.shape)
    y.backward(neurona.Tensor(dy))
    assert x.grad is not None
    sums = dy.reshape(2, 3, 4, blocks[0], 5, blocks[1]).sum((3, 5))
    assert_close(x.grad, sums, 1e-12, "upsample gradient")


def test_interpolate_by_factor_and_by_size() -> None:
    """Numbers of PyTorch 2.13: 1 / scale_factor is the step unless it is computed anew."""
    x = neurona.arange(5).float().reshape(1, 1, 5)
    by_factor = F.interpolate(x, scale_factor=1.7, mode="linear")
    anew = F.interpolate(x, scale_factor=1.7, mode="linear", recompute_scale_factor=True)
    assert by_factor.shape == anew.shape == (1, 1, 8)
    assert_close(by_factor.data[0, 0, -1], 3.911765, 1e-6, "factor")
    assert_close(anew.data[0, 0, -1], 4.0, 1e-6, "anew")
    assert_close(by_factor.data[0, 0, 1], 0.382353, 1e-6, "factor")
    assert F.interpolate(x, scale_factor=0.5).data.ravel().tolist() == [0.0, 2.0]
    assert F.interpolate(x, 7).data.ravel().tolist() == [0, 0, 1, 2, 2, 3, 4]
    assert F.interpolate(neurona.zeros(0, 2, 3, 3), scale_factor=2).shape == (0, 2, 6, 6)
    infinite = neurona.tensor([[[np.inf, 1.0, 2.0]]])
    assert np.isfinite(F.interpolate(infinite, 6).data[0, 0, 2:]).all()


def test_bed_of_nails() -> None:
    """C20: one value in the top left corner of each block; its gradient is a strided slice."""
    x = leaf(2, 3, 4, 5)
    layer = nn.BedOfNails((2, 3))
    y = layer(x)
    assert y.shape == (2, 3, 8, 15)
    assert (y.data[..., ::2, ::3] == x.data).all()
    assert np.count_nonzero(y.data) == x.data.size
    dy = RNG.standard_normal(y.shape)
    y.backward(neurona.Tensor(dy))
    assert x.grad is not None and (x.grad.data == dy[..., ::2, ::3]).all()
    assert layer(neurona.ones(3, 4, 5)).shape == (3, 8, 15)
    with neurona.use_backend("reference"):
        assert autograd.gradcheck(lambda x: F.bed_of_nails(x, 3), leaf(1, 2, 2, 3))


@pytest.mark.parametrize("unbatched", [False, True])
@pytest.mark.parametrize("shape", [(6, 8), (7, 9)])
def test_max_unpool_puts_maxima_back(shape: tuple[int, int], unbatched: bool) -> None:
    """C21: unpool(pool(x)) is x at the maxima and 0 elsewhere, in any size that pools alike."""
    x = np.random.default_rng(shape).standard_normal((2, 3, *shape)).astype(np.float32)
    given = x[0] if unbatched else x
    y, indices = nn.MaxPool2d(2, return_indices=True)(neurona.Tensor(given))
    back = nn.MaxUnpool2d(2)(y, indices, output_size=given.shape).data
    best = np.zeros_like(given)
    for p, q in np.ndindex(shape[0] // 2, shape[1] // 2):
        window = np.s_[..., 2 * p : 2 * p + 2, 2 * q : 2 * q + 2]
        block = given[window]
        best[window] = np.where(block == block.max((-2, -1), keepdims=True), block, 0)
    assert (back == best).all() and np.count_nonzero(back) == y.data.size
    small = F.max_unpool2d(y, F.max_pool2d(y * 0, 1, return_indices=True)[1], 1)
    assert (small.data == y.data).all()


def test_max_unpool_gradient() -> None:
    with neurona.use_backend("reference"):
        y, indices = F.max_pool2d(leaf(2, 2, 5, 6), 3, 2, 1, return_indices=True)
        assert nn.MaxUnpool2d(3, 2, 1)(y, indices, (5, 6)).shape == (2, 2, 5, 6)
        # Windows that do not overlap: no two values share a place.
        y, indices = F.max_pool2d(leaf(2, 2, 4, 6), 2, return_indices=True)
        assert autograd.gradcheck(lambda v: F.max_unpool2d(v, indices, 2), leaf(*y.shape))


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_transposed_convolution_is_the_adjoint(stride: int) -> None:
    """C22: <conv(x), y> = <x, conv_transpose(y)> with one weight."""
    x, y_shape = leaf(2, 3, 7, 7), None
    weight = leaf(4, 3, 3, 3)
    with neurona.use_backend("reference"):
        mapped = F.conv2d(x, weight, stride=stride, padding=1)
        y_shape = mapped.shape
        y = leaf(*y_shape)
        back = F.conv_transpose2d(
            y, weight, stride=stride, padding=1, output_padding=(7 + 2 - 3) % stride
        )
    assert back.shape == x.shape
    left, right = np.sum(mapped.data * y.data), np.sum(x.data * back.data)
    assert_close(left, right, 1e-12 * np.abs(left), "adjoint")


def test_decoders_restore_the_size() -> None:
    """R13: the four ways up, from 4x4 to 8x8, end to end with a loss per pixel."""
    image = neurona.Tensor(RNG.standard_normal((2, 3, 8, 8)).astype(np.float32))
    target = neurona.Tensor(RNG.integers(0, 2, (2, 8, 8)))
    for up in (
        nn.Upsample(scale_factor=2),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.BedOfNails(2),
        nn.ConvTranspose2d(4, 4, 2, stride=2),
    ):
        encoder = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        net = nn.Sequential(encoder, up, nn.Conv2d(4, 2, 3, padding=1))
        loss = nn.CrossEntropyLoss()(net(image), target)
        loss.backward()
        for parameter in net.parameters():
            assert parameter.grad is not None and parameter.grad.data.any()


def test_float32_results() -> None:
    x = leaf(1, 2, 3, 4)
    for options in ({"scale_factor": 3, "mode": "bilinear"}, {"size": (5, 6)}):
        wide = F.interpolate(x, **options)
        narrow = F.interpolate(x.detach().float(), **options)
        assert narrow.dtype == np.float32
        assert_close(narrow, wide.data, 8 * EPS, "interpolate float32")


X = neurona.ones(1, 2, 4, 4)
PLACES = neurona.zeros(1, 2, 4, 4, dtype=np.int64)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: F.interpolate(X), ValueError, "either size or scale_factor must be given"),
        (lambda: F.interpolate(X, 2, 2), ValueError, "either size or scale_factor must be given"),
        (
            lambda: F.interpolate(X, 2, mode="linear"),
            ValueError,
            "mode must be one of ('nearest', ",
        ),
        (lambda: F.interpolate(X, 2, antialias=True), ValueError, "antialias must be False"),
        (lambda: F.interpolate(X, 2, align_corners=True), ValueError, "align_corners must be None"),
        (lambda: F.interpolate(X, (2, 2, 2)), ValueError, "size must have 2 values"),
        (lambda: F.interpolate(X, 0), ValueError, "interpolate: size must be >= 1, got 0"),
        (lambda: F.interpolate(X, 1.5), TypeError, "size must be an int"),
        (lambda: F.interpolate(X, scale_factor=-1), ValueError, "scale_factor must be > 0"),
        (lambda: F.interpolate(X, scale_factor=0.1), ValueError, "must leave something of (4, 4)"),
        (lambda: F.interpolate(X, 2, recompute_scale_factor=True), ValueError, "not size"),
        (lambda: F.interpolate(X[0, 0], 2), ValueError, "input must have shape (N, C, H, W) or (N"),
        (lambda: F.interpolate(neurona.ones(1, 1, 0, 2), 2), ValueError, "no empty axis"),
        (lambda: F.interpolate(PLACES, 2), TypeError, "dtype float32 or float64, got int64"),
        (lambda: nn.Upsample(), ValueError, "Upsample: either size or scale_factor"),
        (lambda: nn.Upsample(2, mode="cubic"), ValueError, "Upsample: mode must be"),
        (lambda: F.bed_of_nails(X, 0), ValueError, "bed_of_nails: kernel_size must be >= 1"),
        (lambda: F.bed_of_nails(X, True), TypeError, "kernel_size must be an int, got True"),
        (lambda: F.bed_of_nails(X[0, 0], 2), ValueError, "bed_of_nails: input must have shape"),
        (lambda: nn.BedOfNails(0), ValueError, "BedOfNails: kernel_size must be in [1,"),
        (lambda: F.max_unpool2d(X, X, 2), TypeError, "indices must have an integer dtype"),
        (lambda: F.max_unpool2d(X, PLACES[:, :1], 2), ValueError, "the shape of input (1, 2, 4,"),
        (lambda: F.max_unpool2d(X, PLACES + 64, 2), ValueError, "indices must be in 0..63"),
        (lambda: F.max_unpool2d(X, PLACES - 1, 2), ValueError, "got -1 to -1"),
        (lambda: F.max_unpool2d(X, PLACES, 2, output_size=(10, 8)), ValueError, "less than a str"),
        (lambda: F.max_unpool2d(X, PLACES, 2, output_size=8), ValueError, "must be (H, W) or a w"),
        (lambda: F.max_unpool2d(X, PLACES, 1, 1, 2), ValueError, "padding must leave something"),
        (lambda: F.max_unpool2d(X, PLACES, (2, 2, 2)), ValueError, "must be an int or a pair"),
    ],
)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()
