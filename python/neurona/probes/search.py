"""Trying hyper-parameters: a grid of them, and the learning rate alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..callbacks import TerminateOnNaN
from ..history import History
from ..random import manual_seed
from ..trainer import Trainer


class Trial(NamedTuple):
    """One combination of hyper-parameters, its last value of what is watched, and the whole run."""

    parameters: dict[str, Any]
    value: float
    history: History


def grid_search(
    build: Callable[..., Trainer],
    grid: Mapping[str, Sequence[Any]],
    x: Any,
    y: Any = None,
    *,
    monitor: str = "val_loss",
    seed: int = 0,
    **fit: Any,
) -> list[Trial]:
    """Train `build(**parameters)` afresh for every combination of the values in `grid`; the trials
    in the order of the grid, the last name varying fastest.

    `fit` goes to `Trainer.fit`: validation data, epochs, batch_size. Every trial starts from the
    same `seed`; one that diverges ends early with the value nan. Raises ValueError for an empty
    grid or a `monitor` that the runs do not record, TypeError when `build` gives no Trainer.

    >>> import numpy as np
    >>> from neurona import nn, optim
    >>> x = np.ones((8, 1), np.float32)
    >>> def build(lr):
    ...     model = nn.Linear(1, 1)
    ...     return Trainer(model, "mse", optim.SGD(model.parameters(), lr=lr))
    >>> trials = grid_search(build, {"lr": [0.0, 0.25]}, x, x, monitor="loss", epochs=5)
    >>> [trial.parameters for trial in trials], trials[1].value < trials[0].value
    ([{'lr': 0.0}, {'lr': 0.25}], True)
    """
    if not grid or not all(len(values) for values in grid.values()):
        raise ValueError("grid_search: grid must have a name, and a value for each, got none")
    options = {"verbose": 0, **fit}
    options["callbacks"] = [*(options.get("callbacks") or ()), TerminateOnNaN()]
    trials = []
    for combination in itertools.product(*grid.values()):
        parameters = dict(zip(grid, combination, strict=True))
        manual_seed(seed)
        trainer = build(**parameters)
        if not isinstance(trainer, Trainer):
            raise TypeError(f"grid_search: build must give a Trainer, got {type(trainer).__name__}")
        history = trainer.fit(x, y, **options)
        if not history.diverged and monitor not in history.history:
            raise ValueError(
                f"grid_search: monitor must be one of {', '.join(history.history)}, got {monitor!r}"
            )
        value = float("nan") if history.diverged else history.history[monitor][-1]
        trials.append(Trial(parameters, value, history))
    return trials


def lr_sweep(
    build: Callable[..., Trainer], rates: Iterable[float], x: Any, y: Any = None, **fit: Any
) -> dict[float, list[float]]:
    """The training loss of every epoch for each learning rate: too large ones overshoot, too small
    ones are slow.

    `build(lr=...)` gives a fresh Trainer, `fit` goes to `Trainer.fit`. A run that diverges ends
    early, with nan or inf. Raises what `grid_search` raises.
    """
    trials = grid_search(build, {"lr": list(rates)}, x, y, monitor="loss", **fit)
    return {trial.parameters["lr"]: trial.history.history["loss"] for trial in trials}
