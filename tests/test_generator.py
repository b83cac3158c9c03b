"""Generators: two ints of state, one offset per draw, and what is drawn."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import neurona
from compare import assert_exact
from neurona import Generator, random
from neurona import reference as ref


def test_every_draw_takes_one_offset() -> None:
    g = Generator(5)
    draws = [
        lambda: g.uniform(3),
        lambda: g.normal((2, 3)),
        lambda: g.permutation(7),
        lambda: g.integers(0, 9, 4),
        lambda: neurona.rand(2, generator=g),
        lambda: neurona.randn(2, generator=g),
        lambda: neurona.randint(3, (2,), generator=g),
        lambda: neurona.randperm(4, generator=g),
        lambda: neurona.empty(3).uniform_(generator=g),
        lambda: neurona.empty(3).normal_(generator=g),
        lambda: neurona.nn.functional.dropout(neurona.ones(4), generator=g),
    ]
    for count, draw in enumerate(draws, 1):
        draw()
        assert g.get_state() == (5, count)


def test_draws_are_those_of_the_counters() -> None:
    g = Generator(9)
    assert_exact(g.uniform(5, -1.0, 2.0), ref.random_uniform(5, 9, 0, -1.0, 2.0), what="uniform")
    words = ref.philox(9, 1, 2 * 100).astype(np.uint64)
    keys = words[0::2] * np.uint64(2**32) + words[1::2]
    assert_exact(g.permutation(100), np.argsort(keys, kind="stable"), what="permutation")


def test_state_is_two_ints_that_resume_the_stream() -> None:
    neurona.manual_seed(11)
    neurona.rand(3)
    state = neurona.get_rng_state()
    assert state == (11, 1)
    first = neurona.randn(4).tolist(), random.permutation(5).tolist()
    neurona.set_rng_state(list(state))
    assert (neurona.randn(4).tolist(), random.permutation(5).tolist()) == first
    neurona.manual_seed(12)
    assert random.default_generator.get_state() == (12, 0)
    assert neurona.randn(4).tolist() != first[0]


def test_permutations() -> None:
    for n in (0, 1, 2, 1000):
        order = Generator(n).permutation(n)
        assert order.dtype == np.int64 and sorted(order.tolist()) == list(range(n))
    assert random.permutation(50).tolist() != random.permutation(50).tolist()
    counts = np.zeros((3, 3))
    g = Generator(1)
    for _ in range(3000):
        counts[np.arange(3), g.permutation(3)] += 1
    assert abs(counts - 1000).max() < 120


def test_integers_cover_their_range() -> None:
    draws = neurona.randint(-2, 3, (1000,), generator=Generator(0))
    assert draws.dtype == np.int64 and set(draws.tolist()) == {-2, -1, 0, 1, 2}
    with pytest.raises(ValueError, match="randint: high must be > low 3, got 3"):
        neurona.randint(3, 3, (2,))


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1, 2**70])
def test_seeds_out_of_range(seed: int) -> None:
    with pytest.raises(ValueError, match="manual_seed: seed must be in"):
        Generator(seed)


@pytest.mark.parametrize("seed", [1.0, "1", None, True])
def test_seeds_of_another_kind(seed: Any) -> None:
    with pytest.raises(TypeError, match="manual_seed: seed must be an int"):
        neurona.manual_seed(seed)


def test_seeds_and_states() -> None:
    assert Generator(-1).seed == 2**64 - 1 and Generator(np.int32(3)).initial_seed() == 3
    for bad in (5, (1,), (1, 2, 3)):
        with pytest.raises(ValueError, match="pair"):
            Generator(0).set_state(bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="offset must be an int"):
        Generator(0).set_state((1, 0.5))  # type: ignore[arg-type]


def test_threads_never_share_an_offset() -> None:
    g = Generator(0)
    seen: list[tuple[int, int]] = []
    threads = [
        threading.Thread(target=lambda: seen.extend(g.next_offset() for _ in range(500)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(offset for _, offset in seen) == list(range(2000))
