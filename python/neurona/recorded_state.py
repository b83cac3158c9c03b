"""What a recorded step has built in, and the numbers that its repetitions give the kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .backends import DEVICE_FLOAT32, FLOAT32, DeviceArray, cpu, cuda
from .nn import Module
from .optim.optimizer import Optimizer
from .random import default_generator
from .tensor import Tensor


def _is_there(tensor: Tensor) -> bool:
    return type(tensor.data) is DeviceArray


def _is_float32(tensor: Tensor) -> bool:
    return tensor.data.dtype is FLOAT32 or tensor.data.dtype is DEVICE_FLOAT32


# Gives a noted call other numbers.
Change = Callable[[int, list[float]], None]


class State:
    """What the recorded calls have built in, and what a step changes."""

    def __init__(self, model: Module, optimizer: Optimizer | None) -> None:
        self._model, self._optimizer = model, optimizer
        self.modules = list(model.modules())
        self.parameters = list(model.parameters())
        groups = [] if optimizer is None else optimizer.param_groups
        # The model may have lost parameters that the optimizer still updates.
        updated = {id(p): p for p in self.parameters}
        updated.update({id(p): p for group in groups for p in group["params"]})
        self._tensors = [*updated.values(), *model.buffers()]
        self.device = "cuda" if any(_is_there(tensor) for tensor in self.parameters) else "cpu"
        self.remember()
        counts = [getattr(module, "num_batches_tracked", None) for module in self.modules]
        self.counts = [count.data for count in counts if count is not None]

    def remember(self) -> None:
        """What later calls depend on, as it is now."""
        self._values = self._current_values()
        self._guards = self._guarded()

    def _current_values(self) -> list[Any]:
        """What later calls depend on, to compare by value. The count of changes stands for all
        attributes of modules: modes, hooks, parameters, options.
        """
        values = [Module.changes(), cpu.core.fast_convolutions(), cuda.product_precision]
        if self._optimizer is not None:  # a prediction has no gradients
            values += map(self._optimizer._structure, self._optimizer.param_groups)
        return values

    def _guarded(self) -> Any:
        """What later calls depend on, to compare by identity."""
        guards = cpu.core.Guards()
        names = ["data"] if self._optimizer is None else ["data", "_hooks", "_requires_grad"]
        for tensor in self._tensors:
            for name in names:
                guards.attribute(tensor, name)
        if self._optimizer is None:
            return guards
        guards.attribute(self._optimizer, "state")
        guards.elements(self._optimizer.param_groups)
        for group in self._optimizer.param_groups:
            guards.entry(group, "params")
            guards.elements(group["params"])
            for parameter in group["params"]:
                guards.entry(self._optimizer.state, parameter)
        for state, name in self._buffer_places():
            guards.entry(state, name)
            guards.attribute(state[name], "data")
        return guards

    def _buffer_places(self) -> list[tuple[dict[str, Any], str]]:
        """The optimizer's buffers: which parameter's state holds one under which name."""
        if self._optimizer is None:
            return []
        states = [
            self._optimizer.state.get(parameter, {})
            for group in self._optimizer.param_groups
            for parameter in group["params"]
        ]
        names = self._optimizer._recorded_buffers
        return [(state, name) for state in states for name in names if state.get(name) is not None]

    def buffers(self) -> list[Tensor]:
        """The optimizer's buffers, in the order of its parameters."""
        return [state[name] for state, name in self._buffer_places()]

    def holds(self) -> bool:
        """Whether the recorded calls still are those of the step."""
        return self._current_values() == self._values and bool(self._guards.hold())

    def objection(self) -> str | None:
        """Why the model cannot be recorded at all."""
        for name, module in self._model.named_modules():
            if module._hooks is not None:
                return f"module {name!r} has, or had, forward hooks"
        for name, tensor in self._model.named_parameters():
            if not _is_float32(tensor):
                return f"parameter {name!r} has dtype {tensor.data.dtype}, not float32"
            if _is_there(tensor) != (self.device == "cuda"):
                return f"parameter {name!r} does not lie where others do, on the device 'cuda'"
            if tensor._hooks:
                return f"parameter {name!r} has hooks"
        return None

    def arrays(self) -> list[Any]:
        """All arrays of the model and of the optimizer."""
        return [tensor.data for tensor in [*self._tensors, *self.buffers()]]

    def changed_arrays(self) -> list[Any]:
        """All arrays that a step changes, but for gradients and counts."""
        tensors = [tensor for tensor in self._tensors if _is_float32(tensor)]
        arrays = [tensor.data for tensor in [*tensors, *self.buffers()]]
        return [array for array in arrays if array.flags.writeable]


