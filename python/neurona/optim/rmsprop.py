"""RMSprop (Tieleman & Hinton 2012, lecture 6.5)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .composed import NOT_NEGATIVE, SHARE, Arrays, Batch, ComposedOptimizer, root
from .optimizer import Group


class RMSprop(ComposedOptimizer):
    """G = alpha G + (1 - alpha) g^2;  p -= lr g / (sqrt(G) + eps), the moving average of Adagrad's
    sum.

    With `eps_inside` the denominator is sqrt(G + eps). `centered` takes the variance G - m^2, m
    being the moving average of g, in place of G (Graves 2013). With `momentum` the quotient goes
    into a buffer b = momentum b + quotient, and p -= lr b. `capturable`, `foreach` and
    `differentiable` have no effect.

    >>> import neurona
    >>> from neurona import nn, optim
    >>> w = nn.Parameter(neurona.tensor([1.0]))
    >>> opt = optim.RMSprop([w], lr=0.1, alpha=0.9)
    >>> (0.5 * w * w).sum().backward()
    >>> _ = opt.step()
    >>> round(w.item(), 4)
    0.6838
    """

    _ranges = {
        **dict.fromkeys(("lr", "weight_decay", "momentum", "eps"), NOT_NEGATIVE),
        # An alpha above 1, which PyTorch accepts, would make the average negative.
        "alpha": SHARE,
    }

    def __init__(
        self,
        params: Any,
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        *,
        eps_inside: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "eps_inside": eps_inside,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: Group) -> dict[str, float]:
        names = ["square_avg"]
        names += ["momentum_buffer"] if group["momentum"] > 0 else []
        names += ["grad_avg"] if group["centered"] else []
        return dict.fromkeys(names, 0.0)

    def _has_kernel(self, group: Group) -> bool:
        return not group["centered"]

    def _step_all(self, group: Group, batch: Batch) -> None:
        batch.backend.rmsprop_step(
            batch.params,
            batch.grads,
            batch.buffers["square_avg"],
            batch.buffers.get("momentum_buffer"),
            lr=group["lr"],
            alpha=group["alpha"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            maximize=group["maximize"],
            eps_inside=group["eps_inside"],
        )

    def _move(self, group: Group, p: np.ndarray, g: np.ndarray, buffers: Arrays) -> None:
        alpha, average = group["alpha"], buffers["square_avg"]
        average *= alpha
        average += (1 - alpha) * g * g
        mean = buffers["grad_avg"]
        mean += (1 - alpha) * (g - mean)
        quotient = g / root(average - mean * mean, group["eps"], group["eps_inside"])
        if group["momentum"] > 0:
            buffer = buffers["momentum_buffer"]
            buffer *= group["momentum"]
            buffer += quotient
            quotient = buffer
        p -= group["lr"] * quotient
