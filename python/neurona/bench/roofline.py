"""The roofline picture: each row's rate under the machine's two limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .session import OURS


def roofline(document: dict[str, Any], path: Path) -> None:
    """Rate against operations per byte, under the measured peak and the measured bandwidth."""
    import matplotlib.pyplot as plt

    peak = document["probes"]["fma_flops"] / 1e9
    bandwidth = document["probes"]["bandwidth_bytes"] / 1e9
    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    for op, marker in (("gemm", "s"), ("linear", "D"), ("conv", "o")):
        records = [
            r
            for r in document["results"]
            if r["peer"] == OURS and r["op"].startswith(op) and r.get("gflops") and r.get("bytes")
        ]
        if records:
            x = [r["flops"] / r["bytes"] for r in records]
            axes.plot(x, [r["gflops"] for r in records], marker, alpha=0.6, label=op)
    ends = [0.5, peak / bandwidth, 1000]
    axes.plot(ends, [min(peak, x * bandwidth) for x in ends], "k-", label="measured limits")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="operations per byte of inputs and outputs",
        ylabel="GFLOP/s",
        title="neurona's kernels; direct convolution's operations are counted",
    )
    axes.legend()
    figure.savefig(path)
    plt.close(figure)
