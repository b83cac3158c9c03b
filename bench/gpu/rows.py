"""What is timed on a GPU: each row verifies itself before it is timed.

A row is a function that gives the works to time, "neurona" and its peers, what they compute in
flops and bytes, and the error of neurona's result beside its bound.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import place
from .timing import Work


class Case(NamedTuple):
    """A row, ready to be timed."""

    works: dict[str, Work]
    flops: float
    bytes: float
    error: float
    bound: float
    note: str = ""


ROWS: dict[str, Callable[[], Case]] = {}


def row(name: str) -> Callable[[Callable[[], Case]], Callable[[], Case]]:
    """Enter a function into the list."""

    def enter(make: Callable[[], Case]) -> Callable[[], Case]:
        ROWS[name] = make
        return make

    return enter


def normals(*shape: int) -> np.ndarray:
    """Random numbers: products of zeros draw less power and run faster."""
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


def here(array: np.ndarray) -> Any:
    """On the device, for neurona."""
    from neurona.backends import DeviceArray

    return DeviceArray.from_host(array)


def torch_here(array: np.ndarray) -> Any:
    """On the device, for PyTorch."""
    import torch

    return torch.from_numpy(array).to(place.torch_device())


def relative(got: np.ndarray, exact: np.ndarray) -> float:
    """Frobenius error as a part of the exact result's norm."""
    return float(np.linalg.norm(got - exact) / np.linalg.norm(exact))


# -- Products -------------------------------------------------------------------------------------

# Relative Frobenius errors that each precision may have.
BOUNDS = {"highest": 1e-6, "high": 1e-3, "medium": 1e-2}


