"""The parameters of the estimators: `module__...` and the like among them, and their checks."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import suggest_keywords
from ..nn import Module
from ..optim.optimizer import check_number, not_negative

PREFIXES = ("module", "optimizer", "criterion")
# scikit-learn's names, and those of `models.MLP`
ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "relu": "relu", "tanh": "tanh"}


def is_nested(name: str) -> bool:
    """Whether `name` is an argument of module, optimizer or criterion, such as module__width."""
    return name.startswith(tuple(f"{prefix}__" for prefix in PREFIXES))


def nested_arguments(init: Callable[..., None]) -> Callable[..., None]:
    """A decorator: lets a constructor store `module__...` and the like beside its parameters.

    scikit-learn reads the parameters off the signature, which stays the one of `init`. TypeError
    for other keywords.
    """

    @functools.wraps(init)
    def stores_all(self: Any, *args: Any, **kwargs: Any) -> None:
        plain = {name: value for name, value in kwargs.items() if not is_nested(name)}
        suggest_keywords(type(self).__name__)(init)(self, *args, **plain)
        for name in kwargs.keys() - plain.keys():
            setattr(self, name, kwargs[name])

    return stores_all


def nested(estimator: Any, prefix: str) -> dict[str, Any]:
    """The arguments that were given as `prefix__name`."""
    start = f"{prefix}__"
    return {
        name.removeprefix(start): value
        for name, value in vars(estimator).items()
        if name.startswith(start)
    }


def hidden_sizes(op: str, value: Any) -> tuple[int, ...]:
    """The widths of the hidden layers from one int or a sequence of them."""
    sizes = np.atleast_1d(np.asarray(value)).tolist()
    for size in sizes:
        _integer(op, "hidden_layer_sizes", size)
    return tuple(sizes)


def _integer(op: str, name: str, value: Any) -> None:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{op}: {name} must be an int, got {value!r}")
    if operator.index(value) < 1:
        raise ValueError(f"{op}: {name} must be >= 1, got {value}")


def check_params(estimator: Any) -> None:
    """TypeError or ValueError for a parameter that cannot be; called by `fit`, as scikit-learn
    asks.
    """
    op, p = type(estimator).__name__, estimator
    hidden_sizes(op, p.hidden_layer_sizes)
    if p.activation not in ACTIVATIONS:
        raise ValueError(
            f"{op}: activation must be one of {', '.join(ACTIVATIONS)}, got {p.activation!r}"
        )
    for name in ("module", "optimizer"):
        value = getattr(p, name)
        usable = value is None if name == "module" else isinstance(value, str)
        if not usable and (isinstance(value, Module) or not callable(value)):
            raise TypeError(
                f"{op}: {name} must be a class or a function that makes one, "
                f"got {type(value).__name__}"
            )
    for name in ("max_iter", "max_epochs", "n_iter_no_change"):
        value = getattr(p, name)
        if value is not None or name == "max_iter":
            _integer(op, name, value)
    if p.batch_size != "auto":
        _integer(op, "batch_size", p.batch_size)
    for name in ("alpha", "tol"):
        check_number(op, name, getattr(p, name), "finite and >= 0", not_negative)
    for name in ("learning_rate_init", "lr"):
        value = getattr(p, name)
        if value is not None or name == "learning_rate_init":
            check_number(op, name, value, "finite and > 0", lambda rate: 0 < rate < math.inf)
    check_number(
        op, "validation_fraction", p.validation_fraction, "in (0, 1)", lambda part: 0 < part < 1
    )
