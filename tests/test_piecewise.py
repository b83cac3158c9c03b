"""Step, rigid sigmoids, ELU, PReLU, softplus, RBF, softmax with a temperature."""

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

Formula = Callable[[np.ndarray], np.ndarray]
SLOPES = np.array([0.25, -0.5, 2.0, 0.0])
pytestmark = pytest.mark.filterwarnings("ignore:neurona. the compiled kernels compute in float32")


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softplus(beta: float, threshold: float) -> Formula:
    return lambda x: np.where(beta * x > threshold, x, np.log(1 + np.exp(beta * x)) / beta)


# (function, its formula, its derivative) away from the kinks at 0, +-1 and +-3.
ACTIVATIONS: dict[str, tuple[Callable[..., Any], Formula, Formula]] = {
    "heaviside": (F.heaviside, lambda x: (x > 0) * 1.0, np.zeros_like),
    "hard_sigmoid": (
        F.hard_sigmoid,
        lambda x: np.clip((x + 1) / 2, 0, 1),
        lambda x: 0.5 * (np.abs(x) < 1),
    ),
    "hard_sigmoid of old": (
        lambda x: F.hard_sigmoid(x, 0.2, 0.5),
        lambda x: np.clip(0.2 * x + 0.5, 0, 1),
        lambda x: 0.2 * (np.abs(x) < 2.5),
    ),
    "hardsigmoid": (
        F.hardsigmoid,
        lambda x: np.clip(x / 6 + 0.5, 0, 1),
        lambda x: (np.abs(x) < 3) / 6,
    ),
    "elu": (
        lambda x: F.elu(x, 1.5),
        lambda x: np.where(x > 0, x, 1.5 * (np.exp(x) - 1)),
        lambda x: np.where(x > 0, 1, 1.5 * np.exp(x)),
    ),
    "softplus": (lambda x: F.softplus(x, 2.0), softplus(2.0, 20.0), lambda x: sigmoid(2 * x)),
    "softplus cut": (
        lambda x: F.softplus(x, 2.0, 3.0),
        softplus(2.0, 3.0),
        lambda x: np.where(2 * x > 3, 1, sigmoid(2 * x)),
    ),
    "prelu": (
        lambda x: F.prelu(x, neurona.Tensor(SLOPES.astype(x.dtype))),
        lambda x: np.where(x > 0, x, SLOPES[:, None] * x),
        lambda x: np.where(x > 0, 1, SLOPES[:, None] * np.ones_like(x)),
    ),
}
EACH = pytest.mark.parametrize("name", ACTIVATIONS)


def leaf(*shape: int, seed: int = 0) -> neurona.Tensor:
    """A float64 leaf in +-4."""
    values = np.random.default_rng((seed, *shape)).uniform(-4, 4, shape)
    return neurona.tensor(values, requires_grad=True)


@EACH
def test_value_and_gradient_equal_the_formulas(name: str) -> None:
    """B9: one forward and one backward each, held to the formula at 240 points."""
    function, formula, derivative = ACTIVATIONS[name]
    x64 = leaf(3, 4, 20).data
    dy = np.random.default_rng(9).standard_normal(x64.shape)
    for dtype, bound in ((np.float64, 1e-14), (np.float32, 16 * EPS)):
        x = neurona.tensor(x64.astype(dtype), requires_grad=True)
        y = function(x)
        assert y.dtype == dtype
        x_given = x.data.astype(np.float64)
        assert_close(y, formula(x_given), bound, name)
        y.backward(neurona.Tensor(dy.astype(dtype)))
        assert x.grad is not None
        expected = dy * derivative(x_given)
        if expected.any():
            assert_close(x.grad, expected, 4 * bound, f"{name} gradient")
        else:
            assert name == "heaviside" and not x.grad.data.any()


@EACH
def test_gradients_equal_central_differences(name: str) -> None:
    with neurona.use_backend("reference"):
        assert autograd.gradcheck(ACTIVATIONS[name][0], leaf(2, 4, 3))


@pytest.mark.parametrize("shape", [(3, 4, 2, 2), (3, 4), (5,)])
@pytest.mark.parametrize("single", [True, False])
def test_gradient_of_the_slopes(shape: tuple[int, ...], single: bool) -> None:
    channels = shape[1] if len(shape) > 1 and not single else 1
    with neurona.use_backend("reference"):
        assert autograd.gradcheck(F.prelu, (leaf(*shape), leaf(channels, seed=1)))


