"""Rows of the course that the demos of training show, asserted on their functions and numbers."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import Tensor, kernels, nn, optim, probes
from neurona.callbacks import EarlyStopping
from neurona.nn import functional as F
from nn_helpers import assert_close

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(monkeypatch: pytest.MonkeyPatch, name: str) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module(name)


def test_g13_a_saddle_between_two_valleys(monkeypatch: pytest.MonkeyPatch) -> None:
    """(w1 w2 - 1)^2: stuck at 0, away from (.001, .001) in 83 steps, into the saddle from
    (.5, -.5); two minima whose middle is higher than both.
    """
    race = example(monkeypatch, "optimizer_race")

    def end(start: tuple[float, float], steps: int) -> np.ndarray:
        return race.descend(lambda p: optim.SGD(p, lr=0.05), race.saddle, start, steps)[-1]

    with neurona.use_backend("reference"):
        assert end((0.0, 0.0), 50).tolist() == [0, 0]
        assert (np.prod(end((1e-3, 1e-3), 82)) - 1) ** 2 > 0.01
        assert (np.prod(end((1e-3, 1e-3), 83)) - 1) ** 2 < 0.01
        assert_close(end((0.5, -0.5), 350), [0, 0], 1e-15, "saddle")
        right, left = end((1.5, 0.2), 300), end((-1.5, -0.2), 300)
    assert_close([np.prod(right), np.prod(left)], [1, 1], 1e-9, "minima")
    assert (left == -right).all()


def test_g13_twins_of_a_network_lie_beyond_a_ridge() -> None:
    """Hidden units in another order compute the same; half way between, the loss is twice it."""
    neurona.manual_seed(0)
    x, y = neurona.datasets.digits().train
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    trainer = neurona.Trainer(model, "cross_entropy", optim.Adam(model.parameters(), lr=0.01))
    trainer.fit(x, y, epochs=6, verbose=0)
    own = {name: tensor.data.copy() for name, tensor in model.state_dict().items()}
    twin, order = dict(own), neurona.Generator(1).permutation(32)
    twin |= {name: own[name][order] for name in ("1.weight", "1.bias")}
    twin["3.weight"] = own["3.weight"][:, order]

    def height(share: float) -> float:
        between = {name: (1 - share) * own[name] + share * twin[name] for name in own}
        model.load_state_dict({name: value.astype(np.float32) for name, value in between.items()})
        return float(trainer.evaluate(x, y))

    start, middle, end = (height(share) for share in (0.0, 0.5, 1.0))
    assert end == pytest.approx(start, rel=1e-4) and middle > 2 * start


def test_r2_a_unit_taken_away_costs_less_after_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    study = example(monkeypatch, "dropout_early_stop")
    train, (x, y) = study.split(3)
    worst, mean, left = {}, {}, {}
    for p in (0.0, 0.5):
        trainer = study.trainer_of(p, 3)
        trainer.fit(*train, batch_size=25, epochs=60, verbose=0)

        def without(masks: np.ndarray, model: nn.Module = trainer.model) -> np.ndarray:
            return study.without_units(model, (x[:400], y[:400]), masks)

        whole = without(np.ones((1, 256), np.float32))[0, 0]
        change = without(1 - np.eye(256, dtype=np.float32))[:, 0] / whole - 1
        worst[p], mean[p] = change.max(), np.abs(change).mean()
        keep = neurona.Generator(0).uniform((5, 256)) < 0.25
        left[p] = without(keep.astype(np.float32))[:, 1].mean()
    assert worst[0.5] < worst[0.0] and mean[0.5] < mean[0.0]
    assert left[0.5] > left[0.0] + 0.02


@pytest.mark.parametrize("monitor", ["val_loss", "loss"])
def test_o1_descent_stops_when_the_loss_fails_to_decrease(monitor: str) -> None:
    """And gives back the theta before, the same bits; watching `loss`, which is measured before the
    step, would give back the theta after it.
    """
    x, y = (part[:200] for part in neurona.datasets.digits().train)

    def build() -> neurona.Trainer:
        neurona.manual_seed(2)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        return neurona.Trainer(model, "cross_entropy", optim.SGD(model.parameters(), lr=3.0))

    by_hand = build()
    thetas, losses = [], []
    while len(losses) < 2 or losses[-1] < losses[-2]:
        by_hand.train_on_batch(x, y)
        thetas.append(by_hand.model[1].weight.data.copy())
        losses.append(float(by_hand.evaluate(x, y, batch_size=len(x))))
    trainer = build()
    stop = EarlyStopping(monitor, restore_best_weights=True)
    history = trainer.fit(
        x,
        y,
        batch_size=len(x),
        epochs=100,
        verbose=0,
        shuffle=False,
        validation_data=(x, y),
        callbacks=[stop],
    )
    got = trainer.model[1].weight.data
    assert len(losses) > 2 and min(losses) == losses[-2]
    if monitor == "val_loss":
        assert history.history["val_loss"] == pytest.approx(losses, rel=1e-6)
        assert (got == thetas[-2]).all()
    else:
        assert (got == thetas[-1]).all()


def test_n26_r15_a_scalar_product_by_loop_and_by_kernels() -> None:
    """A million terms: all ways agree; the error of the kernels is far below n eps / 2."""
    source = neurona.Generator(0)
    a, b = source.uniform(1_000_000), source.uniform(1_000_000)
    loop = 0.0
    for x, y in zip(a.tolist(), b.tolist(), strict=True):
        loop += x * y
    exact = float(a.astype(np.float64) @ b.astype(np.float64))
    assert loop == pytest.approx(exact, rel=1e-11)
    assert (Tensor(a) @ Tensor(b)).item() == pytest.approx(exact, rel=1e-6)
    assert kernels.gemm(a[None], b[:, None])[0, 0] == pytest.approx(exact, rel=1e-5)


def test_o6_smaller_batches_hold_less_and_update_more_often() -> None:
    """One epoch at one rate: the more updates, the lower the loss after it."""
    x, y = neurona.datasets.digits().train
    updates, memory, losses = [], [], []
    for size in (len(x), 64, 1):
        neurona.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        trainer = neurona.Trainer(model, "cross_entropy", optim.SGD(model.parameters(), lr=0.1))
        history = trainer.fit(x, y, batch_size=size, verbose=0)
        updates.append(history.params["steps"])
        memory.append(probes.memory_estimate(model, (size, 1, 8, 8)).activations)
        losses.append(F.cross_entropy(model(Tensor(x)), Tensor(y)).item())
    assert updates == [1, 23, 1437] and memory == [1437 * memory[2], 64 * memory[2], memory[2]]
    assert losses[0] > losses[1] > losses[2]
