"""Sums, means, extremes and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..functions.elementwise import Mul
from ..functions.reduce import MaxAll, MaxDim, Mean, Sum
from .base import TensorBase, apply, plain

if TYPE_CHECKING:
    from ..tensor import Tensor

Dims = int | tuple[int, ...] | list[int] | None


class Extremes(NamedTuple):
    """The values along an axis and where they stand."""

    values: Tensor
    indices: Tensor


def check_dim(op: str, dim: Any, ndim: int) -> int:
    """A non-negative axis; TypeError for another kind, ValueError outside the tensor's axes."""
    if isinstance(dim, (bool, np.bool_)) or not isinstance(dim, (int, np.integer)):
        raise TypeError(f"{op}: dim must be an int, got {dim!r} ({type(dim).__name__})")
    if not -max(ndim, 1) <= dim < max(ndim, 1):
        raise ValueError(f"{op}: dim must be in {-ndim}..{ndim - 1}, got {dim}")
    return int(dim) % max(ndim, 1)


def _dims(op: str, dim: Dims, ndim: int) -> tuple[int, ...] | None:
    if dim is None:
        return None
    axes = dim if isinstance(dim, (tuple, list)) else (dim,)
    checked = tuple(check_dim(op, axis, ndim) for axis in axes)
    if len(set(checked)) != len(checked):
        raise ValueError(f"{op}: dim must name each axis once, got {dim!r}")
    return checked


class ReduceMethods(TensorBase):
    """Reductions of Tensor."""

    __slots__ = ()

    def sum(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The sum over `dim`: all axes, one, or several. Integers and booleans give int64."""
        if self.data.dtype.kind == "f":
            return apply(Sum, self, tuple(dim) if isinstance(dim, list) else dim, keepdim)
        axes = _dims("sum", dim, self.data.ndim)
        return plain(self.data.sum(axis=axes or None, keepdims=keepdim, dtype=np.int64))

    def mean(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The mean over `dim`: all axes, one, or several. TypeError for integers."""
        if self.data.dtype.kind != "f":
            raise TypeError(
                f"mean: the tensor must have a floating dtype, got {self.data.dtype}; use .float()"
            )
        return apply(Mean, self, tuple(dim) if isinstance(dim, list) else dim, keepdim)

    def var(
        self, dim: Dims = None, unbiased: bool = True, keepdim: bool = False, *, correction: int = 1
    ) -> Tensor:
        """sum (x - mean)^2 / (n - correction) over `dim`; `unbiased=False` means correction 0."""
        mean = self.mean(dim, keepdim=True)
        deviation = self - mean
        count = self.data.size // max(mean.data.size, 1)
        divisor = count - (correction if unbiased else 0)
        total = (deviation * deviation).sum(dim, keepdim)
        scale = 1.0 / divisor if divisor > 0 else (float("nan") if divisor == 0 else float("inf"))
        return apply(Mul, total, scale)

    def std(
        self, dim: Dims = None, unbiased: bool = True, keepdim: bool = False, *, correction: int = 1
    ) -> Tensor:
        """The square root of `var`."""
        return self.var(dim, unbiased, keepdim, correction=correction).sqrt()

    def max(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The largest value; with `dim` a named tuple (values, indices). NaN wins, then the first.

        >>> import neurona
        >>> neurona.tensor([[1.0, 3.0], [2.0, 0.0]]).max(1).indices
        tensor([1, 0])
        """
        return _extreme(self, "max", dim, keepdim)

    def min(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """The smallest value; with `dim` a named tuple (values, indices). NaN wins, then the
        first.
        """
        return _extreme(self, "min", dim, keepdim)

    def amax(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The largest value along one axis, or of all."""
        found = self.max(_single("amax", dim), keepdim)
        return found.values if isinstance(found, Extremes) else found

    def amin(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """The smallest value along one axis, or of all."""
        found = self.min(_single("amin", dim), keepdim)
        return found.values if isinstance(found, Extremes) else found

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Where the (first) largest value stands: flat, or along `dim`."""
        return _position(self, "argmax", np.argmax, dim, keepdim)

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Where the (first) smallest value stands: flat, or along `dim`."""
        return _position(self, "argmin", np.argmin, dim, keepdim)

    def all(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """Whether all elements are true."""
        return plain(np.all(self.data, _dims("all", dim, self.data.ndim), keepdims=keepdim))

    def any(self, dim: Dims = None, keepdim: bool = False) -> Tensor:
        """Whether an element is true."""
        return plain(np.any(self.data, _dims("any", dim, self.data.ndim), keepdims=keepdim))

    def norm(self) -> Tensor:
        """The square root of the sum of squares of all elements."""
        return apply(Mul, self, self).sum().sqrt()


def _single(op: str, dim: Dims) -> int | None:
    if isinstance(dim, (tuple, list)):
        if len(dim) != 1:
            raise ValueError(f"{op}: dim must be one axis or None, got {dim!r}")
        return dim[0]
    return dim


def _extreme(tensor: ReduceMethods, op: str, dim: int | None, keepdim: bool) -> Any:
    data = tensor.data
    axis = None if dim is None else check_dim(op, dim, data.ndim)
    if (data.size if axis is None or not data.ndim else data.shape[axis]) == 0:
        raise ValueError(f"{op}: the tensor must not be empty, got shape {data.shape}")
    if data.dtype.kind != "f":
        pick, find = (np.max, np.argmax) if op == "max" else (np.min, np.argmin)
        if axis is None:
            return plain(pick(data))
        flat = data.reshape(1) if not data.ndim else data
        values, indices = (f(flat, axis=axis, keepdims=keepdim) for f in (pick, find))
        shape = data.shape if not data.ndim else np.shape(values)
        return Extremes(plain(np.reshape(values, shape)), plain(np.reshape(indices, shape)))
    # The smallest is the largest of the negated values: exact, with the same rule for NaN and ties.
    source = tensor if op == "max" else -tensor  # type: ignore[operator]
    if axis is None:
        largest = apply(MaxAll, source)
        return largest if op == "max" else -largest
    if not data.ndim:
        values = apply(MaxAll, source)
        return Extremes(values if op == "max" else -values, plain(np.zeros((), np.int64)))
    values, indices = MaxDim.apply(source, axis, keepdim)
    return Extremes(values if op == "max" else -values, indices)


def _position(tensor: TensorBase, op: str, find: Any, dim: int | None, keepdim: bool) -> Tensor:
    data = tensor.data
    axis = None if dim is None else check_dim(op, dim, data.ndim)
    if (data.size if axis is None or not data.ndim else data.shape[axis]) == 0:
        raise ValueError(f"{op}: the tensor must not be empty, got shape {data.shape}")
    if not data.ndim:
        return plain(np.zeros((), np.int64))
    return plain(find(data, axis=axis, keepdims=keepdim))
