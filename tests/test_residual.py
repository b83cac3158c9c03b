"""Residual, Concat and DenseBlock: sums, joins and gradients through every path."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import autograd, nn
from nn_helpers import EPS, assert_close, fill, fill_parameters


def zeroed(module: nn.Module) -> nn.Module:
    for parameter in module.parameters():
        parameter.data[...] = 0
    return module


def test_a_body_of_zeros_is_the_identity_for_positive_inputs() -> None:
    """C23, E26: W = b = 0 gives x exactly where x >= 0, and ReLU(x) elsewhere."""
    for body, shape in (
        (nn.Linear(6, 6), (4, 6)),
        (nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 1)), (2, 3, 5, 5)),
    ):
        block = nn.Residual(zeroed(body))
        x = fill(shape, 1)
        assert (x < 0).any() and (x > 0).any()
        positive = np.abs(x)
        assert (block(neurona.Tensor(positive)).data == positive).all()
        assert (block(neurona.Tensor(x)).data == np.maximum(x, 0)).all()
        plain = nn.Residual(body, activation=nn.Identity())
        assert (plain(neurona.Tensor(x)).data == x).all()


def test_residual_formula_and_gradients() -> None:
    """C23, C24: g(W x + b + x) and g(W x + b + W_s x), finite differences through both paths."""
    for out, shortcut in ((4, None), (3, nn.Linear(4, 3, bias=False, dtype="float64"))):
        body = nn.Linear(4, out, dtype="float64")
        block = nn.Residual(body, shortcut)
        x = neurona.tensor(fill((5, 4), 2).astype(np.float64), requires_grad=True)
        with neurona.use_backend("reference"):
            beside = x.data if shortcut is None else x.data @ shortcut.weight.data.T
            expected = np.maximum(x.data @ body.weight.data.T + body.bias.data + beside, 0)
            assert_close(block(x), expected, 1e-14, "residual")
            assert autograd.gradcheck(lambda x, b=block: b(x), x)
            block(x).sum().backward()
        assert len(list(block.parameters())) == (2 if shortcut is None else 3)
        assert all(parameter.grad is not None for parameter in block.parameters())


def test_residual_of_images_with_a_projection() -> None:
    body = nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU()
    )
    block = nn.Residual(body, nn.Conv2d(3, 6, 1, stride=2))
    x = neurona.Tensor(fill((2, 3, 8, 8), 1))
    y = block(x)
    assert y.shape == (2, 6, 4, 4)
    assert (y.data == np.maximum(body(x).data + block.shortcut(x).data, 0)).all()
    assert [name for name, _ in block.named_parameters()] == [
        "body.0.weight",
        "body.1.weight",
        "body.1.bias",
        "shortcut.weight",
        "shortcut.bias",
    ]


def test_concat_joins_and_its_gradient_splits() -> None:
    """C25: channels add up; each branch gets its own slice of the gradient."""
    left, right = nn.Conv2d(3, 2, 3, padding=1), nn.Conv2d(3, 5, 1)
    block = nn.Concat(nn.Identity(), left, right)
    x = neurona.tensor(fill((2, 3, 4, 4), 1), requires_grad=True)
    y = block(x)
    assert y.shape == (2, 10, 4, 4)
    dy = fill((2, 10, 4, 4), 2)
    y.backward(neurona.Tensor(dy))
    assert x.grad is not None and left.weight.grad is not None and right.weight.grad is not None
    got = [x.grad.data, left.weight.grad.data, right.weight.grad.data]
    twin = neurona.tensor(x.data.copy(), requires_grad=True)
    block.zero_grad()
    left(twin).backward(neurona.Tensor(dy[:, 3:5].copy()))
    right(twin).backward(neurona.Tensor(dy[:, 5:].copy()))
    assert twin.grad is not None and left.weight.grad is not None and right.weight.grad is not None
    wanted = [dy[:, :3] + twin.grad.data, left.weight.grad.data, right.weight.grad.data]
    for one, other in zip(got, wanted, strict=True):
        assert_close(one, other, 32 * EPS, "concat")
    assert repr(block).startswith("Concat(dim=1\n  (0): Identity()")


def test_every_map_reaches_all_later_layers() -> None:
    """C25: a chain of Concat grows by the maps each layer adds."""
    layers = [nn.Concat(nn.Identity(), nn.Conv2d(4 + 3 * i, 3, 3, padding=1)) for i in range(3)]
    assert nn.Sequential(*layers)(neurona.zeros(1, 4, 5, 5)).shape == (1, 13, 5, 5)


def test_concat_of_inputs() -> None:
    a, b = neurona.Tensor(fill((2, 3), 1)), neurona.Tensor(fill((2, 4), 2))
    joined = np.concatenate([a.data, b.data], axis=1)
    assert (nn.Concat(dim=1)(a, b).data == joined).all()
    assert (nn.Concat()([a, b]).data == joined).all()
    assert nn.Concat(nn.Identity(), nn.Identity(), dim=-1)(a).shape == (2, 6)


def test_dense_block_is_linear_dropout_relu() -> None:
    """C27: a net of three lines for the 8 x 8 digits."""
    block = nn.DenseBlock(6, 4, 0.5)
    fill_parameters(block)
    x = neurona.Tensor(fill((50, 6), 1))
    linear = block.linear(x).data
    assert (block.eval()(x).data == np.maximum(linear, 0)).all()
    y = block.train()(x).data
    assert ((y == 0) | (y == np.maximum(linear, 0) * 2)).all()
    dropped = (y == 0) & (linear > 0)
    assert dropped.any() and not dropped.all()
    net = nn.Sequential(
        nn.Flatten(), nn.DenseBlock(64, 32, 0.2), nn.DenseBlock(32, 16, 0.2), nn.Linear(16, 10)
    )
    assert net(neurona.zeros(5, 1, 8, 8)).shape == (5, 10)
    assert list(net.state_dict())[:2] == ["1.linear.weight", "1.linear.bias"]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: nn.Residual(nn.Linear(4, 3))(x),
            ValueError,
            "must keep the shape, or a shortcut be given, got (2, 3) and (2, 4)",
        ),
        (
            lambda x: nn.Residual(nn.Linear(4, 1))(x),
            ValueError,
            "got (2, 1) and (2, 4)",
        ),
        (
            lambda x: nn.Residual(nn.Linear(4, 3), nn.Linear(4, 2))(x),
            ValueError,
            "must agree, got (2, 3) and (2, 2)",
        ),
        (lambda x: nn.Residual(nn.ReLU), TypeError, "Residual: body must be a Module, got type"),
        (lambda x: nn.Residual(nn.ReLU(), 1), TypeError, "shortcut must be a Module, got int"),
        (
            lambda x: nn.Residual(nn.ReLU(), activation="relu"),
            TypeError,
            "activation must be a Mod",
        ),
        (lambda x: nn.Concat(1), TypeError, "Concat: branch 0 must be a Module, got int"),
        (lambda x: nn.Concat(nn.ReLU())(x, x), TypeError, "branches take one input, got 2"),
        (lambda x: nn.Concat(dim=1.0), TypeError, "Concat: dim must be an int, got float"),
        (lambda x: nn.Concat(dim=0)(x, x[:, :2]), ValueError, "cat"),
        (lambda x: nn.DenseBlock(0, 3), ValueError, "Linear: in_features must be in [1,"),
        (lambda x: nn.DenseBlock(3, 3, 2.0), ValueError, "Dropout: p must be in [0, 1]"),
    ],
)
def test_bad_arguments(call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call(neurona.ones(2, 4))
