"""conv2d: forward and the three gradients, with every algorithm that can run a shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import harness
import neurona
import neurona.reference as reference
from cases import (
    CONV2D,
    CONV2D_EMPTY,
    CONV2D_LARGE,
    CONV2D_SMALLEST,
    VARIANTS,
    Conv2d,
)
from harness import Bad, bad_arrays, bad_pairs, bad_ranks

DIRECTIONS = ("forward", "backward_data", "backward_weight")
CASES = pytest.mark.parametrize("case", [*CONV2D, *CONV2D_LARGE], ids=str)


def calls(case: Conv2d, variant: str | None) -> dict[str, Callable[..., Any]]:
    """The three passes of a case as functions of a backend and arrays."""
    options = {**case.options, "variant": variant}
    kernel = (case.R, case.S)
    return {
        "forward": lambda ops, x, weight, bias: ops.conv2d_forward(x, weight, bias, **options),
        "backward_data": lambda ops, dy, weight: ops.conv2d_backward_data(
            dy, weight, (case.H, case.W), **options
        ),
        "backward_weight": lambda ops, dy, x: ops.conv2d_backward_weight(dy, x, kernel, **options),
    }


def operands(make: Any, case: Conv2d) -> dict[str, tuple[np.ndarray, ...]]:
    """The arguments of the three passes, with a random dy."""
    rng = harness.rng_of(case)
    x, weight, bias = make(rng, case.x), make(rng, case.weight), make(rng, (case.K,))
    zeros = np.zeros(case.x), np.zeros(case.weight)
    dy = make(rng, reference.conv2d_forward(*zeros, **case.options).shape)
    return {"forward": (x, weight, bias), "backward_data": (dy, weight), "backward_weight": (dy, x)}


def variants(backend: Any, case: Conv2d, direction: str) -> dict[str | None, str]:
    """None and every variant that accepts the shape, with the plan's own words."""
    plans: dict[str | None, str] = {}
    for variant in (None, *VARIANTS):
        try:
            plans[variant] = backend.conv2d_plan(
                case.x, case.weight, direction=direction, variant=variant, **case.options
            )
        except ValueError as refusal:
            assert "variant" in str(refusal), refusal
    return plans


def terms(case: Conv2d, direction: str, dy: np.ndarray) -> tuple[int, ...]:
    """Products behind one element of each result."""
    if direction == "forward":
        return (case.terms,)
    if direction == "backward_data":
        return (case.K // case.groups * case.R * case.S,)
    pixels = dy.shape[0] * dy.shape[2] * dy.shape[3]
    return pixels, pixels


@CASES
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_integers_are_exact(backend: Any, case: Conv2d, direction: str) -> None:
    """Every shape, every legal algorithm but Winograd's, which does not promise it."""
    arrays = operands(harness.integers, case)[direction]
    plans = variants(backend, case, direction)
    assert {None, "naive"} <= plans.keys()
    for variant, plan in plans.items():
        if "winograd" not in plan:
            what = f"conv2d_{direction} {case} variant={variant} seed={harness.seed_of(case)}"
            harness.check_exact(backend, calls(case, variant)[direction], arrays, what=what)


@CASES
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_random_data_within_the_bound(backend: Any, case: Conv2d, direction: str) -> None:
    """(2 sqrt(K) + 8) u S; for Winograd (2 sqrt(K) + 300) u times the largest S of the plane."""
    arrays = operands(harness.normals, case)[direction]
    for variant, plan in variants(backend, case, direction).items():
        call = calls(case, variant)[direction]
        sizes = harness.magnitude(call, arrays)
        if "winograd" in plan:
            counts = terms(case, direction, arrays[0])
            bounds = [winograd_bound(max(counts), sizes[0])]
            bounds += [
                harness.random_bound(n, s) for n, s in zip(counts[1:], sizes[1:], strict=True)
            ]
        else:
            counts = terms(case, direction, arrays[0])
            bounds = [harness.random_bound(n, s) for n, s in zip(counts, sizes, strict=True)]
        what = f"conv2d_{direction} {case} variant={variant} seed={harness.seed_of(case)}"
        harness.check_within(backend, call, arrays, bounds, what=what)


def winograd_bound(terms: int, size: np.ndarray) -> np.ndarray:
    """Winograd mixes the pixels of a tile: its error follows the largest S of the plane."""
    scale = (2 * np.sqrt(terms) + 300) * harness.U
    return np.broadcast_to(scale * size.max(axis=(-2, -1), keepdims=True), size.shape)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "sigmoid", "tanh", "gelu", "silu"])
