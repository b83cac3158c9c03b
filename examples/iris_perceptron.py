"""One neuron tells setosa from versicolor: a sigmoid, a rigid sigmoid, and the perceptron's step.

Linear programming shows first that a line separates the two species on every pair of the four
lengths, so one neuron is enough. It is then trained three ways on the sepals, on the petals and on
all four lengths: sigmoid and cross-entropy, the rigid sigmoid clip((z + 1) / 2, 0, 1) and the
squared error (which makes a perceptron that has slopes), and Rosenblatt's rule. Each of them must
get all 100 flowers right; the boundaries are printed in centimetres.

    python examples/iris_perceptron.py           # five seeds, some seconds
    python examples/iris_perceptron.py --quick   # one
"""

from __future__ import annotations

import itertools

import demo
import numpy as np

import neurona
from neurona import Trainer, models, nn, optim, plot, probes

LENGTHS = ("sepal length", "sepal width", "petal length", "petal width")
FEATURES = {"sepals": (0, 1), "petals": (2, 3), "all four": (0, 1, 2, 3)}


def two_species(first: int) -> tuple[np.ndarray, np.ndarray]:
    """The 100 flowers (100, 4), in cm, of species `first` and the next one, which are 0 and 1."""
    x_train, y_train, x_test, y_test = neurona.datasets.iris()
    x, y = np.concatenate([x_train, x_test]), np.concatenate([y_train, y_test])
    chosen = (y == first) | (y == first + 1)
    return x[chosen], y[chosen] - first


def train(kind: str, x: np.ndarray, y: np.ndarray, seed: int) -> nn.Linear:
    """A neuron trained on standardised lengths, for lengths in cm: z = w x + b."""
    neurona.manual_seed(seed)
    mean, scale = x.mean(axis=0), x.std(axis=0)
    standard = (x - mean) / scale
    if kind == "step":
        unit = models.Perceptron(x.shape[1])
        unit.fit(standard, y)
        neuron = unit.linear
    else:
        neuron = nn.Linear(x.shape[1], 1)
        rigid = kind == "rigid sigmoid"
        trainer = Trainer(
            nn.Sequential(neuron, nn.HardSigmoid()) if rigid else neuron,
            "mse" if rigid else "bce",
            optim.SGD(neuron.parameters(), lr=0.1 if rigid else 1.0, momentum=0.9),
        )
        trainer.fit(standard, y[:, None].astype(np.float32), 100, epochs=100, verbose=0)
    with neurona.no_grad():
        neuron.weight.data /= scale
        neuron.bias.data -= neuron.weight.data @ mean
    return neuron


def right(neuron: nn.Linear, x: np.ndarray, y: np.ndarray) -> int:
    """How many flowers lie on their side of z = 0."""
    return int(((neuron(neurona.tensor(x)).data[:, 0] >= 0) == y).sum())


def formula(neuron: nn.Linear, names: list[str]) -> str:
    terms = [f"{w:+.3g} {name}" for w, name in zip(neuron.weight.data[0], names, strict=True)]
    return f"z = {' '.join(terms)} {neuron.bias.data[0]:+.3g}"


def separability(d: demo.Demo, x: np.ndarray, y: np.ndarray) -> None:
    d.section("1. Setosa and versicolor by linear programming: a line on every pair of lengths")
    tenths = np.rint(10 * x).astype(int)
    for pair in itertools.combinations(range(4), 2):
        answer = probes.linear_separability(tenths[:, pair], y)
        z = tenths[:, pair] @ np.array(answer.weight) + answer.bias
        d.check(f"{LENGTHS[pair[0]]}, {LENGTHS[pair[1]]}", True, answer.separable)
        d.check("    flowers on their side, in whole numbers", 100, int(((z > 0) == y).sum()))


def neurons(d: demo.Demo, x: np.ndarray, y: np.ndarray) -> None:
    for number, kind in enumerate(("sigmoid", "rigid sigmoid", "step"), 2):
        d.section(f"{number}. One neuron, {kind}")
        # The perceptron starts from zeros and goes through the flowers in order: no chance there.
        seeds = range(1 if d.quick or kind == "step" else 5)
        for name, columns in FEATURES.items():
            lengths = x[:, columns]
            trained = [train(kind, lengths, y, seed) for seed in seeds]
            counts = [right(neuron, lengths, y) for neuron in trained]
            d.check(f"{name}, flowers right for each seed", [100] * len(seeds), counts)
            print(f"      {formula(trained[0], [LENGTHS[c] for c in columns])}")
            if kind == "rigid sigmoid" and len(columns) == 2:
                plot.decision_boundary(
                    trained[0],
                    lengths,
                    y,
                    ["setosa", "versicolor"],
                    axis_names=tuple(f"{LENGTHS[c]} (cm)" for c in columns),
                    resolution=500,
                    path=d.picture(f"iris_perceptron_{name}.png"),
                )


def run(d: demo.Demo) -> None:
    x, y = two_species(0)
    separability(d, x, y)
    neurons(d, x, y)


if __name__ == "__main__":
    demo.main(run, __doc__)
