"""Logging every epoch to a CSV file."""

from __future__ import annotations

import os

from .base import Callback, Logs


class CSVLogger(Callback):
    """Writes one row per epoch, flushed at once; `append=True` continues an existing file.

    The columns are fixed by the first row; a value missing later is written as NA, as in Keras.
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.filename, self.separator, self.append = os.fspath(filename), separator, append
        self._keys: list[str] | None = None

    def on_train_begin(self, logs: Logs) -> None:
        self._keys = None
        if self.append and os.path.exists(self.filename):
            with open(self.filename, encoding="utf-8") as file:
                header = file.readline().rstrip("\n")
            if header:
                self._keys = header.split(self.separator)[1:]
        else:
            with open(self.filename, "w", encoding="utf-8"):
                pass  # an unwritable place shows before the first epoch, not after it

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        with open(self.filename, "a", encoding="utf-8") as file:
            if self._keys is None:
                self._keys = sorted(logs)
                file.write(self.separator.join(["epoch", *self._keys]) + "\n")
            values = [repr(logs[key]) if key in logs else "NA" for key in self._keys]
            file.write(self.separator.join([str(epoch), *values]) + "\n")
