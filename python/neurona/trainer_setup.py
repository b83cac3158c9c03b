"""What `Trainer` does before its loop: names become losses and optimizers, arrays batches."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from . import optim
from .errors import did_you_mean
from .metrics import as_array
from .nn import Module
from .nn import functional as F
from .random import Generator
from .tensor import Tensor
from .utils.data import DataLoader, TensorDataset

LossFunction = Callable[..., Tensor]

# The names of Keras map to the versions that take logits: no softmax belongs before them.
_LOSSES: dict[str, str] = {
    "cross_entropy": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy",
    "categorical_crossentropy": "cross_entropy",
    "nll": "nll_loss",
    "mse": "mse_loss",
    "mean_squared_error": "mse_loss",
    "mae": "l1_loss",
    "mean_absolute_error": "l1_loss",
    "bce": "binary_cross_entropy_with_logits",
    "binary_crossentropy": "binary_cross_entropy_with_logits",
    "huber": "huber_loss",
    "hinge": "hinge_loss",
    "focal": "focal_loss",
}
_OPTIMIZERS: dict[str, Callable[..., optim.Optimizer]] = {
    "sgd": optim.SGD,
    "adam": optim.Adam,
    "adamw": optim.AdamW,
    "rmsprop": optim.RMSprop,
    "adagrad": optim.Adagrad,
    "adadelta": optim.Adadelta,
    "adamax": optim.Adamax,
    "nadam": optim.NAdam,
}
_KERAS_SGD_LR = 0.01


def _unknown(argument: str, value: str, known: Iterable[str]) -> ValueError:
    names = list(known)
    return ValueError(
        f"Trainer: {argument} must be one of {', '.join(names)}, got {value!r}"
        f"{did_you_mean(value, names)}"
    )


def get_loss(loss: Any) -> LossFunction:
    """The function (output, target, reduction="mean") for a name, a loss module or a callable."""
    if isinstance(loss, str):
        if loss not in _LOSSES:
            raise _unknown("loss", loss, _LOSSES)
        function: LossFunction = getattr(F, _LOSSES[loss])
        return function
    if isinstance(loss, Module):
        module = loss

        def from_module(output: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
            if reduction == "mean":  # the module's own reduction counts
                return module(output, target)
            unreduced = copy.copy(module)
            unreduced.reduction = reduction
            return unreduced(output, target)

        return from_module
    if not callable(loss):
        raise TypeError(f"Trainer: loss must be a name or callable, got {type(loss).__name__}")
    plain: LossFunction = loss
    return plain


def optimizer_class(name: str) -> Callable[..., optim.Optimizer]:
    """The class for a name such as "adam", in any case; `ValueError` for an unknown one."""
    if name.lower() not in _OPTIMIZERS:
        raise _unknown("optimizer", name.lower(), _OPTIMIZERS)
    return _OPTIMIZERS[name.lower()]


def get_optimizer(optimizer: Any, model: Module) -> optim.Optimizer:
    """An optimizer from a name, an object, or a function of the parameters.

    By name, SGD has a learning rate of 0.01 and the others use their own defaults.
    """
    if isinstance(optimizer, optim.Optimizer):
        return optimizer
    if isinstance(optimizer, str):
        made_by = optimizer_class(optimizer)
        options = {"lr": _KERAS_SGD_LR} if made_by is optim.SGD else {}
        return made_by(model.parameters(), **options)
    if not callable(optimizer):
        raise TypeError(
            f"Trainer: optimizer must be a name, an Optimizer or a function of the parameters, "
            f"got {type(optimizer).__name__}"
        )
    made = optimizer(model.parameters())
    if not isinstance(made, optim.Optimizer):
        raise TypeError(f"Trainer: optimizer function must return an Optimizer, got {made!r}")
    return made


def as_input(op: str, name: str, value: Any, model: Module) -> np.ndarray:
    """The array of `value`; float64 becomes the model's float32, with a warning."""
    array = as_array(value)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{op}: {name} must be an array of numbers, got dtype {array.dtype}")
    if array.dtype == np.float64 and not _is_float64(model):
        warnings.warn(
            f"{op}: {name} is float64 and is converted to float32; use .astype(np.float32)",
            stacklevel=4,
        )
        array = array.astype(np.float32)
    return array


