"""receptive_field: how much of the input a unit sees."""

from __future__ import annotations

from typing import Any, NamedTuple

from . import nn

# What reads each place by itself, whatever it does there.
_POINTWISE = (
    nn.BatchNorm1d, nn.BatchNorm2d, nn.Dropout, nn.Dropout2d, nn.ELU, nn.GELU, nn.HardSigmoid,
    nn.Hardsigmoid, nn.Identity, nn.LeakyReLU, nn.PReLU, nn.ReLU, nn.SiLU, nn.Sigmoid, nn.Softplus,
    nn.Step, nn.Tanh,
)  # fmt: skip
_WINDOWS = (
    nn.Conv1d, nn.Conv2d, nn.MaxPool1d, nn.AvgPool1d, nn.MaxPool2d, nn.MinPool2d, nn.AvgPool2d,
)  # fmt: skip


class LayerField(NamedTuple):
    """A layer's path and type; along each axis, the input that a unit behind it sees and the step
    between neighbouring units.
    """

    layer: str
    type: str
    size: tuple[int, ...]
    jump: tuple[int, ...]


class ReceptiveField(NamedTuple):
    """`size` and `jump` of the model's output, and a row for each layer with a window."""

    size: tuple[int, ...]
    jump: tuple[int, ...]
    layers: list[LayerField]


Field = tuple[tuple[int, ...], tuple[int, ...]]


def receptive_field(model: nn.Module) -> ReceptiveField:
    """The size of the input region that affects one unit of the output, per axis.

    Starting with r = j = 1, a window of F places (F = dilation (kernel_size - 1) + 1) and stride S
    makes r <- r + (F - 1) j and j <- j S; paths side by side (`Residual`, `Concat`) count as the
    widest. The model is made of Sequential, Residual, Concat, convolutions, pools with a window,
    batch norms, dropouts and element-wise activations; for a flattened or dense part ask for the
    slice before it, `model[:k]`. Raises ValueError for any other layer and for branches of
    different strides, TypeError for a wrong kind.

    >>> import neurona
    >>> from neurona import nn
    >>> two = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU(), nn.Conv2d(1, 1, 3))
    >>> neurona.receptive_field(two).size
    (5, 5)
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"receptive_field: model must be a Module, got {type(model).__name__}")
    rows: list[LayerField] = []
    size, jump = _through(model, "", ((1,), (1,)), rows)
    return ReceptiveField(size, jump, rows)


def _through(module: nn.Module, path: str, field: Field, rows: list[LayerField]) -> Field:
    """The field behind `module` from the one before it."""

    def inner(name: str) -> str:
        return f"{path}.{name}" if path else name

    if isinstance(module, nn.Sequential):
        for name, child in module._modules.items():
            field = _through(_present(child), inner(name), field, rows)
        return field
    if isinstance(module, nn.Residual):
        branches = [("body", module.body)]
        branches += [] if module.shortcut is None else [("shortcut", module.shortcut)]
        ends = [_through(child, inner(name), field, rows) for name, child in branches]
        ends += [field] if module.shortcut is None else []
        joined = _widest(path, module, ends)
        return _through(module.activation, inner("activation"), joined, rows)
    if isinstance(module, nn.Concat):
        ends = [
            _through(_present(child), inner(name), field, rows)
            for name, child in module._modules.items()
        ]
        return _widest(path, module, ends or [field])
    if isinstance(module, _POINTWISE):
        return field
    if isinstance(module, _WINDOWS):
        field = _window(module, field)
        rows.append(LayerField(path or "(model)", type(module).__name__, *field))
        return field
    raise ValueError(
        f"receptive_field: model must be made of layers with a window and element-wise ones, "
        f"got {type(module).__name__} at {path!r}"
    )


def _present(child: nn.Module | None) -> nn.Module:
    return nn.Identity() if child is None else child


def _window(module: Any, field: Field) -> Field:
    kernel, stride = module.kernel_size, module.stride
    spread = getattr(module, "dilation", (1,) * len(kernel))
    sizes, jumps = (part * len(kernel) if len(part) == 1 else part for part in field)
    grown = tuple(
        r + d * (k - 1) * j for r, j, k, d in zip(sizes, jumps, kernel, spread, strict=True)
    )
    return grown, tuple(j * s for j, s in zip(jumps, stride, strict=True))


def _widest(path: str, module: nn.Module, ends: list[Field]) -> Field:
    axes = max(len(size) for size, _ in ends)
    full = [tuple(part * axes if len(part) == 1 else part for part in end) for end in ends]
    jumps = {jump for _, jump in full}
    if len(jumps) != 1:
        raise ValueError(
            f"receptive_field: the branches of {type(module).__name__} at {path!r} must have one "
            f"stride, got {sorted(jumps)}"
        )
    return tuple(max(sizes) for sizes in zip(*(size for size, _ in full), strict=True)), jumps.pop()
