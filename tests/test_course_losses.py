"""The numbers of the course on losses and metric learning, to the digits that are printed."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest

import neurona
from neurona import Tensor, metrics, nn
from neurona import metric_learning as ml
from neurona.nn import functional as F
from neurona.utils import compute_class_weight


@pytest.fixture(autouse=True)
def reference() -> Iterator[None]:
    """The numbers are exact in float64."""
    with neurona.use_backend("reference"):
        yield


def wide(values: object, grad: bool = False) -> Tensor:
    return neurona.tensor(values, dtype=np.float64, requires_grad=grad)


def printed(value: float, digits: int) -> object:
    """What agrees with a number printed with so many decimals."""
    return pytest.approx(value, abs=0.51 * 10.0**-digits)


def of_probabilities(p: list[float] | np.ndarray, labels: list[int], **options: object) -> Tensor:
    """The cross-entropy of rows of probabilities."""
    return F.cross_entropy(wide(p), neurona.tensor(labels), from_logits=False, **options)


@pytest.mark.parametrize(
    ("p", "natural", "common", "binary"),
    [(0.8, 0.22314, 0.09691, 0.32193), (0.2, 1.60944, 0.69897, 2.32193)],
)
def test_n3_e1_cross_entropy_is_natural(
    p: float, natural: float, common: float, binary: float
) -> None:
    """N3, E1: the tables of .10 and .70 are log10; the library uses ln."""
    loss = of_probabilities([[p, 1 - p]], [0]).item()
    assert loss == printed(natural, 5)
    assert loss / math.log(10) == printed(common, 5) and loss / math.log(2) == printed(binary, 5)


BATCH_A = [[0.1, 0.2, 0.7], [0.3, 0.3, 0.4], [0.3, 0.4, 0.3]]
BATCH_B = [[0.3, 0.3, 0.4], [0.1, 0.7, 0.2], [0.1, 0.2, 0.7]]


@pytest.mark.parametrize(
    ("batch", "labels", "loss", "common", "focal", "prints"),
    [
        (BATCH_A, [0, 2, 1], 1.378389, 0.598627, 0.841608, 1.37),
        (BATCH_B, [0, 1, 2], 0.639108, 0.277561, 0.218049, 0.64),
        (BATCH_B, [1, 1, 2], 0.639108, 0.277561, 0.218049, 0.64),
    ],
)
def test_n4_d20_e28_equal_accuracy_different_loss(
    batch: list[list[float]], labels: list[int], loss: float, common: float, focal: float,
    prints: float,
) -> None:  # fmt: skip
    """N4, D20: accuracy 2/3 both times; E28: 1.37 is 1.378 cut off, hence 1e-2."""
    got = of_probabilities(batch, labels).item()
    assert got == printed(loss, 6) and got / math.log(10) == printed(common, 6)
    assert got == pytest.approx(prints, abs=1e-2)
    assert F.focal_loss(wide(batch).log(), neurona.tensor(labels), 2.0).item() == printed(focal, 6)
    assert metrics.accuracy(np.array(batch), np.array(labels)) == 2 / 3


FOCAL = {
    0: (2.302585, 0.693147, 0.105361, 0.010050),
    1: (2.072327, 0.346574, 0.010536, 0.0001005),
    2: (1.865094, 0.173287, 0.00105361, 1.005e-6),
    5: (1.359653, 0.021661, 1.05e-6, 0.0),
}
P_C = np.array([0.1, 0.5, 0.9, 0.99])


@pytest.mark.parametrize("gamma", FOCAL)
def test_n5_focal(gamma: int) -> None:
    x = wide(np.log(np.stack([P_C, 1 - P_C], axis=1)))
    got = F.focal_loss(x, neurona.zeros(4, dtype=np.int64), float(gamma), reduction="none")
    for value, expected in zip(got.tolist(), FOCAL[gamma], strict=True):
        assert value == pytest.approx(expected, rel=5e-3 if expected < 1e-5 else 5e-4, abs=2e-12)
        assert value == printed(expected, 6)


def test_n5_r6_the_share_of_hard_samples_grows_with_gamma() -> None:
    """R6: of the gradient, ever more comes from the row that is most wrong."""
    shares = []
    for gamma in (0.0, 1.0, 2.0, 5.0):
        x = wide(np.log(np.stack([P_C, 1 - P_C], axis=1)), grad=True)
        F.focal_loss(x, neurona.zeros(4, dtype=np.int64), gamma).backward()
        assert x.grad is not None
        size = np.abs(x.grad.data).sum(axis=1)
        shares.append(size[0] / size.sum())
    assert shares == sorted(shares) and shares[0] < 0.62 and shares[-1] > 0.8


def test_n7_d11_class_weights_and_the_two_means() -> None:
    """N7 and D11: alpha = (1.25, 10), p = .5 each: the notes' 3.89895, PyTorch's .69315."""
    labels = np.repeat([0, 1, 2], [80, 10, 10])
    assert compute_class_weight("inverse", y=labels).tolist() == [1.25, 10, 10]
    balanced = compute_class_weight("balanced", y=labels)
    assert balanced.tolist() == printed_list([0.416667, 3.333333, 3.333333], 6)
    x, target, alpha = wide([[0.0, 0.0], [0.0, 0.0]]), neurona.tensor([0, 1]), wide([1.25, 10])
    assert nn.CrossEntropyLoss(alpha, norm="n")(x, target).item() == printed(3.89895, 5)
    assert nn.CrossEntropyLoss(alpha)(x, target).item() == printed(0.69315, 5)
    assert nn.FocalLoss(0.0, alpha)(x, target).item() == printed(3.89895, 5)


def printed_list(values: list[float], digits: int) -> object:
    return pytest.approx(values, abs=0.51 * 10.0**-digits)


EMBEDDED = [[1.0]], [[2.0]], [[3.0]]


def test_n8_d16_d17_contrastive_of_exercise_1_7() -> None:
    """A = 1, P = 2, N = 3, L1 distance, m = 4: 1 and 2 (unsquared) or 4, sums 3 and 5."""
    a, p, n = (wide(v) for v in EMBEDDED)
    first, second = neurona.cat([a, a]), neurona.cat([p, n])
    for squared_neg, expected in ((False, [1, 2]), (True, [1, 4])):
        for distance in ("l1", "l2"):
            options = {"squared_neg": squared_neg, "distance": distance}
            each = nn.ContrastiveLoss(4.0, reduction="none", **options)
            total = nn.ContrastiveLoss(4.0, reduction="sum", **options)
            target = neurona.tensor([1, 0])
            assert each(first, second, target).tolist() == expected
            assert total(first, second, target).item() == sum(expected)


def test_n8_d18_d19_triplet_of_exercise_1_7() -> None:
    """Squared 1, unsquared 3, gradient (2, 2, -4), semi-hard; margins 1, 2, 3, 5: 0, 0, 0, 2."""
    a, p, n = (wide(v, True) for v in EMBEDDED)
    for distance in (None, "l1", "l2"):
        assert F.triplet_margin_loss(a, p, n, 4.0, squared=True, distance=distance).item() == 1
    assert nn.TripletMarginLoss(4.0)(a, p, n).item() == pytest.approx(3, abs=1e-12)
    assert nn.TripletMarginLoss(4.0, distance="l1")(a, p, n).item() == 3
    F.triplet_margin_loss(a, p, n, 4.0, squared=True, distance="l1").backward()
    assert [t.grad.item() for t in (a, p, n)] == [2, 2, -4]  # type: ignore[union-attr]
    margins = {1.0: 0, 2.0: 0, 3.0: 0, 5.0: 2}
    for margin, expected in margins.items():
        assert F.triplet_margin_loss(a, p, n, margin, squared=True).item() == expected
    assert ml.triplet_kind(*map(np.array, EMBEDDED), 4.0, distance="l1") == ["semi-hard"]


def test_n11_d6_e21_hinge() -> None:
    """N11; E21: what is ignored are outputs f >= m, whose loss and gradient are 0."""
    f = wide([-2, -0.5, 0, 0.5, 1, 2], grad=True)
    loss = nn.HingeLoss(reduction="none")(f, neurona.tensor([1] * 6))
    assert loss.tolist() == [3, 1.5, 1, 0.5, 0, 0]
    loss.sum().backward()
    assert f.grad is not None and f.grad.tolist() == [-1, -1, -1, -1, 0, 0]
    other = nn.HingeLoss(reduction="none")(-f.detach(), neurona.tensor([-1] * 6))
    assert other.tolist() == loss.tolist()


def test_n12b_d4_l1_against_l2_against_huber() -> None:
    """L1 is heavier below an error of 1 and lighter above; its gradient does not shrink."""
    table = {
        0.1: (0.1, 0.01, 0.005),
        0.5: (0.5, 0.25, 0.125),
        1.0: (1, 1, 0.5),
        2.0: (2, 4, 1.5),
        10.0: (10, 100, 9.5),
    }
    for e, expected in table.items():
        x = wide([e], grad=True)
        losses = [loss(x, wide([0])) for loss in (nn.L1Loss(), nn.MSELoss(), nn.HuberLoss())]
        assert [loss.item() for loss in losses] == pytest.approx(expected, rel=1e-12)
        losses[0].backward()
        assert x.grad is not None and x.grad.item() == 1


def test_n13_d7_d8_e4_divergence() -> None:
    """H(p, q) .886941, H(p) .801819, KL .085123; without its p the sum would be -.762140 (E4)."""
    p, q = wide([[0.7, 0.2, 0.1]]), wide([[0.5, 0.3, 0.2]])
    assert F.cross_entropy(q.log(), p).item() == printed(0.886941, 6)
    assert F.cross_entropy(p.log(), p).item() == printed(0.801819, 6)
    divergence = F.kl_div(q.log(), p, reduction="batchmean").item()
    assert divergence == printed(0.085123, 6)
    assert F.kl_div(q.log(), p).item() == printed(0.028374, 6)
    assert nn.KLDivLoss(reduction="batchmean", log_target=True)(
        q.log(), p.log()
    ).item() == pytest.approx(divergence)
    assert (p.log() - q.log()).sum().item() == printed(-0.762140, 6)
    assert F.kl_div(p.log(), p).item() == pytest.approx(0, abs=1e-16)
    for seed in range(20):
        a, b = (F.softmax(wide(np.random.default_rng(seed + s).normal(size=(1, 5))), 1)
                for s in (0, 100))  # fmt: skip
        assert F.kl_div(a.log(), b, reduction="batchmean").item() > 0


def test_d8_divergence_has_the_gradient_of_cross_entropy() -> None:
    z = np.random.default_rng(0).normal(size=(3, 4))
    p = F.softmax(wide(np.random.default_rng(1).normal(size=(3, 4))), 1)
    gradients = []
    for loss in (
        lambda x: F.cross_entropy(x, p),
        lambda x: F.kl_div(F.log_softmax(x, 1), p, reduction="batchmean"),
    ):
        x = wide(z, grad=True)
        loss(x).backward()
        assert x.grad is not None
        gradients.append(x.grad.data)
    assert gradients[0] == pytest.approx(gradients[1], abs=1e-15)


def test_d15_a11_multi_label() -> None:
    """a = (2, -1, 0), y = (1, 0, 1): .126928 + .313262 + .693147 = 1.133337; PyTorch's .377779."""
    a, y = wide([[2, -1, 0]]), neurona.tensor([[1, 0, 1]])
    each = nn.BCEWithLogitsLoss(reduction="none")(a, y)
    assert each[0].tolist() == printed_list([0.126928, 0.313262, 0.693147], 6)
    assert each.sum(1).mean().item() == printed(1.133337, 6)
    assert nn.BCEWithLogitsLoss()(a, y).item() == printed(0.377779, 6)
    assert nn.BCELoss()(F.sigmoid(a), y).item() == printed(0.377779, 6)


