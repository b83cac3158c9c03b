"""Other shapes of the same elements, and parts of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..functions.shape import Copy, Expand, GetItem, Permute, Reshape
from .base import TensorBase, apply, as_index, shared
from .reduce import check_dim

if TYPE_CHECKING:
    from ..tensor import Tensor


def _sizes(op: str, sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """The ints of f(2, 3) and f((2, 3)) alike."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        sizes = tuple(sizes[0])
    for size in sizes:
        if isinstance(size, (bool, np.bool_)) or not isinstance(size, (int, np.integer)):
            raise TypeError(f"{op}: sizes must be ints, got {size!r} ({type(size).__name__})")
    return tuple(int(size) for size in sizes)


def check_positive(op: str, name: str, value: Any) -> int:
    """An int above 0."""
    (number,) = _sizes(op, (value,))
    if number < 1:
        raise ValueError(f"{op}: {name} must be > 0, got {number}")
    return number


class ShapeMethods(TensorBase):
    """Shapes and indexing of Tensor."""

    __slots__ = ()

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in C order of the logical axes; one size may be -1.

        Shares memory where the strides allow it. Raises ValueError when the sizes do not fit.

        >>> import neurona
        >>> neurona.arange(6).reshape(2, -1).shape
        (2, 3)
        """
        sizes = _sizes("reshape", shape)
        if sizes.count(-1) > 1 or min(sizes, default=0) < -1:
            raise ValueError(f"reshape: sizes must be >= 0, one of them -1 at most, got {sizes}")
        known = math.prod(size for size in sizes if size != -1)
        total = self.data.size
        if total != known if -1 not in sizes else known == 0 or total % known:
            raise ValueError(
                f"reshape: sizes must hold the {total} elements of shape {self.data.shape}, "
                f"got {sizes}"
            )
        return shared(self, apply(Reshape, self, sizes))

    def view(self, *shape: Any) -> Tensor:
        """The same as `reshape`: copies when the memory does not allow a view."""
        return self.reshape(*shape)

    def view_as(self, other: TensorBase) -> Tensor:
        """Reshaped to the shape of `other`."""
        return self.reshape(other.data.shape)

    reshape_as = view_as

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """The axes from `start_dim` to `end_dim` joined into one."""
        shape = self.data.shape
        if not shape:
            return self.reshape(1)
        start = check_dim("flatten", start_dim, len(shape))
        end = check_dim("flatten", end_dim, len(shape))
        if start > end:
            raise ValueError(
                f"flatten: start_dim must not come after end_dim, got {start_dim} and {end_dim}"
            )
        joined = math.prod(shape[start : end + 1])
        return shared(self, apply(Reshape, self, (*shape[:start], joined, *shape[end + 1 :])))

    def squeeze(self, dim: int | Sequence[int] | None = None) -> Tensor:
        """Without the axes of length 1: all of them, or those in `dim`."""
        shape = self.data.shape
        if dim is None:
            gone = set(range(len(shape)))
        else:
            dims = dim if isinstance(dim, (tuple, list)) else (dim,)
            gone = {check_dim("squeeze", d, len(shape)) for d in dims}
        sizes = tuple(n for i, n in enumerate(shape) if n != 1 or i not in gone)
        return shared(self, apply(Reshape, self, sizes))

    def unsqueeze(self, dim: int) -> Tensor:
        """With a new axis of length 1 at `dim`."""
        shape = self.data.shape
        position = check_dim("unsqueeze", dim, len(shape) + 1)
        return shared(self, apply(Reshape, self, (*shape[:position], 1, *shape[position:])))

    def permute(self, *dims: Any) -> Tensor:
        """The axes in the order `dims`. ValueError unless each axis is named once."""
        axes = _sizes("permute", dims)
        ndim = self.data.ndim
        if sorted(axis % ndim if -ndim <= axis < ndim else -1 for axis in axes) != list(
            range(ndim)
        ):
            raise ValueError(f"permute: dims must name each of {ndim} axes once, got {axes}")
        return shared(self, apply(Permute, self, axes))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Two axes exchanged."""
        ndim = self.data.ndim
        first, second = check_dim("transpose", dim0, ndim), check_dim("transpose", dim1, ndim)
        axes = list(range(ndim))
        if ndim:
            axes[first], axes[second] = second, first
        return shared(self, apply(Permute, self, tuple(axes)))

    def t(self) -> Tensor:
        """A matrix transposed; ValueError beyond two axes."""
        if self.data.ndim > 2:
            raise ValueError(f"t: the tensor must have 2 axes at most, got shape {self.data.shape}")
        return self.permute(tuple(reversed(range(self.data.ndim))))

    @property
    def T(self) -> Tensor:
        """The axes in reverse order."""
        return self.permute(tuple(reversed(range(self.data.ndim))))

    @property
    def mT(self) -> Tensor:
        """The last two axes exchanged."""
        return self.transpose(-2, -1)

    def expand(self, *sizes: Any) -> Tensor:
        """Axes of length 1 repeated without a copy; -1 keeps a size."""
        wanted, shape = _sizes("expand", sizes), self.data.shape
        extra = len(wanted) - len(shape)
        full = tuple(
            shape[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(wanted)
        )
        fits = extra >= 0 and all(
            n == m or m == 1 for n, m in zip(full[extra:], shape, strict=True)
        )
        if not fits or min(full, default=0) < 0:
            raise ValueError(f"expand: sizes must repeat axes of length 1 of {shape}, got {wanted}")
        return shared(self, apply(Expand, self, full))

    def expand_as(self, other: TensorBase) -> Tensor:
        """Expanded to the shape of `other`."""
        return self.expand(other.data.shape)

    def split(self, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
        """Parts along `dim`, of one size (the last may be smaller) or of the sizes given."""
        axis = check_dim("split", dim, self.data.ndim)
        length = self.data.shape[axis] if self.data.ndim else 0
        if isinstance(split_size, (tuple, list)):
            sizes = list(split_size)
            if sum(sizes) != length or min(sizes, default=0) < 0:
                raise ValueError(f"split: split_size must add up to {length}, got {sizes}")
        else:
            step = check_positive("split", "split_size", split_size)
            sizes = [min(step, length - start) for start in range(0, length, step)] or [0]
        ends = np.cumsum([0, *sizes]).tolist()
        before = (slice(None),) * axis
        return tuple(self[(*before, slice(a, b))] for a, b in zip(ends[:-1], ends[1:], strict=True))

    def chunk(self, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
        """At most `chunks` parts along `dim`, all but the last of one size."""
        chunks = check_positive("chunk", "chunks", chunks)
        axis = check_dim("chunk", dim, self.data.ndim)
        return self.split(max(1, -(-self.data.shape[axis] // chunks)), axis)

    def contiguous(self) -> Tensor:
        """The tensor itself when it lies in C order, else a copy that does."""
        if self.data.flags.c_contiguous:
            return self  # type: ignore[return-value]
        copy = apply(Copy, self)
        copy.data = np.ascontiguousarray(copy.data)
        return copy

    def clone(self) -> Tensor:
        """A copy in memory of its own; gradients flow through."""
        return apply(Copy, self)

    def __getitem__(self, index: Any) -> Tensor:
        try:
            return shared(self, apply(GetItem, self, as_index(index)))
        except IndexError as error:
            raise IndexError(
                f"getitem: shape {self.data.shape} has no {index!r}: {error}"
            ) from None

    def __len__(self) -> int:
        if not self.data.ndim:
            raise TypeError("len: a 0-d tensor has no length")
        return len(self.data)

    def __iter__(self) -> Any:
        if not self.data.ndim:
            raise TypeError("iter: a 0-d tensor cannot be iterated over")
        return (self[i] for i in range(len(self.data)))
