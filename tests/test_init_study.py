"""What an initialisation does to a network: rows I1 to I8 of the course, on real layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import Tensor, datasets, nn, optim
from neurona.nn import init
from neurona.trainer import Trainer
from nn_helpers import EPS, assert_close

WIDTH = 512


def digits_mlp(fill: Callable[[Tensor], Any]) -> nn.Sequential:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    for layer in (model[1], model[3]):
        fill(layer.weight)
        init.zeros_(layer.bias)
    return model


def train(model: nn.Module, epochs: int = 3) -> float:
    """Accuracy on the test digits after a few epochs."""
    neurona.manual_seed(1)
    x_train, y_train, x_test, y_test = datasets.digits()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    trainer = Trainer(model, "cross_entropy", optimizer, ["accuracy"])
    trainer.fit(x_train, y_train, epochs=epochs, verbose=0)
    return float(trainer.evaluate(x_test, y_test)[1])


def signal(fill: Callable[[Tensor], Any], activation: nn.Module, depth: int = 10) -> np.ndarray:
    """Root mean square of the activations after every layer; the input's is 1."""
    neurona.manual_seed(2)
    x = neurona.randn(256, WIDTH)
    sizes = []
    for _ in range(depth):
        layer = nn.Linear(WIDTH, WIDTH, bias=False)
        fill(layer.weight)
        with neurona.no_grad():
            x = activation(layer(x))
        sizes.append(float(np.sqrt(np.mean(np.square(x.data, dtype=np.float64)))))
    return np.array(sizes)


def test_i1_biases_are_zero_when_asked() -> None:
    model = digits_mlp(init.kaiming_normal_)
    assert not model[1].bias.data.any() and not model[3].bias.data.any()


def test_i2_zero_weights_are_a_saddle_that_training_does_not_leave() -> None:
    model = digits_mlp(init.zeros_)
    assert train(model) == pytest.approx(0.1, abs=0.02)
    assert not model[1].weight.data.any() and not model[3].weight.data.any()


def test_i3_constant_weights_keep_all_neurons_equal() -> None:
    model = digits_mlp(lambda weight: init.constant_(weight, 0.02))
    train(model, epochs=1)
    first, second = model[1].weight.data, model[3].weight.data
    assert (first == first[0]).all() and np.ptp(first[0]) > 0
    assert (second.T == second.T[0]).all()


def test_he_weights_train() -> None:
    """What I2 and I3 lack: the same network, five epochs."""
    neurona.manual_seed(1)
    model = digits_mlp(lambda weight: init.kaiming_normal_(weight, nonlinearity="relu"))
    assert train(model, epochs=5) > 0.85


def test_i4_large_weights_saturate() -> None:
    """tanh of sums with standard deviation sqrt(512): 91 % are beyond .99."""
    neurona.manual_seed(2)
    layer = nn.Linear(WIDTH, WIDTH, bias=False)
    init.normal_(layer.weight)
    output = layer(neurona.randn(256, WIDTH)).tanh().data
    assert (np.abs(output) > 0.99).mean() == pytest.approx(0.91, abs=0.01)


def test_i5_small_weights_lose_the_signal() -> None:
    assert signal(lambda weight: init.normal_(weight, 0.0, 0.01), nn.ReLU())[-1] < 1e-5


def test_i6_xavier_by_fan_in_and_glorot() -> None:
    def std(outputs: int, inputs: int, **options: str) -> float:
        weight = neurona.empty(outputs, inputs)
        init.xavier_normal_(weight, generator=neurona.Generator(3), **options)
        return float(weight.data.std(dtype=np.float64))

    for outputs, inputs, options, expected in (
        (WIDTH, WIDTH, {"mode": "fan_in"}, 0.04419),
        (64, 784, {"mode": "fan_in"}, 0.03571),
        (64, 784, {}, 0.04856),
    ):
        # Five standard errors of a standard deviation.
        error = 5 * expected / math.sqrt(2 * outputs * inputs)
        assert_close(std(outputs, inputs, **options), expected, error, "std")
    sizes = signal(lambda weight: init.xavier_normal_(weight, mode="fan_in"), nn.Tanh())
    assert 0.2 < sizes[-1] < sizes[0] < 0.7


def test_i7_he_keeps_the_signal_through_relu() -> None:
    weight = init.kaiming_normal_(neurona.empty(WIDTH, WIDTH), nonlinearity="relu")
    error = 5 * 0.0625 / math.sqrt(2 * WIDTH * WIDTH)
    assert_close(weight.data.std(dtype=np.float64), 0.0625, error, "std")
    sizes = signal(lambda weight: init.kaiming_normal_(weight, nonlinearity="relu"), nn.ReLU())
    assert 0.9 < sizes.min() and sizes.max() < 1.2


def test_i8_a_preset_filter_takes_the_local_mean() -> None:
    conv = nn.Conv2d(1, 1, 3, bias=False)
    with neurona.no_grad():
        conv.weight.copy_(Tensor(np.full((1, 1, 3, 3), 1 / 9, np.float32)))
    image = np.random.default_rng(0).normal(size=(1, 1, 6, 5)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(image[0, 0], (3, 3))
    assert_close(conv(Tensor(image))[0, 0], windows.mean(axis=(2, 3)), 16 * EPS, "local mean")


def test_r3_dropout_of_nothing_is_an_exact_no_op() -> None:
    x = neurona.randn(5, 7)
    assert nn.Dropout(0.0)(x).data.tobytes() == x.data.tobytes()


def test_a10_a_metric_is_reported_while_another_quantity_is_minimised() -> None:
    """M1, M5: one value of both per epoch, on training and validation data."""
    neurona.manual_seed(4)
    x, y, _, _ = datasets.digits()
    model = digits_mlp(init.kaiming_normal_)
    trainer = Trainer(model, "cross_entropy", optim.SGD(model.parameters(), lr=0.05), ["accuracy"])
    record = trainer.fit(x, y, epochs=4, validation_split=0.2, verbose=0).history
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert len(record[name]) == 4
    assert record["loss"][-1] < record["loss"][0]
    assert record["accuracy"][-1] > record["accuracy"][0]
