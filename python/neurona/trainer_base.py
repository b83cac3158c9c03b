"""The part of `Trainer` that applies a model: loss, metrics, `evaluate`, `predict`."""

from __future__ import annotations

import itertools
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from . import metrics as metric_module
from . import random
from .autograd import no_grad
from .callbacks import Callback, CallbackList, ProgressPrinter
from .errors import suggest_keywords
from .history import History
from .metrics import Mean, Metric, as_array
from .metrics.binary import above
from .nn import Module
from .tensor import Tensor
from .trainer_setup import (
    as_input,
    as_loader,
    device_of,
    get_loss,
    get_optimizer,
    sample_weights,
    unpack,
)

if TYPE_CHECKING:
    from .trainer import Trainer


class TrainerBase:
    """Holds model, loss, optimizer and metrics; see `Trainer`."""

    @suggest_keywords("Trainer")
    def __init__(
        self,
        model: Module,
        loss: Any = None,
        optimizer: Any = "adam",
        metrics: Iterable[str | Metric] | None = None,
        *,
        scheduler: Any = None,
        scheduler_step: str = "epoch",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        if not isinstance(model, Module):
            raise TypeError(f"Trainer: model must be a Module, got {type(model).__name__}")
        if isinstance(metrics, str):
            raise TypeError(f"Trainer: metrics must be a list, got the string {metrics!r}")
        if scheduler_step not in ("epoch", "batch"):
            raise ValueError(
                f"Trainer: scheduler_step must be 'epoch' or 'batch', got {scheduler_step!r}"
            )
        self.model = model
        self.loss = None if loss is None else get_loss(loss)
        self.optimizer = get_optimizer(optimizer, model)
        self.metrics = [metric_module.get(metric) for metric in metrics or ()]
        self.scheduler, self.scheduler_step = scheduler, scheduler_step
        self._loss_name = loss if isinstance(loss, str) else _name(loss)
        self.metadata = dict(metadata or {})
        self.stop_training = False
        self.signals: tuple[int, ...] = (signal.SIGINT,)
        self.history = History()
        self._mean_loss = Mean("loss")
        self._callbacks: CallbackList | None = None
        self._loader: Any = None
        self._fitting = False
        # Where the run stands, for a checkpoint: the next epoch and batch, the seed that chose the
        # validation samples, and in the middle of an epoch the random numbers with which it began
        # (they determine the order of its samples) and the sums so far.
        self._progress: dict[str, Any] = {
            "epoch": 0,
            "batch": 0,
            "seed": random.default_generator.seed,
        }

    @suggest_keywords("evaluate")
    def evaluate(
        self,
        x: Any,
        y: Any = None,
        batch_size: int | None = None,
        verbose: str | int = 0,
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Iterable[Callback] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Loss and metrics on data: the loss alone, a list [loss, metrics...], or a dictionary."""
        if self.loss is None:
            raise ValueError("evaluate: Trainer must have a loss, got None")
        weights = sample_weights(y, None, sample_weight)
        loader = as_loader("evaluate", self.model, x, y, batch_size, weight=weights)
        run = self._make_callbacks(callbacks, 0, {"steps": steps, "epochs": 1, "verbose": verbose})
        results = self._evaluate(loader, steps, run)
        if verbose:
            self.print(" ".join(f"{name} {value:.4g}" for name, value in results.items()))
        if return_dict:
            return results
        values = list(results.values())
        return values if len(values) > 1 else values[0]

    def _evaluate(self, loader: Any, steps: int | None, run: CallbackList) -> dict[str, float]:
        mode = self.model.training
        # An evaluation in the middle of an epoch, by a callback, must not disturb its sums.
        sums = [meter.state_dict() for meter in self._meters()] if self._fitting else None
        self.model.eval()
        for meter in self._meters():
            meter.reset()
        run.call("on_test_begin", {})
        try:
            with no_grad():
                for index, batch in enumerate(itertools.islice(loader, steps)):
                    run.call("on_test_batch_begin", index, {})
                    x, y, weight = unpack(batch, device_of(self.model))
                    output = self.model(x)
                    loss = self._compute_loss(output, y, weight)
                    self._mean_loss.add(loss.item(), len(as_array(x)))
                    for metric in self.metrics:
                        metric.update(output, y)
                    run.call("on_test_batch_end", index, self._results())
        finally:
            self.model.train(mode)
        results = self._results()
        if sums is not None:
            for meter, state in zip(self._meters(), sums, strict=True):
                meter.load_state_dict(state)
        run.call("on_test_end", results)
        return results

    @suggest_keywords("predict")
    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: str | int = 0,
        steps: int | None = None,
        callbacks: Iterable[Callback] | None = None,
        *,
        threshold: float | None = None,
    ) -> np.ndarray:
        """The outputs (N, ...) for x (N, ...), or for an iterable of batches, as one array.

        With `threshold` the answer is int64, 1 where the output is above it, strictly, and 0
        elsewhere. The output counts as the model gives it: where that is a logit, the threshold 0
        stands for the probability 0.5.
        """
        if threshold is not None:
            above("predict", np.zeros(0), threshold)
        run = self._make_callbacks(callbacks, 0, {"steps": steps, "epochs": 1, "verbose": verbose})
        mode = self.model.training
        self.model.eval()
        run.call("on_predict_begin", {})
        outputs: list[np.ndarray] = []
        try:
            with no_grad():
                for index, batch in enumerate(itertools.islice(self._inputs(x, batch_size), steps)):
                    run.call("on_predict_batch_begin", index, {})
                    outputs.append(as_array(self.model(batch.to(device_of(self.model)))))
                    run.call("on_predict_batch_end", index, {})
        finally:
            self.model.train(mode)
        run.call("on_predict_end", {})
        if not outputs:
            raise ValueError("predict: x yielded no batches")
        whole = outputs[0].copy() if len(outputs) == 1 else np.concatenate(outputs)
        return whole if threshold is None else above("predict", whole, threshold).astype(np.int64)

    def _inputs(self, x: Any, batch_size: int | None) -> Iterator[Tensor]:
        if isinstance(x, (np.ndarray, Tensor)):
            array = as_input("predict", "x", x, self.model)
            size = 32 if batch_size is None else batch_size
            if type(size) is not int or size < 1:
                raise ValueError(f"predict: batch_size must be an int >= 1, got {size!r}")
            # An empty batch still has an answer of the right shape.
            for start in range(0, max(len(array), 1), size):
                yield Tensor(array[start : start + size])
            return
        for batch in x:
            first = batch[0] if isinstance(batch, (list, tuple)) else batch
            yield first if isinstance(first, Tensor) else Tensor(as_array(first))

    def get_config(self) -> dict[str, Any]:
        """The hyper-parameters, those of the architecture apart from those of the process, as plain
        values that JSON can hold.
        """
        schedule = None if self.scheduler is None else type(self.scheduler).__name__
        return {
            "architecture": {"name": type(self.model).__name__, "layers": repr(self.model)},
            "process": {
                "loss": self._loss_name,
                "optimizer": self.optimizer.get_config(),
                "scheduler": schedule,
                "scheduler_step": self.scheduler_step,
                "metrics": [metric.name for metric in self.metrics],
            },
        }

    @property
    def lr(self) -> float:
        """The learning rate of the first parameter group; setting it sets all groups."""
        return float(self.optimizer.param_groups[0]["lr"])

    @lr.setter
    def lr(self, value: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = value

    def print(self, line: str) -> None:
        """Writes a line of progress to stderr."""
        print(line, file=sys.stderr, flush=True)

    def _meters(self) -> list[Metric]:
        return [self._mean_loss, *self.metrics]

    def _results(self) -> dict[str, float]:
        return {meter.name: meter.compute() for meter in self._meters()}

    def _validation_loader(self, data: Any, batch_size: int | None) -> Any:
        if isinstance(data, (tuple, list)) and len(data) in (2, 3):
            weights = sample_weights(data[1], None, data[2]) if len(data) == 3 else None
            return as_loader("fit", self.model, data[0], data[1], batch_size, weight=weights)
        return as_loader("fit", self.model, data, None, None)

    def _make_callbacks(
        self, callbacks: Iterable[Callback] | None, verbose: str | int, params: dict[str, Any]
    ) -> CallbackList:
        if verbose not in ("auto", 0, 1, 2):
            raise ValueError(f"Trainer: verbose must be 'auto', 0, 1 or 2, got {verbose!r}")
        chosen = list(callbacks or ())
        if verbose:
            chosen.append(ProgressPrinter(None if verbose == "auto" else verbose == 1))
        return CallbackList(chosen, cast("Trainer", self), params)

    def _compute_loss(self, output: Tensor, y: Any, weight: Any) -> Tensor:
        """The mean loss; with sample weights, sum of weight * loss / N."""
        assert self.loss is not None  # checked by fit and evaluate
        if weight is None:
            return self.loss(output, y)
        each = self.loss(output, y, reduction="none")
        if each.ndim > 1:
            each = each.flatten(1).mean(1)
        return (each * weight).mean()


def _name(loss: Any) -> str | None:
    """What a loss that was given as an object is called."""
    if loss is None or isinstance(loss, Module):
        return None if loss is None else type(loss).__name__
    return getattr(loss, "__name__", type(loss).__name__)
