"""DeviceArray: what a tensor on a CUDA device holds in the place of a NumPy array.

Shape, strides and views are a NumPy array's business: `_memory` is one, over bytes of the device
that nobody on the host may read. DeviceArray hands out only what does not read them, copies to the
host where it must, and refuses the rest with a TypeError that says so.
"""

from __future__ import annotations

import itertools
import math
from types import ModuleType
from typing import Any

import numpy as np

# The dtype of float32 elements on a device: equal to np.float32, but another object, by which
# `backends.current` knows where the kernels are to run.
DEVICE_FLOAT32 = np.dtype(np.float32, metadata={"device": "cuda"})

_ARITHMETIC = {np.add: "add", np.subtract: "sub", np.multiply: "mul", np.divide: "div"}


def _extension() -> ModuleType:
    from . import cuda

    return cuda.extension()


def _refuse(what: str) -> TypeError:
    return TypeError(
        f"neurona: {what} does not run on a tensor on the device 'cuda'; "
        "move it to the host with .cpu() first"
    )


def _view_of_shape(memory: np.ndarray, shape: Any) -> np.ndarray | None:
    """The elements under another shape where the strides allow it, else None; reads nothing."""
    if np.lib.NumpyVersion(np.__version__) >= "2.1.0":
        try:
            return np.reshape(memory, shape, copy=False)
        except ValueError:
            return None
    # Older versions copy first, which would read the elements, and see afterwards that they had to.
    sizes = [int(n) for n in ([shape] if isinstance(shape, (int, np.integer)) else shape)]
    if sizes.count(-1) == 1:
        known = -math.prod(sizes)
        sizes[sizes.index(-1)] = memory.size // known if known else 0
    if min(sizes, default=0) < 0 or math.prod(sizes) != memory.size:
        return None
    return memory.reshape(sizes) if _is_view(memory, sizes) else None


def _is_view(memory: np.ndarray, sizes: list[int]) -> bool:
    """Whether axes of these sizes can walk the elements: each run of axes that is cut anew must be
    evenly spaced.
    """
    if memory.size == 0:
        return True
    old = [(n, step) for n, step in zip(memory.shape, memory.strides, strict=True) if n != 1]
    new = [n for n in sizes if n != 1]
    while old:
        run, left = [old.pop(0)], new.pop(0)
        while left != (count := math.prod(n for n, _ in run)):
            if left < count:
                left *= new.pop(0)
            else:
                run.append(old.pop(0))
        if any(step != n * inner for (_, step), (n, inner) in itertools.pairwise(run)):
            return False
    return True


