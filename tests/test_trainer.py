"""Trainer: the same bits as a loop written by hand, resuming, interrupts, arguments."""

from __future__ import annotations

import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import nn, optim
from neurona.callbacks import Callback, EarlyStopping, LambdaCallback
from neurona.errors import FormatError
from neurona.metrics import ConfusionMatrix
from neurona.nn import functional as F
from neurona.trainer import Trainer
from neurona.trainer_setup import split
from neurona.utils.data import DataLoader, TensorDataset

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 6)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] > 0).astype(np.int64) + (X[:, 2] > 1)


def make_model() -> nn.Module:
    """Dropout and batch norm are in, because both carry state through training."""
    return nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3)
    )


def make_trainer(kind: str = "sgd") -> Trainer:
    neurona.manual_seed(7)
    model = make_model()
    optimizer: optim.Optimizer
    if kind == "sgd":
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    else:
        optimizer = optim.Adam(model.parameters(), lr=0.01)
    schedule = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    return Trainer(model, "cross_entropy", optimizer, ["accuracy"], scheduler=schedule)


def weights(model: nn.Module) -> dict[str, bytes]:
    return {name: tensor.data.tobytes() for name, tensor in model.state_dict().items()}


def test_same_bits_as_a_loop_by_hand() -> None:
    trainer = make_trainer()
    history = trainer.fit(X, Y, batch_size=8, epochs=3, verbose=0)

    neurona.manual_seed(7)
    model = make_model()
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    schedule = optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    loader = DataLoader(TensorDataset(X, Y), batch_size=8, shuffle=True)
    losses = []
    model.train()
    for _ in range(3):
        total = 0.0
        for x, y in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(y)
        schedule.step()
        losses.append(total / len(X))
    assert weights(trainer.model) == weights(model)
    assert history.history["loss"] == losses


def test_history() -> None:
    trainer = make_trainer()
    history = trainer.fit(X, Y, epochs=4, verbose=0, validation_data=(X[:10], Y[:10]))
    assert history.epoch == [0, 1, 2, 3]
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy", "lr"]
    assert history.history["lr"] == [0.1, 0.1, 0.05, 0.05]
    assert history.history["loss"][-1] < history.history["loss"][0]
    assert trainer.evaluate(X[:10], Y[:10]) == [
        history.history["val_loss"][-1],
        history.history["val_accuracy"][-1],
    ]


def test_validation_split_is_random_but_fixed_by_the_seed() -> None:
    (kept, labels, weight), (held, held_labels) = split(X, Y, np.arange(50.0), 0.2, seed=3)
    assert (len(kept), len(held)) == (len(labels), len(held_labels)) == (40, 10)
    rows = {row.tobytes() for row in held}
    assert rows.isdisjoint(row.tobytes() for row in kept)
    assert rows != {row.tobytes() for row in X[-10:]}, "the tail was taken, not a random part"
    np.testing.assert_array_equal(X[weight.astype(int)], kept)
    np.testing.assert_array_equal(split(X, Y, None, 0.2, seed=3)[1][0], held)
    assert rows != {row.tobytes() for row in split(X, Y, None, 0.2, seed=4)[1][0]}


