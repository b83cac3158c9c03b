"""One small CNN, and a vote of five, against the 33 errors on MNIST's 10,000 test digits.

The course shows 33 errors, made by five networks voting. Here each network is a CNN of 468,138
parameters, trained from scratch on shifted, turned, scaled and slanted digits. 5,000 training
digits are held out for every choice; the test digits are looked at once, when a network is done.

    NEURONA_DATA=... python examples/mnist_under_33.py             # five seeds, one after the other
    NEURONA_DATA=... python examples/mnist_under_33.py --seeds 1   # one network
    NEURONA_DATA=... python examples/mnist_under_33.py --quick     # a tenth of the digits, 2 epochs

Each finished network's result is added to the file of --results at once.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import neurona
from neurona import nn, optim
from neurona.nn import functional as F
from neurona.transforms import RandomAffine
from neurona.utils.data import DataLoader, TensorDataset

HELD_OUT = 5000
BATCH = 100
PEAK_RATE = 0.1


class Net(nn.Sequential):
    """Conv-BN-ReLU 32, 32, pool, 64, 64, pool, linear 128, dropout, linear 10."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        channels = 1
        for width in (32, 64):
            for _ in range(2):
                layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False)]
                layers += [nn.BatchNorm2d(width), nn.ReLU()]
                channels = width
            layers += [nn.MaxPool2d(2)]
        layers += [nn.Flatten(), nn.Linear(64 * 7 * 7, 128, bias=False), nn.BatchNorm1d(128)]
        layers += [nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10)]
        super().__init__(*layers)


def probabilities(model: nn.Module, images: np.ndarray) -> np.ndarray:
    """(N, 10), in evaluation mode."""
    model.eval()
    with neurona.no_grad():
        parts = [
            F.softmax(model(neurona.tensor(images[i : i + 500])), dim=1).numpy()
            for i in range(0, len(images), 500)
        ]
    return np.concatenate(parts)


def errors(scores: np.ndarray, labels: np.ndarray) -> int:
    return int((scores.argmax(axis=1) != labels).sum())


def train(seed: int, x: np.ndarray, y: np.ndarray, held_out: tuple, epochs: int) -> nn.Module:
    """One network; `held_out` is only reported."""
    neurona.manual_seed(seed)
    model = Net()
    augment = RandomAffine(10, translate=(0.08, 0.08), scale=(0.9, 1.1), shear=10)
    data = TensorDataset(neurona.tensor(x), neurona.tensor(y))
    loader = DataLoader(data, batch_size=BATCH, shuffle=True, drop_last=True)
    optimizer = optim.SGD(
        model.parameters(), lr=PEAK_RATE, momentum=0.9, nesterov=True, weight_decay=5e-4
    )
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, epochs=epochs, steps_per_epoch=len(loader), pct_start=0.2
    )
    for epoch in range(epochs):
        start, losses = time.perf_counter(), []
        model.train()
        for images, labels in loader:
            loss = F.cross_entropy(model(augment(images)), labels, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        wrong = errors(probabilities(model, held_out[0]), held_out[1])
        print(
            f"seed {seed} epoch {epoch + 1}/{epochs}: loss {np.mean(losses):.4f}, "
            f"{wrong} of {len(held_out[1])} held-out digits wrong, "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="networks to train (default 5)")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="a tenth of the digits, 2 epochs")
    parser.add_argument("--results", type=Path, help="JSON lines to add each result to")
    options = parser.parse_args()

    x, y, x_test, y_test = neurona.datasets.mnist()
    # The same digits are held out for every seed, whatever is trained on the others.
    order = neurona.Generator(0).permutation(len(x))
    held_out = x[order[:HELD_OUT]], y[order[:HELD_OUT]]
    rest = order[HELD_OUT:]
    if options.quick:
        rest, options.epochs, options.seeds = rest[: len(rest) // 10], 2, min(options.seeds, 2)

    votes = np.zeros((len(x_test), 10))
    for seed in range(1, options.seeds + 1):
        start = time.perf_counter()
        model = train(seed, x[rest], y[rest], held_out, options.epochs)
        minutes = (time.perf_counter() - start) / 60
        scores = probabilities(model, x_test)
        votes += scores
        result = {
            "seed": seed,
            "epochs": options.epochs,
            "training_digits": len(rest),
            "parameters": sum(p.numel() for p in model.parameters()),
            "minutes": round(minutes, 1),
            "held_out_errors": errors(probabilities(model, held_out[0]), held_out[1]),
            "test_errors": errors(scores, y_test),
            "vote_errors_so_far": errors(votes, y_test),
        }
        print(json.dumps(result), flush=True)
        if options.results:
            with options.results.open("a") as file:
                file.write(json.dumps(result) + "\n")
    print(f"{options.seeds} voting: {errors(votes, y_test)} errors (the course's five: 33)")


if __name__ == "__main__":
    main()