def _is_float64(model: Module) -> bool:
    return any(parameter.dtype == np.float64 for parameter in model.parameters())


def as_loader(
    op: str,
    model: Module,
    x: Any,
    y: Any,
    batch_size: int | None,
    shuffle: bool = False,
    weight: np.ndarray | None = None,
) -> Any:
    """Batches of arrays; an iterable of batches (y is None) is returned as it is."""
    if y is None:
        if not isinstance(x, Iterable) or isinstance(x, (np.ndarray, Tensor)):
            raise TypeError(f"{op}: y must be given unless x yields batches (x, y)")
        if batch_size is not None:
            raise ValueError(
                f"{op}: batch_size must be None when x yields batches, got {batch_size}"
            )
        return x
    inputs, targets = as_input(op, "x", x, model), as_input(op, "y", y, model)
    if inputs.ndim == 0 or targets.ndim == 0 or len(inputs) != len(targets):
        raise ValueError(
            f"{op}: x and y must have the same length, got {inputs.shape} and {targets.shape}"
        )
    if len(inputs) == 0:
        raise ValueError(f"{op}: x must hold at least one sample, got shape {inputs.shape}")
    arrays = [inputs, targets] if weight is None else [inputs, targets, weight]
    data = TensorDataset(*(Tensor(array) for array in arrays))
    return DataLoader(data, batch_size=32 if batch_size is None else batch_size, shuffle=shuffle)


def sample_weights(
    y: Any, class_weight: Mapping[int, float] | None, sample_weight: Any
) -> np.ndarray | None:
    """The product of both kinds of weights per sample, float32 (N,); None if there are none."""
    if class_weight is None and sample_weight is None:
        return None
    labels = as_array(y)
    weights = np.ones(len(labels), np.float32)
    if sample_weight is not None:
        given = as_array(sample_weight)
        if given.shape != weights.shape:
            raise ValueError(
                f"fit: sample_weight must have shape {weights.shape}, got {given.shape}"
            )
        weights *= given.astype(np.float32)
    if class_weight is not None:
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise TypeError("fit: class_weight needs integer class labels y of shape (N,)")
        for label, factor in class_weight.items():
            weights[labels == label] *= np.float32(factor)
    return weights


def split(
    x: Any, y: Any, weight: np.ndarray | None, fraction: float, seed: int
) -> tuple[tuple[Any, Any, np.ndarray | None], tuple[Any, Any]]:
    """Sets a random part aside for validation; the permutation depends on the seed alone."""
    if not 0 < fraction < 1:
        raise ValueError(f"fit: validation_split must be in [0, 1), got {fraction}")
    inputs, targets = as_array(x), as_array(y)
    if len(inputs) != len(targets):
        raise ValueError(
            f"fit: x and y must have the same length, got {len(inputs)} and {len(targets)}"
        )
    order = Generator(seed).permutation(len(inputs))
    count = round(len(inputs) * fraction)
    if not 0 < count < len(inputs):
        raise ValueError(
            f"fit: validation_split must leave samples on both sides, got {fraction} "
            f"of {len(inputs)}"
        )
    kept, held = np.sort(order[count:]), np.sort(order[:count])
    rest = None if weight is None else weight[kept]
    return (inputs[kept], targets[kept], rest), (inputs[held], targets[held])


def device_of(model: Module) -> str:
    """Where the parameters are, "cpu" for a model without any."""
    parameter = next(iter(model.parameters()), None)
    return "cpu" if parameter is None else parameter.device


def unpack(batch: Any, device: str) -> tuple[Tensor, Tensor, Tensor | None]:
    """(x, y) or (x, y, weight) as Tensors on `device`."""
    if not isinstance(batch, (tuple, list)) or len(batch) not in (2, 3):
        raise TypeError(
            f"Trainer: batches must be (x, y) or (x, y, weight), got {type(batch).__name__}"
        )
    x, y, weight = (*batch, None)[:3]
    parts = (None if part is None else _tensor(part).to(device) for part in (x, y, weight))
    return tuple(parts)  # type: ignore[return-value]


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else Tensor(as_array(value))
