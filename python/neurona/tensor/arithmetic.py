"""Operators and element-wise functions.

float32 and float64 tensors go to the kernels. Integer and boolean tensors serve as labels, indices
and masks: NumPy computes them, without gradient; next to a float tensor they take its dtype.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Function
from ..backends import FLOAT32
from ..functions import activation as act
from ..functions import math as fn
from ..functions import softmax as sm
from ..functions.elementwise import Add, Div, Mul, Sub
from .base import Number, TensorBase, apply, is_number, plain
from .products import matmul

if TYPE_CHECKING:
    from ..tensor import Tensor

_INTEGER_UFUNCS: dict[str, Any] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "pow": np.power,
}


def _operand(op: str, value: Any) -> Any:
    """A tensor or a number; None for anything else."""
    if isinstance(value, TensorBase):
        return value
    if isinstance(value, np.ndarray):
        return plain(value)
    return value if is_number(value) else None


def _as_float(op: str, operand: Any, dtype: np.dtype) -> Any:
    """An operand next to a tensor of this floating dtype."""
    if not isinstance(operand, TensorBase):
        try:
            return float(operand)
        except OverflowError:
            raise ValueError(f"{op}: a number must fit a float, got {operand!r}") from None
    if operand.data.dtype.kind != "f":
        return plain(operand.data.astype(dtype))
    if operand.data.dtype != dtype:
        raise TypeError(
            f"{op}: both tensors must have one dtype, got {dtype} and {operand.data.dtype}; "
            "use .to(dtype)"
        )
    return operand


def binary(op: str, function: type[Function], a: Any, b: Any) -> Any:
    """`function` of two operands, one of them a tensor; NotImplemented for foreign operands."""
    a, b = _operand(op, a), _operand(op, b)
    if a is None or b is None:
        return NotImplemented
    tensors = [t for t in (a, b) if isinstance(t, TensorBase)]
    floating = [t.data.dtype for t in tensors if t.data.dtype.kind == "f"]
    if floating:
        dtype = floating[0]
    elif op == "div" or any(isinstance(v, (float, np.floating)) for v in (a, b)):
        dtype = FLOAT32
    else:
        a, b = (v.data if isinstance(v, TensorBase) else v for v in (a, b))
        _check_broadcast(op, a, b)
        return plain(_INTEGER_UFUNCS[op](a, b))
    return apply(function, _as_float(op, a, dtype), _as_float(op, b, dtype))


def _check_broadcast(op: str, a: Any, b: Any) -> None:
    try:
        np.broadcast_shapes(np.shape(a), np.shape(b))
    except ValueError:
        raise ValueError(
            f"{op}: a and b must have shapes that broadcast, got {np.shape(a)} and {np.shape(b)}"
        ) from None


def _compare(op: str, ufunc: Any, a: TensorBase, b: Any) -> Any:
    """A boolean tensor; numbers and arrays are accepted on the right."""
    other = b.data if isinstance(b, TensorBase) else b
    if not (isinstance(other, np.ndarray) or is_number(other)):
        return NotImplemented
    _check_broadcast(op, a.data, other)
    with np.errstate(all="ignore"):
        return plain(ufunc(a.data, other))


# What NumPy calls when an array stands on the left of a tensor.
_REFLECTED: dict[Any, Any] = {
    np.add: lambda array, tensor: binary("add", Add, array, tensor),
    np.subtract: lambda array, tensor: binary("sub", Sub, array, tensor),
    np.multiply: lambda array, tensor: binary("mul", Mul, array, tensor),
    np.true_divide: lambda array, tensor: binary("div", Div, array, tensor),
    np.power: lambda array, tensor: binary("pow", fn.Pow, array, tensor),
    np.matmul: lambda array, tensor: matmul(array, tensor),
    np.equal: lambda array, tensor: tensor == array,
    np.not_equal: lambda array, tensor: tensor != array,
    np.less: lambda array, tensor: tensor > array,
    np.less_equal: lambda array, tensor: tensor >= array,
    np.greater: lambda array, tensor: tensor < array,
    np.greater_equal: lambda array, tensor: tensor <= array,
}


def _discrete(op: str, ufunc: Any, a: Any, b: Any) -> Any:
    """An operation without gradient: RuntimeError when one would be lost."""
    arrays = []
    for value in (a, b):
        if isinstance(value, TensorBase):
            if value._requires_grad:
                raise RuntimeError(f"{op}: it has no gradient; use .detach() on the tensor first")
            value = value.data
        elif not (isinstance(value, np.ndarray) or is_number(value)):
            return NotImplemented
        arrays.append(value)
    _check_broadcast(op, *arrays)
    with np.errstate(all="ignore"):
        return plain(ufunc(*arrays))


class ArithmeticMethods(TensorBase):
    """Operators and element-wise functions of Tensor."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """`array + tensor` is a tensor; `array += tensor` and `np.exp(tensor)` give arrays."""
        operator = _REFLECTED.get(ufunc)
        if operator and method == "__call__" and not options and inputs[1] is self:
            return operator(*inputs)
        if not all(isinstance(out, np.ndarray) for out in options.get("out", ())):
            raise TypeError(f"{ufunc.__name__}: out must be an ndarray, got a Tensor")
        arrays = [np.asarray(value) if isinstance(value, TensorBase) else value for value in inputs]
        return getattr(ufunc, method)(*arrays, **options)

    def __add__(self, other: Any) -> Tensor:
        if isinstance(other, TensorBase) and other.data.dtype is self.data.dtype is FLOAT32:
            return apply(Add, self, other)
        return binary("add", Add, self, other)

    def __radd__(self, other: Any) -> Tensor:
        return binary("add", Add, other, self)

    def __sub__(self, other: Any) -> Tensor:
        if isinstance(other, TensorBase) and other.data.dtype is self.data.dtype is FLOAT32:
            return apply(Sub, self, other)
        return binary("sub", Sub, self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return binary("sub", Sub, other, self)

    def __mul__(self, other: Any) -> Tensor:
        if isinstance(other, TensorBase) and other.data.dtype is self.data.dtype is FLOAT32:
            return apply(Mul, self, other)
        return binary("mul", Mul, self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return binary("mul", Mul, other, self)

    def __truediv__(self, other: Any) -> Tensor:
        if isinstance(other, TensorBase) and other.data.dtype is self.data.dtype is FLOAT32:
            return apply(Div, self, other)
        return binary("div", Div, self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return binary("div", Div, other, self)

    def __pow__(self, other: Any) -> Tensor:
        if type(other) is int and other == 2 and self.data.dtype.kind == "f":
            return apply(Mul, self, self)
        return binary("pow", fn.Pow, self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return binary("pow", fn.Pow, other, self)

    def __neg__(self) -> Tensor:
        if self.data.dtype.kind != "f":
            return plain(np.negative(self.data))
        return apply(Mul, self, -1.0)

    def __pos__(self) -> Tensor:
        return self  # type: ignore[return-value]

    def __abs__(self) -> Tensor:
        return self.abs()

    def __matmul__(self, other: Any) -> Tensor:
        return (
            matmul(self, other) if isinstance(other, (TensorBase, np.ndarray)) else NotImplemented
        )

    def __rmatmul__(self, other: Any) -> Tensor:
        return matmul(other, self) if isinstance(other, np.ndarray) else NotImplemented

    def __floordiv__(self, other: Any) -> Tensor:
        return _discrete("floor_divide", np.floor_divide, self, other)

    def __mod__(self, other: Any) -> Tensor:
        return _discrete("remainder", np.remainder, self, other)

    def __and__(self, other: Any) -> Tensor:
        return _discrete("and", np.bitwise_and, self, other)

    def __or__(self, other: Any) -> Tensor:
        return _discrete("or", np.bitwise_or, self, other)

    def __xor__(self, other: Any) -> Tensor:
        return _discrete("xor", np.bitwise_xor, self, other)

    def __invert__(self) -> Tensor:
        return plain(np.invert(self.data))

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return _compare("eq", np.equal, self, other)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return _compare("ne", np.not_equal, self, other)

    def __lt__(self, other: Any) -> Tensor:
        return _compare("lt", np.less, self, other)

    def __le__(self, other: Any) -> Tensor:
        return _compare("le", np.less_equal, self, other)

    def __gt__(self, other: Any) -> Tensor:
        return _compare("gt", np.greater, self, other)

    def __ge__(self, other: Any) -> Tensor:
        return _compare("ge", np.greater_equal, self, other)

    def add(self, other: Any, *, alpha: Number = 1) -> Tensor:
        """self + alpha other."""
        return self + (other if alpha == 1 else other * alpha)

    def sub(self, other: Any, *, alpha: Number = 1) -> Tensor:
        """self - alpha other."""
        return self - (other if alpha == 1 else other * alpha)

    def mul(self, other: Any) -> Tensor:
        """self * other."""
        return self * other

    def div(self, other: Any) -> Tensor:
        """self / other."""
        return self / other

    def pow(self, exponent: Any) -> Tensor:
        """self to the power `exponent`."""
        return self**exponent

    def neg(self) -> Tensor:
        """-self."""
        return -self

    def matmul(self, other: Any) -> Tensor:
        """self @ other, with NumPy's rules for vectors and stacks of matrices."""
        return matmul(self, other)

    mm = matmul

    def eq(self, other: Any) -> Tensor:
        """Where self == other."""
        return self == other

    def isnan(self) -> Tensor:
        """Where self is NaN."""
        return plain(np.isnan(self.data))

    def isfinite(self) -> Tensor:
        """Where self is neither infinite nor NaN."""
        return plain(np.isfinite(self.data))

    def exp(self) -> Tensor:
        """e^self."""
        return apply(fn.Exp, _floating(self, "exp"))

    def log(self) -> Tensor:
        """The natural logarithm."""
        return apply(fn.Log, _floating(self, "log"))

    def sqrt(self) -> Tensor:
        """The square root."""
        return apply(fn.Sqrt, _floating(self, "sqrt"))

    def square(self) -> Tensor:
        """self * self."""
        return self * self

    def abs(self) -> Tensor:
        """The absolute value; its gradient at 0 is 0."""
        return apply(fn.Abs, self)

    def sign(self) -> Tensor:
        """-1, 0 or 1; its gradient is 0 everywhere."""
        return plain(np.sign(self.data))

    def clamp(self, min: Number | None = None, max: Number | None = None) -> Tensor:
        """min(max(self, `min`), `max`); the gradient is 0 outside. ValueError without a limit."""
        if min is None and max is None:
            raise ValueError("clamp: min or max must be given, got None for both")
        return apply(fn.Clamp, self, min, max)

    clip = clamp

    def maximum(self, other: Any) -> Tensor:
        """The larger of both, element by element."""
        return apply(fn.Extremum, self, other, np.maximum)

    def minimum(self, other: Any) -> Tensor:
        """The smaller of both, element by element."""
        return apply(fn.Extremum, self, other, np.minimum)

    def relu(self) -> Tensor:
        """max(self, 0)."""
        return apply(act.ReLU, self)

    def sigmoid(self) -> Tensor:
        """1 / (1 + e^-self)."""
        return apply(act.Sigmoid, self)

    def tanh(self) -> Tensor:
        """The hyperbolic tangent."""
        return apply(act.Tanh, self)

    def softmax(self, dim: int) -> Tensor:
        """e^self / sum e^self along `dim`."""
        return apply(sm.Softmax, self, dim)

    def log_softmax(self, dim: int) -> Tensor:
        """The logarithm of softmax along `dim`."""
        return apply(sm.LogSoftmax, self, dim)


def _floating(tensor: TensorBase, op: str) -> TensorBase:
    """The tensor itself, or in float32 when it holds integers."""
    if tensor.data.dtype.kind == "f":
        return tensor
    return plain(tensor.data.astype(np.float32))
