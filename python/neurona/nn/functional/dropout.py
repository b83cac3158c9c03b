"""dropout and dropout2d."""

from __future__ import annotations

import numpy as np

from ...functions.dropout import ClassicDropout, Dropout
from ...functions.elementwise import Mul
from ...random import Generator, default_generator
from ...tensor import Tensor
from ...tensor.base import apply, plain
from ._arguments import as_float, as_tensor, probability, replace

DROPOUT_MODES = ("inverted", "classic")


def _check_mode(op: str, mode: str) -> None:
    if mode not in DROPOUT_MODES:
        raise ValueError(f"{op}: mode must be one of {DROPOUT_MODES}, got {mode!r}")


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
    mode: str = "inverted",
) -> Tensor:
    """In training each element is 0 with probability p, else divided by 1 - p; otherwise x itself.

    `mode="classic"` corrects the mean later instead: in training the elements that stay are as they
    were, and otherwise all are multiplied by 1 - p. The choice comes from `generator` or the
    default one, whatever the number of threads, and is the same in both modes. Raises ValueError
    for p outside 0..1 and for another mode, TypeError for a p that is no number. Paper: Srivastava
    et al. 2014.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> sorted(set(F.dropout(neurona.ones(100), 0.5).tolist()))
    [0.0, 2.0]
    """
    x = as_tensor("dropout", "input", input)
    p = probability("dropout", p)
    _check_mode("dropout", mode)
    if p == 0.0 or (not training and mode == "inverted"):
        return x
    if not training:
        return replace("dropout", x, Mul, 1.0 - p) if inplace else apply(Mul, x, 1.0 - p)
    function = Dropout if mode == "inverted" else ClassicDropout
    seed, offset = (generator or default_generator).next_offset()
    if inplace:
        return replace("dropout", x, function, p, seed, offset)
    return apply(function, x, p, seed, offset)


def dropout2d(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
    mode: str = "inverted",
) -> Tensor:
    """`dropout` of whole channels: each plane of x (N, C, H, W) or (N, C, L) is dropped or kept.

    Neighbouring pixels tell the same, so that dropping single ones takes little away. Arguments and
    errors are those of `dropout`, and ValueError for another number of axes. Paper: Tompson et al.
    2015.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> sorted(set(F.dropout2d(neurona.ones(4, 8, 2, 2), 0.5).sum((2, 3)).flatten().tolist()))
    [0.0, 8.0]
    """
    x = as_float("dropout2d", "input", input)
    p = probability("dropout2d", p)
    _check_mode("dropout2d", mode)
    shape = x.data.shape
    if len(shape) not in (3, 4):
        raise ValueError(f"dropout2d: input must have shape (N, C, H, W) or (N, C, L), got {shape}")
    if p == 0.0 or (not training and mode == "inverted"):
        return x
    if training:
        planes = plain(np.ones((*shape[:2], *(1,) * (len(shape) - 2)), x.data.dtype))
        factor = dropout(planes, p, generator=generator, mode=mode)
    else:
        factor = plain(np.asarray(1.0 - p, x.data.dtype))
    return replace("dropout2d", x, Mul, factor) if inplace else apply(Mul, x, factor)