def test_a_resumed_run_validates_on_the_same_samples(tmp_path: Path) -> None:
    options: dict[str, Any] = {"batch_size": 8, "verbose": 0, "validation_split": 0.2}
    whole = make_trainer()
    whole.fit(X, Y, epochs=3, **options)
    make_trainer().fit(X, Y, epochs=1, checkpoint=tmp_path / "c", **options)
    second = make_trainer()
    neurona.manual_seed(99)
    second.fit(X, Y, epochs=3, resume=tmp_path / "c", **options)
    assert second.history.history == whole.history.history


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_resume_at_every_step_gives_the_same_bits(tmp_path: Path, kind: str) -> None:
    """Interrupted after each of the 21 steps in turn and resumed in a fresh trainer."""
    steps, epochs = 7, 3
    whole = make_trainer(kind)
    whole.fit(X, Y, batch_size=8, epochs=epochs, verbose=0)
    expected, record = weights(whole.model), whole.history.history
    for stop in range(steps * epochs):
        path = tmp_path / f"{stop}.safetensors"
        first = make_trainer(kind)
        count = iter(range(steps * epochs))

        def interrupt(batch: int, logs: Any, count: Any = count, stop: int = stop) -> None:
            if next(count) == stop:
                signal.raise_signal(signal.SIGINT)

        history = first.fit(
            X,
            Y,
            batch_size=8,
            epochs=epochs,
            verbose=0,
            checkpoint=path,
            callbacks=[LambdaCallback(on_train_batch_end=interrupt)],
            on_interrupt="return",
        )
        assert history.interrupted and history.signal == signal.SIGINT
        second = make_trainer(kind)
        neurona.rand(5)  # the state of the random numbers must come from the file
        second.fit(X, Y, batch_size=8, epochs=epochs, verbose=0, resume=path)
        assert weights(second.model) == expected, f"differs after step {stop}"
        assert second.history.history == record
        assert second.history.epoch == [0, 1, 2]


def test_resume_with_a_loader_and_its_own_generator(tmp_path: Path) -> None:
    def loader() -> DataLoader:
        generator = neurona.Generator(3)
        return DataLoader(TensorDataset(X, Y), batch_size=8, shuffle=True, generator=generator)

    whole = make_trainer()
    whole.fit(loader(), epochs=4, verbose=0)
    first = make_trainer()
    first.fit(loader(), epochs=2, verbose=0, checkpoint=tmp_path / "c")
    second = make_trainer()
    second.fit(loader(), epochs=4, verbose=0, resume=tmp_path / "c")
    assert weights(second.model) == weights(whole.model)


def test_resume_restores_callbacks(tmp_path: Path) -> None:
    def stopping() -> EarlyStopping:
        return EarlyStopping("loss", patience=2, min_delta=10.0, restore_best_weights=True)

    whole, kept = make_trainer(), stopping()
    whole.fit(X, Y, epochs=9, verbose=0, callbacks=[kept])
    make_trainer().fit(X, Y, epochs=2, verbose=0, callbacks=[stopping()], checkpoint=tmp_path / "c")
    second, resumed = make_trainer(), stopping()
    second.fit(X, Y, epochs=9, verbose=0, callbacks=[resumed], resume=tmp_path / "c")
    assert resumed.stopped_epoch == kept.stopped_epoch == 2
    assert weights(second.model) == weights(whole.model)


def test_interrupt_raises_by_default_and_leaves_the_handler_alone(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    trainer = make_trainer()
    stop = LambdaCallback(on_train_batch_end=lambda batch, logs: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, verbose=0, callbacks=[stop], checkpoint=tmp_path / "c")
    assert signal.getsignal(signal.SIGINT) is before
    assert trainer.history.interrupted
    assert (tmp_path / "c").exists()


def test_the_second_interrupt_leaves_at_once() -> None:
    trainer = make_trainer()
    batches = []

    def twice(batch: int, logs: Any) -> None:
        batches.append(batch)
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        batches.append("not reached")

    with pytest.raises(KeyboardInterrupt):
        trainer.fit(
            X,
            Y,
            verbose=0,
            callbacks=[LambdaCallback(on_train_batch_end=twice)],
            on_interrupt="return",
        )
    assert batches == [0]


def test_evaluate_and_predict() -> None:
    trainer = make_trainer()
    trainer.fit(X, Y, verbose=0)
    trainer.model.train()
    outputs = trainer.predict(X, batch_size=16)
    assert outputs.shape == (50, 3) and outputs.dtype == np.float32
    assert trainer.model.training, "the mode was not put back"
    trainer.model.eval()
    with neurona.no_grad():
        np.testing.assert_array_equal(outputs, trainer.model(neurona.tensor(X)).numpy())
    results = trainer.evaluate(X, Y, return_dict=True)
    assert results["accuracy"] == (outputs.argmax(1) == Y).mean()
    picked = outputs.astype(np.float64) - outputs.max(1, keepdims=True)
    expected = (np.log(np.exp(picked).sum(1)) - picked[np.arange(50), Y]).mean()
    assert abs(results["loss"] - expected) <= 1e-6 * abs(expected)
    assert trainer.predict(X[:0]).shape == (0, 3)


def test_a_metric_can_be_read_after_evaluation() -> None:
    matrix = ConfusionMatrix(3)
    trainer = Trainer(make_model(), "cross_entropy", "sgd", [matrix])
    trainer.evaluate(X, Y)
    assert matrix.matrix.sum() == 50
    assert matrix.matrix.sum(axis=1).tolist() == np.bincount(Y, minlength=3).tolist()


def test_sample_and_class_weights() -> None:
    """A weight of 0 takes a sample out; the sum is divided by the number of all samples."""
    weight = (Y != 2).astype(np.float32)
    trainer = Trainer(make_model(), "cross_entropy", "sgd")
    results = [
        trainer.evaluate(X, Y, sample_weight=weight, batch_size=50),
        trainer.evaluate(X[Y != 2], Y[Y != 2], batch_size=50) * weight.mean(),
    ]
    assert math.isclose(*results, rel_tol=1e-6)
    runs = []
    for options in ({"class_weight": {2: 0.0}}, {"sample_weight": weight}):
        trainer = make_trainer()
        trainer.fit(X, Y, verbose=0, **options)  # type: ignore[arg-type]
        runs.append(weights(trainer.model))
    assert runs[0] == runs[1]


def test_loss_modules_and_functions_and_names_agree() -> None:
    module = nn.CrossEntropyLoss(label_smoothing=0.1)
    results = []
    for loss in (module, lambda output, target: module(output, target)):
        neurona.manual_seed(1)
        results.append(Trainer(make_model(), loss, "sgd").fit(X, Y, verbose=0).history["loss"])
    assert results[0] == results[1]
    for name in ("mse", "mae"):
        target = RNG.normal(size=(50, 3)).astype(np.float32)
        assert Trainer(make_model(), name, "adamw").fit(X, target, verbose=0).history["loss"][0] > 0


def test_float64_input_is_converted_with_a_warning() -> None:
    with pytest.warns(UserWarning, match="x is float64 and is converted to float32"):
        make_trainer().fit(X.astype(np.float64), Y, verbose=0)


def test_nothing_is_written_when_training_diverges(tmp_path: Path) -> None:
    from neurona.callbacks import TerminateOnNaN

    bad = X.copy()
    bad[3] = np.inf
    trainer = make_trainer()
    history = trainer.fit(
        bad, Y, epochs=5, verbose=0, callbacks=[TerminateOnNaN()], checkpoint=tmp_path / "c"
    )
    assert history.diverged and len(history.epoch) == 1
    assert os.listdir(tmp_path) == []


BAD_CALLS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"x": X, "y": Y[:3]}, ValueError, r"same length, got \(50, 6\) and \(3,\)"),
    ({"x": X}, TypeError, "y must be given"),
    ({"x": X[:0], "y": Y[:0]}, ValueError, "at least one sample"),
    ({"x": X, "y": Y, "epochs": -1}, ValueError, "epochs must be an int >= 0, got -1"),
    ({"x": X, "y": Y, "batch_size": 0}, ValueError, "batch_size"),
    (
        {"x": X, "y": Y, "validation_split": 1.0},
        ValueError,
        r"validation_split must be in \[0, 1\)",
    ),
    ({"x": X, "y": Y, "validation_split": math.nan}, ValueError, "validation_split"),
    ({"x": X, "y": Y, "verbose": 7}, ValueError, "verbose"),
    ({"x": X, "y": Y, "callbacks": [3]}, TypeError, "must be Callback objects, got int"),
    ({"x": X, "y": Y, "sample_weight": X}, ValueError, r"sample_weight must have shape \(50,\)"),
    ({"x": X.astype(str), "y": Y}, TypeError, "x must be an array of numbers"),
    ({"x": X, "y": Y, "on_interrupt": "?"}, ValueError, "on_interrupt"),
    ({"x": [], "y": None}, ValueError, "no batches"),
    ({"x": [(X, Y, Y, Y)]}, TypeError, "batches must be"),
    (
        {"x": DataLoader(TensorDataset(X, Y)), "batch_size": 3},
        ValueError,
        "batch_size must be None",
    ),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), BAD_CALLS)
