"""Saving the model while it trains."""

from __future__ import annotations

import os

from .base import Logs
from .monitor import MonitorCallback


class ModelCheckpoint(MonitorCallback):
    """Saves the weights, or all that is needed to resume, after epochs or every so many batches.

    `filepath` may hold `{epoch:02d}` (counted from 1) and any logged name, such as
    `{val_loss:.2f}`. `save_best_only`: only when `monitor` improved. `save_freq`: "epoch" or a
    number of training steps. `initial_value_threshold`: the value to beat from the start. Raises
    `ValueError` for a bad `mode` or `save_freq`, or when `filepath` names a value not logged.

    >>> ModelCheckpoint("{epoch:02d}.safetensors", save_weights_only=True).mode
    'min'
    """

    runs_last = True

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        if save_freq != "epoch" and not (type(save_freq) is int and save_freq > 0):
            raise ValueError(
                f"ModelCheckpoint: save_freq must be 'epoch' or an int > 0, got {save_freq!r}"
            )
        super().__init__(monitor, mode)
        self.filepath = os.fspath(filepath)
        self.verbose, self.save_best_only, self.save_freq = verbose, save_best_only, save_freq
        self.save_weights_only = save_weights_only
        if initial_value_threshold is not None:
            self.best = initial_value_threshold
        self._steps = 0
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        if isinstance(self.save_freq, int):
            self._steps += 1
            if self._steps % self.save_freq == 0:
                self._save(self._epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.save_freq == "epoch":
            self._save(epoch, logs)

    def _save(self, epoch: int, logs: Logs) -> None:
        if self.trainer.history.diverged:
            return
        if self.save_best_only:
            value = self.value(logs)
            if value is None or not self.improves(value, self.best):
                return
            self.best = value
        try:
            path = self.filepath.format(epoch=epoch + 1, **logs)
        except KeyError as missing:
            raise ValueError(
                f"ModelCheckpoint: filepath names {missing}, must be epoch or one of {sorted(logs)}"
            ) from None
        if self.save_weights_only:
            self.trainer.save_weights(path)
        else:
            self.trainer.save_checkpoint(path)
        if self.verbose:
            self.trainer.print(f"epoch {epoch + 1}: saved {path}")
