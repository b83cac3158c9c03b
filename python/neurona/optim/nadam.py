"""NAdam, Adam with Nesterov momentum (Dozat 2016)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor
from .composed import NOT_NEGATIVE, Batch, ComposedOptimizer
from .optimizer import Group


class NAdam(ComposedOptimizer):
    """mu_t = b1 (1 - 0.96^(t momentum_decay) / 2);  m, v as in Adam;  p -= lr (mu_{t+1} m / (1 -
    prod mu up to t+1) + (1 - mu_t) g / (1 - prod mu up to t)) / (sqrt(v / (1 - b2^t)) + eps).

    `decoupled_weight_decay` shrinks p by lr weight_decay, as AdamW does. `foreach` and `capturable`
    have no effect.

    >>> import neurona
    >>> from neurona import nn, optim
    >>> w = nn.Parameter(neurona.tensor([1.0]))
    >>> opt = optim.NAdam([w], lr=0.1)
    >>> (0.5 * w * w).sum().backward()
    >>> _ = opt.step()
    >>> round(w.item(), 4)
    0.8944
    """

    _numbers = ("mu_product",)
    _ranges = dict.fromkeys(("lr", "weight_decay", "eps", "momentum_decay"), NOT_NEGATIVE)

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _buffers(self, group: Group) -> dict[str, float]:
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0}

    def _batch_key(self, group: Group, state: dict[str, Any]) -> Any:
        # The product depends on the betas of all steps so far.
        return super()._batch_key(group, state), state.get("mu_product", 1.0)

    def _update(
        self, group: Group, params: list[Tensor], grads: list[np.ndarray], key: Any
    ) -> None:
        super()._update(group, params, grads, key[0])

    def _step_all(self, group: Group, batch: Batch) -> None:
        lr, (beta1, beta2) = group["lr"], group["betas"]
        now, after = (
            beta1 * (1 - 0.5 * 0.96 ** (t * group["momentum_decay"]))
            for t in (batch.step, batch.step + 1)
        )
        product = batch.states[0].get("mu_product", 1.0) * now
        batch.backend.nadam_step(
            batch.params,
            batch.grads,
            batch.buffers["exp_avg"],
            batch.buffers["exp_avg_sq"],
            step=batch.step,
            lr=lr,
            gradient_rate=lr * (1 - now) / (1 - product),
            mean_rate=lr * after / (1 - product * after),
            beta1=beta1,
            beta2=beta2,
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            decoupled=group["decoupled_weight_decay"],
            maximize=group["maximize"],
        )
        for state in batch.states:
            state["mu_product"] = product
