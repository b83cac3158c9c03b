"""ComposedOptimizer: the base of the optimizers whose step is written in NumPy.

A subclass lists its buffers and writes one function, the step of one parameter; weight decay,
`maximize`, counting and checks are here. float32 and float64 alike.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..tensor import Tensor
from .optimizer import Group, Optimizer, check_number, not_negative

Arrays = dict[str, np.ndarray]
NOT_NEGATIVE = ("finite and >= 0", not_negative)
FRACTION: tuple[str, Callable[[float], bool]] = ("in [0, 1)", lambda value: 0.0 <= value < 1.0)
SHARE: tuple[str, Callable[[float], bool]] = ("in [0, 1]", lambda value: 0.0 <= value <= 1.0)


def check_betas(op: str, betas: Any) -> None:
    """Raise unless `betas` is a pair of numbers in [0, 1)."""
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise ValueError(f"{op}: betas must be a pair of numbers, got {betas!r}")
    for position, beta in enumerate(betas):
        check_number(op, f"betas[{position}]", beta, *FRACTION)


def check_arrays(op: str, param: Tensor, grad: np.ndarray) -> None:
    """Raise unless `grad` fits `param` and `param` can be written to."""
    if grad.shape != param.shape:
        raise ValueError(
            f"{op}: a gradient must have its parameter's shape {tuple(param.shape)}, "
            f"got {grad.shape}"
        )
    if not param.data.flags.writeable:
        raise ValueError(f"{op}: parameters must be writable, got a read-only array")


class ComposedOptimizer(Optimizer):
    """Base class; see the module's note.

    `_ranges` maps an option to its rule, for `_check_group`.
    """

    _ranges: dict[str, tuple[str, Callable[[float], bool]]] = {}

    def _buffers(self, group: Group) -> dict[str, float]:
        """The buffers of a parameter and what fills them at the start."""
        raise NotImplementedError(f"{type(self).__name__}: _buffers is not defined")

    def _move(
        self, group: Group, p: np.ndarray, g: np.ndarray, buffers: Arrays, state: dict[str, Any]
    ) -> None:
        """Update the parameter `p` and its `buffers` in place; state["step"] counts from 1."""
        raise NotImplementedError(f"{type(self).__name__}: _move is not defined")

    def _check_group(self, group: Group) -> None:
        op = type(self).__name__
        for name, (rule, fits) in self._ranges.items():
            check_number(op, name, group[name], rule, fits)
        if "betas" in group:
            check_betas(op, group["betas"])

    def _batch_key(self, group: Group, state: dict[str, Any]) -> None:
        return None

    def _update(
        self, group: Group, params: list[Tensor], grads: list[np.ndarray], key: None
    ) -> None:
        for param, grad in zip(params, grads, strict=True):
            check_arrays(type(self).__name__, param, grad)
        names = self._buffers(group)
        for param, grad in zip(params, grads, strict=True):
            state = self.state.setdefault(param, {"step": 0})
            for name, value in names.items():
                if state.get(name) is None:
                    state[name] = Tensor(np.full_like(param.data, value))
            state["step"] += 1
            p, g = param.data, -grad if group["maximize"] else grad
            if group["weight_decay"] != 0:
                if group.get("decoupled_weight_decay", False):
                    p *= 1 - group["lr"] * group["weight_decay"]
                else:
                    g = g + group["weight_decay"] * p
            buffers = {name: state[name].data for name in names}
            # A huge gradient overflows to inf here as in a kernel, without a warning.
            with np.errstate(all="ignore"):
                self._move(group, p, g, buffers, state)


def root(value: np.ndarray, eps: float, eps_inside: bool) -> np.ndarray:
    """sqrt(value) + eps, or sqrt(value + eps)."""
    return np.sqrt(value + eps) if eps_inside else np.sqrt(value) + eps
