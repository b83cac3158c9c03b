"""compute_class_weight: the two formulas of the course, labels given by name, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neurona
from neurona import nn
from neurona.utils import compute_class_weight

Y = np.repeat([0, 1, 2], [80, 10, 10])


def test_d12_n7_class_weights_of_80_10_10() -> None:
    """N7: 1.25, 10, 10 by inverse frequency; .416667, 3.333333, 3.333333 balanced; factor k = 3."""
    inverse = compute_class_weight("inverse", y=Y)
    balanced = compute_class_weight("balanced", y=neurona.tensor(Y))
    assert inverse.dtype == np.float32 and inverse.tolist() == [1.25, 10, 10]
    assert balanced == pytest.approx([0.416667, 3.333333, 3.333333], abs=5e-7)
    assert inverse / balanced == pytest.approx([3, 3, 3], rel=1e-6)
    assert balanced[Y].mean() == pytest.approx(1, rel=1e-6)
    assert inverse[Y].mean() == pytest.approx(3, rel=1e-6)


def test_losses_take_them() -> None:
    weight = compute_class_weight("balanced", y=Y)
    loss = nn.CrossEntropyLoss(weight)(neurona.zeros(3, 3), neurona.tensor([0, 1, 2]))
    assert loss.item() == pytest.approx(np.log(3), rel=1e-6)


def test_names_mappings_and_none() -> None:
    labels = [7, 3, 3, 3]
    assert compute_class_weight("inverse", classes=[7, 3], y=labels).tolist() == pytest.approx(
        [4, 4 / 3]
    )
    assert compute_class_weight({1: 5.0}, y=Y).tolist() == [1, 5, 1]
    assert compute_class_weight(None, y=Y).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"class_weight": "balance", "y": Y}, ValueError, "must be one of .*got 'balance'"),
        ({"class_weight": {4: 1.0}, "y": Y}, ValueError, "must name classes only, got 4"),
        ({"class_weight": "balanced", "y": [0, 2]}, ValueError, "every class, got no label 1"),
        ({"class_weight": "balanced", "y": [0, -1]}, ValueError, ">= 0 unless classes"),
        ({"class_weight": "balanced", "y": []}, ValueError, r"shape \(N,\) with N >= 1"),
        ({"class_weight": "balanced", "y": [[0]]}, ValueError, r"shape \(N,\)"),
        ({"class_weight": "balanced", "y": [0.0]}, TypeError, "integer dtype, got float64"),
        ({"class_weight": None, "y": [2], "classes": [0, 1]}, ValueError, "among classes, got 2"),
        ({"class_weight": None, "y": [0], "classes": [0, 0]}, ValueError, "each class once"),
    ],
)
def test_refused(arguments: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        compute_class_weight(**arguments)