@pytest.mark.parametrize(
    "case",
    [CONV2D[2], Conv2d(2, 17, 5, 7, 33, 1, 1), Conv2d(1, 8, 6, 7, 8, 3, 3, 1, 1, 1, 8)],
    ids=str,
)
def test_fused_activation(backend: Any, case: Conv2d, activation: str) -> None:
    """The activation is applied after the bias, whatever the algorithm."""
    arrays = operands(harness.normals, case)["forward"]
    (size,) = harness.magnitude(calls(case, None)["forward"], arrays)
    bound = 1.13 * harness.random_bound(case.terms, size) + 8 * harness.U * (1 + size)
    for variant, plan in variants(backend, case, "forward").items():
        call = lambda o, x, w, b, v=variant: o.conv2d_forward(  # noqa: E731
            x, w, b, **case.options, activation=activation, variant=v
        )
        what = f"conv2d+{activation} {case} variant={variant}"
        wide = 1.13 * winograd_bound(case.terms, size) if "winograd" in plan else 0
        harness.check_within(backend, call, arrays, [np.maximum(bound, wide)], what=what)


@pytest.mark.parametrize("taps", [3, 5])
@pytest.mark.parametrize("channels", [16, 64, 256])
def test_winograd_rounds_little_more(compiled: Any, channels: int, taps: int) -> None:
    """He's weights on rectified normal pixels: the error as a part of the output's deviation."""
    rng = harness.rng_of(f"winograd {channels} {taps}")
    x = np.maximum(rng.standard_normal((2, channels, 18, 18)), 0).astype(np.float32)
    weight = rng.standard_normal((32, channels, taps, taps))
    weight *= np.sqrt(2 / (taps**2 * channels))
    weight = weight.astype(np.float32)
    padding = taps // 2
    wide = x.astype(np.float64), weight.astype(np.float64)
    truth = reference.conv2d_forward(*wide, padding=padding)
    errors = {}
    for variant in ("direct", "winograd", "winograd_columns"):
        y = compiled.conv2d_forward(x, weight, padding=padding, variant=variant)
        errors[variant] = (y - truth) / truth.std()
    rms = {variant: np.sqrt((error**2).mean()) for variant, error in errors.items()}
    # Seen on every ISA with 16, 64 and 256 channels: 2.9, 2.3 and 1.2 times for 3x3 taps, 1.9, 1.5
    # and 0.8 times for 5x5.
    assert rms["direct"] < 1.2e-6 and rms["winograd"] < 3.5 * rms["direct"]
    assert abs(errors["winograd"]).max() < 1.5e-5


@pytest.mark.parametrize(
    "case",
    [
        Conv2d(2, 64, 30, 29, 80, 3, 3, 1, 1),
        Conv2d(1, 1030, 29, 30, 5, 3, 3, 1, 1),
        Conv2d(3, 17, 9, 14, 50, 3, 3, 1, 0),
        Conv2d(2, 130, 6, 5, 70, 3, 3, 1, 2),
        Conv2d(2, 68, 15, 14, 80, 5, 5, 1, 2),
        Conv2d(2, 130, 6, 5, 70, 5, 5, 1, 4),
    ],
    ids=str,
)
@pytest.mark.parametrize("direction", ["forward", "backward_data"])
def test_both_orders_of_winograd_give_the_same_bits(
    compiled: Any, case: Conv2d, direction: str
) -> None:
    """So that which of them runs may depend on the batch, and a sample's bits do not."""
    arrays = operands(harness.normals, case)[direction]
    by_tiles, by_columns = (
        calls(case, variant)[direction](compiled, *arrays)
        for variant in ("winograd", "winograd_columns")
    )
    harness.assert_exact(by_columns, by_tiles, what=f"{direction} {case} {compiled}")


