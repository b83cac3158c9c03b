"""The course's numbers and corrections about activations, layers and shapes, by their row."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest

import neurona
from neurona import nn
from neurona.nn import functional as F
from neurona.utils import preprocess, to_categorical
from nn_helpers import assert_close, fill

Z4 = np.array([-1.0, 0.0, 1.0, 2.0, 4.0], np.float32)
Z8 = np.array([-1.0, 0.0, 1.0, 2.0, 8.0], np.float32)


def check(got: object, printed: list[float], digits: int) -> None:
    """Equal to printed numbers of so many decimals (and float32's own rounding)."""
    assert_close(got, np.array(printed), 0.5 * 10.0**-digits + 2e-7, "course")


# ---- tasks, data, encodings ----


def test_a3_bias_absorbed() -> None:
    """A column of ones with w_0 = b and no bias equals the form with a bias."""
    x = fill((5, 3), 1)
    layer, absorbed = nn.Linear(3, 2), nn.Linear(4, 2, bias=False)
    with neurona.no_grad():
        weight = np.concatenate([layer.bias.data[:, None], layer.weight.data], axis=1)
        absorbed.weight.copy_(neurona.Tensor(weight))
    ones = np.concatenate([np.ones((5, 1), np.float32), x], axis=1)
    assert_close(absorbed(neurona.Tensor(ones)), layer(neurona.Tensor(x)).data, 3e-7, "a3")


def test_a4_step_of_zero_is_one() -> None:
    """g(a) = 1 for a >= 0 exactly, so that AND by w = (1, 1), b = -2 holds on its corner."""
    assert nn.Step()(neurona.tensor([0.0, -0.0, -1e-30])).tolist() == [1.0, 1.0, 0.0]
    corners = neurona.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    neuron = nn.Sequential(nn.Linear(2, 1), nn.Step())
    neuron[0].weight.data[...] = 1
    neuron[0].bias.data[...] = -2
    assert neuron(corners).flatten().tolist() == [0.0, 0.0, 0.0, 1.0]


def test_n9_a5_linear_boundary() -> None:
    """z = 2 x1 - x2 + 1 with the three activations."""
    layer = nn.Linear(2, 1)
    layer.weight.data[...] = [[2, -1]]
    layer.bias.data[...] = 1
    points = neurona.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 3.0], [0.0, 2.0], [-1.0, 0.0]])
    z = layer(points).flatten()
    assert z.tolist() == [1.0, 0.0, 0.0, -1.0, -1.0]
    assert nn.Step()(z).tolist() == [1.0, 1.0, 1.0, 0.0, 0.0]
    check(nn.Sigmoid()(z), [0.7311, 0.5, 0.5, 0.2689, 0.2689], 4)
    assert nn.HardSigmoid()(z).tolist() == [1.0, 0.5, 0.5, 0.0, 0.0]


def test_a6_samples_are_rows() -> None:
    """The notes' X (N_x, m) has samples in columns: Linear(X.T) = (W X + b).T; 64 64 3 = 12288."""
    images = neurona.zeros(2, 64, 64, 3)
    assert nn.Flatten()(images).shape == (2, 12288)
    x = fill((6, 4), 1)
    layer = nn.Linear(6, 3)
    expected = (layer.weight.data @ x + layer.bias.data[:, None]).T
    assert_close(layer(neurona.Tensor(x.T)), expected, 5e-7, "a6")


def test_a7_flatten_and_back() -> None:
    """28 x 28 bytes to 784 numbers of [0, 1] in float32, and back."""
    images = np.random.default_rng(7).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    images[0, 0, :2] = 0, 255
    rows = preprocess(images, flatten=True)
    assert rows.shape == (3, 784) and rows.dtype == np.float32
    assert rows.min() == 0.0 and rows.max() == 1.0
    assert (np.rint(rows * 255).astype(np.uint8).reshape(3, 28, 28) == images).all()
    maps = preprocess(neurona.Tensor(images))
    assert (nn.Flatten()(neurona.Tensor(maps)).data == rows).all()
    assert preprocess(images[:0], flatten=True).shape == (0, 784)
    with pytest.raises(TypeError, match="images must have an integer dtype, got float32"):
        preprocess(rows)
    with pytest.raises(ValueError, match=re.escape("must have at least one axis, got shape ()")):
        preprocess(np.uint8(3))


