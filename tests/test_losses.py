"""Losses: values against formulas written out in float64, gradients, reductions, extreme inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import neurona
from compare import assert_close, assert_exact, assert_same_bits
from loss_cases import (
    CASES,
    HOT,
    LABELS,
    SIGMOID,
    WEIGHT,
    N,
    P,
    Q,
    U,
    X,
    Y,
    arguments,
    build,
    huber,
    picked,
    softmax,
)
from neurona import Tensor, autograd, nn
from neurona.nn import functional as F


@pytest.fixture(autouse=True)
def reference() -> Iterator[None]:
    """float64 tensors run on the reference, where nothing warns of it."""
    with neurona.use_backend("reference"):
        yield


@pytest.fixture(params=["reference", "cpu"])
def either(request: pytest.FixtureRequest) -> Iterator[str]:
    """Both backends in turn."""
    with neurona.use_backend(request.param):
        yield request.param


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("name", CASES)
def test_values(name: str, reduction: str, either: str) -> None:
    """D2, D3-D10, D13, D16-D18: each loss equals its formula, and "mean" is that of the losses."""
    expected = CASES[name][2]
    for dtype, unit in ((np.float64, 2.0**-53), (np.float32, U)):
        if either == "cpu" and dtype is np.float64:
            continue
        got = build(name, dtype, reduction)(*arguments(name, dtype)).data
        assert got.dtype == dtype
        # Inputs of size 6 squared or divided by beta, and the sums of 20 losses.
        bound = 400 * unit * np.maximum(1, np.abs(expected))
        whole, limit = {
            "none": (expected, bound),
            "sum": (np.array(expected.sum()), bound.sum()),
            "mean": (np.array(expected.mean()), bound.mean()),
        }[reduction]
        assert_close(got, whole, limit, what=f"{name.split()[0]}_loss {name} {reduction} {either}")


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("name", CASES)
def test_gradients(name: str, reduction: str) -> None:
    """Central differences, for inputs and float targets."""
    loss = build(name, np.float64, reduction)
    assert autograd.gradcheck(loss, tuple(arguments(name, np.float64, grad=True)))


@pytest.mark.parametrize("name", CASES)
def test_gradients_in_float32(name: str) -> None:
    """The compiled kernels give what the reference gives, for a random upstream gradient."""
    found: list[list[np.ndarray]] = []
    shape = CASES[name][2].shape
    upstream = np.random.default_rng(3).normal(size=shape)
    for backend, dtype in (("reference", np.float64), ("cpu", np.float32)):
        with neurona.use_backend(backend):
            inputs = arguments(name, dtype, grad=True)
            build(name, dtype, "none")(*inputs).backward(upstream.astype(dtype))
            found.append([t.grad.data for t in inputs if t.grad is not None])
    assert found[0] and len(found[0]) == len(found[1])
    for wide, narrow in zip(*found, strict=True):
        assert narrow.dtype == np.float32
        bound = 400 * U * max(1.0, float(np.abs(wide).max()))
        assert_close(narrow, wide, bound, what=f"{name.split()[0]}_grad {name}")


def test_d1_equal_arguments_cost_nothing() -> None:
    """D1, E12: 0 at y = prediction, for cross-entropies with one-hot targets alone."""
    x = Tensor(X)
    for loss in (nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), nn.SmoothL1Loss()):
        assert loss(x, x).item() == 0
    zero_one = Tensor(np.array([0.0, 1.0, 1.0]))
    assert nn.BCELoss()(zero_one, zero_one).item() == 0
    assert nn.KLDivLoss()(Tensor(np.log(P)), Tensor(P)).item() == pytest.approx(0, abs=1e-16)
    certain = neurona.tensor([[0.0, 1.0]])
    assert F.cross_entropy(certain, certain, from_logits=False).item() == 0
    half = neurona.tensor([[0.5, 0.5]])
    assert F.cross_entropy(half, half, from_logits=False).item() == pytest.approx(math.log(2))
    soft = Tensor(np.array([0.3]))
    entropy = -(0.3 * math.log(0.3) + 0.7 * math.log(0.7))
    assert nn.BCELoss()(soft, soft).item() == pytest.approx(entropy)


def gradient(loss: Callable[..., Tensor], x: Any, *others: Any) -> np.ndarray:
    leaf = neurona.tensor(x, dtype=np.float64, requires_grad=True)
    loss(leaf, *(Tensor(np.asarray(other)) for other in others)).sum().backward()
    assert leaf.grad is not None
    return leaf.grad.data


def test_kinks_have_gradient_zero() -> None:
    """The convention of the course: sub-gradient 0 at every kink, and no NaN at distance 0."""
    assert gradient(nn.L1Loss(), [2.0, 3.0], [2.0, 4.0]).tolist() == [0, -0.5]
    assert gradient(nn.HingeLoss(), [1.0, 2.0, 0.0], [1, 1, 1]).tolist() == [0, 0, -1 / 3]
    assert gradient(nn.MultiMarginLoss(), [[1.0, 0.0]], [0]).tolist() == [[0, 0]]
    with np.errstate(all="raise"):
        same = [[1.0, 2.0]]
        contrastive = nn.ContrastiveLoss(1.0)
        assert gradient(contrastive, same, same, [0]).tolist() == [[0, 0]]
        for p in (1.0, 2.0, 3.0, math.inf):
            distance = nn.PairwiseDistance(p, eps=0.0)
            assert gradient(distance, same, same).tolist() == [[0, 0]]


def test_d3_gradients_of_the_three_scalings() -> None:
    """Squared error 2e, half of it e, the mean 2e / n."""
    e = X - Y
    for loss, expected in (
        (nn.MSELoss(reduction="sum"), 2 * e),
        (nn.MSELoss(reduction="sum", scale=0.5), e),
        (nn.MSELoss(), 2 * e / e.size),
    ):
        got = gradient(loss, X, Y)
        assert_close(got, expected, 1e-14, what="mse_grad scalings")


def test_d5_huber_is_continuous_at_delta() -> None:
    """D5: value and slope from both sides of delta; SmoothL1 is Huber / delta, not Huber."""
    delta, step = 0.7, 1e-9
    x = np.array([delta - step, delta, delta + step])
    zero = np.zeros(3)
    loss = nn.HuberLoss("none", delta)
    values = loss(Tensor(x), Tensor(zero)).data
    assert np.ptp(values) <= 2 * delta * step * 1.01 and np.ptp(gradient(loss, x, zero)) <= 1.01e-9
    smooth = nn.SmoothL1Loss(reduction="none", beta=delta)(Tensor(x), Tensor(zero)).data
    assert_close(smooth * delta, values, 1e-15, what="huber smooth")


def test_d9_d10_gradients_are_prediction_minus_target() -> None:
    """Softmax - one-hot over N for logits, a - y for a sigmoid."""
    got = gradient(nn.CrossEntropyLoss(), X, LABELS)
    assert_close(got, (softmax(X) - HOT) / N, 1e-15, what="cross_entropy_grad fused")
    got = gradient(nn.BCEWithLogitsLoss(reduction="sum"), X, Q)
    assert_close(got, SIGMOID - Q, 1e-15, what="bce_logits_grad fused")


def test_extreme_logits_stay_finite(either: str) -> None:
    """D10: +-100 (and +-1e4) give finite losses and gradients, and the right ones."""
    x = neurona.tensor([100.0, -100.0, 1e4, -1e4], requires_grad=True)
    losses = F.binary_cross_entropy_with_logits(x, neurona.tensor([0, 1, 0, 1]), reduction="none")
    assert_exact(losses.data, np.array([100, 100, 1e4, 1e4]), what="bce_logits extreme")
    losses.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1, -1, 1, -1]
    right = F.binary_cross_entropy_with_logits(x.detach(), neurona.tensor([1, 0, 1, 0]))
    assert 0 <= right.item() < 1e-30
    p = neurona.tensor([0.0, 1.0], requires_grad=True)
    sure = F.binary_cross_entropy(p, neurona.tensor([1, 0]), reduction="none")
    assert sure.tolist() == [100, 100]
    sure.sum().backward()
    assert p.grad is not None and np.isfinite(p.grad.data).all()
    wide = neurona.tensor([[1e4, -1e4]], requires_grad=True)
    for gamma in (0.5, 2.0):
        for label, expected in ((0, 0.0), (1, 2e4)):
            wide.grad = None
            loss = F.focal_loss(wide, neurona.tensor([label]), gamma)
            loss.backward()
            assert loss.item() == expected and wide.grad is not None
            assert np.isfinite(wide.grad.data).all()
    zero = neurona.tensor([[0.0, 1.0]])
    assert np.isfinite(F.cross_entropy(zero, neurona.tensor([0]), from_logits=False).item())
    assert F.kl_div(neurona.tensor([-1.0, -2.0]), neurona.tensor([0.0, 1.0])).item() == 1.0


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@pytest.mark.parametrize("weighted", [False, True])
def test_d13_focal_with_gamma_0_is_cross_entropy_bit_by_bit(reduction: str, weighted: bool) -> None:
    x = Tensor(X.astype(np.float32), requires_grad=True)
    y = Tensor(X.astype(np.float32), requires_grad=True)
    labels = neurona.tensor([0, 3, -100, 3, 2])
    weight = Tensor(WEIGHT.astype(np.float32)) if weighted else None
    focal = F.focal_loss(x, labels, 0.0, weight, reduction=reduction)
    plain = F.cross_entropy(y, labels, weight, reduction=reduction, norm="n")
    assert_same_bits(focal.data, plain.data, what="focal 0")
    focal.sum().backward()
    plain.sum().backward()
    assert x.grad is not None and y.grad is not None
    assert_same_bits(x.grad.data, y.grad.data, what="focal 0 gradient")
    if not weighted:
        usual = F.cross_entropy(y, labels, reduction=reduction)
        assert_close(focal.data, usual.data.astype(np.float64), 8 * U, what="focal 0 usual")


def test_d14_focal_alpha_and_targets() -> None:
    """Class weights, ignored rows, maps, one-hot and soft targets agree with rows by hand."""
    x = Tensor(X)
    each = -WEIGHT[LABELS] * (1 - picked(softmax(X))) ** 2 * np.log(picked(softmax(X)))
    loss = nn.FocalLoss(2.0, WEIGHT, reduction="none")
    assert_close(loss(x, Tensor(LABELS)).data, each, 1e-14, what="focal alpha")
    assert_close(loss(x, Tensor(HOT)).data, each, 1e-14, what="focal one-hot")
    ignored = np.where(np.arange(N) == 1, -100, LABELS)
    mean = nn.FocalLoss(2.0, WEIGHT)(x, Tensor(ignored))
    assert mean.item() == pytest.approx(np.delete(each, 1).mean(), rel=1e-14)
    assert math.isnan(nn.FocalLoss()(x[:1], neurona.tensor([-100])).item())
    maps = Tensor(X.T[None].copy())  # (1, C, N): the rows along the last axis
    got = loss(maps, Tensor(LABELS[None]))
    assert_close(got.data, each[None], 1e-14, what="focal maps")
    soft = softmax(Y)
    expected = -(soft * WEIGHT * (1 - softmax(X)) ** 2 * np.log(softmax(X))).sum(1)
    assert_close(loss(x, Tensor(soft)).data, expected, 1e-13, what="focal soft")
    leaf = Tensor(X, requires_grad=True)
    assert autograd.gradcheck(lambda z: loss(z, Tensor(soft)), leaf)
    assert list(loss.state_dict()) == ["alpha"]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_d11_norm_chooses_the_divisor(smoothing: float, either: str) -> None:
    """norm="weight" divides by the weights of the kept rows, "n" by their number."""
    x, labels = Tensor(X.astype(np.float32)), neurona.tensor([0, 3, -100, 3, 2])
    weight = Tensor(WEIGHT.astype(np.float32))
    each = F.cross_entropy(x, labels, weight, reduction="none", label_smoothing=smoothing)
    total = each.data.astype(np.float64).sum()
    for norm, divisor in (("weight", 0.5 + 3 + 3 + 1), ("n", 4)):
        loss = nn.CrossEntropyLoss(weight, norm=norm, label_smoothing=smoothing)
        assert loss(x, labels).item() == pytest.approx(total / divisor, rel=1e-6)
        if smoothing == 0:
            nll = nn.NLLLoss(weight, norm=norm)(F.log_softmax(x, 1), labels)
            assert nll.item() == pytest.approx(total / divisor, rel=1e-6)
    for ignored in (nn.CrossEntropyLoss(norm="n"), nn.NLLLoss(norm="n")):
        assert math.isnan(ignored(x[:1], neurona.tensor([-100])).item())
    probabilities = Tensor(HOT.astype(np.float32))
    both = [F.cross_entropy(x, probabilities, weight, norm=norm).item() for norm in ("n", "weight")]
    assert both[0] == both[1]  # probabilities are averaged by N either way


def test_integer_targets_take_the_dtype_of_the_input(either: str) -> None:
    x = neurona.tensor([0.25, 0.75])
    for make in (np.int64, np.uint8, np.bool_):
        target = neurona.tensor([0, 1], dtype=make)
        for loss in (nn.MSELoss(), nn.BCELoss(), nn.BCEWithLogitsLoss(), nn.HuberLoss()):
            assert loss(x, target).item() == loss(x, target.float()).item()


def test_weights_of_elements() -> None:
    """Class losses divide by weights; BCE divides by the elements; MSE, L1 and Huber by weights."""
    x, y, weight = Tensor(X), Tensor(Y), Tensor(WEIGHT)
    got = F.huber_loss(x, y, delta=0.3, weight=weight).item()
    assert got == pytest.approx((huber(X - Y, 0.3) * WEIGHT).sum() / (WEIGHT.sum() * N))
    got = F.binary_cross_entropy(Tensor(P), Tensor(Q), weight).item()
    assert got == pytest.approx((CASES["bce"][2] * WEIGHT).mean())
    got = nn.MultiMarginLoss(weight=WEIGHT)(x, Tensor(LABELS)).item()
    assert got == pytest.approx((WEIGHT[LABELS] * CASES["multi_margin"][2]).mean())
    assert list(nn.BCEWithLogitsLoss(WEIGHT, pos_weight=WEIGHT).state_dict()) == [
        "weight",
        "pos_weight",
    ]


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_single_numbers(reduction: str, either: str) -> None:
    """Element-wise losses take 0-d tensors, as PyTorch's do."""
    dtype = np.float64 if either == "reference" else np.float32
    for loss, value, target, expected, slope in (
        (nn.MSELoss(reduction=reduction), 3.0, 1.0, 4.0, 4.0),
        (nn.L1Loss(reduction=reduction), 3.0, 1.0, 2.0, 1.0),
        (nn.HuberLoss(reduction), 3.0, 1.0, 1.5, 1.0),
        (nn.SmoothL1Loss(reduction=reduction), 3.0, 1.0, 1.5, 1.0),
        (nn.BCELoss(reduction=reduction), 0.5, 1.0, math.log(2), -2.0),
        (nn.BCEWithLogitsLoss(reduction=reduction), 0.0, 1.0, math.log(2), -0.5),
        (nn.KLDivLoss(reduction=reduction), -1.0, 1.0, 1.0, -1.0),
        (nn.HingeLoss(reduction=reduction), -1.0, 1.0, 2.0, -1.0),
    ):
        x = neurona.tensor(value, dtype=dtype, requires_grad=True)
        got = loss(x, neurona.tensor(target, dtype=dtype))
        got.backward()
        assert got.shape == () and got.dtype == dtype and got.item() == pytest.approx(expected)
        assert x.grad is not None and x.grad.shape == () and x.grad.dtype == dtype
        assert x.grad.item() == pytest.approx(slope)