def test_the_precision_decides_on_winograd() -> None:
    shapes = (1, 32, 20, 20), (32, 32, 3, 3)
    assert neurona.get_conv_precision() == "fast"
    try:
        assert "winograd" in neurona.kernels.conv2d_plan(*shapes, padding=1)
        neurona.set_conv_precision("exact")
        assert "direct" in neurona.kernels.conv2d_plan(*shapes, padding=1)
        assert "winograd" in neurona.kernels.conv2d_plan(*shapes, padding=1, variant="winograd")
    finally:
        neurona.set_conv_precision("fast")
    with pytest.raises(ValueError, match="precision must be"):
        neurona.set_conv_precision("slow")


@CASES
def test_both_gradients_at_once(backend: Any, case: Conv2d) -> None:
    """What the passes give, each by itself: integers, whose sums are exact in any order."""
    arguments = operands(harness.integers, case)
    (dy, weight), (_, x) = arguments["backward_data"], arguments["backward_weight"]
    alone = calls(case, None)
    dx = alone["backward_data"](backend, dy, weight)
    expected = [dx, *alone["backward_weight"](backend, dy, x)]
    both = harness.results(backend.conv2d_backward(dy, x, weight, **case.options))
    for one, other in zip(both, harness.results(tuple(expected)), strict=True):
        assert np.array_equal(one, other), f"{backend} {case}"
    assert backend.conv2d_backward(dy, x, weight, with_bias=False, **case.options)[2] is None


@CASES
def test_bias_gradient(backend: Any, case: Conv2d) -> None:
    """dy summed over N, P and Q; the weight's gradient can be had without it."""
    dy, x = operands(harness.integers, case)["backward_weight"]
    harness.check_exact(
        backend, lambda o, d: o.conv2d_backward_bias(d), (dy,), what="conv2d_backward_bias"
    )
    _, none = backend.conv2d_backward_weight(
        dy, x, (case.R, case.S), **case.options, with_bias=False
    )
    assert none is None


@pytest.mark.parametrize("channels", [1, 3, 6, 7, 16, 17, 31, 33])
def test_bias_gradient_of_many_pixels(backend: Any, channels: int) -> None:
    """Few channels are summed several rows at a time, here with rows left over."""
    dy = harness.integers(harness.rng_of("bias", channels), (3, channels, 23, 29))
    for order in (dy, np.moveaxis(np.ascontiguousarray(np.moveaxis(dy, 1, -1)), -1, 1)):
        harness.check_exact(
            backend, lambda o, d: o.conv2d_backward_bias(d), (order,), what="conv2d_backward_bias"
        )


@pytest.mark.parametrize(
    ("images", "channels", "size", "kernel", "stride", "padding"),
    [(7, 3, 24, 5, 1, 0), (25, 6, 14, 5, 1, 0), (5, 20, 12, 5, 1, 1), (9, 2, 17, 7, 2, 3)],
)
def test_spread_gradients_of_many_images(
    compiled: Any, images: int, channels: int, size: int, kernel: int, stride: int, padding: int
) -> None:
    """Images share tiles, the last ones with fewer; each has the bits that it has alone."""
    rng = harness.rng_of("spread", images, channels, size)
    out = (size + 2 * padding - kernel) // stride + 1
    shapes = (images, 8, out, out), (8, channels, kernel, kernel)

    def gradient(o: Any, dy: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return o.conv2d_backward_data(
            dy, weight, (size, size), stride=stride, padding=padding, variant="scatter"
        )

    integers = [harness.integers(rng, shape) for shape in shapes]
    harness.check_exact(compiled, gradient, integers, what="conv2d_backward_data")
    dy, weight = (harness.normals(rng, shape) for shape in shapes)
    together = gradient(compiled, dy, weight)
    for i in (0, images - 1):
        alone = gradient(compiled, dy[i : i + 1], weight)
        harness.assert_exact(alone, together[i : i + 1], what=f"image {i} on {compiled}")


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_empty_batch(backend: Any, direction: str) -> None:
    """No sample gives an empty output and weight gradients of exact zeros."""
    arrays = operands(harness.integers, CONV2D_EMPTY)[direction]
    for variant in variants(backend, CONV2D_EMPTY, direction):
        call = calls(CONV2D_EMPTY, variant)[direction]
        harness.check_exact(
            backend, call, arrays, what=f"conv2d_{direction} {CONV2D_EMPTY} {variant}"
        )


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    "case",
    [
        Conv2d(2, 5, 6, 7, 17, 3, 3, 2, 1),
        Conv2d(2, 9, 4, 5, 6, 1, 1),
        Conv2d(2, 6, 5, 6, 6, 3, 3, 1, 1, 1, 6),
    ],
    ids=str,
)
def test_layouts(backend: Any, case: Conv2d, direction: str) -> None:
    """Channels-last or not, reversed, misaligned, big-endian: the same bits."""
    arrays = operands(harness.normals, case)[direction]
    call = calls(case, None)[direction]
    harness.check_layouts(backend, call, arrays, what=f"conv2d_{direction} {case}")


