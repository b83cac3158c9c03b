"""Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019) and amsgrad (Reddi et al. 2018)."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import backends
from ..tensor import Tensor
from .composed import check_arrays, check_betas, root
from .optimizer import Group, Optimizer, check_number, not_negative


class Adam(Optimizer):
    """m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p -= lr (m / (1 - b1^t)) / (sqrt(v / (1 -
    b2^t)) + eps).

    `weight_decay` adds to g, or shrinks p by lr weight_decay with `decoupled_weight_decay`.
    `amsgrad` takes the largest v so far. All parameters of a group are updated in one pass.
    `foreach` and `fused` have no effect, the step is always fused.

    `bias_correction=False` leaves out the divisors 1 - b^t: the first step is then (1 - b1) /
    sqrt(1 - b2) times as long, 3.16 times with the default betas. `eps_inside=True` divides by
    sqrt(v + eps).

    >>> import neurona
    >>> from neurona import nn, optim
    >>> w = nn.Parameter(neurona.tensor([1.0]))
    >>> opt = optim.Adam([w], lr=0.1)
    >>> (0.5 * w * w).sum().backward()
    >>> _ = opt.step()
    >>> round(w.item(), 4)
    0.9
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
        bias_correction: bool = True,
        eps_inside: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
            "bias_correction": bias_correction,
            "eps_inside": eps_inside,
        }
        super().__init__(params, defaults)

    def _check_group(self, group: Group) -> None:
        op = type(self).__name__
        for name in ("lr", "eps", "weight_decay"):
            check_number(op, name, group[name], "finite and >= 0", not_negative)
        check_betas(op, group["betas"])

    _recorded_buffers = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def _structure(self, group: Group) -> tuple[Any, ...]:
        names = (
            *("amsgrad", "maximize", "decoupled_weight_decay"),
            *("bias_correction", "eps_inside"),
        )
        return tuple(group[name] for name in names)

    def _kernel_numbers(self, group: Group, key: int) -> dict[str, Any]:
        beta1, beta2 = group["betas"]
        return {
            "step": key,
            "lr": group["lr"],
            "beta1": beta1,
            "beta2": beta2,
            "eps": group["eps"],
            "weight_decay": group["weight_decay"],
        }

    def _count(self, states: list[dict[str, Any]], key: int) -> None:
        for state in states:
            state["step"] = key

    def _batch_key(self, group: Group, state: dict[str, Any]) -> int:
        return state.get("step", 0) + 1

    def _update(
        self, group: Group, params: list[Tensor], grads: list[np.ndarray], key: int
    ) -> None:
        names = ["exp_avg", "exp_avg_sq"] + (["max_exp_avg_sq"] if group["amsgrad"] else [])
        states = [self.state.setdefault(param, {}) for param in params]
        for param, state in zip(params, states, strict=True):
            for name in names:
                if state.get(name) is None:
                    state[name] = Tensor(np.zeros_like(param.data))
        buffers = [[state[name].data for state in states] for name in names]
        arrays = [param.data for param in params]
        if group["eps_inside"] or not group["bias_correction"]:
            for param, grad, *own in zip(params, grads, *buffers, strict=True):
                check_arrays(type(self).__name__, param, grad)
                with np.errstate(all="ignore"):
                    _composed_step(group, param.data, grad, own, key)
            self._count(states, key)
            return
        backends.current(arrays[0].dtype).adam_step(
            arrays,
            grads,
            buffers[0],
            buffers[1],
            **self._kernel_numbers(group, key),
            decoupled=group["decoupled_weight_decay"],
            maximize=group["maximize"],
            max_exp_avg_sqs=buffers[2] if group["amsgrad"] else None,
        )
        self._count(states, key)


def _composed_step(
    group: Group, p: np.ndarray, g: np.ndarray, buffers: list[np.ndarray], step: int
) -> None:
    """The forms that the kernel does not have: without bias correction, or eps inside the root."""
    beta1, beta2 = group["betas"]
    correction1 = 1 - beta1**step if group["bias_correction"] else 1.0
    correction2 = 1 - beta2**step if group["bias_correction"] else 1.0
    g = -g if group["maximize"] else g
    if group["weight_decay"] != 0:
        if group["decoupled_weight_decay"]:
            p *= 1 - group["lr"] * group["weight_decay"]
        else:
            g = g + group["weight_decay"] * p
    mean, square = buffers[:2]
    mean *= beta1
    mean += (1 - beta1) * g
    square *= beta2
    square += (1 - beta2) * g * g
    if group["amsgrad"]:
        square = np.maximum(buffers[2], square, out=buffers[2])
    denominator = root(square / correction2, group["eps"], group["eps_inside"])
    p -= group["lr"] / correction1 * (mean / denominator)


class AdamW(Adam):
    """Adam with decoupled weight decay: p shrinks by lr weight_decay, apart from the gradient
    (Loshchilov & Hutter 2019).

    >>> import neurona
    >>> from neurona import nn, optim
    >>> w = nn.Parameter(neurona.tensor([1.0]))
    >>> opt = optim.AdamW([w], lr=0.1)
    >>> (0.5 * w * w).sum().backward()
    >>> _ = opt.step()
    >>> round(w.item(), 4)
    0.899
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
        bias_correction: bool = True,
        eps_inside: bool = False,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            maximize=maximize,
            decoupled_weight_decay=True,
            bias_correction=bias_correction,
            eps_inside=eps_inside,
        )
