"""Initialisers: ranges and moments, exact patterns, seeds, rejected arguments."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import nn
from neurona.nn import init
from neurona.nn.quantile import normal_quantile
from nn_helpers import EPS, assert_close

# (out, in, 3, 3): fan_in 288, fan_out 576.
SHAPE = (64, 32, 3, 3)


def drawn(fill: Callable[..., Any], *args: Any, **kwargs: Any) -> np.ndarray:
    tensor = neurona.empty(*SHAPE)
    assert fill(tensor, *args, generator=neurona.Generator(7), **kwargs) is tensor
    return tensor.data.astype(np.float64)


@pytest.mark.parametrize(
    ("name", "options", "std"),
    [
        ("xavier_uniform_", {}, math.sqrt(2 / 864)),
        ("xavier_normal_", {"gain": 2.0}, 2 * math.sqrt(2 / 864)),
        ("xavier_normal_", {"mode": "fan_in"}, math.sqrt(1 / 288)),
        ("xavier_uniform_", {"mode": "fan_out", "gain": 0.5}, 0.5 * math.sqrt(1 / 576)),
        ("lecun_normal_", {}, math.sqrt(1 / 288)),
        ("kaiming_uniform_", {"nonlinearity": "relu"}, math.sqrt(2 / 288)),
        ("kaiming_normal_", {"nonlinearity": "relu"}, math.sqrt(2 / 288)),
        ("kaiming_normal_", {"nonlinearity": "linear"}, math.sqrt(1 / 288)),
        ("kaiming_normal_", {"a": 0.5}, math.sqrt(2 / 1.25 / 288)),
        ("kaiming_uniform_", {"mode": "fan_out", "a": math.sqrt(5)}, math.sqrt(2 / 6 / 576)),
        ("normal_", {"mean": 0.0, "std": 0.3}, 0.3),
        ("uniform_", {"a": -1.0, "b": 1.0}, math.sqrt(1 / 3)),
    ],
)
def test_moments(name: str, options: dict[str, Any], std: float) -> None:
    values = drawn(getattr(init, name), **options)
    count = values.size
    # Five standard errors of the mean, and of the standard deviation of a normal sample.
    assert_close(values.mean(), 0.0, 5 * std / math.sqrt(count), name)
    assert_close(values.std(), std, 5 * std / math.sqrt(2 * count), name)
    if "uniform" in name:
        assert np.abs(values).max() <= math.sqrt(3) * std * (1 + 4 * EPS)


def test_trunc_normal_has_the_right_distribution() -> None:
    values = drawn(init.trunc_normal_, mean=0.5, std=2.0, a=-1.0, b=1.5)
    assert values.min() >= -1.0 and values.max() <= 1.5
    normal = statistics.NormalDist(0.5, 2.0)
    low, high = normal.cdf(-1.0), normal.cdf(1.5)
    for point in (-0.5, 0.0, 0.5, 1.0):
        expected = (normal.cdf(point) - low) / (high - low)
        assert_close((values <= point).mean(), expected, 5 * 0.5 / math.sqrt(values.size), "cdf")


def test_normal_quantile_equals_the_standard_library() -> None:
    p = np.concatenate([np.linspace(1e-6, 1 - 1e-6, 1001), 10.0 ** -np.arange(1.0, 300.0, 7.0)])
    expected = np.array([statistics.NormalDist().inv_cdf(value) for value in p])
    assert_close(normal_quantile(p), expected, 1e-14 * np.abs(expected).max(), "quantile")
    assert normal_quantile(np.array([0.0, 1.0])).tolist() == [-math.inf, math.inf]


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (6, 2, 2, 2)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    matrix = init.orthogonal_(neurona.empty(*shape), gain=2.0).data.astype(np.float64)
    matrix = matrix.reshape(shape[0], -1)
    if matrix.shape[0] > matrix.shape[1]:
        matrix = matrix.T
    assert_close(matrix @ matrix.T, 4.0 * np.eye(len(matrix)), 64 * EPS, "orthogonal")


def test_exact_patterns() -> None:
    assert init.eye_(neurona.empty(2, 3)).data.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert init.constant_(neurona.empty(2), 0.5).data.tolist() == [0.5, 0.5]
    assert init.zeros_(neurona.empty(2)).data.tolist() == [0.0, 0.0]
    assert init.ones_(neurona.empty(2)).data.tolist() == [1.0, 1.0]


def test_dirac_passes_the_input_through() -> None:
    x = neurona.randn(2, 4, 5, 5)
    conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
    init.dirac_(conv.weight)
    assert_close(conv(x), x, 0.0, "dirac")
    grouped = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
    init.dirac_(grouped.weight, groups=2)
    assert_close(grouped(x), x, 0.0, "dirac")


def test_gains() -> None:
    gains = [init.calculate_gain(name) for name in ("linear", "sigmoid", "conv2d")]
    assert gains == [1.0, 1.0, 1.0]
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("selu") == 0.75
    assert init.calculate_gain("leaky_relu", 0.5) == math.sqrt(2 / 1.25)


def test_default_initialisation_of_layers() -> None:
    """Uniform in +-1/sqrt(fan_in), weight and bias alike, as PyTorch."""
    for layer, fan_in in (
        (nn.Linear(100, 2000), 100),
        (nn.Conv2d(8, 64, 5, groups=2), 100),
        (nn.ConvTranspose2d(64, 8, 5, groups=2), 100),
    ):
        bound = 1 / math.sqrt(fan_in)
        for parameter in layer.parameters():
            values = np.abs(parameter.data)
            assert values.max() <= bound * (1 + EPS) and values.max() > 0.6 * bound
    norm = nn.BatchNorm2d(3)
    assert norm.weight.data.tolist() == [1, 1, 1] and norm.bias.data.tolist() == [0, 0, 0]


def test_a_seed_gives_the_same_numbers() -> None:
    def weights() -> bytes:
        neurona.manual_seed(3)
        return nn.Linear(5, 7).weight.data.tobytes()

    first = weights()
    assert weights() == first
    other = init.normal_(neurona.empty(4), generator=neurona.Generator(1)).data
    again = init.normal_(neurona.empty(4), generator=neurona.Generator(1)).data
    assert np.array_equal(other, again)


def test_parameters_stay_leaves() -> None:
    weight = nn.Parameter(np.zeros((2, 2), np.float32))
    for fill in (init.xavier_uniform_, init.eye_, init.ones_, init.trunc_normal_, init.orthogonal_):
        fill(weight)
        assert weight.is_leaf and weight.requires_grad


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: init.xavier_uniform_(neurona.empty(3)), ValueError, "at least 2 axes, got"),
        (lambda t: init.xavier_normal_(t, mode="in"), ValueError, "fan_out, got 'in'"),
        (lambda t: init.lecun_normal_(neurona.empty(3)), ValueError, "lecun_normal_: tensor must"),
        (lambda t: init.kaiming_normal_(t, mode="fan"), ValueError, "mode must be 'fan_in' or"),
        (lambda t: init.kaiming_normal_(t, nonlinearity="rely"), ValueError, "got 'rely'"),
        (lambda t: init.uniform_(t, 1.0, 0.0), ValueError, "a must be <= b, got a=1.0, b=0.0"),
        (lambda t: init.normal_(t, std=-1.0), ValueError, "std must be >= 0, got -1.0"),
        (lambda t: init.trunc_normal_(t, a=1.0, b=1.0), ValueError, "a must be < b"),
        (lambda t: init.trunc_normal_(t, std=0.0), ValueError, "std must be > 0"),
        (lambda t: init.eye_(neurona.empty(3)), ValueError, "eye_: tensor must have 2 axes"),
        (lambda t: init.dirac_(t), ValueError, "dirac_: tensor must have 3, 4 or 5 axes"),
        (lambda t: init.dirac_(neurona.empty(3, 3, 3), 2), ValueError, "groups must divide the 3"),
        (lambda t: init.orthogonal_(neurona.empty(3)), ValueError, "at least 2 axes"),
        (lambda t: init.calculate_gain("leaky_relu", "x"), TypeError, "param must be a number"),
    ],
)
def test_bad_arguments(call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call(neurona.empty(2, 2))
