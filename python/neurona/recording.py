"""A step recorded once and repeated without Python: what is left of it are its kernels.

Python's part of a training step of a small network, tens of microseconds for layers, autograd and
optimizer, is the same in each step as long as the shapes are. `record` lets the step run, notes
which kernels it called on which memory, and from then on calls these alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .backends import FLOAT32, active_name, set_active
from .backends.tracing import TracingBackend
from .nn import Module
from .optim import Optimizer
from .tensor import Tensor


class _Watch:
    """What the recorded calls have built in: memory, modes and options of modules, optimizers."""

    def __init__(self, watched: tuple[Any, ...]) -> None:
        self.optimizers = [item for item in watched if isinstance(item, Optimizer)]
        modules = [item for item in watched if isinstance(item, Module)]
        self.modules = [module for item in modules for module in item.modules()]
        tensors = [t for item in modules for t in [*item.parameters(), *item.buffers()]]
        self.parameters = [
            param
            for item in self.optimizers
            for group in item.param_groups
            for param in group["params"]
        ]
        self.tensors = [*tensors, *self.parameters]
        self._arrays = [tensor.data for tensor in self.tensors]
        self._modes = [module.training for module in self.modules]
        self._options = self._read_options()

    def _read_options(self) -> list[dict[str, Any]]:
        return [
            {name: value for name, value in group.items() if name not in ("params", "param_names")}
            for optimizer in self.optimizers
            for group in optimizer.param_groups
        ]

    def holds(self) -> bool:
        """Whether all is as it was."""
        return (
            all(t.data is array for t, array in zip(self.tensors, self._arrays, strict=True))
            and [module.training for module in self.modules] == self._modes
            and self._read_options() == self._options
        )

    def count_step(self) -> None:
        """What a step leaves in Python: versions, and the counts of optimizers and batch norms."""
        for optimizer in self.optimizers:
            optimizer._step_count += 1
            for state in optimizer.state.values():
                if "step" in state:
                    state["step"] += 1
        for parameter in self.parameters:
            parameter._version[0] += 1
        for module in self.modules:
            count = getattr(module, "num_batches_tracked", None)
            if count is not None and module.training:
                count.data[...] += 1


def _results(value: Any) -> list[Tensor]:
    """The tensors that a step returns."""
    if value is None:
        return []
    found = [value] if isinstance(value, Tensor) else value
    if not isinstance(found, list | tuple) or not all(isinstance(t, Tensor) for t in found):
        raise TypeError(
            f"record: the step must return None, a Tensor or a tuple of them, "
            f"got {type(value).__name__}"
        )
    return list(found)


def _arrays(value: Any) -> list[np.ndarray]:
    return [tensor.data for tensor in _results(value)]


def _buffer(tensor: Tensor) -> Tensor:
    """A tensor of the same values where the recorded calls read their input: images channels-last,
    as the kernels want them.
    """
    array = tensor.data
    if array.ndim == 4 and array.dtype is FLOAT32:
        return Tensor(array.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2))
    return Tensor(array.copy())


class _Recording:
    """The step for inputs of some shapes, from its first call to its repetitions."""

    def __init__(self, step: Callable[..., Any], watched: tuple[Any, ...]) -> None:
        self._step, self._watched = step, watched
        self._stages: Iterator[Callable[..., Any]] | None = None
        self._watch = _Watch(watched)
        self._noted: Any = None

    def __call__(self, inputs: tuple[Tensor, ...]) -> Any:
        if self._stages is None or not self._watch.holds():
            self._watch = _Watch(self._watched)
            self._stages = iter((self._run, self._note, self._check))
        return next(self._stages, self._repeat)(inputs)

    def _run(self, inputs: tuple[Tensor, ...]) -> Any:
        """As it is: buffers that belong to a first step are made here."""
        return self._step(*inputs)

    def _traced(self, inputs: Sequence[Tensor], noting: bool) -> tuple[TracingBackend, Any]:
        """The backend that the step ran on, and the step's result."""
        known = [tensor.data for tensor in [*inputs, *self._watch.tensors]]
        backend = TracingBackend(known, bool(self._watch.optimizers), noting)
        previous = set_active(backend)
        try:
            result = self._step(*inputs)
            for position, tensor in enumerate(_results(result)):
                if not backend.is_known(tensor.data):
                    raise RuntimeError(f"record: result {position} must come from a kernel")
        except BaseException:
            self._stages = None
            raise
        finally:
            set_active(previous)
        return backend, result

    def _note(self, inputs: tuple[Tensor, ...]) -> Any:
        self._inputs = [_buffer(tensor) for tensor in inputs]
        self._noted, self._result = self._traced(self._inputs, True)
        self._gradients = [parameter.grad for parameter in self._watch.parameters]
        return self._result

    def _replay(self, inputs: tuple[Tensor, ...]) -> None:
        for buffer, tensor in zip(self._inputs, inputs, strict=True):
            np.copyto(buffer.data, tensor.data)
        self._noted.calls.replay()
        # Another recording, or the step itself, may have left gradients of its own.
        for parameter, gradient in zip(self._watch.parameters, self._gradients, strict=True):
            parameter.grad = gradient

    def _check(self, inputs: tuple[Tensor, ...]) -> Any:
        """Both ways from the same state: the bits must be those of the step itself."""
        updated = self._noted.updated
        before = [array.copy() for array in updated]
        self._replay(inputs)
        repeated = [array.copy() for array in [*updated, *_arrays(self._result)]]
        for array, value in zip(updated, before, strict=True):
            array[...] = value
        backend, result = self._traced(inputs, False)
        same = backend.trace == self._noted.trace and all(
            np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
            for a, b in zip(repeated, [*updated, *_arrays(result)], strict=True)
        )
        if not same:
            self._stages = None
            raise RuntimeError(
                "record: the step's kernels alone do not give the step's results; what it computes "
                "without them, in NumPy or Python, or differently in each call, is not repeatable"
            )
        self._noted.trace.clear()
        return result

    def _repeat(self, inputs: tuple[Tensor, ...]) -> Any:
        self._replay(inputs)
        self._watch.count_step()
        return self._result


