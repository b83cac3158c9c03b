"""The record of a training run."""

from __future__ import annotations

import os
from typing import Any

from .files import StrPath, atomic_write


class History:
    """What `Trainer.fit` returns: one value per epoch of every quantity.

    `history` maps a name (`loss`, `accuracy`, `val_loss`, `val_accuracy`, `lr`) to a list,
    `epoch` lists the epochs, counted from 0. `interrupted` tells that a signal ended the run
    (`signal` is its number), `diverged` that the loss became nan.

    >>> record = History()
    >>> record.append(0, {"loss": 1.5})
    >>> record.history, record.epoch
    ({'loss': [1.5]}, [0])
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.params: dict[str, Any] = {}
        self.interrupted = False
        self.signal: int | None = None
        self.diverged = False

    def append(self, epoch: int, logs: dict[str, float]) -> None:
        """Adds the values of one epoch."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def save_csv(self, path: StrPath) -> None:
        """Writes one row per epoch, with a header, atomically."""
        names = list(self.history)
        rows = [["epoch", *names]]
        for index, epoch in enumerate(self.epoch):
            cells = [_cell(self.history[name], index, len(self.epoch)) for name in names]
            rows.append([str(epoch), *cells])
        text = "".join(",".join(row) + os.linesep for row in rows)
        with atomic_write(path) as file:
            file.write(text.encode())

    def state_dict(self) -> dict[str, Any]:
        """The record as plain lists, for a checkpoint."""
        return {"history": self.history, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave."""
        self.history = {name: list(values) for name, values in state["history"].items()}
        self.epoch = list(state["epoch"])

    def __repr__(self) -> str:
        return f"History(epochs={len(self.epoch)}, keys={list(self.history)})"


def _cell(values: list[float], index: int, epochs: int) -> str:
    # A quantity that appeared late (a metric added on resuming) is aligned with the last epoch.
    index -= epochs - len(values)
    return repr(values[index]) if index >= 0 else ""
