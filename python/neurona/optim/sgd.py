"""SGD: gradient descent with momentum (Polyak 1964) and Nesterov's variant (Sutskever et al.
2013).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import backends
from ..tensor import Tensor
from .optimizer import Group, Optimizer, check_number, not_negative


class SGD(Optimizer):
    """g += weight_decay p;  b = momentum b + (1 - dampening) g;  p -= lr b, or lr (g + momentum b)
    with nesterov.

    The first b is g itself, without dampening; lr stays outside b. All parameters of a group are
    updated in one pass. `foreach` and `fused` have no effect, the step is always fused.

    >>> import neurona
    >>> from neurona import nn, optim
    >>> w = nn.Parameter(neurona.tensor([1.0]))
    >>> opt = optim.SGD([w], lr=0.1, momentum=0.9)
    >>> for _ in range(2):
    ...     opt.zero_grad()
    ...     (0.5 * w * w).sum().backward()
    ...     _ = opt.step()
    >>> round(w.item(), 4)
    0.72
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _check_group(self, group: Group) -> None:
        for name in ("lr", "momentum", "weight_decay"):
            check_number("SGD", name, group[name], "finite and >= 0", not_negative)
        check_number("SGD", "dampening", group["dampening"], "finite", math.isfinite)
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov must come with momentum > 0 and dampening 0, "
                f"got momentum {group['momentum']} and dampening {group['dampening']}"
            )

    def _batch_key(self, group: Group, state: dict[str, Any]) -> bool:
        return group["momentum"] != 0 and state.get("momentum_buffer") is None

    def _update(
        self, group: Group, params: list[Tensor], grads: list[np.ndarray], key: bool
    ) -> None:
        buffers = None
        if group["momentum"] != 0:
            if key:
                for param in params:
                    self.state.setdefault(param, {})["momentum_buffer"] = Tensor(
                        np.empty_like(param.data)
                    )
            buffers = [self.state[param]["momentum_buffer"].data for param in params]
        arrays = [param.data for param in params]
        backends.current(arrays[0].dtype).sgd_step(
            arrays,
            grads,
            buffers,
            lr=group["lr"],
            momentum=group["momentum"],
            dampening=group["dampening"],
            weight_decay=group["weight_decay"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            first=key,
        )
