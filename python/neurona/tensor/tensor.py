"""Tensor: a NumPy array with a gradient and a place in the graph.

PyTorch's names, on arrays: `t.data` is the numpy.ndarray itself, which shares its memory with the
tensor. 4-D activations may lie channels-last in memory under their (N, C, H, W) shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import autograd
from ..backends import DeviceArray, refuse_while_recording
from .arithmetic import ArithmeticMethods
from .base import plain
from .convert import ConvertMethods
from .inplace import InPlaceMethods
from .reduce import ReduceMethods
from .shape import ShapeMethods

__all__ = ["Tensor"]

# What a printed tensor need not say.
_USUAL_DTYPES = (np.dtype(np.float32), np.dtype(np.int64), np.dtype(np.bool_))


class Tensor(ArithmeticMethods, ReduceMethods, ShapeMethods, InPlaceMethods, ConvertMethods):
    """A tensor around `data`, an ndarray whose memory is shared; `neurona.tensor` copies instead.

    Raises TypeError when `data` is no array, has no real dtype, or holds integers and is to require
    grad.

    >>> import numpy as np
    >>> from neurona import Tensor
    >>> t = Tensor(np.array([1.0, 2.0], np.float32), requires_grad=True)
    >>> (t * t).sum().backward()
    >>> t.grad
    tensor([2., 4.])
    """

    __slots__ = ()

    def __init__(self, data: np.ndarray, requires_grad: bool = False) -> None:
        if type(data) is not np.ndarray and type(data) is not DeviceArray:
            if not isinstance(data, np.ndarray) or isinstance(data, np.ma.MaskedArray):
                raise TypeError(
                    f"Tensor: data must be a numpy.ndarray, got {type(data).__name__}; "
                    "neurona.tensor converts numbers and lists"
                )
            data = np.asarray(data)
        if data.dtype.kind not in "fiub":
            raise TypeError(
                f"Tensor: data must hold floats, integers or booleans, got dtype {data.dtype}"
            )
        self.data = data
        self.grad = None
        self._requires_grad = False
        self._node = None
        self._version = [0, False]
        self._hooks = None
        if requires_grad:
            self.requires_grad = True

    # What it is.

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of the axes."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype:
        """The NumPy dtype of the elements."""
        return self.data.dtype

    @property
    def nbytes(self) -> int:
        """The bytes that the elements take."""
        return self.data.nbytes

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the length of one axis."""
        if dim is None:
            return self.data.shape
        if not -self.data.ndim <= dim < self.data.ndim:
            raise ValueError(
                f"size: dim must be in {-self.data.ndim}..{self.data.ndim - 1}, got {dim}"
            )
        return self.data.shape[dim]

    def dim(self) -> int:
        """The number of axes."""
        return self.data.ndim

    def numel(self) -> int:
        """The number of elements."""
        return self.data.size

    def is_floating_point(self) -> bool:
        """Whether the elements are floats."""
        return self.data.dtype.kind == "f"

    # The graph.

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded for backward."""
        return self._requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if self._node is not None:
            if not value:
                raise RuntimeError(
                    "requires_grad: only that of a leaf can be switched off; use .detach()"
                )
            return
        if value and self.data.dtype.kind != "f":
            raise TypeError(
                f"requires_grad: the tensor must have a floating dtype, got {self.data.dtype}"
            )
        self._requires_grad = bool(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` and return the tensor."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made the tensor."""
        return self._node is None

    @property
    def grad_fn(self) -> Any:
        """The recorded operation that made the tensor; None for a leaf."""
        return self._node

    def backward(self, gradient: Any = None, retain_graph: bool | None = None) -> None:
        """Add the gradient of this tensor to the `grad` of every leaf; see `autograd.backward`.

        >>> import neurona
        >>> w = neurona.ones(2, requires_grad=True)
        >>> (3 * w).sum().backward()
        >>> w.grad
        tensor([3., 3.])
        """
        autograd.backward(self, gradient, retain_graph)

    def detach(self) -> Tensor:
        """A leaf on the same memory, out of the graph."""
        alias = plain(self.data)
        alias._version = self._version
        return alias

    def detach_(self) -> Tensor:
        """Leave the graph and become a leaf."""
        self._node = None
        self._requires_grad = False
        return self

    def retain_grad(self) -> None:
        """Keep the gradient of this tensor too, though it is no leaf."""
        if not self._requires_grad:
            raise RuntimeError("retain_grad: the tensor must require grad, got one that does not")
        autograd.retain(self)

    def register_hook(self, hook: Any) -> autograd.HookHandle:
        """Call `hook(grad)` in backward when this gradient is known; what it returns replaces it.

        >>> import neurona
        >>> w = neurona.ones(1, requires_grad=True)
        >>> _ = w.register_hook(lambda grad: grad * 10)
        >>> w.sum().backward()
        >>> w.grad
        tensor([10.])
        """
        if not self._requires_grad:
            raise RuntimeError("register_hook: the tensor must require grad, got one that does not")
        return autograd.add_hook(self, hook)

    # Python's own protocols.

    def __deepcopy__(self, memo: dict[Any, Any]) -> Tensor:
        if self._node is not None:
            raise RuntimeError("deepcopy: only leaf tensors can be copied; use .detach() first")
        copy = Tensor(self.data.copy(order="K"), self._requires_grad)
        memo[id(self)] = copy
        return copy

    def __bool__(self) -> bool:
        if self.data.size != 1:
            raise ValueError(
                "bool: a tensor of several elements is neither true nor false, got shape "
                f"{self.data.shape}; use .any() or .all()"
            )
        refuse_while_recording("bool")
        return bool(self.data.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.data.dtype.kind not in "iu" or self.data.size != 1:
            raise TypeError(
                f"index: the tensor must hold 1 integer, got {self.data.dtype} of shape "
                f"{self.data.shape}"
            )
        refuse_while_recording("index")
        return int(self.data.item())

    def __contains__(self, value: Any) -> bool:
        refuse_while_recording("in")
        return bool((self == value).data.any())

    def __repr__(self) -> str:
        here = self.data.numpy() if type(self.data) is DeviceArray else self.data
        text = np.array2string(here, separator=", ", prefix="tensor(", precision=4)
        if here is not self.data:
            text += ", device='cuda'"
        if self.data.dtype not in _USUAL_DTYPES:
            text += f", dtype={self.data.dtype}"
        if self._node is not None:
            text += f", grad_fn=<{type(self._node).__name__}>"
        elif self._requires_grad:
            text += ", requires_grad=True"
        return f"tensor({text})"


autograd.register_tensor(Tensor)
