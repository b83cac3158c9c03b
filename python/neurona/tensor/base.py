"""What every family of methods builds on: the fields of a tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Function, mode, wrap
from ..backends import DeviceArray

if TYPE_CHECKING:
    from ..tensor import Tensor

Number = int | float | np.number


class TensorBase:
    """The fields. `_version` is [count of changes in place, whether a recorded view exists], one
    list for all tensors that share memory; `_node` is what made the tensor, None for a leaf.
    """

    __slots__ = ("__weakref__", "_hooks", "_node", "_requires_grad", "_version", "data", "grad")

    data: np.ndarray
    grad: Tensor | None
    _requires_grad: bool
    _node: Any
    _version: list[Any]
    _hooks: dict[int, Any] | None

    @property
    def device(self) -> str:
        """Where the elements are: "cpu" or "cuda"."""
        return "cuda" if type(self.data) is DeviceArray else "cpu"


def apply(function: type[Function], *args: Any) -> Tensor:
    """`function.apply` for a function with one output."""
    result: Tensor = function.apply(*args)
    return result


def plain(data: Any) -> Tensor:
    """A tensor without graph around an array or a NumPy scalar."""
    tensor: Tensor = wrap(data)
    return tensor


def shared(source: TensorBase, result: Tensor) -> Tensor:
    """Let `result` share the version counter of `source` when it views its memory."""
    if np.may_share_memory(source.data, result.data):
        result._version = source._version
        if result._requires_grad:
            source._version[1] = True
    return result


def is_number(value: object) -> bool:
    """Whether a value counts as a Python or NumPy number."""
    return isinstance(value, (int, float, np.number, np.bool_))


def as_index(index: Any) -> Any:
    """An index with arrays in place of the tensors in it."""
    if isinstance(index, TensorBase):
        return index.data
    if isinstance(index, tuple):
        return tuple(as_index(part) for part in index)
    if isinstance(index, list) and any(isinstance(part, TensorBase) for part in index):
        return [part.data if isinstance(part, TensorBase) else part for part in index]
    return index


def checked_in_place(op: str, target: TensorBase, *others: Any) -> bool:
    """Whether a change in place would be recorded; RuntimeError where that cannot be done."""
    if not target.data.flags.writeable:
        raise ValueError(f"{op}: the tensor must be writable, got one on a read-only array")
    if not mode.enabled:
        return False
    if target._requires_grad and target._node is None:
        raise RuntimeError(
            f"{op}: a leaf that requires grad must not be changed in place while operations are "
            "recorded; use neurona.no_grad()"
        )
    recorded = target._requires_grad or any(
        isinstance(other, TensorBase) and other._requires_grad for other in others
    )
    if recorded and target._version[1]:
        raise RuntimeError(
            f"{op}: a tensor whose memory is shared with a view must not be changed in place while "
            "operations are recorded; write x = x + y in place of x += y"
        )
    return recorded


def apply_in_place(op: str, target: Tensor, function: type[Function], *args: Any) -> Tensor:
    """target <- function(target, *args), keeping the memory of `target`."""
    recorded = checked_in_place(op, target, *args)
    source = target
    if recorded:
        # The node must keep the old values: what it saves may not be the memory that changes.
        source = plain(target.data.copy(order="K"))
        source._node, source._requires_grad = target._node, target._requires_grad
        args = tuple(source if arg is target else arg for arg in args)
    result = apply(function, source, *args)
    if result.data.shape != target.data.shape:
        raise ValueError(
            f"{op}: the result must have the shape of the tensor {target.data.shape}, "
            f"got {result.data.shape}"
        )
    np.copyto(target.data, result.data)
    target._version[0] += 1
    if recorded:
        target._node, target._requires_grad = result._node, True
    return target