def test_rbf_gives_squared_distances() -> None:
    """B10, with the gradients of both arguments."""
    x, centers = leaf(3, 2, 5), leaf(4, 5, seed=1)
    expected = np.sum((x.data[:, :, None, :] - centers.data) ** 2, axis=-1)
    with neurona.use_backend("reference"):
        assert_close(F.rbf(x, centers), expected, 1e-12, "rbf")
        assert autograd.gradcheck(F.rbf, (x, centers))
    layer = nn.RBF(5, 4)
    assert np.abs(layer.centers.data).max() <= 1 and list(layer.state_dict()) == ["centers"]
    assert layer(neurona.zeros(5)).shape == (4,)
    near = nn.RBF(2, 1)
    near.centers.data[...] = 1000.0
    assert near(neurona.tensor([[1000.0, 1000.001]])).item() == pytest.approx(9.5e-7, rel=0.02)


def test_values_at_the_kinks_and_beyond() -> None:
    x = neurona.tensor([-3.0, -1.0, 0.0, 1.0, 3.0], requires_grad=True)
    for function, values, slopes in (
        (F.heaviside, [0, 0, 1, 1, 1], [0, 0, 0, 0, 0]),
        (F.hard_sigmoid, [0, 0, 0.5, 1, 1], [0, 0, 0.5, 0, 0]),
        (F.hardsigmoid, [0, 1 / 3, 0.5, 2 / 3, 1], [0, 1 / 6, 1 / 6, 1 / 6, 0]),
    ):
        x.grad = None
        y = function(x)
        y.sum().backward()
        assert_close(y, values, EPS, "kinks")
        assert x.grad is not None
        assert_close(x.grad, slopes, EPS, "kinks")
    assert F.heaviside(neurona.tensor([0.0]), 0.5).item() == 0.5


@EACH
def test_extremes(name: str) -> None:
    """No overflow, no warning; NaN stays NaN."""
    x = neurona.tensor([[[-1e4], [1e4], [np.nan], [0.0]]], requires_grad=True)
    y = ACTIVATIONS[name][0](x)
    y.sum().backward()
    assert x.grad is not None
    assert np.isnan(y.data[0, 2]) and np.isfinite(y.data[0, [0, 1, 3]]).all()
    assert np.isfinite(x.grad.data[0, [0, 1, 3]]).all()


def test_layers_equal_functions() -> None:
    x = neurona.tensor(leaf(2, 4, 3).data.astype(np.float32))
    prelu = nn.PReLU(4, 0.1)
    assert prelu.weight.shape == (4,) and prelu.weight.data.tolist() == [np.float32(0.1)] * 4
    for layer, function in (
        (nn.Step(), F.heaviside),
        (nn.HardSigmoid(), F.hard_sigmoid),
        (nn.HardSigmoid(0.2, 0.4), lambda x: F.hard_sigmoid(x, 0.2, 0.4)),
        (nn.Hardsigmoid(), F.hardsigmoid),
        (nn.ELU(0.7), lambda x: F.elu(x, 0.7)),
        (nn.Softplus(3, 4), lambda x: F.softplus(x, 3, 4)),
        (prelu, lambda x: F.prelu(x, prelu.weight)),
        (nn.Softmax(1, temperature=3), lambda x: F.softmax(x, 1, temperature=3)),
        (nn.LogSoftmax(1, temperature=3), lambda x: F.log_softmax(x, 1, temperature=3)),
    ):
        assert (layer(x).data == function(x).data).all()
        assert type(layer).__name__ in repr(layer)
    assert repr(nn.Softmax(1)) == "Softmax(dim=1)" and "temperature=3.0" in repr(
        nn.Softmax(1, temperature=3)
    )


def test_names_one_capital_apart() -> None:
    """B3: each docstring names the other class."""
    assert "Hardsigmoid" in (nn.HardSigmoid.__doc__ or "")
    assert "HardSigmoid" in (nn.Hardsigmoid.__doc__ or "")
    x = neurona.tensor([-1.0])
    assert nn.HardSigmoid()(x).item() == 0.0
    assert nn.Hardsigmoid()(x).item() == pytest.approx(1 / 3)


