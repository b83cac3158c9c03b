"""Max and min pooling: exact values, offsets and indices, gradients, ties, NaN and padding."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import harness
import neurona.reference as reference
from cases import POOL2D, POOL2D_DILATED, POOL2D_EMPTY, POOL2D_LARGE, Pool2d
from compare import assert_exact
from harness import Bad, bad_arrays, bad_pairs, bad_ranks

EACH_KIND = pytest.mark.parametrize("kind", ["max", "min"])
CASES = pytest.mark.parametrize("case", [*POOL2D, *POOL2D_DILATED, POOL2D_EMPTY], ids=str)


def options(case: Pool2d) -> dict[str, Any]:
    """All keyword arguments of max and min pooling."""
    return {**case.options, "dilation": case.dilation}


def forward(kind: str, case: Pool2d) -> Any:
    """The forward pass as a function of a backend and x."""
    return lambda ops, x: getattr(ops, f"{kind}_pool2d_forward")(x, case.kernel, **options(case))


def backward(kind: str, case: Pool2d) -> Any:
    """The backward pass as a function of a backend, dy and offsets."""
    size = (case.H, case.W)
    return lambda ops, dy, offsets: getattr(ops, f"{kind}_pool2d_backward")(
        dy, offsets, size, case.kernel, **options(case)
    )


@CASES
@EACH_KIND
def test_values_offsets_and_indices(backend: Any, case: Pool2d, kind: str) -> None:
    """Small integers give many ties: the first winner in row-major order must win all of them."""
    x = harness.integers(harness.rng_of(case), case.x, 2)
    what = f"{kind}_pool2d {case} seed={harness.seed_of(case)}"
    harness.check_exact(backend, forward(kind, case), (x,), what=what)
    y, offsets = forward(kind, case)(backend, x)
    same_y, none = getattr(backend, f"{kind}_pool2d_forward")(
        x, case.kernel, **options(case), with_offsets=False
    )
    assert none is None
    harness.assert_same_bits(same_y, y, what=what)
    places = {"stride": case.stride, "padding": case.padding, "dilation": case.dilation}
    indices = backend.pool2d_indices(offsets, (case.H, case.W), case.kernel, **places)
    planes = x.reshape(case.N, case.C, case.H * case.W)
    flat = indices.reshape(case.N, case.C, y.shape[2] * y.shape[3])
    picked = np.take_along_axis(planes, flat, 2)
    assert indices.dtype == np.int64
    assert_exact(picked.reshape(y.shape), y, what=f"{what} indices on {backend}")


@CASES
@EACH_KIND
def test_gradient_integers(backend: Any, case: Pool2d, kind: str) -> None:
    """dy is added where the winner was, also where windows overlap."""
    rng = harness.rng_of(case, "gradient")
    y, offsets = forward(kind, case)(reference, harness.integers(rng, case.x, 2))
    dy = harness.integers(rng, y.shape)
    what = f"{kind}_pool2d_backward {case} seed={harness.seed_of(case, 'gradient')}"
    harness.check_exact(backend, backward(kind, case), (dy, offsets), what=what)


@pytest.mark.parametrize(
    "case",
    [
        Pool2d(2, 1, 7, 9, 3, 2, 1),
        Pool2d(1, 4, 5, 6, 2, 3, 0, 1, True),
        Pool2d(1, 4, 6, 8, 3, 2, 1, 1, True),
        Pool2d(1, 2, 8, 7, 3, 2, 0),
        Pool2d(2, 3, 10, 9, (2, 3), 2, (1, 2), (3, 2)),
        Pool2d(1, 1, 18, 17, (15, 18), 1, (7, 9)),
    ],
    ids=str,
)
def test_every_wrong_offset_is_found(backend: Any, case: Pool2d) -> None:
    """Of each window those beyond the kernel and, at the borders, those beside the image."""
    rng = harness.rng_of(case, "spoiled")
    y, offsets = forward("max", case)(reference, harness.normals(rng, case.x))
    call = backward("max", case)
    taps = int(np.prod(np.broadcast_to(case.kernel, 2)))
    for place in rng.permutation(list(np.ndindex(offsets.shape)))[:40].tolist():
        spoiled = offsets.copy()
        spoiled[tuple(place)] = rng.integers(0, taps + 1)
        try:
            expected = call(reference, y, spoiled)
        except ValueError as error:
            with pytest.raises(ValueError, match=re.escape(str(error).partition("got ")[2])):
                call(backend, y, spoiled)
        else:
            assert_exact(call(backend, y, spoiled), expected, what=f"{case} {place}")


def test_the_first_wrong_offset_is_named(backend: Any) -> None:
    """The first one in memory, which is channels-last."""
    offsets = np.zeros((3, 4, 5, 5), np.uint8)
    offsets[2, 0, 0, 0] = offsets[1, :, 3, 2:] = 4
    with pytest.raises(ValueError, match=r"got 4 at \(1, 0, 3, 2\)"):
        backend.max_pool2d_backward(np.ones(offsets.shape, F32), offsets, 10, 2)


@pytest.mark.parametrize("channels", [4, 5])
@EACH_KIND
def test_the_gradient_of_a_relu_beside_the_pooling(backend: Any, kind: str, channels: int) -> None:
    """That of a ReLU behind it and then its own; the one before it would give the same."""
    case = Pool2d(2, channels, 9, 7, 3, 2, 1)
    rng = harness.rng_of("rectified", kind)
    y, offsets = forward(kind, case)(reference, harness.integers(rng, case.x))
    dy, y = harness.integers(rng, y.shape), y - np.float32(2)
    y[0, 0, 0, 0], y[0, 1, 0, 0] = np.nan, -0.0
    both = getattr(backend, f"{kind}_pool2d_backward")
    window = {"stride": 2, "padding": 1}
    got = both(dy, offsets, (9, 7), 3, **window, rectified=y)
    apart = backward(kind, case)(reference, reference.relu_backward(dy, y), offsets)
    assert_exact(got, apart, what=f"{kind}_pool2d_backward {case}")
    assert (got != backward(kind, case)(reference, dy, offsets)).any()


@EACH_KIND
def test_padding_never_wins(backend: Any, kind: str) -> None:
    """Windows of nothing but the worst value keep it and point to their first pixel."""
    worst = -np.inf if kind == "max" else np.inf
    x = np.full((1, 2, 5, 4), worst, np.float32)
    for case in (Pool2d(1, 2, 5, 4, 3, 2, 1), Pool2d(1, 2, 5, 4, 3, 2, 1, 1, True)):
        harness.check_exact(backend, forward(kind, case), (x,), what=f"{kind}_pool2d {case}")
        y, offsets = forward(kind, case)(backend, x)
        assert (y == worst).all()
        assert offsets[0, 0, 0, 0] == 4
    negative = -np.ones((1, 3, 4, 4), np.float32) * (1 if kind == "max" else -1)
    y, _ = forward(kind, Pool2d(1, 3, 4, 4, 2, 2, 1))(backend, negative)
    assert (y == negative[0, 0, 0, 0]).all()


@EACH_KIND
def test_nan_always_wins(backend: Any, kind: str) -> None:
    """NaN and infinities reach the windows that hold them; the first NaN is the winner."""
    case = Pool2d(1, 2, 5, 6, 3, 2, 1)
    x = harness.normals(harness.rng_of(kind, "nan"), case.x)
    harness.check_nan_positions(backend, forward(kind, case), (x,), what=f"{kind}_pool2d {case}")
    x[0, :, 1:3, 1:3] = np.nan
    harness.check_exact(backend, forward(kind, case), (x,), what=f"{kind}_pool2d several nan")


def test_offset_types(backend: Any) -> None:
    """uint8 up to 255 taps, int32 beyond, with the right winners in both."""
    x = harness.normals(harness.rng_of("offsets"), (1, 3, 18, 18))
    for kernel, dtype in (
        (15, np.uint8),
        ((15, 17), np.uint8),
        (16, np.int32),
        ((1, 18), np.uint8),
    ):
        _, offsets = backend.max_pool2d_forward(x, kernel, stride=1)
        assert offsets.dtype == dtype, kernel
        case = Pool2d(1, 3, 18, 18, kernel, 1)
        harness.check_exact(backend, forward("max", case), (x,), what=f"max_pool2d {case}")


@EACH_KIND
def test_layouts(backend: Any, kind: str) -> None:
    """Strides, alignment and byte order of x, dy and offsets change no bit."""
    for case in (Pool2d(2, 5, 7, 6, 3, 2, 1), Pool2d(2, 17, 6, 6, 2)):
        x = harness.normals(harness.rng_of(case), case.x)
        harness.check_layouts(backend, forward(kind, case), (x,), what=f"{kind}_pool2d {case}")
        y, offsets = forward(kind, case)(reference, x)
        dy = harness.normals(harness.rng_of(case, "dy"), y.shape)
        for view in (offsets, np.asfortranarray(offsets), offsets[::-1].copy()[::-1]):
            got = backward(kind, case)(backend, dy, view)
            expected = backward(kind, case)(backend, dy, offsets)
            harness.assert_same_bits(got, expected, what=f"{kind}_pool2d_backward on {backend}")
        harness.check_layouts(
            backend,
            lambda o, d, c=case, f=offsets: backward(kind, c)(o, d, f),
            (dy,),
            what=f"{kind}_pool2d_backward {case}",
        )


@EACH_KIND
def test_thread_count_changes_no_bit(compiled: Any, kind: str) -> None:
    """1, 2, 3 and 8 threads, with overlapping windows."""
    case = POOL2D_LARGE
    x = harness.normals(harness.rng_of(case), case.x)
    harness.check_threads(compiled, forward(kind, case), (x,), what=f"{kind}_pool2d {case}")
    y, offsets = forward(kind, case)(reference, x)
    dy = harness.normals(harness.rng_of(case, "dy"), y.shape)
    call, what = backward(kind, case), f"{kind}_pool2d_backward {case}"
    harness.check_threads(compiled, call, (dy, offsets), what=what)


@pytest.mark.parametrize(
    "case", [Pool2d(1, 2, 5, 4, 3, 1, 1), Pool2d(1, 1, 6, 5, 2, 2, 0, 2, True)], ids=str
)
@EACH_KIND
def test_gradients(kind: str, case: Pool2d) -> None:
    """The reference's gradients against central differences."""
    x = harness.normals(harness.rng_of("pool gradient", case), case.x)

    def gradient(dy: Any, image: Any) -> Any:
        return (backward(kind, case)(reference, dy, forward(kind, case)(reference, image)[1]),)

    call = lambda image: forward(kind, case)(reference, image)[0]  # noqa: E731
    harness.check_gradient(call, gradient, (x,), what=f"{kind}_pool2d {case}")


