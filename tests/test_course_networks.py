"""The networks and the calculus of the course, one test per row, to the digits that it prints."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import Tensor, models, nn
from neurona.autograd import Function, gradcheck
from neurona.nn import functional as F


@pytest.fixture(autouse=True)
def reference() -> Iterator[None]:
    """float64 on NumPy, without the note that the compiled kernels do not take it."""
    with neurona.use_backend("reference"):
        yield


def leaf(value: Any) -> Tensor:
    return Tensor(np.asarray(value, np.float64), requires_grad=True)


def weights_and_biases(model: nn.Module) -> tuple[int, int]:
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    return (
        sum(size for name, size in sizes.items() if name.endswith("weight")),
        sum(size for name, size in sizes.items() if name.endswith("bias")),
    )


def layer_params(model: nn.Module, *shape: int) -> list[int]:
    report = neurona.summary(model, (1, *shape))
    return [row["params"] for row in report.layers if row["params"]]


def dense(sizes: list[int], activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), activation()]
    return nn.Sequential(*layers[:-1])


# ---- Architectures: N-b .. N-q, N14 .. N20 ----


def test_n_b_logistic_regression_and_n9() -> None:
    """sigma(w x) with z = 2 x1 - x2 + 1; the boundary z = 0 has probability one half."""
    neuron = nn.Linear(2, 1).double()
    neuron.load_state_dict({"weight": np.array([[2.0, -1.0]]), "bias": np.array([1.0])})
    points = Tensor(np.array([[0, 0], [0, 1], [1, 3], [0, 2], [-1, 0]], np.float64))
    z = neuron(points)
    assert z.data.ravel().tolist() == [1, 0, 0, -1, -1]
    expected = [0.7311, 0.5, 0.5, 0.2689, 0.2689]
    np.testing.assert_allclose(F.sigmoid(z).data.ravel(), expected, atol=5e-5)
    assert (z.data.ravel() >= 0).tolist() == [True, True, True, False, False]


def test_n_c_approximate_perceptron_on_iris() -> None:
    """One neuron with the rigid sigmoid clip((z + 1) / 2, 0, 1) splits setosa from versicolor."""
    x, y = neurona.datasets.iris().train
    x, y = (x[y < 2] - x[y < 2].mean(0)).astype(np.float64), y[y < 2].astype(np.float64)
    neurona.manual_seed(0)
    neuron, rigid = nn.Linear(4, 1).double(), nn.HardSigmoid()
    optimizer = neurona.optim.SGD(neuron.parameters(), lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        F.mse_loss(rigid(neuron(Tensor(x))), Tensor(y[:, None])).backward()
        optimizer.step()
    assert ((neuron(Tensor(x)).data.ravel() >= 0) == y).all()


@pytest.mark.parametrize(("inputs", "parameters"), [(2, 121), (4, 145)])
def test_n_d_mlp_12_6_1(inputs: int, parameters: int) -> None:
    net = nn.Sequential(*dense([inputs, 12, 6, 1]), nn.Sigmoid())
    assert sum(weights_and_biases(net)) == parameters


def test_n_e_xor_net_n15b() -> None:
    """2-2-1 with the weights given: 0, 1, 1, 0 exactly, and the values on the way."""
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    net.load_state_dict(
        {
            "0.weight": np.ones((2, 2), np.float32),
            "0.bias": np.array([0, -1], np.float32),
            "2.weight": np.array([[1, -2]], np.float32),
            "2.bias": np.zeros(1, np.float32),
        }
    )
    x = neurona.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert net[0](x).tolist() == [[0, -1], [1, 0], [1, 0], [2, 1]]
    assert net(x).tolist() == [[0], [1], [1], [0]]


def test_n_f_n16_mlp64() -> None:
    model = models.mlp64()
    assert layer_params(model, 784) == [50_240, 4_160, 4_160, 650]
    assert weights_and_biases(model) == (59_008, 202)
    report = neurona.summary(model, (1, 784))
    assert report.totals["params"] == 59_210
    assert (report.totals["depth"], report.totals["width"]) == (4, 64)
    assert sum(weights_and_biases(models.mlp64(num_classes=64))) == 62_720


def test_n_g_n17_mlp1024() -> None:
    model = models.mlp1024()
    assert layer_params(model, 784) == [803_840, 1_049_600, 1_049_600, 10_250]
    assert weights_and_biases(model) == (2_910_208, 3_082)
    totals = neurona.summary(model, (1, 784)).totals
    assert totals["params"] == 2_913_290
    assert round(totals["param_bytes"] / 2**20, 2) == 11.11


def test_n_h_n14_mlp512_tanh() -> None:
    model = models.mlp512_tanh()
    assert layer_params(model, 784) == [401_920, 262_656, 5_130]
    assert weights_and_biases(model) == (668_672, 1_034)
    x = neurona.randn(3, 784)
    first, second, last = (model.layers[i] for i in (1, 3, 5))
    hidden = second(first(x).tanh()).tanh()
    np.testing.assert_array_equal(model(x).data, last(hidden).data)


def test_n_i_n15_e25_sigmoid_net() -> None:
    """4-2-2-1: 14 weights and 5 biases, and a sigmoid on all 5 units, the output included."""
    net = nn.Sequential(*dense([4, 2, 2, 1], nn.Sigmoid), nn.Sigmoid())
    shapes = [tuple(layer.weight.shape) for layer in net if isinstance(layer, nn.Linear)]
    assert shapes == [(2, 4), (2, 2), (1, 2)]
    assert weights_and_biases(net) == (14, 5)
    rows = neurona.summary(net, (1, 4)).layers
    units = sum(math.prod(row["output"]) for row in rows if row["type"] == "Sigmoid")
    assert units == 5
    assert sum(weights_and_biases(nn.Linear(12288, 1))) == 12_289


def test_n_j_n18_net_of_figure_1_11() -> None:
    net = dense([5, 7, 7, 7, 7, 4])
    assert neurona.summary(net, (1, 5)).totals["params"] == 7 * 6 + 7 * 8 * 3 + 4 * 8 == 242


def test_n_k_cnn_pattern() -> None:
    """(conv + pool) x n, then a classifier with one unit per class."""
    kinds = [row["type"] for row in neurona.summary(models.mnist_cnn(), (1, 1, 28, 28)).layers]
    assert kinds[:6] == ["Conv2d", "ReLU", "MaxPool2d"] * 2
    assert kinds[6] == "Flatten" and kinds[-1] == "Linear"
    assert models.mnist_cnn(7, hidden=2)(neurona.zeros(1, 1, 28, 28)).softmax(1).shape == (1, 7)


@pytest.mark.parametrize(
    ("hidden", "pool", "parameters"),
    [(100, False, 1_631_770), (100, True, 95_770), (1000, True, 1_672_570)],
)
def test_n_l_n20_mnist_cnn(hidden: int, pool: bool, parameters: int) -> None:
    flat = 640 if pool else 16_000
    model = models.mnist_cnn(hidden=hidden, pool=pool)
    dense_params = [flat * hidden + hidden, hidden * hidden + hidden, hidden * 10 + 10]
    assert layer_params(model, 1, 28, 28) == [520, 20_040, *dense_params]
    assert sum(weights_and_biases(model)) == parameters
    rows = neurona.summary(model, (1, 1, 28, 28)).layers
    convolved = [row["output"] for row in rows if row["type"] == "Conv2d"]
    side = 8 if pool else 20
    assert convolved == [(1, 20, 24, 24), (1, 40, side, side)]


def test_n20_thousand_units_without_pools() -> None:
    model = models.mnist_cnn(hidden=1000, pool=False)
    assert layer_params(model, 1, 28, 28)[2:] == [16_001_000, 1_001_000, 10_010]
    assert sum(weights_and_biases(model)) == 17_032_570


def test_n_m_n19_e16_lenet() -> None:
    """The layers, shapes, parameters and multiply-adds of the classic form, RBF head included."""
    report = neurona.summary(models.lenet5(modern=False), (1, 1, 32, 32))
    assert [row["output"][1:] for row in report.layers] == [
        (6, 28, 28), (6, 14, 14), (16, 10, 10), (16, 5, 5), (120,), (84,), (10,)
    ]  # fmt: skip
    assert [row["params"] for row in report.layers] == [156, 0, 2_416, 0, 48_120, 10_164, 850]
    assert [row["macs"] for row in report.layers if row["type"] == "Conv2d"] == [117_600, 240_000]
    assert report.totals["params"] == 61_706
    rbf = neurona.summary(models.lenet5(modern=False, head="rbf"), (1, 1, 32, 32))
    assert rbf.layers[-1]["params"] == 840 and rbf.totals["params"] == 61_696


def test_n_m_lenet_takes_tanh_and_means() -> None:
    """The classic form by hand: tanh after convolutions and pools, averages of 2x2."""
    model = models.lenet5(modern=False)
    x = neurona.rand(2, 1, 32, 32)

    def halved(maps: Tensor) -> Tensor:
        n, c, h, w = maps.shape
        return maps.reshape(n, c, h // 2, 2, w // 2, 2).mean(dim=(3, 5))

    y = halved(model.conv1(x).tanh()).tanh()
    y = halved(model.conv2(y).tanh()).tanh().reshape(2, 400)
    y = model.fc3(model.fc2(model.fc1(y).tanh()).tanh())
    np.testing.assert_allclose(model(x).data, y.data, atol=2e-6)


def test_e16_rbf_head_measures_distances() -> None:
    head = models.lenet5(modern=False, head="rbf").double().fc3
    rng = np.random.default_rng(0)
    x, cotangent = leaf(rng.standard_normal((3, 84))), rng.standard_normal((3, 10))
    difference = x.data[:, None] - head.centers.data[None]
    y = head(x)
    np.testing.assert_allclose(y.data, -(difference**2).sum(2), rtol=1e-12)
    y.backward(Tensor(cotangent))
    np.testing.assert_allclose(
        head.centers.grad.data, np.einsum("nk,nki->ki", 2 * cotangent, difference), atol=1e-12
    )
    assert gradcheck(head, (leaf(x.data[:1]),))


def test_n_n_lenet_modernised() -> None:
    """ReLU, maxima, padding 2: 32 -> 32 -> 16 -> 16 -> 8, 1024 features."""
    model = models.lenet5(modern=True)
    rows = neurona.summary(model, (1, 1, 32, 32)).layers
    assert [row["output"][1:] for row in rows[:4]] == [
        (6, 32, 32), (6, 16, 16), (16, 16, 16), (16, 8, 8)
    ]  # fmt: skip
    assert {row["type"] for row in rows} == {"Conv2d", "MaxPool2d", "Linear"}
    assert model.fc1.in_features == 1024
    assert models.lenet5().fc1.in_features == 400


def test_n_p_concatenation_grows_channels_and_splits_gradients() -> None:
    """A densely connected layer adds its maps to all earlier ones; backward cuts them apart."""
    maps = neurona.randn(2, 5, 4, 4)
    maps.requires_grad = True
    layer = nn.Conv2d(5, 3, 3, padding=1)
    new = layer(maps)
    joined = neurona.cat([maps, new], dim=1)
    assert joined.shape == (2, 5 + 3, 4, 4)
    cotangent = neurona.randn(2, 8, 4, 4)
    (through_new,) = neurona.autograd.grad(new, maps, cotangent[:, 5:], retain_graph=True)
    joined.backward(cotangent)
    np.testing.assert_allclose(
        maps.grad.data, cotangent.data[:, :5] + through_new.data, rtol=1e-5, atol=1e-5
    )
    later = nn.Conv2d(8, 3, 3, padding=1)
    assert neurona.cat([joined, later(joined)], dim=1).shape == (2, 11, 4, 4)


# ---- Calculus: G1 .. G8, G10, E3, E11, E30 ----


class Sin(Function):
    """sin x, as a user would add it."""

    def forward(ctx, x: np.ndarray) -> np.ndarray:
        ctx.save_for_backward(x)
        return np.sin(x)

    def backward(ctx, dy: np.ndarray) -> np.ndarray:
        return dy * np.cos(ctx.saved[0])


@pytest.mark.parametrize(
    ("function", "derivative"),
    [
        (lambda x: (2 * x + 1) ** 3, lambda x: 6 * (2 * x + 1) ** 2),
        (lambda x: Sin.apply(x * x), lambda x: 2 * x * math.cos(x * x)),
        (lambda x: Sin.apply(x) ** 2, lambda x: 2 * math.sin(x) * math.cos(x)),
    ],
    ids=["(2x+1)^3", "sin(x^2)", "sin(x)^2"],
)
@pytest.mark.parametrize("at", [-1.3, 0.4, 0.7, 2.0])
def test_g1_chain_rule(function: Any, derivative: Any, at: float) -> None:
    x = leaf([at])
    function(x).backward()
    assert x.grad.item() == pytest.approx(derivative(at), rel=1e-12, abs=1e-12)
    assert gradcheck(function, (x,))


def test_e3_derivative_of_sin_x_squared() -> None:
    """At .7 it is 1.235266; the printed cos(x^2) 2x / x would be 1.764666."""
    x = leaf([0.7])
    Sin.apply(x * x).backward()
    assert round(x.grad.item(), 6) == 1.235266
    assert round(math.cos(0.49) * 2 * 0.7 / 0.7, 6) == 1.764666


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (lambda a, b: a + b, [1.0, 1.0]),
        (lambda a, b: a * b, [5.0, 3.0]),
        (lambda a, b: a.maximum(b), [0.0, 1.0]),
    ],
    ids=["add", "product", "max"],
)
def test_g2_g3_local_gradients(node: Any, expected: list[float]) -> None:
    """add distributes, a product switches its inputs, max routes to the larger."""
    a, b = leaf([3.0]), leaf([5.0])
    (7.0 * node(a, b)).backward()
    assert [a.grad.item() / 7, b.grad.item() / 7] == expected
    assert gradcheck(node, (a, b))


def test_g2c_backward_only_computes() -> None:
    """The gradients are there before the step and unchanged by it."""
    layer = nn.Linear(3, 2)
    optimizer = neurona.optim.SGD(layer.parameters(), lr=0.1)
    before = layer.weight.data.copy()
    layer(neurona.ones(1, 3)).sum().backward()
    gradient = layer.weight.grad.data.copy()
    np.testing.assert_array_equal(layer.weight.data, before)
    optimizer.step()
    np.testing.assert_array_equal(layer.weight.grad.data, gradient)
    np.testing.assert_allclose(layer.weight.data, before - 0.1 * gradient, rtol=1e-6)


def test_g4_fused_nodes_equal_their_parts() -> None:
    """sigmoid from exp and division; softmax and cross-entropy from exp, sum and log."""
    rng = np.random.default_rng(2)
    z, labels = rng.standard_normal((4, 5)), np.array([0, 3, 3, 1])
    pairs = [
        (lambda t: F.sigmoid(t).sum(), lambda t: (1 / (1 + (-t).exp())).sum()),
        (
            lambda t: F.cross_entropy(t, Tensor(labels)),
            lambda t: -(t.exp() / t.exp().sum(1, keepdim=True))[np.arange(4), labels].log().mean(),
        ),
    ]
    for fused, parts in pairs:
        one, other = leaf(z), leaf(z)
        y, expected = fused(one), parts(other)
        y.backward()
        expected.backward()
        np.testing.assert_allclose(y.data, expected.data, rtol=1e-12)
        np.testing.assert_allclose(one.grad.data, other.grad.data, atol=1e-12)


def test_g5_sensitivities() -> None:
    """delta of the output is 2 (y - t), each layer before it sigma'(I) times the weighted deltas;
    a weight's gradient is the input of its edge times the delta of its end.
    """
    rng = np.random.default_rng(4)
    net = nn.Sequential(*dense([3, 4, 2, 1], nn.Sigmoid)).double()
    x, target = rng.standard_normal(3), 0.4
    i2 = net[0](Tensor(x))
    i3 = net[2](i2.sigmoid())
    y = net[4](i3.sigmoid())
    ((y - target) ** 2).backward()

    def slope(inputs: Tensor) -> np.ndarray:
        s = 1 / (1 + np.exp(-inputs.data))
        return s * (1 - s)

    delta4 = 2 * (y.data - target)
    delta3 = slope(i3) * (net[4].weight.data.T @ delta4)
    delta2 = slope(i2) * (net[2].weight.data.T @ delta3)
    for layer, given, delta in (
        (net[0], x, delta2),
        (net[2], i2.sigmoid().data, delta3),
        (net[4], i3.sigmoid().data, delta4),
    ):
        np.testing.assert_allclose(layer.weight.grad.data, np.outer(delta, given), atol=1e-12)
        np.testing.assert_allclose(layer.bias.grad.data, delta, atol=1e-12)


def test_g6_batch_gradient_is_the_mean_of_the_samples() -> None:
    layer = nn.Linear(3, 1).double()
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((5, 3)), rng.standard_normal((5, 1))

    def gradient(rows: slice) -> np.ndarray:
        layer.zero_grad()
        F.mse_loss(layer(Tensor(x[rows])), Tensor(y[rows])).backward()
        return layer.weight.grad.data.copy()

    samples = [gradient(slice(i, i + 1)) for i in range(5)]
    np.testing.assert_allclose(gradient(slice(None)), np.mean(samples, axis=0), atol=1e-14)


def logistic_loop(
    x: np.ndarray, y: np.ndarray, w: np.ndarray, b: float
) -> tuple[float, np.ndarray, float]:
    """Cost and gradients sample by sample: J = -(1/m) sum(y ln a + (1 - y) ln(1 - a)), with db
    started at 0 (E11).
    """
    m = len(y)
    cost, dw, db = 0.0, np.zeros_like(w), 0.0
    for i in range(m):
        z = b
        for j in range(len(w)):
            z += w[j] * x[j, i]
        a = 1 / (1 + math.exp(-z))
        cost -= y[i] * math.log(a) + (1 - y[i]) * math.log(1 - a)
        dz = a - y[i]
        for j in range(len(w)):
            dw[j] += x[j, i] * dz
        db += dz
    return cost / m, dw / m, db / m


def test_g7_e11_logistic_backward() -> None:
    """Loop, matrices (samples are the columns of X) and autograd agree; a step descends."""
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((3, 20)), rng.integers(0, 2, 20).astype(float)
    w, b = rng.standard_normal(3), 0.3
    cost, dw, db = logistic_loop(x, y, w, b)
    assert cost > 0
    dz = 1 / (1 + np.exp(-(w @ x + b))) - y
    np.testing.assert_allclose(dw, x @ dz / 20, rtol=0, atol=1e-12)
    assert db == pytest.approx(dz.sum() / 20, abs=1e-12)
    neuron = nn.Linear(3, 1).double()
    neuron.load_state_dict({"weight": w[None], "bias": np.array([b])})
    a = F.sigmoid(neuron(Tensor(x.T.copy()))).squeeze(1)
    t = Tensor(y)
    loss = -(t * a.log() + (1 - t) * (1 - a).log()).mean()
    loss.backward()
    assert loss.item() == pytest.approx(cost, abs=1e-12)
    np.testing.assert_allclose(neuron.weight.grad.data[0], dw, rtol=0, atol=1e-12)
    assert neuron.bias.grad.item() == pytest.approx(db, abs=1e-12)
    assert logistic_loop(x, y, w - 0.1 * dw, b - 0.1 * db)[0] < cost


@pytest.mark.parametrize(("a", "b", "c"), [(5.0, 3.0, 2.0), (-1.0, 0.5, 4.0)])
def test_g8_toy_graph(a: float, b: float, c: float) -> None:
    """J = 3 (A + B C): dJ/dv = 3, dA = 3, dB = 3 C, dC = 3 B."""
    leaves = [leaf(value) for value in (a, b, c)]
    v = leaves[0] + leaves[1] * leaves[2]
    v.retain_grad()
    j = 3 * v
    j.backward()
    assert j.item() == 3 * (a + b * c)
    assert v.grad.item() == 3
    assert [t.grad.item() for t in leaves] == [3, 3 * c, 3 * b]


def test_g10_a_model_of_forward_layers_trains() -> None:
    """The user writes forward and a loss; backward comes by itself."""

    class Mine(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(2, 8), nn.Linear(8, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x).tanh() * 1.5)

    neurona.manual_seed(1)
    x = neurona.randn(64, 2)
    y = Tensor((x.data[:, :1] * x.data[:, 1:]).astype(np.float32))
    model = Mine()
    optimizer = neurona.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(200):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_e30_the_weight_gradient_takes_x() -> None:
    """ReLU(w x + b) under L1 at x = 1.7: dw = 1.7, db = 1; at x = 1 the two would look alike."""
    w, b = leaf([2.0]), leaf([0.0])
    x, y = 1.7, 1.0

    def loss(w: Tensor, b: Tensor) -> Tensor:
        return ((w * x + b).relu() - y).abs().sum()

    loss(w, b).backward()
    assert w.grad.item() == pytest.approx(1.7, abs=1e-15) and b.grad.item() == 1.0
    assert gradcheck(loss, (w, b))
