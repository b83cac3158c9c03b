"""Layers: PyTorch's numbers, errors that name the layer, rejected arguments, clipping, fusion."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import neurona
import neurona.nn.functional as F
from neurona import nn, optim
from nn_helpers import EPS, NUMBERS, assert_close, fill, fill_parameters


@pytest.fixture(params=["reference", "cpu"])
def kernels(request: pytest.FixtureRequest) -> Iterator[str]:
    with neurona.use_backend(request.param):
        yield request.param


# ---- errors that name the layer ----


@pytest.mark.parametrize(
    ("path", "replacement", "message"),
    [
        ("0", nn.Linear(4, 4), "Linear '0': expected input (*, 4), got (2, 3, 8, 8)"),
        ("0", nn.Conv2d(1, 4, 3), "Conv2d '0': expected input (N, 1, H, W) or (1, H, W), got"),
        ("0", nn.BatchNorm2d(5), "BatchNorm2d '0': expected input (N, 5, H, W), got (2, 3, 8, 8)"),
        ("0", nn.BatchNorm1d(3), "BatchNorm1d '0': expected input (N, 3) or (N, 3, L), got"),
        ("1.0", nn.Linear(7, 4), "Linear '1.0': expected input (*, 7), got (2, 3, 8, 8)"),
    ],
)
def test_errors_name_the_layer(path: str, replacement: nn.Module, message: str) -> None:
    net = nn.Sequential(nn.Identity(), nn.Sequential(nn.Identity()))
    outer, _, last = path.rpartition(".")
    setattr(net.get_submodule(outer), last, replacement)
    with pytest.raises(ValueError, match=re.escape(message)):
        net(neurona.Tensor(fill((2, 3, 8, 8), 0)))


def test_errors_of_a_layer_alone_have_no_path() -> None:
    with pytest.raises(ValueError, match=re.escape("Linear: expected input (*, 4), got (2, 3)")):
        nn.Linear(4, 4)(neurona.zeros(2, 3))


def test_unbatched_and_empty_batches() -> None:
    assert nn.Conv2d(3, 4, 3)(neurona.zeros(3, 8, 8)).shape == (4, 6, 6)
    assert nn.MaxPool2d(2)(neurona.zeros(3, 8, 8)).shape == (3, 4, 4)
    assert nn.Linear(3, 4)(neurona.zeros(3)).shape == (4,)
    assert nn.Linear(3, 4)(neurona.zeros(0, 3)).shape == (0, 4)
    assert nn.Conv2d(3, 4, 3)(neurona.zeros(0, 3, 8, 8)).shape == (0, 4, 6, 6)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.Linear(0, 1), ValueError, "Linear: in_features must be in [1, 2147483647]"),
        (lambda: nn.Linear(2.0, 1), TypeError, "Linear: in_features must be an int, got float"),
        (lambda: nn.Linear(2, True), TypeError, "out_features must be an int, got bool"),
        (lambda: nn.Linear(2, 2**70), ValueError, "out_features must be in"),
        (lambda: nn.Linear(2, 2, device="cuda"), ValueError, "device must be None or 'cpu'"),
        (lambda: nn.Linear(2, 2, dtype=np.int64), TypeError, "dtype must be float32 or float64"),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "in_channels must be a multiple of"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, "out_channels must be a multiple of"),
        (lambda: nn.Conv2d(1, 1, (3,)), ValueError, "kernel_size must be an int or a pair"),
        (lambda: nn.Conv2d(1, 1, "3"), TypeError, "kernel_size must be an int or a pair"),
        (lambda: nn.Conv2d(1, 1, 3, padding=-1), ValueError, "padding must be in [0,"),
        (lambda: nn.Conv2d(1, 1, 3, padding="full"), ValueError, "'same', 'valid'"),
        (lambda: nn.Conv2d(1, 1, 3, 2, "same"), ValueError, "'same' needs stride 1, got (2, 2)"),
        (lambda: nn.Conv2d(1, 1, 3, padding_mode="edge"), ValueError, "padding_mode must be one"),
        (lambda: nn.ConvTranspose2d(1, 1, 3, output_padding=1), ValueError, "smaller than max("),
        (lambda: nn.MaxPool2d(2, padding=2), ValueError, "padding must be at most half"),
        (lambda: nn.AvgPool2d(2, divisor_override=0), ValueError, "divisor_override must be in"),
        (lambda: nn.AdaptiveAvgPool2d((1, 2, 3)), ValueError, "must be an int or a pair"),
        (lambda: nn.BatchNorm2d(3, eps=0.0), ValueError, "eps must be > 0"),
        (lambda: nn.BatchNorm2d(3, momentum=2.0), ValueError, "momentum must be in [0, 1]"),
        (lambda: nn.Dropout(1.1), ValueError, "Dropout: p must be in [0, 1], got 1.1"),
        (lambda: nn.Dropout(float("nan")), ValueError, "p must be in [0, 1], got nan"),
        (lambda: nn.GELU("exact"), ValueError, "approximate must be 'none' or 'tanh'"),
        (lambda: nn.MSELoss(reduction="avg"), ValueError, "reduction must be 'none', 'mean'"),
        (lambda: nn.MSELoss(True), ValueError, "size_average and reduce must be None"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=1.5), ValueError, "label_smoothing must be"),
        (lambda: nn.Sequential(nn.ReLU), TypeError, "item 0 must be a Module, got type"),
        (lambda: nn.Sequential(nn.ReLU()).insert(0, 3), TypeError, "item must be a Module"),
    ],
)
def test_bad_arguments(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        make()


def test_numpy_integers_are_integers() -> None:
    layer = nn.Conv2d(np.int64(1), np.array(2), (np.int32(3), 3))
    assert layer.weight.shape == (2, 1, 3, 3)


# ---- numbers ----


def train(model: nn.Module, optimizer: optim.Optimizer, x: np.ndarray) -> list[float]:
    losses = []
    target = neurona.tensor([0, 1, 2, 1, 0])
    for _ in range(10):
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(neurona.Tensor(x)), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_mlp_trains_as_in_pytorch(kernels: str) -> None:
    model = fill_parameters(nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)))
    optimizer = optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    losses = train(model, optimizer, fill((5, 6), 20))
    assert_close(losses, NUMBERS["mlp_sgd"], 2e-6, "mlp")


def test_cnn_trains_as_in_pytorch(kernels: str) -> None:
    model = fill_parameters(
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 3, 3, padding="same", padding_mode="reflect"),
            nn.Tanh(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(12, 3),
        )
    )
    x = fill((5, 2, 8, 8), 21) * np.float32(2)
    losses = train(model, optim.Adam(model.parameters(), lr=0.01), x)
    assert_close(losses, NUMBERS["cnn_adam"], 2e-6, "cnn")
    assert_close(model[1].running_mean, NUMBERS["cnn_running_mean"], 2e-6, "cnn_mean")
    assert_close(model[1].running_var, NUMBERS["cnn_running_var"], 2e-6, "cnn_var")
    assert model[1].num_batches_tracked.item() == 10
    output = model.eval()(neurona.Tensor(x))
    assert_close(output.data[0], NUMBERS["cnn_eval"], 1e-5, "cnn_eval")


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_modes_equal_pytorch(mode: str, kernels: str) -> None:
    layer = fill_parameters(nn.Conv2d(1, 1, (3, 2), padding=(1, 1), padding_mode=mode))
    output = layer(neurona.Tensor(fill((1, 1, 3, 3), 3)))
    assert_close(output.data[0, 0], NUMBERS[f"conv_{mode}"], 16 * EPS, mode)


def test_same_padding_puts_the_odd_pixel_last(kernels: str) -> None:
    layer = fill_parameters(nn.Conv2d(1, 1, (4, 2), padding="same"))
    output = layer(neurona.Tensor(fill((1, 1, 3, 3), 3)))
    assert_close(output.data[0, 0], NUMBERS["conv_same"], 16 * EPS, "same")
    assert nn.Conv2d(1, 1, 3, padding="valid")(neurona.zeros(1, 1, 5, 5)).shape == (1, 1, 3, 3)


def test_conv_transpose_output_size(kernels: str) -> None:
    layer = fill_parameters(nn.ConvTranspose2d(2, 2, 3, stride=2, padding=1, groups=2))
    x = neurona.Tensor(fill((1, 2, 2, 2), 3))
    output = layer(x, output_size=(4, 4))
    assert_close(output.data.ravel(), NUMBERS["convt"], 16 * EPS, "conv_transpose")
    assert layer(x).shape == (1, 2, 3, 3)
    assert layer(x, output_size=(1, 2, 3, 4)).shape == (1, 2, 3, 4)
    with pytest.raises(ValueError, match=re.escape("output_size width must be in [3, 4], got 6")):
        layer(x, output_size=(4, 6))


def test_pooling_layers(kernels: str) -> None:
    x = neurona.arange(16, dtype=neurona.float32).reshape(1, 1, 4, 4)
    assert nn.MaxPool2d(2)(x).data.ravel().tolist() == [5.0, 7.0, 13.0, 15.0]
    assert nn.MinPool2d(2)(x).data.ravel().tolist() == [0.0, 2.0, 8.0, 10.0]
    assert nn.AvgPool2d(2)(x).data.ravel().tolist() == [2.5, 4.5, 10.5, 12.5]
    assert nn.AdaptiveAvgPool2d((None, 1))(x).data.ravel().tolist() == [1.5, 5.5, 9.5, 13.5]
    values, indices = nn.MaxPool2d(2, return_indices=True)(x)
    assert indices.data.ravel().tolist() == [5, 7, 13, 15] == values.data.ravel().tolist()
    padded = nn.AvgPool2d(2, padding=1, count_include_pad=False, divisor_override=None)(x)
    assert padded.data[0, 0, 0].tolist() == [0.0, 1.5, 3.0]


def test_batch_norm_cumulative_average(kernels: str) -> None:
    layer = nn.BatchNorm1d(2, momentum=None)
    for phase in range(3):
        layer(neurona.Tensor(fill((4, 2), phase)))
    mean, var = NUMBERS["bn_cma"]
    assert_close(layer.running_mean, mean, 8 * EPS, "bn_mean")
    assert_close(layer.running_var, var, 8 * EPS, "bn_var")
    layer.reset_running_stats()
    assert layer.running_var.data.tolist() == [1.0, 1.0]
    assert layer.num_batches_tracked.item() == 0


def test_batch_norm_without_running_stats_uses_the_batch(kernels: str) -> None:
    layer = nn.BatchNorm1d(2, affine=False, track_running_stats=False).eval()
    output = layer(neurona.Tensor(np.array([[1, 2], [3, 6]], np.float32)))
    assert_close(output, [[-1, -1], [1, 1]], 1e-5, "bn_batch")
    assert list(layer.state_dict()) == []


def test_batch_norm_refuses_one_value_per_channel() -> None:
    layer = nn.BatchNorm1d(2)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        layer(neurona.zeros(1, 2))
    assert layer.num_batches_tracked.item() == 0


def test_dropout_only_in_training() -> None:
    neurona.manual_seed(1)
    layer = nn.Dropout(0.5)
    output = layer(neurona.ones(1000)).data
    assert set(np.unique(output)) == {0.0, 2.0}
    assert layer.eval()(neurona.ones(3)).data.tolist() == [1.0, 1.0, 1.0]


ACTIVATIONS: list[tuple[nn.Module, Callable[[np.ndarray], np.ndarray]]] = [
    (nn.ReLU(), lambda x: np.maximum(x, 0)),
    (nn.ReLU(inplace=True), lambda x: np.maximum(x, 0)),
    (nn.LeakyReLU(0.25), lambda x: np.where(x > 0, x, 0.25 * x)),
    (nn.Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
    (nn.Tanh(), np.tanh),
    (nn.SiLU(), lambda x: x / (1 + np.exp(-x))),
    (
        nn.GELU("tanh"),
        lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    ),
    (nn.Softmax(dim=-1), lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
    (nn.LogSoftmax(dim=-1), lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True))),
    (nn.Flatten(0), np.ravel),
    (nn.Identity(), np.asarray),
]


@pytest.mark.parametrize(
    ("layer", "formula"), ACTIVATIONS, ids=[repr(layer) for layer, _ in ACTIVATIONS]
)
def test_activations_equal_their_formulas(
    layer: nn.Module, formula: Callable[[np.ndarray], np.ndarray], kernels: str
) -> None:
    x = fill((3, 5), 1) * np.float32(6)
    expected = formula(x.astype(np.float64))
    assert_close(layer(neurona.Tensor(x.copy())), expected, 32 * EPS, type(layer).__name__)


def test_losses_equal_their_formulas(kernels: str) -> None:
    x, y = fill((4, 3), 1), fill((4, 3), 2)
    label = np.array([0, 2, 1, -100])
    logs = x.astype(np.float64) - np.log(np.exp(x.astype(np.float64)).sum(1, keepdims=True))
    weight = np.array([1.0, 2.0, 3.0], np.float32)
    rows = -logs[[0, 1, 2], label[:3]] * weight[label[:3]]
    tensors = [neurona.Tensor(a) for a in (x, y)]
    assert_close(nn.MSELoss()(*tensors).item(), np.mean((x - y) ** 2.0), 8 * EPS, "mse")
    assert_close(nn.L1Loss(reduction="sum")(*tensors).item(), np.abs(x - y).sum(), 16 * EPS, "l1")
    loss = nn.CrossEntropyLoss(weight)(tensors[0], neurona.tensor(label))
    assert_close(loss.item(), rows.sum() / 6.0, 16 * EPS, "cross_entropy")
    nll = nn.NLLLoss(neurona.Tensor(weight))(F.log_softmax(tensors[0], 1), neurona.tensor(label))
    assert_close(nll.item(), rows.sum() / 6.0, 16 * EPS, "nll")
    assert list(nn.CrossEntropyLoss(weight).state_dict()) == ["weight"]
    soft = nn.CrossEntropyLoss(label_smoothing=0.3)(tensors[0], neurona.tensor([0, 2, 1, 1]))
    target = np.eye(3)[[0, 2, 1, 1]] * 0.7 + 0.1
    assert_close(soft.item(), -(target * logs).sum() / 4, 16 * EPS, "label_smoothing")


# ---- clipping ----


def test_clip_grad_norm_equals_pytorch() -> None:
    parameters = [
        nn.Parameter(np.zeros((3,), np.float32)),
        nn.Parameter(np.zeros((2, 2), np.float32)),
    ]
    parameters[0].grad = neurona.Tensor(fill((3,), 1))
    parameters[1].grad = neurona.Tensor(fill((2, 2), 2))
    norm = nn.utils.clip_grad_norm_(parameters, 0.5)
    assert_close(norm.item(), NUMBERS["clip_norm"], 4 * EPS, "clip")
    for parameter, expected in zip(parameters, NUMBERS["clipped"], strict=True):
        assert_close(parameter.grad.data.ravel(), expected, 4 * EPS, "clip")
    assert nn.utils.clip_grad_norm_([nn.Parameter(np.zeros(1, np.float32))], 1.0).item() == 0.0


def test_clip_grad_norm_inf_nan_and_bad_arguments() -> None:
    weight = nn.Parameter(np.zeros(2, np.float32))
    weight.grad = neurona.tensor([3.0, -4.0])
    assert nn.utils.clip_grad_norm_(weight, 10.0, norm_type=float("inf")).item() == 4.0
    assert weight.grad.data.tolist() == [3.0, -4.0]
    nn.utils.clip_grad_value_([weight], 3.5)
    assert weight.grad.data.tolist() == [3.0, -3.5]
    weight.grad = neurona.tensor([1e-6, 0.0])
    nn.utils.clip_grad_norm_([weight], 1e-6)
    # The 1e-6 beside the norm halves a gradient of that length.
    assert_close(weight.grad.data[0], 0.5e-6, 4 * EPS * 1e-6, "clip")
    weight.grad = neurona.tensor([float("nan"), 1.0])
    with pytest.raises(
        RuntimeError, match="must be finite, got nan; the first such gradient is number 0"
    ):
        nn.utils.clip_grad_norm_([weight], 1.0, error_if_nonfinite=True)
    nn.utils.clip_grad_norm_([weight], 1.0)
    assert np.isnan(weight.grad.data).all()
    for bad in ((-1.0, 2.0), (float("nan"), 2.0), (1.0, 0.0)):
        with pytest.raises(ValueError, match="clip_grad_norm_"):
            nn.utils.clip_grad_norm_([weight], *bad)
    with pytest.raises(TypeError, match=re.escape("parameters[0] must be a Tensor")):
        nn.utils.clip_grad_norm_([1.0], 1.0)  # type: ignore[list-item]


# ---- fusion ----


def bits_fused_and_apart(net: nn.Sequential, watched: int, shape: tuple[int, ...]) -> list[Any]:
    """Outputs and gradients, without a hook and with one on a layer, which keeps it apart."""
    results = []
    for hooked in (False, True):
        handle = net[watched].register_forward_hook(lambda *_: None)
        if not hooked:
            handle.remove()
            net[watched]._hooks = None
        x = neurona.Tensor(fill(shape, 3), requires_grad=True)
        net.zero_grad()
        y = net(x)
        y.backward(neurona.Tensor(fill(tuple(y.shape), 5)))
        grads = [parameter.grad.data for parameter in net.parameters()]
        results.append([array.tobytes() for array in (y.data, x.grad.data, *grads)])
        handle.remove()
    return results


@pytest.mark.parametrize("watched", [0, 1])
def test_fused_relu_gives_the_same_bits(watched: int, kernels: str) -> None:
    image = (2, 3, 6, 6)
    layers: list[tuple[nn.Module, tuple[int, ...]]] = [
        (nn.Linear(7, 5), (6, 7)),
        (nn.Conv2d(3, 5, 3, padding=1), image),
        (nn.BatchNorm1d(5), (6, 5)),
        (nn.BatchNorm2d(3), image),
        (nn.BatchNorm2d(3).eval(), image),
        (nn.BatchNorm2d(3, affine=False, track_running_stats=False), image),
    ]
    for layer, shape in layers:
        fused, apart = bits_fused_and_apart(
            nn.Sequential(fill_parameters(layer), nn.ReLU()), watched, shape
        )
        assert fused == apart


@pytest.mark.parametrize("watched", [2, 3])
@pytest.mark.parametrize("window", [(2,), (3, 2, 1), (2, 1)])
def test_pooling_before_relu_gives_the_same_bits(
    window: tuple[int, ...], watched: int, kernels: str
) -> None:
    for layer in (nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(3)):
        pool = nn.MaxPool2d(*window)
        net = nn.Sequential(fill_parameters(layer), nn.Identity(), nn.ReLU(), pool)
        assert "ReLU" in repr(net(neurona.Tensor(fill((2, 3, 6, 7), 3))).grad_fn)
        fused, apart = bits_fused_and_apart(net, watched, (2, 3, 6, 7))
        assert fused == apart


@pytest.mark.parametrize("options", [{}, {"stride": 1}, {"padding": 1}])
def test_pooling_and_relu_commute(options: dict[str, int], kernels: str) -> None:
    """Ties, zeros of both signs, infinities and NaN among the values."""
    rng = np.random.default_rng(3)
    values = np.array([-np.inf, -1.5, -0.0, 0.0, 2.0, 2.0, np.inf, np.nan], np.float32)
    results = []
    data = rng.choice(values, (4, 17, 10, 8), p=[0.1, 0.3, 0.2, 0.15, 0.1, 0.1, 0.02, 0.03])
    for first, second in (("pool", "relu"), ("relu", "pool")):
        x = neurona.tensor(data.astype(np.float32), requires_grad=True)
        y = x
        for op in (first, second):
            y = F.relu(y) if op == "relu" else F.max_pool2d(y, 2, **options)
        y.backward(neurona.Tensor(fill(tuple(y.shape), 5)))
        results.append((y.data.tobytes(), x.grad.data.tobytes()))
    assert results[0] == results[1]


def test_fused_layers_are_named_in_errors() -> None:
    net = nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.ReLU()))
    with pytest.raises(ValueError, match=re.escape("Linear '0.0': expected input (*, 4), got (2")):
        net(neurona.zeros(2, 3))


def test_a_sequential_sees_every_change() -> None:
    """What it calls is found once and kept until an attribute of a module changes."""
    x = neurona.Tensor(fill((4, 7), 3))

    def by_hand(net: nn.Sequential) -> bytes:
        y = x
        for layer in net:
            y = layer(y)
        return y.data.tobytes()

    net = nn.Sequential(fill_parameters(nn.Linear(7, 7)), nn.ReLU(), nn.ReLU())
    seen: list[str] = []
    for change in (
        lambda: None,
        lambda: net[1].register_forward_hook(lambda *_: seen.append("hook")),
        lambda: net.__setitem__(0, fill_parameters(nn.Linear(7, 7, bias=False))),
        lambda: net.append(nn.Tanh()),
        lambda: net.__delitem__(1),
        lambda: setattr(net, "0", nn.Identity()),
    ):
        change()
        assert net(x).data.tobytes() == by_hand(net)
    assert seen == ["hook"] * 6
    for twin in (copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin(x).data.tobytes() == net(x).data.tobytes()
        twin.__dict__["0"] = nn.Sigmoid()  # unseen, so only its own calls may follow it
        assert twin(x).data.tobytes() == net(x).data.tobytes() == by_hand(net)
        setattr(twin, "1", nn.Sigmoid())
        assert twin(x).data.tobytes() == by_hand(twin) != net(x).data.tobytes() == by_hand(net)
