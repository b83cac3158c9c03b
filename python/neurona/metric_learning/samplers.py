"""Samplers of tuples and of balanced batches, for `DataLoader`.

They are iterables of indices, new ones in each epoch. `PKSampler` goes to `batch_sampler=`;
`PairSampler` and `TripletSampler` go to `sampler=` of a loader over arrays (`TensorDataset`), whose
batches then have shape (B, 2, ...) or (B, 3, ...), labels included.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..nn.checks import integer, number
from ..random import Generator, default_generator
from ._arguments import class_labels


def _members(op: str, labels: Any, least: int) -> list[np.ndarray]:
    """The samples of each class; ValueError for fewer than 2 classes or `least` samples in one."""
    known = class_labels(op, labels)
    names, codes, counts = np.unique(known, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise ValueError(f"{op}: labels must hold at least 2 classes, got {len(names)}")
    if counts.min() < least:
        raise ValueError(
            f"{op}: labels must hold at least {least} samples of each class, "
            f"got {counts.min()} of class {names[int(np.argmin(counts))]}"
        )
    return [np.flatnonzero(codes == code) for code in range(len(names))]


class PKSampler:
    """Batches of `classes` random classes with `samples` random samples of each, for batch-hard
    mining.

    An epoch has `batches` batches, N // (classes * samples) unless told. Raises ValueError when
    there are fewer classes than asked for, or fewer samples in one of them. Paper: Hermans, Beyer &
    Leibe 2017.

    >>> import numpy as np
    >>> from neurona.metric_learning import PKSampler
    >>> labels = np.repeat(np.arange(5), 6)
    >>> [np.unique(labels[batch]).size for batch in PKSampler(labels, classes=3, samples=4)]
    [3, 3]
    """

    def __init__(
        self,
        labels: Any,
        classes: int,
        samples: int,
        *,
        batches: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.classes = integer("PKSampler", "classes", classes, 2)
        self.samples = integer("PKSampler", "samples", samples, 2)
        self._members = _members("PKSampler", labels, self.samples)
        if len(self._members) < self.classes:
            raise ValueError(
                f"PKSampler: classes must be <= {len(self._members)} (those of labels), "
                f"got {classes}"
            )
        total = sum(map(len, self._members)) // (self.classes * self.samples)
        self.batches = (
            max(total, 1) if batches is None else integer("PKSampler", "batches", batches, 1)
        )
        self.generator = generator

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[np.ndarray]:
        draw = self.generator or default_generator
        for _ in range(self.batches):
            chosen = draw.permutation(len(self._members))[: self.classes]
            yield np.concatenate(
                [
                    self._members[c][draw.permutation(len(self._members[c]))[: self.samples]]
                    for c in chosen
                ]
            )


class PairSampler:
    """`pairs` random pairs (i, j) of different samples, a share `positives` of them of one class.

    Raises ValueError for a class of fewer than 2 samples and for a share outside 0..1.

    >>> import numpy as np
    >>> from neurona.metric_learning import PairSampler
    >>> from neurona.utils.data import DataLoader, TensorDataset
    >>> labels = np.repeat(np.arange(3), 4)
    >>> data = TensorDataset(np.zeros((12, 5), np.float32), labels)
    >>> x, y = next(iter(DataLoader(data, 8, sampler=PairSampler(labels, 8))))
    >>> x.shape, (y[:, 0] == y[:, 1]).sum().item()
    ((8, 2, 5), 4)
    """

    def __init__(
        self,
        labels: Any,
        pairs: int,
        *,
        positives: float = 0.5,
        generator: Generator | None = None,
    ) -> None:
        self.pairs = integer("PairSampler", "pairs", pairs, 1)
        self.positives = number("PairSampler", "positives", positives, 0.0, 1.0)
        self._members = _members("PairSampler", labels, 2)
        self.generator = generator

    def __len__(self) -> int:
        return self.pairs

    def __iter__(self) -> Iterator[tuple[int, int]]:
        draw = self.generator or default_generator
        near = round(self.positives * self.pairs)
        i, j, k = _tuples(self._members, self.pairs, draw)
        partners = np.where(np.arange(self.pairs) < near, j, k)
        for row in draw.permutation(self.pairs):
            yield int(i[row]), int(partners[row])


class TripletSampler:
    """`triplets` random triplets (anchor, positive, negative): two of one class, one of another.

    Raises ValueError for a class of fewer than 2 samples.

    >>> import numpy as np
    >>> from neurona.metric_learning import TripletSampler
    >>> labels = np.repeat(np.arange(3), 4)
    >>> all(labels[a] == labels[p] != labels[n] for a, p, n in TripletSampler(labels, 20))
    True
    """

    def __init__(self, labels: Any, triplets: int, *, generator: Generator | None = None) -> None:
        self.triplets = integer("TripletSampler", "triplets", triplets, 1)
        self._members = _members("TripletSampler", labels, 2)
        self.generator = generator

    def __len__(self) -> int:
        return self.triplets

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        draw = self.generator or default_generator
        anchor, positive, negative = _tuples(self._members, self.triplets, draw)
        yield from zip(anchor.tolist(), positive.tolist(), negative.tolist(), strict=True)


def _tuples(
    members: list[np.ndarray], count: int, draw: Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random anchors, other samples of their classes, and samples of other classes.

    With the samples sorted by class, a class is a run of positions: a positive is a shift within
    the run, a negative a shift past its end.
    """
    order = np.concatenate(members)
    sizes = np.array([len(m) for m in members])
    total = len(order)
    start, size = (np.repeat(v, sizes) for v in (np.cumsum(sizes) - sizes, sizes))
    anchor = draw.integers(0, total, count)
    words = draw.integers(0, 2**62, (2, count))
    start, size = start[anchor], size[anchor]
    positive = start + (anchor - start + 1 + words[0] % (size - 1)) % size
    negative = (start + size + words[1] % (total - size)) % total
    return order[anchor], order[positive], order[negative]
