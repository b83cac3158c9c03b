"""Parameter: the kind of tensor that a module registers and an optimizer updates."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd import is_array
from ..tensor import Tensor


class Parameter(Tensor):
    """A tensor that counts as a learnable weight when it is assigned to a `Module`.

    `data` is a Tensor or a floating-point `numpy.ndarray`, whose memory is shared, not copied.
    Results of operations on parameters are plain tensors.

    Raises TypeError when `data` is neither a Tensor nor an array.

    >>> import numpy as np
    >>> from neurona import nn
    >>> nn.Parameter(np.zeros((2, 3), np.float32)).requires_grad
    True
    """

    __slots__ = ()

    def __init__(self, data: Tensor | np.ndarray | None = None, requires_grad: bool = True) -> None:
        if data is None:
            data = np.empty(0, np.float32)
        array = data.data if isinstance(data, Tensor) else data
        if not is_array(array):
            raise TypeError(
                f"Parameter: data must be a Tensor or an ndarray, got {type(data).__name__}"
            )
        super().__init__(array, requires_grad=requires_grad)
        if isinstance(data, Tensor):
            self._version = data._version  # one memory, one count of changes in place

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        copy = type(self)(self.data.copy(), self.requires_grad)
        memo[id(self)] = copy
        return copy

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"
