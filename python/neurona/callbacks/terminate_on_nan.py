"""Stopping a run that has diverged."""

from __future__ import annotations

import math

from .base import Callback, Logs


class TerminateOnNaN(Callback):
    """Ends training at the first batch after which the loss is nan or infinite.

    `Trainer.history.diverged` is then true, and no checkpoint is written over the last good one.
    """

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        if not math.isfinite(logs["loss"]):
            self.trainer.history.diverged = True
            self.trainer.stop_training = True
