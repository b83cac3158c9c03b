"""Losses: the warning of probabilities in place of logits, and what is refused with which words."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import Tensor, nn
from neurona.nn import functional as F
from neurona.nn.functional.loss import _shared

ONE = neurona.ones(2, 3)
CLASSES = neurona.tensor([0, 2])


@pytest.fixture(autouse=True)
def nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(_shared, "_warned", set())
    yield


def logits(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(4).normal(size=shape).astype(np.float32))


CLASS_LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "cross_entropy": lambda x: F.cross_entropy(x, CLASSES),
    "focal_loss": lambda x: F.focal_loss(x, CLASSES),
}


@pytest.mark.parametrize("name", CLASS_LOSSES)
@pytest.mark.parametrize("how", ["softmax", "log_softmax", "values", "values of maps"])
def test_probabilities_in_place_of_logits_warn_once(name: str, how: str) -> None:
    """Section 3, 13: said when the input comes from a softmax, or when its rows add up to 1."""
    x, loss = logits(2, 3).requires_grad_(), CLASS_LOSSES[name]
    if how == "softmax":
        fed, evidence = F.softmax(x, 1), "input comes from Softmax"
    elif how == "log_softmax":
        fed, evidence = F.log_softmax(x, 1), "input comes from LogSoftmax"
    else:
        fed, evidence = F.softmax(x.detach(), 1), "every row of input sums to 1"
    with pytest.warns(UserWarning, match=f"{name}: {evidence}, but it must hold logits"):
        if how == "values of maps":
            maps = fed.data[:, :, None].repeat(2, axis=2)
            labels = neurona.tensor([[0, 2], [1, 1]])
            (F.cross_entropy if name == "cross_entropy" else F.focal_loss)(Tensor(maps), labels)
        else:
            loss(fed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loss(fed)


@pytest.mark.parametrize("name", ["sigmoid", "softmax"])
def test_sigmoid_before_bce_with_logits_warns_once(name: str) -> None:
    x = logits(2, 3).requires_grad_()
    fed = F.sigmoid(x) if name == "sigmoid" else F.softmax(x, 1)
    with pytest.warns(UserWarning, match=f"input comes from {name.title()}, .*applies sigmoid"):
        nn.BCEWithLogitsLoss()(fed, ONE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nn.BCEWithLogitsLoss()(fed, ONE)


def test_logits_and_other_losses_do_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for values in (
            [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]],
            [[0.5, 0.5, 0.0], [0.5, 0.5, 0.1]],  # the second row gives it away
            [[2.0, -1.0, 0.0], [2.0, -1.0, 0.0]],  # adds up to 1, but is no distribution
            [[np.nan, 0.5, 0.5], [1.0, 0.0, 0.0]],
        ):
            F.cross_entropy(neurona.tensor(values), CLASSES)
        p = F.softmax(logits(2, 3), 1)
        F.cross_entropy(p, CLASSES, from_logits=False)
        F.nll_loss(p.log(), CLASSES)
        F.mse_loss(p, ONE)
        F.binary_cross_entropy(F.sigmoid(logits(2, 3).requires_grad_()), ONE)
        F.cross_entropy(neurona.zeros(0, 3), neurona.zeros(0, dtype=np.int64))
        F.cross_entropy(neurona.ones(2, 1), neurona.tensor([0, 0]))


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.FocalLoss()])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_e13_64_outputs_against_10_classes(loss: nn.Module, dtype: Any) -> None:
    """The readable error of the course's first script: logits (100, 64), targets (100, 10)."""
    target = F.one_hot(neurona.arange(100) % 10, 10).to(dtype)
    with pytest.raises(ValueError, match="input has 64 outputs per row, target 10 classes"):
        loss(logits(100, 64), target)
    shapes = re.escape("got shape (100, 1)")
    with pytest.raises(ValueError, match=rf"must have shape \(100,\) \(classes\) or .*{shapes}"):
        loss(logits(100, 64), neurona.zeros(100, 1, dtype=np.int64))
    with pytest.raises(ValueError, match=r"target must have shape \(100,\).*got shape \(99,\)"):
        loss(logits(100, 64), neurona.zeros(99, dtype=np.int64))
    with pytest.raises(ValueError, match="got 64 at position 1"):
        loss(logits(2, 64), neurona.tensor([0, 64]))


