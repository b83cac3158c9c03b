"""Adamax, Adam with the infinity norm (Kingma & Ba 2015, section 7.1)."""

from __future__ import annotations

from typing import Any

from .composed import NOT_NEGATIVE, Batch, ComposedOptimizer
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

    def _step_all(self, group: Group, batch: Batch) -> None:
        batch.backend.adamax_step(
            batch.params,
            batch.grads,
            batch.buffers["exp_avg"],
            batch.buffers["exp_inf"],
            step=batch.step,
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )
