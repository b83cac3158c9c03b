"""Telling the user how training goes, on stderr."""

from __future__ import annotations

import shutil
import sys
import time

from .base import Callback, Logs

_INTERVAL_S = 0.1


class ProgressPrinter(Callback):
    """One line per epoch; on a terminal also a line that follows the batches, at <= 10 Hz.

    `live`: whether to draw the moving line; None asks whether stderr is a terminal.
    """

    def __init__(self, live: bool | None = None) -> None:
        self.live = sys.stderr.isatty() if live is None else live
        self._started = self._drawn = 0.0
        self._epoch = 0

    def on_train_begin(self, logs: Logs) -> None:
        self._started = time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        self._started, self._epoch = time.perf_counter(), epoch

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        now = time.perf_counter()
        if not self.live or now - self._drawn < _INTERVAL_S:
            return
        self._drawn = now
        steps = self.params["steps"]
        done = f"{batch + 1}/{steps}" if steps else str(batch + 1)
        self._draw(f"{self._prefix(self._epoch)} {done} {_values(logs)}")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        seconds = time.perf_counter() - self._started
        if self.live:
            self._draw("")
        self.trainer.print(f"{self._prefix(epoch)} {_values(logs)} ({seconds:.1f} s)")

    def on_train_end(self, logs: Logs) -> None:
        if self.live:
            self._draw("")

    def _prefix(self, epoch: int) -> str:
        return f"epoch {epoch + 1}/{self.params['epochs']}"

    def _draw(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        sys.stderr.write("\r" + text[:width].ljust(width) + ("" if text else "\r"))
        sys.stderr.flush()


def _values(logs: Logs) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in logs.items())