def test_a8_one_hot() -> None:
    """Four symbols give the identity; argmax takes it back; a label beyond raises."""
    for table in (F.one_hot(neurona.arange(4), 4).data, to_categorical([0, 1, 2, 3])):
        assert (table == np.eye(4)).all()
        assert table.argmax(1).tolist() == [0, 1, 2, 3]
    assert to_categorical(neurona.tensor([1]), 3).tolist() == [[0.0, 1.0, 0.0]]
    for call in (lambda: F.one_hot(neurona.tensor([4]), 4), lambda: to_categorical([4], 4)):
        with pytest.raises(ValueError, match="labels in 0..3, got 4"):
            call()
    with pytest.raises(TypeError, match="integer dtype"):
        to_categorical([0.5])


# ---- activations ----


def test_b2_b4_sigmoid_and_tanh() -> None:
    """sigma(0) = .5, slope at most .25, no overflow; tanh z = 2 sigma(2 z) - 1."""
    z = neurona.tensor(np.linspace(-6, 6, 241), requires_grad=True)
    with neurona.use_backend("reference"):
        F.sigmoid(z).sum().backward()
        assert z.grad is not None and z.grad.data.max() == 0.25
        assert_close(F.tanh(z), 2 * F.sigmoid(2 * z).data - 1, 1e-15, "b4")
        z.grad = None
        y = F.tanh(z)
        y.sum().backward()
        assert_close(z.grad, 1 - y.data**2, 1e-15, "b4")  # type: ignore[arg-type]
    assert F.sigmoid(neurona.tensor([0.0, 1e4, -1e4])).tolist() == [0.5, 1.0, 0.0]


def test_b5_e20_relu_silences_half_of_the_activations() -> None:
    """About half of the outputs are 0 at the start: activations, not weights."""
    neurona.manual_seed(5)
    layer = nn.Linear(100, 400, bias_init="zeros")
    y = nn.ReLU()(nn.BatchNorm1d(400)(layer(neurona.randn(500, 100))))
    assert abs((y.data == 0).mean() - 0.5) < 0.02
    assert (layer.weight.data != 0).mean() > 0.999
    x = neurona.tensor([0.0, -1.0, 1.0], requires_grad=True)
    nn.ReLU()(x).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.0, 0.0, 1.0]


def test_b6_softmax() -> None:
    x = neurona.tensor([[-1000.0, 0.0, 1000.0]])
    assert F.softmax(x, 1).tolist() == [[0.0, 0.0, 1.0]]
    rows = neurona.Tensor(fill((4, 5), 1))
    assert_close(F.softmax(rows, 1).sum(1), np.ones(4), 3e-7, "b6")
    assert_close(F.softmax(rows + 50, 1), F.softmax(rows, 1).data, 5e-6, "b6")
    assert (np.argsort(F.softmax(rows, 1).data) == np.argsort(rows.data)).all()


def test_n1_softmax() -> None:
    powers = neurona.Tensor(Z4).exp()
    check(powers, [0.37, 1, 2.72, 7.39, 54.60], 2)
    assert_close(powers.sum(), 66.0734, 1e-4, "n1")
    values = F.softmax(neurona.Tensor(Z4), 0)
    check(values, [0.005568, 0.015135, 0.041140, 0.111831, 0.826326], 6)
    assert round(sum(np.round(values.data.astype(np.float64), 2)), 2) == 1.01


def test_n1b_softmax() -> None:
    values = F.softmax(neurona.Tensor(Z8), 0)
    check(values, [0.000123, 0.000334, 0.000908, 0.002469, 0.996165], 6)
    with neurona.use_backend("reference"):
        total = neurona.Tensor(Z8.astype(np.float64)).exp().sum()
    assert_close(total, 2992.4332, 5e-5, "n1b")


@pytest.mark.parametrize(
    ("temperature", "printed"),
    [
        (0.5, [0.0, 0.0003, 0.0024, 0.0179, 0.9793]),
        (2, [0.0454, 0.0748, 0.1234, 0.2034, 0.5530]),
        (10, [0.1581, 0.1747, 0.1931, 0.2134, 0.2607]),
    ],
)
def test_n2_temperature(temperature: float, printed: list[float]) -> None:
    check(F.softmax(neurona.Tensor(Z4), 0, temperature=temperature), printed, 4)


def test_n2_hot_is_even() -> None:
    check(F.softmax(neurona.Tensor(Z4), 0, temperature=100).data[[0, 4]], [0.1956, 0.2056], 4)


