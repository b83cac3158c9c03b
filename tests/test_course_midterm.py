"""The midterm exercise of the course (N6): descent on one pair with L1, Huber and AdaGrad."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import neurona
from neurona import Tensor, nn


@pytest.fixture(autouse=True)
def reference() -> Iterator[None]:
    """The numbers are exact in float64."""
    with neurona.use_backend("reference"):
        yield


def wide(value: float, grad: bool = False) -> Tensor:
    return neurona.tensor(value, dtype=np.float64, requires_grad=grad)


class Line:
    """y = w x + b at (x, y) = (2, 2), followed by gradient descent at .3."""

    def __init__(self, w: float, b: float) -> None:
        self.w, self.b = wide(w, True), wide(b, True)

    def step(self, loss: Callable[..., Tensor]) -> tuple[float, float, float, float, float]:
        """(w, b, L, dw, db) before the step."""
        self.w.grad = self.b.grad = None
        value = loss(self.w * 2.0 + self.b, wide(2.0))
        value.backward()
        assert self.w.grad is not None and self.b.grad is not None
        row = tuple(t.item() for t in (self.w, self.b, value, self.w.grad, self.b.grad))
        for parameter in (self.w, self.b):
            parameter.data -= 0.3 * parameter.grad.data
        return row


def test_n6_d4_midterm_table_of_l1() -> None:
    line = Line(2.7, 1.0)
    table = np.array([line.step(nn.L1Loss()) for _ in range(8)]).T
    expected = [
        [2.7, 2.1, 1.5, 0.9, 1.5, 0.9, 1.5, 0.9],
        [1, 0.7, 0.4, 0.1, 0.4, 0.1, 0.4, 0.1],
        [4.4, 2.9, 1.4, 0.1, 1.4, 0.1, 1.4, 0.1],
        [2, 2, 2, -2, 2, -2, 2, -2],
        [1, 1, 1, -1, 1, -1, 1, -1],
    ]
    assert table == pytest.approx(np.array(expected), abs=1e-12)


def test_n6a_d5_huber_from_the_fourth_step() -> None:
    """L = .005 and dL/dy = -.1 at (.9, .1); then the residual halves and changes its sign."""
    line = Line(0.9, 0.1)
    rows = [line.step(nn.HuberLoss(delta=0.11)) for _ in range(5)]
    assert rows[0][2] == pytest.approx(0.005, abs=1e-12)
    assert rows[0][3:] == pytest.approx((-0.2, -0.1), abs=1e-12)
    expected = [
        (0.96, 0.13, 0.00125),
        (0.93, 0.115, 0.0003125),
        (0.945, 0.1225, 7.8125e-5),
        (0.9375, 0.11875, 1.953125e-5),
    ]
    for row, wanted in zip(rows[1:], expected, strict=True):
        assert row[:3] == pytest.approx(wanted, abs=1e-12)
    for _ in range(60):
        row = line.step(nn.HuberLoss(delta=0.11))
    assert row[:2] == pytest.approx((0.94, 0.12), abs=1e-12)


@pytest.mark.parametrize("delta", [1.0, 0.11])
def test_n6a_prime_huber_from_the_first_step(delta: float) -> None:
    line = Line(2.7, 1.0)
    rows = [line.step(nn.HuberLoss(delta=delta)) for _ in range(5)]
    if delta == 1:
        assert [r[2] for r in rows] == pytest.approx([3.9, 2.4, 0.9, 0.005, 0.00125], abs=1e-12)
    else:
        assert rows[1][:2] == pytest.approx((2.634, 0.967), abs=1e-12)
        assert 2 * rows[1][0] + rows[1][1] - 2 == pytest.approx(4.235, abs=1e-12)
        assert [r[2] for r in rows[:2]] == pytest.approx([0.47795, 0.4598], abs=1e-12)


def test_n6b_adagrad_on_the_slopes_of_l1() -> None:
    """G counts from the first step; each step is .3 / sqrt(k) in both parameters."""
    line = Line(2.7, 1.0)
    slopes = [np.array(line.step(nn.L1Loss())[3:]) for _ in range(4)]
    g = sum(np.outer(s, s) for s in slopes)
    assert g.tolist() == [[16, 8], [8, 4]]
    theta, total = np.array([0.9, 0.1]), np.diag(g).copy()
    found = []
    slope = slopes[3]
    for _ in range(4):
        theta = theta - 0.3 * slope / np.sqrt(total)
        row = Line(*theta).step(nn.L1Loss())
        slope = np.array(row[3:])
        total += slope**2
        found.append(row[:3])
    expected = [
        (1.05, 0.25, 0.35),
        (0.915836, 0.115836, 0.052492),
        (1.038310, 0.238310, 0.314931),
        (0.924921, 0.124921, 0.025237),
    ]
    for row, wanted in zip(found, expected, strict=True):
        assert row == pytest.approx(wanted, abs=6e-7)
    closed = 0.9 + 0.3 * (1 / 4**0.5 - 1 / 5**0.5 + 1 / 6**0.5 - 1 / 7**0.5)
    assert found[3][0] == pytest.approx(closed, abs=1e-12)
    # The course's table has .924923, .124923 and .025232 here: its last step is off by 2e-6.
    assert found[3] == pytest.approx((0.924923, 0.124923, 0.025232), abs=6e-6)
