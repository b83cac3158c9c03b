"""Layers that enlarge maps (N, C, H, W) without parameters; ConvTranspose2d does it with them."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .checks import pair
from .module import Module

Pair = int | tuple[int, int]


class MaxUnpool2d(Module):
    """Puts maxima back where `MaxPool2d(return_indices=True)` found them, 0 elsewhere.

    y (N, C, H, W) with H = (P - 1) stride - 2 padding + kernel_size, and W alike; several input
    sizes pool to one P, so that `output_size` may choose among them. Raises ValueError for shapes
    and indices that do not fit. Paper: Zeiler & Fergus 2014.

    >>> import neurona
    >>> from neurona import nn
    >>> y, indices = nn.MaxPool2d(2, return_indices=True)(neurona.randn(1, 3, 8, 8))
    >>> nn.MaxUnpool2d(2)(y, indices).shape
    (1, 3, 8, 8)
    """

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        super().__init__()
        self.kernel_size = pair("MaxUnpool2d", "kernel_size", kernel_size, 1)
        self.stride = (
            self.kernel_size if stride is None else pair("MaxUnpool2d", "stride", stride, 1)
        )
        self.padding = pair("MaxUnpool2d", "padding", padding, 0)

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Tensor:
        """x (N, C, P, Q) and its indices -> y (N, C, H, W)."""
        return F.max_unpool2d(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class Upsample(Module):
    """Resamples (N, C, H, W) or (N, C, L) to `size`, or by `scale_factor`.

    Mode "nearest" repeats values (their gradients add up), "bilinear" ("linear" for (N, C, L))
    interpolates; see `functional.interpolate` for the formulas. Raises ValueError for values that
    do not fit, when called.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.Upsample(scale_factor=2)(neurona.zeros(1, 3, 4, 5)).shape
    (1, 3, 8, 10)
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ValueError(
                "Upsample: either size or scale_factor must be given, got both or none"
            )
        if mode not in ("nearest", "linear", "bilinear"):
            raise ValueError(
                f"Upsample: mode must be 'nearest', 'linear' or 'bilinear', got {mode!r}"
            )
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, H, W) -> y (N, C, P, Q)."""
        return F.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            self.recompute_scale_factor,
        )

    def extra_repr(self) -> str:
        name = "size" if self.scale_factor is None else "scale_factor"
        return f"{name}={getattr(self, name)}, mode={self.mode!r}"


class BedOfNails(Module):
    """Each value in the top left corner of a block of `kernel_size` that is 0 elsewhere.

    x (N, C, H, W), y (N, C, H kh, W kw); a convolution that follows fills the gaps. Raises
    ValueError for a block size below 1.

    >>> import neurona
    >>> from neurona import nn
    >>> nn.BedOfNails(2)(neurona.ones(1, 1, 1)).tolist()
    [[[1.0, 0.0], [0.0, 0.0]]]
    """

    def __init__(self, kernel_size: Pair) -> None:
        super().__init__()
        self.kernel_size = pair("BedOfNails", "kernel_size", kernel_size, 1)

    def forward(self, input: Tensor) -> Tensor:
        """x (N, C, H, W) -> y (N, C, H kh, W kw)."""
        return F.bed_of_nails(input, self.kernel_size)

    def _expected_input(self, shape: tuple[int, ...]) -> str | None:
        return None if len(shape) in (3, 4) else "(N, C, H, W) or (C, H, W)"

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}"