def test_d21_softmax_on_top_is_fused() -> None:
    """The loss of logits is that of the softmax against the one-hot reference, and its gradient."""
    z = np.random.default_rng(2).normal(size=(4, 3))
    hot = F.one_hot(neurona.tensor([0, 2, 1, 1]), 3)
    x, y = wide(z, True), wide(z, True)
    fused = nn.CrossEntropyLoss()(x, hot)
    apart = -(F.softmax(y, 1).log() * hot.double()).sum(1).mean()
    fused.backward()
    apart.backward()
    assert fused.item() == pytest.approx(apart.item(), rel=1e-14)
    assert x.grad is not None and y.grad is not None
    assert x.grad.data == pytest.approx(y.grad.data, abs=1e-15)


def test_e12_bce_is_the_likelihood_not_the_squared_error() -> None:
    """E12: a certain error costs 100 in BCE, 1 in squared error; the slopes differ as well."""
    p, y = wide([0.0]), wide([1.0])
    assert nn.BCELoss()(p, y).item() == 100 and nn.MSELoss()(p, y).item() == 1
    sample = wide([1.0, 1, 1, 0])
    rate = wide([0.75] * 4)
    likelihood = math.log(0.75**3 * 0.25)
    assert nn.BCELoss(reduction="sum")(rate, sample).item() == pytest.approx(-likelihood)