def test_e23_rigid_sigmoid_reaches_its_ends() -> None:
    """Its range is the closed [0, 1]."""
    assert nn.HardSigmoid()(neurona.tensor([-1.0, 1.0])).tolist() == [0.0, 1.0]


# ---- layers and shapes ----


def test_c2_network_is_a_composition() -> None:
    layers = [nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3), nn.Softmax(dim=1)]
    x = neurona.Tensor(fill((5, 4), 1))
    nested = layers[3](layers[2](layers[1](layers[0](x))))
    assert (nn.Sequential(*layers)(x).data == nested.data).all()


def test_c3_c29_depth_and_width() -> None:
    """784-64-64-64-10: depth 4, without the input; widest layer 64; the input gives the shapes."""
    layers: list[nn.Module] = []
    for a, b in pairwise([784, 64, 64, 64, 10]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    report = neurona.summary(nn.Sequential(nn.Flatten(), *layers), (1, 28, 28))
    assert report.totals["depth"] == 4 and report.totals["width"] == 64
    assert "Depth: 4" in str(report) and "width: 64" in str(report)
    assert report.totals["params"] == 59210 and report.layers[0]["output"] == (1, 784)


def test_c5_c6_shared_filters() -> None:
    """Parameters do not grow with the image; a shifted image gives a shifted map."""
    layer = nn.Conv2d(3, 8, 3)
    for size in (28, 64):
        report = neurona.summary(layer, (1, 3, size, size))
        assert report.totals["params"] == (3 * 3 * 3 + 1) * 8
        assert report.layers[0]["output"] == (1, 8, size - 2, size - 2)
    x = fill((1, 3, 12, 12), 1)
    shifted = layer(neurona.Tensor(np.roll(x, (2, 3), (2, 3)))).data
    assert_close(shifted[:, :, 2:, 3:], layer(neurona.Tensor(x)).data[:, :, :-2, :-3], 1e-6, "c6")


def test_c12_one_by_one_convolution_mixes_channels() -> None:
    layer = nn.Conv2d(5, 3, 1, bias=False)
    x = fill((2, 5, 4, 4), 1)
    expected = np.einsum("nchw,kc->nkhw", x, layer.weight.data[:, :, 0, 0])
    assert_close(layer(neurona.Tensor(x)), expected, 1e-6, "c12")


def test_c14_pools_of_one_plane() -> None:
    """Depth stays; the average's gradient is 1/k^2 everywhere; ties go to the first."""
    x = neurona.tensor(fill((1, 3, 6, 6), 1), requires_grad=True)
    assert nn.AvgPool2d(3)(x).shape == (1, 3, 2, 2)
    nn.AvgPool2d(3)(x).sum().backward()
    assert x.grad is not None
    assert_close(x.grad, np.full((1, 3, 6, 6), 1 / 9), 1e-8, "c14")
    assert (nn.MinPool2d(2)(x).data == -nn.MaxPool2d(2)(-x).data).all()
    assert nn.MaxPool2d(2, return_indices=True)(neurona.zeros(1, 1, 2, 2))[1].tolist() == [[[[0]]]]


def test_c15_batch_norm() -> None:
    """1, 2, 3, 4 -> -+1.342, -+.447; gamma = sigma, beta = mu gives the input back."""
    x = neurona.tensor([[1.0], [2.0], [3.0], [4.0]])
    layer = nn.BatchNorm1d(1, eps=1e-12)
    check(layer(x).flatten(), [-1.342, -0.447, 0.447, 1.342], 3)
    layer.weight.data[...] = x.data.std()
    layer.bias.data[...] = x.data.mean()
    assert_close(layer(x), x.data, 1e-6, "c15")


def test_c28_dense_heads_fix_the_size_and_convolutions_do_not() -> None:
    convolutional = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    for size in (8, 13):
        assert convolutional(neurona.zeros(2, 1, size, size)).shape == (2, 10)
    dense = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, 10))
    assert dense(neurona.zeros(2, 1, 8, 8)).shape == (2, 10)
    with pytest.raises(ValueError, match=re.escape("Linear '2': expected input (*, 144), got (2,")):
        dense(neurona.zeros(2, 1, 9, 9))


