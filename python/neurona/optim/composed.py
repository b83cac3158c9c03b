"""ComposedOptimizer: the base of the optimizers that are a list of buffers and one step.

A subclass lists its buffers and writes `_step_all`, one call of a kernel for all parameters; forms
that no kernel has are written in NumPy as `_move`, the step of one parameter. Counting and checks
are here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import backends
from ..tensor import Tensor
from .optimizer import Group, Optimizer, check_number, not_negative

Arrays = dict[str, np.ndarray]
Lists = dict[str, list[np.ndarray]]
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


class Batch(NamedTuple):
    """Parameters of one dtype that have made equally many steps, with all that belongs to them.

    `states` are those of the optimizer, `step` counts from 1.
    """

    backend: Any
    params: list[np.ndarray]
    grads: list[np.ndarray]
    buffers: Lists
    states: list[dict[str, Any]]
    step: int


class ComposedOptimizer(Optimizer):
    """Base class; see the module's note.

    `_ranges` maps an option to its rule, for `_check_group`.
    """

    _ranges: dict[str, tuple[str, Callable[[float], bool]]] = {}

    def _buffers(self, group: Group) -> dict[str, float]:
        """The buffers of a parameter and what fills them at the start."""
        raise NotImplementedError(f"{type(self).__name__}: _buffers is not defined")

    def _has_kernel(self, group: Group) -> bool:
        """Whether `_step_all` can take the options of this group."""
        return True

    def _step_all(self, group: Group, batch: Batch) -> None:
        """Update all parameters of the batch and their buffers in place."""
        raise NotImplementedError(f"{type(self).__name__}: _step_all is not defined")

    def _move(self, group: Group, p: np.ndarray, g: np.ndarray, buffers: Arrays) -> None:
        """Update the parameter `p` and its `buffers` in place, where there is no kernel."""
        raise NotImplementedError(f"{type(self).__name__}: _move is not defined")

    def _check_group(self, group: Group) -> None:
        op = type(self).__name__
        for name, (rule, fits) in self._ranges.items():
            check_number(op, name, group[name], rule, fits)
        if "betas" in group:
            check_betas(op, group["betas"])

    def _batch_key(self, group: Group, state: dict[str, Any]) -> int:
        return state.get("step", 0) + 1

    def _update(
        self, group: Group, params: list[Tensor], grads: list[np.ndarray], key: int
    ) -> None:
        for param, grad in zip(params, grads, strict=True):
            check_arrays(type(self).__name__, param, grad)
        names = self._buffers(group)
        states = [self.state.setdefault(param, {"step": 0}) for param in params]
        for param, state in zip(params, states, strict=True):
            for name, value in names.items():
                if state.get(name) is None:
                    state[name] = Tensor(np.full_like(param.data, value))
        arrays = [param.data for param in params]
        buffers = {name: [state[name].data for state in states] for name in names}
        if self._has_kernel(group):
            backend = backends.current(arrays[0].dtype)
            self._step_all(group, Batch(backend, arrays, grads, buffers, states, key))
        else:
            self._step_each(group, arrays, grads, buffers)
        for state in states:
            state["step"] = key

    def _step_each(
        self, group: Group, params: list[np.ndarray], grads: list[np.ndarray], buffers: Lists
    ) -> None:
        for i, (p, grad) in enumerate(zip(params, grads, strict=True)):
            g = -grad if group["maximize"] else grad
            if group["weight_decay"] != 0:
                g = g + group["weight_decay"] * p
            # A huge gradient overflows to inf here as in a kernel, without a warning.
            with np.errstate(all="ignore"):
                self._move(group, p, g, {name: arrays[i] for name, arrays in buffers.items()})


def root(value: np.ndarray, eps: float, eps_inside: bool) -> np.ndarray:
    """sqrt(value) + eps, or sqrt(value + eps)."""
    return np.sqrt(value + eps) if eps_inside else np.sqrt(value) + eps
