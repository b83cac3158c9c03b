"""The description of a model in a file's metadata: `{"model", "input_shape", "num_classes"}`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..checkpoint import Checkpoint
from ..errors import FormatError
from ..files import StrPath
from ..nn import Module
from .registry import MLP_WIDTHS, build, check_name

_MAX_SIZE = 1 << 14


def describe(name: str, input_shape: Sequence[int], num_classes: int) -> dict[str, Any]:
    """The metadata entry `arch` of a model built by `build` with the same arguments."""
    return {"model": name, "input_shape": list(input_shape), "num_classes": num_classes}


def _is_size(value: Any) -> bool:
    return type(value) is int and 1 <= value <= _MAX_SIZE


def _fits(name: str, shape: Sequence[int], classes: int, weights: int) -> bool:
    """Whether the largest layer could be among so many weights: a file must not make us build, and
    allocate, a model that it does not hold."""
    features = math.prod(shape)
    quarter = (shape[-1] // 4) ** 2
    largest = {
        **{mlp: widths[0] * features for mlp, widths in MLP_WIDTHS.items()},
        "lenet5": 120 * 16 * ((shape[-1] // 2 - 4) // 2) ** 2,
        "vgg_small": 64 * quarter * classes,
        "digits_cnn": 32 * quarter * classes,
        "mnist_cnn": 1000 * 40 * (((shape[-1] - 4) // 2 - 4) // 2) ** 2,
        "rescnn": 64 * max(64 * 9, classes),
        "resnet18": 512 * max(512 * 9, classes),
    }
    return largest[name] <= weights


def model_from_checkpoint(path: StrPath, checkpoint: Checkpoint) -> tuple[Module, dict[str, Any]]:
    """Builds the model that a checkpoint describes, with its weights, in evaluation mode."""
    arch = checkpoint.json("arch")
    if arch is None:
        raise FormatError(f"{path}: metadata 'arch' is missing: the file does not name its model")
    name, shape, classes = (arch.get(key) for key in ("model", "input_shape", "num_classes"))
    if not (
        isinstance(name, str)
        and isinstance(shape, list)
        and 1 <= len(shape) <= 4
        and all(_is_size(size) for size in shape)
        and isinstance(classes, int)
        and _is_size(classes)
    ):
        raise FormatError(f"{path}: metadata 'arch' is not a known description: {arch}")
    try:
        total = sum(array.size for array in checkpoint.weights.values())
        if not _fits(check_name(name), shape, classes, total):
            raise ValueError(f"the model of metadata 'arch' has more than the {total} weights held")
        model = build(name, shape, classes)
        model.load_state_dict(checkpoint.weights)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{path}: {error}") from None
    return model.eval(), arch
