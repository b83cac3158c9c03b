"""The kernels on a CUDA device: those of the waist, taking and returning DeviceArrays.

The extension neurona._cuda is optional. It is imported on first use, so that a CPU-only install
neither needs it nor pays for it.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

from .device_array import DeviceArray
from .waist import KERNELS

PRECISIONS = ("highest", "high", "medium")

_loaded: ModuleType | None = None
product_precision = "highest"


def use_extension(module: ModuleType | None) -> ModuleType | None:
    """Make `module` the extension (None: find it again) and return the one it replaces."""
    global _loaded
    previous, _loaded = _loaded, module
    set_product_precision(product_precision)
    return previous


def set_product_precision(precision: str) -> None:
    """`neurona.set_float32_matmul_precision`; it also holds for an extension loaded later."""
    global product_precision
    if precision not in PRECISIONS:
        raise ValueError(
            f"set_float32_matmul_precision: precision must be one of {PRECISIONS}, "
            f"got {precision!r}"
        )
    product_precision = precision
    if _loaded is not None:
        _loaded.set_product_precision(precision)


def problem() -> str | None:
    """What is missing for computing on a device, in one sentence; None if nothing is."""
    try:
        extension()
    except RuntimeError as error:
        return str(error)
    return None


def extension() -> ModuleType:
    """The extension module; RuntimeError saying in one sentence what is missing."""
    if _loaded is not None:
        return _loaded
    try:
        found = importlib.import_module("neurona._cuda")
    except ImportError as error:
        raise RuntimeError(
            "cuda: this build of neurona has no CUDA kernels; build it where nvcc is found with "
            f"the CMake option NEURONA_CUDA=ON ({error})"
        ) from None
    if found.device_count() == 0:
        raise RuntimeError(
            f"cuda: no CUDA device was found ({found.device_problem()}); an NVIDIA GPU is needed, "
            "and a driver as new as the CUDA toolkit that neurona was built with"
        )
    use_extension(found)
    return found


def _there(value: Any) -> Any:
    if type(value) is DeviceArray:
        return value._memory
    if type(value) is list:
        return [_there(item) for item in value]
    return value


def _back(result: Any) -> Any:
    if type(result) is tuple:
        return tuple([_back(item) for item in result])
    return DeviceArray(result) if type(result) is np.ndarray else result


def _kernel(name: str) -> Any:
    def kernel(*arguments: Any, **options: Any) -> Any:
        function = getattr(extension(), name)
        return _back(
            function(
                *[_there(value) for value in arguments],
                **{key: _there(value) for key, value in options.items()},
            )
        )

    kernel.__name__ = kernel.__qualname__ = name
    return kernel


globals().update({name: _kernel(name) for name in KERNELS})


def __getattr__(name: str) -> Any:
    raise AttributeError(f"backend 'cuda' has no kernel {name!r}")
