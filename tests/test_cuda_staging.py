"""Copies to the emulated device and back by way of pinned buffers, which it reads and writes late.

That buffers taken too early are found is tested in test_cuda_emulation.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import emulated
import neurona
from neurona.backends import DeviceArray, cuda

PIECE = 4 << 20  # bytes that a buffer holds at most
BUFFERS = 8


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    """The emulated device in the place of a GPU, or the GPU."""
    before = cuda.use_extension(emulated.device_module())
    yield
    cuda.use_extension(before)


@pytest.mark.parametrize(
    "count",
    [0, 1, 3, 1000, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, BUFFERS * PIECE + 5],
)
def test_any_number_of_bytes(count: int) -> None:
    """In one piece, in several, and in more than there are buffers."""
    host = np.random.default_rng(count).integers(0, 256, count, np.uint8)
    assert np.array_equal(DeviceArray.from_host(host).numpy(), host)


def test_the_source_is_free_when_the_call_returns() -> None:
    """What is written to it afterwards does not reach the device."""
    host = np.arange(1000, dtype=np.float32)
    expected, copies = [], []
    for _ in range(3 * BUFFERS):
        copies.append(DeviceArray.from_host(host))
        expected.append(host.copy())
        host += 1
    host.fill(-1)
    for copy, values in zip(copies, expected, strict=True):
        assert np.array_equal(copy.numpy(), values)


def test_copies_are_in_order_with_kernels() -> None:
    """A kernel reads what was sent before it, and what it read may be overwritten after it."""
    batch = neurona.zeros(64).cuda()
    total = neurona.zeros(64).cuda()
    for step in range(20):
        batch.data[...] = np.full(64, step, np.float32)
        total = total + batch
    assert total.cpu().tolist() == [190.0] * 64


def test_sent_and_freed() -> None:
    """An array may be freed while its copy is still to come; its memory goes to another."""
    for _ in range(50):
        DeviceArray.from_host(np.full(5000, 7, np.float32))
        fresh = DeviceArray.from_host(np.full(5000, 3, np.float32))
        assert fresh.numpy().tolist() == [3.0] * 5000


def test_several_threads() -> None:
    """Each gets its own values back."""

    def journey(seed: int) -> bool:
        host = np.random.default_rng(seed).random(20_000 + 300_000 * (seed % 5), np.float32)
        return np.array_equal(DeviceArray.from_host(host).numpy(), host)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(journey, range(40)))
