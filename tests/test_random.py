"""Philox against its published words, the distributions drawn from it, and dropout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import harness
import neurona._core as core
from cases import LENGTHS
from compare import assert_close, assert_exact, assert_same_bits
from harness import Bad, U, bad_arrays
from neurona.reference.random import philox_blocks

SEED, OFFSET = 0x0123456789ABCDEF, 0xFEDCBA9876543210

# Known answers of Philox4x32-10 (Salmon et al. 2011): counter, key, output.
KNOWN = [
    (
        "00000000 00000000 00000000 00000000",
        "00000000 00000000",
        "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
    ),
    (
        "ffffffff ffffffff ffffffff ffffffff",
        "ffffffff ffffffff",
        "408f276d 41c83b0e a20bc7c6 6d5451fd",
    ),
    (
        "243f6a88 85a308d3 13198a2e 03707344",
        "a4093822 299f31d0",
        "d16cfe09 94fdcceb 5001e420 24126ea1",
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter: str, key: str, words: str) -> None:
    """The ten rounds of the reference give the published words."""
    c0, c1, c2, c3 = (np.array([int(w, 16)], np.uint64) for w in counter.split())
    k0, k1 = (int(w, 16) for w in key.split())
    assert philox_blocks((c0, c1, c2, c3), (k0, k1))[0].tolist() == [
        int(w, 16) for w in words.split()
    ]


@pytest.mark.parametrize("count", [0, *LENGTHS])
def test_words(backend: Any, count: int) -> None:
    """Every count gives the first words of the same sequence, for small and for 64-bit seeds."""
    for seed, offset in ((0, 0), (1, 0), (0, 1), (SEED, OFFSET), (2**64 - 1, 2**64 - 1)):
        what = f"philox {seed} {offset} {count}"
        harness.check_exact(
            backend, lambda o, s=seed, t=offset: o.philox(s, t, count), (), what=what
        )


def test_uniform(backend: Any) -> None:
    """[0, 1) in steps of 2**-24 exactly, other ranges to rounding; shapes in C order."""
    flat = backend.random_uniform(1000, SEED, OFFSET)
    words = backend.philox(SEED, OFFSET, 1000)
    assert flat.dtype == np.float32
    assert_exact(flat, (words >> np.uint32(8)) * 2.0**-24, what=f"random_uniform on {backend}")
    for shape in ((10, 100), (2, 5, 10, 10), (1000,)):
        shaped = backend.random_uniform(shape, SEED, OFFSET)
        assert_exact(shaped, flat.reshape(shape), what=f"random_uniform {shape} on {backend}")
    for low, high in ((-1.0, 1.0), (5.0, 5.5), (-1e-3, 0.0)):
        got = backend.random_uniform(1000, SEED, OFFSET, low, high)
        wanted = low + (high - low) * flat.astype(np.float64)
        bound = 3 * U * (abs(low) + abs(high))
        assert_close(got, wanted, bound, what=f"random_uniform {low} {high} on {backend}")
    assert backend.random_uniform((3, 0), 1, 0).shape == (3, 0)
    assert backend.random_uniform((), 1, 0).shape == ()


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 17, 1001, 20000])
def test_normal(backend: Any, count: int) -> None:
    """Box and Muller's formula in float64 on the same words, odd counts included."""
    words = backend.philox(SEED, OFFSET, count + count % 2).astype(np.float64).reshape(-1, 2)
    radius = np.sqrt(-2 * np.log((words[:, 0] + 1) * 2.0**-32))
    angle = 2 * np.pi * words[:, 1] * 2.0**-32
    truth = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)[:count]
    for mean, std in ((0.0, 1.0), (3.0, 0.25)):
        got = backend.random_normal(count, SEED, OFFSET, mean, std)
        assert got.dtype == np.float32
        # A radius is at most 6.7; near zeros of sin and cos the error is that of the angle.
        bound = U * (abs(mean) * 2 + 60 * std)
        what = f"random_normal {count} {mean} {std} on {backend}"
        assert_close(got, mean + std * truth, bound, what=what)
    assert backend.random_normal((2, 3), 1, 0).shape == (2, 3)


def test_normal_of_the_extreme_words(backend: Any) -> None:
    """A standard deviation of 0 gives the mean, and a million draws stay finite and centred."""
    assert_exact(
        backend.random_normal(9, 1, 2, 4.0, 0.0), np.full(9, 4.0), what="random_normal std 0"
    )
    draws = backend.random_normal(1_000_000, 1, 2).astype(np.float64)
    assert np.isfinite(draws).all()
    assert abs(draws.mean()) < 0.005 and abs(draws.std() - 1) < 0.005


def test_a_seed_means_the_same_on_every_isa() -> None:
    """Words, uniform numbers and dropout have the same bits whatever the instruction set."""
    before = core.isa()
    x = harness.normals(harness.rng_of("dropout isa"), (999,))
    seen = []
    for isa in core.available_isas():
        core.set_isa(isa)
        seen.append(
            (
                core.philox(SEED, OFFSET, 999),
                core.random_uniform(999, SEED, OFFSET, -0.3, 0.7),
                core.dropout(x, 0.3, SEED, OFFSET),
            )
        )
    core.set_isa(before)
    for isa, arrays in zip(core.available_isas(), seen, strict=True):
        for got, wanted in zip(arrays, seen[0], strict=True):
            assert_same_bits(got, wanted, what=f"random on {isa}")


