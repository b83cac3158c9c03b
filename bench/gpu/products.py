"""Rows of matrix products: square, skinny, and with what follows them in a layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import place
from .case import (
    Case,
    Rows,
    here,
    normals,
    on_host,
    precision,
    relative,
    row,
    torch_here,
    with_packed,
)

ROWS: Rows = {}

# Relative Frobenius errors that each precision may have. In float32 a sum is one chain, whose error
# grows like the root of its length: 1.4e-6 at 8192, computed on these numbers.
BOUNDS = {"highest": 4e-6, "high": 1e-3, "medium": 1e-2}


def torch_operands(name: str, *arrays: np.ndarray) -> list[Any]:
    """PyTorch's, in bfloat16 where it computes in that."""
    tensors = [torch_here(array) for array in arrays]
    return [tensor.bfloat16() for tensor in tensors] if name == "medium" else tensors


def gemm(m: int, n: int, k: int, name: str, transposed: bool = False) -> Case:
    """C = A B against torch.matmul at the same precision; B may lie along k, as weights do."""
    import torch

    from neurona.backends import cuda

    # A rehearsal's matrices are large enough for the kernels of few rows, or of a short depth.
    small, apart = (1480, 4) if k <= 16 else (740, 4) if min(m, n) <= 16 else (70, 1)
    m, n, k = (place.size(size, small + apart * i) for i, size in enumerate((m, n, k)))
    a, b = normals(m, k), normals(n, k)
    if not transposed:
        b = b.T.copy()
    ours_a, ours_b = here(a), here(b)
    theirs_a, theirs_b = torch_operands(name, a, b)
    if transposed:
        theirs_b = theirs_b.T
    precision(name)
    rows = np.arange(0, m, max(m // 64, 1))
    exact = a[rows].astype(np.float64) @ (b.T if transposed else b)
    got = cuda.gemm(ours_a, ours_b, trans_b=transposed).numpy()[rows]
    works = with_packed(name, lambda: cuda.gemm(ours_a, ours_b, trans_b=transposed))
    works["torch"] = lambda: torch.matmul(theirs_a, theirs_b)
    note = f"torch.matmul, allow_tf32={torch.backends.cuda.matmul.allow_tf32}, {theirs_a.dtype}"
    moved = 4.0 * (m * k + k * n + m * n)
    return Case(works, 2.0 * m * n * k, moved, relative(got, exact), BOUNDS[name], note)


for _n in (8192, 4096, 2048, 1024):
    for _precision in BOUNDS:
        row(ROWS, f"gemm_{_n}_{_precision}")(lambda n=_n, p=_precision: gemm(n, n, n, p))
# Few rows: the matrix is read once, and nothing else counts. It lies across k, and along it; and it
# is the left operand.
for _m in (1, 16, 128):
    row(ROWS, f"gemm_{_m}x8192x8192_highest")(lambda m=_m: gemm(m, 8192, 8192, "highest"))
    row(ROWS, f"gemm_{_m}x8192x8192_transposed_highest")(
        lambda m=_m: gemm(m, 8192, 8192, "highest", transposed=True)
    )
for _n in (1, 16):
    row(ROWS, f"gemm_8192x{_n}x8192_highest")(lambda n=_n: gemm(8192, n, 8192, "highest"))
# A short depth: the result is written once.
for _k in (1, 16):
    row(ROWS, f"gemm_8192x8192x{_k}_highest")(lambda k=_k: gemm(8192, 8192, k, "highest"))


def linear(direction: str, name: str) -> Case:
    """The passes of a layer of 4096 neurons for 8192 rows, with bias and ReLU, or its gradients."""
    import torch

    from neurona.backends import cuda

    rows, width = place.size(8192, 33), place.size(4096, 40)
    x, dy = normals(rows, width), normals(rows, width)[::-1].copy()
    weight, bias = normals(width, width)[::-1].copy(), normals(width)
    ours = [here(v) for v in (x, dy, weight, bias)]
    tx, tdy, tw, tb = torch_operands(name, x, dy, weight, bias)
    precision(name)
    functional = torch.nn.functional
    works: dict[str, Any] = {
        "forward": {
            "neurona": lambda: cuda.linear_forward(ours[0], ours[2], ours[3], activation="relu"),
            "torch": lambda: torch.relu(functional.linear(tx, tw, tb)),
            "torch_fused": lambda: torch._addmm_activation(tb, tx, tw.t()),
        },
        "backward_data": {
            "neurona": lambda: cuda.linear_backward_data(ours[1], ours[2]),
            "torch": lambda: torch.mm(tdy, tw),
        },
        "backward_weight": {
            "neurona": lambda: cuda.linear_backward_weight(ours[1], ours[0]),
            "torch": lambda: (torch.mm(tdy.t(), tx), tdy.sum(0)),
        },
    }[direction]
    if direction == "backward_weight":
        # With the bias gradient, which the first result does not show.
        got, exact = cuda.linear_backward_weight(ours[1], ours[0])[1].numpy(), dy.sum(0, np.float64)
        assert relative(got, exact) < 1e-5
        exact = dy.T[:64].astype(np.float64) @ x
        result = works["neurona"]()[0].numpy()[:64]
    elif direction == "forward":
        exact = np.maximum(x[:64].astype(np.float64) @ weight.T + bias, 0)
        result = works["neurona"]().numpy()[:64]
    else:
        exact = dy[:64].astype(np.float64) @ weight
        result = works["neurona"]().numpy()[:64]
    error = relative(result, exact)
    moved = 4.0 * (2 * x.size + weight.size)
    return Case(works, 2.0 * rows * width**2, moved, error, BOUNDS[name], f"{tx.dtype}")


@row(ROWS, "linear_backward_128x400x120_highest")
def gradients() -> Case:
    """Of all that a small layer has, and of the ReLU before it: PyTorch's are four kernels."""
    import torch

    from neurona.backends import cuda

    rows, wide, out = 128, place.size(400, 40), place.size(120, 24)
    precision("highest")
    x, dy = np.maximum(normals(rows, wide), 0), normals(rows, out)
    weight = normals(out, wide)
    ours = [here(v) for v in (dy, x, weight)]
    tdy, tx, tw = torch_operands("highest", dy, x, weight)
    works = {
        "neurona": lambda: cuda.linear_backward(*ours, rectified=True),
        "torch": lambda: (torch.mm(tdy, tw).mul_(tx > 0), torch.mm(tdy.t(), tx), tdy.sum(0)),
    }
    exact = (dy.astype(np.float64) @ weight * (x > 0), dy.T.astype(np.float64) @ x, dy.sum(0))
    found = works["neurona"]()
    error = max(relative(got.numpy(), want) for got, want in zip(found, exact, strict=True))
    moved = 4.0 * (2 * x.size + dy.size + 2 * weight.size + out)
    return Case(works, 4.0 * rows * wide * out, moved, error, BOUNDS["highest"])


for _direction in ("forward", "backward_data", "backward_weight"):
    for _precision in BOUNDS:
        row(ROWS, f"linear_relu_8192x4096_{_direction}_{_precision}")(
            lambda d=_direction, p=_precision: linear(d, p)
        )


def distances(name: str) -> Case:
    """All pairs of two sets of rows; neurona sums them in float64, and so does PyTorch here."""
    import torch

    from neurona.backends import cuda

    count, width = place.size(8192, 30), place.size(128, 9)
    x, y = normals(count, width), normals(count + 1, width)[1:]
    ours, theirs = [here(x), here(y)], [torch_here(v) for v in (x, y)]
    order = {"l1": 1.0, "l2": 2.0}[name]

    def peer() -> Any:
        return torch.cdist(
            *[v.double() for v in theirs], p=order,
            compute_mode="donot_use_mm_for_euclid_dist",
        )  # fmt: skip

    works = {
        "neurona": lambda: cuda.pairwise_distances(*ours, distance=name),
        "torch": peer,
    }
    error = relative(works["neurona"]().numpy(), on_host(works["torch"]()))
    moved = 8.0 * count**2 + 8.0 * count * width
    return Case(works, 3.0 * count**2 * width, moved, error, 1e-6, "in float64")


for _name in ("l1", "l2"):
    row(ROWS, f"distances_{_name}_8192x8192x128")(lambda n=_name: distances(n))
