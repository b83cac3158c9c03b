"""How cost follows batch, channels, image size and threads, and what a busy neighbour takes.

From the root of the source tree: ``python -m bench.bench_scaling --json FILE --plot FILE.svg``.
The rates are of 3x3 convolutions, padding 1, counted as the direct algorithm; a cliff in them would
show a shape that falls between two algorithms or out of a cache.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import neurona
from neurona import kernels, nn, optim
from neurona.backends import cpu
from neurona.bench.machine import describe_machine
from neurona.bench.peers.models import build
from neurona.nn import functional as F

SAMPLE_SECONDS = 0.02
SAMPLES, PASSES = 3, 5
HOG_SECONDS = 3.0  # about a thousand turns of the scheduler
BATCH, CHANNELS, SIZE = 8, 64, 28
AXES: dict[str, tuple[int, ...]] = {
    "batch": (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64),
    "channels": (4, 8, 12, 16, 24, 32, 48, 64, 80, 96, 128, 160, 192, 256),
    "size": (4, 5, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 112),
}
TICKS = {
    "batch": (1, 2, 4, 8, 16, 32, 64),
    "channels": (4, 8, 16, 32, 64, 128, 256),
    "size": (4, 7, 14, 28, 56, 112),
}
DIRECTIONS = ("forward", "backward_data", "backward_weight")
Rates = dict[str, list[float]]


def seconds_per_call(call: Callable[[], Any]) -> float:
    """Median over samples of as many calls as fill SAMPLE_SECONDS."""
    call()
    start = time.perf_counter()
    call()
    loops = max(1, int(SAMPLE_SECONDS / max(time.perf_counter() - start, 1e-9)))
    samples = []
    for _ in range(SAMPLES):
        start = time.perf_counter()
        for _ in range(loops):
            call()
        samples.append((time.perf_counter() - start) / loops)
    return statistics.median(samples)


def image(random: np.random.Generator, n: int, c: int, size: int) -> np.ndarray:
    """Random images in channels-last memory."""
    array = cpu.empty((n, c, size, size), channels_last=True)
    array[...] = random.standard_normal(array.shape)
    return array


def convolution_rates(batch: int, channels: int, size: int) -> dict[str, float]:
    """Flops per second of the three directions."""
    random = np.random.default_rng(0)
    x, dy = image(random, batch, channels, size), image(random, batch, channels, size)
    weight = random.standard_normal((channels, channels, 3, 3)).astype(np.float32)
    calls = {
        "forward": lambda: kernels.conv2d_forward(x, weight, padding=1),
        "backward_data": lambda: kernels.conv2d_backward_data(dy, weight, (size, size), padding=1),
        "backward_weight": lambda: kernels.conv2d_backward_weight(
            dy, x, (3, 3), padding=1, with_bias=False
        ),
    }
    flops = 2 * 9 * batch * channels**2 * size**2
    return {name: flops / seconds_per_call(call) for name, call in calls.items()}


def sweep(axis: str) -> Rates:
    """The rates along one axis, the best of passes over all of it: neighbours take a core for
    seconds, and what is sought are cliffs of our own.
    """
    passes = []
    for _ in range(PASSES):
        sizes = {"batch": BATCH, "channels": CHANNELS, "size": SIZE}
        passes.append([convolution_rates(**{**sizes, axis: value}) for value in AXES[axis]])
    return {
        direction: [max(p[i][direction] for p in passes) for i in range(len(passes[0]))]
        for direction in DIRECTIONS
    }


def jobs() -> dict[str, Callable[[], Any]]:
    """What is run with several numbers of threads."""
    random = np.random.default_rng(0)
    a = random.standard_normal((1024, 1024)).astype(np.float32)
    x = image(random, 16, 128, 28)
    weight = random.standard_normal((128, 128, 3, 3)).astype(np.float32)
    large = image(random, 32, 64, 56)
    model = build(nn, "lenet5")
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    images = neurona.tensor(random.standard_normal((64, 1, 28, 28)).astype(np.float32))
    labels = neurona.tensor(random.integers(0, 10, 64))

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    return {
        "gemm 1024": lambda: kernels.gemm(a, a),
        "conv 128x28x28, batch 16": lambda: kernels.conv2d_forward(x, weight, padding=1),
        "relu of 26 MB": lambda: kernels.relu_forward(large),
        "LeNet-5 step, batch 64": step,
    }


def by_threads(counts: list[int]) -> dict[str, list[float]]:
    """Seconds of each job for each number of threads, interleaved."""
    times: dict[str, list[float]] = {}
    before = neurona.get_num_threads()
    for name, job in jobs().items():
        rounds: list[list[float]] = []
        for _ in range(3):
            row = []
            for count in counts:
                neurona.set_num_threads(count)
                row.append(seconds_per_call(job))
            rounds.append(row)
        times[name] = [statistics.median(column) for column in zip(*rounds, strict=True)]
    neurona.set_num_threads(before)
    return times


def beside_a_hog() -> dict[str, list[float]]:
    """Seconds of each job alone, and while another process keeps one core busy; then the cores that
    the scheduler gave to this process meanwhile: in proportion to them is what one can hope for.
    """
    times = {}
    for name, job in jobs().items():
        alone = seconds_per_call(job)
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as hog:
            try:
                time.sleep(0.2)
                start, used = time.perf_counter(), time.process_time()
                calls = 0
                while time.perf_counter() - start < HOG_SECONDS:
                    job()
                    calls += 1
                elapsed, used = time.perf_counter() - start, time.process_time() - used
            finally:
                hog.kill()
        times[name] = [alone, elapsed / calls, used / elapsed]
    return times


def plot(document: dict[str, Any], path: Path) -> None:
    """Rates along the three axes, and speed against threads."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(2, 2, figsize=(10, 7), layout="constrained")
    for panel, axis in zip(panels.flat, AXES, strict=False):
        for direction, rates in document["convolutions"][axis].items():
            panel.plot(AXES[axis], [rate / 1e9 for rate in rates], ".-", label=direction)
        panel.set(xscale="log", xlabel=axis, ylabel="GFLOP/s", ylim=(0, None))
        panel.set_xticks([v for v in AXES[axis] if v in TICKS[axis]])
        panel.get_xaxis().set_major_formatter("{x:.0f}")
        panel.minorticks_off()
        panel.legend()
    figure.suptitle(f"3x3 convolutions about {CHANNELS} channels of {SIZE}x{SIZE}, batch {BATCH}")
    panel, counts = panels[1, 1], document["threads"]["counts"]
    for name, times in document["threads"]["seconds"].items():
        panel.plot(counts, [times[0] / t for t in times], ".-", label=name)
    cores = document["machine"]["usable_cores"]
    panel.axvline(cores, color="grey", linewidth=0.8)
    panel.set(xscale="log", xlabel=f"threads ({cores} cores)", ylabel="speed, one thread = 1")
    panel.set_xticks(counts, [str(count) for count in counts])
    panel.minorticks_off()
    panel.set_ylim(0, None)
    panel.legend()
    figure.savefig(path)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--plot", type=Path, help="draw them (needs matplotlib)")
    options = parser.parse_args()
    cores = neurona.get_num_threads()
    counts = sorted({1, 2, 4, 8, cores, 2 * cores, 4 * cores})
    document = {
        "machine": describe_machine(),
        "isa": cpu.isa(),
        "convolutions": {axis: sweep(axis) for axis in AXES},
        "threads": {"counts": counts, "seconds": by_threads(counts)},
        "beside a busy process": beside_a_hog(),
    }
    for name, (alone, beside, given) in document["beside a busy process"].items():
        slower = f"{beside / alone:.2f}x beside a busy process, with {given:.2f} cores"
        print(f"{name:28} {alone * 1e3:8.2f} ms alone, {slower}")
    for name, times in document["threads"]["seconds"].items():
        speeds = ", ".join(f"{n}: {times[0] / t:.2f}x" for n, t in zip(counts, times, strict=True))
        print(f"{name:28} threads {speeds}")
    if options.json:
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.plot:
        plot(document, options.plot)


if __name__ == "__main__":
    main()