def test_results_are_channels_last(compiled: Any) -> None:
    """4-D results of the compiled kernels have NHWC memory."""
    case = Conv2d(2, 5, 6, 7, 17, 3, 3, 1, 1)
    arguments = operands(harness.normals, case)
    for direction in ("forward", "backward_data"):
        result = calls(case, None)[direction](compiled, *arguments[direction])
        assert result.transpose(0, 2, 3, 1).flags.c_contiguous, f"{direction}: {result.strides}"


def test_aliased_inputs(backend: Any) -> None:
    """x may be the weight as well."""
    square = harness.normals(harness.rng_of("square conv"), (3, 3, 5, 5))
    call = lambda o, x, w: o.conv2d_forward(x, w, padding=2)  # noqa: E731
    harness.check_aliased(backend, call, square, 2, what="conv2d")


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("case", CONV2D_LARGE, ids=str)
def test_thread_count_changes_no_bit(compiled: Any, case: Conv2d, direction: str) -> None:
    """1, 2, 3 and 8 threads, every algorithm."""
    arrays = operands(harness.normals, case)[direction]
    for variant in variants(compiled, case, direction):
        if variant != "naive":
            call = calls(case, variant)[direction]
            what = f"conv2d_{direction} {case} variant={variant}"
            harness.check_threads(compiled, call, arrays, what=what)


def test_a_sample_does_not_depend_on_its_neighbours(compiled: Any) -> None:
    """A sample gives the same bits alone and within a batch."""
    for case in (*CONV2D_LARGE, CONV2D[2], CONV2D[-1]):
        x, weight, bias = operands(harness.normals, case)["forward"]
        together = compiled.conv2d_forward(x, weight, bias, **case.options)
        for n in range(case.N):
            alone = compiled.conv2d_forward(x[n : n + 1].copy(), weight, bias, **case.options)
            harness.assert_same_bits(
                alone, together[n : n + 1], what=f"{case} sample {n} on {compiled}"
            )


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    "case", [Conv2d(1, 2, 3, 4, 2, 2, 3), Conv2d(1, 2, 4, 3, 2, 1, 1)], ids=str
)
def test_nan_and_infinity_propagate(backend: Any, case: Conv2d, direction: str) -> None:
    """Without padding each position of each argument reaches exactly the outputs that depend on it.

    The gradient of the input pads dy, and 0 * NaN of a weight at the border may come or not:
    there only dy is spoiled.
    """
    spoil = (0,) if direction == "backward_data" and case.R * case.S > 1 else (0, 1)
    arrays = operands(harness.normals, case)[direction]
    for variant, plan in variants(backend, case, direction).items():
        if "winograd" not in plan:
            call = calls(case, variant)[direction]
            what = f"conv2d_{direction} {case} variant={variant}"
            harness.check_nan_positions(backend, call, arrays, what=what, spoil=spoil)


