"""Layer and group normalisation against their formulas."""

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


def leaf(*shape: int) -> neurona.Tensor:
    return neurona.tensor(
        np.random.default_rng(shape).standard_normal(shape) * 2 + 1, requires_grad=True
    )


def standard(parts: np.ndarray, eps: float) -> np.ndarray:
    return (parts - parts.mean(-1, keepdims=True)) / np.sqrt(parts.var(-1, keepdims=True) + eps)


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (2, 4, 3, 5)])
@pytest.mark.parametrize("rank", [1, 2])
def test_layer_norm(shape: tuple[int, ...], rank: int) -> None:
    if rank > len(shape):
        rank = 1
    inner = shape[-rank:]
    x, weight, bias = leaf(*shape), leaf(*inner, 1).reshape(*inner).detach(), leaf(*inner)
    expected = standard(x.data.reshape(-1, int(np.prod(inner))), 0.01).reshape(shape)
    with neurona.use_backend("reference"):
        assert_close(F.layer_norm(x, inner, eps=0.01), expected, 1e-12, "layer_norm")
        y = F.layer_norm(x, inner, weight, bias, 0.01)
        assert_close(y, expected * weight.data + bias.data, 1e-12, "layer_norm")
        weight.requires_grad = True
        assert autograd.gradcheck(
            lambda x, w, b: F.layer_norm(x, inner, w, b), (leaf(*shape), weight, bias)
        )
    narrow = F.layer_norm(x.detach().float(), inner, eps=0.01)
    assert_close(narrow, expected, 64 * EPS, "layer_norm float32")


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("shape", [(3, 6), (2, 6, 4), (2, 6, 3, 4)])
def test_group_norm(shape: tuple[int, ...], groups: int) -> None:
    x, weight, bias = leaf(*shape), leaf(6), leaf(6)
    expected = standard(x.data.reshape(shape[0], groups, -1), 0.01).reshape(shape)
    lay = (6, *(1,) * (len(shape) - 2))
    scaled = expected * weight.data.reshape(lay) + bias.data.reshape(lay)
    with neurona.use_backend("reference"):
        y = F.group_norm(x, groups, weight, bias, 0.01)
        assert_close(y, scaled, 1e-12, "group_norm")
        assert autograd.gradcheck(
            lambda x, w, b: F.group_norm(x, groups, w, b), (leaf(*shape), weight, bias)
        )
    narrow = [t.detach().float() for t in (x, weight, bias)]
    assert_close(
        F.group_norm(narrow[0], groups, *narrow[1:], 0.01), scaled, 128 * EPS, "group_norm float32"
    )


def test_layers() -> None:
    """Weight 1 and bias 0 at first, no difference between the phases, PyTorch's state."""
    x = leaf(4, 6, 5).detach().float()
    for layer, function, keys in (
        (nn.LayerNorm((6, 5)), lambda x: F.layer_norm(x, (6, 5)), ["weight", "bias"]),
        (nn.LayerNorm(5, bias=False), lambda x: F.layer_norm(x, (5,)), ["weight"]),
        (nn.LayerNorm(5, 1e-5, False), lambda x: F.layer_norm(x, (5,)), []),
        (nn.GroupNorm(3, 6), lambda x: F.group_norm(x, 3), ["weight", "bias"]),
        (nn.GroupNorm(3, 6, bias=False), lambda x: F.group_norm(x, 3), ["weight"]),
        (nn.GroupNorm(3, 6, affine=False), lambda x: F.group_norm(x, 3), []),
    ):
        assert list(layer.state_dict()) == keys
        assert (layer(x).data == function(x).data).all()
        assert (layer.eval()(x).data == function(x).data).all()
        assert type(layer).__name__ in repr(layer) and "eps=1e-05" in repr(layer)
    assert nn.LayerNorm(5)(neurona.zeros(0, 5)).shape == (0, 5)
    assert nn.LayerNorm(1)(neurona.ones(3, 1)).tolist() == [[0.0]] * 3


X = neurona.ones(2, 6)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: F.layer_norm(X, (5,)),
            ValueError,
            "must be the last axes of input (2, 6), got (5",
        ),
        (lambda: F.layer_norm(X, ()), ValueError, "must be the last axes of input"),
        (lambda: F.layer_norm(X, 6), TypeError, "normalized_shape must be a tuple of ints, got 6"),
        (lambda: F.layer_norm(X, (6,), X), ValueError, "weight must have shape (6,), got shape (2"),
        (lambda: F.layer_norm(X, (6,), eps=0.0), ValueError, "layer_norm: eps must be > 0"),
        (lambda: F.layer_norm([1.0], (1,)), TypeError, "layer_norm: input must be a Tensor"),
        (lambda: F.group_norm(X, 4), ValueError, "num_groups must divide the 6 channels, got 4"),
        (lambda: F.group_norm(X[0], 1), ValueError, "input must have shape (N, C, ...), got shape"),
        (lambda: F.group_norm(X, 2, None, X), ValueError, "group_norm: bias must have shape (6,)"),
        (lambda: nn.GroupNorm(4, 6), ValueError, "num_channels must be a multiple of num_groups 4"),
        (
            lambda: nn.GroupNorm(2, 4)(X),
            ValueError,
            "GroupNorm: expected input (N, 4, *), got (2, 6",
        ),
        (lambda: nn.LayerNorm((2, 6))(X[0]), ValueError, "LayerNorm: expected input (*, 2, 6)"),
        (lambda: nn.LayerNorm(()), ValueError, "LayerNorm: normalized_shape must name an axis"),
        (lambda: nn.LayerNorm(6, 0.0), ValueError, "LayerNorm: eps must be > 0, got 0.0"),
        (lambda: nn.LayerNorm(6.0), TypeError, "normalized_shape must be an int, got float"),
    ],
)
def test_bad_arguments(call: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call()
