"""Curves: training, losses, activations; and histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..history import History
from ..metrics import as_array
from ..nn import Module
from ..nn import functional as F
from ..tensor import Tensor
from .figure import StrPath, finish, new_figure, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_curves(
    history: History | Mapping[str, Sequence[float]], *, path: StrPath | None = None
) -> Figure:
    """Every quantity of a training run over the epochs: one panel per quantity, with its
    validation twin in the same panel.

    `history` is what `Trainer.fit` returns, or lists by name. Raises ValueError when it is empty.
    """
    curves = history.history if isinstance(history, History) else history
    if not any(len(values) for values in curves.values()):
        raise ValueError("learning_curves: history must hold at least one epoch, got none")
    start = history.epoch[0] if isinstance(history, History) else 0
    last = max(len(values) for values in curves.values())
    quantities = list(dict.fromkeys(name.removeprefix("val_") for name in curves))
    columns = min(3, len(quantities))
    rows = -(-len(quantities) // columns)
    figure = new_figure(4.5 * columns, 3.2 * rows)
    for axes, quantity in zip(panels(figure, len(quantities), columns), quantities, strict=True):
        for name, style in ((quantity, "-"), (f"val_{quantity}", "--")):
            values = curves.get(name, ())
            if len(values):
                # A quantity that appeared late is aligned with the last epoch.
                epochs = np.arange(last - len(values), last) + start + 1
                axes.plot(epochs, values, style, marker="." if len(values) < 30 else "", label=name)
        axes.set_xlabel("epoch")
        axes.set_ylabel(quantity)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    return finish(figure, path)


def compare_runs(
    runs: Mapping[str, History | Mapping[str, Sequence[float]] | Sequence[float]],
    quantities: Sequence[str] = ("loss",),
    *,
    x: Sequence[float] | None = None,
    log: bool = False,
    xlabel: str = "epoch",
    path: StrPath | None = None,
) -> Figure:
    """One panel per quantity, one line per run.

    `runs` maps a name to what `Trainer.fit` returns, to lists by quantity, or, for one quantity, to
    a list. The abscissa `x` is 1, 2, ... unless given, `log` scales the ordinate logarithmically. A
    run without a quantity is left out of its panel. Raises ValueError when nothing is left to draw,
    and for a list beside several quantities.
    """
    if not quantities:
        raise ValueError("compare_runs: quantities must not be empty")
    figure = new_figure(4.6 * len(quantities) + 1.6, 3.6)
    handles: dict[str, Any] = {}
    for axes, quantity in zip(
        panels(figure, len(quantities), len(quantities)), quantities, strict=True
    ):
        for index, (name, run) in enumerate(runs.items()):
            curves = run.history if isinstance(run, History) else run
            if not isinstance(curves, Mapping):
                if len(quantities) != 1:
                    raise ValueError(
                        f"compare_runs: quantities must be one for a list, got {len(quantities)}"
                    )
                curves = {quantity: curves}
            values = curves.get(quantity, ())
            if not len(values):
                continue
            places = np.arange(1, len(values) + 1) if x is None else x
            style = {"color": f"C{index}", "marker": "." if len(values) < 30 else ""}
            handles[name] = axes.plot(places, values, **style)[0]
        axes.set_xlabel(xlabel)
        axes.set_ylabel(quantity)
        if log:
            axes.set_yscale("log")
        if x is None:
            axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    if not handles:
        raise ValueError(f"compare_runs: runs must hold one of {list(quantities)}, got none")
    if len(handles) > 1:
        figure.legend(handles.values(), handles.keys(), loc="outside right upper")
    return finish(figure, path)


def loss_values(kind: str, points: int = 401) -> dict[str, np.ndarray]:
    """The curves of `loss_curves` as arrays of `points`, by name; the key "x" holds the abscissa.

    kind "probability": losses of the probability p in (0, 1] of the right class: cross-entropy
    -ln p, focal (1 - p)^gamma (-ln p) for gamma 1, 2, 5. kind "error": losses of e = prediction -
    target in [-3, 3]: squared e^2, absolute |e|, Huber with delta 1. kind "margin": losses of y f
    in [-3, 3]: hinge max(0, 1 - y f), logistic ln(1 + e^(-y f)), 0/1. Raises ValueError for another
    kind.

    >>> values = loss_values("error", 7)
    >>> values["x"].tolist(), values["Huber, δ = 1"].tolist()
    ([-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0], [2.5, 1.5, 0.5, 0.0, 0.5, 1.5, 2.5])
    """
    if kind == "probability":
        x = np.linspace(0.0, 1.0, points + 1)[1:]
        entropy = -np.log(x)
        focal = {f"focal, γ = {g}": (1 - x) ** g * entropy for g in (1, 2, 5)}
        return {"x": x, "cross-entropy": entropy, **focal}
    x = np.linspace(-3.0, 3.0, points)
    if kind == "error":
        size = np.abs(x)
        huber = np.where(size < 1, 0.5 * x * x, size - 0.5)
        return {"x": x, "squared": x * x, "absolute": size, "Huber, δ = 1": huber}
    if kind == "margin":
        return {
            "x": x,
            "hinge": np.maximum(0, 1 - x),
            "logistic": np.logaddexp(0, -x),
            "0/1": (x < 0).astype(np.float64),
        }
    raise ValueError(f"loss_values: kind must be 'probability', 'error' or 'margin', got {kind!r}")


_ABSCISSA = {
    "probability": "probability p of the right class",
    "error": "error e = prediction − target",
    "margin": "margin y f(x)",
}


def loss_curves(
    kinds: Sequence[str] = ("probability", "error", "margin"), *, path: StrPath | None = None
) -> Figure:
    """The losses over what they measure, one panel per kind of `loss_values`."""
    data = [(kind, loss_values(kind)) for kind in kinds]
    figure = new_figure(4.5 * max(len(data), 1), 3.4)
    for axes, (kind, curves) in zip(panels(figure, len(data), len(data)), data, strict=True):
        for name, values in curves.items():
            if name != "x":
                axes.plot(curves["x"], values, label=name)
        axes.set_xlabel(_ABSCISSA[kind])
        axes.set_ylabel("loss")
        axes.set_ylim(-0.1, 5)
        axes.grid(alpha=0.3)
        axes.legend()
    return finish(figure, path)


def activation_curves(
    names: Sequence[str] = ("sigmoid", "tanh", "relu", "leaky_relu", "gelu", "silu"),
    *,
    path: StrPath | None = None,
) -> Figure:
    """Activations of `neurona.nn.functional` and their derivatives over [-4, 4]."""
    figure = new_figure(9, 3.4)
    value_axes, slope_axes = panels(figure, 2, 2)
    for name in names:
        x = Tensor(np.linspace(-4, 4, 401, dtype=np.float32), requires_grad=True)
        y = getattr(F, name)(x)
        y.sum().backward()
        value_axes.plot(x.data, y.data, label=name)
        slope_axes.plot(x.data, as_array(x.grad), label=name)
    for axes, label in ((value_axes, "g(z)"), (slope_axes, "g′(z)")):
        axes.set_xlabel("z")
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
    value_axes.set_ylim(-1.2, 2)
    value_axes.legend()
    return finish(figure, path)


def histograms(
    values: Module | Mapping[str, Any], *, bins: int = 40, path: StrPath | None = None
) -> Figure:
    """The distribution of weights (of a module, one panel per parameter) or of anything given as
    arrays by name, such as activations; each panel tells mean and standard deviation.

    Raises ValueError when there is nothing to draw.
    """
    if isinstance(values, Module):
        arrays = {name: parameter.data for name, parameter in values.named_parameters()}
    else:
        arrays = {name: as_array(value) for name, value in values.items()}
    arrays = {name: array for name, array in arrays.items() if array.size}
    if not arrays:
        raise ValueError("histograms: values must hold at least one element, got none")
    columns = min(3, len(arrays))
    rows = -(-len(arrays) // columns)
    figure = new_figure(3.6 * columns, 2.6 * rows)
    for axes, (name, array) in zip(
        panels(figure, len(arrays), columns), arrays.items(), strict=True
    ):
        axes.hist(array.ravel(), bins=bins, color="#4878a8")
        mean, deviation = float(array.mean()), float(array.std())
        axes.set_title(f"{name}\nmean {mean:.3g}, std {deviation:.3g}", fontsize=9)
        axes.set_ylabel("count")
        axes.tick_params(labelsize=8)
        axes.locator_params(axis="x", nbins=5)
        axes.yaxis.get_major_locator().set_params(integer=True)
    return finish(figure, path)
