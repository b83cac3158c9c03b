"""Trainer: Keras's `fit`, `evaluate` and `predict` round a model, a loss and an optimizer.

The heart is `_train_batch`: forward, loss, backward, step. A loop written by hand with a
`DataLoader` gives the same bits.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from . import random
from .callbacks import Callback, CallbackList
from .errors import suggest_keywords
from .files import StrPath
from .history import History
from .interrupts import DelayedInterrupt
from .metrics import as_array
from .trainer_files import TrainerFiles
from .trainer_setup import as_loader, device_of, sample_weights, split, unpack


class Trainer(TrainerFiles):
    """Trains, evaluates and applies a model.

    `loss`: a name (`cross_entropy`, `focal`, `bce`, `hinge`, `mse`, `mae`, `huber`, `nll` or
    Keras's names; all take logits), a loss module or a function (output, target). `optimizer`:
    `sgd`, `adam`, `adamw`, `rmsprop` or another name, an Optimizer or a function of the parameters.
    `metrics`: names or `Metric` objects. `scheduler`: a learning-rate schedule that is stepped
    after each epoch, or after each update with `scheduler_step="batch"`. `metadata` goes into every
    file that is saved.

    >>> import neurona
    >>> from neurona import nn
    >>> _ = neurona.manual_seed(0)
    >>> model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    >>> trainer = Trainer(model, loss="cross_entropy", optimizer="adam", metrics=["accuracy"])
    >>> data = neurona.datasets.iris()
    >>> history = trainer.fit(*data.train, epochs=2, verbose=0)
    >>> sorted(history.history), history.epoch
    (['accuracy', 'loss', 'lr'], [0, 1])
    """

    @suggest_keywords("fit")
    def fit(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Iterable[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
        *,
        checkpoint: StrPath | None = None,
        resume: StrPath | None = None,
        on_interrupt: str = "raise",
    ) -> History:
        """Trains until epoch `epochs` and returns the `History`.

        x (N, ...) and y (N, ...) are arrays or Tensors, or x yields batches (x, y) and y is None.
        `batch_size` None means 32. `verbose`: 0 silent, 1 a moving line, 2 a line per epoch, "auto"
        1 on a terminal and 2 elsewhere. `validation_split` sets a random part aside, chosen by the
        seed. `validation_data` is (x, y) or yields batches. `checkpoint`: a file that is written
        after every epoch and on Ctrl-C; `resume`: such a file, to go on with the same bits as if
        the run had never stopped.

        Ctrl-C ends the run after the current batch: the checkpoint is saved, `history.interrupted`
        set, and `KeyboardInterrupt` raised unless `on_interrupt="return"`. Raises `TypeError` or
        `ValueError` for arguments that do not fit together.
        """
        if self.loss is None:
            raise ValueError("fit: Trainer must have a loss, got None")
        if type(epochs) is not int or epochs < 0:
            raise ValueError(f"fit: epochs must be an int >= 0, got {epochs!r}")
        if on_interrupt not in ("raise", "return"):
            raise ValueError(f"fit: on_interrupt must be 'raise' or 'return', got {on_interrupt!r}")
        weights = sample_weights(y, class_weight, sample_weight)
        saved = None if resume is None else self._read_state(resume)
        # A resumed run must validate on the same samples, whatever the seed is by now.
        seed = random.default_generator.seed if saved is None else saved["progress"]["seed"]
        if validation_split:
            (x, y, weights), validation_data = split(x, y, weights, validation_split, seed)
        loader = as_loader("fit", self.model, x, y, batch_size, shuffle, weights)
        validation = None
        if validation_data is not None:
            validation = self._validation_loader(
                validation_data, validation_batch_size or batch_size
            )
        self._loader = loader
        steps = steps_per_epoch or (len(loader) if hasattr(loader, "__len__") else None)

        self.stop_training, self.history = False, History()
        self.history.params = {"epochs": epochs, "steps": steps, "verbose": verbose}
        self._progress = {"epoch": initial_epoch, "batch": 0, "seed": seed}
        run = self._callbacks = self._make_callbacks(callbacks, verbose, self.history.params)
        run.call("on_train_begin", {})
        if resume is not None and saved is not None:
            self._restore(resume, saved)
        self._fitting = True
        try:
            with DelayedInterrupt(self.signals) as interrupt:
                for epoch in range(self._progress["epoch"], epochs):
                    logs = self._train_epoch(epoch, loader, steps_per_epoch, run, interrupt)
                    if interrupt.received is not None and self._progress["batch"]:
                        break
                    if validation is not None and (epoch + 1) % validation_freq == 0:
                        logs.update(self._validate(validation, validation_steps, run))
                    self._end_epoch(epoch, logs, run)
                    if checkpoint is not None and not self.history.diverged:
                        self.save_checkpoint(checkpoint)
                    if self.stop_training or interrupt.received is not None:
                        break
                if interrupt.received is not None:
                    self.history.interrupted, self.history.signal = True, interrupt.received
                    if checkpoint is not None and self._progress["batch"]:
                        self.save_checkpoint(checkpoint)
                run.call("on_train_end", {})
        finally:
            self._fitting = False
        if self.history.interrupted and on_interrupt == "raise":
            raise KeyboardInterrupt
        return self.history

    @suggest_keywords("train_on_batch")
    def train_on_batch(
        self,
        x: Any,
        y: Any,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One update on the batch x (N, ...), y (N, ...), as `fit` makes them; the loss before the
        update alone, a list [loss, metrics...], or a dictionary. The model is left in training
        mode.

        A loop of calls in the order of a `DataLoader` gives the same bits as `fit`.
        """
        if self.loss is None:
            raise ValueError("train_on_batch: Trainer must have a loss, got None")
        weights = sample_weights(y, class_weight, sample_weight)
        size = max(len(as_array(x)), 1)
        loader = as_loader("train_on_batch", self.model, x, y, size, weight=weights)
        for meter in self._meters():
            meter.reset()
        self.model.train()
        self._train_batch(next(iter(loader)))
        results = self._results()
        if return_dict:
            return results
        values = list(results.values())
        return values if len(values) > 1 else values[0]

    def _train_epoch(
        self,
        epoch: int,
        loader: Any,
        steps: int | None,
        run: CallbackList,
        interrupt: DelayedInterrupt,
    ) -> dict[str, float]:
        """Runs the batches of one epoch, or the rest of it; returns the means."""
        first = self._progress["batch"]
        batches = self._begin_epoch(epoch, loader, run)
        logs: dict[str, float] = {}
        self.model.train()
        for index, batch in enumerate(
            itertools.islice(batches, None if steps is None else steps - first)
        ):
            run.call("on_train_batch_begin", first + index, {})
            self._train_batch(batch)
            self._progress["batch"] = first + index + 1
            logs = self._results()
            run.call("on_train_batch_end", first + index, logs)
            if self.stop_training or interrupt.received is not None:
                return logs
        if not logs and not first:
            raise ValueError(
                "fit: x yielded no batches; an iterator can be used for one epoch only"
            )
        self._progress["batch"] = 0
        return logs or self._results()

    def _begin_epoch(self, epoch: int, loader: Any, run: CallbackList) -> Iterator[Any]:
        """The batches still to do; in an epoch that is resumed, those done are stepped over."""
        progress = self._progress
        done: int = progress["batch"]
        if done:
            now = self._get_rng()
            self._set_rng(progress["epoch_rng"])
            batches = iter(loader)
            for _ in itertools.islice(batches, done):
                pass
            self._set_rng(now)
            for meter, state in zip(self._meters(), progress["meters"], strict=True):
                meter.load_state_dict(state)
            return batches
        run.call("on_epoch_begin", epoch, {})
        for meter in self._meters():
            meter.reset()
        progress["epoch_rng"] = self._get_rng()
        return iter(loader)

    def _train_batch(self, batch: Any) -> None:
        """One step of training: forward, loss, backward, update."""
        x, y, weight = unpack(batch, device_of(self.model))
        results: list[Any] = []

        def closure() -> Any:
            self.optimizer.zero_grad()
            output = self.model(x)
            loss = self._compute_loss(output, y, weight)
            loss.backward()
            results[:] = output, loss
            return loss

        # A closure, because Nesterov's literal form takes the gradient at a point of its own.
        self.optimizer.step(closure)
        output, loss = results
        if self.scheduler is not None and self.scheduler_step == "batch":
            self.scheduler.step()
        self._mean_loss.add(loss.item(), len(as_array(x)))
        for metric in self.metrics:
            metric.update(output, y)

    def _validate(self, loader: Any, steps: int | None, run: CallbackList) -> dict[str, float]:
        if self.history.diverged:
            return {}
        results = self._evaluate(loader, steps, run)
        return {f"val_{name}": value for name, value in results.items()}

    def _end_epoch(self, epoch: int, logs: dict[str, float], run: CallbackList) -> None:
        logs["lr"] = self.lr
        if self.scheduler is not None and self.scheduler_step == "epoch":
            self.scheduler.step()
        self.history.append(epoch, logs)
        self._progress.update(epoch=epoch + 1, batch=0)
        run.call("on_epoch_end", epoch, logs)
