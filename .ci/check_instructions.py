"""Instructions that each op executes, counted by valgrind's callgrind, against recorded counts.

Unlike times they repeat, whatever else the machine does: one thread, one call, inputs of a fixed
seed. valgrind knows no AVX-512, so the counts are of the AVX2 kernels. A count that grows by more
than LIMIT is a regression. One that shrinks as much is reported too, since the record would let it
grow back: `--write` records the counts anew.

Another compiler or Python runs other code, whose counts must only stay within LIMIT_OTHER_BUILD.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RECORD = Path(__file__).with_name("instructions.json")
LIMIT = 0.05
LIMIT_OTHER_BUILD = 0.35


def conv(n: int, c: int, size: int, k: int, kernel: int, **more: int) -> dict[str, int]:
    shape = {"N": n, "C": c, "H": size, "W": size, "K": k, "R": kernel, "S": kernel}
    return {**shape, "stride": 1, "padding": kernel // 2, "groups": 1, "bias": 0, **more}


def product(m: int, n: int, k: int, trans_a: int = 0, trans_b: int = 0) -> dict[str, int]:
    return {"M": m, "N": n, "K": k, "trans_a": trans_a, "trans_b": trans_b}


IMAGES = {"N": 4, "C": 32, "H": 28, "W": 28}
POOL = {**IMAGES, "kernel_size": 2, "stride": 2, "padding": 0}
STEP = {"lr": 0.01, "momentum": 0.9}
# name: op, direction, parameters of a benchmark row. Small, because valgrind is fifty times slower.
OPS: dict[str, tuple[str, str, dict[str, object]]] = {
    "gemm_160": ("gemm", "F", {**product(160, 160, 160)}),
    "gemm_160_tn": ("gemm", "F", {**product(160, 160, 160, trans_a=1)}),
    "gemm_160_nt": ("gemm", "F", {**product(160, 160, 160, trans_b=1)}),
    "lenet_conv1": ("conv2d", "F", {**conv(8, 1, 28, 6, 5, bias=1)}),
    "lenet_conv1_weight": ("conv2d", "W", {**conv(8, 1, 28, 6, 5, bias=1)}),
    "lenet_conv2": ("conv2d", "F", {**conv(8, 6, 14, 16, 5, padding=0, bias=1)}),
    "lenet_conv2_data": ("conv2d", "D", {**conv(8, 6, 14, 16, 5, padding=0, bias=1)}),
    "lenet_conv2_weight": ("conv2d", "W", {**conv(8, 6, 14, 16, 5, padding=0, bias=1)}),
    "res_64": ("conv2d", "F", {**conv(1, 64, 28, 64, 3)}),
    "res_64_data": ("conv2d", "D", {**conv(1, 64, 28, 64, 3)}),
    "res_64_weight": ("conv2d", "W", {**conv(1, 64, 28, 64, 3)}),
    "down_64": ("conv2d", "F", {**conv(1, 64, 28, 64, 3, stride=2)}),
    "depthwise": ("conv2d", "F", {**conv(4, 32, 28, 32, 3, groups=32)}),
    "pointwise": ("conv2d", "F", {**conv(2, 64, 14, 128, 1)}),
    "max_pool": ("max_pool2d", "F", {**POOL}),
    "max_pool_back": ("max_pool2d", "B", {**POOL}),
    "batch_norm_relu": ("batch_norm_relu", "F", {**IMAGES}),
    "batch_norm_relu_back": ("batch_norm_relu", "B", {**IMAGES}),
    "relu": ("activation", "F", {**IMAGES, "activation": "relu"}),
    "gelu": ("activation", "F", {**IMAGES, "activation": "gelu"}),
    "cross_entropy": ("cross_entropy", "FB", {"N": 64, "C": 100}),
    "adam": ("optimizer", "U", {"optimizer": "adam", "count": 200_000}),
    "sgd": ("optimizer", "U", {"optimizer": "sgd", "count": 200_000}),
    "mlp64_step": ("train_step", "S", {"model": "mlp64", "batch": 100, **STEP}),
    "lenet5_step": ("train_step", "S", {"model": "lenet5", "batch": 8, **STEP}),
}


def call_each() -> None:
    """What runs under callgrind: a dump of its counts before and after one warm call of each op."""
    import neurona
    from neurona.bench.peers import neurona_peer
    from neurona.bench.peers.worker import Request

    neurona.set_num_threads(1)
    for name, (op, direction, parameters) in OPS.items():
        task = neurona_peer.prepare(Request(name, op, direction, dict(parameters), 0, {}))
        task.run()
        # This function of libc marks the dumps: it is called by nothing else here.
        os.getpgid(0)
        task.run()
        os.getpgid(0)


def counted() -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", "--dump-before=getpgid"]
        command += [f"--callgrind-out-file={folder}/counts", sys.executable, __file__, "--call"]
        environment = {**os.environ, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-4000:]}")
        totals = []
        for part in range(1, 2 * len(OPS) + 1):
            (dump,) = Path(folder).glob(f"counts.{part}")
            found = re.search(r"^(?:totals|summary): (\d+)", dump.read_text(), re.MULTILINE)
            if found is None:
                sys.exit(f"callgrind's dump {dump} has no total")
            totals.append(int(found[1]))
    return dict(zip(OPS, totals[1::2], strict=True))


def build() -> str:
    """The extension's compiler, and Python and NumPy, whose own instructions are counted too."""
    import numpy

    import neurona

    python = ".".join(platform.python_version_tuple()[:2])
    return f"{neurona._core.cpu_info()['compiler']}, Python {python}, NumPy {numpy.__version__}"


def report(recorded: dict[str, int], counts: dict[str, int], limit: float) -> int:
    wrong = 0
    for name, count in counts.items():
        before = recorded.get(name)
        if before is None:
            print(f"{name:22} {count:>11,}  not recorded")
            wrong += 1
            continue
        change = count / before - 1
        verdict = "" if abs(change) <= limit else "grew" if change > 0 else "shrank: record it"
        wrong += bool(verdict)
        print(f"{name:22} {count:>11,} {change:+8.1%}  {verdict}")
    for name in recorded.keys() - counts.keys():
        print(f"{name:22} is recorded but not counted")
        wrong += 1
    return wrong


def main() -> int:
    if "--call" in sys.argv:
        call_each()
        return 0
    if platform.machine() != "x86_64" or not shutil.which("valgrind"):
        print("not counted: this needs valgrind on x86-64")
        return 0
    counts, built_by = counted(), build()
    if "--write" in sys.argv:
        RECORD.write_text(json.dumps({"build": built_by, "counts": counts}, indent=1) + "\n")
        print(f"recorded {len(counts)} counts of {built_by}")
        return 0
    record = json.loads(RECORD.read_text())
    limit = LIMIT if record["build"] == built_by else LIMIT_OTHER_BUILD
    print(f"recorded: {record['build']}; counted: {built_by}; limit {limit:.0%}")
    wrong = report(record["counts"], counts, limit)
    if wrong:
        print(f"{wrong} of {len(counts)} ops differ; if that is meant: {Path(__file__)} --write")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
