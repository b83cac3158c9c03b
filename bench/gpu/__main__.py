"""Builds neurona for the GPU, tests it there, times it and writes the results.

    python -m bench.gpu                  build, test, time all rows -> bench/results/<gpu>.json
    python -m bench.gpu --rows lenet gemm_1024        rows whose names contain one of these words
    python -m bench.gpu --rehearse       every row on the emulated device, small, without a GPU
    python -m bench.gpu --report FILE    results as Markdown tables, the goals beside them

Rows that the results hold already are left out (--again repeats them), so a run that was cut short
is taken up by the same command. A row that fails or takes too long costs itself and no more.
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

from . import goals, place, report, rows, runner

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "gpu"  # neurona with _cuda, as pip installs it
TEST_LIMIT_S = 150  # of each process of tests


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


# The tests that say most come first, in processes of their own: after an error of CUDA, or in a
# kernel that hangs, nothing more is to be had from a process.
TEST_FILES = (
    "test_cuda_tensors.py",
    "test_cuda_products.py",
    "test_cuda_hopper.py",
    "test_recording_cuda.py",
)
OTHER_TESTS = "cuda-gpu or cuda_alignment or cuda_staging or cuda_slices or dlpack"


def run_tests(log: Path) -> dict[str, Any]:
    """The kernel tests on the device; of each process its last line and whether all passed. What
    they print goes to `log`, so that one that hangs is known by name.
    """
    others = (*TEST_FILES, "test_cuda_hopper_emulation.py", "test_tensorboard.py")
    ignored = [f"--ignore=tests/{name}" for name in others]
    selections = {name: [f"tests/{name}"] for name in TEST_FILES}
    selections["others"] = ["tests", *ignored, "-k", OTHER_TESTS]
    outcomes = {}
    for name, selection in selections.items():
        command = [
            sys.executable, "-m", "pytest", "-v", "--maxfail=8", "--tb=short",
            "-p", "no:cacheprovider", "-W", "default", *selection,
        ]  # fmt: skip
        with log.open("a") as file:
            start = file.tell()
            try:
                status = subprocess.run(
                    command, cwd=ROOT, env={**environment(), "NEURONA_TEST_DEVICE": "1"},
                    timeout=TEST_LIMIT_S, stdout=file, stderr=subprocess.STDOUT,
                ).returncode  # fmt: skip
            except subprocess.TimeoutExpired:
                status = None
        lines = log.read_text()[start:].strip().splitlines() or ["nothing printed"]
        print("\n".join([f"tests: {name}", *lines[-12:]]), flush=True)
        summary = lines[-1] if status is not None else f"after {TEST_LIMIT_S} s: {lines[-1]}"
        outcomes[name] = {"passed": status == 0, "summary": summary}
    return outcomes


def machine() -> dict[str, Any]:
    """The GPU, its driver and the versions."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    text = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    name, driver, memory = (part.strip() for part in text.splitlines()[0].split(","))
    import torch

    return {"gpu": name, "driver": driver, "memory": memory, "torch": torch.__version__}


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
    parser.add_argument("--report", type=Path, metavar="FILE", help="only print what FILE holds")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.report:
        print(report.markdown(json.loads(options.report.read_text()), rows.TOPICS))
        return 0
    if options.serve:
        if options.rehearse:
            place.begin_rehearsal()
        runner.serve()
        return 0
    names = [n for n in rows.ROWS if not options.rows or any(w in n for w in options.rows)]
    if options.rehearse:
        return rehearse(names)
    return run(options, goals.in_order(names))


def rehearse(names: list[str]) -> int:
    """Every row, small; 1 if one fails."""
    failed = 0
    measure = runner.Runner(environment(), rehearsal=True)
    for name in names:
        result = measure(name)
        failed += result["status"] != "ok"
        print(f"{name:45s} {result['status']} {result.get('note', '')}", flush=True)
    measure.stop()
    print(f"{len(names) - failed} of {len(names)} rows ready")
    return int(failed > 0)


def run(options: argparse.Namespace, names: list[str]) -> int:
    """Build, test and time on the GPU."""
    if not options.no_build:
        build()
    about = machine()
    file_name = about["gpu"].lower().replace(" ", "-") + ".json"
    out = options.out or ROOT / "bench" / "results" / file_name
    content = json.loads(out.read_text()) if out.exists() else {"schema": 2, "results": {}}
    content["machine"] = about
    content["created"] = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    if not options.no_test:
        content["tests"] = run_tests(out.with_suffix(".log"))
    results = content["results"]
    measure = runner.Runner(environment(), rehearsal=False)
    for name in names:
        if results.get(name, {}).get("status") == "ok" and not options.again:
            continue
        results[name] = measure(name)
        print(report.line_of(name, results), flush=True)
        out.write_text(json.dumps(content, indent=1) + "\n")
    measure.stop()
    print(report.goals_table(results))
    wrong = [n for n in names if results[n]["status"] != "ok"]
    print(f"{len(names) - len(wrong)} of {len(names)} rows timed, results in {out}")
    failed = [n for n, done in content.get("tests", {}).items() if not done["passed"]]
    return int(bool(wrong or failed))


if __name__ == "__main__":
    sys.exit(main())
