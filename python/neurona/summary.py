"""summary: the layers of a model with their output shapes, parameters and multiply-accumulates.

The module is itself callable, so that `neurona.summary(...)` works whether or not this file was
imported by name first.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from . import nn
from .autograd import no_grad
from .tensor import Tensor

_COLUMNS = ("layer", "type", "kernel", "output", "params", "macs")
_TITLES = ("Layer", "Type", "Kernel", "Output shape", "Params", "MACs")


class ModelSummary:
    """What `summary` returns: printing gives the table, `as_dict()` the same as plain Python
    values.
    """

    def __init__(self, layers: list[dict[str, Any]], totals: dict[str, Any]) -> None:
        self.layers = layers
        self.totals = totals

    def as_dict(self) -> dict[str, Any]:
        """`{"layers": [...], "totals": {...}}`, made of str, int, tuple and None."""
        return {"layers": [dict(layer) for layer in self.layers], "totals": dict(self.totals)}

    def __str__(self) -> str:
        rows = [[_text(layer[column]) for column in _COLUMNS] for layer in self.layers]
        widths = [
            max(len(row[column]) for row in [list(_TITLES), *rows])
            for column in range(len(_TITLES))
        ]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))

        def line(cells: Sequence[str]) -> str:
            left = [cell.ljust(width) for cell, width in zip(cells[:4], widths[:4], strict=True)]
            right = [cell.rjust(width) for cell, width in zip(cells[4:], widths[4:], strict=True)]
            return "  ".join(left + right).rstrip()

        totals = self.totals
        return "\n".join(
            [
                line(_TITLES),
                rule,
                *map(line, rows),
                rule,
                f"Parameters: {totals['params']:,} ({totals['trainable_params']:,} trainable)",
                f"MACs: {totals['macs']:,} for input {totals['input_shape']}",
                f"Depth: {totals['depth']} layers with weights, width: {totals['width']}",
            ]
        )

    __repr__ = __str__


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _macs(module: nn.Module, input_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> int:
    """Multiply-accumulates of one call; only dense and convolution layers count, as is usual."""
    if isinstance(module, nn.Linear | nn.RBF):
        return math.prod(output_shape) * module.in_features
    if isinstance(module, nn.Conv1d | nn.Conv2d):
        return math.prod(output_shape) * math.prod(module.weight.shape[1:])
    if isinstance(module, nn.ConvTranspose2d):
        return math.prod(input_shape) * math.prod(module.weight.shape[1:])
    return 0


def _width(module: nn.Module) -> int | None:
    """Features or channels that a dense or convolution layer gives out."""
    width = getattr(module, "out_features", None)
    return getattr(module, "out_channels", None) if width is None else width


def _kernel(module: nn.Module) -> str | None:
    size = getattr(module, "kernel_size", None)
    return "x".join(map(str, size)) if isinstance(size, tuple) else None


def _shape(value: Any) -> tuple[int, ...] | None:
    first = value[0] if isinstance(value, tuple | list) and value else value
    return tuple(first.shape) if isinstance(first, Tensor) else None


def summary(model: nn.Module, input_size: Sequence[int]) -> ModelSummary:
    """Run `model` once on zeros of shape `input_size`, batch axis included, and list its layers in
    the order of their calls.

    A row holds path, type, kernel, output shape, parameters (of a layer's first call; a shared
    layer counts once) and multiply-accumulates: N K P Q C/groups R S for Conv2d (and Conv1d alike),
    N C H W K/groups R S for ConvTranspose2d, N out in for Linear and RBF. Depth is the number of
    layers with weights on the way, width the largest number of features or channels one gives out.
    The model runs in evaluation mode without gradients and is left as it was.

    Raises ValueError when the model refuses an input of that shape.

    >>> import neurona
    >>> from neurona import nn
    >>> report = neurona.summary(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), (1, 4))
    >>> report.totals["params"], report.totals["macs"]
    (58, 48)
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"summary: model must be a Module, got {type(model).__name__}")
    shape = tuple(input_size)
    if not all(
        isinstance(size, int) and not isinstance(size, bool) and size >= 1 for size in shape
    ):
        raise ValueError(
            f"summary: input_size must be ints >= 1, batch axis included, got {input_size!r}"
        )

    layers: list[dict[str, Any]] = []
    seen: set[int] = set()

    def record(path: str, module: nn.Module) -> Any:
        def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            own = [
                parameter
                for parameter in module.parameters(recurse=False)
                if id(parameter) not in seen
            ]
            seen.update(id(parameter) for parameter in own)
            given, result = _shape(args), _shape(output)
            layers.append(
                {
                    "layer": path or "(model)",
                    "type": type(module).__name__,
                    "kernel": _kernel(module),
                    "output": result,
                    "params": sum(parameter.data.size for parameter in own),
                    "macs": _macs(module, given, result)
                    if given is not None and result is not None
                    else 0,
                    "width": _width(module),
                }
            )

        return module.register_forward_hook(hook)

    _dry_run(model, shape, record)
    return ModelSummary(
        [{column: layer[column] for column in _COLUMNS} for layer in layers],
        _totals(model, shape, layers),
    )


def _dry_run(model: nn.Module, shape: tuple[int, ...], record: Any) -> None:
    """One forward with a hook on every module that does work of its own: leaves, and holders of
    parameters.
    """
    parameters = list(model.parameters())
    dtype = parameters[0].data.dtype if parameters else np.dtype(np.float32)
    modes = [(module, module.training) for module in model.modules()]
    watched = [
        (path, module)
        for path, module in model.named_modules()
        if not any(True for _ in module.children())
        or any(True for _ in module.parameters(recurse=False))
    ]
    handles = [record(path, module) for path, module in watched]
    model.eval()
    try:
        with no_grad():
            model(Tensor(np.zeros(shape, dtype)))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"summary: the model refuses input_size {shape} (batch axis included): {error}"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode


def _totals(
    model: nn.Module, shape: tuple[int, ...], layers: list[dict[str, Any]]
) -> dict[str, Any]:
    parameters = list(model.parameters())
    widths = [layer["width"] for layer in layers if layer["width"] is not None]
    return {
        "params": sum(parameter.data.size for parameter in parameters),
        "trainable_params": sum(
            parameter.data.size for parameter in parameters if parameter.requires_grad
        ),
        "param_bytes": sum(parameter.data.nbytes for parameter in parameters),
        "macs": sum(layer["macs"] for layer in layers),
        "depth": len(widths),
        "width": max(widths, default=0),
        "input_shape": shape,
    }


class _CallableModule(ModuleType):
    def __call__(self, model: nn.Module, input_size: Sequence[int]) -> ModelSummary:
        return summary(model, input_size)


# Importing this file binds the package's attribute `summary` to the module, over the function of
# the same name.
sys.modules[__name__].__class__ = _CallableModule
