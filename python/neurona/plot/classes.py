"""Pictures of classification: confusion, mistakes, boundaries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..metrics import as_array
from .figure import (
    StrPath,
    finish,
    images_of,
    names_of,
    new_figure,
    output_of,
    panels,
    show,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion_matrix(
    matrix: Any, names: Iterable[str] | None = None, *, path: StrPath | None = None
) -> Figure:
    """Counts (C, C), row = true class, column = estimated class, as `metrics.confusion_matrix`
    gives them; the shade is the share of the true class.

    Raises ValueError unless the matrix is square.
    """
    counts = as_array(matrix)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"confusion_matrix: matrix must have shape (C, C), got {counts.shape}")
    size = counts.shape[0]
    labels = names_of("confusion_matrix", names, size)
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, out=np.zeros(counts.shape), where=total > 0)
    side = max(3.5, 0.55 * size + 1.5)
    figure = new_figure(side + 0.8, side)
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, label="share of the true class")
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if share[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count}", ha="center", va="center", color=color)
    turned = 45 if max(map(len, labels)) > 3 else 0
    axes.set_xticks(range(size), labels, rotation=turned, ha="right" if turned else "center")
    axes.set_yticks(range(size), labels)
    axes.set_xlabel("estimated class")
    axes.set_ylabel("true class")
    return finish(figure, path)


def misclassified(
    images: Any,
    target: Any,
    output: Any,
    names: Iterable[str] | None = None,
    *,
    limit: int = 40,
    path: StrPath | None = None,
) -> Figure:
    """The images whose estimated class is wrong, with true and estimated class, the surest mistake
    first.

    images (N, H, W) or (N, C, H, W), target (N,), output: scores (N, C). At most `limit` are drawn;
    the title tells how many there are. Raises ValueError for shapes that do not fit.
    """
    pictures = images_of("misclassified", images)
    truth, scores = as_array(target), as_array(output)
    if scores.ndim != 2 or truth.shape != (len(pictures),) or len(scores) != len(pictures):
        raise ValueError(
            "misclassified: target and output must have shapes (N,) and (N, C) for "
            f"N = {len(pictures)}, got {truth.shape} and {scores.shape}"
        )
    if limit < 1:
        raise ValueError(f"misclassified: limit must be >= 1, got {limit}")
    labels = names_of("misclassified", names, scores.shape[1])
    estimate = scores.argmax(axis=1)
    wrong = np.flatnonzero(estimate != truth)
    gap = scores[wrong, estimate[wrong]] - scores[wrong, truth[wrong]]
    shown = wrong[np.argsort(-gap, kind="stable")][:limit]
    columns = min(10, max(len(shown), 1))
    rows = max(1, -(-len(shown) // columns))
    figure = new_figure(max(1.1 * columns, 4.5), 1.35 * rows + 0.5)
    figure.suptitle(
        f"{len(wrong)} of {len(truth)} wrong ({100 * len(wrong) / max(len(truth), 1):.2f} %)"
        + (", true → estimated" if len(wrong) else ""),
        fontsize=10,
    )
    for axes, index in zip(panels(figure, len(shown), columns), shown, strict=True):
        show(axes, pictures[index])
        axes.set_title(f"{labels[truth[index]]} → {labels[estimate[index]]}", fontsize=8)
    return finish(figure, path)


def decision_boundary(
    model: Any,
    x: Any,
    y: Any,
    names: Iterable[str] | None = None,
    *,
    resolution: int = 200,
    axis_names: tuple[str, str] = ("x₁", "x₂"),
    path: StrPath | None = None,
) -> Figure:
    """The regions of the classes in the plane, and the samples: x (N, 2), y (N,).

    `model` gives scores (N, C), or one number per sample whose sign decides between classes 0 and
    1: (N, 1) or (N,). Raises ValueError for other shapes.
    """
    points, labels = as_array(x), as_array(y)
    if points.ndim != 2 or points.shape[1] != 2 or labels.shape != points.shape[:1]:
        raise ValueError(
            "decision_boundary: x and y must have shapes (N, 2) and (N,), "
            f"got {points.shape} and {labels.shape}"
        )
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.1 * np.where(high > low, high - low, 1.0)
    low, high = low - margin, high + margin
    columns = np.linspace(low[0], high[0], resolution)
    rows = np.linspace(low[1], high[1], resolution)
    grid = np.stack([axis.ravel() for axis in np.meshgrid(columns, rows)], axis=1)
    scores = output_of(model, grid).reshape(len(grid), -1)
    if scores.shape[1] == 1:
        scores = np.concatenate([-scores, scores], axis=1)
    classes = max(scores.shape[1], int(labels.max()) + 1)
    titles = names_of("decision_boundary", names, classes)
    regions = scores.argmax(axis=1).reshape(resolution, resolution)
    figure = new_figure(5.2, 4.2)
    axes = figure.add_subplot()
    palette = _palette(classes)
    axes.contourf(
        columns,
        rows,
        regions,
        levels=np.arange(classes + 1) - 0.5,
        colors=palette,
        alpha=0.25,
    )
    for label in range(classes):
        chosen = points[labels == label]
        axes.scatter(
            chosen[:, 0],
            chosen[:, 1],
            s=22,
            color=palette[label],
            edgecolors="black",
            linewidths=0.5,
            label=titles[label],
        )
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    axes.set_xlabel(axis_names[0])
    axes.set_ylabel(axis_names[1])
    axes.legend()
    return finish(figure, path)


def _palette(count: int) -> list[Any]:
    """Red and grey for two classes; a map of ten colours, repeated, for more."""
    if count <= 2:
        return ["#c0392b", "#7f8c8d"][:count]
    from matplotlib import colormaps

    colors = colormaps["tab10"].colors  # type: ignore[attr-defined]
    return [colors[index % len(colors)] for index in range(count)]
