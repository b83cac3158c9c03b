"""From the parameters of an estimator to a module, an optimizer and a loss.

A `Recipe` is what a fitted estimator keeps of the parameters that it was fitted with: enough to
build module and optimizer again when it is unpickled, whatever `set_params` has changed since.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from ..models.mlp import MLP
from ..nn import Module
from ..optim import Optimizer
from ..trainer_setup import get_loss, optimizer_class
from .params import ACTIVATIONS, PREFIXES, hidden_sizes, nested


class Recipe(NamedTuple):
    """How module and optimizer were made; `decay` counts for the weights of an MLP alone."""

    module: Callable[..., Any]
    module_arguments: dict[str, Any]
    optimizer: Callable[..., Any]
    optimizer_arguments: dict[str, Any]
    decay: float | None

    def make(self, op: str) -> tuple[Module, Optimizer]:
        """A new module, with weights from the default generator, and its optimizer."""
        module = self.module(**self.module_arguments)
        if not isinstance(module, Module):
            raise TypeError(f"{op}: module must make a Module, got {type(module).__name__}")
        groups: Any = module.parameters()
        if self.decay is not None:
            weights = [parameter for parameter in module.parameters() if parameter.ndim > 1]
            biases = [parameter for parameter in module.parameters() if parameter.ndim == 1]
            groups = [
                {"params": weights, "weight_decay": self.decay},
                {"params": biases, "weight_decay": 0.0},
            ]
        optimizer = self.optimizer(groups, **self.optimizer_arguments)
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"{op}: optimizer must make an Optimizer, got {type(optimizer).__name__}"
            )
        return module, optimizer


def make_recipe(estimator: Any, n_features: int, n_outputs: int, batch: float) -> Recipe:
    """The recipe for an estimator's parameters, which `check_params` has seen; `batch` is the sum
    of the sample weights in a batch.
    """
    op = type(estimator).__name__
    given = {prefix: nested(estimator, prefix) for prefix in PREFIXES}
    options = given["optimizer"]
    options.setdefault("lr", estimator.learning_rate_init if estimator.lr is None else estimator.lr)
    optimizer = estimator.optimizer
    if isinstance(optimizer, str):
        optimizer = optimizer_class(optimizer)
    if estimator.module is not None:
        return Recipe(estimator.module, given["module"], optimizer, options, None)
    if given["module"]:
        names = ", ".join(f"module__{name}" for name in given["module"])
        raise ValueError(f"{op}: module must be given with {names}, got None")
    arguments = {
        "in_features": n_features,
        "hidden": hidden_sizes(op, estimator.hidden_layer_sizes),
        "num_classes": n_outputs,
        "activation": ACTIVATIONS[estimator.activation],
    }
    # scikit-learn divides its penalty by the batch, as its loss.
    decay = None if "weight_decay" in options else estimator.alpha / batch
    return Recipe(MLP, arguments, optimizer, options, decay)


def make_criterion(estimator: Any, default: str) -> Callable[..., Any]:
    """The loss function (output, target, reduction) of an estimator."""
    criterion = default if estimator.criterion is None else estimator.criterion
    options = nested(estimator, "criterion")
    if isinstance(criterion, type):
        return get_loss(criterion(**options))
    loss = get_loss(criterion)
    return functools.partial(loss, **options) if options else loss
