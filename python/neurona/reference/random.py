"""Counter-based random numbers (Philox4x32-10, Salmon et al. 2011) and dropout.

Element i of a draw is a function of (seed, offset, i) alone, so the same seed gives the same
numbers however many threads share the work. Draws with different offsets are independent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from . import _checks as check

MULTIPLIER_0, MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL_0, WEYL_1 = 0x9E3779B9, 0xBB67AE85
LOW_32, SHIFT_32 = np.uint64(0xFFFFFFFF), np.uint64(32)
LARGEST_WORD = 2**64 - 1


def philox_blocks(
    counter: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], key: tuple[int, int]
) -> np.ndarray:
    """Ten rounds on blocks of four 32-bit counters held in uint64; returns uint32 (blocks, 4)."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product_0, product_1 = MULTIPLIER_0 * c0, MULTIPLIER_1 * c2
        c0, c1, c2, c3 = (
            (product_1 >> SHIFT_32) ^ c1 ^ np.uint64(k0),
            product_1 & LOW_32,
            (product_0 >> SHIFT_32) ^ c3 ^ np.uint64(k1),
            product_0 & LOW_32,
        )
        k0, k1 = (k0 + WEYL_0) % 2**32, (k1 + WEYL_1) % 2**32
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def _words(seed: int, offset: int, count: int) -> np.ndarray:
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)
    constant = np.zeros_like(blocks)
    counter = (
        blocks & LOW_32,
        blocks >> SHIFT_32,
        constant + np.uint64(offset % 2**32),
        constant + np.uint64(offset >> 32),
    )
    return philox_blocks(counter, (seed % 2**32, seed >> 32)).reshape(-1)[:count]


def _stream(op: str, seed: int, offset: int) -> tuple[int, int]:
    return (
        check.integer(op, "seed", seed, 0, LARGEST_WORD),
        check.integer(op, "offset", offset, 0, LARGEST_WORD),
    )


def _shape(op: str, shape: int | Sequence[int]) -> tuple[int, ...]:
    if not isinstance(shape, (tuple, list)):
        shape = (check.integer(op, "shape", shape),)
    checked = tuple(check.integer(op, "shape", length) for length in shape)
    check.memory(op, "the result", checked, np.dtype(np.float64))
    return checked


def _unit(words: np.ndarray) -> np.ndarray:
    """float64 in [0, 1): the top 24 bits of each word, exactly what a float32 holds."""
    return (words >> np.uint32(8)) * 2.0**-24


def philox(seed: int, offset: int, count: int) -> np.ndarray:
    """Return `count` random uint32 words: word i is lane i % 4 of block i // 4.

    The key is the seed, the counter of block j is (j, offset), each as (low, high) 32 bits. Raises
    TypeError, ValueError for a seed or offset outside 0..2**64-1.

    >>> [hex(word) for word in philox(0, 0, 2).tolist()]
    ['0x6627e8d5', '0xe169c58d']
    """
    seed, offset = _stream("philox", seed, offset)
    count = check.integer("philox", "count", count, 0, LARGEST_WORD)
    check.memory("philox", "the result", (count,), np.dtype(np.uint64))
    return _words(seed, offset, count)


def random_uniform(
    shape: int | Sequence[int], seed: int, offset: int, low: float = 0.0, high: float = 1.0
) -> np.ndarray:
    """Return float32 numbers low + (high - low) * (word >> 8) * 2**-24. Raises TypeError,
    ValueError.

    >>> bool((random_uniform((2, 3), seed=1, offset=0) < 1).all())
    True
    """
    op = "random_uniform"
    seed, offset = _stream(op, seed, offset)
    lengths = _shape(op, shape)
    low, high = check.number(op, "low", low), check.number(op, "high", high)
    unit = _unit(_words(seed, offset, math.prod(lengths)))
    return (low + (high - low) * unit).astype(np.float32).reshape(lengths)


@np.errstate(all="ignore")
def random_normal(
    shape: int | Sequence[int], seed: int, offset: int, mean: float = 0.0, std: float = 1.0
) -> np.ndarray:
    """Return normal float32 numbers by Box and Muller's method (1958) on each pair of words (w0,
    w1).

    With r = sqrt(-2 ln((w0 + 1) 2**-32)) and t = 2 pi w1 2**-32 a pair gives mean + std r cos t and
    mean + std r sin t. Raises TypeError, ValueError (std must be >= 0).

    >>> random_normal(4, seed=1, offset=0).shape
    (4,)
    """
    op = "random_normal"
    seed, offset = _stream(op, seed, offset)
    lengths = _shape(op, shape)
    mean, std = check.number(op, "mean", mean), check.non_negative(op, "std", std)
    count = math.prod(lengths)
    pairs = _words(seed, offset, count + count % 2).reshape(-1, 2).astype(np.float64)
    radius = np.sqrt(-2 * np.log((pairs[:, 0] + 1) * 2.0**-32))
    angle = 2 * math.pi * pairs[:, 1] * 2.0**-32
    values = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)[:count]
    return (mean + std * values).astype(np.float32).reshape(lengths)


@np.errstate(all="ignore")
def dropout(x: np.ndarray, p: float, seed: int, offset: int) -> np.ndarray:
    """Return x with each element zeroed with probability p and the others divided by 1 - p
    (Srivastava et al. 2014).

    Element i is kept when (word i >> 8) * 2**-24 >= p; i counts in channels-last order for 4-D
    arrays, in C order otherwise. The gradient is the same call on dy. Raises TypeError for a wrong
    dtype, ValueError for a p outside 0..1.

    >>> dropout(np.ones(3), 0.0, seed=1, offset=0)
    array([1., 1., 1.])
    """
    op = "dropout"
    x = check.array(op, "x", x)
    p = check.fraction(op, "p", p)
    seed, offset = _stream(op, seed, offset)
    kept = _unit(_words(seed, offset, x.size)) >= p
    if x.ndim == 4:
        n, c, h, w = x.shape
        kept = kept.reshape(n, h, w, c).transpose(0, 3, 1, 2)
    scale = x.dtype.type(1 / (1 - p) if p < 1 else 0)
    return np.where(kept.reshape(x.shape), x * scale, x.dtype.type(0))
