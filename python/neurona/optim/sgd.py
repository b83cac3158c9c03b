"""SGD: gradient descent with momentum (Polyak 1964) and Nesterov's variant (Nesterov 1983,
Sutskever et al. 2013).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import backends
from ..tensor import Tensor
from .optimizer import Group, Optimizer, check_number, not_negative
from .velocity import looking_ahead, velocity_step


class SGD(Optimizer):
    """g += weight_decay p;  b = momentum b + (1 - dampening) g;  p -= lr b, or lr (g + momentum b)
    with nesterov.

    The first b is g itself, without dampening; lr stays outside b. All parameters of a group are
    updated in one pass. `foreach` and `fused` have no effect, the step is always fused.

    `velocity=True` is the form with lr inside: v = momentum v - lr g, p += v, which differs as soon
    as lr changes. With `nesterov=True` besides, g is taken at p + momentum v, for which `step`
    needs the closure that recomputes the loss. Momentum must then be in [0, 1) and dampening 0.

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
        velocity: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "velocity": velocity,
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

        if group["velocity"]:
            momentum, dampening = group["momentum"], group["dampening"]
            if not momentum < 1.0 or dampening != 0:
                raise ValueError(
                    "SGD: velocity must come with momentum in [0, 1) and dampening 0, "
                    f"got momentum {momentum} and dampening {dampening}"
                )

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; `closure` recomputes the loss first, and its
        result is returned.

        Raises ValueError without `closure` when a group has both `velocity` and `nesterov`.
        """
        ahead = [group for group in self.param_groups if group["velocity"] and group["nesterov"]]
        if not ahead:
            return super().step(closure)
        if closure is None:
            raise ValueError(
                "SGD: closure must be given with velocity and nesterov, for the gradient is taken "
                "at p + momentum v, got None"
            )

        def at_the_point_ahead() -> Any:
            with looking_ahead(ahead, self.state):
                return closure()

        return super().step(at_the_point_ahead)

    _recorded_buffers = ("momentum_buffer",)

    def _structure(self, group: Group) -> tuple[Any, ...]:
        return (group["momentum"] != 0, group["nesterov"], group["maximize"], group["velocity"])

    def _kernel_numbers(self, group: Group, key: bool) -> dict[str, Any]:
        return {name: group[name] for name in ("lr", "momentum", "dampening", "weight_decay")}

    def _batch_key(self, group: Group, state: dict[str, Any]) -> bool:
        if group["velocity"]:
            return False
        return group["momentum"] != 0 and state.get("momentum_buffer") is None

    def _update(
        self, group: Group, params: list[Tensor], grads: list[np.ndarray], key: bool
    ) -> None:
        if group["velocity"]:
            velocity_step(group, params, grads, self.state)
            return
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
            **self._kernel_numbers(group, key),
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            first=key,
        )
