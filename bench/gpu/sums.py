"""Rows that read along axes: sums, means, maxima, softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import place
from .case import Case, Rows, against, gradient, here, normals, row, torch_here
from .memory import image_batch, matrix, vector

ROWS: Rows = {}


def reduction(name: str, x: np.ndarray, dim: Any, bound: float = 1e-6) -> Case:
    """x is read once. One is added, so that sums do not vanish."""
    import torch

    from neurona.backends import cuda

    x = x + 1
    ours, theirs = here(x), torch_here(x)
    if x.ndim == 4:
        theirs = theirs.to(memory_format=torch.channels_last)
    call, peer = getattr(cuda, name), getattr(torch, name)
    if dim is None:
        return against(lambda: call(ours), lambda: peer(theirs), 4.0 * x.size, bound)
    return against(
        lambda: call(ours, dim), lambda: tuple_of(peer(theirs, dim)), 4.0 * x.size, bound
    )


def tuple_of(result: Any) -> Any:
    """PyTorch's named tuples as plain ones."""
    return tuple(result) if isinstance(result, tuple) else result


row(ROWS, "sum_64M")(lambda: reduction("sum", vector(), None))
row(ROWS, "max_64M")(lambda: reduction("max", vector(), None, 0.0))
row(ROWS, "sum_of_rows_65536x1024")(lambda: reduction("sum", matrix(), 1))
row(ROWS, "sum_of_columns_65536x1024")(lambda: reduction("sum", matrix(), 0))
row(ROWS, "mean_of_channels_64x64x112x112")(lambda: reduction("mean", image_batch(), (0, 2, 3)))
row(ROWS, "max_of_rows_65536x1024")(lambda: reduction("max", matrix(), 1, 0.0))
row(ROWS, "max_of_columns_65536x1024")(lambda: reduction("max", matrix(), 0, 0.0))


def softmax(name: str, rows: int, classes: int, backward: bool) -> Case:
    """Along the rows: x is read and y written; backward reads dy and y."""
    import torch

    from neurona.backends import cuda

    x = normals(place.size(rows, 23), place.size(classes, 50))
    function = getattr(torch, name)
    ours, theirs = here(x), torch_here(x)
    forward, call = getattr(cuda, f"{name}_forward"), getattr(cuda, f"{name}_backward")
    if not backward:
        return against(lambda: forward(ours, 1), lambda: function(theirs, 1), 8.0 * x.size, 1e-5)
    y, dy = forward(ours, 1), normals(*x.shape[::-1]).reshape(x.shape)
    our_dy = here(dy)
    theirs_backward = gradient(lambda x: function(x, 1), torch_here(dy), theirs)
    return against(lambda: call(our_dy, y, 1), theirs_backward, 12.0 * x.size, 1e-5)


for _name in ("softmax", "log_softmax"):
    for _rows, _classes in ((65536, 1000), (4194304, 10), (2048, 32768)):
        for _ending, _backward in (("", False), ("_backward", True)):
            row(ROWS, f"{_name}{_ending}_{_rows}x{_classes}")(
                lambda n=_name, r=_rows, c=_classes, b=_backward: softmax(n, r, c, b)
            )


@row(ROWS, "softmax_of_channels_16x21x256x256")
def softmax_of_channels() -> Case:
    """The classes of every pixel, as a network of segmentation gives them: contiguous images."""
    import torch

    from neurona.backends import cuda

    n, c, size = place.size(16, 2), 21, place.size(256, 9)
    x = normals(n, c, size, size)
    ours, theirs = here(x), torch_here(x)
    return against(
        lambda: cuda.softmax_forward(ours, 1), lambda: torch.softmax(theirs, 1), 8.0 * x.size, 1e-5
    )