F32 = neurona.tensor([0.5, 0.5])
REFUSED: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: nn.HuberLoss(delta=-1.0), ValueError, "HuberLoss: delta must be > 0, got -1.0"),
    (lambda: nn.HuberLoss(delta=0), ValueError, "HuberLoss: delta must be > 0, got 0"),
    (lambda: nn.HuberLoss(delta=float("nan")), ValueError, "delta must be > 0, got nan"),
    (lambda: nn.HuberLoss(delta="1"), TypeError, "delta must be a number, got str"),
    (lambda: F.huber_loss(F32, F32, delta=True), TypeError, "delta must be a number, got bool"),
    (lambda: nn.SmoothL1Loss(beta=-1.0), ValueError, "beta must be in [0, inf], got -1.0"),
    (lambda: nn.MSELoss(scale=0.0), ValueError, "MSELoss: scale must be > 0, got 0.0"),
    (lambda: F.mse_loss(F32, F32, scale=-1), ValueError, "scale must be > 0, got -1"),
    (lambda: F.mse_loss(F32, ONE), ValueError, "shape of input (2,), got shape (2, 3)"),
    (lambda: F.huber_loss(F32, F32, weight=ONE), ValueError, "must broadcast to (2,), got shape"),
    (lambda: F.l1_loss(F32, F32.double()), TypeError, "must have dtype float32, got float64"),
    (lambda: nn.FocalLoss(-0.5), ValueError, "gamma must be in [0, inf], got -0.5"),
    (lambda: F.focal_loss(ONE, CLASSES, alpha=F32), ValueError, "alpha must hold 3 numbers"),
    (lambda: F.focal_loss(ONE, F32), TypeError, "must hold integer classes"),
    (lambda: nn.CrossEntropyLoss(norm="N"), ValueError, "norm must be one of ('weight', 'n')"),
    (lambda: F.nll_loss(ONE, CLASSES, norm=None), ValueError, "norm must be one of"),
    (lambda: nn.CrossEntropyLoss(from_logits=1), TypeError, "from_logits must be a bool"),
    (
        lambda: F.cross_entropy(-ONE, CLASSES, from_logits=False),
        ValueError,
        "input must be in 0..1 when from_logits is False",
    ),
    (
        lambda: F.cross_entropy(ONE, neurona.tensor([[1, 1, 0], [0, 1, 0]])),
        ValueError,
        "must hold a single 1 per row (one-hot)",
    ),
    (
        lambda: F.cross_entropy(ONE, neurona.tensor([[2, 0, 0], [0, 1, 0]])),
        ValueError,
        "must hold a single 1 per row (one-hot)",
    ),
    (
        lambda: nn.BCELoss()(neurona.tensor([0.5, 1.5]), F32),
        ValueError,
        "input must be in 0..1, got 0.5..1.5; binary_cross_entropy_with_logits takes logits",
    ),
    (lambda: nn.BCELoss()(F32, neurona.tensor([-1, 1])), ValueError, "target must be in 0..1"),
    (lambda: nn.BCELoss()(F32 * np.nan, F32), ValueError, "input must be in 0..1"),
    (
        lambda: nn.BCEWithLogitsLoss(pos_weight=np.ones(4, np.float32))(ONE, ONE),
        ValueError,
        "pos_weight must broadcast to (2, 3), got shape (4,)",
    ),
    (lambda: nn.KLDivLoss(reduction="batch"), ValueError, "batchmean'), got 'batch'"),
    (lambda: F.kl_div(ONE, ONE, reduction="avg"), ValueError, "batchmean'), got 'avg'"),
    (lambda: nn.KLDivLoss(log_target=None), TypeError, "log_target must be a bool"),
    (lambda: nn.MSELoss(reduction="batchmean"), ValueError, "reduction must be"),
    (lambda: nn.HingeLoss(0.0), ValueError, "HingeLoss: margin must be > 0, got 0.0"),
    (
        lambda: nn.HingeLoss()(F32, neurona.tensor([0, 1])),
        ValueError,
        "hinge_loss: target must hold -1 and 1, got 0",
    ),
    (lambda: nn.MultiMarginLoss(3), ValueError, "p must be 1 or 2, got 3"),
    (lambda: F.multi_margin_loss(ONE, CLASSES, 1.5), TypeError, "p must be an int"),
    (lambda: nn.MultiMarginLoss(form="mean"), ValueError, "form must be one of ('sum', 'max')"),
    (
        lambda: F.multi_margin_loss(ONE, neurona.tensor([0, 3])),
        ValueError,
        "target must be in 0..2, got 3 at position 1",
    ),
    (lambda: F.multi_margin_loss(ONE, ONE), TypeError, "integer dtype, got float32"),
    (lambda: F.multi_margin_loss(neurona.ones(1, 2, 3), CLASSES), ValueError, "(N, C) or (C,)"),
    (lambda: nn.PairwiseDistance(0.0), ValueError, "p must be > 0, got 0.0"),
    (lambda: F.pairwise_distance(ONE, F32), ValueError, "x2 must have the shape of x1 (2, 3)"),
    (lambda: nn.ContrastiveLoss(-1.0), ValueError, "margin must be > 0, got -1.0"),
    (lambda: nn.ContrastiveLoss(distance="cos"), ValueError, "one of ('l2', 'l1'), got 'cos'"),
    (
        lambda: nn.ContrastiveLoss()(ONE, ONE, neurona.tensor([1, -1])),
        ValueError,
        "target must hold 1 (same class) and 0",
    ),
    (
        lambda: nn.ContrastiveLoss()(ONE, ONE, neurona.tensor([[1], [0]])),
        ValueError,
        "target must have shape (2,) for inputs of shape (2, 3), got shape (2, 1)",
    ),
    (lambda: nn.TripletMarginLoss(0.0), ValueError, "margin must be > 0, got 0.0"),
    (lambda: nn.TripletMarginLoss(p=-2.0), ValueError, "p must be > 0, got -2.0"),
    (lambda: nn.TripletMarginLoss(squared="yes"), TypeError, "squared must be a bool, got str"),
    (
        lambda: nn.TripletMarginLoss()(ONE, ONE, F32),
        ValueError,
        "negative must have the shape of anchor (2, 3), got shape (2,)",
    ),
    (lambda: nn.HuberLoss(reduction="avg"), ValueError, "reduction must be"),
    (lambda: F.hinge_loss(F32, F32, reduction="avg"), ValueError, "reduction must be one of"),
]


@pytest.mark.parametrize("index", range(len(REFUSED)))
def test_refused_arguments(index: int) -> None:
    call, error, text = REFUSED[index]
    with pytest.raises(error, match=re.escape(text)):
        call()
