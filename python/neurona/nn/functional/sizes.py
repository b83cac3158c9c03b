"""The output size of a convolution or pooling."""

from __future__ import annotations

from typing import Any

from ._arguments import int_pair


def conv_output_size(
    size: Any,
    kernel_size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    *,
    strict: bool = False,
) -> Any:
    """floor((N - F + 2 P) / S) + 1, with F = dilation (kernel_size - 1) + 1: an int for an int
    `size` N, a pair for a pair (H, W).

    `padding` P is an int, a pair, "valid" (0) or "same" (the size stays; stride 1 only). The
    division may leave a remainder, whose pixels are not read, unless `strict`. Raises ValueError
    for such a remainder, for a kernel larger than the padded input and for values out of range,
    TypeError for values that are no ints.

    >>> from neurona.nn import functional as F
    >>> F.conv_output_size(7, 3), F.conv_output_size((32, 28), 5, 1, 2)
    (5, (32, 28))
    """
    found = output_size(
        "conv_output_size", size, kernel_size, stride, padding, dilation, strict=strict
    )
    return found if isinstance(size, (tuple, list)) else found[0]


def output_size(
    op: str, size: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, *, strict: bool
) -> tuple[int, ...]:
    """`conv_output_size` as a pair, with the name of the operation in its messages."""
    lengths = int_pair(op, "size", size, 0)
    kernels = int_pair(op, "kernel_size", kernel_size, 1)
    strides = int_pair(op, "stride", stride, 1)
    spreads = int_pair(op, "dilation", dilation, 1)
    extents = [d * (k - 1) + 1 for d, k in zip(spreads, kernels, strict=True)]
    if padding == "same":
        if strides != (1, 1):
            raise ValueError(f"{op}: padding 'same' must come with stride 1, got stride {stride}")
        totals = [extent - 1 for extent in extents]
    else:
        pads = (0, 0) if padding == "valid" else int_pair(op, "padding", padding, 0)
        totals = [2 * pad for pad in pads]
    found = []
    for length, extent, step, total in zip(lengths, extents, strides, totals, strict=True):
        room = length - extent + total
        if room < 0:
            raise ValueError(
                f"{op}: kernel_size must fit the padded input {length + total}, "
                f"got an extent of {extent}"
            )
        if strict and room % step:
            raise ValueError(
                f"{op}: stride must divide N - F + 2 P = {length} - {extent} + {total} = {room}, "
                f"got {step}"
            )
        found.append(room // step + 1)
    return tuple(found)
