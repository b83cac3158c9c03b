"""What helps the rare classes of an imbalanced problem: class weights, and what focal loss adds.

Three overlapping clouds in the plane, 80 / 10 / 10 of a hundred, and a network 2-16-3 trained on
600 points with four losses; recalls are those on 4,000 fresh points.

Expected, over five seeds:
- cross-entropy finds only .20-.40 of the rare classes, with class weights .60-.80;
- balanced accuracy (the mean of the recalls) rises from .47-.55 to .62-.71;
- the price is accuracy: .82 falls to .57-.69, because the weights count a rare point eight times;
- the focal loss alone (gamma 2) moves balanced accuracy by less than .06: it looks at hard points,
  not at rare ones. With class weights it does what the weights do.

    python examples/imbalance_losses.py           # about 20 s
    python examples/imbalance_losses.py --quick   # one seed

Pictures: imbalance_recalls.png, imbalance_plain.png, imbalance_weighted.png.
"""

from __future__ import annotations

import demo
import numpy as np
from matplotlib.figure import Figure

import neurona
from neurona import metrics, nn, optim, plot
from neurona.utils import compute_class_weight

CENTRES = np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]])
NAMES = ["frequent", "rare 1", "rare 2"]
LOSSES = ("cross-entropy", "weighted", "focal", "weighted focal")


def draw(generator: neurona.Generator, rare: int) -> tuple[np.ndarray, np.ndarray]:
    """8 * rare points of the first class and `rare` of each other one."""
    y = np.repeat([0, 1, 2], [8 * rare, rare, rare])
    return (CENTRES[y] + generator.normal((len(y), 2))).astype(np.float32), y


def losses(y: np.ndarray) -> dict[str, nn.Module]:
    weight = compute_class_weight("balanced", y=y)
    layers = (
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(weight),
        nn.FocalLoss(2.0),
        nn.FocalLoss(2.0, weight),
    )
    return dict(zip(LOSSES, layers, strict=True))


def train(loss: nn.Module, x: np.ndarray, y: np.ndarray, seed: int) -> neurona.Trainer:
    """2-16-3 after 300 steps, each on all points."""
    neurona.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 3))
    trainer = neurona.Trainer(model, loss, optim.Adam(model.parameters(), lr=1e-2))
    trainer.fit(x, y, batch_size=len(x), epochs=300, verbose=0)
    return trainer


def bars(means: dict[str, np.ndarray], path: object) -> None:
    """One group of bars per loss: the recall of each class."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(means))
    for c, name in enumerate(NAMES):
        heights = [recall[c] for recall in means.values()]
        drawn = axes.bar(places + 0.27 * (c - 1), heights, 0.25, label=name)
        axes.bar_label(drawn, fmt="%.2f", fontsize=8)
    axes.set_xticks(places, list(means))
    axes.set_ylabel("recall")
    axes.set_ylim(0, 1.08)
    figure.legend(loc="outside right upper")
    figure.savefig(path, dpi=150)


def run(d: demo.Demo) -> None:
    seeds = range(1 if d.quick else 5)
    recalls: dict[str, list[np.ndarray]] = {name: [] for name in LOSSES}
    accuracies: dict[str, list[float]] = {name: [] for name in LOSSES}
    first: dict[str, neurona.Trainer] = {}
    d.section("80 / 10 / 10, network 2-16-3: recall of each class, balanced accuracy, accuracy")
    for seed in seeds:
        generator = neurona.Generator(seed)
        (x, y), (asked, truth) = draw(generator, 60), draw(generator, 400)
        for name, loss in losses(y).items():
            trainer = train(loss, x, y, seed)
            matrix = metrics.confusion_matrix(trainer.predict(asked), truth)
            recall = np.diag(matrix) / matrix.sum(axis=1)
            recalls[name].append(recall)
            accuracies[name].append(float(np.trace(matrix) / matrix.sum()))
            shown = " ".join(f"{value:.3f}" for value in recall)
            print(
                f"  seed {seed} {name:15} {shown}  {recall.mean():.3f}  {accuracies[name][-1]:.3f}"
            )
            if seed == 0:
                first[name] = trainer
                sample = x, y
    found = {name: np.array(rows) for name, rows in recalls.items()}
    balanced = {name: rows.mean(axis=1) for name, rows in found.items()}

    def within(what: str, values: np.ndarray, low: float, high: float) -> None:
        got = f"{values.min():.3f} to {values.max():.3f}"
        holds = low <= values.min() and values.max() <= high
        d.check(what, f"{low:g} to {high:g}", got, holds)

    d.section("What the course claims")
    within("rare recalls by cross-entropy", found["cross-entropy"][:, 1:], 0.20, 0.40)
    within("rare recalls by class weights", found["weighted"][:, 1:], 0.60, 0.80)
    within("balanced accuracy of cross-entropy", balanced["cross-entropy"], 0.47, 0.55)
    within("balanced accuracy of class weights", balanced["weighted"], 0.62, 0.71)
    within("accuracy of cross-entropy", np.array(accuracies["cross-entropy"]), 0.80, 0.84)
    within("accuracy of class weights", np.array(accuracies["weighted"]), 0.57, 0.69)
    moved = balanced["focal"] - balanced["cross-entropy"]
    within("focal alone moves balanced accuracy by", moved, -0.06, 0.06)
    moved = balanced["weighted focal"] - balanced["weighted"]
    within("focal beside weights moves it by", moved, -0.06, 0.06)
    gain = balanced["weighted focal"] - balanced["cross-entropy"]
    d.at_least("weighted focal over cross-entropy", 0.1, float(gain.min()))

    bars(
        {name: rows.mean(axis=0) for name, rows in found.items()},
        d.picture("imbalance_recalls.png"),
    )
    for name, file in (("cross-entropy", "plain"), ("weighted", "weighted")):
        path = d.picture(f"imbalance_{file}.png")
        plot.decision_boundary(first[name].model, *sample, NAMES, path=path)


if __name__ == "__main__":
    demo.main(run, __doc__)
