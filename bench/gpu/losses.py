"""Rows of losses, each with the gradient of its input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import place
from .case import Case, Rows, here, normals, on_host, relative, row, torch_here, with_compiled
from .timing import Work

ROWS: Rows = {}


def loss_case(
    ours: Work, loss: Callable[..., Any], x: np.ndarray, *others: np.ndarray,
    bytes_moved: float, bound: float = 1e-5,
) -> Case:  # fmt: skip
    """Loss and gradient against autograd, as it is and compiled; both results are compared."""
    import torch

    theirs, constants = torch_here(x).requires_grad_(), [torch_here(v) for v in others]

    def make(function: Callable[..., Any]) -> Work:
        def step() -> Any:
            value = function(theirs, *constants)
            (gradient,) = torch.autograd.grad(value, theirs)
            return value, gradient

        return step

    works = {"neurona": ours, **with_compiled(loss, make)}
    value, exact_gradient = works["torch"]()
    our_value, our_gradient = ours()[:2]
    error = max(
        relative(our_value.numpy(), on_host(value)),
        relative(our_gradient.numpy(), on_host(exact_gradient)),
    )
    return Case(works, 0.0, bytes_moved, error, bound)


def cross_entropy(rows: int, classes: int, **options: float) -> Case:
    """x is read, its gradient written."""
    import torch

    from neurona.backends import cuda

    rows, classes = place.size(rows, 20), place.size(classes, 50)
    x, y = normals(rows, classes), np.arange(rows) % classes
    ours, labels = here(x), here(y)
    return loss_case(
        lambda: cuda.cross_entropy_forward(ours, labels, **options),
        lambda x, y: torch.nn.functional.cross_entropy(x, y, **options),
        x, y, bytes_moved=8.0 * x.size,
    )  # fmt: skip


row(ROWS, "cross_entropy_65536x1000")(lambda: cross_entropy(65536, 1000))
row(ROWS, "cross_entropy_4194304x10")(lambda: cross_entropy(4194304, 10))
row(ROWS, "cross_entropy_2048x32768")(lambda: cross_entropy(2048, 32768))
row(ROWS, "cross_entropy_smoothed_65536x1000")(
    lambda: cross_entropy(65536, 1000, label_smoothing=0.1)
)


def focal() -> Case:
    """-(1 - p)^2 log p of the right class."""
    import torch

    from neurona.backends import cuda

    rows, classes = place.size(1 << 20, 20), place.size(100, 9)
    x, y = normals(rows, classes), np.arange(rows) % classes
    ours, labels = here(x), here(y)

    def loss(x: Any, y: Any) -> Any:
        log_p = torch.log_softmax(x, 1).gather(1, y[:, None])[:, 0]
        return -((1 - log_p.exp()) ** 2 * log_p).mean()

    return loss_case(
        lambda: cuda.focal_loss_forward(ours, labels, gamma=2.0), loss, x, y,
        bytes_moved=8.0 * x.size,
    )  # fmt: skip


row(ROWS, "focal_1048576x100")(focal)


def torch_losses() -> dict[str, Callable[..., Any]]:
    """PyTorch's counterparts, of means."""
    import torch

    functional = torch.nn.functional
    return {
        "mse": functional.mse_loss,
        "l1": functional.l1_loss,
        "smooth_l1": functional.smooth_l1_loss,
        "huber": functional.huber_loss,
        "hinge": lambda x, t: torch.clamp(1 - t * x, min=0).mean(),
        "bce": functional.binary_cross_entropy,
        "bce_with_logits": functional.binary_cross_entropy_with_logits,
        "kl_div": lambda x, t: functional.kl_div(x, t, reduction="mean"),
        "kl_div_log": lambda x, t: functional.kl_div(x, t, reduction="mean", log_target=True),
    }


POINTWISE = (
    "mse", "l1", "smooth_l1", "huber", "hinge", "bce", "bce_with_logits", "kl_div", "kl_div_log",
)  # fmt: skip


def pointwise(name: str) -> Case:
    """x and the target are read, the gradient is written."""
    from neurona.backends import cuda

    count = place.size(1 << 25, 5003)
    x, other = 2 * normals(count), normals(count)[::-1].copy()
    probability = 1 / (1 + np.exp(-other))
    target = {
        "hinge": np.sign(other),
        "bce": probability,
        "bce_with_logits": probability,
        "kl_div": probability,
        "kl_div_log": np.log(probability),
    }.get(name, other)
    if name == "bce":
        x = 1 / (1 + np.exp(-x))
    x, target = x.astype(np.float32), target.astype(np.float32)
    ours = [here(x), here(target)]
    return loss_case(
        lambda: cuda.pointwise_loss_forward(*ours, name), torch_losses()[name], x, target,
        bytes_moved=12.0 * count,
    )  # fmt: skip


for _name in POINTWISE:
    row(ROWS, f"{_name}_loss_32M")(lambda n=_name: pointwise(n))
