"""What a library costs before it computes: import, first step, size on disk, memory of a step."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from .client import Worker, WorkerError, worker_environment
from .rows import load_rows
from .session import Record, Variant
from .statistics import spread

MEMORY_ROW = "lenet5_b64:S"
MEMORY_STEPS = 20

IMPORT_CODE = "import time; t = time.perf_counter(); import {0}; print(time.perf_counter() - t)"
# From nothing to the end of the first training step of LeNet-5, in the names that both speak.
FIRST_STEP_CODE = """
import time
start = time.perf_counter()
import {0} as lib
nn, functional = lib.nn, lib.nn.functional
model = nn.Sequential(
    nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
    nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
    nn.Linear(84, 10),
)
optimizer = lib.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
loss = functional.cross_entropy(model(lib.randn(64, 1, 28, 28)), lib.randint(0, 10, (64,)))
loss.backward()
optimizer.step()
print(time.perf_counter() - start)
"""
TORCH_SPEAKERS = ("neurona", "torch")
PACKAGES = {"jax": ("jax", "jaxlib")}  # where they are not the module alone
SIZE_CODE = """
import importlib.util, pathlib
total = 0
for folder in importlib.util.find_spec({0!r}).submodule_search_locations:
    package = pathlib.Path(folder)
    for part in (package, package.with_name(package.name + ".libs")):
        files = (f for f in part.rglob("*") if f.is_file() and f.parent.name != "__pycache__")
        total += sum(f.stat().st_size for f in files)
print(total)
"""


def _evaluate(python: str, module: str, code: str, threads: int) -> float:
    """The number that a fresh interpreter prints. Raises WorkerError with its complaint."""
    done = subprocess.run(
        [python, "-c", code.format(module)],
        capture_output=True,
        text=True,
        env=worker_environment(module, threads),
        check=False,
    )
    if done.returncode:
        raise WorkerError((done.stderr.strip().splitlines() or ["no output"])[-1])
    return float(done.stdout)


def _step_memory(variant: Variant, python: str, threads: int, folder: str) -> int | None:
    row = next(row for row in load_rows() if row.label == MEMORY_ROW)
    worker = Worker(variant.module, python, threads)
    try:
        worker.ask(
            "prepare",
            name=row.name,
            op=row.op,
            direction=row.direction,
            parameters=row.parameters,
            seed=0,
            options=variant.options,
            folder=folder,
        )
        worker.ask("time", loops=MEMORY_STEPS)
        peak: int | None = worker.ask("memory")["peak_bytes"]
    finally:
        worker.close()
    return peak


def measure(
    modules: dict[str, tuple[Variant | None, str | None]], threads: int, rounds: int, folder: str
) -> list[Record]:
    """One record per module: median seconds of its import and of a fresh process's first LeNet-5
    step, installed bytes, peak bytes of such a step.

    ``modules`` maps a module to the variant that trains (None: no training) and its interpreter.
    Processes are interleaved; the first of each is left out because it fills the disk cache.
    """
    records: dict[str, Record] = {module: {"module": module} for module in modules}
    pythons = {module: python or sys.executable for module, (_, python) in modules.items()}
    seconds: dict[str, list[float]] = {module: [] for module in modules}
    first_steps: dict[str, list[float]] = {module: [] for module in modules}
    for _ in range(rounds + 1):
        for module in list(seconds):
            python = pythons[module]
            try:
                seconds[module].append(_evaluate(python, module, IMPORT_CODE, threads))
                if module in TORCH_SPEAKERS:
                    step = _evaluate(python, module, FIRST_STEP_CODE, threads)
                    first_steps[module].append(step)
            except WorkerError as reason:
                records[module]["reason"] = str(reason)
                del seconds[module]
    for module, times in seconds.items():
        measured = spread(times[1:])
        record = records[module]
        record.update(import_s=measured.median, import_iqr_s=measured.iqr)
        if first_steps[module]:
            record["first_step_s"] = spread(first_steps[module][1:]).median
        record["installed_bytes"] = sum(
            int(_evaluate(pythons[module], package, SIZE_CODE, threads))
            for package in PACKAGES.get(module, (module,))
        )
        variant = modules[module][0]
        if variant is not None:
            try:
                record["peak_bytes"] = _step_memory(variant, pythons[module], threads, folder)
            except WorkerError as reason:
                record["reason"] = str(reason)
    return list(records.values())


def _mebibytes(value: Any) -> str:
    return f"{value / 2**20:.1f} MiB" if value else "-"


def lines(records: list[Record], wheel: str | None = None) -> list[str]:
    """The table; all imports include NumPy's. The first step's time includes the import."""
    heads = (
        f"{'import':>12}{'+-':>10}{'first LeNet-5 step':>20}{'installed':>14}{'peak memory':>14}"
    )
    text = [f"{'':<12}{heads}"]
    for record in records:
        if "import_s" in record:
            seconds, spread_s = record["import_s"], record["import_iqr_s"]
            size, peak = record["installed_bytes"], record.get("peak_bytes")
            step = record.get("first_step_s")
            first = "-" if step is None else f"{1e3 * step:.0f} ms"
            text.append(
                f"{record['module']:<12}{1e3 * seconds:>9.0f} ms{1e3 * spread_s:>7.0f} ms"
                f"{first:>20}{_mebibytes(size):>14}{_mebibytes(peak):>14}"
            )
        if "reason" in record:
            text.append(f"{record['module']:<12} {record['reason']}")
    if wheel is not None:
        text.append(f"wheel {Path(wheel).name}: {_mebibytes(Path(wheel).stat().st_size)}")
    return text