def test_e13_logits_and_targets_that_do_not_fit() -> None:
    """64 outputs against one-hot rows of 10 classes, and 62,720 parameters."""
    layers: list[nn.Module] = []
    for a, b in pairwise([784, 64, 64, 64, 64]):
        layers += [nn.Linear(a, b), nn.ReLU()]
    net = nn.Sequential(*layers[:-1])
    assert sum(p.data.size for p in net.parameters()) == 62_720
    target = F.one_hot(neurona.arange(100) % 10, 10).float()
    with pytest.raises(ValueError, match=r"\(100, 64\).*\(100, 10\)|\(100, 10\).*\(100, 64\)"):
        nn.CrossEntropyLoss()(net(neurona.zeros(100, 784)), target)


@pytest.mark.parametrize(
    ("width", "pooled", "total"),
    [
        (100, False, 1_631_770),
        (100, True, 95_770),
        (1000, False, 17_032_570),
        (1000, True, 1_672_570),
    ],
)
def test_n20_mnist_cnn(width: int, pooled: bool, total: int) -> None:
    pool: list[nn.Module] = [nn.MaxPool2d(2)] if pooled else []
    flat = 640 if pooled else 16_000
    net = nn.Sequential(
        *(nn.Conv2d(1, 20, 5), *pool, nn.Conv2d(20, 40, 5), *pool, nn.Flatten()),
        *(nn.Linear(flat, width), nn.Linear(width, width), nn.Linear(width, 10)),
    )
    report = neurona.summary(net, (1, 1, 28, 28))
    shapes = [row["output"][1:] for row in report.layers]
    assert shapes[0] == (20, 24, 24) and (flat,) in shapes
    if pooled:
        assert shapes[1:4] == [(20, 12, 12), (40, 8, 8), (40, 4, 4)]
    else:
        assert shapes[1] == (40, 20, 20)
    counts = [row["params"] for row in report.layers if row["params"]]
    assert counts == [
        520,
        20_040,
        flat * width + width,
        width * width + width,
        width * 10 + 10,
    ]
    assert report.totals["params"] == total


def test_n21_sizes() -> None:
    assert [F.conv_output_size(7, 3, s) for s in (1, 2)] == [5, 3]
    with pytest.raises(ValueError, match=r"stride must divide .* = 4, got 3"):
        F.conv_output_size(7, 3, 3, strict=True)
    assert F.conv_output_size(28, 2, 2) == 14 and F.conv_output_size(10, 2, 2) == 5
    assert F.conv_output_size(32, 5, 1, 2) == 32
    assert nn.MaxPool2d(2)(neurona.zeros(1, 1, 28, 28)).shape[2:] == (14, 14)


def test_n22_receptive_fields() -> None:
    """Two 3x3 see what one 5x5 sees, 25 pixels, with 20 parameters instead of 26."""
    two = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3))
    one = nn.Conv2d(1, 1, 5)
    assert neurona.receptive_field(two).size == neurona.receptive_field(one).size == (5, 5)
    assert [sum(p.data.size for p in net.parameters()) for net in (two, one)] == [20, 26]
    lenet = nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Tanh()),
        *(nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)),
    )
    rows = neurona.receptive_field(lenet).layers
    assert [row.size for row in rows] == [(5, 5), (6, 6), (14, 14), (16, 16)]
    fives = nn.Sequential(nn.Conv2d(1, 1, 5), nn.Conv2d(1, 1, 5))
    assert neurona.receptive_field(fives).size == (9, 9)


def ones_up(kernel: int, stride: int, **options: int) -> list[list[float]]:
    """What a transposed convolution of ones makes of 2 x 2 ones: how often places overlap."""
    layer = nn.ConvTranspose2d(1, 1, kernel, stride, bias=False, **options)
    nn.init.ones_(layer.weight)
    result: list[list[float]] = layer(neurona.ones(1, 1, 2, 2)).data[0, 0].tolist()
    return result


def test_n24_overlaps_of_a_transposed_convolution() -> None:
    line = np.array([1, 1, 2, 1, 1])
    grid = ones_up(3, 2)
    assert grid == np.outer(line, line).tolist() and grid[2][2] == 4
    cropped = np.array([1, 2, 1, 1])
    assert ones_up(3, 2, padding=1, output_padding=1) == np.outer(cropped, cropped).tolist()
    dense = np.array([1, 2, 2, 1])
    assert ones_up(3, 1) == np.outer(dense, dense).tolist()
    assert ones_up(2, 2) == np.ones((4, 4)).tolist()
