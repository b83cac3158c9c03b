"""Data sets and the loader that cuts them into batches.

A data set whose samples lie in arrays has a method `take_batch(indices)` that returns a whole batch
by one gather per array; the loader uses it and never touches single samples. Any other data set is
read sample by sample and stacked by `default_collate`.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from ..random import Generator, permutation
from ..tensor import Tensor
from .split import train_val_split

__all__ = [
    "DataLoader",
    "Dataset",
    "Subset",
    "TensorDataset",
    "default_collate",
    "random_split",
    "train_val_split",
]


class Dataset:
    """Base class: `dataset[i]` gives sample i, `len(dataset)` their number."""

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: __getitem__ is not defined")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__}: __len__ is not defined")


class TensorDataset(Dataset):
    """Tensors or arrays of equal length; sample i is the tuple of their rows i.

    Raises ValueError when the lengths differ.

    >>> import numpy as np
    >>> from neurona.utils.data import TensorDataset
    >>> data = TensorDataset(np.zeros((6, 4), np.float32), np.arange(6))
    >>> len(data), data[2][1].item()
    (6, 2)
    """

    def __init__(self, *tensors: Tensor | np.ndarray) -> None:
        if not tensors:
            raise ValueError("TensorDataset: at least one tensor must be given, got none")
        for position, tensor in enumerate(tensors):
            if not isinstance(tensor, Tensor | np.ndarray):
                raise TypeError(
                    f"TensorDataset: item {position} must be a Tensor or an ndarray, "
                    f"got {type(tensor).__name__}"
                )
            if tensor.ndim == 0:
                raise ValueError(
                    f"TensorDataset: item {position} must have at least one axis, got a 0-d tensor"
                )
        lengths = [len(tensor) for tensor in tensors]
        if len(set(lengths)) != 1:
            raise ValueError(f"TensorDataset: all tensors must have the same length, got {lengths}")
        self.tensors = tuple(item if isinstance(item, Tensor) else Tensor(item) for item in tensors)

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])

    def take_batch(self, indices: np.ndarray) -> tuple[Tensor, ...]:
        """The rows `indices` of every tensor, copied."""
        return tuple(Tensor(tensor.data.take(indices, axis=0)) for tensor in self.tensors)


class Subset(Dataset):
    """The samples of `dataset` at `indices`.

    >>> import numpy as np
    >>> from neurona.utils.data import Subset, TensorDataset
    >>> Subset(TensorDataset(np.arange(6)), [4, 5])[0][0].item()
    4
    """

    def __init__(self, dataset: Any, indices: Sequence[int] | np.ndarray) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> Any:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)

    def __getattr__(self, name: str) -> Any:
        # `take_batch` exists exactly when the data set below has it, so that a loader may ask.
        if name != "take_batch":
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        take = self.dataset.take_batch
        rows = np.asarray(self.indices, dtype=np.intp)
        return lambda indices: take(rows[indices])


def random_split(
    dataset: Any, lengths: Sequence[int | float], generator: Generator | None = None
) -> list[Subset]:
    """Cut `dataset` at random into subsets of the given lengths, or of shares that add up to 1.

    Of shares, each part gets floor(share * n) samples and the first parts one of the remainder
    each. Raises ValueError when the lengths do not add up.

    >>> import numpy as np
    >>> from neurona.utils.data import TensorDataset, random_split
    >>> [len(part) for part in random_split(TensorDataset(np.arange(10)), [0.75, 0.25])]
    [8, 2]
    """
    total = len(dataset)
    sizes = list(lengths)
    if (
        math.isclose(sum(sizes), 1.0)
        and sum(sizes) <= 1.0 + 1e-9
        and any(isinstance(size, float) for size in sizes)
    ):
        if not all(0.0 <= share <= 1.0 for share in sizes):
            raise ValueError(f"random_split: shares must be in [0, 1], got {sizes}")
        counts = [math.floor(share * total) for share in sizes]
        for extra in range(total - sum(counts)):
            counts[extra % len(counts)] += 1
    else:
        counts = [_integer("random_split", "lengths", size, 0) for size in sizes]
    if sum(counts) != total:
        raise ValueError(f"random_split: lengths must add up to {total}, got {sizes}")
    order = permutation(total, generator=generator)
    ends = np.cumsum(counts)
    return [
        Subset(dataset, order[end - count : end]) for end, count in zip(ends, counts, strict=True)
    ]


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack samples: tensors, arrays and numbers along a new first axis, tuples, lists and mappings
    part by part.
    """
    first = batch[0]
    if isinstance(first, Tensor):
        return Tensor(np.stack([item.data for item in batch]))
    if isinstance(first, np.ndarray | np.generic):
        return Tensor(np.stack(batch))
    if isinstance(first, bool | int):
        return Tensor(np.array(batch))
    if isinstance(first, float):
        return Tensor(np.array(batch, np.float32))
    if isinstance(first, str | bytes):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([item[key] for item in batch]) for key in first}
    if isinstance(first, tuple | list):
        parts = [default_collate(column) for column in zip(*batch, strict=True)]
        return tuple(parts) if isinstance(first, tuple) else parts
    raise TypeError(
        "default_collate: samples must be tensors, arrays, numbers or containers, "
        f"got {type(first).__name__}"
    )


