"""Adagrad (Duchi, Hazan & Singer 2011)."""

from __future__ import annotations

from typing import Any

from .composed import NOT_NEGATIVE, Batch, ComposedOptimizer
from .optimizer import Group


class Adagrad(ComposedOptimizer):
    """G += g^2;  p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(G) + eps): large gradients, small
    steps.

    G holds the diagonal only and keeps the parameter's shape. With `eps_inside` the denominator is
    sqrt(G + eps). `foreach` and `fused` have no effect.

    >>> import neurona
    >>> from neurona import nn, optim
    >>> w = nn.Parameter(neurona.tensor([1.0]))
    >>> opt = optim.Adagrad([w], lr=0.1)
    >>> (0.5 * w * w).sum().backward()
    >>> _ = opt.step()
    >>> round(w.item(), 4)
    0.9
    """

    _ranges = dict.fromkeys(
        ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"), NOT_NEGATIVE
    )

    def __init__(
        self,
        params: Any,
        lr: float = 0.01,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        fused: bool | None = None,
        eps_inside: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "maximize": maximize,
            "eps_inside": eps_inside,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: Group) -> dict[str, float]:
        return {"sum": group["initial_accumulator_value"]}

    def _step_all(self, group: Group, batch: Batch) -> None:
        batch.backend.adagrad_step(
            batch.params,
            batch.grads,
            batch.buffers["sum"],
            step=batch.step,
            lr=group["lr"],
            lr_decay=group["lr_decay"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
            eps_inside=group["eps_inside"],
        )