def test_bad_calls_of_fit(arguments: dict[str, Any], kind: type, message: str) -> None:
    trainer = make_trainer()
    before = weights(trainer.model)
    with pytest.raises(kind, match=message):
        trainer.fit(**{"verbose": 0} | arguments)
    assert weights(trainer.model) == before


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"loss": "cross_entrpy"}, ValueError, "did you mean 'cross_entropy'"),
        ({"optimizer": "adm"}, ValueError, "did you mean 'adam'"),
        ({"optimizer": "sqd"}, ValueError, "did you mean 'sgd'"),
        ({"metric": ["accuracy"]}, TypeError, "Trainer: keyword must be .*did you mean 'metrics'"),
        ({"scheduler_step": "day"}, ValueError, "scheduler_step must be 'epoch' or 'batch'"),
        ({"optimizer": 3}, TypeError, "optimizer must be a name"),
        ({"metrics": "accuracy"}, TypeError, "metrics must be a list"),
        ({"metrics": ["nope"]}, ValueError, "metrics: must be one of"),
        ({"loss": 3}, TypeError, "loss must be a name or callable, got int"),
    ],
)
def test_bad_constructor_arguments(arguments: dict[str, Any], kind: type, message: str) -> None:
    with pytest.raises(kind, match=message):
        Trainer(make_model(), **arguments)
    with pytest.raises(TypeError, match="model must be a Module, got int"):
        Trainer(3)  # type: ignore[arg-type]


def test_checkpoints_of_something_else_are_refused(tmp_path: Path) -> None:
    trainer = make_trainer()
    trainer.save_weights(tmp_path / "weights")
    with pytest.raises(FormatError, match="no training state"):
        trainer.fit(X, Y, verbose=0, resume=tmp_path / "weights")
    other = Trainer(nn.Linear(6, 3), "cross_entropy", "sgd")
    other.fit(X, Y, verbose=0, checkpoint=tmp_path / "other")
    with pytest.raises(FormatError, match="does not fit this training run"):
        trainer.fit(X, Y, verbose=0, resume=tmp_path / "other")


class Alarm(Callback):
    """Sends SIGALRM at a random time while `fit` is ready for it."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.delay: float | None = 0.01 + 0.05 * rng.random()

    def on_train_batch_begin(self, batch: int, logs: Any) -> None:
        if self.delay is not None:
            signal.setitimer(signal.ITIMER_REAL, self.delay)
            self.delay = None

    def on_train_end(self, logs: Any) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


def test_interrupts_at_random_times(tmp_path: Path) -> None:
    """A timer interrupts a run again and again, wherever it happens to be."""
    epochs, path = 40, tmp_path / "c"
    whole = make_trainer()
    whole.fit(X, Y, batch_size=8, epochs=epochs, verbose=0)
    rng = np.random.default_rng(5)
    interrupts, done = 0, 0
    while done < epochs:
        trainer = make_trainer()
        trainer.signals = (signal.SIGALRM,)
        history = trainer.fit(
            X,
            Y,
            batch_size=8,
            epochs=epochs,
            verbose=0,
            callbacks=[Alarm(rng)],
            checkpoint=path,
            resume=path if path.exists() else None,
            on_interrupt="return",
        )
        interrupts += history.interrupted
        done = len(history.epoch)
    assert interrupts > 0
    assert weights(trainer.model) == weights(whole.model)