def gemm(n: int, precision: str) -> Case:
    """C = A B, n x n each, against torch.matmul at the same precision."""
    import torch

    from neurona.backends import cuda

    n = place.size(n, 70)
    a, b = normals(n, n), normals(n, n).T.copy()
    ours_a, ours_b = here(a), here(b)
    theirs_a, theirs_b = torch_here(a), torch_here(b)
    if precision == "medium":
        theirs_a, theirs_b = theirs_a.bfloat16(), theirs_b.bfloat16()
    torch.backends.cuda.matmul.allow_tf32 = precision == "high"
    cuda.extension().set_product_precision(precision)
    rows = np.arange(0, n, max(n // 64, 1))
    exact = a[rows].astype(np.float64) @ b
    got = cuda.gemm(ours_a, ours_b).numpy()[rows]
    works = {
        "neurona": lambda: cuda.gemm(ours_a, ours_b),
        "torch": lambda: torch.matmul(theirs_a, theirs_b),
    }
    note = f"torch.matmul, allow_tf32={torch.backends.cuda.matmul.allow_tf32}, {theirs_a.dtype}"
    return Case(works, 2.0 * n**3, 12.0 * n**2, relative(got, exact), BOUNDS[precision], note)


for _n in (1024, 2048, 4096, 8192):
    for _precision in BOUNDS:
        row(f"gemm_{_n}_{_precision}")(lambda n=_n, p=_precision: gemm(n, p))

# -- Convolutions ---------------------------------------------------------------------------------

# name: N, C, H, W, K, R, stride, padding
CONVOLUTIONS = {
    "lenet_c1": (128, 1, 28, 28, 6, 5, 1, 2),
    "stem7x7": (32, 3, 224, 224, 64, 7, 2, 3),
    "res2_3x3": (32, 64, 56, 56, 64, 3, 1, 1),
    "res3_3x3": (32, 128, 28, 28, 128, 3, 1, 1),
    "res4_3x3": (32, 256, 14, 14, 256, 3, 1, 1),
    "res5_3x3": (32, 512, 7, 7, 512, 3, 1, 1),
    "res3_down": (32, 64, 56, 56, 128, 3, 2, 1),
    "res2_1x1": (32, 64, 56, 56, 256, 1, 1, 0),
}


def convolution(name: str, direction: str, precision: str) -> Case:
    """One pass against cuDNN through PyTorch, in both memory formats."""
    import torch

    from neurona.backends import cuda

    n, c, h, w, k, r, stride, padding = CONVOLUTIONS[name]
    n, h, w = place.size(n, 2), place.size(h, 14), place.size(w, 14)
    c, k = place.size(c, 20), place.size(k, 20)
    p = (h + 2 * padding - r) // stride + 1
    x = np.moveaxis(normals(n, h, w, c), -1, 1)
    dy = np.moveaxis(normals(n, p, p, k), -1, 1)
    weight = normals(k, c, r, r)
    geometry = {"stride": stride, "padding": padding}
    ours = {"x": here(x), "dy": here(dy), "weight": here(weight)}
    calls = {
        "forward": lambda: cuda.conv2d_forward(ours["x"], ours["weight"], **geometry),
        "backward_data": lambda: cuda.conv2d_backward_data(
            ours["dy"], ours["weight"], (h, w), **geometry
        ),
        "backward_weight": lambda: cuda.conv2d_backward_weight(
            ours["dy"], ours["x"], (r, r), with_bias=False, **geometry
        )[0],
    }
    cuda.extension().set_product_precision(precision)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = precision == "high"
    works: dict[str, Work] = {"neurona": calls[direction]}
    mask = (direction == "backward_data", direction == "backward_weight", False)
    for label, form in (("torch", torch.contiguous_format), ("torch_nhwc", torch.channels_last)):
        tx, tdy, tw = (
            torch_here(np.ascontiguousarray(v)).to(memory_format=form) for v in (x, dy, weight)
        )
        if direction == "forward":
            works[label] = lambda x=tx, w=tw: torch.conv2d(x, w, None, stride, padding)
        else:
            works[label] = lambda x=tx, w=tw, d=tdy: torch.ops.aten.convolution_backward(
                d, x, w, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, mask
            )[mask.index(True)]
    torch.backends.cudnn.allow_tf32 = False
    exact = works["torch"]().double().cpu().numpy()
    torch.backends.cudnn.allow_tf32 = precision == "high"
    flops = 2.0 * n * p * p * k * c * r * r
    size = 4.0 * (x.size + dy.size + weight.size)
    note = f"cuDNN, benchmark=True, allow_tf32={torch.backends.cudnn.allow_tf32}"
    error = relative(calls[direction]().numpy(), exact)
    return Case(works, flops, size, error, max(BOUNDS[precision], 1e-5), note)


for _name in CONVOLUTIONS:
    for _direction in ("forward", "backward_data", "backward_weight"):
        for _precision in ("highest", "high"):
            row(f"{_name}_{_direction}_{_precision}")(
                lambda a=_name, d=_direction, p=_precision: convolution(a, d, p)
            )

# -- Memory-bound ops -----------------------------------------------------------------------------


def against(ours: Work, theirs: Work, bytes_moved: float, bound: float = 1e-6) -> Case:
    """A case whose peer's result is the truth."""

    def first(result: Any) -> Any:
        return result[0] if isinstance(result, tuple) else result

    exact = first(theirs()).double().cpu().numpy()
    error = relative(first(ours()).numpy(), exact)
    return Case({"neurona": ours, "torch": theirs}, 0.0, bytes_moved, error, bound)


@row("copy_256MB")
def copy() -> Case:
    """The bandwidth that the others are shares of."""
    x = normals(place.size(1 << 26, 5000))
    ours, theirs = here(x), torch_here(x)
    return against(lambda: ours.copy(), lambda: theirs.clone(), 8.0 * x.size)


@row("relu_64M")
def relu() -> Case:
    """Read and write."""
    import torch

    from neurona.backends import cuda

    x = normals(place.size(1 << 26, 5000))
    ours, theirs = here(x), torch_here(x)
    return against(lambda: cuda.relu_forward(ours), lambda: torch.relu(theirs), 8.0 * x.size)


@row("sum_64M")
def total() -> Case:
    """Read only."""
    from neurona.backends import cuda

    x = normals(place.size(1 << 26, 5000)) + 1
    ours, theirs = here(x), torch_here(x)
    return against(lambda: cuda.sum(ours), lambda: theirs.sum(), 4.0 * x.size)


@row("cross_entropy_65536x1000")
def cross_entropy() -> Case:
    """Loss and gradient."""
    import torch

    from neurona.backends import cuda

    rows, classes = place.size(65536, 20), place.size(1000, 50)
    x, y = normals(rows, classes), np.arange(rows) % classes
    ours, labels = here(x), here(y)
    theirs, their_labels = torch_here(x).requires_grad_(), torch_here(y)

    def step() -> Any:
        loss = torch.nn.functional.cross_entropy(theirs, their_labels)
        (gradient,) = torch.autograd.grad(loss, theirs)
        return gradient

    return against(lambda: cuda.cross_entropy_forward(ours, labels)[1], step, 8.0 * x.size, 1e-5)


@row("batch_norm_64x64x56x56")
def batch_norm() -> Case:
    """Training, forward: x is read twice."""
    import torch

    from neurona.backends import cuda

    x = np.moveaxis(normals(place.size(64, 2), 56, 56, place.size(64, 5)), -1, 1)
    ours = here(x)
    theirs = torch_here(np.ascontiguousarray(x)).to(memory_format=torch.channels_last)
    return against(
        lambda: cuda.batch_norm_forward(ours, None, None, None, None, training=True),
        lambda: torch.nn.functional.batch_norm(theirs, None, None, training=True),
        12.0 * x.size,
        1e-5,
    )


@row("max_pool_32x64x112x112")
def max_pool() -> Case:
    """3x3, stride 2, with the winners' places."""
    import torch

    from neurona.backends import cuda

    x = np.moveaxis(normals(place.size(32, 1), 112, 112, place.size(64, 3)), -1, 1)
    ours = here(x)
    theirs = torch_here(np.ascontiguousarray(x)).to(memory_format=torch.channels_last)
    return against(
        lambda: cuda.max_pool2d_forward(ours, 3, stride=2, padding=1),
        lambda: torch.nn.functional.max_pool2d(theirs, 3, 2, 1, return_indices=True),
        5.25 * x.size,
    )


@row("adam_16M")
def adam() -> Case:
    """One step over 16 tensors of a million elements."""
    import torch

    from neurona.backends import cuda

    count = place.size(1 << 20, 1000)
    values = [normals(count) for _ in range(16)]
    ours = [[here(v * s) for v in values] for s in (1.0, 0.1, 0.0, 0.0)]
    theirs = [torch_here(v).requires_grad_() for v in values]
    for parameter, value in zip(theirs, values, strict=True):
        parameter.grad = torch_here(0.1 * value)
    optimizer = torch.optim.Adam(theirs, fused=True, capturable=not place.rehearsal)
    step = iter(range(1, 1 << 30))
    options = {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}

    def our_step() -> Any:
        cuda.adam_step(*ours, step=next(step), **options)
        return ours[0][0]

    def their_step() -> Any:
        optimizer.step()
        return theirs[0].detach()

    return against(our_step, their_step, 28.0 * 16 * count)
