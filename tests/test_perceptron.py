"""The perceptron: gates that a line separates are learnt, XOR is not; step and rule by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from neurona import Tensor, models
from neurona.models.perceptron import Perceptron

CORNERS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
GATES = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "NAND": [1, 1, 1, 0]}


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("lr", [1.0, 0.1])
def test_gates_are_exact(gate: str, lr: float) -> None:
    unit = models.Perceptron(2)
    mistakes = unit.fit(CORNERS, np.array(GATES[gate]), lr=lr)
    assert mistakes[-1] == 0 and len(mistakes) < 20
    assert unit(Tensor(CORNERS)).tolist() == GATES[gate]


def test_xor_is_beyond_a_line() -> None:
    unit = Perceptron(2)
    mistakes = unit.fit(CORNERS, np.array([0, 1, 1, 0]), epochs=50)
    assert len(mistakes) == 50 and min(mistakes) >= 1
    assert (unit(Tensor(CORNERS)).data == [0, 1, 1, 0]).sum() <= 3


def test_one_update_by_hand() -> None:
    """w += lr (y - output) x: step(0) = 1, so only the sample of class 0 moves the start."""
    unit = Perceptron(2)
    assert unit.fit(np.array([[1.0, 2.0], [3.0, -1.0]]), np.array([1, 0]), lr=0.5, epochs=1) == [1]
    assert unit.linear.weight.data.tolist() == [[-1.5, 0.5]]
    assert unit.linear.bias is not None and unit.linear.bias.data.tolist() == [-0.5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": CORNERS[:, :1]}, r"x must have shape \(N, 2\), got \(4, 1\)"),
        ({"y": np.zeros(3)}, r"y must have shape \(4,\), got \(3,\)"),
        ({"y": np.array([-1, 1, 1, 1])}, "y must hold 0 and 1 only"),
        ({"lr": 0.0}, "lr must be finite and > 0, got 0.0"),
        ({"epochs": 0}, "epochs must be an int >= 1, got 0"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Perceptron(2).fit(**{"x": CORNERS, "y": np.array([0, 0, 0, 1]), **arguments})
