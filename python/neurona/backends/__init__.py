"""Which implementation of the kernels runs: the compiled one, the NumPy reference, or both.

Functions fetch it once per call with `current(array.dtype)` and call the kernels of docs/kernels.md
as its attributes. The choice is one for the whole process, as a debugging switch should be; the
environment variable NEURONA_BACKEND sets it from outside.
"""

from __future__ import annotations

import os
import warnings
from types import TracebackType
from typing import Any

import numpy as np

from . import cpu
from . import exchange as exchange
from .device_array import DEVICE_FLOAT32
from .device_array import DeviceArray as DeviceArray
from .waist import KERNELS

FLOAT32 = np.dtype(np.float32)
NAMES = ("cpu", "reference")


class Backend:
    """The kernels of one implementation, as attributes."""

    def __init__(self, name: str, source: Any) -> None:
        self.name = name
        # Plain attributes: a lookup in an instance's dictionary is the cheapest there is.
        vars(self).update({kernel: getattr(source, kernel) for kernel in KERNELS})

    def __getattr__(self, kernel: str) -> Any:
        raise AttributeError(f"backend {vars(self).get('name')!r} has no kernel {kernel!r}")

    def __repr__(self) -> str:
        return f"<backend {self.name!r}>"


_backends: dict[str, Backend] = {"cpu": Backend("cpu", cpu)}
_active: Any = _backends["cpu"]
_float64_note_given = False


def named(name: str) -> Backend:
    """The backend called "cpu" or "reference"; ValueError for another name."""
    if name not in NAMES:
        raise ValueError(f"use_backend: name must be one of {NAMES}, got {name!r}")
    if name not in _backends:
        from .. import reference

        _backends[name] = Backend(name, reference)
    return _backends[name]


def current(dtype: np.dtype) -> Any:
    """The backend for arrays of this dtype: the active one, but the reference for float64."""
    return _active if dtype is FLOAT32 else _for_dtype(dtype)


def _for_dtype(dtype: np.dtype) -> Any:
    global _float64_note_given
    if dtype is DEVICE_FLOAT32:
        return _on_device()
    if dtype != np.float64:
        return _active
    if _active is _backends["cpu"] and not _float64_note_given:
        _float64_note_given = True
        warnings.warn(
            "neurona: the compiled kernels compute in float32; float64 tensors run on the NumPy "
            "reference, which is exact and slow (said once)",
            UserWarning,
            stacklevel=4,
        )
    return named("reference")


def _on_device() -> Any:
    """The kernels for arrays on a CUDA device, whichever backend runs those on the host."""
    if _active.name == "verify":
        raise RuntimeError(
            "verify: runs kernels on the host only, got a tensor on the device 'cuda'; "
            "move it with .cpu()"
        )
    return _active.on_device if _active.name == "recording" else device_backend()


def device_backend() -> Any:
    """The kernels of the CUDA device."""
    if "cuda" not in _backends:
        from . import cuda

        _backends["cuda"] = Backend("cuda", cuda)
    return _backends["cuda"]


def set_active(backend: Any) -> Any:
    """Make `backend` the active one and return the one it replaces."""
    global _active
    previous, _active = _active, backend
    return previous


# What backward starts with while a step is recorded: one object, so that it is known as such.
RECORDED_ONE = np.ones((), np.float32)
RECORDED_ONE.flags.writeable = False


def refuse_while_recording(what: str) -> None:
    """Raise RuntimeError where `what` would be built into a recorded step (`neurona.record`)."""
    if _active.name == "recording":
        _active.refuse(what)


def active_name() -> str:
    """The name of the active backend: "cpu", "reference" or "verify"."""
    return _active.name


class use_backend:
    """Choose the kernels: "cpu" (compiled, the default) or "reference" (NumPy).

    As a plain call the choice stays; as a context it ends with the block. It holds for the whole
    process. Raises ValueError for an unknown name.

    >>> import neurona
    >>> with neurona.use_backend("reference"):
    ...     neurona.tensor([1.0, 2.0]).sum().item()
    3.0
    """

    def __init__(self, name: str) -> None:
        self._previous = set_active(named(name))

    def __enter__(self) -> use_backend:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        set_active(self._previous)


def verify() -> Any:
    """A context that runs every kernel on the compiled backend and on the reference in float64.

    The first kernel whose results differ by more than its stated bound (`backends/verify.py`)
    raises RuntimeError with its name, the shapes and the worst element. The context gives a
    `Report` with the number of calls compared and the worst error of each kernel, as a share of its
    bound. Slow, meant for small models and few steps.

    >>> import neurona
    >>> with neurona.verify() as report:
    ...     _ = neurona.ones(2, 3) @ neurona.ones(3, 2)
    >>> report.calls, report.worst["gemm"] <= 1
    (1, True)
    """
    from .verify import verify_context

    return verify_context()


set_active(named(os.environ.get("NEURONA_BACKEND", "cpu")))
