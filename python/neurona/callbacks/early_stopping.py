"""Stopping when a quantity no longer improves."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..metrics import as_array
from .base import Logs
from .monitor import MonitorCallback


class EarlyStopping(MonitorCallback):
    """Ends training when `monitor` has not improved by `min_delta` for `patience` epochs.

    With `restore_best_weights=True` the weights of the best epoch are put back at the end of
    training, however it ended. `baseline`: improvement must beat it to count; `start_from_epoch`:
    epochs before it are not watched. Raises `ValueError` for a negative `patience` or a bad `mode`.

    The `loss` of an epoch is that before its updates, `val_loss` that after them. Gradient descent
    that stops when the loss fails to decrease, and gives back the weights before, is therefore
    `EarlyStopping("val_loss", restore_best_weights=True)` with the training data as
    `validation_data` too, in one batch.

    >>> EarlyStopping(monitor="val_accuracy", patience=3).mode
    'max'
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        if patience < 0:
            raise ValueError(f"EarlyStopping: patience must be >= 0, got {patience}")
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self._reset()

    def _reset(self) -> None:
        self.best, self.wait, self.best_epoch, self.stopped_epoch = self.worst, 0, 0, 0
        self.best_weights: dict[str, np.ndarray] | None = None

    def on_train_begin(self, logs: Logs) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if epoch < self.start_from_epoch:
            return
        value = self.value(logs)
        if value is None:
            return
        self.wait += 1
        if self.improves(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                state = self.model.state_dict()
                self.best_weights = {name: as_array(t).copy() for name, t in state.items()}
            if self.baseline is None or self.improves(value, self.baseline):
                self.wait = 0
        # With patience 0 the first epoch without improvement ends the run, as in Keras.
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.trainer.stop_training = True

    def on_train_end(self, logs: Logs) -> None:
        if self.stopped_epoch and self.verbose:
            self.trainer.print(f"epoch {self.stopped_epoch + 1}: stopped early")
        if self.best_weights is not None:
            self.model.load_state_dict(self.best_weights)

    def state_dict(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "wait": self.wait,
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.wait = state["best"], state["wait"]
        self.best_epoch, self.best_weights = state["best_epoch"], state["best_weights"]
