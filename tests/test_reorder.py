"""Images from one memory order to the other: the same elements, whatever their strides were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import harness
import neurona
from harness import Bad, bad_arrays, bad_ranks
from neurona import nn

F32 = np.float32
# Around a vector and the 256 pixels of a piece; single rows, columns and channels; empty.
SHAPES = [
    *[(2, 3, 5, 7), (1, 16, 4, 4), (3, 17, 1, 15), (2, 1, 9, 4), (1, 33, 16, 17), (2, 5, 1, 1)],
    *[(2, 3, 40, 37), (2, 31, 20, 21), (1, 32, 30, 3), (2, 2, 600, 1), (3, 1, 1, 1100)],
    *[(1, 2, 19, 27), (0, 3, 4, 4), (2, 0, 3, 3)],
    *[(2, 32, 4, 8), (1, 31, 5, 13)],
]


def channels_last(x: np.ndarray) -> np.ndarray:
    return x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_elements_and_order(backend: Any, shape: tuple[int, ...]) -> None:
    x = harness.normals(harness.rng_of("reorder", shape), shape)
    x.flat[: min(2, x.size)] = [np.nan, np.inf][: min(2, x.size)]
    variants = [x, channels_last(x), np.repeat(x, 2, axis=2)[:, :, ::2], x[::-1][::-1]]
    for given in variants:
        last, first = backend.reorder(given, True), backend.reorder(given, False)
        np.testing.assert_array_equal(last, x)
        np.testing.assert_array_equal(first, x)
        assert first.flags.c_contiguous
        assert last.transpose(0, 2, 3, 1).flags.c_contiguous
        assert not np.may_share_memory(last, given) or x.size == 0
        assert not np.may_share_memory(first, given) or x.size == 0


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_threads(compiled: Any, threads: int) -> None:
    neurona.set_num_threads(threads)
    x = harness.normals(harness.rng_of("threads"), (3, 24, 31, 29))
    np.testing.assert_array_equal(compiled.reorder(x, True), x)
    np.testing.assert_array_equal(compiled.reorder(channels_last(x), False), x)


def test_flatten_uses_it_both_ways() -> None:
    """The rows of features are in C order, the gradient back in channels-last memory."""
    x = neurona.tensor(channels_last(np.arange(48, dtype=F32).reshape(2, 3, 2, 4)))
    x.requires_grad = True
    with neurona.verify() as report:
        y = nn.Flatten()(x)
        (y * neurona.tensor(np.arange(48, dtype=F32).reshape(2, 24))).sum().backward()
    assert report.worst["reorder"] == 0
    np.testing.assert_array_equal(y.detach().numpy(), np.arange(48).reshape(2, 24))
    np.testing.assert_array_equal(x.grad.numpy(), x.detach().numpy())


X = np.ones((2, 3, 4, 5), F32)
REJECTED = [
    *bad_arrays("reorder", (X, True), ("x",)),
    *bad_ranks("reorder", (X, True), ("x",)),
    Bad("reorder", TypeError, ("channels_last",), (X, 1)),
    Bad("reorder", TypeError, ("channels_last",), (X, None)),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    harness.check_rejected(backend, bad, "reorder")


def test_views_stay_views() -> None:
    """Only dense channels-last images are copied, for which NumPy would copy too."""
    base = neurona.tensor(np.arange(384, dtype=F32).reshape(4, 4, 4, 6))
    base[:, 1:2, :, 2:3].squeeze().fill_(-1)
    assert (base.numpy()[:, 1, :, 2] == -1).all()
    one = neurona.tensor(channels_last(np.arange(24, dtype=F32).reshape(1, 4, 2, 3)))
    for tensor, shape in ((base[::2], (2, 96)), (base[:, :2], (4, 48)), (one, (4, 6))):
        view = tensor.reshape(*shape)
        assert np.shares_memory(view.numpy(), tensor.numpy())
        np.testing.assert_array_equal(view.numpy(), tensor.numpy().reshape(shape))
