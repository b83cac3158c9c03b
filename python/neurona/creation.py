"""New tensors: from Python and NumPy, filled, random, or joined from others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .backends import DeviceArray, exchange
from .functions.math import Extremum, Where
from .functions.shape import Cat, Stack
from .random import Generator, default_generator
from .tensor import Tensor
from .tensor.base import apply
from .tensor.convert import moved
from .tensor.products import matmul
from .tensor.reduce import check_dim

__all__ = [
    "arange", "cat", "empty", "empty_like", "eye", "from_dlpack", "from_numpy", "full", "full_like",
    "is_tensor", "linspace", "matmul", "maximum", "minimum", "ones", "ones_like", "rand", "randint",
    "randn", "randperm", "stack", "tensor", "where", "zeros", "zeros_like",
]  # fmt: skip


def _shape(op: str, sizes: tuple[Any, ...]) -> tuple[int, ...]:
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    for size in sizes:
        if isinstance(size, (bool, np.bool_)) or not isinstance(size, (int, np.integer)):
            raise TypeError(f"{op}: size must be ints, got {size!r} ({type(size).__name__})")
        if size < 0:
            raise ValueError(f"{op}: size must be >= 0 in every axis, got {sizes}")
    return tuple(int(size) for size in sizes)


def _made(op: str, array: Any, device: Any, requires_grad: bool = False) -> Tensor:
    """A tensor on a new array, which is where it was made unless a device is asked for."""
    return Tensor(array if device is None else moved(op, array, device), requires_grad)


def _like(op: str, fill: Any, input: Tensor, device: Any, requires_grad: bool) -> Tensor:
    """What fill(array on the host) gives, on the device of `input` unless another is asked for."""
    source = input.data
    if type(source) is DeviceArray:
        # Memory that nobody touches, for the shape and the order of the axes.
        source = np.lib.stride_tricks.as_strided(
            np.empty(1, source.dtype), source.shape, source.strides
        )
    return _made(op, fill(source), input.device if device is None else device, requires_grad)


def tensor(
    data: Any, dtype: Any = None, requires_grad: bool = False, *, device: Any = None
) -> Tensor:
    """A tensor on a copy of numbers, nested lists, an array or a tensor.

    Python floats become float32, ints int64; arrays keep their dtype. The tensor is on `device`, or
    where `data` is: that of a tensor or of another library's array on the CUDA device is copied
    there (`from_dlpack` shares it). Raises TypeError for what holds no real numbers, ValueError for
    ragged lists.

    >>> import neurona
    >>> neurona.tensor([[1, 2], [3, 4]]).sum(0)
    tensor([4, 6])
    """
    if isinstance(data, Tensor):
        data = data.data
    elif _is_on_device(data):
        data = _borrowed(data)
    elif not isinstance(data, (np.ndarray, np.generic)):
        data = _from_python(data, dtype)
    if type(data) is DeviceArray:
        array: Any = moved("tensor", data.copy("K"), "cuda" if device is None else device)
        array = array if dtype is None else array.astype(dtype)
    else:
        array = np.array(data, dtype=dtype, order="K")
        array = array if device is None else moved("tensor", array, device)
    return Tensor(array, requires_grad)


def _is_on_device(source: Any) -> bool:
    """Whether it is another library's array on a CUDA device."""
    if isinstance(source, (np.ndarray, np.generic, list, tuple, int, float)):
        return False
    if exchange.device_of(source) == exchange.CUDA:
        return True
    return hasattr(source, "__cuda_array_interface__")


def _borrowed(source: Any) -> DeviceArray:
    by_dlpack = exchange.device_of(source) is not None
    return exchange.borrow(source) if by_dlpack else exchange.borrow_by_interface(source)


