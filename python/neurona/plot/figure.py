"""What all plots share: matplotlib on demand, without its global state; arrays; saving."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import no_grad
from ..files import StrPath, atomic_write
from ..metrics import as_array
from ..nn import Module
from ..tensor import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size in inches; none of pyplot's windows or lists know of it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            "neurona.plot needs matplotlib: pip install matplotlib, or neurona[plot]"
        ) from error
    return Figure(figsize=(width, height), layout="constrained")


def finish(figure: Figure, path: StrPath | None) -> Figure:
    """Write the figure where asked, whole or not at all."""
    if path is not None:
        suffix = Path(path).suffix[1:].lower() or "png"
        known = figure.canvas.get_supported_filetypes()
        if suffix not in known:
            raise ValueError(f"plot: path must end in one of {', '.join(known)}, got {path!r}")
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, dpi=150)
        with atomic_write(path) as file:
            file.write(buffer.getvalue())
    return figure


def panels(figure: Figure, count: int, columns: int) -> list[Any]:
    """`count` axes in rows of `columns`, row by row."""
    rows = math.ceil(count / columns)
    return [figure.add_subplot(rows, columns, index + 1) for index in range(count)]


def bare(axes: Any) -> None:
    """Take the ticks off axes that hold an image."""
    axes.set_xticks([])
    axes.set_yticks([])


def output_of(model: Any, x: Any) -> np.ndarray:
    """What a model, or any function of an array, gives for x; a module runs in evaluation mode and
    is left as it was.
    """
    if not isinstance(model, Module):
        return as_array(model(as_array(x)))
    modes = [(module, module.training) for module in model.modules()]
    parameter = next(model.parameters(), None)
    dtype = np.float32 if parameter is None else parameter.data.dtype
    model.eval()
    try:
        with no_grad():
            return as_array(model(Tensor(np.asarray(as_array(x), dtype))))
    finally:
        for module, mode in modes:
            object.__setattr__(module, "training", mode)


def images_of(op: str, value: Any) -> np.ndarray:
    """Images (N, C, H, W) from those, or from (N, H, W), with C = 1 or 3."""
    images = as_array(value)
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            f"{op}: images must have shape (N, H, W) or (N, C, H, W) with C = 1 or 3, "
            f"got {as_array(value).shape}"
        )
    return images


def show(axes: Any, image: np.ndarray, **options: Any) -> Any:
    """One image (C, H, W): grey for one channel, colours for three."""
    bare(axes)
    if image.shape[0] == 3:
        low, high = float(image.min()), float(image.max())
        scaled = (image - low) / (high - low) if high > low else np.zeros_like(image)
        return axes.imshow(scaled.transpose(1, 2, 0))
    return axes.imshow(image[0], **{"cmap": "gray", **options})


def names_of(op: str, names: Iterable[str] | None, count: int) -> list[str]:
    """Class names, 0..count-1 unless given."""
    if names is None:
        return [str(index) for index in range(count)]
    listed = [str(name) for name in names]
    if len(listed) != count:
        raise ValueError(f"{op}: names must hold {count} names, got {len(listed)}")
    return listed
