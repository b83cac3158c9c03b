"""Other dtypes, Python numbers, and other libraries' arrays."""

from __future__ import annotations

import builtins
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Function
from ..backends import DeviceArray, exchange, refuse_while_recording
from ..functions.math import Cast
from .base import TensorBase, apply, plain

if TYPE_CHECKING:
    from ..tensor import Tensor


def moved(op: str, array: Any, device: Any) -> Any:
    """The array on "cpu" or "cuda": itself if it is there, else a copy.

    Raises ValueError for another device, RuntimeError saying what is missing for a device that this
    machine or this build does not have, TypeError for float64 on "cuda".
    """
    name = str(device)
    if name not in ("cpu", "cuda", "cuda:0"):
        raise ValueError(f"{op}: device must be 'cpu' or 'cuda', got {name!r}")
    if name == "cpu":
        return array.numpy() if type(array) is DeviceArray else array
    return array if type(array) is DeviceArray else DeviceArray.from_host(array)


class Move(Function):
    """The elements on another device; the gradient goes back to where they came from."""

    __slots__ = ()
    fresh_grads = True

    def forward(ctx, x: Any, device: str) -> Any:
        ctx.saved = ("cuda" if type(x) is DeviceArray else "cpu",)
        return moved("to", x, device)

    def backward(ctx, dy: Any) -> Any:
        return moved("to", dy, ctx.saved[0])


class ConvertMethods(TensorBase):
    """Conversions of Tensor."""

    __slots__ = ()

    def to(self, target: Any, *, non_blocking: builtins.bool = False) -> Tensor:
        """The tensor in another dtype, or on another device: "cpu" or "cuda".

        The tensor itself when nothing changes. `non_blocking` changes nothing: a copy to the device
        goes through pinned memory and never waits for the work before it, and one to the host has
        come when the call returns. Raises TypeError for a dtype that holds no real
        numbers and for float64 on "cuda", ValueError for another device, RuntimeError where there
        is no CUDA device.
        """
        if isinstance(target, TensorBase):
            return self.to(target.device).to(target.data.dtype)
        if isinstance(target, str) and target.split(":")[0] in ("cpu", "cuda", "mps"):
            if target.removesuffix(":0") == self.device:
                return self  # type: ignore[return-value]
            refuse_while_recording("to another device")
            return apply(Move, self, target)
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
        """The tensor on the CPU: itself if it is there."""
        return self.to("cpu")

    def cuda(self, device: Any = None, non_blocking: builtins.bool = False) -> Tensor:
        """The tensor on the CUDA device: itself if it is there. `non_blocking` as in `to`."""
        if device not in (None, 0, "cuda", "cuda:0"):
            raise ValueError(f"cuda: device must be None, 0 or 'cuda', got {device!r}")
        return self.to("cuda")

    def pin_memory(self) -> Tensor:
        """The tensor itself: whatever moves to the device goes through pinned memory anyway."""
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
        if type(self.data) is DeviceArray:
            raise TypeError("numpy: the tensor is on the device 'cuda'; use .cpu().numpy()")
        refuse_while_recording("numpy")
        return self.data

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError(f"array: dtype {dtype} needs a copy of {array.dtype}")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[builtins.int, builtins.int] | None = None,
        dl_device: tuple[Any, builtins.int] | None = None,
        copy: builtins.bool | None = None,
    ) -> Any:
        """A DLPack capsule, by which other libraries share the memory; `from_dlpack` calls it.

        Raises BufferError for a tensor that requires grad, and for what cannot be shared.

        >>> import numpy as np, neurona
        >>> t = neurona.zeros(2)
        >>> array = np.from_dlpack(t)
        >>> _ = t.fill_(5)
        >>> array.tolist()
        [5.0, 5.0]
        """
        if self._requires_grad:
            raise BufferError("dlpack: the tensor requires grad; use .detach()")
        refuse_while_recording("dlpack")
        options = {
            "stream": stream, "max_version": max_version, "dl_device": dl_device, "copy": copy,
        }  # fmt: skip
        if type(self.data) is DeviceArray:
            return self.data.__dlpack__(**options)
        return exchange.lend_from_host(self.data, **options)

    def __dlpack_device__(self) -> tuple[Any, builtins.int]:
        return self.data.__dlpack_device__()