@pytest.mark.parametrize(
    "shape", [(1000,), (7, 33), (0, 3), (), (3, 5, 4, 7), (2, 17, 3, 3), (2, 1, 9, 8)], ids=str
)
def test_dropout(backend: Any, shape: tuple[int, ...]) -> None:
    """The mask is the reference's bit for bit, the kept elements are x / (1 - p)."""
    x = harness.normals(harness.rng_of("dropout", shape), shape)
    for p in (0.0, 0.1, 0.5, 0.9, 1.0):
        call = lambda o, a, q=p: o.dropout(a, q, SEED, OFFSET)  # noqa: E731
        (y,) = harness.truth(call, (x,))
        what = f"dropout {shape} p={p}"
        # Dropped elements must be exactly zero: their bound is.
        harness.check_within(backend, call, (x,), [2 * U * np.abs(y)], what=what)
        if p in (0.0, 0.5):
            harness.check_exact(backend, call, (x,), what=what)


def test_dropout_rate(backend: Any) -> None:
    """About p of a large array is dropped, and another offset drops others."""
    ones = np.ones(100_000, np.float32)
    first, second = (backend.dropout(ones, 0.25, 7, offset) == 0 for offset in (0, 1))
    assert abs(first.mean() - 0.25) < 0.01
    assert abs((first & second).mean() - 0.0625) < 0.01


def test_dropout_layouts(backend: Any) -> None:
    """Strides, alignment and byte order change no bit: the mask follows the logical position."""
    call = lambda o, a: o.dropout(a, 0.4, SEED, OFFSET)  # noqa: E731
    x = harness.normals(harness.rng_of("dropout view"), (1003,))
    assert_same_bits(call(backend, x[1:]), call(backend, x[1:].copy()), what="dropout of a view")
    for shape in ((3, 19), (2, 5, 3, 4), (4, 5, 6)):
        x = harness.normals(harness.rng_of("dropout", shape), shape)
        harness.check_layouts(backend, call, (x,), what=f"dropout {shape}")


def test_thread_count_changes_no_bit(compiled: Any) -> None:
    """1, 2, 3 and 8 threads cut the sequence at other places."""
    n = 300_007
    x = harness.normals(harness.rng_of("dropout threads"), (n,))
    for what, call in {
        "philox": lambda o, a: o.philox(SEED, OFFSET, n),
        "random_uniform": lambda o, a: o.random_uniform(n, SEED, OFFSET, -1.0, 2.0),
        "random_normal": lambda o, a: o.random_normal(n, SEED, OFFSET),
        "dropout": lambda o, a: o.dropout(a, 0.3, SEED, OFFSET),
    }.items():
        harness.check_threads(compiled, call, (x,), what=what)


X = np.ones((3, 4), np.float32)
REJECTED = [
    *[Bad("philox", ValueError, ("seed",), (s, 0, 4)) for s in (-1, 2**64, 2**70)],
    *[Bad("philox", ValueError, ("offset",), (0, s, 4)) for s in (-1, 2**64)],
    *[Bad("philox", TypeError, ("seed",), (s, 0, 4)) for s in (None, 1.0, "1", True)],
    *[Bad("philox", ValueError, ("count",), (0, 0, c)) for c in (-1, 2**70)],
    Bad("philox", MemoryError, (), (0, 0, 2**45)),
    *[
        Bad(op, ValueError, ("shape",), ((3, -1), 0, 0))
        for op in ("random_uniform", "random_normal")
    ],
    *[
        Bad(op, TypeError, ("shape",), (s, 0, 0))
        for op in ("random_uniform", "random_normal")
        for s in (1.5, "3", (2, 1.0), None)
    ],
    *[
        Bad(op, MemoryError, (), ((2**20, 2**20, 2**10), 0, 0))
        for op in ("random_uniform", "random_normal")
    ],
    *[
        Bad("random_uniform", ValueError, ("low",), (3, 0, 0, v))
        for v in (float("nan"), float("inf"))
    ],
    *[Bad("random_normal", ValueError, ("std",), (3, 0, 0, 0.0, v)) for v in (-1.0, float("nan"))],
    Bad("random_normal", TypeError, ("mean",), (3, 0, 0, "0")),
    *bad_arrays("dropout", (X, 0.5, 0, 0), ("x",)),
    *[Bad("dropout", ValueError, ("p",), (X, p, 0, 0)) for p in (-0.1, 1.1, float("nan"))],
    *[Bad("dropout", TypeError, ("p",), (X, p, 0, 0)) for p in (None, "0.5", True)],
    Bad("dropout", ValueError, ("seed",), (X, 0.5, -1, 0)),
    Bad("dropout", TypeError, ("offset",), (X, 0.5, 0, 1.5)),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    """TypeError or ValueError, with the op and the argument in the message."""
    harness.check_rejected(backend, bad, bad.op)
