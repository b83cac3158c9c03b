"""Builds neurona for the GPU, tests it there, times it and writes the results.

    python -m bench.gpu                  build, test, time all rows -> bench/results/<gpu>.json
    python -m bench.gpu --rows lenet gemm_1024        rows whose names contain one of these words
    python -m bench.gpu --rehearse       every row on the emulated device, small, without a GPU

Rows that the results hold already are left out (--again repeats them), so a run that was cut short
is taken up by the same command. Each row runs in a process of its own under a time limit: a kernel
that hangs costs its row and no more.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from . import place, rows, steps, timing

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "gpu"  # neurona with _cuda, as pip installs it
ROW_LIMIT_S = 120
TEST_LIMIT_S = 400


def environment() -> dict[str, str]:
    """That of a process which is to import what was built."""
    path = os.pathsep.join([str(SITE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def build() -> None:
    """Install this checkout with its CUDA kernels below build/."""
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--upgrade",
         "--target", SITE, "-Ccmake.define.NEURONA_CUDA=ON", str(ROOT)],
        check=True,
    )  # fmt: skip


def run_tests() -> dict[str, Any]:
    """The kernel tests on the device; their last line and whether all passed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k",
         "cuda-gpu or cuda_tensors or cuda_staging or dlpack", "-p", "no:cacheprovider", "tests"],
        cwd=ROOT, env={**environment(), "NEURONA_TEST_DEVICE": "1"}, timeout=TEST_LIMIT_S,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    print(done.stdout[-4000:])
    return {"passed": done.returncode == 0, "summary": done.stdout.strip().splitlines()[-1]}


def measure(name: str) -> dict[str, Any]:
    """One row in this process: verified, then timed."""
    case = rows.ROWS[name]()
    result: dict[str, Any] = {"error": case.error, "bound": case.bound, "note": case.note}
    if not case.error <= case.bound:
        return {**result, "status": "wrong"}
    times = timing.interleaved(case.works)
    own = times["neurona"]["median_us"]
    result |= {"status": "ok", "times": times, "flops": case.flops, "bytes": case.bytes}
    result["tflops"] = case.flops / own / 1e6
    result["gbytes_per_s"] = case.bytes / own / 1e3
    result["ratios"] = {peer: times[peer]["median_us"] / own for peer in times if peer != "neurona"}
    return result


def in_own_process(name: str, rehearsal: bool) -> dict[str, Any]:
    """`measure` in another process; what went wrong there becomes the result."""
    command = [sys.executable, "-m", "bench.gpu", "--one", name]
    try:
        done = subprocess.run(
            [*command, "--rehearse"] if rehearsal else command,
            cwd=ROOT, env=environment(), timeout=ROW_LIMIT_S, capture_output=True, text=True,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {"status": "timeout", "note": f"after {ROW_LIMIT_S} s"}
    if done.returncode:
        return {"status": "failed", "note": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def machine() -> dict[str, Any]:
    """The GPU, its driver and the versions."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    text = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    name, driver, memory = (part.strip() for part in text.splitlines()[0].split(","))
    import torch

    return {"gpu": name, "driver": driver, "memory": memory, "torch": torch.__version__}


def line_of(name: str, result: dict[str, Any]) -> str:
    """A row as the terminal shows it."""
    if result["status"] != "ok":
        return f"{name:45s} {result['status']}: {result.get('note', '')}"
    ratios = "  ".join(f"{peer} {ratio:.2f}x" for peer, ratio in result["ratios"].items())
    own = result["times"]["neurona"]["median_us"]
    speed = f"{result['gbytes_per_s']:7.0f} GB/s"
    if result["flops"]:
        speed = f"{result['tflops']:7.1f} Tflop/s"
    return f"{name:45s} {own:10.1f} us {speed}  {ratios}"


def main() -> int:
    """The whole run, or one row of it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", metavar="WORD", help="rows whose names contain a word")
    parser.add_argument("--again", action="store_true", help="repeat rows that have results")
    parser.add_argument("--no-build", action="store_true", help="take what was built before")
    parser.add_argument("--no-test", action="store_true", help="time without testing first")
    parser.add_argument("--out", type=Path, help="the file of results")
    parser.add_argument("--rehearse", action="store_true", help="without a GPU; nothing is written")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rehearse and options.one:
        place.begin_rehearsal()
    if options.one:
        print(json.dumps(measure(options.one)))
        return 0
    names = [n for n in rows.ROWS if not options.rows or any(w in n for w in options.rows)]
    if options.rehearse:
        return rehearse(names)
    return run(options, names)


def rehearse(names: list[str]) -> int:
    """Every row, small; 1 if one fails."""
    failed = 0
    for name in names:
        result = in_own_process(name, rehearsal=True)
        failed += result["status"] != "ok"
        print(f"{name:45s} {result['status']} {result.get('note', '')}", flush=True)
    print(f"{len(names) - failed} of {len(names)} rows ready")
    return int(failed > 0)


def run(options: argparse.Namespace, names: list[str]) -> int:
    """Build, test and time on the GPU."""
    if not options.no_build:
        build()
    about = machine()
    file_name = about["gpu"].lower().replace(" ", "-") + ".json"
    out = options.out or ROOT / "bench" / "results" / file_name
    content = json.loads(out.read_text()) if out.exists() else {"schema": 1, "results": {}}
    content["machine"] = about
    content["created"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    if not options.no_test:
        content["tests"] = run_tests()
    for name in names:
        if content["results"].get(name, {}).get("status") == "ok" and not options.again:
            continue
        content["results"][name] = in_own_process(name, rehearsal=False)
        print(line_of(name, content["results"][name]), flush=True)
        out.write_text(json.dumps(content, indent=1) + "\n")
    wrong = [n for n in names if content["results"][n]["status"] != "ok"]
    print(f"{len(names) - len(wrong)} of {len(names)} rows timed, results in {out}")
    return int(bool(wrong) or not content.get("tests", {"passed": True})["passed"])


if __name__ == "__main__":
    assert steps.NETWORKS  # its rows are entered by importing it
    sys.exit(main())