F32 = np.float32
X, DY = np.ones((2, 3, 6, 6), F32), np.ones((2, 3, 3, 3), F32)
OFFSETS = np.zeros((2, 3, 3, 3), np.uint8)


def spoiled(value: int, dtype: Any = np.uint8) -> np.ndarray:
    """OFFSETS with one element changed."""
    copy = OFFSETS.astype(dtype)
    copy[1, 2, 0, 1] = value
    return copy


def rejected(kind: str) -> list[Bad]:
    """Bad calls of max or min pooling."""
    forward_op, backward_op = f"{kind}_pool2d_forward", f"{kind}_pool2d_backward"
    return [
        *bad_arrays(forward_op, (X,), ("x",), kernel_size=2),
        *bad_ranks(forward_op, (X,), ("x",), kernel_size=2),
        *bad_pairs(forward_op, (X,), "kernel_size", 1),
        *bad_pairs(forward_op, (X,), "stride", 1, kernel_size=2),
        *bad_pairs(forward_op, (X,), "padding", 0, kernel_size=2),
        *bad_pairs(forward_op, (X,), "dilation", 1, kernel_size=2),
        Bad(forward_op, ValueError, ("padding",), (X, 2), {"padding": 2}),
        Bad(forward_op, ValueError, ("padding",), (X, (3, 1)), {"padding": (1, 1)}),
        Bad(forward_op, ValueError, ("kernel_size", "7"), (X, 7)),
        Bad(forward_op, ValueError, ("x",), (np.ones((2, 0, 6, 6), F32), 2)),
        Bad(forward_op, ValueError, ("x",), (np.ones((2, 3, 0, 6), F32), 2)),
        Bad(
            forward_op,
            ValueError,
            ("window",),
            (np.ones((1, 1, 1, 1), F32), 2),
            {"padding": 1, "dilation": 2},
        ),
        *bad_arrays(backward_op, (DY, OFFSETS, 6, 2), ("dy",)),
        *bad_pairs(backward_op, (DY, OFFSETS), "input_size", 1, kernel_size=2),
        Bad(backward_op, ValueError, ("dy",), (DY, OFFSETS, 8, 2)),
        Bad(backward_op, ValueError, ("dy",), (DY[:, :, :2], OFFSETS, 6, 2)),
        Bad(backward_op, ValueError, ("offsets",), (DY, OFFSETS[:1], 6, 2)),
        Bad(backward_op, TypeError, ("offsets",), (DY, None, 6, 2)),
        Bad(backward_op, TypeError, ("offsets",), (DY, OFFSETS.astype(F32), 6, 2)),
        Bad(backward_op, TypeError, ("offsets",), (DY, OFFSETS.astype(np.int64), 6, 2)),
        Bad(backward_op, ValueError, ("rectified",), (DY, OFFSETS, 6, 2), {"rectified": DY[:1]}),
        Bad(backward_op, TypeError, ("rectified",), (DY, OFFSETS, 6, 2), {"rectified": [1.0]}),
        Bad(
            backward_op,
            TypeError,
            ("rectified",),
            (DY, OFFSETS, 6, 2),
            {"rectified": DY.astype(np.float64)},
        ),
        Bad(backward_op, ValueError, ("offsets", "4"), (DY, spoiled(4), 6, 2)),
        Bad(backward_op, ValueError, ("offsets", "255"), (DY, spoiled(255), 6, 2)),
    ]


