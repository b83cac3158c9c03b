"""The compiled kernels on plain NumPy arrays: the functions of docs/kernels.md, for lessons and
microbenchmarks. Their NumPy twins, with the same names, are in `neurona.reference`.

>>> import numpy as np
>>> from neurona import kernels
>>> kernels.gemm(np.ones((2, 3), np.float32), np.ones((3, 2), np.float32))
array([[3., 3.],
       [3., 3.]], dtype=float32)
"""

from __future__ import annotations

from typing import Any

from .backends import cpu
from .backends.waist import KERNELS

__all__ = list(KERNELS)
# Names of the module itself: through __getattr__ alone a call would take 1.6 us more.
globals().update({kernel: getattr(cpu, kernel) for kernel in KERNELS})


def __getattr__(name: str) -> Any:
    return getattr(cpu, name)


def __dir__() -> list[str]:
    return dir(cpu)
