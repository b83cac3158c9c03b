"""Trainer and the course: batch sizes, schedules per update, thresholds, misspelt keywords."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import nn, optim
from neurona.nn import functional as F
from neurona.trainer import Trainer
from neurona.utils.data import DataLoader, TensorDataset
from test_trainer import X, Y, make_model, make_trainer, weights


def test_n11b_prediction_at_a_threshold() -> None:
    """M3: class A above the threshold, strictly; sigma(.2 + .8 - 1) = .5 is class B at .9."""
    neuron = nn.Linear(2, 1)
    neuron.weight.data[...], neuron.bias.data[...] = [[0.2, 0.8]], -1.0
    trainer = Trainer(nn.Sequential(neuron, nn.Sigmoid()))
    x = np.ones((1, 2), np.float32)
    assert trainer.predict(x).item() == 0.5
    labels = [trainer.predict(x, threshold=threshold) for threshold in (0.9, 0.5, 0.499)]
    assert [label.item() for label in labels] == [0, 0, 1]
    assert labels[0].dtype == np.int64 and labels[0].shape == (1, 1)
    with pytest.raises(TypeError, match="predict: threshold must be a number, got str"):
        trainer.predict(x, threshold="0.5")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: optim.SGD(t.model.parameters(), Ir=0.1), "SGD: .*got 'Ir'; did you mean 'lr'"),
        (lambda t: optim.Adam(t.model.parameters(), beta=0.1), "did you mean 'betas'"),
        (lambda t: optim.lr_scheduler.StepLR(t.optimizer, step=3), "did you mean 'step_size'"),
        (lambda t: t.fit(X, Y, epoch=3), "fit: .*got 'epoch'; did you mean 'epochs'"),
        (lambda t: t.evaluate(X, Y, batch=3), "evaluate: .*did you mean 'batch_size'"),
        (lambda t: t.predict(X, treshold=3), "predict: .*did you mean 'threshold'"),
        (lambda t: t.train_on_batch(X, Y, class_wight={}), "did you mean 'class_weight'"),
    ],
)
def test_e14_a_misspelt_keyword_is_named_with_the_nearest_one(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call(make_trainer())


@pytest.mark.parametrize("batch_size", [1, 8])
def test_o4_batches_by_hand_are_fit(batch_size: int) -> None:
    """N / batch_size updates in an epoch, one per call; the same bits as `fit`."""
    fitted, by_hand = (Trainer(nn.Linear(6, 3), "cross_entropy", "sgd") for _ in range(2))
    by_hand.model.load_state_dict(fitted.model.state_dict())
    neurona.manual_seed(7)
    fitted.fit(X, Y, batch_size=batch_size, epochs=1, verbose=0)
    neurona.manual_seed(7)
    updates = 0
    for x, y in DataLoader(TensorDataset(X, Y), batch_size=batch_size, shuffle=True):
        by_hand.train_on_batch(x, y)
        updates += 1
    assert updates == math.ceil(len(X) / batch_size)
    assert weights(by_hand.model) == weights(fitted.model)


def test_train_on_batch_gives_the_results_of_the_batch() -> None:
    trainer = make_trainer()
    trainer.model.eval()
    results = trainer.train_on_batch(X[:5], Y[:5], return_dict=True)
    assert list(results) == ["loss", "accuracy"] and trainer.model.training
    loss, accuracy = trainer.train_on_batch(X[5:9], Y[5:9], class_weight={0: 2.0})
    assert math.isfinite(loss) and accuracy in (0.0, 0.25, 0.5, 0.75, 1.0)
    with pytest.raises(ValueError, match="train_on_batch: Trainer must have a loss"):
        Trainer(make_model()).train_on_batch(X, Y)
    with pytest.raises(ValueError, match=r"same length, got \(50, 6\) and \(3,\)"):
        trainer.train_on_batch(X, Y[:3])


def test_o3_batch_descent_is_one_update_by_the_mean_gradient() -> None:
    """G6, E19: the gradient of the batch is the mean of its samples' gradients."""
    model = nn.Linear(6, 3)
    before = model.weight.data.copy()
    gradients = []
    for x, y in zip(X, Y, strict=True):
        model.zero_grad()
        F.cross_entropy(model(neurona.Tensor(x[None])), neurona.Tensor(y[None])).backward()
        gradients.append(model.weight.grad.data.astype(np.float64))
    trainer = Trainer(model, "cross_entropy", optim.SGD(model.parameters(), lr=0.5))
    trainer.fit(X, Y, batch_size=len(X), epochs=1, verbose=0)
    step = before - 0.5 * np.mean(gradients, axis=0)
    assert np.abs(model.weight.data - step).max() < 1e-6


def test_o5_600_steps_of_100_and_a_last_partial_batch() -> None:
    data = TensorDataset(np.zeros((60_000, 1), np.float32))
    assert len(DataLoader(data, batch_size=100)) == 600
    assert len(DataLoader(data, batch_size=128)) == 469
    assert len(DataLoader(data, batch_size=128, drop_last=True)) == 468
    *_, last = DataLoader(data, batch_size=128)
    assert len(last[0]) == 60_000 - 468 * 128


def test_o9_a_schedule_per_update() -> None:
    """lr0 / (1 + decay t) with t counting updates, 7 per epoch here, and resumable inside one."""
    trainer = Trainer(nn.Linear(6, 3), "cross_entropy", "sgd", scheduler_step="batch")
    schedule = optim.lr_scheduler.InverseTimeDecay(trainer.optimizer, decay=0.25)
    trainer.scheduler = schedule
    history = trainer.fit(X, Y, batch_size=8, epochs=3, verbose=0)
    assert schedule.last_epoch == 21
    expected = [0.01 / (1 + 0.25 * updates) for updates in (7, 14, 21)]
    assert history.history["lr"] == pytest.approx(expected, rel=1e-12)


def test_o18_hyper_parameters_survive_a_round_trip() -> None:
    trainer = make_trainer("adam")
    config = json.loads(json.dumps(trainer.get_config()))
    assert set(config) == {"architecture", "process"}
    process = config["process"]
    assert (process["loss"], process["metrics"]) == ("cross_entropy", ["accuracy"])
    assert process["scheduler"] == "StepLR"
    again = optim.Adam.from_config(trainer.model.parameters(), process["optimizer"])
    assert json.dumps(again.get_config()) == json.dumps(process["optimizer"])
    decoupled = optim.AdamW(trainer.model.parameters(), lr=0.5)
    copied = optim.AdamW.from_config(trainer.model.parameters(), decoupled.get_config())
    assert copied.get_config() == decoupled.get_config()
    with pytest.raises(ValueError, match="SGD: config must have the name 'SGD', got 'Adam'"):
        optim.SGD.from_config(trainer.model.parameters(), process["optimizer"])


def test_o8_nesterov_by_closure_trains() -> None:
    neurona.manual_seed(3)
    model = nn.Linear(6, 3)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, velocity=True)
    trainer = Trainer(model, "cross_entropy", optimizer)
    losses = trainer.fit(X, Y, batch_size=10, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    "name", ["sgd", "adam", "adamw", "rmsprop", "adagrad", "adadelta", "adamax", "nadam"]
)
def test_optimizers_by_name_lower_the_loss(name: str) -> None:
    neurona.manual_seed(3)
    trainer = Trainer(nn.Linear(6, 3), "cross_entropy", name)
    losses = trainer.fit(X, Y, batch_size=10, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
