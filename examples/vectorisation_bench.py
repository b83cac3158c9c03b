"""What vectorisation is worth: a scalar product of a million terms, and batches of all, 64 and 1.

The course's notes measured 450 ms for the loop and 1 to 3 ms for the vectorised product. Times are
those of the machine and the minute: they are printed, not promised. Promised is:
- all ways give the same sum;
- the loop over an array takes at least 50 times as long as NumPy, and as the kernels (full form);
- as a product of matrices 1 x n and n x 1 it is slower than as one of vectors: a matrix product
  lays out its operand for many columns;
- one epoch makes N updates with single samples, N / 64 with batches, 1 with all; at the same rate
  the loss after it is the lower the more updates there were;
- what training holds in memory grows with the batch, an update with all samples takes longer than
  one with a single sample, and an epoch of single samples longer than one of batches (full form).

The graphics processor of the course is not measured: neurona computes on the CPU.

    python examples/vectorisation_bench.py           # about 5 s
    python examples/vectorisation_bench.py --quick   # 100,000 terms

Picture: vectorisation.png.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import demo
import numpy as np
from matplotlib.figure import Figure

import neurona
from neurona import kernels, nn, optim, probes


def loop_over_array(a: np.ndarray, b: np.ndarray) -> float:
    total = 0.0
    for i in range(len(a)):
        total += a[i] * b[i]
    return float(total)


def loop_over_lists(a: list[float], b: list[float]) -> float:
    total = 0.0
    for x, y in zip(a, b, strict=True):
        total += x * y
    return total


def best_of(repeats: int, call: Callable[[], float]) -> tuple[float, float]:
    """The value, and the shortest time in milliseconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        value = call()
        times.append(1000 * (time.perf_counter() - start))
    return value, min(times)


def scalar_product(d: demo.Demo) -> None:
    n = 100_000 if d.quick else 1_000_000
    d.section(f"A scalar product of {n:,} terms (the notes: loop 450 ms, vectorised 1 to 3 ms)")
    source = neurona.Generator(0)
    a, b = source.uniform(n).astype(np.float64), source.uniform(n).astype(np.float64)
    lists = a.tolist(), b.tolist()
    single = a.astype(np.float32), b.astype(np.float32)
    tensors = neurona.tensor(single[0]), neurona.tensor(single[1])
    row, column = single[0][None], single[1][:, None]
    ways: dict[str, tuple[int, Callable[[], float]]] = {
        "Python, loop over an array": (3, lambda: loop_over_array(a, b)),
        "Python, loop over lists": (3, lambda: loop_over_lists(*lists)),
        "NumPy, float64": (20, lambda: float(a @ b)),
        "NumPy, float32": (20, lambda: float(single[0] @ single[1])),
        "C++, tensor a @ b": (20, lambda: (tensors[0] @ tensors[1]).item()),
        "C++, as a matrix product": (5, lambda: float(kernels.gemm(row, column)[0, 0])),
    }
    found = {name: best_of(*way) for name, way in ways.items()}
    exact = found["NumPy, float64"][0]
    for name, (value, milliseconds) in found.items():
        # float32 sums of n terms of one sign: far below n rounding errors in practice.
        d.close(f"{name}, {milliseconds:.3g} ms: sum / exact", 1.0, value / exact, 1e-5)
    print("  CUDA: not measured")
    times = {name: milliseconds for name, (_, milliseconds) in found.items()}
    for name in ("NumPy, float32", "C++, tensor a @ b"):
        ratio = times["Python, loop over an array"] / times[name]
        if d.quick:
            print(f"  the loop over an array takes {ratio:.0f} times as long as {name}")
        else:
            d.at_least(f"the loop over an array, times as long as {name}", 50, ratio)
    bars(times, n, d)


def bars(times: dict[str, float], n: int, d: demo.Demo) -> None:
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.add_subplot()
    drawn = axes.barh(list(times)[::-1], list(times.values())[::-1], color="#4878a8")
    axes.bar_label(drawn, fmt=lambda ms: f"{ms:,.3f} ms", padding=3, fontsize=8)
    axes.set_xscale("log")
    axes.margins(x=0.25)
    axes.set_xlabel(f"milliseconds for {n:,} terms")
    figure.savefig(d.picture("vectorisation.png"), dpi=150)


def batches(d: demo.Demo) -> None:
    x, y = neurona.datasets.digits().train
    d.section(f"One epoch of {len(x):,} digits in batches, 64-256-10, SGD .1")
    memory, updates, losses, per_update, per_epoch = [], [], [], [], []
    for size in (len(x), 64, 1):
        neurona.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))
        trainer = neurona.Trainer(model, "cross_entropy", optim.SGD(model.parameters(), lr=0.1))
        trainer.train_on_batch(x[:size], y[:size])  # the first one also makes buffers
        seconds = []
        for epoch in range(1 if size == 1 else 3):
            start = time.perf_counter()
            history = trainer.fit(x, y, batch_size=size, epochs=1, verbose=0)
            seconds.append(time.perf_counter() - start)
            if epoch == 0:
                losses.append(float(trainer.evaluate(x, y)))
        updates.append(history.params["steps"])
        memory.append(probes.memory_estimate(model, (size, 1, 8, 8)).activations)
        per_epoch.append(1000 * min(seconds))
        per_update.append(per_epoch[-1] / updates[-1])
        print(
            f"  batch {size:4}: {memory[-1] / 1024:7.1f} KiB of activations, "
            f"{per_update[-1]:7.3f} ms an update, {per_epoch[-1]:7.1f} ms an epoch, "
            f"loss {losses[-1]:.3f}"
        )
    d.check("updates in an epoch", [1, 23, 1437], updates)
    d.check("activations, in those of one sample", [1437, 64, 1], [m // memory[2] for m in memory])
    everything, mini, single = losses
    got = f"{everything:.3f}, {mini:.3f}, {single:.3f}"
    d.check("loss after an epoch", "the lower the more updates", got, everything > mini > single)
    if not d.quick:
        d.at_least("an update with all, in those with one", 2, per_update[0] / per_update[2])
        d.at_least("an epoch of singles, in those of batches", 2, per_epoch[2] / per_epoch[1])


def run(d: demo.Demo) -> None:
    scalar_product(d)
    batches(d)


if __name__ == "__main__":
    demo.main(run, __doc__)
