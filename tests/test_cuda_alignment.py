"""An array that begins where no load of 16 bytes may: the kernels give the same bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import emulated
import harness
from compare import assert_same_bits
from neurona.backends import DeviceArray, cuda


@pytest.fixture(scope="module", autouse=True)
def device() -> Iterator[None]:
    """The emulated device in the place of a GPU, or the GPU."""
    before = cuda.use_extension(emulated.device_module())
    yield
    cuda.use_extension(before)


def elsewhere(array: np.ndarray) -> DeviceArray:
    """A copy on the device that begins four bytes behind a multiple of 256."""
    flat = np.concatenate([np.zeros(1, np.float32), array.ravel(order="K")])
    view = DeviceArray.from_host(flat)[1:]
    if array.ndim < 4 or array.flags.c_contiguous:
        return view.reshape(array.shape)
    n, c, h, w = array.shape
    return view.reshape(n, h, w, c).transpose(0, 3, 1, 2)


def normals(*shape: int) -> np.ndarray:
    return harness.normals(harness.rng_of("alignment", shape), shape)


def images(*shape: int) -> np.ndarray:
    """(n, h, w, c) as (n, c, h, w) in channels-last memory."""
    return np.moveaxis(normals(*shape), -1, 1)


def batch_norm(x: Any, dy: Any) -> Any:
    y, mean, invstd = cuda.batch_norm_forward(x, None, None, None, None, training=True, relu=True)
    return y, mean, invstd, *cuda.batch_norm_backward(dy, x, None, mean, invstd, training=True, y=y)


def pooled(x: Any, dy: Any) -> Any:
    y, offsets = cuda.max_pool2d_forward(x, 2)
    return y, offsets, cuda.avg_pool2d_forward(dy, 3, stride=2, padding=1)


def summed(x: Any, y: Any) -> Any:
    return cuda.sum(x, 1), cuda.sum(y, 0), cuda.sum(x), *cuda.max(y, 1)


def depthwise(x: Any, weight: Any) -> Any:
    """Walks down the image, and a filter that has none."""
    same, options = {"padding": 1, "groups": 8}, {"stride": 2, "padding": 1, "groups": 8}
    return (
        *(cuda.conv2d_forward(x, weight, **o) for o in (same, options)),
        cuda.conv2d_backward_data(x, weight, (7, 5), **same),
        cuda.conv2d_backward_data(x, weight, (13, 9), **options),
        cuda.conv2d_forward(x, weight, **same, dilation=2),
    )


def softmax(x: Any, dy: Any) -> Any:
    y = cuda.softmax_forward(x, 1)
    return y, cuda.softmax_backward(dy, y, 1), *cuda.pointwise_loss_forward(x, dy, "mse")[:2]


CASES: dict[str, tuple[Callable[..., Any], np.ndarray, np.ndarray]] = {
    "batch_norm": (batch_norm, images(9, 7, 5, 8), images(9, 7, 5, 8)[::-1]),
    "batch_norm_of_rows": (batch_norm, normals(300, 12), normals(300, 12)[::-1]),
    "pooling": (pooled, images(2, 7, 5, 8), images(2, 7, 5, 4)),
    "depthwise": (depthwise, images(2, 7, 5, 8), normals(8, 1, 3, 3)),
    "sums": (summed, normals(37, 200), normals(41, 64)),
    "softmax": (softmax, normals(5, 400), normals(5, 400)[::-1]),
    "rows": (lambda x, y: (cuda.add(x, y), cuda.mul(y, x)), normals(33, 64), normals(1, 64)),
    "columns": (lambda x, y: (cuda.sub(x, y), cuda.div(y, x)), normals(33, 64), normals(33, 1)),
    "channels": (lambda x, y: (cuda.add(x, y),), images(2, 5, 7, 8), normals(1, 8, 1, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_where_an_array_begins_changes_no_bit(name: str) -> None:
    call, *arrays = CASES[name]
    expected = call(*map(DeviceArray.from_host, arrays))
    for moved in ((0,), (1,), (0, 1)):
        inputs = [
            elsewhere(array) if i in moved else DeviceArray.from_host(array)
            for i, array in enumerate(arrays)
        ]
        for got, right in zip(call(*inputs), expected, strict=True):
            assert_same_bits(got.numpy(), right.numpy(), what=name)
