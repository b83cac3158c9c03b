"""Dropout: its two scalings, whole channels, and the Monte Carlo mean of many masks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import Generator, autograd, nn
from neurona.nn import functional as F
from nn_helpers import EPS, assert_close, fill

SIZE = 1_000_000


def test_the_two_scalings_have_one_mean() -> None:
    """C17: mu = .3. Classic keeps .7 in training and multiplies by .7 later; inverted keeps 1."""
    x = neurona.ones(SIZE)
    # Five standard errors of a mean of .7 / 1.0 with the variances .21 and .4286.
    classic = F.dropout(x, 0.3, mode="classic", generator=Generator(1)).data.astype(np.float64)
    assert set(np.unique(classic)) == {0.0, 1.0}
    assert abs(classic.mean() - 0.7) < 5 * np.sqrt(0.21 / SIZE)
    evaluated = F.dropout(x, 0.3, training=False, mode="classic").data
    assert_close(evaluated.astype(np.float64).mean(), 0.7, 1e-7, "dropout classic")
    inverted = F.dropout(x, 0.3, generator=Generator(1)).data.astype(np.float64)
    assert abs(inverted.mean() - 1.0) < 5 * np.sqrt(3 / 7 / SIZE)
    assert abs(inverted.var() - 3 / 7) < 5e-3
    assert F.dropout(x, 0.3, training=False) is x


def test_both_modes_drop_the_same() -> None:
    """C16: one draw decides, forward and backward alike; the rest is as it was, bit for bit."""
    x = neurona.tensor(fill((7, 40), 1) + 1, requires_grad=True)
    inverted = F.dropout(x, 0.4, generator=Generator(3))
    classic = F.dropout(x, 0.4, generator=Generator(3), mode="classic")
    kept = inverted.data != 0
    assert 0 < kept.mean() < 1
    assert (classic.data == np.where(kept, x.data, 0)).all()
    dy = fill((7, 40), 2)
    classic.backward(neurona.Tensor(dy))
    assert x.grad is not None and (x.grad.data == np.where(kept, dy, 0)).all()
    x.grad = None
    F.dropout(x, 0.4, training=False, mode="classic").backward(neurona.Tensor(dy))
    assert x.grad is not None
    assert_close(x.grad, dy * np.float32(0.6), EPS, "dropout classic")


def test_no_dropout_is_exact() -> None:
    """R3: p = 0 changes nothing and draws nothing, in either mode and phase."""
    x = neurona.ones(3)
    before = neurona.get_rng_state()
    for mode in ("inverted", "classic"):
        for training in (True, False):
            assert F.dropout(x, 0.0, training, mode=mode) is x
            assert F.dropout2d(x.reshape(1, 3, 1), 0.0, training, mode=mode).tolist() == [
                [[1.0], [1.0], [1.0]]
            ]
    assert neurona.get_rng_state() == before
    assert F.dropout(x, 1.0, mode="classic").tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("layer", [nn.Dropout, nn.Dropout2d])
def test_dropping_everything_is_warned_of(layer: Any) -> None:
    with pytest.warns(UserWarning, match=f"{layer.__name__}: p = 1 drops everything") as seen:
        assert layer(1.0).p == 1.0
    assert seen[0].filename == __file__


def test_layers_follow_mode_and_phase() -> None:
    """C18."""
    x = neurona.ones(2, 500)
    layer = nn.Dropout(0.5, mode="classic")
    assert set(np.unique(layer(x).data)) == {0.0, 1.0}
    assert (layer.eval()(x).data == 0.5).all()
    assert (
        repr(layer) == "Dropout(p=0.5, mode='classic')" and repr(nn.Dropout()) == "Dropout(p=0.5)"
    )
    for change in (True, False):
        y = x * 1.0
        result = nn.Dropout(0.5, change, mode="classic").eval()(y)
        assert (result is y) == change and (result.data == 0.5).all()
    y = x * 1.0
    assert nn.Dropout(0.5, True, mode="classic")(y) is y
    assert set(np.unique(y.data)) == {0.0, 1.0}


@pytest.mark.parametrize("shape", [(6, 50, 3, 4), (6, 50, 5)])
def test_channels_are_dropped_whole(shape: tuple[int, ...]) -> None:
    x = neurona.tensor(fill(shape, 1) + 2, requires_grad=True)
    rest = tuple(range(2, len(shape)))
    for mode, scale in (("inverted", 1 / 0.6), ("classic", 1.0)):
        x.grad = None
        y = F.dropout2d(x, 0.4, generator=Generator(5), mode=mode)
        kept = (y.data != 0).all(rest)
        assert (kept == (y.data != 0).any(rest)).all() and 0.5 < kept.mean() < 0.7
        factor = np.where(kept, scale, 0).reshape(*kept.shape, *(1,) * len(rest))
        assert_close(y, x.data * factor, 8 * EPS, "dropout2d")
        y.backward(neurona.Tensor(np.ones(shape, np.float32)))
        assert x.grad is not None
        assert_close(x.grad, factor * np.ones(shape), 8 * EPS, "dropout2d")
    assert nn.Dropout2d(0.4).eval()(x) is x
    evaluated = nn.Dropout2d(0.4, mode="classic").eval()(x)
    assert_close(evaluated, x.data * 0.6, 8 * EPS, "dropout2d")
    y = x.detach().clone()
    assert nn.Dropout2d(0.4, inplace=True)(y) is y and not y.data.all()


def test_gradients_equal_central_differences() -> None:
    x = neurona.tensor(fill((3, 4, 5), 1).astype(np.float64), requires_grad=True)
    with neurona.use_backend("reference"):
        for function in (F.dropout, F.dropout2d):
            assert autograd.gradcheck(
                lambda x, f=function: f(x, 0.3, generator=Generator(2), mode="classic"), x
            )


def test_mean_of_many_masks_is_the_evaluation() -> None:
    """R1: for a linear net the mean over sub-nets is the whole net, in either scaling."""
    x = neurona.Tensor(fill((5, 20), 1))
    for mode in ("inverted", "classic"):
        neurona.manual_seed(11)
        net = nn.Sequential(nn.Linear(20, 30), nn.Dropout(0.5, mode=mode), nn.Linear(30, 3))
        net.train()
        found = neurona.mc_predict(net, x, 2000)
        whole = net.eval()(x).data
        error = np.abs(found.mean.data - whole)
        # Five standard errors of a mean of 2,000 draws.
        assert (error < 5 * found.std.data / np.sqrt(2000)).all()
        assert found.std.data.min() > 0 and found.mean.shape == found.std.shape == (5, 3)
        assert not found.mean.requires_grad


def test_mc_predict_is_the_mean_and_spread_of_its_passes() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.5))
    net.train()
    net[0].eval()
    x = neurona.Tensor(fill((3, 4), 2))
    neurona.manual_seed(2)
    found = neurona.mc_predict(net, x, 7)
    modes = [module.training for module in net]
    assert modes == [False, True, True, True] and net.training
    assert net[1].num_batches_tracked.item() == 0
    neurona.manual_seed(2)
    net[1].eval()
    with neurona.no_grad():
        passes = np.stack([net(x).data for _ in range(7)]).astype(np.float64)
    assert_close(found.mean, passes.mean(0), 4 * EPS, "mc_predict mean")
    assert_close(found.std, passes.std(0), 4 * EPS, "mc_predict std")
    assert (neurona.mc_predict(net, x, 1).std.data == 0).all()
    with pytest.raises(ValueError, match="expected input"):
        neurona.mc_predict(net, neurona.zeros(2, 5), 3)
    assert [module.training for module in net] == [False, False, True, True]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: F.dropout(x, mode="vanilla"), ValueError, "dropout: mode must be one of"),
        (lambda x: F.dropout(x, 0.5, False, mode=None), ValueError, "dropout: mode must be one of"),
        (lambda x: F.dropout2d(x, 2.0), ValueError, "dropout2d: p must be between 0 and 1"),
        (lambda x: F.dropout2d(x[0]), ValueError, "dropout2d: input must have shape (N, C, H, W)"),
        (lambda x: F.dropout2d(x, mode="x"), ValueError, "dropout2d: mode must be one of"),
        (lambda x: nn.Dropout(mode="x"), ValueError, "Dropout: mode must be 'inverted' or"),
        (lambda x: nn.Dropout2d(1.1), ValueError, "Dropout2d: p must be in [0, 1], got 1.1"),
        (lambda x: neurona.mc_predict(nn.Dropout(), x, 0), ValueError, "n must be >= 1, got 0"),
        (lambda x: neurona.mc_predict(nn.Dropout(), x, 1.0), TypeError, "n must be an int, got fl"),
        (lambda x: neurona.mc_predict(nn.Dropout(0.0), x, 2), ValueError, "with p > 0, got none"),
        (lambda x: neurona.mc_predict(F.relu, x, 2), TypeError, "model must be a Module, got func"),
    ],
)
def test_bad_arguments(call: Callable[[Any], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call(neurona.ones(2, 3, 4))
