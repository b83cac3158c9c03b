"""Random numbers from counters (Philox, Salmon et al. 2011).

A `Generator` is two whole numbers: the seed, and how many draws were made. Element i of a draw is a
function of (seed, offset, i) alone, so a seed gives the same numbers whatever the number of
threads, and a checkpoint stores the state as two ints.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from . import backends

DEFAULT_SEED = 0
_WORD = 2**64


def _word(op: str, name: str, value: object) -> int:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{op}: {name} must be an int, got {value!r} ({type(value).__name__})")
    number = int(value)
    if not -(2**63) <= number < _WORD:
        raise ValueError(f"{op}: {name} must be in -2**63..2**64-1, got {number}")
    return number % _WORD


class Generator:
    """A stream of random draws: every draw takes the next `offset` of the stream `seed`.

    Raises TypeError or ValueError for a seed that is no int of 64 bits.

    >>> from neurona import Generator
    >>> g = Generator(7)
    >>> g.next_offset(), g.next_offset()
    ((7, 0), (7, 1))
    """

    __slots__ = ("_lock", "offset", "seed")

    def __init__(self, seed: int = DEFAULT_SEED) -> None:
        self._lock = threading.Lock()
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream of `seed` from its beginning."""
        self.seed = _word("manual_seed", "seed", seed)
        self.offset = 0
        return self

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return self.seed

    def next_offset(self, draws: int = 1) -> tuple[int, int]:
        """The (seed, offset) of one more draw, or of the first of several."""
        with self._lock:
            offset = self.offset
            self.offset = (offset + draws) % _WORD
        return self.seed, offset

    def get_state(self) -> tuple[int, int]:
        """(seed, offset), all there is to store."""
        return self.seed, self.offset

    def set_state(self, state: Sequence[int]) -> None:
        """Go to a state that `get_state` gave. Raises TypeError or ValueError for anything else."""
        if not isinstance(state, (tuple, list)) or len(state) != 2:
            raise ValueError(f"set_state: state must be a pair (seed, offset), got {state!r}")
        seed, offset = (
            _word("set_state", name, value)
            for name, value in zip(("seed", "offset"), state, strict=True)
        )
        self.seed, self.offset = seed, offset

    def uniform(
        self, shape: int | Sequence[int], low: float = 0.0, high: float = 1.0
    ) -> np.ndarray:
        """A float32 array uniform on [low, high)."""
        return backends.current(backends.FLOAT32).random_uniform(
            shape, *self.next_offset(), low, high
        )

    def normal(self, shape: int | Sequence[int], mean: float = 0.0, std: float = 1.0) -> np.ndarray:
        """A float32 array of normal numbers."""
        return backends.current(backends.FLOAT32).random_normal(
            shape, *self.next_offset(), mean, std
        )

    def integers(self, low: int, high: int, shape: int | Sequence[int]) -> np.ndarray:
        """An int64 array uniform on low..high-1, each element from a 64-bit word."""
        if not low < high:
            raise ValueError(f"randint: high must be > low {low}, got {high}")
        lengths = (shape,) if isinstance(shape, (int, np.integer)) else tuple(shape)
        words = self._words64(int(np.prod(lengths, dtype=np.int64)))
        return (low + (words % np.uint64(high - low)).astype(np.int64)).reshape(lengths)

    def permutation(self, n: int) -> np.ndarray:
        """0..n-1 in random order (int64): the stable order of n 64-bit keys.

        >>> from neurona import Generator
        >>> sorted(Generator(0).permutation(4).tolist())
        [0, 1, 2, 3]
        """
        return np.argsort(self._words64(n), kind="stable")

    def _words64(self, count: int) -> np.ndarray:
        """64-bit words: word 2i is the high half of the i-th, word 2i + 1 the low half."""
        words = backends.current(backends.FLOAT32).philox(*self.next_offset(), 2 * count)
        wide = words.astype(np.uint64)
        return (wide[0::2] << np.uint64(32)) | wide[1::2]


default_generator = Generator(DEFAULT_SEED)


def manual_seed(seed: int) -> Generator:
    """Start the default generator anew from `seed`; the same seed gives the same numbers.

    >>> import neurona
    >>> _ = neurona.manual_seed(1); a = neurona.rand(3)
    >>> _ = neurona.manual_seed(1); b = neurona.rand(3)
    >>> bool((a == b).all())
    True
    """
    return default_generator.manual_seed(seed)


def get_rng_state() -> tuple[int, int]:
    """(seed, offset) of the default generator."""
    return default_generator.get_state()


def set_rng_state(state: Sequence[int]) -> None:
    """Put the default generator into a state that `get_rng_state` gave."""
    default_generator.set_state(state)


def uniform(
    shape: int | Sequence[int],
    low: float = 0.0,
    high: float = 1.0,
    *,
    generator: Generator | None = None,
) -> np.ndarray:
    """A float32 array uniform on [low, high) from `generator` or the default one."""
    return (generator or default_generator).uniform(shape, low, high)


def normal(
    shape: int | Sequence[int],
    mean: float = 0.0,
    std: float = 1.0,
    *,
    generator: Generator | None = None,
) -> np.ndarray:
    """A float32 array of normal numbers from `generator` or the default one."""
    return (generator or default_generator).normal(shape, mean, std)


def permutation(n: int, *, generator: Generator | None = None) -> np.ndarray:
    """0..n-1 in random order from `generator` or the default one."""
    return (generator or default_generator).permutation(n)