def test_nan_in_a_padded_image(backend: Any) -> None:
    """NaN in x reaches the windows that read it, and no other."""
    case = Conv2d(1, 2, 5, 6, 3, 3, 3, 1, 1)
    x, weight, bias = operands(harness.normals, case)["forward"]
    for h in range(5):
        for w in range(6):
            spoiled = x.copy()
            spoiled[0, 1, h, w] = np.nan
            expected = np.zeros((1, 3, 5, 6), bool)
            expected[:, :, max(0, h - 1) : h + 2, max(0, w - 1) : w + 2] = True
            for variant, plan in variants(backend, case, "forward").items():
                if "winograd" not in plan:
                    y = backend.conv2d_forward(spoiled, weight, bias, padding=1, variant=variant)
                    harness.assert_exact(
                        np.isnan(y), expected, what=f"conv2d nan {h, w} {variant} {backend}"
                    )


@pytest.mark.parametrize("case", CONV2D_SMALLEST, ids=str)
def test_gradients(case: Conv2d) -> None:
    """The reference's gradients against central differences."""

    def backward(dy: Any, x: Any, weight: Any, bias: Any) -> Any:
        passes = calls(case, None)
        return passes["backward_data"](reference, dy, weight), *passes["backward_weight"](
            reference, dy, x
        )

    forward = lambda *arrays: calls(case, None)["forward"](reference, *arrays)  # noqa: E731
    arrays = operands(harness.normals, case)["forward"]
    harness.check_gradient(forward, backward, arrays, what=f"conv2d {case}")


def test_the_plan_names_what_was_asked_for(backend: Any) -> None:
    """conv2d_plan runs nothing, says what would run, and refuses unknown words."""
    for variant, plan in variants(backend, CONV2D[-1], "forward").items():
        assert isinstance(plan, str)
        if variant is not None and backend.name != "reference":
            assert variant in plan


