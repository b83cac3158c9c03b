"""Softmax and the losses of classes for rows of every length that csrc/cuda/common/line.cuh shares
out in a way of its own: a thread to a row in shared memory, parts of a warp, warps, and blocks.
"""

from __future__ import annotations

import numpy as np
import pytest

import emulated
import harness
import test_cross_entropy
import test_focal_loss
import test_softmax
from conftest import DEVICES, Backend

# Both sides of each length where the threads change, with as many rows as two blocks have, and some
# that leave the last block's rows without a multiple of four elements.
SHORT = [(n, c) for c in (2, 4, 5, 10, 11, 12, 16, 17, 21, 24, 25, 32) for n in (259, 3)]
LONG = [(19, 33), (35, 128), (11, 129), (9, 256), (9, 257), (3, 1024), (3, 1025), (2, 2049)]
LONGEST = [(2, 8192), (2, 8193), (1, 16384), (2, 16385), (1, 32768), (1, 32769)]


@pytest.fixture(params=DEVICES)
def backend(request: pytest.FixtureRequest) -> Backend:
    """The device under each schedule."""
    return Backend(request.param, emulated.DeviceOps(emulated.device_with(request.param, seed=3)))


@pytest.mark.parametrize("shape", [*SHORT, *LONG, *LONGEST], ids=str)
def test_softmax_and_its_gradient(backend: Backend, shape: tuple[int, int]) -> None:
    """Within the bounds of test_softmax.py."""
    test_softmax.test_softmax(backend, shape, 1, 30.0)
    test_softmax.test_log_softmax(backend, shape, 1, 30.0)
    for kind in ("softmax", "log_softmax"):
        test_softmax.test_backward(backend, shape, 1, kind)


@pytest.mark.parametrize("kind", ["classes", "ignored", "probabilities"])
@pytest.mark.parametrize("shape", [*SHORT, *LONG], ids=str)
def test_cross_entropy_of_rows(backend: Backend, shape: tuple[int, int], kind: str) -> None:
    """Within the bounds of test_cross_entropy.py."""
    test_cross_entropy.test_loss_and_gradient(backend, *shape, kind)


@pytest.mark.parametrize("shape", LONGEST, ids=str)
def test_cross_entropy_of_long_rows(backend: Backend, shape: tuple[int, int]) -> None:
    """Classes are enough: blocks of more threads than others have are to be found."""
    test_cross_entropy.test_loss_and_gradient(backend, *shape, "classes")


@pytest.mark.parametrize("shape", [*SHORT, *LONG, *LONGEST[1::2]], ids=str)
def test_focal_loss_of_rows(backend: Backend, shape: tuple[int, int]) -> None:
    """Within the bounds of test_focal_loss.py."""
    test_focal_loss.test_loss_and_gradient(backend, *shape, weighted=shape[1] % 2 == 0)


@pytest.mark.parametrize("classes", [4, 10, 21, 32, 100])
def test_rows_that_begin_anywhere(backend: Backend, classes: int) -> None:
    """The same bits from and to memory that is not aligned to 16 bytes."""
    rng = harness.rng_of("rows", classes)
    values = harness.normals(rng, (2, 261 * classes + 1))
    x, dy = (row[1:].reshape(261, classes) for row in values)
    for kind in ("softmax", "log_softmax"):
        found = []
        for move in (lambda array: array, np.copy):
            y = getattr(backend, f"{kind}_forward")(move(x), 1)
            found.append((y, getattr(backend, f"{kind}_backward")(move(dy), y, 1)))
        for ours, expected in zip(*found, strict=True):
            assert np.array_equal(ours, expected)


def test_ignored_rows_that_are_not_finite_have_no_gradient(backend: Backend) -> None:
    """Beside others in the same block, whose gradients they leave alone."""
    rng = harness.rng_of("ignored")
    x = harness.normals(rng, (300, 10))
    labels = rng.integers(0, 10, 300)
    _, expected = backend.cross_entropy_forward(x, labels, reduction="sum")
    labels[::7] = -100
    x[::7] = np.nan
    for op in ("cross_entropy_forward", "focal_loss_forward"):
        _, dx = getattr(backend, op)(x, labels, reduction="sum")
        assert not dx[::7].any()
        assert np.isfinite(dx).all()
    _, dx = backend.cross_entropy_forward(x, labels, reduction="sum")
    assert np.array_equal(np.delete(dx, np.s_[::7], 0), np.delete(expected, np.s_[::7], 0))
