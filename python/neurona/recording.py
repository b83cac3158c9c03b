"""A training step or a prediction recorded once and repeated without Python.

Python's part of a step of a small network, tens of microseconds for layers, autograd and optimizer,
is the same in each step as long as the shapes are. `record` runs the step, notes which kernels it
called on which memory, and from then on calls these alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from .autograd import enable_grad, no_grad, wrap
from .backends import FLOAT32, DeviceArray, active_name, cuda, set_active
from .backends.tracing import TracingBackend
from .nn import Module
from .optim import SGD, Adam, AdamW
from .optim.optimizer import Optimizer
from .random import default_generator
from .recorded_state import Draws, State, Updates
from .tensor import Tensor

_tracing = threading.Lock()  # the active backend is one for the whole process


# The options of optimizers with which a step is not one kernel.
_ONLY = {"velocity": False, "bias_correction": True, "eps_inside": False}


def _buffer(tensor: Tensor) -> Tensor:
    """A tensor of the same values where the recorded calls read their input: images channels-last,
    as the kernels want them.
    """
    array = tensor.data
    if array.ndim == 4 and array.dtype == FLOAT32:
        return Tensor(array.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2))
    return Tensor(array.copy())


def _same(a: Sequence[Any], b: Sequence[Any]) -> bool:
    pairs = zip(map(_on_host, a), map(_on_host, b), strict=True)
    return len(a) == len(b) and all(
        np.array_equal(x, y, equal_nan=x.dtype.kind == "f") for x, y in pairs
    )


def _on_host(array: Any) -> np.ndarray:
    return array.numpy() if type(array) is DeviceArray else array


def _memories(tensors: Sequence[Any]) -> list[np.ndarray]:
    """The arrays of tensors on the device, as its extension knows them."""
    return [tensor.data._memory for tensor in tensors]


def _form(tensor: Tensor) -> tuple[Any, ...]:
    """What must be the same for the recorded kernels to be those of another input."""
    array: Any = tensor.data
    memory = array._memory if type(array) is DeviceArray else array
    return type(array), memory.shape, memory.dtype.char


def _is_plain(tensor: Any) -> bool:
    return isinstance(tensor, Tensor) and not tensor._requires_grad


class _Recording:
    """The step for inputs of some shapes, from its first call to its repetitions."""

    def __init__(self, recorded: Recorded) -> None:
        self._step = recorded._step
        self._state = State(recorded._model, recorded._optimizer)
        self._graph: Any = None
        self._updates: Updates | None = None
        self._keys: list[Any] = []
        self._optimizer = recorded._optimizer
        self._stages: Iterator[Callable[..., Tensor]] = iter((self._run, self._note, self._check))

    def holds(self) -> bool:
        if not self._state.holds():
            return False
        if self._updates is None:
            return True
        keys = self._updates.keys()
        self._keys = keys or []
        return keys is not None

    def raise_late_error(self) -> None:
        if self._graph is not None:
            self._graph.raise_late_error()

    def _at_home(self, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        """The inputs where the model is."""
        if self._state.device == "cpu":
            return list(inputs)
        return [x if type(x.data) is DeviceArray else x.to("cuda") for x in inputs]

    def __call__(self, inputs: tuple[Tensor, ...]) -> Tensor:
        return next(self._stages, self._repeat)(inputs)

    def _run(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """As it is: the optimizer's buffers are made here."""
        result = self._step(*self._at_home(inputs))
        self._state.remember()
        return result

    def _traced(self, noting: bool) -> tuple[TracingBackend, Tensor]:
        """The backend that the step ran on, with `self._inputs`, and the step's result."""
        known = [*(tensor.data for tensor in self._inputs), *self._state.arrays()]
        backend = TracingBackend(known, noting, self._state.device)
        with _tracing:
            if active_name() != "cpu":
                raise RuntimeError(f"record: the backend must be 'cpu', got {active_name()!r}")
            previous = set_active(backend)
            try:
                result = self._step(*self._inputs)
            finally:
                set_active(previous)
        if not isinstance(result, Tensor):
            raise TypeError(f"record: the model must return a Tensor, got {type(result).__name__}")
        if not backend.is_result(result.data):
            raise RuntimeError("record: the result must come from a kernel, it comes from NumPy")
        return backend, result

    def _note(self, inputs: tuple[Tensor, ...]) -> Tensor:
        reason = self._state.objection()
        if reason is not None:
            raise RuntimeError(f"record: {reason}")
        self._inputs = [_buffer(tensor) for tensor in self._at_home(inputs)]
        counts = [int(count) for count in self._state.counts]
        draws = default_generator.get_state()
        self._noted, self._result = self._traced(True)
        self._draws = Draws(draws, self._noted.draws, self._noted.calls.change)
        self._counters = [
            (count, int(count) - before)
            for count, before in zip(self._state.counts, counts, strict=True)
        ]
        self._gradients = [parameter.grad for parameter in self._state.parameters]
        for gradient in self._gradients if self._optimizer is not None else []:
            if gradient is not None and not self._noted.is_result(gradient.data):
                raise RuntimeError("record: every gradient must come from a kernel")
        if self._optimizer is not None:
            calls = self._noted.calls
            self._updates = Updates(self._optimizer, self._noted.updates, calls.change)
        return Tensor(self._result.data.copy(order="K"))

    def _copy_inputs(self, inputs: tuple[Tensor, ...]) -> None:
        for buffer, tensor in zip(self._inputs, inputs, strict=True):
            buffer.data[...] = tensor.data

    def _check(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Both ways from the same state: the bits must be those of the step itself."""
        if self._state.device == "cuda":
            cuda.extension().synchronize()  # whose late error is no result of this step
        self._copy_inputs(inputs)
        self._give_numbers(advance=False)
        changed = self._state.changed_arrays()
        before = [array.copy(order="K") for array in changed]
        try:
            self._noted.calls.replay()
            repeated = [array.copy(order="K") for array in [*changed, *self._outcome(self._result)]]
        except ValueError:  # a wrong target: below, the step itself says so, having counted
            repeated = []
        finally:
            for array, value in zip(changed, before, strict=True):
                array[...] = value
        backend, result = self._traced(False)
        if backend.trace != self._noted.trace or not _same(
            repeated, [*changed, *self._outcome(result)]
        ):
            raise RuntimeError(
                "record: the kernels alone do not give the step's results; what is computed "
                "without them, in NumPy or Python, or differently in each call, is not repeatable "
                "(this call's step was made as it is)"
            )
        self._noted.trace.clear()
        if self._state.device == "cuda":
            self._graph = self._captured()
        self._restore_gradients()
        return Tensor(result.data.copy(order="K"))

    def _captured(self) -> Any:
        """The noted calls as a CUDA graph, from whose launch the result comes."""
        return self._noted.calls.capture(_memories(self._inputs), *_memories([self._result]))

    def _outcome(self, result: Tensor) -> list[np.ndarray]:
        """The result and the gradients: those of the noted call, or those that a step just left."""
        own = result is self._result
        gradients = self._gradients if own else [p.grad for p in self._state.parameters]
        if self._optimizer is None:
            gradients = []
        return [result.data, *(gradient.data for gradient in gradients if gradient is not None)]

    def _give_numbers(self, advance: bool) -> None:
        self._draws.give_numbers(advance)
        if self._updates is not None:
            self._updates.give_numbers(self._keys)

    def _restore_gradients(self) -> None:
        if self._optimizer is not None:
            for parameter, gradient in zip(self._state.parameters, self._gradients, strict=True):
                parameter.grad = gradient

    def _repeat(self, inputs: tuple[Tensor, ...]) -> Tensor:
        if self._graph is None:
            self._copy_inputs(inputs)
        else:
            inputs = tuple(self._at_home(inputs))
        # The forward pass counts and draws, so a step that then fails at its loss has done so too.
        for count, increment in self._counters:
            count[...] += increment
        self._give_numbers(advance=True)
        result = self._replay(inputs)
        if self._optimizer is not None:
            self._finish_step(self._optimizer)
        repeated: Tensor = wrap(result)
        return repeated

    def _replay(self, inputs: tuple[Tensor, ...]) -> Any:
        if self._graph is not None:
            return DeviceArray(self._graph.launch(_memories(inputs)))
        self._noted.calls.replay()
        return self._result.data.copy(order="K")

    def _finish_step(self, optimizer: Optimizer) -> None:
        """What Python does in a training step beside calling kernels."""
        assert self._updates is not None
        self._restore_gradients()
        self._updates.count(self._keys)
        optimizer._step_count += 1
        for parameter in self._state.parameters:
            parameter._version[0] += 1


class Recorded:
    """What `record` returns: a function of a batch, or of a batch and its targets."""

    def __init__(
        self, model: Module, loss: Callable[..., Tensor] | None, optimizer: Optimizer | None
    ) -> None:
        self._model, self._loss, self._optimizer = model, loss, optimizer
        self._step: Callable[..., Tensor] = self._predict if loss is None else self._train
        self._names = ("x",) if loss is None else ("x", "target")
        self._recordings: dict[Any, _Recording] = {}
        self._lock = threading.RLock()

    def _predict(self, x: Tensor) -> Tensor:
        with no_grad():
            result: Tensor = self._model(x)
            return result

    def _train(self, x: Tensor, target: Tensor) -> Tensor:
        assert self._loss is not None and self._optimizer is not None
        with enable_grad():
            loss = self._loss(self._model(x), target)
            for parameter in self._model.parameters():
                parameter.grad = None
            loss.backward()
        self._optimizer.step()
        return Tensor(loss.data)

    def _refuse(self, inputs: tuple[Any, ...]) -> None:
        """Raises the error that says what is wrong with them."""
        names = self._names
        if len(inputs) != len(names):
            raise TypeError(f"record: inputs must be {', '.join(names)}, got {len(inputs)} of them")
        for name, tensor in zip(names, inputs, strict=True):
            if not isinstance(tensor, Tensor):
                raise TypeError(f"record: {name} must be a Tensor, got {type(tensor).__name__}")
            if tensor._requires_grad:
                raise ValueError(f"record: {name} must not require a gradient")

    def __call__(self, *inputs: Tensor) -> Tensor:
        """The loss of a training step on (x, target), or the prediction for (x,): a new tensor."""
        if len(inputs) != len(self._names) or not all(map(_is_plain, inputs)):
            self._refuse(inputs)
        with self._lock:
            if active_name() != "cpu":
                return self._step(*inputs)
            key = tuple(map(_form, inputs))
            for recording in self._recordings.values():
                recording.raise_late_error()
            found = self._recordings.pop(key, None)
            recording = found if found is not None and found.holds() else _Recording(self)
            result = recording(inputs)
            self._recordings[key] = recording  # not after an error: then it begins anew
            return result


def record(
    model: Module, loss: Callable[..., Tensor] | None = None, optimizer: Optimizer | None = None
) -> Recorded:
    """A function that, after three calls, repeats a step's kernels alone, without Python.

    `record(model)` predicts: `predict(x)` is `model(x)` without gradients. `record(model, loss,
    optimizer)` trains: `step(x, target)` is forward, `loss(output, target)`, backward from cleared
    gradients and the optimizer's step, and returns the loss. The bits are those of the step made by
    hand: the first call with inputs of some shapes makes it, the second notes its kernels, the
    third makes it both ways and raises RuntimeError unless all arrays agree.

    The optimizer's numbers (learning rate, momentum, betas, weight decay) may change in each step,
    and dropout makes the next draws of the default generator. Other options of the optimizer,
    modes, attributes and arrays of the model begin the recording anew. The model must compute with
    tensors: what its `forward` does besides, such as printing, is not repeated.

    With the model on the device "cuda" the kernels become a CUDA graph; inputs may lie on the host
    or on the device. A repeated step then does not wait, so an error that a kernel finds, such as a
    label that is no class, is raised late, by whoever next waits (reading the loss,
    `neurona.cuda.synchronize`) or by a later call of the step, which does nothing else. By then the
    step has been made, and perhaps more; samples with wrong labels count as ignored in it.

    Raises TypeError and ValueError for a wrong kind of argument: the optimizer must be an SGD
    without `velocity`, an Adam or an AdamW, over parameters of the model. A call raises
    RuntimeError for what is not repeatable, which it names: kernels that are not listed in
    `neurona.backends.tracing.REPEATABLE`, hooks, parameters that are not float32, and
    reading a tensor's value in Python.

    >>> import neurona
    >>> from neurona import nn, optim
    >>> model = nn.Linear(3, 2)
    >>> optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    >>> step = neurona.record(model, nn.CrossEntropyLoss(), optimizer)
    >>> x, y = neurona.randn(8, 3), neurona.randint(0, 2, (8,))
    >>> losses = [step(x, y).item() for _ in range(10)]
    >>> losses[9] < losses[0]
    True
    """
    if not isinstance(model, Module):
        raise TypeError(f"record: model must be a Module, got {type(model).__name__}")
    if (loss is None) != (optimizer is None):
        raise TypeError("record: loss and optimizer must be given both or neither")
    if loss is not None and not callable(loss):
        raise TypeError(f"record: loss must be callable, got {type(loss).__name__}")
    if optimizer is not None:
        if type(optimizer) not in (SGD, Adam, AdamW):
            raise TypeError(
                f"record: optimizer must be an SGD, Adam or AdamW, got {type(optimizer).__name__}"
            )
        for option, allowed in _ONLY.items():
            if any(group.get(option, allowed) != allowed for group in optimizer.param_groups):
                raise ValueError(f"record: optimizer must have {option}={allowed}, for its kernel")
        own = {id(parameter) for parameter in model.parameters()}
        for group in optimizer.param_groups:
            if any(id(parameter) not in own for parameter in group["params"]):
                raise ValueError("record: optimizer must have parameters of the model only")
    return Recorded(model, loss, optimizer)
