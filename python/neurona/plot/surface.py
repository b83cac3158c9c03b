"""The surface of a loss of two numbers, and the ways that optimizers take on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..metrics import as_array
from .figure import StrPath, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def loss_surface(
    loss: Callable[[np.ndarray, np.ndarray], Any],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    paths: Mapping[str, Any] | None = None,
    *,
    resolution: int = 200,
    levels: int = 24,
    axis_names: tuple[str, str] = ("θ₁", "θ₂"),
    path: StrPath | None = None,
) -> Figure:
    """Contours of `loss` over the plane, and `paths` on it: points (T, 2) by name, the start as a
    dot and the end as a cross.

    `loss(a, b)` takes two arrays (R, R) and gives one. Lines lie closer the lower the loss: their
    levels are spaced evenly in its square root, so that a valley keeps its shape. Raises ValueError
    for a loss or a path of another shape and for a range that is empty.
    """
    for name, (low, high) in (("x_range", x_range), ("y_range", y_range)):
        if not low < high:
            raise ValueError(f"loss_surface: {name} must be (low, high), got ({low}, {high})")
    columns, rows = np.linspace(*x_range, resolution), np.linspace(*y_range, resolution)
    first, second = np.meshgrid(columns, rows)
    heights = as_array(loss(first, second))
    if heights.shape != first.shape:
        raise ValueError(f"loss_surface: loss must give {first.shape}, got {heights.shape}")
    routes = {name: as_array(points) for name, points in (paths or {}).items()}
    for name, points in routes.items():
        if points.ndim != 2 or points.shape[1] != 2 or not len(points):
            raise ValueError(
                f"loss_surface: paths[{name!r}] must have shape (T, 2), got {points.shape}"
            )
    figure = new_figure(6.2, 4.6)
    from matplotlib.ticker import MaxNLocator

    axes = figure.add_subplot()
    low, high = float(heights.min()), float(heights.max())
    spaced = low + (high - low) * np.linspace(0, 1, levels + 1) ** 2
    if high > low:
        filled = axes.contourf(columns, rows, heights, levels=spaced, cmap="Blues", alpha=0.75)
        axes.contour(columns, rows, heights, levels=spaced, colors="black", linewidths=0.3)
        # Places on the bar in proportion to the loss: the levels themselves are no round numbers.
        ticks = MaxNLocator(6)
        figure.colorbar(filled, ax=axes, label="loss", spacing="proportional", ticks=ticks)
    for index, (name, points) in enumerate(routes.items()):
        color = f"C{index + 1}"
        # Later paths are thinner, so that those below still show where two run together.
        width = 1.2 + 0.5 * (len(routes) - 1 - index)
        axes.plot(points[:, 0], points[:, 1], color=color, linewidth=width, label=name)
        axes.plot(*points[0], "o", color=color, markersize=5)
        axes.plot(*points[-1], "X", color=color, markersize=8, markeredgecolor="white")
    axes.set_xlim(*x_range)
    axes.set_ylim(*y_range)
    axes.set_xlabel(axis_names[0])
    axes.set_ylabel(axis_names[1])
    if routes:
        axes.legend(fontsize=8, framealpha=0.9)
    return finish(figure, path)
