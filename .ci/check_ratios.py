"""A quick run of the benchmark: no kernel has become several times slower than it was.

What is compared are ratios of one run: shares of the machine's own peak of multiply-adds, shares of
its bandwidth, and NumPy's time over ours. The floors are about a third of what quiet runs on
Cascade Lake and Zen 5 showed, because beside neighbours that take both cores half of it was seen; a
row below its floor is measured again, at most twice. Finer changes show in check_instructions.py
and in `neurona bench --compare`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

# row: (figure, floor)
FLOORS = {
    "gemm_512:F": ("numpy", 0.5),
    "gemm_256:F": ("share_of_peak", 0.20),
    "linear_784_512:W": ("share_of_peak", 0.20),
    "lenet_conv1:F": ("share_of_peak", 0.06),
    "lenet_conv2:F": ("share_of_peak", 0.14),
    "lenet_conv2:W": ("share_of_peak", 0.13),
    "resnet8_16:F": ("share_of_peak", 0.15),
    "res3:F": ("share_of_peak", 0.40),
    "res3:D": ("share_of_peak", 0.40),
    "res3:W": ("share_of_peak", 0.40),
    "pointwise_1024_256:F": ("share_of_peak", 0.22),
    "max_pool_32x64x56:F": ("share_of_bandwidth", 0.30),
    "relu_32x64x56:F": ("share_of_bandwidth", 0.25),
    "cross_entropy_128x1000:FB": ("share_of_bandwidth", 0.20),
    "sgd_4M:U": ("share_of_bandwidth", 0.40),
    "lenet5_b64:S": ("share_of_peak", 0.05),
}
MOST_RUNS = 3


def measured(rows: list[str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "quick.json"
        command = [sys.executable, "-m", "neurona", "bench", *rows, "--quick"]
        subprocess.run(
            [*command, "--peers", "numpy", "--json", str(file)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        results = json.loads(file.read_text())["results"]
    figures = {}
    for record in results:
        row = f"{record['name']}:{record['direction']}"
        figure, _ = FLOORS[row]
        if record["status"] != "ok":
            sys.exit(f"{row} of {record['peer']}: {record['status']}, {record.get('reason')}")
        if record["peer"] == figure:
            figures[row] = record["ratio"]["median"]
        elif record["peer"] == "neurona" and figure != "numpy":
            figures[row] = record[figure]
    return figures


def main() -> int:
    rows = list(FLOORS)
    for _ in range(MOST_RUNS):
        low = []
        for row, value in measured(rows).items():
            figure, floor = FLOORS[row]
            print(f"{row:28} {figure:18} {value:.2f}, at least {floor}")
            if value < floor:
                low.append(row)
        if not low:
            return 0
        rows = low
        print("below their floor: " + ", ".join(low), flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