class DataLoader:
    """Iterates over `dataset` in batches, in a new random order each time if `shuffle`.

    The order is drawn from `generator` or the default one, so a seed gives the same batches for
    ever. `drop_last` leaves out a last batch that is not full. `sampler` is an iterable of indices,
    `batch_sampler` one of lists of indices; `collate_fn` makes a batch of a list of samples.
    `batch_size=None` yields single samples.

    `num_workers`, `pin_memory`, `timeout` and the other arguments that steer worker processes are
    accepted, so that programs written for PyTorch run, and have no effect: batches are cut in this
    process, which for data in memory is faster than sending them from another.

    Raises ValueError for an empty data set, a batch size below 1, or arguments that exclude each
    other.

    >>> import numpy as np
    >>> from neurona.utils.data import DataLoader, TensorDataset
    >>> data = TensorDataset(np.zeros((10, 4), np.float32), np.arange(10))
    >>> [x.shape[0] for x, y in DataLoader(data, batch_size=4)]
    [4, 4, 2]
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[Sequence[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
    ) -> None:
        if _integer("DataLoader", "num_workers", num_workers, 0) > 0:
            warnings.warn(
                "DataLoader: num_workers has no effect, batches are cut in this process",
                stacklevel=2,
            )
        if batch_sampler is not None and (
            batch_size != 1 or shuffle or sampler is not None or drop_last
        ):
            raise ValueError(
                "DataLoader: batch_sampler must come without batch_size, shuffle, sampler and "
                "drop_last"
            )
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler must come without shuffle")
        if batch_size is None and drop_last:
            raise ValueError("DataLoader: drop_last must come with a batch_size, got None")
        if len(dataset) == 0:
            raise ValueError("DataLoader: dataset must not be empty")
        self.dataset = dataset
        self.batch_size = (
            None if batch_size is None else _integer("DataLoader", "batch_size", batch_size, 1)
        )
        self.shuffle = bool(shuffle)
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.collate_fn = collate_fn
        self.drop_last = bool(drop_last)
        self.generator = generator

    def __len__(self) -> int:
        if self.batch_sampler is not None:
            return len(self.batch_sampler)  # type: ignore[arg-type]
        total = len(self.dataset) if self.sampler is None else len(self.sampler)  # type: ignore[arg-type]
        if self.batch_size is None:
            return total
        return total // self.batch_size if self.drop_last else -(-total // self.batch_size)

    def _order(self) -> np.ndarray:
        total = len(self.dataset)
        return permutation(total, generator=self.generator) if self.shuffle else np.arange(total)

    def _batches(self) -> Iterator[Any]:
        """The indices of each batch."""
        if self.batch_sampler is not None:
            yield from self.batch_sampler
            return
        size = 1 if self.batch_size is None else self.batch_size
        if self.sampler is None:
            order = self._order()
            stop = len(order) - len(order) % size if self.drop_last else len(order)
            for start in range(0, stop, size):
                yield order[start : start + size]
            return
        indices = iter(self.sampler)
        while batch := list(islice(indices, size)):
            if len(batch) == size or not self.drop_last:
                yield batch

    def __iter__(self) -> Iterator[Any]:
        if self.batch_size is None and self.batch_sampler is None:
            for indices in self._batches():
                sample = self.dataset[int(indices[0])]
                yield sample if self.collate_fn is None else self.collate_fn(sample)
            return
        take = getattr(self.dataset, "take_batch", None) if self.collate_fn is None else None
        collate = default_collate if self.collate_fn is None else self.collate_fn
        for indices in self._batches():
            if take is not None:
                yield take(np.asarray(indices))
            else:
                yield collate([self.dataset[int(index)] for index in indices])


def _integer(op: str, name: str, value: Any, minimum: int) -> int:
    if isinstance(value, bool):
        raise TypeError(f"{op}: {name} must be an int, got bool")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {name} must be an int, got {type(value).__name__}") from None
    if number < minimum:
        raise ValueError(f"{op}: {name} must be >= {minimum}, got {number}")
    return number
