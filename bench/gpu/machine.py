"""The machine with a GPU, and neurona built for it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "gpu"  # neurona with _cuda, as pip installs it
# Not that of an ordinary `pip install .`, which would go on with CUDA.
BUILD = ROOT / "build" / "gpu_objects"
USUAL_NVCC = Path("/usr/local/cuda/bin/nvcc")


def about() -> dict[str, Any]:
    """The GPU, its driver and the versions; SystemExit in one sentence where one is missing."""
    query = "name,driver_version,memory.total,compute_cap"
    command = ["nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"]
    if not shutil.which("nvidia-smi"):
        sys.exit("bench.gpu: no nvidia-smi, so no NVIDIA GPU; --rehearse needs none")
    if not importlib.util.find_spec("torch"):
        sys.exit("bench.gpu: PyTorch, the peer, is not installed")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines()
        sys.exit(f"bench.gpu: nvidia-smi failed: {said[-1] if said else done.returncode}")
    parts = [part.strip() for part in done.stdout.strip().splitlines()[0].split(",")]
    name, driver, memory, capability = parts
    import torch

    return {
        "gpu": name, "capability": capability, "driver": driver, "memory": memory,
        "torch": torch.__version__,
    }  # fmt: skip


def architecture(capability: str) -> str:
    """What CMake calls the GPU's own machine code; "9.0" has features that only 90a names."""
    number = capability.replace(".", "")
    return f"{number}a-real" if number == "90" else f"{number}-real"


def environment() -> dict[str, str]:
    """That of a process which is to import what was built."""
    path = os.pathsep.join([str(SITE), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path}


def build(capability: str) -> None:
    """Install this checkout below build/, with CUDA kernels for this GPU alone."""
    nvcc = {}
    if not shutil.which("nvcc") and "CUDACXX" not in os.environ and USUAL_NVCC.exists():
        nvcc["CUDACXX"] = str(USUAL_NVCC)
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--upgrade",
         "--target", SITE, f"-Cbuild-dir={BUILD}", "-Ccmake.define.NEURONA_CUDA=ON",
         f"-Ccmake.define.CMAKE_CUDA_ARCHITECTURES={architecture(capability)}", str(ROOT)],
        env={**os.environ, **nvcc}, check=True,
    )  # fmt: skip
