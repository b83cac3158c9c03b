"""First things of the course: both kinds of heads, least squares, overfitting, learned filters."""

from __future__ import annotations

import numpy as np
import pytest

import neurona
from neurona import nn, optim


def trained(model: nn.Module, loss: nn.Module, x: np.ndarray, y: np.ndarray, steps: int) -> float:
    """Adam on all samples at once; the last loss."""
    optimizer = optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(model(neurona.tensor(x)), neurona.tensor(y))
        value.backward()
        optimizer.step()
    return value.item()


@pytest.mark.parametrize("head", ["classes", "values"])
def test_a1_one_body_trains_with_either_head(head: str) -> None:
    neurona.manual_seed(1)
    rng = np.random.default_rng(1)
    x = rng.normal(size=(200, 2)).astype(np.float32)
    inside = (x**2).sum(axis=1)
    body = [nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU()]
    if head == "classes":
        labels = (inside < 1).astype(np.int64)
        model = nn.Sequential(*body, nn.Linear(32, 2))
        trained(model, nn.CrossEntropyLoss(), x, labels, 200)
        hits = model(neurona.tensor(x)).detach().numpy().argmax(axis=1) == labels
        assert hits.mean() > 0.97
    else:
        targets = inside[:, None]
        model = nn.Sequential(*body, nn.Linear(32, 1))
        assert trained(model, nn.MSELoss(), x, targets, 200) < 0.05 * targets.var()


def test_a2_descent_reaches_the_least_squares() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(60, 3)).astype(np.float32)
    y = x @ np.array([[1.0], [-2.0], [0.5]], np.float32) + 3
    y += rng.normal(size=y.shape).astype(np.float32)
    with_ones = np.c_[x, np.ones(60)]
    best = np.linalg.lstsq(with_ones, y, rcond=None)[0].ravel()
    model = nn.Linear(3, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    for _ in range(500):
        optimizer.zero_grad()
        nn.MSELoss()(model(neurona.tensor(x)), neurona.tensor(y)).backward()
        optimizer.step()
    found = np.r_[model.weight.detach().numpy().ravel(), model.bias.detach().numpy()]
    assert np.abs(found - best).max() < 1e-4


def test_a13_few_samples_are_learnt_by_heart() -> None:
    """Thirty digits: every one right in training, the other digits much worse."""
    neurona.manual_seed(3)
    x, y, x_test, y_test = neurona.datasets.digits()
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    trainer = neurona.Trainer(model, loss="cross_entropy", optimizer="adam", metrics=["accuracy"])
    history = trainer.fit(
        x[:30], y[:30], epochs=150, validation_data=(x_test, y_test), verbose=0
    ).history
    assert history["accuracy"][-1] == 1.0
    assert history["val_accuracy"][-1] < 0.85
    assert history["val_loss"][-1] > 5 * history["loss"][-1]


def test_r14_the_filters_are_learnt() -> None:
    """One step moves each filter of the first convolution along its own gradient."""
    neurona.manual_seed(4)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 10))
    x, y, *_ = neurona.datasets.digits()
    before = model[0].weight.detach().numpy().copy()
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    loss = nn.CrossEntropyLoss()(model(neurona.tensor(x[:50])), neurona.tensor(y[:50]))
    loss.backward()
    gradient = model[0].weight.grad.detach().numpy().copy()
    optimizer.step()
    after = model[0].weight.detach().numpy()
    assert (np.abs(gradient).max(axis=(1, 2, 3)) > 0).all()
    np.testing.assert_allclose(after, before - 0.5 * gradient, rtol=0, atol=1e-7)
    again = nn.CrossEntropyLoss()(model(neurona.tensor(x[:50])), neurona.tensor(y[:50]))
    assert again.item() < loss.item()


def test_e22_rows_of_a_weight_are_neurons_and_columns_inputs() -> None:
    layer = nn.Linear(3, 2, bias=False)
    x = neurona.tensor([[0.0, 1.0, 0.0]])
    assert layer.weight.shape == (2, 3)
    assert (layer(x).detach().numpy()[0] == layer.weight.detach().numpy()[:, 1]).all()
