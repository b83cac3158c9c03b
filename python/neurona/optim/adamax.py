"""Adamax, Adam with the infinity norm (Kingma & Ba 2015, section 7.1)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .composed import NOT_NEGATIVE, Arrays, ComposedOptimizer
from .optimizer import Group


class Adamax(ComposedOptimizer):
    """m = b1 m + (1 - b1) g;  u = max(b2 u, |g| + eps);  p -= lr / (1 - b1^t) m / u.

    `foreach` and `capturable` have no effect.

    >>> import neurona
    >>> from neurona import nn, optim
    >>> w = nn.Parameter(neurona.tensor([1.0]))
    >>> opt = optim.Adamax([w], lr=0.1)
    >>> (0.5 * w * w).sum().backward()
    >>> _ = opt.step()
    >>> round(w.item(), 4)
    0.9
    """

    _ranges = dict.fromkeys(("lr", "weight_decay", "eps"), NOT_NEGATIVE)

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: Group) -> dict[str, float]:
        return {"exp_avg": 0.0, "exp_inf": 0.0}

    def _move(
        self, group: Group, p: np.ndarray, g: np.ndarray, buffers: Arrays, state: dict[str, Any]
    ) -> None:
        beta1, beta2 = group["betas"]
        mean, largest = buffers["exp_avg"], buffers["exp_inf"]
        mean += (1 - beta1) * (g - mean)
        np.maximum(beta2 * largest, np.abs(g) + group["eps"], out=largest)
        p -= group["lr"] / (1 - beta1 ** state["step"]) * (mean / largest)
