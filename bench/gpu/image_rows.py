"""Rows of what networks do to images besides convolving them: batch norm, pooling, resampling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import place
from .case import (
    Case,
    Rows,
    against,
    gradient,
    here,
    images,
    in_both_layouts,
    normals,
    row,
    torch_here,
)
from .timing import Work

ROWS: Rows = {}
Put = Callable[[np.ndarray], Any]


def batch(n: int, c: int, size: int) -> np.ndarray:
    """Images; in a rehearsal few, small ones."""
    return images(place.size(n, 2), place.size(c, 12), place.size(size, 14), place.size(size, 14))


def upstream(shape: tuple[int, ...]) -> np.ndarray:
    """The gradient of a result of this shape; not the numbers that the images have."""
    n, c, h, w = shape
    return images(n + 1, c, h, w)[1:]


# -- Batch norm -----------------------------------------------------------------------------------


def batch_norm(size: tuple[int, int, int], relu: bool, backward: bool) -> Case:
    """Training, with weight and bias: x is read twice, and so is dy (and y where a ReLU was)."""
    import torch

    from neurona.backends import cuda

    x = batch(*size)
    dy, channels = upstream(x.shape), x.shape[1]
    weight, bias = np.abs(normals(channels)) + 0.5, normals(channels)[::-1].copy()
    ours = [here(v) for v in (x, weight, bias)]

    def forward() -> Any:
        return cuda.batch_norm_forward(*ours, None, None, training=True, relu=relu)

    def norm(x: Any, weight: Any, bias: Any) -> Any:
        y = torch.nn.functional.batch_norm(x, None, None, weight, bias, training=True)
        return torch.relu(y) if relu else y

    if not backward:

        def theirs(put: Put) -> Work:
            inputs = [put(v) for v in (x, weight, bias)]
            return lambda: norm(*inputs)

        return in_both_layouts(forward, theirs, 12.0 * x.size, 1e-5)

    y, mean, invstd = forward()
    our_dy, gate = here(dy), {"y": y} if relu else {}

    def our_backward() -> Any:
        return cuda.batch_norm_backward(
            our_dy, ours[0], ours[1], mean, invstd, training=True, **gate
        )

    moved = (28.0 if relu else 20.0) * x.size
    return in_both_layouts(
        our_backward,
        lambda put: gradient(norm, put(dy), *[put(v) for v in (x, weight, bias)]),
        moved, 1e-4,
    )  # fmt: skip


for _label, _size in (("64x64x112x112", (64, 64, 112)), ("128x512x14x14", (128, 512, 14))):
    for _relu in (False, True):
        for _backward in (False, True):
            _ending = "_relu" * _relu + "_backward" * _backward
            row(ROWS, f"batch_norm{_ending}_{_label}")(
                lambda s=_size, r=_relu, b=_backward: batch_norm(s, r, b)
            )

# -- Pooling --------------------------------------------------------------------------------------


def max_pool(kernel: int, stride: int, padding: int, backward: bool) -> Case:
    """With the winners' places, a byte each."""
    import torch

    from neurona.backends import cuda

    x = batch(32, 64, 112)
    options = {"stride": stride, "padding": padding}
    ours = here(x)
    y, offsets = cuda.max_pool2d_forward(ours, kernel, **options)
    moved = 4.0 * x.size + 5.0 * y.size

    def pool(x: Any) -> Any:
        return torch.nn.functional.max_pool2d(x, kernel, stride, padding, return_indices=True)

    if not backward:

        def theirs(put: Put) -> Work:
            tensor = put(x)
            return lambda: pool(tensor)

        return in_both_layouts(
            lambda: cuda.max_pool2d_forward(ours, kernel, **options), theirs, moved
        )
    dy = upstream(y.shape)
    our_dy = here(dy)
    return in_both_layouts(
        lambda: cuda.max_pool2d_backward(our_dy, offsets, x.shape[2:], kernel, **options),
        lambda put: gradient(lambda x: pool(x)[0], put(dy), put(x)),
        moved,
    )


for _label, _window in (("3x3s2", (3, 2, 1)), ("2x2", (2, 2, 0))):
    for _ending, _backward in (("", False), ("_backward", True)):
        row(ROWS, f"max_pool_{_label}{_ending}_32x64x112x112")(
            lambda w=_window, b=_backward: max_pool(*w, b)
        )


