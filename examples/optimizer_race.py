"""Optimizers against each other: in a canyon, at a saddle, and on the 8x8 digits.

Expected:
- a canyon, (x^2 + 100 y^2) / 2 from (1, 1): steps until both coordinates are below 1e-3: SGD 688,
  momentum 124, Nesterov 62, Adam 82, AdaGrad 13; SGD beyond the rate 2 / 100 diverges, and momentum
  changes sides less often than SGD at the same rate;
- a saddle, (w1 w2 - 1)^2: nothing moves at (0, 0), 83 steps lead away from (.001, .001), and from
  (.5, -.5) descent walks into the saddle. The surface is not convex: it has two valleys;
- a trained network has twins that are as good, its hidden units in another order, and between
  them lies a ridge: the surface of a real loss has many minima, too;
- on the digits, momentum .9 needs at most a third of the epochs of SGD at the same rate, about as
  many as SGD at ten times the rate; the optimizers with a rate for each parameter do as well.

    python examples/optimizer_race.py           # about 20 s
    python examples/optimizer_race.py --quick   # 10 epochs of three optimizers

Pictures: canyon.png, saddle.png, ridge.png, race.png.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import demo
import numpy as np

import neurona
from neurona import Tensor, nn, optim, plot, probes
from neurona.nn import functional as F

Make = Callable[[Any], optim.Optimizer]
Loss = Callable[[Tensor], Tensor]

CANYON: dict[str, tuple[Make, int]] = {
    "SGD .01": (lambda p: optim.SGD(p, lr=0.01), 688),
    "momentum .9": (lambda p: optim.SGD(p, lr=0.01, momentum=0.9), 124),
    "Nesterov": (lambda p: optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, velocity=True), 62),
    "Adam .1": (lambda p: optim.Adam(p, lr=0.1), 82),
    "AdaGrad .5": (lambda p: optim.Adagrad(p, lr=0.5), 13),
}
DIGITS: dict[str, Make] = {
    "SGD .05": lambda p: optim.SGD(p, lr=0.05),
    "momentum .05": lambda p: optim.SGD(p, lr=0.05, momentum=0.9),
    "Adam .01": lambda p: optim.Adam(p, lr=0.01),
    "SGD .5": lambda p: optim.SGD(p, lr=0.5),
    "Nesterov .05": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "AdaGrad .05": lambda p: optim.Adagrad(p, lr=0.05),
    "RMSprop .005": lambda p: optim.RMSprop(p, lr=0.005),
}


def descend(make: Make, loss: Loss, start: tuple[float, float], steps: int) -> np.ndarray:
    """The start and theta after every step, (steps + 1, 2), in float64."""
    theta = nn.Parameter(np.array(start))
    optimizer = make([theta])

    # Nesterov's literal form takes the gradient at a point of its own: it needs the closure.
    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(theta)
        value.backward()
        return value

    points = [theta.data.copy()]
    for _ in range(steps):
        optimizer.step(closure)
        points.append(theta.data.copy())
    return np.array(points)


def canyon(theta: Tensor) -> Tensor:
    return 0.5 * (theta[0] ** 2 + 100.0 * theta[1] ** 2)


def saddle(theta: Tensor) -> Tensor:
    return (theta[0] * theta[1] - 1.0) ** 2


def race_in_the_canyon(d: demo.Demo) -> None:
    d.section("(x^2 + 100 y^2) / 2 from (1, 1): steps until both are below .001")
    paths = {}
    for name, (make, steps) in CANYON.items():
        paths[name] = points = descend(make, canyon, (1.0, 1.0), steps)
        arrived = np.abs(points).max(axis=1) < 1e-3
        d.check(name, steps, int(np.argmax(arrived)) if arrived.any() else "more")
    far = descend(lambda p: optim.SGD(p, lr=0.021), canyon, (1.0, 1.0), 200)
    d.at_least("SGD .021 diverges: |y| after 200 steps", 1e6, abs(far[-1, 1]))

    def turns(momentum: float) -> int:
        points = descend(lambda p: optim.SGD(p, 0.019, momentum), canyon, (1.0, 1.0), 50)
        return int(np.count_nonzero(np.diff(np.sign(points[1:, 1]))))

    plain, smooth = turns(0.0), turns(0.9)
    d.check("SGD .019 changes sides at every step", 49, plain)
    d.check("momentum turns less often", f"< {plain}", smooth, smooth < plain)
    plot.loss_surface(
        lambda x, y: 0.5 * (x * x + 100 * y * y),
        (-0.6, 1.2),
        (-1.0, 1.3),
        paths,
        axis_names=("x", "y"),
        path=d.picture("canyon.png"),
    )


def saddle_and_valleys(d: demo.Demo) -> None:
    d.section("(w1 w2 - 1)^2: a saddle between two valleys")
    sgd: Make = lambda p: optim.SGD(p, lr=0.05)  # noqa: E731
    at_zero = nn.Parameter(np.zeros(2))
    curvature = np.linalg.eigvalsh(probes.numeric_hessian(saddle, at_zero))
    d.check("eigenvalues of the Hessian at (0, 0)", [-2, 2], curvature.round(6).tolist())
    stuck = descend(sgd, saddle, (0.0, 0.0), 100)
    d.check("from (0, 0), after 100 steps", [0.0, 0.0], stuck[-1].tolist())
    near = descend(sgd, saddle, (1e-3, 1e-3), 100)
    losses = (near[:, 0] * near[:, 1] - 1) ** 2
    d.check("steps from (.001, .001) to a loss below .01", 83, int(np.argmax(losses < 0.01)))
    into = descend(sgd, saddle, (0.5, -0.5), 350)
    d.close("from (.5, -.5), distance to the saddle", 0.0, float(np.abs(into[-1]).max()), 1e-15)
    right, left = (descend(sgd, saddle, start, 300) for start in ((1.5, 0.2), (-1.5, -0.2)))
    d.close("from (1.5, .2): w1 w2", 1.0, float(right[-1].prod()), 1e-9)
    d.check("from (-1.5, -.2): the opposite minimum", (-right[-1]).tolist(), left[-1].tolist())
    middle = float((left[-1] + right[-1]).sum())
    d.check("half way between the minima lies the saddle: not convex", 0.0, middle)
    plot.loss_surface(
        lambda a, b: (a * b - 1) ** 2,
        (-1.8, 1.8),
        (-1.8, 1.8),
        {
            "from (.001, .001)": near,
            "from (.5, −.5)": into,
            "from (1.5, .2)": right,
            "from (−1.5, −.2)": left,
        },
        axis_names=("w₁", "w₂"),
        path=d.picture("saddle.png"),
    )


def train(name: str, seed: int, epochs: int) -> tuple[nn.Sequential, list[float]]:
    """The network 64-32-10 after some epochs, and its training loss in each."""
    neurona.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    trainer = neurona.Trainer(model, "cross_entropy", DIGITS[name](model.parameters()))
    history = trainer.fit(*neurona.datasets.digits().train, epochs=epochs, verbose=0)
    return model, history.history["loss"]


def ridge(d: demo.Demo, model: nn.Sequential) -> None:
    d.section("A trained network and its twin, the hidden units in another order")
    x, y = map(neurona.tensor, neurona.datasets.digits().train)
    own = {name: t.data.copy() for name, t in model.state_dict().items()}
    order = neurona.Generator(1).permutation(32)
    twin = dict(own)
    twin["1.weight"], twin["1.bias"] = own["1.weight"][order], own["1.bias"][order]
    twin["3.weight"] = own["3.weight"][:, order]
    heights = []
    shares = np.linspace(0.0, 1.0, 21, dtype=np.float32)
    for share in shares:
        model.load_state_dict({k: (1 - share) * own[k] + share * twin[k] for k in own})
        with neurona.no_grad():
            heights.append(F.cross_entropy(model(x), y).item())
    model.load_state_dict(own)
    d.close("loss of the twin over that of the network", 1.0, heights[-1] / heights[0], 1e-4)
    d.at_least("loss half way over that of both: not convex", 2.0, heights[10] / heights[0])
    plot.compare_runs(
        {"between the twins": heights},
        x=shares.tolist(),
        xlabel="share of the way to the twin",
        path=d.picture("ridge.png"),
    )


def race_on_digits(d: demo.Demo) -> None:
    seeds, epochs = ([0], 10) if d.quick else ([0, 1, 2], 40)
    names = list(DIGITS)[: 3 if d.quick else None]
    d.section(f"8x8 digits, 64-32-10, batch 32: epochs to a training loss of .1, seeds {seeds}")
    needed: dict[str, list[int]] = {name: [] for name in names}
    curves, champion = {}, None
    for seed in seeds:
        for name in names:
            model, losses = train(name, seed, epochs)
            below = np.array(losses) < 0.1
            needed[name].append(int(np.argmax(below)) + 1 if below.any() else epochs + 1)
            if seed == seeds[0]:
                curves[name] = losses
            if name == "momentum .05" and champion is None:
                champion = model
    slow = needed["SGD .05"]
    for name in names[1:]:
        bound = min(slow) // 3
        if d.quick:
            d.check(name, "<= 7, SGD .05 not within 10", needed[name], max(needed[name]) <= 7)
        else:
            d.check(
                name, f"<= {bound}, a third of SGD .05", needed[name], max(needed[name]) <= bound
            )
    if d.quick:
        d.check("SGD .05", "> 10", slow, min(slow) > 10)
    else:
        d.check("SGD .05", "30 to 40", slow, 30 <= min(slow) and max(slow) <= 40)
        gap = np.abs(np.subtract(needed["momentum .05"], needed["SGD .5"])).max()
        d.check("momentum .9 is worth ten times the rate: epochs apart", "<= 2", int(gap), gap <= 2)
    plot.compare_runs(curves, log=True, path=d.picture("race.png"))
    assert champion is not None
    ridge(d, champion)


def run(d: demo.Demo) -> None:
    with neurona.use_backend("reference"):  # in float64, for exact counts
        race_in_the_canyon(d)
        saddle_and_valleys(d)
    race_on_digits(d)


if __name__ == "__main__":
    demo.main(run, __doc__)
