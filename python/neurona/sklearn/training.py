"""Around the training of an estimator: its stream of random numbers, and when it ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ..callbacks import EarlyStopping
from ..random import get_rng_state, set_rng_state

_LOCK = threading.RLock()


class Convergence(EarlyStopping):
    """Counts the epochs in which the loss fell by less than `min_delta`, as scikit-learn does;
    Keras's rule would go on while such falls add up to it.
    """

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        super().on_epoch_end(epoch, logs)
        self.best = min(self.best, logs[self.monitor])


def make_stopper(estimator: Any) -> EarlyStopping | None:
    """What may end the training before its last epoch, by the estimator's parameters."""
    patience = estimator.n_iter_no_change
    if patience is None:
        return None
    if estimator.early_stopping:
        return EarlyStopping("val_loss", estimator.tol, patience, restore_best_weights=True)
    return Convergence("loss", estimator.tol, patience) if estimator.max_epochs is None else None


@contextmanager
def random_stream(state: Sequence[int]) -> Iterator[None]:
    """Draws from the stream (seed, offset) inside the block and leaves the user's as it was.

    All draws of neurona come from one generator, so that blocks of several threads follow each
    other: with `random_state` a fit gives the same bits in a thread pool as alone.
    """
    with _LOCK:
        outer = get_rng_state()
        set_rng_state(state)
        try:
            yield
        finally:
            set_rng_state(outer)
