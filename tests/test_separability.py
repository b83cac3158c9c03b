"""Linear separability: both answers carry a proof, which is checked here in whole numbers."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from neurona import datasets
from neurona.probes import Separability, linear_separability


def iris_pair(first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
    """Two species in tenths of a centimetre (100, 4), and whether each flower is the second."""
    x_train, y_train, x_test, y_test = datasets.iris()
    x, y = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
    chosen = (y == first) | (y == second)
    return np.rint(10 * x[chosen]).astype(int), y[chosen] == second


def proven(x: np.ndarray, y: np.ndarray) -> bool:
    """Whether the classes are separable, after the proof was checked."""
    answer = linear_separability(x, y)
    if answer.separable:
        assert answer.mixture is None and answer.bias is not None
        z = x @ np.array(answer.weight) + answer.bias
        assert ((z > 0) == (y == 1)).all() and (z != 0).all()
    else:
        assert answer.weight is None and answer.bias is None
        shares = np.array(answer.mixture)
        assert (shares >= 0).all()
        means = []
        for label in (0, 1):
            assert shares[y == label].sum() == 1
            means.append(shares[y == label] @ x[y == label])
        assert means[0].tolist() == means[1].tolist()
    return answer.separable


@pytest.mark.parametrize("pair", [*combinations(range(4), 2)], ids=str)
def test_n29_setosa_and_versicolor_on_every_pair_of_lengths(pair: tuple[int, int]) -> None:
    x, y = iris_pair(0, 1)
    assert len(y) == 100 and y.sum() == 50
    assert proven(x[:, pair], y)


@pytest.mark.parametrize("features", [*combinations(range(4), 2), (0, 1, 2, 3)], ids=str)
def test_n29_versicolor_and_virginica_on_no_pair_nor_on_all(features: tuple[int, ...]) -> None:
    x, y = iris_pair(1, 2)
    assert len(y) == 100 and y.sum() == 50
    assert not proven(x[:, features], y)


def test_xor_meets_in_the_middle() -> None:
    corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    assert not proven(corners, np.array([0, 1, 1, 0]))
    for gate in ([0, 0, 0, 1], [0, 1, 1, 1], [1, 1, 1, 0]):
        assert proven(corners, np.array(gate))


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_every_small_random_set_has_a_proof(dimension: int) -> None:
    """Few points on a coarse grid: many repeated, collinear or touching ones, where pivots tie."""
    rng = np.random.default_rng(dimension)
    answers = []
    for _ in range(60):
        count = int(rng.integers(2, 4 * dimension + 3))
        y = rng.permutation(np.arange(count) % 2)
        answers.append(proven(rng.integers(-2, 3, (count, dimension)), y))
    assert 10 < sum(answers) < 50


def test_touching_hulls_are_not_separable_and_a_hair_between_is_enough() -> None:
    x = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, 0.5], [1.0, 0.0]])
    y = np.array([0, 0, 1, 1])
    assert not proven(x, y)
    x[2, 1] -= 2.0**-52
    answer = linear_separability(x, y)
    assert answer.separable
    # In floats the hair would be lost.
    z = [
        sum(w * int(v * 2**54) for w, v in zip(answer.weight or (), row, strict=True))
        + (answer.bias or 0) * 2**54
        for row in x
    ]
    assert [value > 0 for value in z] == [False, False, True, True] and 0 not in z


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": np.zeros(4)}, r"shapes \(N, d\) and \(N,\), got \(4,\) and \(4,\)"),
        ({"y": np.array([0, 1])}, r"got \(4, 2\) and \(2,\)"),
        ({"x": np.full((4, 2), np.nan)}, "x must be finite"),
        ({"y": np.array([0, 1, 2, 1])}, r"y must hold 0 and 1, both of them, got \[0 1 2\]"),
        ({"y": np.zeros(4, int)}, r"y must hold 0 and 1, both of them, got \[0\]"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    good = {"x": np.arange(8).reshape(4, 2), "y": np.array([0, 0, 1, 1])}
    assert isinstance(linear_separability(**good), Separability)
    with pytest.raises(ValueError, match=f"linear_separability: .*{message}"):
        linear_separability(**{**good, **arguments})
