"""Device arrays lent to other libraries and borrowed from them without a copy: DLPack, and the CUDA
array interface.

Memory may still be written when it changes hands. DLPack lets the reader name the stream on which
it will read; the lender makes that stream wait for its own, and nobody waits on the host.
"""

from __future__ import annotations

import operator
from types import ModuleType
from typing import Any

import numpy as np

from .device_array import DeviceArray

CPU, CUDA = 1, 2  # DLPack's numbers of devices

_KINDS = {"f4", "b1", *(f"{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8))}


def _extension() -> ModuleType:
    from . import cuda

    return cuda.extension()


def _stream(op: str, value: Any, lowest: int) -> int:
    """A stream's number; 0 could be either of two streams, so both protocols forbid it."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"{op}: stream must be an int or None, got {type(value).__name__}"
        ) from None
    if number == 0 or not lowest <= number < 2**63:
        raise ValueError(f"{op}: stream must be {lowest} or more and not 0, got {number}")
    return number


def _pair(op: str, name: str, value: Any) -> tuple[int, int]:
    try:
        first, second = (operator.index(part) for part in value)
    except (TypeError, ValueError):
        raise TypeError(f"{op}: {name} must be a pair of ints, got {value!r:.60}") from None
    return first, second


def lend(array: DeviceArray, stream: Any, max_version: Any, dl_device: Any, copy: Any) -> Any:
    """`DeviceArray.__dlpack__`."""
    op = "__dlpack__"
    device = (CUDA, 0) if dl_device is None else _pair(op, "dl_device", dl_device)
    version = (0, 0) if max_version is None else _pair(op, "max_version", max_version)
    if device == (CPU, 0):
        if copy is False:
            raise BufferError(f"{op}: the CPU can read only a copy, and copy=False forbids it")
        if stream is not None:
            raise ValueError(f"{op}: stream must be None for the CPU, got {stream!r}")
        return lend_from_host(array.numpy(), max_version=max_version)
    if device != (CUDA, 0):
        raise BufferError(f"{op}: dl_device must be the CUDA device or the CPU, got {device}")
    reader = 1 if stream is None else _stream(op, stream, -1)
    extension = _extension()
    memory = extension.copied(array._memory, "K") if copy else array._memory
    capsule = extension.to_dlpack(memory, version >= (1, 0), bool(copy), reader)
    if reader != -1:
        extension.let_wait(reader)
    return capsule


def lend_from_host(array: np.ndarray, **options: Any) -> Any:
    """NumPy's own capsule; arguments that are None are left out, as old versions lack them."""
    return array.__dlpack__(**{key: value for key, value in options.items() if value is not None})


def device_of(source: Any) -> int | None:
    """DLPack's number for the kind of device that an array of others is on; None without DLPack."""
    if not (hasattr(source, "__dlpack__") and hasattr(source, "__dlpack_device__")):
        return None
    return _pair("from_dlpack", "__dlpack_device__()", source.__dlpack_device__())[0]


def borrow(source: Any) -> DeviceArray:
    """The array of another library on the device, sharing its memory, by DLPack."""
    extension = _extension()
    stream = extension.stream_number()
    try:
        capsule = source.__dlpack__(stream=stream, max_version=(1, 0))
    except TypeError:  # a lender from before DLPack 1.0
        capsule = source.__dlpack__(stream=stream)
    return DeviceArray(extension.from_dlpack(capsule))


def borrow_by_interface(source: Any) -> DeviceArray:
    """The array of another library on the device, sharing its memory, by the CUDA array interface.

    Raises TypeError for what the interface cannot mean or the device cannot hold, BufferError for
    memory that is not the device's.
    """
    op = "__cuda_array_interface__"
    told = source.__cuda_array_interface__
    try:
        version, shape = operator.index(told["version"]), _ints(told["shape"])
        address, read_only = told["data"]
        address, read_only = operator.index(address), bool(read_only)
        strides = None if told.get("strides") is None else _ints(told["strides"])
        dtype = np.dtype(told["typestr"])
        mask, stream = told.get("mask"), told.get("stream")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TypeError(f"{op}: not as the interface says: {error!r}") from None
    if version < 2:
        raise TypeError(f"{op}: version must be 2 or later, got {version}")
    if mask is not None:
        raise TypeError(f"{op}: arrays with a mask are not understood")
    if not dtype.isnative or f"{dtype.kind}{dtype.itemsize}" not in _KINDS:
        raise TypeError(
            f"{op}: on the device elements are float32, integers or booleans, got {dtype}"
        )
    if not 0 <= address < 2**64 or any(abs(n) >= 2**63 for n in (*shape, *(strides or ()))):
        raise BufferError(f"{op}: the array is larger than any memory")
    reader = None if stream is None or version < 3 else _stream(op, stream, 1)
    extension = _extension()
    memory = extension.borrow(dtype.str, address, shape, strides, not read_only, source)
    if reader is not None:
        extension.wait_for(reader)
    return DeviceArray(memory)


def _ints(values: Any) -> list[int]:
    return [operator.index(value) for value in values]