PLACES = "pool2d_indices"
WIDE = np.zeros((1, 1, 1, 1), np.int32)
REJECTED = [
    *rejected("max"),
    *rejected("min"),
    Bad(PLACES, TypeError, ("offsets",), (OFFSETS.astype(F32), 6, 2)),
    Bad(PLACES, TypeError, ("offsets",), ("abc", 6, 2)),
    Bad(PLACES, ValueError, ("offsets", "4"), (spoiled(4), 6, 2)),
    Bad(PLACES, ValueError, ("offsets",), (OFFSETS[0], 6, 2)),
    Bad(PLACES, ValueError, ("offsets", "-1"), (WIDE - 1, 16, 16)),
    Bad(PLACES, ValueError, ("offsets", "256"), (WIDE + 256, 16, 16)),
    Bad(PLACES, ValueError, ("offsets", "-2147483648"), (WIDE + np.int32(-(2**31)), 16, 16)),
    Bad(
        "max_pool2d_backward",
        ValueError,
        ("offsets", "-1"),
        (np.ones((1, 1, 1, 1), F32), WIDE - 1, 16, 16),
    ),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError with op and argument in the message, before any offset is used."""
    family = "pool2d" if bad.op == PLACES else bad.op[:10]
    harness.check_rejected(backend, bad, family)
