"""metric_learning: kinds of triplets, mining, samplers, shared branches, a trained embedding."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurona
from compare import assert_close
from neurona import Generator, Tensor, datasets, nn, optim
from neurona import metric_learning as ml
from neurona.nn import functional as F
from neurona.reference import distance as reference_distance
from neurona.utils.data import DataLoader, TensorDataset

RNG = np.random.default_rng(5)
X = RNG.normal(size=(14, 3))
LABELS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2, 3, 1])  # class 3 has one sample


def triplets() -> list[tuple[int, int, int]]:
    n = range(len(X))
    return [
        (a, p, q)
        for a, p, q in itertools.product(n, n, n)
        if a != p and LABELS[a] == LABELS[p] != LABELS[q]
    ]


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_pairwise_distances(distance: str, squared: bool) -> None:
    order = 1 if distance == "l1" else 2
    other = X[:5] + 0.5
    expected = np.array([[np.linalg.norm(a - b, order) for b in other] for a in X])
    got = ml.pairwise_distances(X, other, distance=distance, squared=squared)
    assert_close(got, expected**2 if squared else expected, 1e-14, what="pairwise_distances")
    own = ml.pairwise_distances(Tensor(X.astype(np.float32)), distance=distance)
    assert own.dtype == np.float64 and (np.diag(own) == 0).all() and (own == own.T).all()


def test_distances_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ml.pairwise_distances(X)
    monkeypatch.setattr(reference_distance, "_CHUNK", 1)
    assert (ml.pairwise_distances(X) == whole).all()


def test_d19_kinds_follow_the_definition() -> None:
    """Hard, semi-hard and easy by squared distances; a loss of 0 is what easy means."""
    rows = np.array(triplets())
    a, p, n = (X[rows[:, i]] for i in range(3))
    near, far = ((a - p) ** 2).sum(1), ((a - n) ** 2).sum(1)
    kinds = np.array(ml.triplet_kind(a, p, n, 1.5))
    assert (kinds[far < near] == "hard").all()
    assert (kinds[(near < far) & (far < near + 1.5)] == "semi-hard").all()
    assert (kinds[far > near + 1.5] == "easy").all()
    assert set(kinds) == {"hard", "semi-hard", "easy"}
    with neurona.use_backend("reference"):
        losses = F.triplet_margin_loss(
            Tensor(a), Tensor(p), Tensor(n), 1.5, squared=True, reduction="none"
        )
    assert ((losses.data == 0) == (kinds == "easy")).all()
    assert (losses.data[kinds == "hard"] > 1.5).all()


def test_kinds_at_the_boundaries() -> None:
    zero, one, two = (np.array([[v]]) for v in (0.0, 1.0, 2.0))
    assert ml.triplet_kind(zero, one, -one, 1.0) == ["hard"]  # equally far: the whole margin
    assert ml.triplet_kind(zero, one, two, 3.0) == ["easy"]  # 4 = 1 + 3: loss 0
    assert ml.triplet_kind(zero, one, two, 3.0, squared=False) == ["semi-hard"]
    plane = np.array([[1.0, 1.0]])
    far = np.array([[0.0, 1.9]])
    origin = np.zeros((1, 2))
    assert ml.triplet_kind(origin, plane, far, 1.0, squared=False) == ["semi-hard"]
    assert ml.triplet_kind(origin, plane, far, 1.0, distance="l1", squared=False) == ["hard"]


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("distance", ["l1", "l2"])
@pytest.mark.parametrize("kind", ["hard", "semi-hard", "easy"])
def test_r10_offline_mining_finds_all_of_a_kind(kind: str, distance: str, squared: bool) -> None:
    options = {"distance": distance, "squared": squared}
    found = ml.mine_offline(X, LABELS, kind, 1.0, **options)
    assert found.dtype == np.int64
    assert set(ml.triplet_kind(*(X[found[:, i]] for i in range(3)), 1.0, **options)) == {kind}
    every = np.array(triplets())
    kinds = np.array(ml.triplet_kind(*(X[every[:, i]] for i in range(3)), 1.0, **options))
    assert sorted(map(tuple, found.tolist())) == sorted(map(tuple, every[kinds == kind].tolist()))


def test_r10_offline_mining_keeps_the_nearest_negatives() -> None:
    found = ml.mine_offline(X, LABELS, "easy", 0.5)
    few = ml.mine_offline(X, LABELS, "easy", 0.5, per_pair=2)
    pairs, counts = np.unique(few[:, :2], axis=0, return_counts=True)
    assert counts.max() == 2 and len(few) < len(found)
    d = ml.pairwise_distances(X)
    for anchor, positive in pairs:
        of_pair = (found[:, :2] == (anchor, positive)).all(axis=1)
        nearest = np.sort(d[anchor, found[of_pair, 2]])[:2]
        kept = (few[:, :2] == (anchor, positive)).all(axis=1)
        assert np.sort(d[anchor, few[kept, 2]]).tolist() == nearest.tolist()
    assert ml.mine_offline(np.zeros((0, 2)), np.zeros(0, int), "easy").shape == (0, 3)


@pytest.mark.parametrize("distance", ["l1", "l2"])
def test_r11_batch_hard_takes_the_extremes(distance: str) -> None:
    anchors, positives, negatives = ml.batch_hard(X, LABELS, distance=distance)
    assert anchors.tolist() == [i for i in range(len(X)) if LABELS[i] != 3]
    d = ml.pairwise_distances(X, distance=distance)
    for a, p, n in zip(anchors, positives, negatives, strict=True):
        same, other = LABELS == LABELS[a], LABELS != LABELS[a]
        assert p != a and same[p] and other[n]
        assert d[a, p] == d[a, same].max() and d[a, n] == d[a, other].min()
    assert [len(rows) for rows in ml.batch_hard(X[:4], LABELS[:4])] == [0, 0, 0]


def test_r11_r12_e17_counts_of_tuples() -> None:
    """K = 10, N = 8: 80 triplets of 40,320; pairs grow as N^2 and triplets as N^3."""
    labels = np.repeat(np.arange(10), 8)
    assert ml.count_tuples(labels) == {"pairs": 3160, "positive_pairs": 280, "triplets": 40_320}
    batch = next(iter(ml.PKSampler(np.repeat(np.arange(20), 30), 10, 8)))
    assert len(batch) == 80
    assert [len(rows) for rows in ml.batch_hard(RNG.normal(size=(80, 4)), labels)] == [80, 80, 80]
    small, large = (ml.count_tuples(np.arange(n) % 2) for n in (2000, 4000))
    assert large["pairs"] / small["pairs"] == pytest.approx(2**2, rel=1e-3)
    assert large["triplets"] / small["triplets"] == pytest.approx(2**3, rel=2e-3)
    assert ml.count_tuples(LABELS)["triplets"] == len(triplets())


def test_r11_pk_batches() -> None:
    labels = np.arange(60) % 6
    sampler = ml.PKSampler(labels, 3, 5, generator=Generator(1))
    first, second = list(sampler), list(sampler)
    assert len(sampler) == len(first) == 4
    for batch in first + second:
        names, counts = np.unique(labels[batch], return_counts=True)
        assert len(names) == 3 and (counts == 5).all() and len(np.unique(batch)) == 15
    assert not np.array_equal(first, second)
    again = list(ml.PKSampler(labels, 3, 5, generator=Generator(1)))
    assert np.array_equal(first, again)
    assert {c for batch in first + second for c in labels[batch]} == set(range(6))
    assert len(ml.PKSampler(labels, 2, 2, batches=7)) == 7
    x = np.arange(60, dtype=np.float32)[:, None]
    loader = DataLoader(TensorDataset(x, labels), batch_sampler=sampler)
    for inputs, targets in loader:
        assert inputs.shape == (15, 1) and (inputs.data[:, 0] % 6 == targets.data).all()


def test_r9_pairs_and_triplets_have_consistent_labels() -> None:
    known = LABELS[LABELS < 3]
    data = TensorDataset(np.arange(len(known), dtype=np.float32), known)
    sampler = ml.PairSampler(known, 200, positives=0.25, generator=Generator(2))
    pairs = np.array(list(sampler))
    same = known[pairs[:, 0]] == known[pairs[:, 1]]
    assert len(sampler) == len(pairs) == 200 and same.sum() == 50
    assert (pairs[:, 0] != pairs[:, 1]).all() and not same[:50].all()
    assert {tuple(p) for p in pairs[same].tolist()} <= set(itertools.permutations(range(13), 2))
    assert set(pairs.ravel()) == set(range(len(known)))
    triples = ml.TripletSampler(known, 300, generator=Generator(3))
    rows = np.array(list(triples))
    a, p, n = known[rows].T
    assert len(triples) == 300 and (a == p).all() and (a != n).all()
    assert (rows[:, 0] != rows[:, 1]).all() and all(len(set(c)) == 13 for c in rows.T)
    for batch, labels in DataLoader(data, 50, sampler=triples):
        assert batch.shape == labels.shape == (50, 3)
        assert (known[batch.data.astype(int)] == labels.data).all()


def test_r8_gradients_of_the_branches_add_up() -> None:
    base = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    inputs = [Tensor(part.astype(np.float32)) for part in (X[:5], X[5:10], X[9:14])]
    upstream = RNG.normal(size=(3, 5, 2)).astype(np.float32)

    def gradients(branches: list[int]) -> list[np.ndarray]:
        base.zero_grad()
        outputs = ml.Siamese(base)(*inputs)
        total = sum((outputs[i] * Tensor(upstream[i])).sum() for i in branches)
        total.backward()
        return [p.grad.data.copy() for p in base.parameters()]

    together = gradients([0, 1, 2])
    alone = [gradients([i]) for i in range(3)]
    for whole, *parts in zip(together, *alone, strict=True):
        assert_close(whole, np.sum(parts, axis=0, dtype=np.float64), 1e-5, what="siamese")
    assert len(list(ml.Siamese(base).parameters())) == 4


def test_r7_embed_leaves_the_modes() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.5))
    model[0].eval()
    x = X.astype(np.float32)
    got = ml.embed(model, x, batch_size=4)
    assert got.shape == (14, 2) and not got.requires_grad
    assert_close(got.data, model[0](Tensor(x)).data, 1e-6, what="embed")
    assert [m.training for m in model.modules()] == [True, False, True]


def test_nearest_neighbors() -> None:
    known, unknown = X[:8], X[8:]
    d = ml.pairwise_distances(unknown, known)
    expected = (LABELS[:8][d.argmin(1)] == LABELS[8:]).mean()
    assert ml.nearest_neighbor_accuracy(known, LABELS[:8], unknown, LABELS[8:]) == expected
    twins = np.array([[0.0], [0.0], [1.0]])
    assert ml.nearest_neighbor_accuracy(twins, [0, 0, 1]) == pytest.approx(2 / 3)


@pytest.mark.parametrize("loss", ["triplet", "contrastive"])
def test_r6_r7_r11_training_an_embedding_of_digits(loss: str) -> None:
    """Batch-hard on 8x8 digits, 64-64-8: the 1-NN accuracy of unseen digits rises above .90."""
    neurona.manual_seed(0)
    data = datasets.digits()
    (x, y), (asked, answers) = ((a.reshape(len(a), -1), b) for a, b in (data.train, data.test))
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))

    def score() -> float:
        return ml.nearest_neighbor_accuracy(ml.embed(model, x), y, ml.embed(model, asked), answers)

    before = score()
    optimizer = optim.Adam(model.parameters())
    sampler = ml.PKSampler(y, 10, 8, batches=600)
    for inputs, labels in DataLoader(TensorDataset(x, y), batch_sampler=sampler):
        embedded = model(inputs)
        a, p, n = ml.batch_hard(embedded, labels)
        if loss == "triplet":
            value = F.triplet_margin_loss(embedded[a], embedded[p], embedded[n], 1.0, squared=True)
        else:
            same = neurona.tensor([1] * len(a) + [0] * len(a))
            first, second = (embedded[np.concatenate(rows)] for rows in ((a, a), (p, n)))
            value = F.contrastive_loss(first, second, same, 2.0)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert before < 0.75 and score() >= 0.90


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: ml.triplet_kind(X, X, X, 0.0), ValueError, "margin must be > 0, got 0.0"),
        (lambda: ml.triplet_kind(X, X[:2], X), ValueError, "positive must have the shape"),
        (lambda: ml.triplet_kind([1.0], X, X), TypeError, "anchor must be a Tensor or an ndarray"),
        (lambda: ml.batch_hard(X, LABELS[:3]), ValueError, r"labels must have shape \(14,\)"),
        (lambda: ml.batch_hard(X, LABELS * 1.0), TypeError, "integer dtype, got float64"),
        (lambda: ml.batch_hard(X, LABELS, distance="cos"), ValueError, "distance must be one of"),
        (lambda: ml.mine_offline(X, LABELS, "semihard"), ValueError, "kind must be one of"),
        (lambda: ml.mine_offline(X, LABELS, per_pair=0), ValueError, "per_pair must be in"),
        (lambda: ml.pairwise_distances(X, X[:, :2]), ValueError, "y must have 3 columns"),
        (lambda: ml.pairwise_distances(LABELS), TypeError, "floating dtype, got int64"),
        (lambda: ml.pairwise_distances(X[0]), ValueError, r"shape \(N, D\), got \(3,\)"),
        (lambda: ml.PKSampler(LABELS, 2, 2), ValueError, "2 samples of each class, got 1 of cl"),
        (lambda: ml.PKSampler(np.arange(9) % 3, 4, 2), ValueError, "classes must be <= 3"),
        (lambda: ml.PKSampler(np.arange(9) % 3, 1, 2), ValueError, "classes must be in"),
        (lambda: ml.PairSampler([0, 0], 1), ValueError, "at least 2 classes, got 1"),
        (lambda: ml.PairSampler([0, 0, 1, 1], 1, positives=2.0), ValueError, "positives must be"),
        (lambda: ml.TripletSampler([0, 0, 1, 1], 0), ValueError, "triplets must be in"),
        (lambda: ml.Siamese(F.relu), TypeError, "base must be a Module, got function"),
        (lambda: ml.Siamese(nn.ReLU())(), ValueError, "at least one input"),
        (lambda: ml.embed(nn.ReLU(), X, 0), ValueError, "batch_size must be in"),
        (lambda: ml.nearest_neighbor_accuracy(X[:1], [0]), ValueError, "another row"),
        (lambda: ml.nearest_neighbor_accuracy(X, LABELS, X), ValueError, "must come together"),
    ],
)
def test_refused(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
