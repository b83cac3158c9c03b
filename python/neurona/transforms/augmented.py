"""A loader whose images are changed at random on their way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .arguments import described


class Augmented:
    """Batches (x, y, ...) of a loader with x changed by `transform`, for `Trainer.fit`.

    >>> import numpy as np
    >>> from neurona.transforms import RandomAffine
    >>> loader = [(np.zeros((2, 1, 4, 4), np.float32), np.zeros(2, np.int64))]
    >>> [x.shape for x, y in Augmented(loader, RandomAffine(5))]
    [(2, 1, 4, 4)]
    """

    def __init__(self, loader: Any, transform: Any) -> None:
        if not callable(transform):
            raise TypeError(f"Augmented: transform must be callable, got {described(transform)}")
        self.loader, self.transform = loader, transform

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for x, *rest in self.loader:
            yield (self.transform(x), *rest)
