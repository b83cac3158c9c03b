"""Copies on the device between arrays of any strides; no result shows which kernel takes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import emulated
from conftest import DEVICES

DTYPES = (np.uint8, np.float16, np.float32, np.int64)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> Any:
    """The emulated device under each of its schedules, or the GPU."""
    return emulated.device_with(request.param)


def views(x: Any) -> Iterator[Any]:
    """Of an array (4, 6, 10, 32): rows that lie in sixteens of bytes and such that do not."""
    yield x
    yield from (x[1:], x[:, ::2], x[:, 1:4], x[..., 16:], x[..., 1:17], x[..., :30], x[:, :, 3:4])
    yield from (x[..., ::2], x[..., ::-1], x[::-1, :, ::-3], x[2, 3], x[2, 3, 4, 5:6], x[:0])
    yield from (x.transpose(0, 2, 3, 1), x.transpose(3, 2, 1, 0), x.transpose(1, 0, 2, 3))
    yield from (x[0].transpose(2, 0, 1), x[..., 0], x[0, 0].T, x[:, :, 1, :].transpose(0, 2, 1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_copies_of_views(device: Any, dtype: type) -> None:
    """To a new array, and from one to where such a view lies."""
    x = np.random.default_rng(0).integers(0, 100, (4, 6, 10, 32)).astype(dtype)
    there = device.to_device(x)
    for number, (here, view) in enumerate(zip(views(x), views(there), strict=True)):
        for order in "CK":
            copy = device.copied(view, order)
            assert order == "K" or copy.flags.c_contiguous
            assert np.array_equal(device.to_host(copy), here), number
        # What lies between the elements of the view stays.
        expected = np.zeros_like(x)
        target = device.to_device(expected)
        list(views(expected))[number][...] = here
        device.copy_into(list(views(target))[number], device.copied(view, "C"))
        assert np.array_equal(device.to_host(target), expected), number


def test_bits_stay(device: Any) -> None:
    """Those of a NaN, which a load and a store as float32 must not touch."""
    words = np.arange(0x7F800001, 0x7F800001 + 64, dtype=np.uint32)
    copy = device.copied(device.to_device(words.view(np.float32)), "C")
    assert np.array_equal(device.to_host(copy).view(np.uint32), words)
