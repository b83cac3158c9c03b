"""A midterm's exercise: the descent of one line through one point, by L1, Huber and AdaGrad.

The model is y = w x + b, the only sample (x, y) = (2, 2), the rate .3. With the absolute error the
slopes never shrink, so the descent ends in two points that alternate for ever. Huber's loss bends
near the target, and the error halves. AdaGrad divides each slope by the root of the sum of its
squares, so both parameters move by the same .3 / sqrt(k), whatever the slopes are.

All is computed in float64 and must agree with the arithmetic by hand to 1e-12, with rounded figures
to half of their last digit. The course's last line of AdaGrad is off by more, 5e-6.

    python examples/midterm_2022.py [--quick]   # both a second
"""

from __future__ import annotations

import demo
import numpy as np
from matplotlib.figure import Figure

import neurona
from neurona import Tensor, nn, optim

RATE = 0.3
EXACT = 1e-12


class Line(nn.Module):
    """y = w x + b in float64."""

    def __init__(self, w: float, b: float) -> None:
        super().__init__()
        self.w = nn.Parameter(neurona.tensor(w, dtype=np.float64))
        self.b = nn.Parameter(neurona.tensor(b, dtype=np.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.w * x + self.b


def descend(line: Line, loss: nn.Module, steps: int, *optimizers: optim.Optimizer) -> np.ndarray:
    """Rows (w, b, L, dL/dw, dL/db), each before its step; plain descent unless told otherwise."""
    optimizers = optimizers or (optim.SGD(line.parameters(), lr=RATE),)
    x, y = (neurona.tensor(2.0, dtype=np.float64) for _ in range(2))
    rows = []
    for _ in range(steps):
        line.zero_grad()
        value = loss(line(x), y)
        value.backward()
        rows.append([t.item() for t in (line.w, line.b, value, line.w.grad, line.b.grad)])
        for optimizer in optimizers:
            optimizer.step()
    return np.array(rows)


def agree(d: demo.Demo, what: str, expected: object, got: object, tolerance: float = EXACT) -> None:
    """One claim about several numbers, printed with twelve digits at most."""
    wanted, found = np.asarray(expected, float), np.asarray(got, float)
    shown = [f"{value:.12g}" for value in found.ravel()]
    listed = [f"{value:.12g}" for value in wanted.ravel()]
    holds = wanted.shape == found.shape and bool((np.abs(wanted - found) <= tolerance).all())
    d.check(what, ", ".join(listed), ", ".join(shown), holds)


def absolute_error(d: demo.Demo) -> np.ndarray:
    d.section("1. The absolute error, from w = 2.7, b = 1")
    rows = descend(Line(2.7, 1), nn.L1Loss(), 40)
    w, b, loss, dw, db = rows[:6].T
    agree(d, "w    ", [2.7, 2.1, 1.5, 0.9, 1.5, 0.9], w)
    agree(d, "b    ", [1, 0.7, 0.4, 0.1, 0.4, 0.1], b)
    agree(d, "L    ", [4.4, 2.9, 1.4, 0.1, 1.4, 0.1], loss)
    agree(d, "dL/dw", [2, 2, 2, -2, 2, -2], dw)
    agree(d, "dL/db", [1, 1, 1, -1, 1, -1], db)
    agree(d, "L of steps 37 to 40: the cycle goes on", [1.4, 0.1] * 2, rows[36:, 2])
    return rows


def huber(d: demo.Demo) -> np.ndarray:
    d.section("2. Huber's loss with delta = .11 from the fourth row, w = .9, b = .1")
    rows = descend(Line(0.9, 0.1), nn.HuberLoss(delta=0.11), 60)
    agree(d, "L and its slopes at first", [0.005, -0.2, -0.1], rows[0, 2:])
    expected = [
        [0.96, 0.13, 0.00125],
        [0.93, 0.115, 0.0003125],
        [0.945, 0.1225, 7.8125e-5],
        [0.9375, 0.11875, 1.953125e-5],
    ]
    for k, row in enumerate(expected, 1):
        agree(d, f"w, b, L after {k} step{'s' * (k > 1)}", row, rows[k, :3])
    residual = 2 * rows[:12, 0] + rows[:12, 1] - 2
    ratios = residual[1:] / residual[:-1]
    agree(d, "each residual over the one before", [-0.5] * 11, ratios, 1e-9)
    agree(d, "the limit of w, b", [0.94, 0.12], rows[-1, :2])

    d.section("3. Huber's loss from the first row: the table is followed only where delta = 1")
    late = descend(Line(2.7, 1), nn.HuberLoss(delta=1.0), 5)
    agree(d, "L with delta = 1", [3.9, 2.4, 0.9, 0.005, 0.00125], late[:, 2])
    short = descend(Line(2.7, 1), nn.HuberLoss(delta=0.11), 2)
    agree(d, "w, b after one step with delta = .11", [2.634, 0.967], short[1, :2])
    agree(d, "L there", [0.47795, 0.4598], short[:, 2])
    return rows


def adagrad(d: demo.Demo, slopes: np.ndarray) -> np.ndarray:
    d.section("4. AdaGrad from the fourth row on, the slopes of the first four in G")
    outer = sum(np.outer(slope, slope) for slope in slopes)
    agree(d, "G, the sum of the slopes' products", [[16, 8], [8, 4]], outer)
    line = Line(2.7, 1)
    # With the rate 0 AdaGrad does not move the line, but notes its slopes.
    scaled = optim.Adagrad(line.parameters(), lr=0, eps=0)
    descend(line, nn.L1Loss(), 3, optim.SGD(line.parameters(), lr=RATE), scaled)
    scaled.param_groups[0]["lr"] = RATE
    rows = descend(line, nn.L1Loss(), 1, scaled)
    sums = [scaled.state[parameter]["sum"].item() for parameter in line.parameters()]
    agree(d, "the diagonal, all that is stored", [16, 4], sums)
    rows = np.concatenate([rows, descend(line, nn.L1Loss(), 30, scaled)])
    agree(d, "w, b, L after 1 step", [1.05, 0.25, 0.35], rows[1, :3])
    agree(d, "w, b, L after 2", [0.915836, 0.115836, 0.052492], rows[2, :3], 6e-7)
    agree(d, "w, b, L after 3", [1.03831, 0.23831, 0.314931], rows[3, :3], 6e-7)
    moved = RATE * (1 / 4**0.5 - 1 / 5**0.5 + 1 / 6**0.5 - 1 / 7**0.5)
    closed = [0.9 + moved, 0.1 + moved, 3 * moved]
    agree(d, "w, b after 4, in closed form", closed[:2], rows[4, :2])
    # The course's last step is 2e-6 off, and its loss 5e-6.
    agree(d, "w, b, L after 4, as printed", [0.924923, 0.124923, 0.025232], rows[4, :3], 6e-6)

    d.section("5. AdaGrad begun anew: at the fourth row, and at the first")
    line = Line(0.9, 0.1)
    anew = descend(line, nn.L1Loss(), 3, optim.Adagrad(line.parameters(), lr=RATE, eps=0))
    agree(d, "w, b, L after 1 step", [1.2, 0.4, 0.8], anew[1, :3])
    agree(d, "L after 2", 0.163604, anew[2, 2], 6e-7)
    line = Line(2.7, 1)
    early = descend(line, nn.L1Loss(), 4, optim.Adagrad(line.parameters(), lr=RATE, eps=0))
    agree(d, "L from the first row", [4.4, 3.5, 2.8636, 2.34399], early[:, 2], 6e-6)
    return rows


def draw(d: demo.Demo, curves: dict[str, tuple[int, np.ndarray]]) -> None:
    """Losses over the steps of the table, on a logarithmic scale, each from its first step."""
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.add_subplot()
    for (name, (start, losses)), marker in zip(curves.items(), "os^", strict=True):
        steps = np.arange(start, start + len(losses))
        axes.semilogy(steps, losses, marker=marker, markersize=4, label=name)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(d.picture("midterm_2022.png"), dpi=150)


def run(d: demo.Demo) -> None:
    with neurona.use_backend("reference"):
        table = absolute_error(d)
        bent = huber(d)
        scaled = adagrad(d, table[:4, 3:])
    curves = {
        "absolute error": (0, table[:16, 2]),
        "Huber, δ = 0.11, from step 3": (3, bent[:10, 2]),
        "AdaGrad from step 3": (3, scaled[:13, 2]),
    }
    draw(d, curves)


if __name__ == "__main__":
    demo.main(run, __doc__)
