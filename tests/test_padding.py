"""Sizes of convolutions: padding by name and mode, stride and its remainder, Conv1d, presets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import autograd, nn
from neurona.nn import functional as F
from nn_helpers import EPS, assert_close, fill, fill_parameters

NUMPY_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """float64 runs on the reference without its note."""
    with neurona.use_backend("reference"):
        yield


def leaf(*shape: int) -> neurona.Tensor:
    return neurona.tensor(np.random.default_rng(shape).standard_normal(shape), requires_grad=True)


def correlate(x: np.ndarray, w: np.ndarray, stride: int = 1) -> np.ndarray:
    """y[n,k,p,q] = sum over c, r, s of w[k,c,r,s] x[n,c,p S + r,q S + s], by loops."""
    rows = (x.shape[2] - w.shape[2]) // stride + 1
    columns = (x.shape[3] - w.shape[3]) // stride + 1
    y = np.zeros((x.shape[0], w.shape[0], rows, columns))
    for p, q in np.ndindex(rows, columns):
        top, left = p * stride, q * stride
        window = x[:, :, top : top + w.shape[2], left : left + w.shape[3]]
        y[:, :, p, q] = np.einsum("ncrs,kcrs->nk", window, w)
    return y


@pytest.mark.parametrize("mode", NUMPY_MODES)
@pytest.mark.parametrize("padding", [0, 2, (1, 2), "same"])
def test_padding_modes_equal_numpy(mode: str, padding: Any) -> None:
    """C10: np.pad and then a plain convolution, for values and for both gradients."""
    layer = nn.Conv2d(2, 3, (3, 5), padding=padding, padding_mode=mode, bias=False, dtype="float64")
    x = leaf(2, 2, 6, 7)
    high, wide = (1, 2) if padding == "same" else np.broadcast_to(padding, 2)
    padded = np.pad(x.data, ((0, 0), (0, 0), (high, high), (wide, wide)), NUMPY_MODES[mode])
    assert_close(layer(x), correlate(padded, layer.weight.data), 1e-12, f"conv2d {mode}")
    assert autograd.gradcheck(lambda x: layer(x), leaf(1, 2, 4, 5))


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("mode", NUMPY_MODES)
def test_same_keeps_the_size(kernel: int, mode: str) -> None:
    """C9: P = (F - 1) / 2 on both sides for odd F; the odd pixel of an even F goes to the end."""
    layer = nn.Conv2d(1, 1, kernel, padding="same", padding_mode=mode, bias=False, dtype="float64")
    x = leaf(1, 1, 8, 9)
    y = layer(x)
    assert y.shape == x.shape
    before, after = (kernel - 1) // 2, kernel // 2
    widths = ((0, 0), (0, 0), (before, after), (before, after))
    padded = np.pad(x.data, widths, NUMPY_MODES[mode])
    assert_close(y, correlate(padded, layer.weight.data), 1e-12, "conv2d same")
    if kernel % 2:
        number = nn.Conv2d(1, 1, kernel, padding=(kernel - 1) // 2, bias=False, dtype="float64")
        number.load_state_dict(layer.state_dict())
        if mode == "zeros":
            assert (number(x).data == y.data).all()


@pytest.mark.parametrize("stride", [2, 3])
def test_a_stride_samples_the_dense_result(stride: int) -> None:
    """C11: a strided convolution is the dense one at every stride-th place."""
    x, weight = leaf(2, 3, 11, 10), leaf(4, 3, 3, 3)
    dense = F.conv2d(x, weight, padding=1)
    strided = F.conv2d(x, weight, stride=stride, padding=1)
    assert_close(strided, dense.data[:, :, ::stride, ::stride], 1e-12, "conv2d stride")


def test_strict_refuses_a_remainder() -> None:
    """C11, E5: it is N - F + 2 P that the stride must divide."""
    for size, kernel, stride, fits in (
        (7, 3, 1, True),
        (7, 3, 2, True),
        (7, 3, 3, False),
        (7, 3, 4, True),  # N + F = 10 is no multiple of 4
        (4, 2, 3, False),  # N + F = 6 is a multiple of 3
    ):
        x = neurona.zeros(1, 1, size, size)
        layer = nn.Conv2d(1, 1, kernel, stride, strict=True)
        loose = nn.Conv2d(1, 1, kernel, stride)
        expected = (size - kernel) // stride + 1
        assert loose(x).shape == (1, 1, expected, expected)
        assert F.conv_output_size(size, kernel, stride) == expected
        if fits:
            assert layer(x).shape == (1, 1, expected, expected)
            assert F.conv_output_size(size, kernel, stride, strict=True) == expected
            continue
        text = f"stride must divide N - F + 2 P = {size} - {kernel} + 0 = {size - kernel}, got"
        with pytest.raises(ValueError, match=re.escape(f"Conv2d: conv2d: {text} {stride}")):
            layer(x)
        with pytest.raises(ValueError, match=re.escape(f"conv_output_size: {text} {stride}")):
            F.conv_output_size(size, kernel, stride, strict=True)
    assert "strict=True" in repr(nn.Conv2d(1, 1, 3, strict=True))
    with pytest.raises(ValueError, match="stride must divide"):
        nn.Conv2d(1, 1, 3, 2, 1, padding_mode="reflect", strict=True)(neurona.zeros(1, 1, 6, 6))
    with pytest.raises(ValueError, match="stride must divide"):
        nn.Conv1d(1, 1, 3, 2, strict=True)(neurona.zeros(1, 1, 6))
    with pytest.raises(ValueError, match="stride must divide"):
        nn.Sequential(nn.Conv2d(1, 1, 3, 2, strict=True), nn.ReLU())(neurona.zeros(1, 1, 6, 6))


@pytest.mark.parametrize("size", [5, 8, 13])
@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
def test_conv_output_size_is_the_size_of_the_result(size: int, kernel: int) -> None:
    """C7, C8."""
    for stride, padding, dilation in ((1, 0, 1), (2, 1, 1), (3, 2, 2), (1, "same", 2), (2, 4, 3)):
        x = neurona.zeros(1, 1, size, size + 3)
        y = F.conv2d(x, neurona.zeros(1, 1, kernel, kernel), None, stride, padding, dilation)
        given = F.conv_output_size((size, size + 3), kernel, stride, padding, dilation)
        assert given == y.shape[2:]
    assert F.conv_output_size(size, kernel, padding="valid") == size - kernel + 1


def convolved(x: np.ndarray, w: np.ndarray, stride: int, dilation: int) -> np.ndarray:
    """The sum over the window of one group, by loops."""
    extent = dilation * (w.shape[2] - 1) + 1
    places = range(0, x.shape[2] - extent + 1, stride)
    windows = [x[:, :, place : place + extent : dilation] for place in places]
    return np.stack([np.einsum("ncs,kcs->nk", window, w) for window in windows], axis=2)


@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "widths"),
    [(1, 0, 1, (0, 0)), (2, 1, 2, (1, 1)), ((3,), (2,), (1,), (2, 2)), (1, "same", 1, (1, 2))],
)
def test_conv1d_is_a_sum_over_the_window(
    stride: Any, padding: Any, dilation: Any, widths: tuple[int, int]
) -> None:
    x, weight, bias = leaf(2, 4, 11), leaf(6, 2, 4), leaf(6)
    y = F.conv1d(x, weight, bias, stride, padding, dilation, 2)
    padded = np.pad(x.data, ((0, 0), (0, 0), widths))
    step, spread = np.ravel(stride)[0], np.ravel(dilation)[0]
    groups = [
        convolved(padded[:, 2 * g : 2 * g + 2], weight.data[3 * g : 3 * g + 3], step, spread)
        for g in range(2)
    ]
    expected = np.concatenate(groups, axis=1) + bias.data[:, None]
    assert_close(y, expected, 1e-12, "conv1d")
    assert autograd.gradcheck(
        lambda x, w, b: F.conv1d(x, w, b, stride, padding, dilation, 2),
        (leaf(1, 4, 8), weight, bias),
    )


def test_conv1d_layer() -> None:
    for mode, numpys in NUMPY_MODES.items():
        layer = nn.Conv1d(2, 3, 4, padding="same", padding_mode=mode, dtype="float64")
        x = leaf(2, 2, 6)
        padded = np.pad(x.data, ((0, 0), (0, 0), (1, 2)), numpys)  # type: ignore[call-overload]
        expected = F.conv1d(neurona.Tensor(padded), layer.weight, layer.bias)
        assert_close(layer(x), expected.data, 1e-12, "conv1d")
    layer = nn.Conv1d(4, 6, 3, 2, 1, groups=2)
    assert layer.weight.shape == (6, 2, 3) and np.abs(layer.weight.data).max() <= 1 / np.sqrt(6)
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert layer(neurona.zeros(4, 9)).shape == (6, 5)
    report = neurona.summary(nn.Conv1d(4, 6, 3, bias=False), (2, 4, 9))
    assert report.totals["macs"] == 2 * 6 * 7 * 4 * 3 and report.layers[0]["kernel"] == "3"
    with pytest.raises(
        ValueError, match=re.escape("expected input (N, 4, L) or (4, L), got (2, 3")
    ):
        layer(neurona.zeros(2, 3, 9))


def test_preset_filters() -> None:
    """I8: a box filter is the local mean, given as `init` or copied into the weight."""
    x = leaf(1, 1, 6, 7)
    box = np.full((1, 1, 3, 3), 1 / 9)
    preset = nn.Conv2d(1, 1, 3, bias=False, dtype="float64", init=box)
    copied = nn.Conv2d(1, 1, 3, bias=False, dtype="float64")
    with neurona.no_grad():
        copied.weight.copy_(neurona.Tensor(box))
    means = np.array(
        [[x.data[0, 0, p : p + 3, q : q + 3].mean() for q in range(5)] for p in range(4)]
    )
    for layer in (preset, copied):
        assert_close(layer(x).data[0, 0], means, 1e-14, "box filter")
    box[...] = 7.0  # the layer holds a copy
    with neurona.no_grad():
        preset.weight.fill_(0.0)
    preset.reset_parameters()
    assert_close(preset(x).data[0, 0], means, 1e-14, "box filter")
    assert preset.weight.requires_grad
    sobel = neurona.tensor([[[-1.0, 0.0, 1.0]]])
    assert nn.Conv1d(1, 1, 3, init=sobel).weight.tolist() == sobel.tolist()
    assert nn.ConvTranspose2d(1, 1, 2, init=np.ones((1, 1, 2, 2))).weight.dtype == np.float32


def test_bias_starts_at_zero_on_demand() -> None:
    """1L: the course's start of the bias beside PyTorch's."""
    for make in (
        lambda **o: nn.Linear(4, 5, **o),
        lambda **o: nn.Conv1d(4, 5, 3, **o),
        lambda **o: nn.Conv2d(4, 5, 3, **o),
        lambda **o: nn.ConvTranspose2d(4, 5, 3, **o),
    ):
        layer = make(bias_init="zeros")
        assert not layer.bias.data.any() and layer.weight.data.any()
        assert make().bias.data.any()
        layer.bias.data[...] = 1
        layer.reset_parameters()
        assert not layer.bias.data.any()
        assert make(bias_init="zeros", bias=False).bias is None


def test_activations_fuse_with_conv1d_too() -> None:
    layer = fill_parameters(nn.Conv1d(2, 3, 3))
    x = neurona.Tensor(fill((2, 2, 6), 1))
    with neurona.use_backend("cpu"):
        for name in ("relu", "gelu"):
            fused = layer.forward_fused(x, name)
            assert_close(fused, getattr(F, name)(layer(x)).data, 8 * EPS, "conv1d fused")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.Conv2d(1, 1, 3, strict=1), TypeError, "Conv2d: strict must be a bool"),
        (
            lambda: nn.Conv2d(1, 1, 3, bias_init="ones"),
            ValueError,
            "bias_init must be 'uniform' or",
        ),
        (lambda: nn.Linear(1, 1, bias_init=0), ValueError, "Linear: bias_init must be"),
        (
            lambda: nn.Conv2d(1, 1, 3, init=np.ones((3, 3))),
            ValueError,
            "weight (1, 1, 3, 3), got (3",
        ),
        (lambda: nn.Conv2d(1, 1, 3, init="box"), TypeError, "init must be an ndarray or a Tensor"),
        (lambda: nn.Conv1d(1, 1, 1, init=np.array([[["a"]]])), TypeError, "hold real numbers"),
        (lambda: nn.Conv1d(1, 1, (3, 3)), ValueError, "Conv1d: kernel_size must be an int or a tu"),
        (lambda: nn.Conv1d(1, 1, 3, padding="full"), ValueError, "Conv1d: padding must be 'same'"),
        (
            lambda: nn.Conv1d(1, 1, 3, 2, "same"),
            ValueError,
            "padding 'same' needs stride 1, got (2,)",
        ),
        (
            lambda: F.conv1d(neurona.ones(1, 1, 1, 3), neurona.ones(1, 1, 1)),
            ValueError,
            "conv1d: input must have shape (N, C, L) or (C, L), got shape (1, 1, 1, 3)",
        ),
        (
            lambda: F.conv1d(neurona.ones(1, 3), neurona.ones(1, 1)),
            ValueError,
            "conv1d: weight must have shape (K, C/groups, S), got shape (1, 1)",
        ),
        (
            lambda: F.conv1d(neurona.ones(1, 3), neurona.ones(1, 1, 1), stride=0),
            ValueError,
            "conv1d: stride must be >= 1, got 0",
        ),
        (lambda: F.conv_output_size(2, 3), ValueError, "must fit the padded input 2, got an ext"),
        (lambda: F.conv_output_size(5, 3, 2, "same"), ValueError, "must come with stride 1"),
        (lambda: F.conv_output_size(5, 3, 0), ValueError, "stride must be >= 1, got 0"),
        (lambda: F.conv_output_size(5, 3, padding="full"), TypeError, "padding must be an int"),
        (lambda: F.conv_output_size(5.0, 3), TypeError, "conv_output_size: size must be an int"),
    ],
)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()
