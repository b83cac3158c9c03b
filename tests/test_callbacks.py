"""Callbacks: every hook is called, and each shipped callback does what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import neurona
from neurona import nn, optim
from neurona.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ProgressPrinter,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from neurona.safetensors import load_file
from neurona.trainer import Trainer

RNG = np.random.default_rng(1)
X = RNG.normal(size=(20, 4)).astype(np.float32)
Y = RNG.integers(0, 2, 20)


def make_trainer(lr: float = 0.1) -> Trainer:
    neurona.manual_seed(0)
    model = nn.Linear(4, 2)
    return Trainer(model, "cross_entropy", optim.SGD(model.parameters(), lr=lr), ["accuracy"])


class Script(Callback):
    """Replaces a logged value by given ones, so that the others see a known course."""

    def __init__(self, name: str, values: list[float]) -> None:
        self.name, self.values = name, values

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        logs[self.name] = self.values[epoch]


def fit(trainer: Trainer, *callbacks: Callback, epochs: int = 1, **options: Any) -> Any:
    return trainer.fit(
        X, Y, batch_size=10, epochs=epochs, verbose=0, callbacks=callbacks, **options
    )


def test_all_hooks_in_order() -> None:
    calls: list[str] = []

    class Spy(Callback):
        def __getattribute__(self, name: str) -> Any:
            value = super().__getattribute__(name)
            if name.startswith("on_"):
                return lambda *args: calls.append(name[3:])
            return value

    trainer = make_trainer()
    fit(trainer, Spy(), validation_data=(X[:10], Y[:10]))
    batch = ["train_batch_begin", "train_batch_end"]
    test = ["test_begin", "test_batch_begin", "test_batch_end", "test_end"]
    assert calls == ["train_begin", "epoch_begin", *batch * 2, *test, "epoch_end", "train_end"]
    calls.clear()
    trainer.predict(X[:10], callbacks=[Spy()])
    assert calls == ["predict_begin", "predict_batch_begin", "predict_batch_end", "predict_end"]
    calls.clear()
    trainer.evaluate(X[:10], Y[:10], callbacks=[Spy()])
    assert calls == test


def test_callbacks_know_trainer_model_and_params() -> None:
    callback = Callback()
    trainer = make_trainer()
    fit(trainer, callback, epochs=2)
    assert callback.trainer is trainer and callback.model is trainer.model
    assert callback.params == {"epochs": 2, "steps": 2, "verbose": 0}


def test_lambda_callback() -> None:
    seen: list[Any] = []
    fit(
        make_trainer(),
        LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append((epoch, sorted(logs))),
            on_train_batch_end=lambda batch, logs: seen.append(batch),
        ),
    )
    assert seen == [0, 1, (0, ["accuracy", "loss", "lr"])]
    with pytest.raises(TypeError, match="got 'on_epoch_stop'"):
        LambdaCallback(on_epoch_stop=print)
    with pytest.raises(TypeError, match="on_epoch_end must be callable, got int"):
        LambdaCallback(on_epoch_end=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "values", "epochs"),
    [
        ({"patience": 0}, [3, 2, 2, 1, 0], 3),
        ({"patience": 2}, [3, 2, 2, 1, 2, 2, 0], 6),
        ({"patience": 1, "min_delta": 0.5}, [3, 2, 1.6, 0, 0], 3),
        ({"patience": 1, "mode": "max"}, [1, 2, 3, 2, 9], 4),
        ({"patience": 2, "baseline": 1.0}, [3, 2, 2, 0, 0], 3),
        ({"patience": 0, "start_from_epoch": 3}, [1, 2, 3, 4, 5, 6], 5),
        ({"patience": 1}, [1, float("nan"), 0, 0], 2),
        ({"patience": 9}, [5, 4, 3], 3),
    ],
)
def test_early_stopping(options: dict[str, Any], values: list[float], epochs: int) -> None:
    trainer = make_trainer()
    stop = EarlyStopping("watched", **options)
    fit(trainer, Script("watched", values), stop, epochs=len(values))
    assert len(trainer.history.epoch) == epochs


@pytest.mark.parametrize("values", [[3, 1, 2, 2, 2, 2], [3, 1, 2]])
def test_best_weights_return_however_training_ends(values: list[float]) -> None:
    kept: list[bytes] = []
    trainer = make_trainer()
    keep = LambdaCallback(
        on_epoch_end=lambda epoch, logs: kept.append(trainer.model.weight.data.tobytes())
    )
    stop = EarlyStopping("watched", patience=3, restore_best_weights=True)
    fit(trainer, Script("watched", values), keep, stop, epochs=len(values))
    assert trainer.model.weight.data.tobytes() == kept[1]
    assert kept[1] != kept[-1]


def test_r4_stops_at_index_5_and_restores_index_2() -> None:
    """The seventh value would have been the best, and is not waited for."""
    values = [5, 4, 3, 3.5, 3.4, 3.6, 2.0]
    kept: list[bytes] = []
    trainer = make_trainer()
    keep = LambdaCallback(
        on_epoch_end=lambda epoch, logs: kept.append(trainer.model.weight.data.tobytes())
    )
    stop = EarlyStopping("watched", patience=3, restore_best_weights=True)
    fit(trainer, Script("watched", values), keep, stop, epochs=len(values))
    assert trainer.history.epoch == list(range(6))
    assert (stop.stopped_epoch, stop.best_epoch, stop.best) == (5, 2, 3)
    assert len(set(kept)) == 6 and trainer.model.weight.data.tobytes() == kept[2]


def test_monitor_that_is_not_logged_warns() -> None:
    with pytest.warns(UserWarning, match="monitor 'val_loss' is not among"):
        fit(make_trainer(), EarlyStopping())


def test_model_checkpoint_names_and_best(tmp_path: Path) -> None:
    trainer = make_trainer()
    values = [3.0, 1.0, 2.0, 0.5]
    fit(
        trainer,
        ModelCheckpoint(tmp_path / "{epoch:02d}-{watched:.1f}", save_weights_only=True),
        ModelCheckpoint(
            tmp_path / "best-{epoch}", "watched", save_best_only=True, save_weights_only=True
        ),
        Script("watched", values),
        epochs=4,
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "01-3.0",
        "02-1.0",
        "03-2.0",
        "04-0.5",
        "best-1",
        "best-2",
        "best-4",
    ]
    np.testing.assert_array_equal(
        load_file(tmp_path / "04-0.5")["weight"], trainer.model.weight.data
    )
    assert set(load_file(tmp_path / "best-1")) == {"weight", "bias"}


def test_model_checkpoint_every_steps_can_be_resumed(tmp_path: Path) -> None:
    whole = make_trainer()
    fit(whole, epochs=3)
    fit(make_trainer(), ModelCheckpoint(tmp_path / "c", save_freq=3), epochs=2)
    second = make_trainer()
    fit(second, epochs=3, resume=tmp_path / "c")
    assert second.model.weight.data.tobytes() == whole.model.weight.data.tobytes()


def test_model_checkpoint_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="save_freq must be"):
        ModelCheckpoint("x", save_freq=0)
    with pytest.raises(ValueError, match="mode must be"):
        ModelCheckpoint("x", mode="best")
    with pytest.raises(ValueError, match="filepath names 'val_loss'"):
        fit(make_trainer(), ModelCheckpoint(tmp_path / "{val_loss}"))


def test_csv_logger(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    trainer = make_trainer()
    fit(trainer, CSVLogger(path), epochs=2)
    fit(trainer, CSVLogger(path, append=True), epochs=1)
    lines = path.read_text().splitlines()
    assert lines[0] == "epoch,accuracy,loss,lr" and len(lines) == 4
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1", "0"]
    assert float(lines[3].split(",")[2]) == trainer.history.history["loss"][0]
    fit(trainer, CSVLogger(path, separator=";"))
    assert len(path.read_text().splitlines()) == 2


def test_history_csv(tmp_path: Path) -> None:
    trainer = make_trainer()
    fit(trainer, epochs=2).save_csv(tmp_path / "h.csv")
    lines = (tmp_path / "h.csv").read_text().splitlines()
    assert lines[0] == "epoch,loss,accuracy,lr"
    assert float(lines[2].split(",")[1]) == trainer.history.history["loss"][1]


def test_learning_rate_scheduler() -> None:
    trainer = make_trainer(lr=1.0)
    history = fit(trainer, LearningRateScheduler(lambda epoch, lr: lr / 2), epochs=3)
    assert history.history["lr"] == [0.5, 0.25, 0.125]
    with pytest.raises(TypeError, match="must return a float, got None"):
        fit(trainer, LearningRateScheduler(lambda epoch, lr: None))  # type: ignore


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ({"patience": 1}, [1, 1, 0.5, 0.25, 0.25, 0.125]),
        ({"patience": 2}, [1, 1, 1, 0.5, 0.5, 0.5]),
        ({"patience": 1, "cooldown": 1}, [1, 1, 0.5, 0.5, 0.5, 0.25]),
        ({"patience": 1, "min_lr": 0.4}, [1, 1, 0.5, 0.4, 0.4, 0.4]),
    ],
)
def test_reduce_on_plateau(options: dict[str, Any], rates: list[float]) -> None:
    trainer = make_trainer(lr=1.0)
    reduce = ReduceLROnPlateau("watched", factor=0.5, **options)
    history = fit(trainer, Script("watched", [2, 2, 2, 1, 1, 1]), reduce, epochs=6)
    assert history.history["lr"] == rates
    with pytest.raises(ValueError, match=r"factor must be in \(0, 1\), got 1"):
        ReduceLROnPlateau(factor=1)


def test_terminate_on_nan() -> None:
    bad = X.copy()
    bad[:] = np.nan
    trainer = make_trainer()
    history = trainer.fit(bad, Y, batch_size=5, epochs=3, verbose=0, callbacks=[TerminateOnNaN()])
    assert history.diverged and history.epoch == [0]


def test_one_line_per_epoch_off_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    make_trainer().fit(X, Y, epochs=2)
    output = capsys.readouterr()
    assert output.out == ""
    lines = output.err.splitlines()
    assert len(lines) == 2 and "\r" not in output.err
    assert lines[0].startswith("epoch 1/2 loss ")


def test_the_moving_line_is_drawn_at_most_ten_times_a_second(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from neurona.callbacks import progress

    clock = iter(np.arange(0, 1000, 0.01))
    monkeypatch.setattr(progress.time, "perf_counter", lambda: float(next(clock)))
    data = np.tile(X, (50, 1)), np.tile(Y, 50)
    make_trainer().fit(*data, batch_size=10, verbose=0, callbacks=[ProgressPrinter(live=True)])
    drawn = capsys.readouterr().err.count("/100 loss")
    assert 9 <= drawn <= 11, "100 batches of 10 ms each"