class RecordedStep:
    """What `record` returns."""

    def __init__(self, step: Callable[..., Any], watched: tuple[Any, ...]) -> None:
        self._step, self._watched = step, watched
        self._recordings: dict[Any, _Recording] = {}

    def __call__(self, *inputs: Tensor) -> Any:
        """The step on `inputs`, tensors that require no gradient."""
        for position, tensor in enumerate(inputs):
            if not isinstance(tensor, Tensor):
                raise TypeError(
                    f"record: input {position} must be a Tensor, got {type(tensor).__name__}"
                )
            if tensor._requires_grad:
                raise ValueError(f"record: input {position} must not require a gradient")
        if active_name() != "cpu":
            return self._step(*inputs)
        key = tuple((tensor.data.shape, tensor.data.dtype.str) for tensor in inputs)
        recording = self._recordings.get(key)
        if recording is None:
            recording = self._recordings[key] = _Recording(self._step, self._watched)
        return recording(inputs)


def record(step: Callable[..., Any], *watched: Module | Optimizer) -> RecordedStep:
    """A function like `step` that after three calls repeats its kernels alone, without Python.

    `step` takes tensors and returns a tensor, a tuple of tensors or None. The first call with
    inputs of some shapes runs it as it is, the second notes its kernels, the third runs it both
    ways and raises RuntimeError unless the bits agree; the later ones are repetitions, with the
    same bits as `step`. They return the tensors of the second call with new values in them. What
    `step` does beside kernels, printing for example, is not repeated.

    `watched` are the modules and optimizers that `step` uses: when their mode, options (a new
    learning rate) or arrays change, the recording begins anew; so a learning rate that changes in
    each step leaves nothing to repeat. An optimizer must be among them for its step to be
    recorded. After a change to a module's layers, record anew.

    Raises RuntimeError for a kernel that is not repeatable, which it names: random numbers, and
    what `neurona.backends.tracing.REPEATABLE` does not list.

    >>> import neurona
    >>> from neurona import nn, optim
    >>> model = nn.Linear(3, 2)
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> def step(x, y):
    ...     loss = nn.functional.cross_entropy(model(x), y)
    ...     optimizer.zero_grad()
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    >>> fast = neurona.record(step, model, optimizer)
    >>> x, y = neurona.randn(8, 3), neurona.randint(0, 2, (8,))
    >>> losses = [fast(x, y).item() for _ in range(10)]
    >>> losses[9] < losses[0]
    True
    """
    if not callable(step):
        raise TypeError(f"record: step must be callable, got {type(step).__name__}")
    for item in watched:
        if not isinstance(item, Module | Optimizer):
            raise TypeError(
                f"record: watched must be modules and optimizers, got {type(item).__name__}"
            )
    return RecordedStep(step, watched)
