"""The kernel tests on the device, before anything is timed."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .deadline import Deadline

ROOT = Path(__file__).parents[2]

# The tests that say most come first, in processes of their own: after an error of CUDA, or in a
# kernel that hangs, nothing more is to be had from a process.
TEST_FILES = (
    "test_cuda_tensors.py",
    "test_cuda_products.py",
    "test_cuda_narrow.py",
    "test_cuda_rows.py",
    "test_cuda_hopper.py",
    "test_recording_cuda.py",
)
OTHERS = "others"
OTHER_TESTS = "cuda-gpu or cuda_alignment or cuda_staging or cuda_slices or dlpack"
# Seconds of each process. The others are 5000 tests, each with several copies there and back.
FILE_LIMIT_S, OTHERS_LIMIT_S = 150, 400
OTHERS_PROCESSES = 4


def selections() -> dict[str, list[str]]:
    """pytest's arguments for each process."""
    elsewhere = (*TEST_FILES, "test_cuda_hopper_emulation.py", "test_tensorboard.py")
    others = ["tests", *[f"--ignore=tests/{name}" for name in elsewhere], "-k", OTHER_TESTS]
    if importlib.util.find_spec("xdist"):
        others += ["-n", str(OTHERS_PROCESSES)]
    return {**{name: [f"tests/{name}"] for name in TEST_FILES}, OTHERS: others}


def source_digest() -> str:
    """Of all that the tests test, to know what they said of other sources."""
    digest = hashlib.sha256()
    for folder in ("csrc", "python", "tests"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".cu", ".cuh", ".cpp", ".h", ".inl"}:
                digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def run_tests(
    outcomes: dict[str, Any],
    log: Path,
    *,
    environment: Mapping[str, str],
    deadline: Deadline,
    save: Callable[[], None],
    again: bool = False,
) -> None:
    """Enter each process's last line in `outcomes`, and whether all passed; save after each.

    What passed with these sources is not repeated unless `again`. What the tests print goes to
    `log`, so that one that hangs is known by name.
    """
    digest = source_digest()
    for name, selection in selections().items():
        known = outcomes.get(name, {})
        if known.get("passed") and known.get("source") == digest and not again:
            continue
        limit = OTHERS_LIMIT_S if name == OTHERS else FILE_LIMIT_S
        if deadline.has_passed():
            return
        with log.open("a") as file:
            start = file.tell()
            status = _status_of_tests(selection, file, environment, deadline.shorten(limit))
        if status is None and deadline.has_passed():
            return  # it had less than its time
        lines = log.read_text()[start:].strip().splitlines() or ["nothing printed"]
        print("\n".join([f"tests: {name}", *lines[-12:]]), flush=True)
        summary = lines[-1] if status is not None else f"after {limit} s: {lines[-1]}"
        outcomes[name] = {"passed": status == 0, "summary": summary, "source": digest}
        save()


def _status_of_tests(
    selection: list[str], log: Any, environment: Mapping[str, str], limit: float
) -> int | None:
    """pytest's exit status; None if it took too long."""
    command = [
        sys.executable, "-m", "pytest", "-v", "--maxfail=8", "--tb=short",
        "-p", "no:cacheprovider", "-W", "default", *selection,
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, env={**environment, "NEURONA_TEST_DEVICE": "1"},
        stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:  # with the processes that it may have started
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
