"""Changes in place. They count up the tensor's version, so that a backward which needs the old
values raises instead of computing something else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Function
from ..functions import elementwise as ew
from ..functions.activation import ReLU
from ..functions.math import Clamp
from ..functions.shape import SetItem
from ..random import Generator, default_generator
from .arithmetic import binary
from .base import TensorBase, apply_in_place, as_index, checked_in_place, is_number, plain

if TYPE_CHECKING:
    from ..tensor import Tensor


def _arithmetic(op: str, function: type[Function], ufunc: Any, target: Any, other: Any) -> Any:
    if not (isinstance(other, (TensorBase, np.ndarray)) or is_number(other)):
        return NotImplemented
    if checked_in_place(op, target, other):
        if not isinstance(other, TensorBase):
            other = plain(np.asarray(other, target.data.dtype))
        return apply_in_place(op, target, function, other)
    array = other.data if isinstance(other, TensorBase) else other
    if isinstance(array, np.ndarray) and array.dtype.kind == "f" and target.data.dtype.kind == "f":
        if array.dtype != target.data.dtype:
            raise TypeError(
                f"{op}: both tensors must have one dtype, got {target.data.dtype} and "
                f"{array.dtype}; use .to(dtype)"
            )
    try:
        fits = np.broadcast_shapes(target.data.shape, np.shape(array)) == target.data.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{op}: the result must have the shape of the tensor {target.data.shape}, got an "
            f"operand of shape {np.shape(array)}"
        )
    with np.errstate(all="ignore"):
        ufunc(target.data, array, out=target.data)
    target._version[0] += 1
    return target


def _assign(op: str, target: Any, index: Any, value: Any) -> Any:
    """target[index] <- value, a tensor, an array or a number."""
    if checked_in_place(op, target, value):
        if isinstance(value, TensorBase) and value.data.dtype != target.data.dtype:
            raise TypeError(
                f"{op}: the value must have dtype {target.data.dtype}, got {value.data.dtype}"
            )
        return apply_in_place(op, target, SetItem, index, value)
    if isinstance(value, TensorBase):
        value = value.to(target.device).data  # type: ignore[attr-defined]
    try:
        target.data[index] = value
    except ValueError as error:
        raise ValueError(f"{op}: {error}") from None
    target._version[0] += 1
    return target


class InPlaceMethods(TensorBase):
    """Changes in place of Tensor."""

    __slots__ = ()

    def __iadd__(self, other: Any) -> Tensor:
        return _arithmetic("add_", ew.Add, np.add, self, other)

    def __isub__(self, other: Any) -> Tensor:
        return _arithmetic("sub_", ew.Sub, np.subtract, self, other)

    def __imul__(self, other: Any) -> Tensor:
        return _arithmetic("mul_", ew.Mul, np.multiply, self, other)

    def __itruediv__(self, other: Any) -> Tensor:
        return _arithmetic("div_", ew.Div, np.divide, self, other)

    def __setitem__(self, index: Any, value: Any) -> None:
        try:
            _assign("setitem", self, as_index(index), value)
        except IndexError as error:
            raise IndexError(
                f"setitem: shape {self.data.shape} has no {index!r}: {error}"
            ) from None

    def add_(self, other: Any, *, alpha: float = 1) -> Tensor:
        """self += alpha other."""
        scaled = (
            other
            if alpha == 1
            else binary("mul", ew.Mul, other, plain(np.asarray(alpha, self.data.dtype)))
        )
        return self.__iadd__(scaled)

    def sub_(self, other: Any, *, alpha: float = 1) -> Tensor:
        """self -= alpha other."""
        scaled = (
            other
            if alpha == 1
            else binary("mul", ew.Mul, other, plain(np.asarray(alpha, self.data.dtype)))
        )
        return self.__isub__(scaled)

    def mul_(self, other: Any) -> Tensor:
        """self *= other."""
        return self.__imul__(other)

    def div_(self, other: Any) -> Tensor:
        """self /= other."""
        return self.__itruediv__(other)

    def clamp_(self, min: float | None = None, max: float | None = None) -> Tensor:
        """self <- self.clamp(min, max)."""
        if min is None and max is None:
            raise ValueError("clamp_: min or max must be given, got None for both")
        return apply_in_place("clamp_", self, Clamp, min, max)  # type: ignore[arg-type]

    def relu_(self) -> Tensor:
        """self <- max(self, 0)."""
        return apply_in_place("relu_", self, ReLU)  # type: ignore[arg-type]

    def copy_(self, source: Any) -> Tensor:
        """Take the values of `source`, broadcast and cast to the dtype of self."""
        return _assign("copy_", self, ..., source)

    def fill_(self, value: float) -> Tensor:
        """Set every element to `value`."""
        return _assign("fill_", self, ..., value)

    def zero_(self) -> Tensor:
        """Set every element to 0."""
        return _assign("zero_", self, ..., 0)

    def uniform_(
        self, a: float = 0.0, b: float = 1.0, *, generator: Generator | None = None
    ) -> Tensor:
        """Fill with numbers uniform on [a, b)."""
        checked_in_place("uniform_", self)
        draw = (generator or default_generator).uniform(self.data.shape, a, b)
        return _assign("uniform_", self, ..., draw)

    def normal_(
        self, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
    ) -> Tensor:
        """Fill with normal numbers."""
        checked_in_place("normal_", self)
        draw = (generator or default_generator).normal(self.data.shape, mean, std)
        return _assign("normal_", self, ..., draw)
