"""CUDA devices: whether there is one, and what it is.

`neurona.tensor(...).to("cuda")` and `model.to("cuda")` move tensors and models to the device, after
which everything else stays as it is. The kernels are in an extension of their own, which an
ordinary installation does not have.
"""

from __future__ import annotations

from .backends import cuda as _backend

__all__ = ["device_count", "get_device_name", "is_available", "problem", "synchronize"]


def problem() -> str | None:
    """What is missing for computing on a device, in one sentence; None if nothing is."""
    return _backend.problem()


def is_available() -> bool:
    """Whether tensors can be moved to the device "cuda"; never raises.

    >>> import neurona
    >>> neurona.cuda.is_available() == (neurona.cuda.problem() is None)
    True
    """
    return _backend.problem() is None


def device_count() -> int:
    """The number of devices that can be used; 0 where there is none."""
    return int(_backend.extension().device_count()) if is_available() else 0


def get_device_name() -> str:
    """The name of the device. RuntimeError where there is none."""
    return str(_backend.extension().device_name())


def synchronize() -> None:
    """Wait for all that the device has been told to do.

    Raises RuntimeError where there is none, and what a recorded step found wrong on the device
    (`neurona.record`).
    """
    _backend.extension().synchronize()
