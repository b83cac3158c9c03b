"""Other dtypes, Python numbers, and other libraries' arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..backends import refuse_while_recording
from ..functions.math import Cast
from .base import TensorBase, apply, plain

if TYPE_CHECKING:
    from ..tensor import Tensor


class ConvertMethods(TensorBase):
    """Conversions of Tensor."""

    __slots__ = ()

    def to(self, target: Any) -> Tensor:
        """The tensor in another dtype; "cpu", the only device so far, changes nothing.

        Raises TypeError for a dtype that holds no real numbers, ValueError for another device.
        """
        if isinstance(target, TensorBase):
            target = target.data.dtype
        if isinstance(target, str) and target.split(":")[0] in ("cpu", "cuda", "mps"):
            if target != "cpu":
                raise ValueError(f"to: device must be 'cpu', got {target!r}")
            return self  # type: ignore[return-value]
        dtype = np.dtype(target)
        if dtype.kind not in "fiub":
            raise TypeError(f"to: dtype must be of floats, integers or booleans, got {dtype}")
        if dtype == self.data.dtype:
            return self  # type: ignore[return-value]
        if self._requires_grad and dtype.kind == "f":
            return apply(Cast, self, dtype)
        with np.errstate(all="ignore"):
            return plain(self.data.astype(dtype))

    type = to

    def float(self) -> Tensor:
        """The tensor in float32."""
        return self.to(np.float32)

    def double(self) -> Tensor:
        """The tensor in float64."""
        return self.to(np.float64)

    def int(self) -> Tensor:
        """The tensor in int32."""
        return self.to(np.int32)

    def long(self) -> Tensor:
        """The tensor in int64."""
        return self.to(np.int64)

    def bool(self) -> Tensor:
        """The tensor as booleans."""
        return self.to(np.bool_)

    def cpu(self) -> Tensor:
        """The tensor itself: it is on the CPU already."""
        return self  # type: ignore[return-value]

    def item(self) -> Any:
        """The only element as a Python number. ValueError for several elements."""
        if self.data.size != 1:
            raise ValueError(f"item: the tensor must have 1 element, got shape {self.data.shape}")
        refuse_while_recording("item")
        return self.data.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        refuse_while_recording("tolist")
        return self.data.tolist()

    def numpy(self) -> np.ndarray:
        """The array, sharing memory. RuntimeError for a tensor that requires grad."""
        if self._requires_grad:
            raise RuntimeError("numpy: the tensor requires grad; use .detach().numpy()")
        refuse_while_recording("numpy")
        return self.data

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"array: dtype {dtype} needs a copy of {array.dtype}")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(self, **options: Any) -> Any:
        if self._requires_grad:
            raise BufferError("dlpack: the tensor requires grad; use .detach()")
        return self.data.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.data.__dlpack_device__()
