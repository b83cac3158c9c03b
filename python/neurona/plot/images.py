"""Pictures of convolutional networks: filters, feature maps, one step of a convolution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..metrics import as_array
from ..nn import Conv2d, Module
from .figure import StrPath, bare, finish, new_figure, output_of, panels, show

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def filters(weight: Any, *, limit: int = 64, path: StrPath | None = None) -> Figure:
    """The kernels of a convolution: `weight` is a Conv2d, or an array (K, C, R, S).

    Three channels are drawn in colour; of any other number above one, the channels' mean. Red is
    positive, blue negative, on one scale for all. Raises ValueError for another shape.
    """
    kernels = weight.weight.data if isinstance(weight, Conv2d) else as_array(weight)
    if kernels.ndim != 4:
        raise ValueError(f"filters: weight must have shape (K, C, R, S), got {kernels.shape}")
    shown = kernels[:limit]
    if shown.shape[1] != 3:
        shown = shown.mean(axis=1, keepdims=True)
    figure = _gallery(len(shown), f"{len(shown)} of {len(kernels)} filters {kernels.shape[1:]}")
    peak = float(np.abs(shown).max()) or 1.0
    for axes, kernel in zip(_grid(figure, len(shown)), shown, strict=True):
        show(axes, kernel, cmap="RdBu_r", vmin=-peak, vmax=peak)
    return finish(figure, path)


def feature_maps(
    model: Module, x: Any, layer: str, *, limit: int = 64, path: StrPath | None = None
) -> Figure:
    """What the layer at the dotted path `layer` makes of one image: each channel of its output.

    x (C, H, W) or (1, C, H, W). Raises ValueError when there is no such layer, or its output is not
    (1, K, P, Q).
    """
    image = as_array(x)
    image = image[None] if image.ndim == 3 else image
    if image.ndim != 4 or len(image) != 1:
        raise ValueError(f"feature_maps: x must have shape (C, H, W), got {as_array(x).shape}")
    outputs: list[np.ndarray] = []
    watch = model.get_submodule(layer).register_forward_hook(
        lambda module, args, output: outputs.append(as_array(output))
    )
    with watch:
        output_of(model, image)
    if not outputs or outputs[0].ndim != 4:
        got = outputs[0].shape if outputs else "no call"
        raise ValueError(f"feature_maps: layer must give (1, K, P, Q), got {got} from {layer!r}")
    maps = outputs[0][0]
    shown = maps[:limit]
    figure = _gallery(len(shown), f"{layer}: {len(shown)} of {len(maps)} maps {maps.shape[1:]}")
    for axes, channel in zip(_grid(figure, len(shown)), shown, strict=True):
        show(axes, channel[None], cmap="viridis")
    return finish(figure, path)


def _columns(count: int) -> int:
    return min(10, max(1, math.ceil(math.sqrt(count))))


def _gallery(count: int, title: str) -> Figure:
    columns = _columns(count)
    rows = max(1, math.ceil(count / columns))
    figure = new_figure(max(1.0 * columns, 4.0), 1.0 * rows + 0.5)
    figure.suptitle(title, fontsize=10)
    return figure


def _grid(figure: Figure, count: int) -> list[Any]:
    return panels(figure, count, _columns(count))


def convolution(
    x: Any,
    kernel: Any,
    at: tuple[int, int] = (0, 0),
    *,
    stride: int = 1,
    padding: int = 0,
    path: StrPath | None = None,
) -> Figure:
    """One step of a convolution as it is explained on paper: input, kernel and output with their
    numbers, the window and the output pixel `at` (row, column) marked.

    x (H, W), kernel (R, S): y[p, q] = sum over r, s of kernel[r, s] x[p stride + r - padding, q
    stride + s - padding], without turning the kernel round. Raises ValueError for shapes that do
    not fit and an `at` outside the output.
    """
    plane, weights = as_array(x), as_array(kernel)
    if plane.ndim != 2 or weights.ndim != 2:
        raise ValueError(
            "convolution: x and kernel must have shapes (H, W) and (R, S), "
            f"got {plane.shape} and {weights.shape}"
        )
    if stride < 1 or padding < 0:
        raise ValueError(
            f"convolution: stride must be >= 1 and padding >= 0, got {stride} and {padding}"
        )
    padded = np.pad(plane, padding)
    size = [(n - k) // stride + 1 for n, k in zip(padded.shape, weights.shape, strict=True)]
    if min(size) < 1:
        raise ValueError(
            f"convolution: kernel must fit the padded input {padded.shape}, got {weights.shape}"
        )
    if not all(0 <= place < n for place, n in zip(at, size, strict=True)):
        raise ValueError(f"convolution: at must lie in the output {tuple(size)}, got {at}")
    windows = np.lib.stride_tricks.sliding_window_view(padded, weights.shape)
    output = (windows[::stride, ::stride] * weights).sum(axis=(2, 3))
    corner = (at[0] * stride, at[1] * stride)
    title = f"input {plane.shape}" + (f", padding {padding}" if padding else "")
    parts = [
        (padded, title, (corner, weights.shape)),
        (weights, f"kernel {weights.shape}, stride {stride}", None),
        (output, f"output {output.shape}", (at, (1, 1))),
    ]
    widths = [max(array.shape[1], 3) for array, _, _ in parts]
    height = max(array.shape[0] for array, _, _ in parts)
    figure = new_figure(0.5 * sum(widths) + 1.6, 0.5 * height + 1.2)
    specs = figure.add_gridspec(1, 3, width_ratios=widths)
    for column, (array, title, frame) in enumerate(parts):
        _numbers(figure.add_subplot(specs[column]), array, title, frame)
    figure.suptitle(_sum(windows[corner], weights, output[at]), fontsize=9)
    return finish(figure, path)


def _sum(window: np.ndarray, weights: np.ndarray, result: float) -> str:
    """The products that add up to one output, zero weights left out."""
    terms = [
        f"{_signed(weight)}·{_signed(value)}"
        for weight, value in zip(weights.ravel(), window.ravel(), strict=True)
        if weight
    ]
    return f"{' + '.join(terms) if len(terms) <= 9 else 'Σ kernel · window'} = {result:g}"


def _signed(value: float) -> str:
    return f"({value:g})" if value < 0 else f"{value:g}"


def _numbers(axes: Any, array: np.ndarray, title: str, frame: Any) -> None:
    """A plane of numbers, and a frame round some of them."""
    from matplotlib.patches import Rectangle

    bare(axes)
    axes.imshow(array, cmap="Greys", alpha=0.35)
    axes.set_title(title, fontsize=9)
    axes.set_xticks(np.arange(array.shape[1] - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(array.shape[0] - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="#bbbbbb", linewidth=0.6)
    axes.tick_params(which="minor", length=0)
    for (row, column), value in np.ndenumerate(array):
        axes.text(column, row, f"{value:.3g}", ha="center", va="center", fontsize=9)
    if frame:
        (top, left), (rows, columns) = frame
        axes.add_patch(
            Rectangle(
                (left - 0.5, top - 0.5),
                columns,
                rows,
                fill=False,
                edgecolor="#c0392b",
                linewidth=2.5,
                zorder=5,  # over the lines between the cells
            )
        )
