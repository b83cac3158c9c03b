"""Adadelta (Zeiler 2012)."""

from __future__ import annotations

from typing import Any

from .composed import NOT_NEGATIVE, SHARE, Batch, ComposedOptimizer
from .optimizer import Group


class Adadelta(ComposedOptimizer):
    """G = rho G + (1 - rho) g^2;  d = sqrt(D + eps) / sqrt(G + eps) g;  D = rho D + (1 - rho) d^2;
    p -= lr d.

    The steps have the parameter's unit, so that lr = 1 fits many problems. `foreach` and
    `capturable` have no effect.

    >>> import neurona
    >>> from neurona import nn, optim
    >>> w = nn.Parameter(neurona.tensor([1.0]))
    >>> opt = optim.Adadelta([w])
    >>> (0.5 * w * w).sum().backward()
    >>> _ = opt.step()
    >>> round(w.item(), 4)
    0.9968
    """

    _ranges = {**dict.fromkeys(("lr", "weight_decay", "eps"), NOT_NEGATIVE), "rho": SHARE}

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: Group) -> dict[str, float]:
        return {"square_avg": 0.0, "acc_delta": 0.0}

    def _step_all(self, group: Group, batch: Batch) -> None:
        batch.backend.adadelta_step(
            batch.params,
            batch.grads,
            batch.buffers["square_avg"],
            batch.buffers["acc_delta"],
            lr=group["lr"],
            rho=group["rho"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            maximize=group["maximize"],
        )
