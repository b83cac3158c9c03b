"""Optimizer: parameter groups, per-parameter state, and saving both.

A subclass sets its defaults, checks them in `_check_group` and updates one homogeneous batch of
parameters in `_update`; the base class sorts the parameters that have a gradient into such batches,
nearly always one per group.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self

import numpy as np

from ..autograd import enable_grad
from ..errors import suggest_keywords
from ..tensor import Tensor

Group = dict[str, Any]


def check_number(op: str, name: str, value: Any, rule: str, fits: Callable[[float], bool]) -> None:
    """Raise unless `value` is a number for which `fits` holds; NaN fits nothing."""
    if type(value) is float and fits(value):
        return  # the usual case, checked again at every step
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{op}: {name} must be a number, got {type(value).__name__}")
    if not fits(float(value)):
        raise ValueError(f"{op}: {name} must be {rule}, got {value}")


def not_negative(value: float) -> bool:
    """Finite and >= 0."""
    return 0.0 <= value < math.inf


class Optimizer:
    """Base class of the optimizers.

    `params` holds leaf tensors, or pairs (name, tensor), or dictionaries with "params" and options
    of their own. `param_groups` is the list of groups, whose options (such as "lr") may be changed
    between steps; `state` maps a parameter to its buffers.

    Raises ValueError for no parameters, one given twice or one that is not a leaf, TypeError for
    anything but tensors.
    """

    _numbers: tuple[str, ...] = ()  # entries of the state that are floats, besides the int "step"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__init__" in cls.__dict__:
            cls.__init__ = suggest_keywords(cls.__name__)(cls.__init__)  # type: ignore[method-assign]

    def __init__(self, params: Any, defaults: Group) -> None:
        self.defaults = defaults
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[Group] = []
        self._step_count = 0
        op = type(self).__name__
        if isinstance(params, Tensor) or not isinstance(params, Iterable):
            raise TypeError(
                f"{op}: params must be an iterable of tensors or of groups, "
                f"got {type(params).__name__}"
            )
        entries = list(params)
        if not entries:
            raise ValueError(f"{op}: params must not be empty")
        if not isinstance(entries[0], Mapping):
            entries = [{"params": entries}]
        for entry in entries:
            self.add_param_group(entry)

    # ---- what a subclass provides ----

    def _check_group(self, group: Group) -> None:
        """Raise for an option out of range."""
        raise NotImplementedError

    def _batch_key(self, group: Group, state: dict[str, Any]) -> Any:
        """Parameters of a group with equal keys are updated in one call."""
        raise NotImplementedError

    def _update(
        self, group: Group, params: list[Tensor], grads: list[np.ndarray], key: Any
    ) -> None:
        """Update `params` and their state in place, in one call of the backend."""
        raise NotImplementedError

    # ---- what a subclass provides whose steps `neurona.record` repeats ----

    _recorded_buffers: tuple[str, ...] = ()  # the tensors of a parameter's state

    def _structure(self, group: Group) -> Any:
        """The options that decide which kernels run on which arrays."""
        raise NotImplementedError

    def _kernel_numbers(self, group: Group, key: Any) -> dict[str, Any]:
        """The other arguments of the kernel, which may differ in each step."""
        raise NotImplementedError

    def _count(self, states: list[dict[str, Any]], key: Any) -> None:
        """Note in the state of a batch of parameters that they were updated."""

    # ---- groups ----

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Add a group, a dictionary with "params" and any options that differ from the defaults."""
        op = type(self).__name__
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(
                f"{op}: a group must be a dictionary with 'params', got {param_group!r:.80}"
            )
        given = param_group["params"]
        entries = [given] if isinstance(given, Tensor) else list(given)
        if not entries:
            raise ValueError(f"{op}: params must not be empty in group {len(self.param_groups)}")
        names = [entry[0] for entry in entries if isinstance(entry, tuple)]
        tensors = [entry[1] if isinstance(entry, tuple) else entry for entry in entries]
        if names and len(names) != len(entries):
            raise ValueError(
                f"{op}: params must have names for all tensors or for none, got {len(names)} names"
            )
        seen = {id(tensor) for group in self.param_groups for tensor in group["params"]}
        for position, tensor in enumerate(tensors):
            label = f"params[{position}]" + (f" ({names[position]})" if names else "")
            if not isinstance(tensor, Tensor):
                raise TypeError(f"{op}: {label} must be a Tensor, got {type(tensor).__name__}")
            if not tensor.is_leaf:
                raise ValueError(
                    f"{op}: {label} must be a leaf tensor, got the result of an operation"
                )
            if id(tensor) in seen:
                raise ValueError(f"{op}: {label} must appear only once, got it twice")
            seen.add(id(tensor))
        group: Group = {"params": tensors}
        if names:
            group["param_names"] = names
        group.update(
            {
                **self.defaults,
                **{key: value for key, value in param_group.items() if key != "params"},
            }
        )
        self._check_group(group)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients (or fill them with zeros)."""
        for group in self.param_groups:
            for param in group["params"]:
                if set_to_none:
                    param.grad = None
                elif param.grad is not None:
                    param.grad = Tensor(np.zeros_like(param.grad.data))

    # ---- the step ----

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; `closure` recomputes the loss first, and its
        result is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            self._check_group(group)
        for group in self.param_groups:
            batches: dict[Any, tuple[list[Tensor], list[np.ndarray]]] = {}
            for param in group["params"]:
                grad = param.grad
                if grad is None:
                    continue
                key = (param.data.dtype, self._batch_key(group, self.state.get(param, {})))
                params, grads = batches.setdefault(key, ([], []))
                params.append(param)
                grads.append(grad.data)
            for (_, key), (params, grads) in batches.items():
                self._update(group, params, grads, key)
                for param in params:
                    param._version[0] += 1  # a graph that saved the old value must not use it
        self._step_count += 1
        return loss

    # ---- saving ----

    def get_config(self) -> dict[str, Any]:
        """The hyper-parameters this optimizer was made with, as plain values with its "name"."""
        return {"name": type(self).__name__, **self.defaults}

    @classmethod
    def from_config(cls, params: Any, config: Mapping[str, Any]) -> Self:
        """An optimizer of this class for `params` with the hyper-parameters of `get_config`.

        Raises ValueError when they belong to another class.

        >>> from neurona import nn, optim
        >>> model = nn.Linear(2, 1)
        >>> config = optim.SGD(model.parameters(), lr=0.5, momentum=0.9).get_config()
        >>> optim.SGD.from_config(model.parameters(), config).get_config() == config
        True
        """
        if config.get("name") != cls.__name__:
            raise ValueError(
                f"{cls.__name__}: config must have the name {cls.__name__!r}, "
                f"got {config.get('name')!r}"
            )
        taken = inspect.signature(cls).parameters
        # A subclass may fix an option of its base, as AdamW does with decoupled_weight_decay.
        return cls(params, **{key: value for key, value in config.items() if key in taken})

    def state_dict(self) -> dict[str, Any]:
        """`{"state": {position: buffers}, "param_groups": [options with positions]}`, as PyTorch
        lays it out.
        """
        positions: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for param in group["params"]:
                positions[id(param)] = len(positions)
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [positions[id(param)] for param in group["params"]]
            groups.append(packed)
        state = {positions[id(param)]: dict(buffers) for param, buffers in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over options and copies of the buffers; nothing changes when anything does not fit.

        Raises ValueError when the groups have other sizes or a buffer another shape than its
        parameter.
        """
        op = type(self).__name__
        if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= set(state_dict):
            raise TypeError(f"{op}: state_dict must have the keys 'state' and 'param_groups'")
        saved = state_dict["param_groups"]
        sizes = [len(group["params"]) for group in self.param_groups]
        saved_sizes = [len(group["params"]) for group in saved]
        if sizes != saved_sizes:
            raise ValueError(
                f"{op}: state_dict must have groups of {sizes} parameters, got {saved_sizes}"
            )
        by_position: dict[Any, Tensor] = {}
        groups = []
        for group, packed in zip(self.param_groups, saved, strict=True):
            by_position.update(zip(packed["params"], group["params"], strict=True))
            merged = {**group, **{key: value for key, value in packed.items() if key != "params"}}
            self._check_group(merged)
            groups.append(merged)
        state = {}
        for position, buffers in state_dict["state"].items():
            if position not in by_position:
                raise ValueError(
                    f"{op}: state_dict has state for parameter {position!r}, which is in no group"
                )
            param = by_position[position]
            state[param] = {
                name: self._load_buffer(name, value, param) for name, value in buffers.items()
            }
        self.state = state
        self._step_count = max(self._step_count, 1)  # what was saved has made steps
        for group, merged in zip(self.param_groups, groups, strict=True):
            group.update(merged)

    def _load_buffer(self, name: str, value: Any, param: Tensor) -> Any:
        if name == "step":
            return int(value.item() if isinstance(value, Tensor) else value)
        if value is None:
            return None
        if name in self._numbers:
            return float(value.item() if isinstance(value, Tensor | np.ndarray) else value)
        array = value.data if isinstance(value, Tensor) else np.asarray(value)
        if array.shape != param.shape:
            raise ValueError(
                f"{type(self).__name__}: {name} must have its parameter's shape "
                f"{tuple(param.shape)}, got {array.shape}"
            )
        return Tensor(np.array(array, dtype=param.data.dtype))

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for number, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {number}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join(lines) + "\n)"
