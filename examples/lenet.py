"""LeNet-5: the network of the course, layer by layer, against a modernised one.

The classic form takes images of 32x32: convolutions of 6 and 16 filters of 5x5, averages over 2x2,
three dense layers, tanh throughout; 61,706 parameters. The modern form has ReLU (cheap and sparse),
maxima (which keep edges) and padding 2 (which keeps borders), so that 8x8x16 = 1,024 numbers reach
the dense layers instead of 400: 136,586 parameters. Between the two stands a form with ReLU and
maxima alone, of the classic shapes. Digits are padded with zeros to 32x32.

Expected: with weights that fit the activation (He for ReLU, Xavier for tanh) and SGD(.01, .9),
both new forms have a lower training cross-entropy than the classic one after the same number of
updates: 2 or 3 epochs of the bundled digits in batches of 50, or one epoch of MNIST in batches of
100, after which the classic form gets at least 93 % of the test digits and the new ones 95.5 %.

"Modern trains faster" is not the whole truth. With PyTorch's default weights, which are too small
for ReLU, the order is reversed, clearly, even at SGD(.05, .9) (second race), since the signal of
five layers nearly vanishes; and at SGD(.03, .9) with weights that fit there is little between them.

    NEURONA_DATA=... python examples/lenet.py     # the races on MNIST too, a few minutes
    python examples/lenet.py --quick              # bundled digits, enlarged three times
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from demo import Demo, main
from matplotlib.figure import Figure

import neurona
from neurona import models, nn, optim
from neurona.nn import functional as F

# Output shapes, parameters and multiply-adds as the course counts them.
CLASSIC = [
    ("conv1", (6, 28, 28), 156, 117_600),
    ("pool1", (6, 14, 14), 0, 0),
    ("conv2", (16, 10, 10), 2_416, 240_000),
    ("pool2", (16, 5, 5), 0, 0),
    ("fc1", (120,), 48_120, 48_000),
    ("fc2", (84,), 10_164, 10_080),
    ("fc3", (10,), 850, 840),
]
# What `lenet5(modern=)` takes; None pads by 2 itself, as the others are fed padded images.
FORMS = {"classic": False, "ReLU, maxima": None, "modern": True}


def tables(demo: Demo) -> None:
    demo.section("The classic form, layer by layer")
    report = neurona.summary(models.lenet5(modern=False), (1, 1, 32, 32))
    print(report)
    for row, expected in zip(report.layers, CLASSIC, strict=True):
        got = (row["layer"], row["output"][1:], row["params"], row["macs"])
        demo.check("layer, shape, parameters, multiply-adds", expected, got, got == expected)
    demo.check("parameters", 61_706, report.totals["params"])
    rbf = neurona.summary(models.lenet5(modern=False, head="rbf"), (1, 1, 32, 32))
    demo.check("with the RBF layer, which has no biases", 61_696, rbf.totals["params"])

    demo.section("The modern form")
    report = neurona.summary(models.lenet5(modern=True), (1, 1, 32, 32))
    print(report)
    demo.check(
        "maps",
        [(6, 32, 32), (6, 16, 16), (16, 16, 16), (16, 8, 8)],
        [row["output"][1:] for row in report.layers[:4]],
    )
    demo.check("parameters", 136_586, report.totals["params"])
    seen = nn.Sequential(nn.Conv2d(1, 6, 5), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.AvgPool2d(2))
    sizes = [row.size[0] for row in neurona.receptive_field(seen).layers]
    demo.check("pixels that a unit sees, along a side", [5, 6, 14, 16], sizes)


Data = tuple[np.ndarray, ...]
Curves = dict[str, list[dict[str, list[float]]]]


def small_digits() -> Data:
    """x, y, x_test, y_test of the bundled digits, each enlarged to 24x24 and padded to 28x28."""
    x, y, x_test, y_test = neurona.datasets.digits()

    def enlarged(images: np.ndarray) -> np.ndarray:
        return F.pad(F.interpolate(neurona.tensor(images), scale_factor=3), (2, 2, 2, 2)).numpy()

    return enlarged(x), y, enlarged(x_test), y_test


def fit_weights(model: nn.Module, form: bool | None) -> None:
    """Xavier's for tanh, He's for ReLU; no biases."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            (nn.init.xavier_normal_ if form is False else nn.init.kaiming_normal_)(layer.weight)
            nn.init.zeros_(layer.bias)


