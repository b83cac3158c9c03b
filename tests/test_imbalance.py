"""D11-D14 and E29: what class weights and the focal loss do for rare classes, and that `Trainer`
takes the losses by name and as layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurona
from neurona import Trainer, nn, optim
from neurona.utils import compute_class_weight

CENTRES = np.array([[0, 0], [1.5, 0], [0, 1.5]])
WEIGHT = compute_class_weight("balanced", y=np.repeat([0, 1, 2], [480, 60, 60]))


def draw(rng: np.random.Generator, rare: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping Gaussians, 80 / 10 / 10 of a hundred."""
    y = np.repeat([0, 1, 2], [8 * rare, rare, rare])
    return (CENTRES[y] + rng.normal(size=(len(y), 2))).astype(np.float32), y


def recalls(loss: nn.Module, seed: int) -> np.ndarray:
    """The recall of each class after training a 2-16-3 network."""
    rng = np.random.default_rng(seed)
    neurona.manual_seed(seed)
    (x, y), (asked, truth) = draw(rng, 60), draw(rng, 400)
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = optim.Adam(model.parameters(), 1e-2)
    inputs, labels = neurona.tensor(x), neurona.tensor(y)
    for _ in range(300):
        optimizer.zero_grad()
        loss(model(inputs), labels).backward()
        optimizer.step()
    with neurona.no_grad():
        predicted = model(neurona.tensor(asked)).data.argmax(1)
    return np.array([(predicted[truth == c] == c).mean() for c in range(3)])


@pytest.mark.parametrize("seed", [0, 1])
def test_e29_class_weights_do_the_work(seed: int) -> None:
    """Balanced accuracy .47-.55 -> .64-.69 by weights; the focal loss alone moves it by < .06, and
    accuracy is the price: the majority class loses.
    """
    plain, weighted = (recalls(nn.CrossEntropyLoss(w), seed) for w in (None, WEIGHT))
    focal, both = (recalls(nn.FocalLoss(2.0, w), seed) for w in (None, WEIGHT))
    assert 0.45 <= plain.mean() <= 0.57 and 0.63 <= weighted.mean() <= 0.72
    assert abs(focal.mean() - plain.mean()) < 0.06
    assert abs(both.mean() - weighted.mean()) < 0.06
    assert plain[1:].max() < 0.45 and min(weighted[1:].min(), both[1:].min()) > 0.6
    assert weighted[0] < plain[0] - 0.1 and both[0] < plain[0] - 0.1


X = np.random.default_rng(1).normal(size=(64, 3)).astype(np.float32)
CLASSES = (X[:, 0] > 0).astype(np.int64)
MULTI_HOT = (X[:, :2] > 0).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "layer", "target"),
    [
        ("bce", nn.BCEWithLogitsLoss(), MULTI_HOT),
        ("binary_crossentropy", nn.BCEWithLogitsLoss(), MULTI_HOT),
        ("huber", nn.HuberLoss(), X[:, :2]),
        ("hinge", nn.HingeLoss(), 2 * MULTI_HOT - 1),
        ("focal", nn.FocalLoss(), CLASSES),
    ],
)
def test_trainer_takes_losses_by_name(name: str, layer: nn.Module, target: np.ndarray) -> None:
    def losses(loss: Any, **options: Any) -> list[float]:
        neurona.manual_seed(2)
        trainer = Trainer(nn.Linear(3, 2), loss, "adam")
        return trainer.fit(X, target, epochs=3, verbose=0, **options).history["loss"]

    by_name = losses(name)
    assert by_name == losses(layer) and by_name[-1] < by_name[0]
    twice = losses(layer, sample_weight=np.full(64, 2.0, np.float32))
    assert twice[0] == pytest.approx(2 * by_name[0], rel=1e-2)
