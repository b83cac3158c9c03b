"""Dropout (Srivastava et al. 2014), of elements and of channels."""

from __future__ import annotations

import warnings

from ..tensor import Tensor
from . import functional as F
from .checks import flag, number
from .module import Module


class DropoutBase(Module):
    """Probability and mode of the dropout layers; `inference.mc_predict` finds them by this."""

    def __init__(self, p: float = 0.5, inplace: bool = False, *, mode: str = "inverted") -> None:
        super().__init__()
        layer = type(self).__name__
        self.p = number(layer, "p", p, 0.0, 1.0)
        if self.p == 1.0:
            warnings.warn(
                f"{layer}: p = 1 drops everything, so that nothing behind it can learn; p is the "
                "share that is dropped, not the one that is kept",
                UserWarning,
                stacklevel=2,
            )
        self.inplace = flag(layer, "inplace", inplace)
        if mode not in ("inverted", "classic"):
            raise ValueError(f"{layer}: mode must be 'inverted' or 'classic', got {mode!r}")
        self.mode = mode

    def extra_repr(self) -> str:
        text = f"p={self.p}" + (", inplace=True" if self.inplace else "")
        return text if self.mode == "inverted" else text + f", mode={self.mode!r}"


class Dropout(DropoutBase):
    """Zeroes each element with probability p and scales the rest by 1/(1 - p), in training only.

    `mode="classic"` scales at the other end: training leaves the rest as it is, evaluation
    multiplies everything by 1 - p. Raises ValueError when p is outside [0, 1] and for another mode;
    p = 1, which PyTorch allows, is warned of. Paper: Srivastava et al. 2014, "Dropout".

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Dropout(0.5).eval()(neurona.ones(3)).numpy().tolist()
    [1.0, 1.0, 1.0]
    """

    def forward(self, input: Tensor) -> Tensor:
        """x (*) -> y (*)."""
        return F.dropout(input, self.p, self.training, self.inplace, mode=self.mode)


class Dropout2d(DropoutBase):
    """`Dropout` of whole channels of (N, C, H, W) or (N, C, L); arguments and errors as there.

    Paper: Tompson et al. 2015, "Efficient object localization using convolutional networks".

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Dropout2d(0.5).eval()(neurona.ones(1, 1, 1, 2)).numpy().tolist()
    [[[[1.0, 1.0]]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, ...) -> y (N, C, ...)."""
        return F.dropout2d(input, self.p, self.training, self.inplace, mode=self.mode)
