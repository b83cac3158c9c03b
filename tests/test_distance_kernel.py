"""Pairwise distances: exact values, float64 accuracy near zero, tails, threads, bad arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import harness
import neurona
from compare import assert_close, assert_exact
from harness import Bad, bad_arrays, bad_ranks
from neurona.metric_learning import batch_hard, mine_offline, pairwise_distances

F32 = np.float32
FORMS = [("l2", False), ("l2", True), ("l1", False), ("l1", True)]
EACH = pytest.mark.parametrize(("distance", "squared"), FORMS)
SHAPES = [
    (1, 1, 1),
    (4, 8, 3),
    (5, 9, 2),
    (3, 70, 17),
    (33, 7, 64),
    (40, 70, 33),
    (0, 4, 3),
    (4, 0, 3),
    (3, 4, 0),
]


def call(distance: str, squared: bool) -> Any:
    return lambda ops, x, y: ops.pairwise_distances(x, y, distance=distance, squared=squared)


def naive(x: np.ndarray, y: np.ndarray, distance: str, squared: bool) -> np.ndarray:
    found = np.empty((len(x), len(y)))
    for i, a in enumerate(x.astype(np.float64)):
        for j, b in enumerate(y.astype(np.float64)):
            d = np.abs(a - b).sum() if distance == "l1" else np.sqrt(((a - b) ** 2).sum())
            found[i, j] = d * d if squared else d
    return found


def squares_of(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    result: np.ndarray = ((x[:, None].astype(np.float64) - y) ** 2).sum(2)
    return result


@EACH
@pytest.mark.parametrize(("n", "m", "depth"), SHAPES)
def test_values(backend: Any, n: int, m: int, depth: int, distance: str, squared: bool) -> None:
    rng = harness.rng_of("distance", n, m, depth)
    x, y = harness.normals(rng, (n, depth)), harness.normals(rng, (m, depth))
    got = call(distance, squared)(backend, x, y)
    expected = naive(x, y, distance, squared)
    assert got.dtype == np.float64
    bound = (depth + 8) * 2.0**-51 * expected
    assert_close(got, expected, bound, what=f"pairwise_distances on {backend}")
    exact = harness.integers(rng, (n, depth)), harness.integers(rng, (m, depth))
    assert_exact(call("l1", squared)(backend, *exact), naive(*exact, "l1", squared), what="l1")
    assert_exact(call("l2", True)(backend, *exact), squares_of(*exact), what="l2")


def test_near_rows_keep_their_digits(backend: Any) -> None:
    """Rows that differ by the last bit of a float32: |x|^2 - 2 x y + |y|^2 would give 0."""
    x = np.full((1, 9), 1000.0, F32)
    y = np.nextafter(x, F32(np.inf))
    step = float(y[0, 0]) - 1000.0
    assert_close(backend.pairwise_distances(x, y), np.full((1, 1), 3 * step), 1e-20, what="near")
    assert (backend.pairwise_distances(x, x) == 0).all()


@EACH
def test_threads(compiled: Any, distance: str, squared: bool) -> None:
    rng = harness.rng_of("distance threads")
    big = harness.normals(rng, (203, 40)), harness.normals(rng, (301, 40))
    harness.check_threads(compiled, call(distance, squared), big, what="pairwise_distances")


@EACH
def test_layouts_and_nan(backend: Any, distance: str, squared: bool) -> None:
    rng = harness.rng_of("distance layouts")
    form = call(distance, squared)
    x, y = harness.normals(rng, (6, 5)), harness.normals(rng, (11, 5))
    harness.check_layouts(backend, form, (x, y), what="pairwise_distances")
    for value in (np.nan, np.inf):
        x[2, 3] = value
        with np.errstate(all="ignore"):
            assert_close(form(backend, x, y), naive(x, y, distance, squared), 1e-9, what="nan")


def test_float32_and_float64_agree() -> None:
    rng = harness.rng_of("agree")
    x = harness.normals(rng, (40, 6))
    for distance, squared in FORMS:
        narrow = pairwise_distances(x, distance=distance, squared=squared)
        wide = pairwise_distances(x.astype(float), distance=distance, squared=squared)
        mixed = pairwise_distances(x, x.astype(float), distance=distance, squared=squared)
        half = pairwise_distances(x.astype(np.float16), distance=distance, squared=squared)
        assert narrow.dtype == wide.dtype == half.dtype == np.float64
        np.testing.assert_allclose(narrow, wide, rtol=1e-14)
        np.testing.assert_allclose(mixed, wide, rtol=1e-14)
    labels = rng.integers(0, 4, 40)
    for a, b in zip(batch_hard(x, labels), batch_hard(x.astype(float), labels), strict=True):
        assert (a == b).all()


def test_offline_mining_of_more_rows_than_a_block() -> None:
    rng = harness.rng_of("blocks")
    x, labels = harness.normals(rng, (70, 3)), rng.integers(0, 9, 70)
    found = {tuple(row) for row in mine_offline(x, labels, "hard", 0.5).tolist()}
    d = naive(x, x, "l2", True)
    expected = {
        (a, p, n) for a in range(70) for p in range(70) for n in range(70)
        if a != p and labels[a] == labels[p] != labels[n] and d[a, n] <= d[a, p]
    }  # fmt: skip
    assert found == expected


def test_verify_compares_it() -> None:
    with neurona.verify() as report:
        pairwise_distances(harness.normals(harness.rng_of("verify"), (9, 4)))
    assert report.worst["pairwise_distances"] <= 1


X, Y = np.ones((3, 4), F32), np.ones((5, 4), F32)
OP = "pairwise_distances"
REJECTED = [
    *bad_arrays(OP, (X, Y), ("x", "y")),
    *bad_ranks(OP, (X, Y), ("x", "y")),
    Bad(OP, ValueError, ("y", "4 columns"), (X, Y[:, :3])),
    Bad(OP, ValueError, ("distance", "'max'"), (X, Y), {"distance": "max"}),
    Bad(OP, TypeError, ("distance",), (X, Y), {"distance": 2}),
    Bad(OP, TypeError, ("squared",), (X, Y), {"squared": 1}),
]


@pytest.mark.parametrize("bad", REJECTED, ids=harness.bad_id)
def test_bad_calls_are_refused(backend: Any, bad: Bad) -> None:
    harness.check_rejected(backend, bad, OP)
