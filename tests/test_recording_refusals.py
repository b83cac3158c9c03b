"""neurona.record refuses what it could not repeat, and wrong arguments, and names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import nn, optim
from neurona.nn import functional as F
from test_recording import batches, mlp, sgd


class Odd(nn.Module):
    """A linear layer, and something that no kernel does."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.linear = form, nn.Linear(20, 10)
        self.generator = neurona.random.Generator(1)
        self.random = np.random.default_rng(0)

    def forward(self, x: Any) -> Any:
        y = self.linear(x)
        if self.form == "dropout":
            return F.dropout(y, 0.5, generator=self.generator)
        if self.form == "classic":
            return F.dropout(y, 0.5, mode="classic")
        if self.form == "number":
            return y * float(self.random.random())
        if self.form == "numpy":
            return F.relu(neurona.Tensor(np.abs(x.data))[:, :10] + y)
        if self.form == "item":
            return y * (2.0 if y.sum().item() > 0 else 1.0)
        if self.form == "in":
            return y * (2.0 if 0.0 in y else 1.0)
        if self.form == "branch":
            return y if y.max() > 0 else -y
        if self.form == "result":
            return neurona.Tensor(y.data + 1)
        return self.linear(x.T.T[:, ::-1])


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("dropout", "must draw from the default generator"),
        ("classic", "the result must come from a kernel|kernels alone do not give"),
        ("number", "kernels alone do not give the step's results"),
        ("numpy", "kernels alone do not give the step's results"),
        ("item", "must not call sum|must not call item"),
        ("in", "must not call"),
        ("branch", "must not call max|must not call bool"),
        ("result", "the result must come from a kernel"),
        ("order", "linear_forward is not repeatable: an array had to be copied"),
    ],
)
def test_what_cannot_be_repeated_is_named(form: str, message: str) -> None:
    predict, data = neurona.record(Odd(form)), batches(4, 4, 20)
    with pytest.raises(RuntimeError, match=f"record: .*({message})"):
        for x, _ in data:
            predict(x)


@pytest.mark.filterwarnings("ignore:neurona. the compiled kernels")
def test_hooks_float64_and_scaled_losses_are_named() -> None:
    (x, y), *_ = batches(1, 4, 20)
    hooked = mlp()
    hooked[0].register_forward_hook(lambda *_: None)
    wide = mlp().double()
    for model, message in ((hooked, "module '0' has, or had, forward hooks"), (wide, "float64")):
        predict = neurona.record(model)
        with pytest.raises(RuntimeError, match=message):
            for _ in range(2):
                predict(x if model is hooked else x.double())
    model = mlp()
    step = neurona.record(model, lambda a, b: F.cross_entropy(a, b) * 0.5, sgd(model.parameters()))
    with pytest.raises(RuntimeError, match="cross-entropy with a factor behind it"):
        for _ in range(3):
            step(x, y)
    step = neurona.record(model, F.cross_entropy, sgd(model.parameters()))
    for _ in range(5):
        step(x, y)
    model[2].bias.register_hook(lambda grad: grad * 0.0)
    with pytest.raises(RuntimeError, match="parameter '2.bias' has hooks"):
        step(x, y), step(x, y)


def rmsprop(model: nn.Module) -> optim.Optimizer:
    return optim.RMSprop(model.parameters())


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda m: neurona.record(3), TypeError, "model must be a Module, got int"),
        (lambda m: neurona.record(m, F.cross_entropy), TypeError, "both or neither"),
        (lambda m: neurona.record(m, 3, sgd(m.parameters())), TypeError, "loss must be callable"),
        (
            lambda m: neurona.record(m, len, rmsprop(m)),
            TypeError,
            "must be an SGD, Adam or AdamW, got RMSprop",
        ),
        (
            lambda m: neurona.record(m, len, optim.Adam(m.parameters(), eps_inside=True)),
            ValueError,
            "eps_inside=False",
        ),
        (
            lambda m: neurona.record(
                m, len, optim.SGD(m.parameters(), lr=0.1, momentum=0.9, velocity=True)
            ),
            ValueError,
            "velocity=False",
        ),
        (
            lambda m: neurona.record(m, len, sgd(nn.Linear(2, 2).parameters())),
            ValueError,
            "parameters of the model only",
        ),
        (lambda m: neurona.record(m)(), TypeError, "inputs must be x, got 0"),
        (lambda m: neurona.record(m)(3), TypeError, "x must be a Tensor, got int"),
        (
            lambda m: neurona.record(m)(neurona.ones(2, 20, requires_grad=True)),
            ValueError,
            "x must not require a gradient",
        ),
    ],
)
def test_wrong_arguments(build: Callable[[nn.Module], Any], error: Any, message: str) -> None:
    with pytest.raises(error, match=f"record: .*{message}"):
        build(mlp())
