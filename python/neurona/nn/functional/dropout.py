"""dropout."""

from __future__ import annotations

from ...functions.dropout import Dropout
from ...random import Generator, default_generator
from ...tensor import Tensor
from ...tensor.base import apply
from ._arguments import as_tensor, probability, replace


def dropout(
    input: Tensor,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """In training each element is 0 with probability p, else divided by 1 - p; otherwise x itself.

    The choice comes from `generator` or the default one, whatever the number of threads. Raises
    ValueError for p outside 0..1, TypeError for a p that is no number. Paper: Srivastava et al.
    2014.

    >>> import neurona
    >>> from neurona.nn import functional as F
    >>> sorted(set(F.dropout(neurona.ones(100), 0.5).tolist()))
    [0.0, 2.0]
    """
    x = as_tensor("dropout", "input", input)
    p = probability("dropout", p)
    if not training or p == 0.0:
        return x
    seed, offset = (generator or default_generator).next_offset()
    if inplace:
        return replace("dropout", x, Dropout, p, seed, offset)
    return apply(Dropout, x, p, seed, offset)