def average_pool(kernel: int | None, backward: bool) -> Case:
    """Of squares without overlap, or None: of whole images."""
    import torch

    from neurona.backends import cuda

    x = batch(32, 64, 112) if kernel else batch(256, 2048, 14)
    functional = torch.nn.functional
    ours = here(x)

    def pool(x: Any) -> Any:
        if kernel is None:
            return functional.adaptive_avg_pool2d(x, 1)
        return functional.avg_pool2d(x, kernel)

    def forward() -> Any:
        if kernel is None:
            return cuda.adaptive_avg_pool2d_forward(ours, 1)
        return cuda.avg_pool2d_forward(ours, kernel)

    y = forward()
    moved = 4.0 * (x.size + y.size)
    if not backward:

        def theirs(put: Put) -> Work:
            tensor = put(x)
            return lambda: pool(tensor)

        return in_both_layouts(forward, theirs, moved)
    dy, size = upstream(y.shape), x.shape[2:]
    our_dy = here(dy)

    def our_backward() -> Any:
        if kernel is None:
            return cuda.adaptive_avg_pool2d_backward(our_dy, size)
        return cuda.avg_pool2d_backward(our_dy, size, kernel)

    return in_both_layouts(our_backward, lambda put: gradient(pool, put(dy), put(x)), moved)


for _label, _kernel in (("2x2_32x64x112x112", 2), ("global_256x2048x14x14", None)):
    for _ending, _backward in (("", False), ("_backward", True)):
        row(ROWS, f"avg_pool{_ending}_{_label}")(lambda k=_kernel, b=_backward: average_pool(k, b))

# -- Resampling -----------------------------------------------------------------------------------


def upsample(mode: str, backward: bool) -> Case:
    """To twice the size, corners not aligned."""
    import torch

    from neurona.backends import cuda
    from neurona.bench.peers.inputs import upsample_taps

    x = batch(32, 64, 56)
    size, bound = x.shape[2:], 1e-6
    rows, columns = (upsample_taps(length, 2, mode) for length in size)

    def enlarged(x: Any) -> Any:
        return torch.nn.functional.interpolate(x, scale_factor=2, mode=mode)

    ours, moved = here(x), 20.0 * x.size
    if not backward:

        def theirs(put: Put) -> Work:
            tensor = put(x)
            return lambda: enlarged(tensor)

        return in_both_layouts(
            lambda: cuda.resample2d_forward(ours, rows, columns), theirs, moved, bound
        )
    dy = upstream((*x.shape[:2], 2 * size[0], 2 * size[1]))
    our_dy = here(dy)
    return in_both_layouts(
        lambda: cuda.resample2d_backward(our_dy, rows, columns, size),
        lambda put: gradient(enlarged, put(dy), put(x)),
        moved, bound,
    )  # fmt: skip


for _mode in ("nearest", "bilinear"):
    for _ending, _backward in (("", False), ("_backward", True)):
        row(ROWS, f"upsample_{_mode}{_ending}_32x64x56x56")(
            lambda m=_mode, b=_backward: upsample(m, b)
        )


def unpool(backward: bool) -> Case:
    """Maxima back to their places in squares of 2 x 2; PyTorch has it in C order."""
    import torch

    from neurona.backends import cuda

    x = batch(32, 64, 112)
    y, offsets = cuda.max_pool2d_forward(here(x), 2)
    indices = cuda.pool2d_indices(offsets, x.shape[2:], 2)
    values, their_indices = torch_here(y.numpy()), torch_here(indices.numpy())

    def put_back(values: Any) -> Any:
        return torch.nn.functional.max_unpool2d(values, their_indices, 2)

    if not backward:
        return against(
            lambda: cuda.max_unpool2d_forward(y, indices, x.shape[2:]),
            lambda: put_back(values), 12.0 * y.size + 4.0 * x.size,
        )  # fmt: skip
    dy = upstream(x.shape)
    our_dy = here(dy)
    return against(
        lambda: cuda.max_unpool2d_backward(our_dy, indices),
        gradient(put_back, torch_here(dy), values), 16.0 * y.size,
    )  # fmt: skip


row(ROWS, "max_unpool_2x2_32x64x112x112")(lambda: unpool(False))
row(ROWS, "max_unpool_2x2_backward_32x64x112x112")(lambda: unpool(True))


@row(ROWS, "affine_1024x3x128x128")
def affine() -> Case:
    """Every image turned, scaled and moved by its own matrix."""
    import torch

    from neurona.backends import cuda

    n, c, size = place.size(1024, 3), 3, place.size(128, 16)
    x = normals(n, c, size, size)
    matrices = 0.2 * normals(n, 2, 3) + np.eye(2, 3, dtype=np.float32)
    # grid_sample's coordinates run from -1 to 1 between the middles of the outer pixels.
    theta = matrices.copy()
    theta[:, :, 2] *= 2 / (size - 1)
    ours, our_matrices = here(x), here(matrices)
    theirs, their_theta = torch_here(x), torch_here(theta)

    def peer() -> Any:
        grid = torch.nn.functional.affine_grid(their_theta, x.shape, align_corners=True)
        return torch.nn.functional.grid_sample(theirs, grid, align_corners=True)

    return against(lambda: cuda.affine_sample(ours, our_matrices), peer, 8.0 * x.size, 1e-4)