class Updates:
    """The optimizer's calls among those that were noted; their numbers change with each step."""

    def __init__(
        self,
        optimizer: Optimizer,
        noted: list[tuple[int, list[Any]]],
        change: Change,
    ) -> None:
        """`noted` holds of each call its number and the parameters' arrays; `change(call, numbers)`
        gives it other numbers.
        """
        self._optimizer, self._change = optimizer, change
        owners = {
            id(p.data): (group, p) for group in optimizer.param_groups for p in group["params"]
        }
        self._calls: list[tuple[int, dict[str, Any], list[dict[str, Any]]]] = []
        for call, arrays in noted:
            if any(id(array) not in owners for array in arrays):
                raise RuntimeError("record: the step must not update parameters of others")
            states = [optimizer.state.get(owners[id(array)][1], {}) for array in arrays]
            self._calls.append((call, owners[id(arrays[0])][0], states))
        self._given: dict[int, list[float]] = {}
        self._options: list[tuple[Any, ...]] = []  # of the groups, as they were checked
        self._given_for: Any = None  # the options whose numbers the calls have
        # Without counts of steps, keys depend on which buffers there are, which `State` watches.
        self._counts = type(optimizer)._count is not Optimizer._count
        self._keys = [optimizer._batch_key(group, states[0]) for _, group, states in self._calls]

    def keys(self) -> list[Any] | None:
        """Of each call what its parameters have in common, such as the number of their steps; None
        if that is no more so, or if the step would refuse its options.
        """
        groups = self._optimizer.param_groups
        options = [tuple(group.values()) for group in groups]
        if options != self._options:
            try:
                for group in groups:
                    self._optimizer._check_group(group)
            except (TypeError, ValueError):
                return None
            self._options = options
        if not self._counts:
            return self._keys
        found: list[Any] = []
        for _, group, states in self._calls:
            keys = {self._optimizer._batch_key(group, state) for state in states}
            if len(keys) != 1:
                return None
            found += keys
        return found

    def give_numbers(self, keys: list[Any]) -> None:
        """The next repetition is the step with these keys and the options as they are."""
        if self._given_for is self._options and not self._counts:
            return
        self._given_for = self._options
        for (call, group, _), key in zip(self._calls, keys, strict=True):
            numbers = list(self._optimizer._kernel_numbers(group, key).values())
            if self._given.get(call) != numbers:
                self._change(call, numbers)
                self._given[call] = numbers

    def count(self, keys: list[Any]) -> None:
        """The step was made."""
        if not self._counts:
            return
        for (_, _, states), key in zip(self._calls, keys, strict=True):
            self._optimizer._count(states, key)


class Draws:
    """The random draws of a step; each repetition makes the next ones of the default generator."""

    def __init__(
        self, before: tuple[int, int], noted: list[tuple[int, int, int]], change: Change
    ) -> None:
        """`before` is the generator's state before the step; `noted` holds of each call its number,
        its seed and its offset.
        """
        seed, first = before
        self._change = change
        self._count = (default_generator.offset - first) % 2**64
        self._calls = [(call, (offset - first) % 2**64) for call, _, offset in noted]
        for (_, used, _), (_, distance) in zip(noted, self._calls, strict=True):
            if used != seed or distance >= self._count:
                raise RuntimeError("record: the step must draw from the default generator alone")

    def give_numbers(self, advance: bool) -> None:
        """The next repetition makes the draws that the step would make now; with `advance`, they
        count as made.
        """
        if self._count:
            seed, first = default_generator.next_offset(self._count if advance else 0)
            for call, distance in self._calls:
                offset = (first + distance) % 2**64
                self._change(call, [*map(float, (*divmod(seed, 2**32), *divmod(offset, 2**32)))])
