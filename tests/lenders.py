"""Arrays of other libraries, as the tests of DLPack and of the CUDA array interface play them."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numpy as np

from neurona.backends import DeviceArray


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    """0, 1, 2, .. in C order."""
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


def on_device(*shape: int, dtype: str = "float32") -> DeviceArray:
    """The same there."""
    return DeviceArray.from_host(numbers(*shape, dtype=dtype))


def references(array: DeviceArray) -> int:
    """To its memory, by whoever keeps it alive. In a function of its own, since pytest prints what
    a failing test compares, and nobody may read that.
    """
    return sys.getrefcount(array._memory)


class Lender:
    """Another library's array: it has the methods of DLPack and nothing else."""

    def __init__(self, array: Any, **changes: Any) -> None:
        self.array, self.changes = array, changes
        self.asked: dict[str, Any] = {}

    def __dlpack__(self, **options: Any) -> Any:
        self.asked = options
        return self.array.__dlpack__(**{**options, **self.changes})

    def __dlpack_device__(self) -> Any:
        return (2, 0)


class OldLender(Lender):
    """From before DLPack 1.0, which knew no argument but the stream."""

    def __dlpack__(self, stream: Any = None) -> Any:
        self.asked = {"stream": stream}
        return self.array.__dlpack__(stream=stream)


class DLTensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64),
    ]  # fmt: skip


DELETER = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class DLManaged(ctypes.Structure):
    _fields_ = [("tensor", DLTensor), ("context", ctypes.c_void_p), ("deleter", DELETER)]


class DLVersioned(ctypes.Structure):
    _fields_ = [
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p),
        ("deleter", DELETER), ("flags", ctypes.c_uint64), ("tensor", DLTensor),
    ]  # fmt: skip


new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype = ctypes.py_object
new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
capsule_pointer.restype = ctypes.c_void_p
capsule_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
rename_capsule = ctypes.pythonapi.PyCapsule_SetName
rename_capsule.argtypes = [ctypes.py_object, ctypes.c_char_p]


class Forger:
    """A lender whose capsules are made by hand: 3 x 4 floats, and what the test changes."""

    def __init__(self, versioned: bool = True, **changes: Any) -> None:
        self.array = on_device(3, 4)
        self.deleted = 0
        self.shape = (ctypes.c_int64 * 2)(3, 4)
        self.strides = (ctypes.c_int64 * 2)(4, 1)
        fields: dict[str, Any] = {
            "data": self.array.__cuda_array_interface__["data"][0], "device_type": 2, "ndim": 2,
            "code": 2, "bits": 32, "lanes": 1, "shape": self.shape, "strides": self.strides,
            "major": 1, "name": None, "deleter": DELETER(self._delete), "flags": 0, **changes,
        }  # fmt: skip
        name = fields.pop("name")
        major, flags, deleter = (fields.pop(key) for key in ("major", "flags", "deleter"))
        tensor = DLTensor(**fields)
        self.deleter = deleter
        if versioned:
            self.managed: Any = DLVersioned(major, 0, None, deleter, flags, tensor)
            self.name = name or b"dltensor_versioned"
        else:
            self.managed = DLManaged(tensor, None, deleter)
            self.name = name or b"dltensor"

    def _delete(self, _managed: Any) -> None:
        self.deleted += 1

    def __dlpack_device__(self) -> Any:
        return (2, 0)

    def __dlpack__(self, **_options: Any) -> Any:
        return new_capsule(ctypes.addressof(self.managed), self.name, None)


def counts(*values: int) -> Any:
    return (ctypes.c_int64 * len(values))(*values)


class Interface:
    """Another library's array that has `__cuda_array_interface__` alone."""

    def __init__(self, array: DeviceArray, **changes: Any) -> None:
        told = {**array.__cuda_array_interface__, **changes}
        self.__cuda_array_interface__ = {
            key: value for key, value in told.items() if value is not Ellipsis
        }
        self.array = array