X, WEIGHT = np.ones((2, 4, 5, 6), np.float32), np.ones((6, 4, 3, 3), np.float32)
DY = np.ones((2, 6, 3, 4), np.float32)
HUGE = np.broadcast_to(np.float32(1), (1, 4, 2**19, 2**19))
F32 = np.float32
FORWARD, DATA, WEIGHTS = "conv2d_forward", "conv2d_backward_data", "conv2d_backward_weight"
BOTH = "conv2d_backward"
REJECTED = [
    *bad_arrays(FORWARD, (X, WEIGHT), ("x", "weight")),
    *bad_ranks(FORWARD, (X, WEIGHT), ("x", "weight")),
    *bad_pairs(FORWARD, (X, WEIGHT), "stride", 1),
    *bad_pairs(FORWARD, (X, WEIGHT), "padding", 0),
    *bad_pairs(FORWARD, (X, WEIGHT), "dilation", 1),
    *[
        Bad(FORWARD, TypeError, ("groups",), (X, WEIGHT), {"groups": v})
        for v in (1.0, True, "1", None, (1, 1))
    ],
    *[
        Bad(FORWARD, ValueError, ("groups",), (X, WEIGHT), {"groups": v})
        for v in (0, -1, 3, 4, 2**70)
    ],
    Bad(FORWARD, ValueError, ("weight", "4", "3"), (X, WEIGHT[:, :3])),
    Bad(
        FORWARD,
        ValueError,
        ("groups", "3"),
        (np.ones((1, 3, 5, 5), F32), np.ones((4, 1, 3, 3), F32)),
        {"groups": 3},
    ),
    Bad(FORWARD, ValueError, ("kernel", "7"), (X, np.ones((6, 4, 7, 3), F32))),
    Bad(FORWARD, ValueError, ("kernel", "9"), (X, WEIGHT), {"dilation": 4}),
    Bad(FORWARD, ValueError, ("dilation",), (X, WEIGHT), {"dilation": 2**62}),
    Bad(FORWARD, ValueError, ("weight",), (X, np.ones((6, 4, 0, 3), F32))),
    Bad(FORWARD, ValueError, ("weight",), (X, np.ones((0, 4, 3, 3), F32))),
    Bad(FORWARD, ValueError, ("x",), (np.ones((2, 0, 5, 6), F32), np.ones((6, 0, 3, 3), F32))),
    Bad(FORWARD, ValueError, ("x",), (np.ones((2, 4, 0, 6), F32), WEIGHT)),
    Bad(FORWARD, ValueError, ("bias", "6"), (X, WEIGHT, np.ones(5, F32))),
    Bad(FORWARD, ValueError, ("bias",), (X, WEIGHT, np.ones((6, 1), F32))),
    Bad(FORWARD, TypeError, ("bias", "float64"), (X, WEIGHT, np.ones(6))),
    Bad(FORWARD, ValueError, ("activation", "swish"), (X, WEIGHT), {"activation": "swish"}),
    Bad(FORWARD, ValueError, ("variant", "fft"), (X, WEIGHT), {"variant": "fft"}),
    Bad(FORWARD, TypeError, ("padding",), (X, WEIGHT), {"padding": "same"}),
    Bad(FORWARD, MemoryError, (), (HUGE, WEIGHT)),
    Bad(FORWARD, MemoryError, (), (X, np.ones((6, 4, 1, 1), F32)), {"padding": 2**21}),
    *bad_arrays(DATA, (DY, WEIGHT), ("dy", "weight"), input_size=(5, 6)),
    *bad_ranks(DATA, (DY, WEIGHT), ("dy", "weight"), input_size=(5, 6)),
    *bad_pairs(DATA, (DY, WEIGHT), "input_size", 1),
    *bad_pairs(DATA, (DY, WEIGHT), "stride", 1, input_size=(5, 6)),
    Bad(DATA, ValueError, ("dy", "(2, 6, 3, 4)"), (DY, WEIGHT, (6, 6))),
    Bad(DATA, ValueError, ("dy",), (DY[:, :5], WEIGHT, (5, 6))),
    Bad(DATA, ValueError, ("groups",), (DY, WEIGHT, (5, 6)), {"groups": 4}),
    *bad_arrays(WEIGHTS, (DY, X), ("dy", "x"), kernel_size=3),
    *bad_ranks(WEIGHTS, (DY, X), ("dy", "x"), kernel_size=3),
    *bad_pairs(WEIGHTS, (DY, X), "kernel_size", 1),
    *bad_pairs(WEIGHTS, (DY, X), "padding", 0, kernel_size=3),
    Bad(WEIGHTS, ValueError, ("dy", "(2, 6, 3, 4)"), (DY, X, 2)),
    Bad(WEIGHTS, ValueError, ("dy",), (DY[:1], X, 3)),
    Bad(WEIGHTS, ValueError, ("groups",), (DY, X, 3), {"groups": 4}),
    *bad_arrays(BOTH, (DY, X, WEIGHT), ("dy", "x", "weight")),
    *bad_ranks(BOTH, (DY, X, WEIGHT), ("dy", "x", "weight")),
    *bad_pairs(BOTH, (DY, X, WEIGHT), "stride", 1),
    Bad(BOTH, ValueError, ("dy", "(2, 6, 3, 4)"), (DY, X, WEIGHT), {"padding": 1}),
    Bad(BOTH, ValueError, ("weight", "4", "3"), (DY, X, WEIGHT[:, :3])),
    Bad(BOTH, ValueError, ("x",), (DY, np.ones((2, 4, 0, 6), F32), WEIGHT)),
    Bad(BOTH, ValueError, ("variant", "fft"), (DY, X, WEIGHT), {"variant": "fft"}),
    *bad_arrays("conv2d_backward_bias", (DY,), ("dy",)),
    *bad_ranks("conv2d_backward_bias", (DY,), ("dy",)),
    Bad(
        "conv2d_plan",
        ValueError,
        ("direction",),
        (X.shape, WEIGHT.shape),
        {"direction": "sideways"},
    ),
    Bad("conv2d_plan", ValueError, ("variant",), (X.shape, WEIGHT.shape), {"variant": "fft"}),
    Bad("conv2d_plan", ValueError, ("weight_shape",), (X.shape, (6, 4, 3)), {}),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError, with the op and the argument in the message."""
    harness.check_rejected(backend, bad, "conv2d")