def race(
    forms: Iterable[str],
    data: Data,
    seeds: Iterable[int],
    *,
    lr: float,
    batch: int,
    epochs: int,
    fitting: bool,
) -> Curves:
    """The histories of each form, one per seed; `val_` is on the test digits."""
    x, y, x_test, y_test = data
    curves: Curves = {name: [] for name in forms}
    for name, histories in curves.items():
        form = FORMS[name]
        border = (0, 0, 0, 0) if form is None else (2, 2, 2, 2)
        inputs, tests = (F.pad(neurona.tensor(part), border).numpy() for part in (x, x_test))
        for seed in seeds:
            neurona.manual_seed(seed)
            model = models.lenet5(modern=form)
            if fitting:
                fit_weights(model, form)
            trainer = neurona.Trainer(
                model,
                loss="cross_entropy",
                optimizer=optim.SGD(model.parameters(), lr=lr, momentum=0.9),
                metrics=["accuracy"],
            )
            history = trainer.fit(
                inputs,
                y,
                batch_size=batch,
                epochs=epochs,
                verbose=0,
                validation_data=(tests, y_test),
            )
            histories.append(history.history)
        for key in ("loss", "val_accuracy"):
            print(f"      {name}: {key} {[round(run[key][-1], 3) for run in histories]}")
    return curves


def lead(curves: Curves, name: str) -> float:
    """The classic form's last training loss minus that of `name`, in the worst seed."""
    pairs = zip(curves["classic"], curves[name], strict=True)
    return min(classic["loss"][-1] - other["loss"][-1] for classic, other in pairs)


def draw(demo: Demo, panels: dict[str, Curves]) -> None:
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, (title, curves) in zip(
        figure.subplots(1, 2, sharey=True), panels.items(), strict=True
    ):
        for color, name in enumerate(FORMS):
            runs = curves.get(name)
            if runs is None:
                continue
            mean = np.mean([run["loss"] for run in runs], axis=0)
            axes.plot(range(1, len(mean) + 1), mean, marker=".", color=f"C{color}", label=name)
        axes.set(xlabel="epoch", title=title, xticks=range(1, len(mean) + 1))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.axes[0].set_ylabel("training cross-entropy")
    figure.savefig(demo.picture("lenet_races.png"), dpi=120)


def run(demo: Demo) -> None:
    tables(demo)
    data = small_digits()
    seeds, epochs = ((0,), 2) if demo.quick else ((0, 1, 2), 3)
    demo.section(f"Bundled digits, {epochs} epochs, weights that fit the activation")
    fitting = race(FORMS, data, seeds, lr=0.01, batch=50, epochs=epochs, fitting=True)
    for name in ("ReLU, maxima", "modern"):
        demo.at_least(f"{name}: ahead of the classic form by", 0.01, lead(fitting, name))
    demo.section("The same with PyTorch's default weights, SGD(.05, .9): the reverse")
    default = race(
        ("classic", "modern"), data, seeds, lr=0.05, batch=50, epochs=epochs, fitting=False
    )
    behind = [
        modern["loss"][-1] - classic["loss"][-1]
        for classic, modern in zip(default["classic"], default["modern"], strict=True)
    ]
    demo.at_least("modern: behind the classic form by", 0.3, min(behind))
    draw(
        demo,
        {"weights that fit, SGD(.01, .9)": fitting, "default weights, SGD(.05, .9)": default},
    )
    if demo.quick:
        return
    demo.section("MNIST, one epoch, weights that fit the activation")
    mnist = tuple(neurona.datasets.mnist())
    curves = race(FORMS, mnist, (0, 1), lr=0.01, batch=100, epochs=1, fitting=True)
    for name, runs in curves.items():
        worst = min(run["val_accuracy"][-1] for run in runs)
        demo.at_least(f"{name}: test accuracy", 0.93 if name == "classic" else 0.955, worst)
        if name != "classic":
            demo.at_least(f"{name}: ahead of the classic form by", 0.01, lead(curves, name))


if __name__ == "__main__":
    main(run, __doc__)
