"""A backend that notes which kernels run on which memory, so that they can be run again alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import reference
from . import cpu, cuda, device_backend, named
from .device_array import DeviceArray
from .waist import KERNELS

# Kernels that can be run again by themselves: their bindings call them through run_kernel.h. The
# others have not been needed in a step.
REPEATABLE = frozenset(
    [
        *["linear_forward", "linear_backward_data", "linear_backward_weight"],
        *["linear_backward", "reorder"],
        *["conv2d_forward", "conv2d_backward_data", "conv2d_backward_weight", "conv2d_backward"],
        *["conv2d_backward_bias", "conv_transpose2d_forward", "conv_transpose2d_backward_data"],
        *["conv_transpose2d_backward_weight", "max_pool2d_forward", "max_pool2d_backward"],
        *["min_pool2d_forward", "min_pool2d_backward", "avg_pool2d_forward"],
        *["avg_pool2d_backward", "adaptive_avg_pool2d_forward", "adaptive_avg_pool2d_backward"],
        *["batch_norm_forward", "batch_norm_backward", "cross_entropy_forward"],
        *["add", "sub", "mul", "div", "sgd_step", "adam_step", "dropout"],
        *[kernel for kernel in KERNELS if kernel in vars(reference.activation)],
    ]
)


# Kernels that may be given other numbers in each repetition.
_UPDATES = frozenset(["sgd_step", "adam_step"])


def _leaves(values: Any) -> Iterator[Any]:
    """The arguments of a call, those in lists one by one."""
    for value in values:
        if isinstance(value, list | tuple):
            yield from _leaves(value)
        else:
            yield value


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray | DeviceArray)


def _address(array: Any) -> int:
    memory = array._memory if isinstance(array, DeviceArray) else array
    return int(memory.__array_interface__["data"][0])


class _Side:
    """The kernels of the host or of the device, traced."""

    name = "recording"

    def __init__(self, tracing: TracingBackend, kernels: Any) -> None:
        self._tracing, self._kernels = tracing, kernels

    def __getattr__(self, kernel: str) -> Any:
        if kernel not in KERNELS:
            raise AttributeError(f"backend 'recording' has no kernel {kernel!r}")
        compiled = getattr(self._kernels, kernel)
        return compiled if kernel == "conv2d_plan" else self._tracing.traced(self, kernel, compiled)

    def refuse(self, what: str) -> None:
        """Raise, if this thread is the one that is traced, since `what` cannot be repeated."""
        self._tracing.refuse(what)


class TracingBackend(_Side):
    """The compiled kernels; calls from this thread are traced and, with `noting`, noted.

    The step runs on the host or on the device "cuda", not on both. The trace holds of each call its
    name, its numbers, and the addresses of arrays that come from elsewhere: not from `known` nor
    from an earlier kernel. Two runs of a step whose traces differ compute something without
    kernels. What an optimizer's kernel is given besides arrays, and the seed and the offset of a
    random draw, are left out: see `updates` and `draws`.
    """

    def __init__(self, known: list[Any], noting: bool, device: str = "cpu") -> None:
        super().__init__(self, named("cpu"))
        self._device = device
        self.calls = (cuda.extension() if device == "cuda" else cpu).Recording()
        self.kept: list[Any] = []  # arguments and results: the memory of the calls
        self.trace: list[tuple[Any, ...]] = []
        self.updates: list[tuple[int, list[Any]]] = []  # an optimizer's calls, with the parameters
        self.draws: list[tuple[int, int, int]] = []  # number of a call, its seed and its offset
        self._known, self._results = list(known), list[Any]()
        self._noting = noting
        self._thread = threading.get_ident()

    @property
    def on_device(self) -> _Side:
        """What runs for arrays on the device."""
        return _Side(self, device_backend())

    def traced(self, side: _Side, kernel: str, compiled: Any) -> Any:
        """The kernel with what tracing adds to it."""
        device = "cpu" if side is self else "cuda"

        def traced(*args: Any, **kwargs: Any) -> Any:
            if threading.get_ident() != self._thread:
                return compiled(*args, **kwargs)
            if kernel not in REPEATABLE:
                self.refuse(kernel)
            if device != self._device:
                self.refuse(f"{kernel} on the device {device!r}")
            run = self._note if self._noting else self._call
            result = run(kernel, compiled, args, kwargs)
            self._trace(kernel, args, kwargs)
            self.kept.append((args, kwargs, result))
            results = result if isinstance(result, tuple) else (result,)
            self._results += [array for array in results if _is_array(array)]
            return result

        return traced

    def is_result(self, array: Any) -> bool:
        """Whether it is, or shares memory with, what a kernel returned."""
        if array.size == 0:
            return True
        return any(np.may_share_memory(array, result) for result in self._results)

    def refuse(self, what: str) -> None:
        """Raise, if this thread is the one that is traced, since `what` cannot be repeated."""
        if threading.get_ident() == self._thread:
            raise RuntimeError(f"record: the step must not call {what}, which is not repeatable")

    def _call(self, kernel: str, compiled: Any, args: Any, kwargs: Any) -> Any:
        return compiled(*args, **kwargs)

    def _note(self, kernel: str, compiled: Any, args: Any, kwargs: Any) -> Any:
        noted_before = self.calls.size
        self.calls.start()
        try:
            result = compiled(*args, **kwargs)
        finally:
            self.calls.stop()
        if self.calls.refusal:
            raise RuntimeError(f"record: {kernel} is not repeatable: {self.calls.refusal}")
        if self.calls.size == noted_before:
            raise RuntimeError(f"record: {kernel} ran without being noted")
        if kernel in _UPDATES:
            self.updates.append((noted_before, args[0]))
        if kernel == "dropout":
            self.draws.append((noted_before, *args[2:]))
        return result

    def _trace(self, kernel: str, args: Any, kwargs: Any) -> None:
        numbers: list[Any] = []
        addresses: list[int] = []
        for value in _leaves([*args, *kwargs.values()]):
            if not _is_array(value):
                numbers.append(value)
            elif not self.is_result(value) and not any(
                np.may_share_memory(value, known) for known in self._known
            ):
                addresses.append(_address(value))
        if kernel in _UPDATES:
            numbers.clear()
        if kernel == "dropout":
            del numbers[1:]  # all but p
        self.trace.append((kernel, tuple(kwargs), numbers, addresses))
