"""A small encoder-decoder for segmentation, with the four ways of gaining resolution back."""

from __future__ import annotations

from typing import Any

from ..nn import Conv2d, ConvTranspose2d, MaxPool2d, Module, init
from ..nn import functional as F
from ..nn.fusion import with_relu
from ..tensor import Tensor
from .sizes import check_choice, check_int

UPSAMPLING = ("transposed", "nearest", "bed_of_nails", "max_unpool")


class SegNetMini(Module):
    """Two 3x3 convolutions with pools, one between, and the way back: images (N, in_channels, H, W)
    -> logits per pixel (N, num_classes, H, W).

    `upsample` names how each 2x2 pool is undone: "transposed" (a learned transposed convolution of
    kernel 2 and stride 2, whose windows do not overlap), "nearest" (repeat), "bed_of_nails" (top
    left of each block) or "max_unpool" (where the maximum of the mirrored pool stood). There is no
    dense layer: H and W may be any multiples of 4. Raises `ValueError` for other sizes and for an
    unknown `upsample`. Paper: Badrinarayanan, Kendall, Cipolla 2017, "SegNet".

    >>> import neurona
    >>> SegNetMini(num_classes=3)(neurona.zeros(2, 1, 32, 24)).shape
    (2, 3, 32, 24)
    """

    def __init__(
        self,
        num_classes: int = 4,
        in_channels: int = 1,
        *,
        width: int = 16,
        upsample: str = "transposed",
    ) -> None:
        super().__init__()
        check_choice("segnet_mini", "upsample", upsample, UPSAMPLING)
        check_int("segnet_mini", "width", width, 1)
        self.upsample = upsample
        self.enc1 = Conv2d(in_channels, width, 3, padding=1)
        self.enc2 = Conv2d(width, 2 * width, 3, padding=1)
        self.pool = MaxPool2d(2, return_indices=True)
        self.middle = Conv2d(2 * width, 2 * width, 3, padding=1)
        learned = upsample == "transposed"
        self.up2 = ConvTranspose2d(2 * width, 2 * width, 2, stride=2) if learned else None
        self.dec2 = Conv2d(2 * width, width, 3, padding=1)
        self.up1 = ConvTranspose2d(width, width, 2, stride=2) if learned else None
        self.dec1 = Conv2d(width, width, 3, padding=1)
        self.head = Conv2d(width, num_classes, 1)
        for conv in (self.enc1, self.enc2, self.middle, self.dec2, self.dec1):
            init.kaiming_normal_(conv.weight, nonlinearity="relu")

    def _upsample(self, x: Tensor, learned: Any, indices: Tensor) -> Tensor:
        if self.upsample == "transposed":
            return learned(x)
        if self.upsample == "nearest":
            return F.interpolate(x, scale_factor=2)
        return (
            F.bed_of_nails(x, 2)
            if self.upsample == "bed_of_nails"
            else F.max_unpool2d(x, indices, 2)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes, H, W) of images (N, in_channels, H, W)."""
        if len(x.shape) != 4 or x.shape[2] % 4 or x.shape[3] % 4:
            raise ValueError(
                "segnet_mini: input must have shape (N, C, H, W) with H and W multiples of 4, "
                f"got {tuple(x.shape)}"
            )
        x, first = self.pool(with_relu(self.enc1, x))
        x, second = self.pool(with_relu(self.enc2, x))
        x = with_relu(self.middle, x)
        x = with_relu(self.dec2, self._upsample(x, self.up2, second))
        x = with_relu(self.dec1, self._upsample(x, self.up1, first))
        return self.head(x)