class DeviceArray(np.lib.mixins.NDArrayOperatorsMixin):
    """An array in the memory of a CUDA device."""

    __slots__ = ("_memory",)

    def __init__(self, memory: np.ndarray) -> None:
        self._memory = memory

    @classmethod
    def from_host(cls, array: np.ndarray) -> DeviceArray:
        """A copy of a host array, in the same order of its axes.

        Raises TypeError for float64: the device computes in float32.
        """
        if array.dtype == np.float64:
            raise TypeError("cuda: the device computes in float32, got float64; use .float()")
        return cls(_extension().to_device(array))

    # -- What it is ------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        return self._memory.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._memory.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._memory.size

    @property
    def nbytes(self) -> int:
        """The bytes that the elements take."""
        return self._memory.nbytes

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes between neighbours along each axis."""
        return self._memory.strides

    @property
    def flags(self) -> Any:
        """Whether it is contiguous, and whether it may be written to."""
        return self._memory.flags

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements; that of floats tells `backends.current` where they are."""
        dtype = self._memory.dtype
        return DEVICE_FLOAT32 if dtype == np.float32 else dtype

    def __len__(self) -> int:
        return len(self._memory)

    # -- Views -----------------------------------------------------------------------------------

    def reshape(self, *shape: Any) -> DeviceArray:
        """The same elements in C order of the axes: a view where the strides allow it."""
        sizes = shape[0] if len(shape) == 1 else shape
        view = _view_of_shape(self._memory, sizes)
        if view is None:
            view = _view_of_shape(_extension().copied(self._memory, "C"), sizes)
        if view is None:
            raise ValueError(f"reshape: cannot reshape {self.shape} into {sizes}")
        return DeviceArray(view)

    def transpose(self, *axes: Any) -> DeviceArray:
        """The axes in another order."""
        return DeviceArray(self._memory.transpose(*axes))

    @property
    def T(self) -> DeviceArray:
        """The axes in reverse order."""
        return DeviceArray(self._memory.T)

    def _indexed(self, index: Any) -> np.ndarray:
        parts = index if isinstance(index, tuple) else (index,)
        for part in parts:
            plain = isinstance(part, (int, np.integer)) and not isinstance(part, (bool, np.bool_))
            if not (plain or isinstance(part, slice) or part is None or part is Ellipsis):
                raise _refuse(f"an index of type {type(part).__name__}")
        # The ellipsis makes NumPy return a view, of no axes perhaps, and never a number, which it
        # would have to read.
        whole = parts if any(part is Ellipsis for part in parts) else (*parts, Ellipsis)
        return self._memory[whole]

    def __getitem__(self, index: Any) -> DeviceArray:
        return DeviceArray(self._indexed(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        _assign(self._indexed(index), value)

    # -- Copies ----------------------------------------------------------------------------------

    def numpy(self) -> np.ndarray:
        """A copy in the host's memory; waits for the device."""
        return _extension().to_host(self._memory)

    def copy(self, order: str = "C") -> DeviceArray:
        """A copy on the device, in C order or ("K") in the order that it has."""
        return DeviceArray(_extension().copied(self._memory, order))

    def astype(self, dtype: Any) -> DeviceArray:
        """The elements converted: integers to float32 on the device, others by way of the host."""
        if np.dtype(dtype) == np.float32 and self._memory.dtype.kind in "iub":
            return DeviceArray(_extension().to_float32(self._memory))
        return DeviceArray.from_host(self.numpy().astype(dtype))

    def fill(self, value: float) -> None:
        """Set every element."""
        _assign(self._memory, value)

    def item(self) -> Any:
        """The only element as a Python number; waits for the device."""
        return self.numpy().item()

    def tolist(self) -> Any:
        """The elements as nested lists."""
        return self.numpy().tolist()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __repr__(self) -> str:
        return f"DeviceArray({self.numpy()!r})"

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """By which CuPy, Numba and PyTorch read the elements where they lie; waits for the device.

        Version 3 of the protocol, without a stream: what was enqueued is done. PyTorch does not
        look at the stream, so naming ours in place of waiting would let it read too early. With
        `__dlpack__` nobody waits.
        """
        _extension().synchronize()
        address = self._memory.__array_interface__["data"][0]
        return {
            "shape": self.shape,
            "typestr": self._memory.dtype.str,
            "data": (address, not self._memory.flags.writeable),
            "strides": None if self._memory.flags.c_contiguous else self.strides,
            "version": 3,
            "stream": None,
        }

    def __dlpack__(
        self,
        *,
        stream: int | None = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A DLPack capsule, by which other libraries share the memory.

        `stream` is the reader's: it is made to wait for the work so far. `dl_device=(1, 0)` asks
        for a copy in the host's memory. Raises BufferError for what cannot be lent that way,
        ValueError for a stream that the protocol forbids.
        """
        from . import exchange

        return exchange.lend(self, stream, max_version, dl_device, copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)  # kDLCUDA

    # -- NumPy's functions -----------------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise _refuse("a conversion to a NumPy array")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        out = options.pop("out", None)
        kernel = _ARITHMETIC.get(ufunc)
        if ufunc is np.negative:
            kernel, inputs = "mul", (*inputs, -1.0)
        if method != "__call__" or options or kernel is None:
            raise _refuse(f"numpy.{ufunc.__name__}")
        from . import cuda

        result = getattr(cuda, kernel)(*inputs)
        if out is None:
            return result
        _assign(out[0]._memory, result)
        return out[0]

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        implementation = _FUNCTIONS.get(function)
        if implementation is None:
            raise _refuse(f"numpy.{function.__name__}")
        return implementation(*args, **kwargs)


def _assign(target: np.ndarray, value: Any) -> None:
    """target <- value, another device's array or a number, broadcast."""
    if isinstance(value, DeviceArray):
        source = value._memory
    else:
        source = _extension().to_device(np.asarray(value, target.dtype))
    if not target.flags.writeable:
        raise ValueError("neurona: the array on the device is read-only")
    if source.shape != target.shape:
        source = np.broadcast_to(source, target.shape)
    _extension().copy_into(target, source)


def _new_like(prototype: DeviceArray, order: str = "K", **options: Any) -> DeviceArray:
    if options:
        raise _refuse(f"an array like another one with {sorted(options)}")
    return DeviceArray(_extension().new_like(prototype._memory, order))


def _filled_like(prototype: DeviceArray, value: float) -> DeviceArray:
    result = _new_like(prototype)
    result.fill(value)
    return result


def _copyto(target: DeviceArray, source: Any) -> None:
    _assign(target._memory, source)


def _may_share_memory(a: Any, b: Any) -> bool:
    if not (isinstance(a, DeviceArray) and isinstance(b, DeviceArray)):
        return False
    return bool(np.may_share_memory(a._memory, b._memory))


_FUNCTIONS: dict[Any, Any] = {
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: a.ndim,
    np.empty_like: _new_like,
    # Asked for with like=, which NumPy leaves out here.
    np.zeros: lambda shape, dtype: DeviceArray.from_host(np.zeros(shape, dtype)),
    np.zeros_like: lambda a: _filled_like(a, 0.0),
    np.ones_like: lambda a: _filled_like(a, 1.0),
    np.full_like: _filled_like,
    np.copyto: _copyto,
    np.may_share_memory: _may_share_memory,
    np.broadcast_to: lambda a, shape: DeviceArray(np.broadcast_to(a._memory, shape)),
    np.ascontiguousarray: lambda a: a if a.flags.c_contiguous else a.copy(),
    np.expand_dims: lambda a, axis: DeviceArray(np.expand_dims(a._memory, axis)),
}
