"""The kernels of upsampling: exact values, bounds, both layouts, threads, NaN, bad arguments."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import harness
import neurona
import neurona.reference as reference
from harness import Bad, bad_arrays, bad_pairs, bad_ranks
from neurona import nn
from neurona.nn import functional as F

F32, I64 = np.float32, np.int64
Taps = tuple[np.ndarray, Any, Any]


def channels_last(array: np.ndarray) -> np.ndarray:
    """The same values in memory of the other order."""
    return np.moveaxis(np.moveaxis(array, 1, -1).copy(), -1, 1)


def taps(length: int, count: int, linear: bool) -> Taps:
    """Positions that never decrease, some of them left out, some repeated."""
    rng = harness.rng_of("taps", length, count)
    below = np.sort(rng.integers(0, length, count))
    if not linear:
        return below, None, None
    # Quarters, so that mixtures of small integers are exact.
    return below, np.minimum(below + 1, length - 1), (rng.integers(0, 5, count) / 4).astype(F32)


Shape = tuple[int, int, int, int]
SHAPES: list[tuple[Shape, tuple[int, int]]] = [
    ((2, 3, 5, 7), (10, 14)), ((1, 1, 4, 9), (9, 35)), ((2, 16, 3, 4), (6, 8)),
    ((1, 33, 4, 3), (3, 7)), ((3, 8, 2, 2), (1, 1)), ((2, 5, 1, 1), (4, 3)), ((0, 3, 4, 4), (8, 8)),
    ((2, 0, 4, 4), (8, 8)), ((1, 2, 3, 17), (2, 64)), ((1, 4, 6, 6), (0, 5)),
]  # fmt: skip
EACH = pytest.mark.parametrize(("shape", "size"), SHAPES, ids=str)
LINEAR = pytest.mark.parametrize(
    "linear", [(False, False), (True, True), (True, False), (False, True)], ids=str
)


def resampling(shape: Shape, size: tuple[int, int], linear: tuple[bool, bool]) -> tuple[Any, Any]:
    """Forward and backward of one geometry as functions of a backend and an array."""
    rows, columns = (taps(n, p, lin) for n, p, lin in zip(shape[2:], size, linear, strict=True))
    return (
        lambda ops, x: ops.resample2d_forward(x, rows, columns),
        lambda ops, dy: ops.resample2d_backward(dy, rows, columns, shape[2:]),
    )


@EACH
@LINEAR
def test_resampling_is_exact_on_integers(
    backend: Any, shape: Shape, size: tuple[int, int], linear: tuple[bool, bool]
) -> None:
    forward, backward = resampling(shape, size, linear)
    rng = harness.rng_of(shape, size)
    harness.check_exact(backend, forward, (harness.integers(rng, shape),), what="resample2d")
    dy = harness.integers(rng, (*shape[:2], *size))
    harness.check_exact(backend, backward, (dy,), what="resample2d_backward")


@EACH
def test_resampling_is_within_its_bounds(backend: Any, shape: Shape, size: tuple[int, int]) -> None:
    forward, backward = resampling(shape, size, (True, True))
    rng = harness.rng_of(shape, size, "normal")
    harness.check_linear(backend, forward, (harness.normals(rng, shape),), 4, what="resample2d")
    dy = harness.normals(rng, (*shape[:2], *size))
    harness.check_linear(backend, backward, (dy,), 4 + sum(size), what="resample2d_backward")


def test_layouts_give_the_same_bits_and_are_kept(backend: Any) -> None:
    for shape, size in SHAPES[:6]:
        for linear in ((False, False), (True, True)):
            forward, backward = resampling(shape, size, linear)
            rng = harness.rng_of(shape, "layouts")
            x, dy = harness.normals(rng, shape), harness.normals(rng, (*shape[:2], *size))
            harness.check_layouts(backend, forward, (x,), what="resample2d")
            harness.check_layouts(backend, backward, (dy,), what="resample2d_backward")
            harness.check_layouts(
                backend, lambda o, a: o.bed_of_nails_forward(a, (2, 3)), (x,), what="bed_of_nails"
            )
    if backend.name != "reference":
        last = np.moveaxis(np.ones((2, 4, 4, 3), F32), -1, 1)
        for y in (
            forward_of_ones(backend, last), backend.bed_of_nails_forward(last, 2),
            backend.max_unpool2d_forward(last, np.zeros(last.shape, I64), 4),
        ):  # fmt: skip
            assert np.moveaxis(y, 1, -1).flags.c_contiguous
        assert backend.bed_of_nails_forward(last.copy("C"), 2).flags.c_contiguous


def forward_of_ones(backend: Any, x: np.ndarray) -> np.ndarray:
    axis = (np.zeros(4, I64), None, None)
    result: np.ndarray = backend.resample2d_forward(x, axis, axis)
    return result


def test_thread_count_changes_no_bit(compiled: Any) -> None:
    shape, size = (3, 20, 40, 41), (80, 82)
    rng = harness.rng_of("upsample threads")
    dy = harness.normals(rng, (*shape[:2], *size))
    for x in (
        harness.normals(rng, shape),
        np.moveaxis(harness.normals(rng, (3, 40, 41, 20)), 3, 1),
    ):
        for linear in ((False, False), (True, True)):
            forward, backward = resampling(shape, size, linear)
            harness.check_threads(compiled, forward, (x,), what="resample2d")
            harness.check_threads(compiled, backward, (dy,), what="resample2d_backward")
        indices = rng.integers(0, 50 * 50, shape)
        harness.check_threads(
            compiled, lambda o, a, i: o.max_unpool2d_forward(a, i, 50), (x, indices), what="unpool"
        )
        harness.check_threads(
            compiled, lambda o, a: o.bed_of_nails_forward(a, 2), (x,), what="nails"
        )


@LINEAR
def test_nan_and_infinities(backend: Any, linear: tuple[bool, bool]) -> None:
    forward, backward = resampling((1, 2, 3, 4), (5, 6), linear)
    rng = harness.rng_of("upsample nan")
    harness.check_nan_positions(
        backend, forward, (harness.normals(rng, (1, 2, 3, 4)),), what="resample2d"
    )
    dy = harness.normals(rng, (1, 2, 5, 6))
    harness.check_nan_positions(backend, backward, (dy,), what="resample2d_backward")


def test_resampling_gradient() -> None:
    for linear in ((False, False), (True, True)):
        forward, backward = resampling((1, 2, 3, 4), (5, 7), linear)
        harness.check_gradient(
            lambda x, f=forward: f(reference, x),
            lambda dy, x, b=backward: (b(reference, dy),),
            (harness.normals(harness.rng_of("resampling"), (1, 2, 3, 4)),),
            what=f"resample2d {linear}",
        )


@pytest.mark.parametrize("block", [1, 2, 3, (2, 5), (1, 4)])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 1, 3, 17), (2, 20, 2, 3), (2, 3, 0, 4)])
def test_bed_of_nails(backend: Any, shape: Shape, block: Any) -> None:
    rng = harness.rng_of("nails", shape)
    x = harness.normals(rng, shape)
    harness.check_exact(backend, lambda o, a: o.bed_of_nails_forward(a, block), (x,), what="nails")


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 1, 3, 17), (2, 37, 2, 3), (2, 3, 0, 4)])
def test_max_unpool(backend: Any, shape: Shape) -> None:
    """Repeated places keep the last value, in row-major order."""
    rng = harness.rng_of("unpool", shape)
    x, indices = harness.normals(rng, shape), rng.integers(0, 30, shape)
    dy = harness.normals(rng, (*shape[:2], 6, 5))
    views = [indices, channels_last(indices), indices.astype(">i8")]
    for places in views:
        for layout in (x, channels_last(x)):
            harness.check_exact(
                backend, lambda o, a, i: o.max_unpool2d_forward(a, i, (6, 5)), (layout, places),
                what="max_unpool2d",
            )  # fmt: skip
        harness.check_exact(
            backend, lambda o, a, i: o.max_unpool2d_backward(a, i), (dy, places), what="unpool back"
        )


def window_places(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """The flat places of the largest of each 2 x 2 pixels: what a max pooling of stride 2 gives."""
    large = (*shape[:2], 2 * shape[2], 2 * shape[3])
    _, offsets = reference.max_pool2d_forward(harness.normals(rng, large), 2)
    places: np.ndarray = reference.pool2d_indices(offsets, large[2:], 2)
    return places


def check_unpool(
    backend: Any, x: np.ndarray, places: np.ndarray, size: tuple[int, int], what: str
) -> None:
    """Both directions in both orders, bit for bit."""
    dy = harness.normals(harness.rng_of(x.shape, size), (*x.shape[:2], *size))
    for order, view in (("C order", np.ascontiguousarray), ("channels-last", channels_last)):
        harness.check_exact(
            backend, lambda o, a, i: o.max_unpool2d_forward(a, i, size), (view(x), view(places)),
            what=f"max_unpool2d of {what}, {order}",
        )  # fmt: skip
        harness.check_exact(
            backend, lambda o, a, i: o.max_unpool2d_backward(a, i), (view(dy), view(places)),
            what=f"max_unpool2d_backward of {what}, {order}",
        )  # fmt: skip


# Fewer channels than lanes, whole vectors, and vectors that overlap.
CHANNELS = pytest.mark.parametrize("channels", [1, 3, 4, 9, 16, 17, 40, 64])


@CHANNELS
@pytest.mark.parametrize("thin", [(1, 1), (1, 5), (4, 1), (5, 3)], ids=str)
def test_max_unpool_of_windows(backend: Any, channels: int, thin: tuple[int, int]) -> None:
    shape = (2, channels, *thin)
    rng = harness.rng_of("windows", shape)
    x, places = harness.normals(rng, shape), window_places(rng, shape)
    x[0, :, 0, 0] = np.array([np.nan, -0.0, np.inf], F32)[np.arange(channels) % 3]
    check_unpool(backend, x, places, (2 * thin[0], 2 * thin[1]), "windows")
    check_unpool(backend, x, places, (2 * thin[0] + 1, 2 * thin[1]), "an odd height")
    check_unpool(backend, x, places, (2 * thin[0], 2 * thin[1] + 2), "a larger width")


@CHANNELS
def test_max_unpool_of_a_place_in_another_window(backend: Any, channels: int) -> None:
    """The last of several values for one place stays, also where only one is from elsewhere."""
    shape, size = (3, channels, 4, 3), (8, 6)
    rng = harness.rng_of("strange", shape)
    x, windows = harness.normals(rng, shape), window_places(rng, shape)
    for pixel, place in {
        # Earlier and later windows, the neighbours of the window's own places among them.
        (0, 0): (2, 12, 47), (1, 1): (0, 13, 16, 19, 20, 21, 22, 28, 32), (3, 2): (0, 39, 45),
    }.items():  # fmt: skip
        for stranger in place:
            for channel in {0, channels // 2, channels - 1}:
                places = windows.copy()
                places[1, channel, *pixel] = stranger
                check_unpool(backend, x, places, size, f"{stranger} at {pixel}, {channel}")


def test_max_unpool_of_overlapping_windows(backend: Any) -> None:
    """A 3 x 3 pooling of stride 2 halves the size too, but its places are not those of 2 x 2."""
    shape, size = (2, 35, 6, 5), (12, 10)
    rng = harness.rng_of("overlapping", shape)
    geometry = {"stride": 2, "padding": 1}
    x, offsets = reference.max_pool2d_forward(
        harness.normals(rng, (*shape[:2], *size)), 3, **geometry
    )
    places = reference.pool2d_indices(offsets, size, 3, **geometry)
    check_unpool(backend, x, places, size, "overlapping windows")


@CHANNELS
def test_max_unpool_refuses_a_place_outside(backend: Any, channels: int) -> None:
    """Wherever it is, and also if its lower 32 bits would be a place in its window."""
    shape, size = (2, channels, 3, 4), (6, 8)
    rng = harness.rng_of("outside", shape)
    x, windows = harness.normals(rng, shape), window_places(rng, shape)
    dy = harness.normals(rng, (*shape[:2], *size))
    for n, pixel in ((0, (0, 0)), (1, (2, 3))):
        at = (n, channels - 1, *pixel)
        own = int(windows[at])
        for place in (-1, 48, own + 2**32, own - 2**32, own + 2**33, own - 2**63, 2**63 - 1):
            places = windows.copy()
            places[at] = place
            expected = f"in 0..47 for an output of (6, 8), got {places.min()} to {places.max()}"
            for view in (np.ascontiguousarray, channels_last):
                bad = view(places)
                for call in (
                    lambda i=bad, v=view: backend.max_unpool2d_forward(v(x), i, size),
                    lambda i=bad, v=view: backend.max_unpool2d_backward(v(dy), i),
                ):
                    with pytest.raises(ValueError, match=re.escape(expected)):
                        call()


def test_max_unpool_of_windows_on_several_threads(compiled: Any) -> None:
    """Also where the images of some threads have to be done again."""
    shape = (5, 40, 32, 30)
    rng = harness.rng_of("unpool threads")
    x, dy = (channels_last(harness.normals(rng, s)) for s in (shape, (5, 40, 64, 60)))
    windows = window_places(rng, shape)
    strange = windows.copy()
    strange[[1, 2, 4], [0, 39, 17], [31, 5, 0], [29, 0, 0]] = 1000
    for places in (windows, strange):
        harness.check_threads(
            compiled, lambda o, a, i: o.max_unpool2d_forward(a, i, (64, 60)),
            (x, channels_last(places)), what="max_unpool2d",
        )  # fmt: skip
        harness.check_threads(
            compiled, lambda o, a, i: o.max_unpool2d_backward(a, i),
            (dy, channels_last(places)), what="max_unpool2d_backward",
        )  # fmt: skip
        check_unpool(compiled, x, places, (64, 60), "windows on several threads")


def test_layers_run_on_the_kernels() -> None:
    """The layers agree with the reference under `verify`, in both layouts and for (N, C, L)."""
    rng = harness.rng_of("layers")
    with neurona.verify() as report:
        for x in (
            harness.normals(rng, (2, 5, 6, 7)),
            np.moveaxis(harness.normals(rng, (2, 6, 7, 5)), 3, 1),
        ):
            for layer in (
                nn.Upsample(scale_factor=2), nn.Upsample((9, 5), mode="bilinear"), nn.BedOfNails(2)
            ):  # fmt: skip
                leaf = neurona.Tensor(x, requires_grad=True)
                (layer(leaf) ** 2).sum().backward()
            leaf = neurona.Tensor(x, requires_grad=True)
            y, indices = F.max_pool2d(leaf, 2, return_indices=True)
            (F.max_unpool2d(y, indices, 2, output_size=(6, 7)) ** 2).sum().backward()
        line = neurona.Tensor(harness.normals(rng, (2, 3, 9)), requires_grad=True)
        F.interpolate(line, 14, mode="linear").sum().backward()
        assert line.grad is not None and line.grad.shape == (2, 3, 9)
    names = {"bed_of_nails_forward"} | {
        f"{n}_{d}" for n in ("resample2d", "max_unpool2d") for d in ("forward", "backward")
    }
    assert names <= set(report.worst)


X = np.ones((1, 2, 4, 4), F32)
AXIS = (np.arange(4), None, None)
MIXED = (np.arange(4), np.arange(4), np.ones(4, F32))
PLACES = np.zeros((1, 2, 4, 4), I64)


def bad_axes() -> list[tuple[type[Exception], tuple[str, ...], Any]]:
    return [
        (TypeError, ("tuple", "list"), [np.arange(4), None, None]),
        (TypeError, ("tuple",), (np.arange(4), None)),
        (TypeError, ("int64", "float64"), (np.arange(4.0), None, None)),
        (TypeError, ("int64", "int32"), (np.arange(4, dtype=np.int32), None, None)),
        (TypeError, ("str",), ("abc", None, None)),
        (TypeError, ("both above and part",), (np.arange(4), np.arange(4), None)),
        (TypeError, ("both above and part",), (np.arange(4), None, np.ones(4, F32))),
        (ValueError, ("(P,)",), (np.zeros((2, 2), I64), None, None)),
        (ValueError, ("[0, 4)",), (np.arange(5), None, None)),
        (ValueError, ("[0, 4)",), (np.arange(-1, 3), None, None)),
        (ValueError, ("never decrease",), (np.array([1, 0, 2, 3]), None, None)),
        (ValueError, ("[0, 4)",), (np.full(4, 2**62), None, None)),
        (ValueError, ("one length",), (np.arange(4), np.arange(3), np.ones(4, F32))),
        (ValueError, ("one length",), (np.arange(4), np.arange(4), np.ones(3, F32))),
        (TypeError, ("bool",), (np.arange(4), np.arange(4), np.ones(4, bool))),
    ]


NAILS, UNPOOL = "bed_of_nails_forward", "max_unpool2d_forward"
BACK = "max_unpool2d_backward"
REJECTED = [
    *bad_arrays("resample2d_forward", (X, AXIS, AXIS), ("x",)),
    *bad_ranks("resample2d_forward", (X, AXIS, AXIS), ("x",)),
    *bad_arrays("resample2d_backward", (X, AXIS, AXIS, 4), ("dy",)),
    *bad_pairs("resample2d_backward", (X, AXIS, AXIS), "input_size", 1),
    Bad("resample2d_backward", ValueError, ("dy",), (X[..., :3], AXIS, AXIS, 4)),
    *(Bad("resample2d_forward", e, ("rows", *w), (X, v, AXIS)) for e, w, v in bad_axes()),
    *(Bad("resample2d_backward", e, ("columns", *w), (X, MIXED, v, 4)) for e, w, v in bad_axes()),
    *bad_arrays(NAILS, (X, 2), ("x",)),
    *bad_ranks(NAILS, (X, 2), ("x",)),
    *bad_pairs(NAILS, (X,), "kernel_size", 1),
    Bad(NAILS, MemoryError, (), (X, 2**30)),
    *bad_arrays(UNPOOL, (X, PLACES, 4), ("x",)),
    *bad_ranks(UNPOOL, (X, PLACES, 4), ("x",)),
    *bad_pairs(UNPOOL, (X, PLACES), "output_size", 1),
    Bad(UNPOOL, TypeError, ("indices", "int32"), (X, PLACES.astype(np.int32), 4)),
    Bad(UNPOOL, TypeError, ("indices",), (X, [0], 4)),
    Bad(UNPOOL, ValueError, ("indices", "shape"), (X, PLACES[:, :1], 4)),
    Bad(UNPOOL, ValueError, ("0..15", "16 to 16"), (X, PLACES + 16, 4)),
    Bad(UNPOOL, ValueError, ("-1 to -1",), (X, PLACES - 1, 4)),
    Bad(BACK, ValueError, ("0..15",), (X, PLACES + 16)),
    Bad(BACK, ValueError, ("indices",), (X, PLACES[:, :1])),
    Bad(BACK, ValueError, ("indices",), (X, PLACES[0])),
]  # fmt: skip


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    harness.check_rejected(backend, bad, bad.op.rsplit("_", 1)[0])
