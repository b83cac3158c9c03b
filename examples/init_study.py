"""How the weights start: what becomes of the signal, and whether the network learns at all.

Expected:
- spread of the weights: Xavier 1/sqrt(512) = .0442, He sqrt(2/512) = .0625; for 784 -> 64 Xavier by
  fan-in .0357, Glorot's form with fan-in and fan-out .0486;
- root mean square of the signal over ten layers of width 512: He keeps it between .9 and 1.2
  through ReLU, weights N(0, .01^2) leave less than 1e-5 of it, Xavier keeps tanh between .2 and .7;
- with N(0, 1), 91 % of the tanh units of the first layer are saturated, |y| > .99;
- zero weights stay at a saddle: the first layer never moves, 10 % of the digits are right; with
  constant weights all hidden neurons stay the same one; He learns more than 85 % in five epochs.

    python examples/init_study.py           # about 5 s
    python examples/init_study.py --quick   # 3 instead of 20 epochs for the bad starts

Pictures: signal.png, activations.png.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import demo
import numpy as np

import neurona
from neurona import Tensor, nn, optim, plot
from neurona.nn import init

Fill = Callable[[Tensor], Any]
WIDTH, DEPTH = 512, 10

STARTS: dict[str, tuple[Fill, nn.Module]] = {
    "zero, ReLU": (init.zeros_, nn.ReLU()),
    "constant .01, ReLU": (lambda w: init.constant_(w, 0.01), nn.ReLU()),
    "N(0, .01²), ReLU": (lambda w: init.normal_(w, 0.0, 0.01), nn.ReLU()),
    "He, ReLU": (lambda w: init.kaiming_normal_(w, nonlinearity="relu"), nn.ReLU()),
    "N(0, 1), tanh": (init.normal_, nn.Tanh()),
    "Xavier, tanh": (lambda w: init.xavier_normal_(w, mode="fan_in"), nn.Tanh()),
}


def signals(fill: Fill, activation: nn.Module) -> list[np.ndarray]:
    """The activations (256, 512) of every layer; the input is N(0, 1)."""
    neurona.manual_seed(2)
    x, found = neurona.randn(256, WIDTH), []
    for _ in range(DEPTH):
        layer = nn.Linear(WIDTH, WIDTH, bias=False)
        fill(layer.weight)
        with neurona.no_grad():
            x = activation(layer(x))
        found.append(x.numpy())
    return found


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def spreads(d: demo.Demo) -> None:
    d.section("Standard deviation of the weights")
    neurona.manual_seed(3)

    def std(outputs: int, inputs: int, fill: Callable[..., Any], **options: str) -> float:
        weight = fill(neurona.empty(outputs, inputs), **options)
        return float(weight.detach().numpy().std(dtype=np.float64))

    for what, expected, got in (
        ("Xavier 512 -> 512", 0.04419, std(512, 512, init.xavier_normal_, mode="fan_in")),
        ("Xavier 784 -> 64 by fan-in", 0.03571, std(64, 784, init.xavier_normal_, mode="fan_in")),
        ("Xavier 784 -> 64, Glorot's form", 0.04856, std(64, 784, init.xavier_normal_)),
        ("He 512 -> 512", 0.0625, std(512, 512, init.kaiming_normal_, nonlinearity="relu")),
    ):
        # Five standard errors of the smaller matrix.
        d.close(what, expected, got, 5 * expected / np.sqrt(2 * 64 * 784))


def depth(d: demo.Demo) -> None:
    d.section("Root mean square of the signal over ten layers of width 512")
    found = {name: signals(*start) for name, start in STARTS.items()}
    sizes = {name: [rms(x) for x in layers] for name, layers in found.items()}
    for name, values in sizes.items():
        print(f"  {name:20}" + " ".join(f"{value:8.1e}" for value in values))
    d.check("zero: nothing gets through", 0.0, max(sizes["zero, ReLU"]))
    same = all((x == x[:, :1]).all() for x in found["constant .01, ReLU"])
    d.check("constant: all neurons of a layer say the same", True, same)
    small = sizes["N(0, .01²), ReLU"][-1]
    d.check("N(0, .01^2): tenth layer", "< 1e-5", f"{small:.1e}", small < 1e-5)
    he = sizes["He, ReLU"]
    got = f"{min(he):.2f} to {max(he):.2f}"
    d.check("He: all layers", "0.9 to 1.2", got, 0.9 < min(he) and max(he) < 1.2)
    large = float((np.abs(found["N(0, 1), tanh"][0]) > 0.99).mean())
    d.close("N(0, 1): share of saturated tanh units", 0.91, large, 0.01)
    xavier = sizes["Xavier, tanh"]
    got = f"{max(xavier):.2f} down to {xavier[-1]:.2f}"
    d.check("Xavier: tanh", "within .7 to .2", got, 0.2 < xavier[-1] and max(xavier) < 0.7)
    plot.compare_runs(
        {name: {"rms of the signal": v} for name, v in sizes.items() if max(v) > 0},
        ["rms of the signal"],
        log=True,
        xlabel="layer (zero weights: 0 from the first on)",
        path=d.picture("signal.png"),
    )
    shown = ("He, ReLU", "N(0, 1), tanh", "Xavier, tanh")
    plot.histograms(
        {f"{name}, layer {n}": found[name][n - 1] for n in (1, 10) for name in shown},
        path=d.picture("activations.png"),
    )


def learn(fill: Fill, epochs: int) -> tuple[nn.Sequential, float]:
    """The network 64-32-10 after some epochs on the digits, and its accuracy on unseen ones."""
    neurona.manual_seed(1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    for layer in (model[1], model[3]):
        fill(layer.weight)
        init.zeros_(layer.bias)
    data = neurona.datasets.digits()
    sgd = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    trainer = neurona.Trainer(model, "cross_entropy", sgd, ["accuracy"])
    trainer.fit(*data.train, epochs=epochs, verbose=0)
    return model, float(trainer.evaluate(*data.test)[1])


def training(d: demo.Demo) -> None:
    epochs = 3 if d.quick else 20
    d.section("8x8 digits, 64-32-10, biases 0")
    model, accuracy = learn(init.zeros_, epochs)
    d.close(f"zero weights, accuracy after {epochs} epochs", 0.1, accuracy, 0.02)
    d.check("the first layer has moved", False, bool(model[1].weight.detach().numpy().any()))
    model, accuracy = learn(lambda w: init.constant_(w, 0.02), epochs)
    first = model[1].weight.detach().numpy()
    d.check("constant weights: the 32 neurons are equal", True, bool((first == first[0]).all()))
    d.check("though they have moved", True, bool(np.ptp(first[0]) > 0))
    print(f"  their accuracy: {accuracy:.3f}")
    _, accuracy = learn(lambda w: init.kaiming_normal_(w, nonlinearity="relu"), 5)
    d.at_least("He, five epochs", 0.85, accuracy)


def run(d: demo.Demo) -> None:
    spreads(d)
    depth(d)
    training(d)


if __name__ == "__main__":
    demo.main(run, __doc__)
