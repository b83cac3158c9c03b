"""utils.data: data sets, splits, the loader and its order."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import neurona
from neurona.utils.data import (
    DataLoader,
    Dataset,
    Subset,
    TensorDataset,
    default_collate,
    random_split,
)


class Squares(Dataset):
    """Read sample by sample: no arrays to gather from."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return np.full(2, index**2, np.float32), index


def arrays(count: int = 10) -> TensorDataset:
    return TensorDataset(np.arange(count * 2, dtype=np.float32).reshape(count, 2), np.arange(count))


def labels(loader: DataLoader) -> list[list[int]]:
    return [y.numpy().tolist() for _, y in loader]


def test_batches_in_order() -> None:
    assert labels(DataLoader(arrays(), 4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert labels(DataLoader(arrays(), 4, drop_last=True)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(DataLoader(arrays(), 4)) == 3 and len(DataLoader(arrays(), 4, drop_last=True)) == 2
    x, y = next(iter(DataLoader(arrays(), 3)))
    assert x.numpy().tolist() == [[0, 1], [2, 3], [4, 5]] and y.data.dtype == np.int64


def test_batches_are_copies() -> None:
    data = arrays()
    x, _ = next(iter(DataLoader(data, 10)))
    x.data[...] = -1
    assert data.tensors[0].numpy()[0, 1] == 1.0


@pytest.mark.parametrize("make", [arrays, Squares])
def test_shuffle_is_a_permutation_that_the_seed_fixes(make: Callable[[], Any]) -> None:
    def epochs() -> list[list[int]]:
        loader = DataLoader(make(), 3, shuffle=True, generator=neurona.Generator(5))
        return [[y for batch in labels(loader) for y in batch] for _ in range(2)]

    first, second = epochs()
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second and [first, second] == epochs()
    neurona.manual_seed(1)
    default = labels(DataLoader(make(), 3, shuffle=True))
    neurona.manual_seed(1)
    assert labels(DataLoader(make(), 3, shuffle=True)) == default


def test_both_paths_give_the_same_batches() -> None:
    rows = [(x, int(y.item())) for x, y in (arrays()[i] for i in range(10))]
    slow = list(DataLoader(rows, 4, shuffle=True, generator=neurona.Generator(2)))
    fast = list(DataLoader(arrays(), 4, shuffle=True, generator=neurona.Generator(2)))
    for (x, y), (u, v) in zip(slow, fast, strict=True):
        assert x.numpy().tolist() == u.numpy().tolist()
        assert y.numpy().tolist() == v.numpy().tolist()


def test_arrays_are_gathered_without_touching_single_samples() -> None:
    class Watched(TensorDataset):
        def __getitem__(self, index: Any) -> Any:
            raise AssertionError("a sample was read on its own")

    data = Watched(np.arange(6), np.arange(6))
    assert labels(DataLoader(data, 4)) == [[0, 1, 2, 3], [4, 5]]
    nested = Subset(Subset(data, [5, 3, 1]), [2, 0])
    assert labels(DataLoader(nested, 4)) == [[1, 5]]


def test_samplers_collate_and_no_batching() -> None:
    assert labels(DataLoader(arrays(), 2, sampler=[3, 1, 2])) == [[3, 1], [2]]
    assert labels(DataLoader(arrays(), 2, sampler=[3, 1, 2], drop_last=True)) == [[3, 1]]
    loader = DataLoader(arrays(), batch_sampler=[[1], [2, 3]])
    assert labels(loader) == [[1], [2, 3]] and len(loader) == 2
    assert list(DataLoader(Squares(), 4, collate_fn=len)) == [4, 4, 2]
    samples = list(DataLoader(Squares(), None))
    assert len(samples) == len(DataLoader(Squares(), None)) == 10 and samples[3][1] == 3


def test_num_workers_is_ignored_with_a_note() -> None:
    with pytest.warns(UserWarning, match="num_workers has no effect"):
        loader = DataLoader(arrays(), 5, num_workers=2, pin_memory=True, persistent_workers=True)
    assert len(list(loader)) == 2


def test_default_collate() -> None:
    batch = default_collate(
        [
            {"x": np.ones(2, np.float32), "n": 1, "f": 0.5, "s": "a", "b": True, "l": [1, 2]},
            {"x": np.zeros(2, np.float32), "n": 2, "f": 1.5, "s": "b", "b": False, "l": [3, 4]},
        ]
    )
    assert batch["x"].numpy().tolist() == [[1, 1], [0, 0]]
    assert batch["n"].numpy().tolist() == [1, 2] and batch["n"].data.dtype == np.int64
    assert batch["f"].numpy().tolist() == [0.5, 1.5] and batch["f"].data.dtype == np.float32
    assert batch["s"] == ["a", "b"] and batch["b"].numpy().tolist() == [True, False]
    assert [part.numpy().tolist() for part in batch["l"]] == [[1, 3], [2, 4]]
    with pytest.raises(TypeError, match="got object"):
        default_collate([object()])
    with pytest.raises(ValueError, match="shape"):
        default_collate([np.zeros(1), np.zeros(2)])


def test_random_split() -> None:
    parts = random_split(arrays(), [7, 3], generator=neurona.Generator(1))
    rows = [int(part[i][1].item()) for part in parts for i in range(len(part))]
    assert [len(part) for part in parts] == [7, 3] and sorted(rows) == list(range(10))
    again = random_split(arrays(), [7, 3], generator=neurona.Generator(1))
    assert [list(part.indices) for part in parts] == [list(part.indices) for part in again]
    assert [len(part) for part in random_split(arrays(11), [0.5, 0.25, 0.25])] == [6, 3, 2]
    assert [len(part) for part in random_split(arrays(1), [1])] == [1]


def test_tensor_dataset_and_subset() -> None:
    data = arrays()
    assert len(data) == 10 and data[-1][1].item() == 9
    x, y = data[2:4]
    assert x.shape == (2, 2) and y.numpy().tolist() == [2, 3]
    part = Subset(data, [4, 2])
    assert len(part) == 2 and part[1][1].item() == 2
    assert not hasattr(Subset(Squares(), [0]), "take_batch")
    assert labels(DataLoader(Subset(Squares(), [3, 1]), 2)) == [[3, 1]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda d: DataLoader(d, 0), ValueError, "batch_size must be >= 1, got 0"),
        (lambda d: DataLoader(d, 2.5), TypeError, "batch_size must be an int, got float"),
        (lambda d: DataLoader(d, True), TypeError, "batch_size must be an int, got bool"),
        (lambda d: DataLoader(TensorDataset(np.zeros(0))), ValueError, "dataset must not be empty"),
        (lambda d: DataLoader(d, None, drop_last=True), ValueError, "must come with a batch_size"),
        (lambda d: DataLoader(d, 2, batch_sampler=[[0]]), ValueError, "must come without"),
        (lambda d: DataLoader(d, 2, True, [0]), ValueError, "sampler must come without shuffle"),
        (lambda d: DataLoader(d, num_workers=-1), ValueError, "num_workers must be >= 0, got -1"),
        (lambda d: TensorDataset(np.zeros(2), np.zeros(3)), ValueError, "length, got [2, 3]"),
        (lambda d: TensorDataset(), ValueError, "at least one tensor must be given"),
        (lambda d: TensorDataset([1, 2]), TypeError, "must be a Tensor or an ndarray, got list"),
        (lambda d: TensorDataset(np.zeros(())), ValueError, "must have at least one axis"),
        (lambda d: random_split(d, [5, 4]), ValueError, "must add up to 10, got [5, 4]"),
        (lambda d: random_split(d, [11, -1]), ValueError, "lengths must be >= 0, got -1"),
        (lambda d: random_split(d, [1.5, -0.5]), ValueError, "shares must be in [0, 1]"),
        (lambda d: random_split(d, [0.5, 0.2]), TypeError, "lengths must be an int, got float"),
    ],
)
def test_bad_arguments(
    call: Callable[[TensorDataset], Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=re.escape(message)):
        call(arrays())