def _from_python(data: Any, dtype: Any) -> np.ndarray:
    if isinstance(data, (list, tuple)):
        data = [item.data if isinstance(item, Tensor) else item for item in data]
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise TypeError(f"tensor: data must be numbers in lists of one length: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"tensor: data must be numbers, got {data!r:.60}")
    kept = dtype is not None or not _holds_python_floats(data)
    return array if kept or array.dtype != np.float64 else array.astype(np.float32)


def _holds_python_floats(data: Any) -> bool:
    """Whether the first number inside is Python's, or there is none."""
    while isinstance(data, (list, tuple)):
        if not data:
            return True
        data = data[0]
    return not isinstance(data, (np.ndarray, np.generic))


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares the memory of `array`. TypeError for anything but an array of numbers.

    >>> import numpy as np, neurona
    >>> a = np.zeros(2, np.float32)
    >>> t = neurona.from_numpy(a)
    >>> a[0] = 5
    >>> t
    tensor([5., 0.])
    """
    return Tensor(array)


def from_dlpack(source: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor that shares the memory of another library's array, on the CPU or on the CUDA device.

    The array offers DLPack, or `__cuda_array_interface__` alone. It stays alive as long as the
    tensor. `device` "cpu" or "cuda" moves the elements, which needs a copy, as `copy=True` asks for
    and `copy=False` forbids. Raises TypeError for dtypes that tensors do not hold (on the device
    float64 too), BufferError for memory that cannot be shared.

    >>> import numpy as np, neurona
    >>> a = np.zeros(2, np.float32)
    >>> t = neurona.from_dlpack(a)
    >>> a[0] = 5
    >>> t
    tensor([5., 0.])
    """
    kind = exchange.device_of(source)
    if kind is None and not hasattr(source, "__cuda_array_interface__"):
        raise TypeError(
            "from_dlpack: source must have __dlpack__ and __dlpack_device__, "
            f"got {type(source).__name__}"
        )
    on_device = kind is None or kind == exchange.CUDA
    data: Any = _borrowed(source) if on_device else np.from_dlpack(source)
    there = data if device is None else moved("from_dlpack", data, device)
    if there is not data and copy is False:
        raise BufferError(f"from_dlpack: copy=False forbids the copy that {device!r} needs")
    return Tensor(data.copy("K") if there is data and copy else there)


def zeros(
    *size: Any, dtype: Any = np.float32, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """A tensor of zeros: zeros(2, 3) or zeros((2, 3))."""
    return _made("zeros", np.zeros(_shape("zeros", size), dtype), device, requires_grad)


def ones(
    *size: Any, dtype: Any = np.float32, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """A tensor of ones."""
    return _made("ones", np.ones(_shape("ones", size), dtype), device, requires_grad)


def empty(
    *size: Any, dtype: Any = np.float32, requires_grad: bool = False, device: Any = None
) -> Tensor:
    """A tensor whose elements are whatever the memory holds."""
    return _made("empty", np.empty(_shape("empty", size), dtype), device, requires_grad)


def full(
    size: Sequence[int],
    fill_value: Any,
    dtype: Any = None,
    requires_grad: bool = False,
    *,
    device: Any = None,
) -> Tensor:
    """A tensor of one value: float32, int64 or bool after the value, unless `dtype` says."""
    if dtype is None:
        kind = np.asarray(fill_value).dtype.kind
        dtype = {"b": np.bool_, "i": np.int64, "u": np.int64}.get(kind, np.float32)
    filled = np.full(_shape("full", (size,)), fill_value, dtype)
    return _made("full", filled, device, requires_grad)


def zeros_like(
    input: Tensor, dtype: Any = None, requires_grad: bool = False, *, device: Any = None
) -> Tensor:
    """Zeros of the shape, layout and dtype of `input`."""
    return _like("zeros_like", lambda a: np.zeros_like(a, dtype), input, device, requires_grad)


def ones_like(
    input: Tensor, dtype: Any = None, requires_grad: bool = False, *, device: Any = None
) -> Tensor:
    """Ones of the shape, layout and dtype of `input`."""
    return _like("ones_like", lambda a: np.ones_like(a, dtype), input, device, requires_grad)


def empty_like(
    input: Tensor, dtype: Any = None, requires_grad: bool = False, *, device: Any = None
) -> Tensor:
    """A tensor of the shape, layout and dtype of `input`, not filled."""
    return _like("empty_like", lambda a: np.empty_like(a, dtype), input, device, requires_grad)


def full_like(
    input: Tensor,
    fill_value: Any,
    dtype: Any = None,
    requires_grad: bool = False,
    *,
    device: Any = None,
) -> Tensor:
    """One value in the shape, layout and dtype of `input`."""

    def fill(array: np.ndarray) -> np.ndarray:
        return np.full_like(array, fill_value, dtype)

    return _like("full_like", fill, input, device, requires_grad)


def arange(
    start: Any, end: Any = None, step: Any = 1, dtype: Any = None, *, device: Any = None
) -> Tensor:
    """start, start + step, ... below `end`; arange(n) counts from 0. int64, or float32 for floats.

    >>> import neurona
    >>> neurona.arange(3)
    tensor([0, 1, 2])
    """
    if end is None:
        start, end = 0, start
    if step == 0:
        raise ValueError("arange: step must not be 0, got 0")
    if dtype is None:
        whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
        dtype = np.int64 if whole else np.float32
    return _made("arange", np.arange(start, end, step).astype(dtype), device)


def linspace(
    start: float, end: float, steps: int, dtype: Any = np.float32, *, device: Any = None
) -> Tensor:
    """`steps` numbers from `start` to `end`, both included, at equal distances."""
    return _made("linspace", np.linspace(start, end, steps).astype(dtype), device)


def eye(n: int, m: int | None = None, dtype: Any = np.float32, *, device: Any = None) -> Tensor:
    """n rows and m columns (n by default) with ones on the diagonal."""
    return _made("eye", np.eye(n, m, dtype=dtype), device)


def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = np.float32,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Numbers uniform on [0, 1).

    >>> import neurona
    >>> neurona.rand(2, 3).shape
    (2, 3)
    """
    draw = (generator or default_generator).uniform(_shape("rand", size))
    return _made("rand", draw.astype(dtype, copy=False), device, requires_grad)


def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: Any = np.float32,
    requires_grad: bool = False,
    device: Any = None,
) -> Tensor:
    """Normal numbers of mean 0 and standard deviation 1."""
    draw = (generator or default_generator).normal(_shape("randn", size))
    return _made("randn", draw.astype(dtype, copy=False), device, requires_grad)


def randint(
    low: int,
    high: Any,
    size: Any = None,
    *,
    generator: Generator | None = None,
    device: Any = None,
) -> Tensor:
    """Integers uniform on low..high-1; randint(high, size) starts at 0."""
    if size is None:
        low, high, size = 0, low, high
    draw = (generator or default_generator).integers(low, high, _shape("randint", (size,)))
    return _made("randint", draw, device)


def randperm(n: int, *, generator: Generator | None = None, device: Any = None) -> Tensor:
    """0..n-1 in random order."""
    return _made("randperm", (generator or default_generator).permutation(n), device)


def _tensors(op: str, tensors: Any) -> list[Tensor]:
    parts = [t if isinstance(t, Tensor) else Tensor(t) for t in tensors]
    if not parts:
        raise ValueError(f"{op}: tensors must not be empty, got none")
    for position, part in enumerate(parts):
        if part.dtype != parts[0].dtype:
            raise TypeError(
                f"{op}: tensors must have one dtype, got {parts[0].dtype} and {part.dtype} at "
                f"position {position}"
            )
    return parts


def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors joined along the axis `dim`; all other sizes must agree (ValueError).

    >>> import neurona
    >>> neurona.cat([neurona.zeros(2, 3), neurona.ones(1, 3)]).shape
    (3, 3)
    """
    parts = _tensors("cat", tensors)
    axis = check_dim("cat", dim, parts[0].ndim)
    first = parts[0].shape
    for position, part in enumerate(parts):
        shape = part.shape
        if len(shape) != len(first) or any(
            a != b for i, (a, b) in enumerate(zip(shape, first, strict=True)) if i != axis
        ):
            raise ValueError(
                f"cat: tensors must agree in all axes but dim {axis}, got {first} and {shape} at "
                f"position {position}"
            )
    return apply(Cat, axis, *parts)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Tensors of one shape joined along a new axis `dim`."""
    parts = _tensors("stack", tensors)
    axis = check_dim("stack", dim, parts[0].ndim + 1)
    for position, part in enumerate(parts):
        if part.shape != parts[0].shape:
            raise ValueError(
                f"stack: tensors must have one shape, got {parts[0].shape} and {part.shape} at "
                f"position {position}"
            )
    return apply(Stack, axis, *parts)


def where(condition: Tensor, input: Any, other: Any) -> Tensor:
    """`input` where `condition` holds, else `other`."""
    mask = condition.data if isinstance(condition, Tensor) else np.asarray(condition)
    if mask.dtype != np.bool_:
        raise TypeError(f"where: condition must have dtype bool, got {mask.dtype}")
    return apply(Where, mask, input, other)


def maximum(input: Tensor, other: Tensor) -> Tensor:
    """The larger of both, element by element; a tie shares the gradient."""
    return apply(Extremum, input, other, np.maximum)


def minimum(input: Tensor, other: Tensor) -> Tensor:
    """The smaller of both, element by element; a tie shares the gradient."""
    return apply(Extremum, input, other, np.minimum)


def is_tensor(value: object) -> bool:
    """Whether a value is a Tensor."""
    return isinstance(value, Tensor)