def test_inplace() -> None:
    for function in (F.elu, F.hardsigmoid):
        x = neurona.tensor([-1.0, 2.0], requires_grad=True)
        twin = x.detach().clone().requires_grad_()
        changed = x * 1.0
        assert function(changed, inplace=True) is changed
        changed.sum().backward()
        function(twin).sum().backward()
        assert x.grad is not None and twin.grad is not None
        assert (x.grad.data == twin.grad.data).all()


def test_softmax_with_temperature() -> None:
    """B7: softmax(z / T), gradients included; T = 1 changes no bit."""
    z = leaf(3, 5)
    with neurona.use_backend("reference"):
        for function in (F.softmax, F.log_softmax):
            for t in (0.5, 2.0):
                given = function(z, 1, temperature=t)
                assert_close(given, function(z / t, 1).data, 1e-14, "temperature")
                assert autograd.gradcheck(
                    lambda z, f=function, t=t: f(z, 1, temperature=t), leaf(2, 3)
                )
            assert (function(z, 1, temperature=1).data == function(z, 1).data).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: F.softmax(x, 0, temperature=0.0), ValueError, "softmax: temperature must be >"),
        (lambda x: F.softmax(x, 0, temperature=-1), ValueError, "softmax: temperature must be > 0"),
        (lambda x: F.log_softmax(x, 0, temperature=np.nan), ValueError, "temperature must be > 0"),
        (lambda x: F.softmax(x, 0, temperature="2"), TypeError, "temperature must be a number"),
        (lambda x: nn.Softmax(0, temperature=0), ValueError, "Softmax: temperature must be > 0"),
        (lambda x: F.hard_sigmoid(x, 0.0), ValueError, "hard_sigmoid: slope must be > 0"),
        (lambda x: F.hard_sigmoid(x, 1.0, np.inf), ValueError, "shift must be finite"),
        (lambda x: F.heaviside(x, None), TypeError, "heaviside: values must be a number"),
        (lambda x: F.softplus(x, -1.0), ValueError, "softplus: beta must be > 0 and finite, got -"),
        (lambda x: F.softplus(x, True), TypeError, "softplus: beta must be a number"),
        (lambda x: F.elu(x, np.nan), ValueError, "elu: alpha must be finite, got nan"),
        (lambda x: F.prelu(x, neurona.ones(3)), ValueError, "must have shape (1,) or (2,)"),
        (lambda x: F.prelu(x, neurona.ones(2, 1)), ValueError, "got shape (2, 1)"),
        (
            lambda x: F.prelu(x, neurona.ones(1, dtype=np.float64)),
            TypeError,
            "the dtype of input float32, got float64",
        ),
        (lambda x: F.rbf(x, neurona.ones(3)), ValueError, "rbf: centers must have shape (out, in)"),
        (lambda x: F.rbf(x, neurona.ones(3, 4)), ValueError, "input must have shape (..., 4)"),
        (lambda x: nn.RBF(3, 4)(x), ValueError, "RBF: expected input (*, 3), got (3, 2)"),
        (lambda x: nn.RBF(0, 4), ValueError, "RBF: in_features must be in [1,"),
        (lambda x: nn.PReLU(0), ValueError, "PReLU: num_parameters must be in [1,"),
        (lambda x: nn.Softplus(0.0), ValueError, "Softplus: beta must be > 0, got 0.0"),
        (lambda x: nn.HardSigmoid(-0.5), ValueError, "HardSigmoid: slope must be > 0, got -0.5"),
        (lambda x: nn.ELU("1"), TypeError, "ELU: alpha must be a number, got str"),
    ],
)
def test_bad_arguments(call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call(neurona.ones(3, 2))


@pytest.mark.parametrize(
    "op", ["heaviside", "hard_sigmoid", "hardsigmoid", "elu", "softplus", "prelu", "rbf"]
)
def test_bad_inputs(op: str) -> None:
    extra = {"prelu": (neurona.ones(1),), "rbf": (neurona.ones(1, 2),)}.get(op, ())
    with pytest.raises(TypeError, match=f"{op}: input must be a Tensor or an ndarray, got list"):
        getattr(F, op)([1.0], *extra)
    with pytest.raises(TypeError, match=f"{op}: input must have dtype float32 or float64, got int"):
        getattr(F, op)(neurona.tensor([1, 2]), *extra)
