"""The callback interface, with Keras's hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..nn import Module
    from ..trainer import Trainer

Logs = dict[str, float]


class Callback:
    """Base: override the hooks you need; `logs` holds the values so far and may be added to.

    `self.trainer` is the Trainer (set `self.trainer.stop_training = True` to end the run),
    `self.model` its module, `self.params` a dictionary with `epochs`, `steps` and `verbose`.

    >>> class Shout(Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         print(epoch, sorted(logs))
    """

    trainer: Trainer
    model: Module
    params: dict[str, Any]
    # Callbacks that store the state of the others must see each hook after them.
    runs_last = False

    def set_trainer(self, trainer: Trainer) -> None:
        """Called before training, evaluation and prediction."""
        self.trainer = trainer

    def set_model(self, model: Module) -> None:
        """Called before training, evaluation and prediction."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called before training, evaluation and prediction."""
        self.params = params

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must keep so that a resumed run behaves like an uninterrupted one."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave."""

    def on_train_begin(self, logs: Logs) -> None:
        """Called once, before the first epoch."""

    def on_train_end(self, logs: Logs) -> None:
        """Called once, after the last epoch, also if the run was interrupted."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Called before each epoch (not again when a run is resumed inside it)."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Called after each epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Called before each training step."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """Called after each training step; `logs` holds the means of the epoch so far."""

    def on_test_begin(self, logs: Logs) -> None:
        """Called before an evaluation, validation included."""

    def on_test_end(self, logs: Logs) -> None:
        """Called after an evaluation, validation included."""

    def on_test_batch_begin(self, batch: int, logs: Logs) -> None:
        """Called before each batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs) -> None:
        """Called after each batch of an evaluation."""

    def on_predict_begin(self, logs: Logs) -> None:
        """Called before a prediction."""

    def on_predict_end(self, logs: Logs) -> None:
        """Called after a prediction."""

    def on_predict_batch_begin(self, batch: int, logs: Logs) -> None:
        """Called before each batch of a prediction."""

    def on_predict_batch_end(self, batch: int, logs: Logs) -> None:
        """Called after each batch of a prediction."""


_HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


class LambdaCallback(Callback):
    """Calls the given functions at the hooks of the same names.

    Raises `TypeError` for a name that is no hook or a value that is not callable.

    >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch))
    >>> callback.on_epoch_end(3, {})
    3
    """

    def __init__(self, **hooks: Callable[..., None] | None) -> None:
        for name, function in hooks.items():
            if name not in _HOOKS:
                raise TypeError(
                    f"LambdaCallback: argument must be one of {', '.join(_HOOKS)}, got {name!r}"
                )
            if function is None:
                continue
            if not callable(function):
                raise TypeError(
                    f"LambdaCallback: {name} must be callable, got {type(function).__name__}"
                )
            setattr(self, name, function)


class CallbackList:
    """Calls each hook of all callbacks, in order, those with `runs_last` after the others."""

    def __init__(
        self, callbacks: Iterable[Callback], trainer: Trainer, params: dict[str, Any]
    ) -> None:
        chosen = list(callbacks)
        for callback in chosen:
            if not isinstance(callback, Callback):
                raise TypeError(
                    f"callbacks: must be Callback objects, got {type(callback).__name__}"
                )
            callback.set_trainer(trainer)
            callback.set_model(trainer.model)
            callback.set_params(params)
        self.callbacks = sorted(chosen, key=lambda callback: callback.runs_last)
        # Per batch only those that override a hook are called: the loop of a small model must not
        # pay for empty methods.
        self._targets = {hook: self._overriding(hook) for hook in _HOOKS}

    def _overriding(self, hook: str) -> list[Callable[..., None]]:
        base = getattr(Callback, hook)
        methods = [getattr(callback, hook) for callback in self.callbacks]
        return [method for method in methods if getattr(method, "__func__", None) is not base]

    def call(self, hook: str, *args: Any) -> None:
        """Runs `hook` (`on_epoch_end`, ...) of every callback that defines it."""
        for method in self._targets[hook]:
            method(*args)

    def state_dict(self) -> list[dict[str, Any]]:
        """The states of all callbacks with their class names."""
        return [
            {"type": type(callback).__name__, "state": callback.state_dict()}
            for callback in self.callbacks
        ]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Gives each state to the next callback of its class; those without one start fresh."""
        waiting = list(states)
        for callback in self.callbacks:
            for position, state in enumerate(waiting):
                if state["type"] == type(callback).__name__:
                    callback.load_state_dict(waiting.pop(position)["state"])
                    break
