"""Results stored past the caches, or of operands asked for ahead, have the same bits as always."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import harness
import neurona.reference as reference
from compare import assert_exact
from neurona._core import set_cache_limit

ALWAYS, NEVER, DEFAULT = 0, 1 << 60, -1
# Nothing, less than a vector, and enough for several threads, which then begin within a vector.
COUNTS = (0, 1, 15, 16, 33, 1001, 262_147)


@pytest.fixture(autouse=True)
def usual_limit() -> Iterator[None]:
    yield
    set_cache_limit(DEFAULT)


def assert_same_past_caches(call: Callable[[], Any], what: str) -> None:
    results = []
    for limit in (NEVER, ALWAYS):
        set_cache_limit(limit)
        result = call()
        results.append(result if isinstance(result, tuple) else (result,))
    for stored, streamed in zip(*results, strict=True):
        assert_exact(streamed, stored, what=what)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("op", ["relu", "gelu", "hard_sigmoid"])
def test_activations(compiled: Any, op: str, count: int) -> None:
    x, dy = (harness.normals(harness.rng_of(op, side, count), (count,)) for side in "xy")
    forward, backward = (getattr(compiled, f"{op}_{way}") for way in ("forward", "backward"))
    assert_same_past_caches(lambda: forward(x), f"{op} forward of {count} on {compiled}")
    assert_same_past_caches(lambda: backward(dy, x), f"{op} backward of {count} on {compiled}")


@pytest.mark.parametrize("count", COUNTS)
def test_sums_and_products(compiled: Any, count: int) -> None:
    a, b = (harness.normals(harness.rng_of("past caches", side, count), (count,)) for side in "ab")
    assert_same_past_caches(lambda: compiled.add(a, b), f"add of {count} on {compiled}")
    assert_same_past_caches(lambda: compiled.mul(a, 3.0), f"mul of {count} on {compiled}")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("channels", [64, 21, 70])
def test_batch_norm(compiled: Any, channels: int, training: bool) -> None:
    """Whole vectors per row, or not: the latter are stored as always. With a relu and without."""
    rng = harness.rng_of("past caches", channels)
    x, dy = (harness.normals(rng, (1003, channels)) for _ in range(2))
    mean, var, weight, bias = (abs(harness.normals(rng, (channels,))) + 0.1 for _ in range(4))

    def forward(relu: bool) -> Any:
        statistics = mean.copy(), var.copy()
        return compiled.batch_norm_forward(
            x, weight, bias, *statistics, training=training, relu=relu
        )

    for relu in (False, True):
        assert_same_past_caches(lambda r=relu: forward(r), f"forward, relu={relu} on {compiled}")
        y, m, s = forward(relu)
        gate = y if relu else None
        assert_same_past_caches(
            lambda m=m, s=s, g=gate: compiled.batch_norm_backward(
                dy, x, weight, m, s, training=training, y=g
            ),
            f"backward, relu={relu} on {compiled}",
        )


@pytest.mark.parametrize(
    ("variant", "shape", "weight", "stride", "padding"),
    [
        ("winograd", (2, 20, 13, 9), (18, 20, 3, 3), 1, 1),
        ("winograd", (3, 5, 8, 11), (7, 5, 5, 5), 1, 2),
        ("direct", (3, 3, 16, 17), (20, 3, 7, 7), 2, 3),
        ("direct", (5, 24, 9, 6), (40, 24, 1, 1), 1, 0),
        ("direct", (2, 17, 9, 9), (33, 17, 1, 1), 2, 0),
    ],
)
def test_convolutions_that_ask_ahead(
    compiled: Any, variant: str, shape: Any, weight: Any, stride: int, padding: int
) -> None:
    """Images from memory are asked for ahead, past their ends too."""
    rng = harness.rng_of("past caches", *shape, *weight)
    x, w = (harness.normals(rng, size) for size in (shape, weight))
    options = {"stride": stride, "padding": padding, "variant": variant}
    y = compiled.conv2d_forward(x, w, **options)
    for what, call in (
        ("forward", lambda: compiled.conv2d_forward(x, w, **options)),
        ("backward data", lambda: compiled.conv2d_backward_data(y, w, shape[2:], **options)),
        ("backward weight", lambda: compiled.conv2d_backward_weight(y, x, weight[2:], **options)),
    ):
        assert_same_past_caches(call, f"{what} of {shape}, {weight} on {compiled}")


@pytest.mark.parametrize("strange", [False, True])
@pytest.mark.parametrize("channels", [64, 16, 21, 3])
def test_max_unpool(compiled: Any, channels: int, strange: bool) -> None:
    """Streamed images that hold a place of another window are done again, with ordinary stores."""
    shape = (3, 16, 14, channels)
    rng = harness.rng_of("past caches", *shape)
    corners = 2 * 28 * np.arange(16)[:, None, None] + 2 * np.arange(14)[:, None]
    places = corners + rng.choice([0, 1, 28, 29], shape)
    if strange:
        places[1, 15, 13, channels - 1] = 0
    x, indices = (np.moveaxis(a, -1, 1) for a in (harness.normals(rng, shape), places))
    assert_same_past_caches(
        lambda: compiled.max_unpool2d_forward(x, indices, (32, 28)),
        f"max_unpool2d of {channels} channels on {compiled}",
    )
    y = compiled.max_unpool2d_forward(x, indices, (32, 28))
    assert_exact(y, reference.max_unpool2d_forward(x, indices, (32, 28)), what=f"on {compiled}")


@pytest.mark.parametrize("channels", [64, 16, 21])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 3, 1), (1, 2, 0), (20, 20, 6)]
)
def test_max_pool_gradient(
    compiled: Any, kernel: int, stride: int, padding: int, channels: int
) -> None:
    """Windows side by side, overlapping, with gaps (stored as always), of more than 255 pixels."""
    x = np.moveaxis(
        harness.normals(harness.rng_of("past caches", kernel, channels), (3, 15, 14, channels)),
        -1,
        1,
    )
    y, offsets = compiled.max_pool2d_forward(x, kernel, stride=stride, padding=padding)
    assert_same_past_caches(
        lambda: compiled.max_pool2d_backward(
            y, offsets, x.shape[2:], kernel, stride=stride, padding=padding
        ),
        f"max_pool2d backward of {channels} channels, kernel {kernel} on {compiled}",
    )


def test_what_outgrows_the_l3_is_right(compiled: Any) -> None:
    """The default limit, passed on most machines: 51 MB."""
    x = harness.normals(harness.rng_of("past caches"), (6_400_003,))
    assert_exact(compiled.relu_forward(x), np.maximum(x, 0), what=f"relu on {compiled}")
