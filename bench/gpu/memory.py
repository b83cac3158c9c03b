"""Rows that only move memory: copies, element-wise ops, broadcasts, random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import place
from .case import Case, Rows, against, gradient, here, images, normals, relative, row, torch_here

ROWS: Rows = {}


def vector() -> np.ndarray:
    """256 MB, far beyond the caches."""
    return normals(place.size(1 << 26, 5003))


def matrix() -> np.ndarray:
    """256 MB in rows of 1024."""
    return normals(place.size(1 << 16, 37), place.size(1024, 36))


@row(ROWS, "copy_256MB")
def copy() -> Case:
    """The bandwidth that the others are shares of."""
    x = vector()
    ours, theirs = here(x), torch_here(x)
    return against(lambda: ours.copy(), lambda: theirs.clone(), 8.0 * x.size)


# name: (PyTorch's function, bound of the relative error)
ACTIVATIONS = {
    "relu": ("relu", 0.0),
    "leaky_relu": ("leaky_relu", 1e-6),
    "sigmoid": ("sigmoid", 1e-6),
    "tanh": ("tanh", 1e-6),
    "gelu": ("gelu", 1e-5),
    "silu": ("silu", 1e-6),
    "elu": ("elu", 1e-6),
    "softplus": ("softplus", 1e-6),
}
FROM_RESULT = ("relu", "sigmoid", "tanh")  # whose backward pass reads y


def activation(name: str, backward: bool) -> Case:
    """Read and write; backward reads two arrays."""
    import torch

    from neurona.backends import cuda

    peer, bound = ACTIVATIONS[name]
    function = getattr(torch, peer, None) or getattr(torch.nn.functional, peer)
    x = vector()
    ours, theirs = here(x), torch_here(x)
    forward = getattr(cuda, f"{name}_forward")
    if not backward:
        return against(lambda: forward(ours), lambda: function(theirs), 8.0 * x.size, bound)
    saved = forward(ours) if name in FROM_RESULT else ours
    dy = normals(x.size)[::-1].copy()
    our_dy, call = here(dy), getattr(cuda, f"{name}_backward")
    return against(
        lambda: call(our_dy, saved), gradient(function, torch_here(dy), theirs),
        12.0 * x.size, max(bound, 1e-6),
    )  # fmt: skip


for _name in ACTIVATIONS:
    row(ROWS, f"{_name}_64M")(lambda n=_name: activation(n, False))
    row(ROWS, f"{_name}_backward_64M")(lambda n=_name: activation(n, True))


def arithmetic(name: str, a: np.ndarray, b: np.ndarray) -> Case:
    """a op b under broadcasting: the larger one is read and written, the other read."""
    import torch

    from neurona.backends import cuda

    ours, theirs = [here(a), here(b)], [torch_here(a), torch_here(b)]
    if a.ndim == 4:
        theirs[0] = theirs[0].to(memory_format=torch.channels_last)
    call, peer = getattr(cuda, name), getattr(torch, name)
    bytes_moved = 8.0 * a.size + 4.0 * b.size
    return against(lambda: call(*ours), lambda: peer(*theirs), bytes_moved)


row(ROWS, "add_64M")(lambda: arithmetic("add", vector(), vector()[::-1].copy()))
row(ROWS, "mul_64M")(lambda: arithmetic("mul", vector(), vector()[::-1].copy()))
row(ROWS, "div_64M")(lambda: arithmetic("div", vector(), np.abs(vector()) + 1))
row(ROWS, "add_row_65536x1024")(lambda: arithmetic("add", matrix(), matrix()[:1]))
row(ROWS, "mul_column_65536x1024")(lambda: arithmetic("mul", matrix(), matrix()[:, :1].copy()))
row(ROWS, "add_channel_64x64x112x112")(
    lambda: arithmetic("add", image_batch(), normals(1, image_batch().shape[1], 1, 1))
)


@row(ROWS, "add_number_64M")
def add_number() -> Case:
    """An array and a number."""
    from neurona.backends import cuda

    x = vector()
    ours, theirs = here(x), torch_here(x)
    return against(lambda: cuda.add(ours, 1.5), lambda: theirs + 1.5, 8.0 * x.size)


def image_batch() -> np.ndarray:
    """206 MB of images of 64 channels."""
    return images(place.size(64, 2), place.size(64, 12), place.size(112, 7), place.size(112, 9))


def reorder(channels_last: bool) -> Case:
    """From one order of an image's memory to the other."""
    import torch

    from neurona.backends import cuda

    x = image_batch()
    form = torch.channels_last
    theirs = torch_here(x)
    if channels_last:
        x = np.ascontiguousarray(x)
    else:
        theirs, form = theirs.to(memory_format=form), torch.contiguous_format
    ours = here(x)
    return against(
        lambda: cuda.reorder(ours, channels_last),
        lambda: theirs.contiguous(memory_format=form),
        8.0 * x.size,
    )


row(ROWS, "reorder_to_channels_last_64x64x112x112")(lambda: reorder(True))
row(ROWS, "reorder_to_contiguous_64x64x112x112")(lambda: reorder(False))


@row(ROWS, "transposed_copy_8192x8192")
def transposed_copy() -> Case:
    """A matrix's transpose, made contiguous."""
    n = place.size(8192, 70)
    x = normals(n, n)
    ours, theirs = here(x).T, torch_here(x).t()
    return against(lambda: ours.copy(order="C"), lambda: theirs.contiguous(), 8.0 * x.size)


@row(ROWS, "dropout_64M")
def dropout() -> Case:
    """The masks differ: what is kept must be x / (1 - p), and as much as PyTorch keeps."""
    import torch

    from neurona.backends import cuda

    x, p = np.abs(vector()) + 1, 0.25
    ours, theirs = here(x), torch_here(x)
    works = {
        "neurona": lambda: cuda.dropout(ours, p, 7, 0),
        "torch": lambda: torch.nn.functional.dropout(theirs, p),
    }
    y = works["neurona"]().numpy()
    kept = y != 0
    share = float((works["torch"]() != 0).float().mean())
    # Six deviations of a share of that many draws, twice.
    strays = abs(kept.mean() - share) / (12 * np.sqrt(p * (1 - p) / x.size))
    error = max(relative(y[kept], x[kept] / (1 - p)), 1e-6 * strays)
    return Case(works, 0.0, 8.0 * x.size, float(error), 1e-6)


def random(name: str) -> Case:
    """Write only; the numbers differ, their mean and deviation do not."""
    import torch

    from neurona.backends import cuda

    count = place.size(1 << 26, 20000)
    call = getattr(cuda, f"random_{name}")
    fill = "uniform_" if name == "uniform" else "normal_"
    works: dict[str, Any] = {
        "neurona": lambda: call((count,), 7, 0),
        "torch": lambda: getattr(torch.empty(count, device=place.torch_device()), fill)(),
    }
    y, peer = works["neurona"]().numpy().astype(np.float64), works["torch"]().double()
    error = abs(y.mean() - float(peer.mean())) + abs(y.std() - float(peer.std()))
    return Case(works, 0.0, 4.0 * count, float(error), 12 / np.sqrt(count))


row(ROWS, "random_uniform_64M")(lambda: random("uniform"))
row(ROWS, "random_normal_64M")(lambda: random("normal"))
