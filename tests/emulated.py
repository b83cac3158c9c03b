"""The CUDA kernels on the host: the emulated device's extension, and its ops on NumPy arrays.

The extension is built on first use from the sources of this checkout, or taken from the folder that
NEURONA_CUDA_EMULATED names. So is neurona_cuda_planted, with the kernels that are wrong on purpose.
With NEURONA_TEST_DEVICE=1 a real device takes the place of the emulated one, with
NEURONA_TEST_DEVICE=ptx the PTX machine: the extension as nvcc compiles it, on the host.
"""

from __future__ import annotations

import fcntl
import functools
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

MODULE = "neurona_cuda_emulated"
FOLDER = "NEURONA_CUDA_EMULATED"
ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "cuda_emulated"

# Threads and blocks take their turns forwards, backwards and in any order: a barrier that is
# missing changes the result under at least one of them.
SCHEDULES = ("forward", "reverse", "shuffled")
ON_PTX_MACHINE = os.environ.get("NEURONA_TEST_DEVICE") == "ptx"
ON_A_GPU = ON_PTX_MACHINE or os.environ.get("NEURONA_TEST_DEVICE") == "1"
PTX_MACHINE = ROOT / "build" / "ptx_machine"


@functools.cache
def _build(module: str, folder: Path, *options: str) -> Path | str:
    """The folder of an extension, brought up to date with the sources, or what the compiler says.

    Every test asks for it: what does not build is not to be built again and again, and processes
    that share the tests build one after the other.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "tests.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _build_alone(module, folder, *options)


def _build_alone(module: str, folder: Path, *options: str) -> Path | str:
    import pybind11

    tools = Path(sys.executable).parent
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    configure = [
        "cmake", "-G", "Ninja", "-S", ROOT, "-B", folder,
        *[f"-D{option}=ON" for option in options],
        "-DSKBUILD_PROJECT_NAME=neurona", "-DSKBUILD_PROJECT_VERSION=0",
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}", f"-DPython_EXECUTABLE={sys.executable}",
    ]  # fmt: skip
    for command in (configure, ["cmake", "--build", folder, "--target", module]):
        done = subprocess.run(
            [str(part) for part in command],
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            return done.stdout[-4000:]
    return folder


def load(name: str = MODULE) -> ModuleType:
    """An extension module; RuntimeError with the compiler's words when it does not build."""
    return _load(name, BUILD, "NEURONA_CUDA_EMULATION")


@functools.cache
def planted() -> ModuleType:
    """The kernels that are wrong on purpose, each beside its right twin."""
    return load("neurona_cuda_planted")


def load_of_ptx_machine(name: str) -> ModuleType:
    """One of those that are linked with the PTX machine: _cuda, or the machine alone."""
    return _load(name, PTX_MACHINE, "NEURONA_CUDA", "NEURONA_PTX_MACHINE")


def _load(name: str, build: Path, *options: str) -> ModuleType:
    given = os.environ.get(FOLDER)
    folder = Path(given) if given else _build(name, build, *options)
    if isinstance(folder, str):
        raise RuntimeError(f"{name} does not build for tests:\n{folder}")
    found = sorted(folder.glob(f"{name}*.so"))
    if not found:
        raise RuntimeError(f"no {name} in {folder}")
    spec = importlib.util.spec_from_file_location(name, found[0])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def device_module() -> ModuleType:
    """The extension whose kernels are tested."""
    if not ON_A_GPU:
        return load()
    from neurona.backends import cuda

    if ON_PTX_MACHINE:
        cuda.use_extension(_ptx_machine())
    return cuda.extension()


def device_with(name: str, seed: int = 1) -> ModuleType:
    """The device under the schedule that is in its test's name ("cuda-forward"); a GPU has none."""
    module = device_module()
    if not ON_A_GPU:
        module.set_schedule(name.removeprefix("cuda-"), seed=seed)
    return module


@functools.cache
def _ptx_machine() -> ModuleType:
    return load_of_ptx_machine("_cuda")


class DeviceOps:
    """The ops of a device on NumPy arrays: copied there, and the results copied home.

    Views go as views of what they are views of, so that the device meets every kind of strides.
    Every array is compared afterwards, so that a kernel that writes to its input is noticed.
    """

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def __getattr__(self, op: str) -> Any:
        function = getattr(self.module, op)

        def call(*arguments: Any, **options: Any) -> Any:
            # A failing test shows the arguments of every frame, which here nobody may read.
            __tracebackhide__ = True
            journey = Journey(self.module)
            there = [journey.out(argument) for argument in arguments]
            chosen = {name: journey.out(value) for name, value in options.items()}
            try:
                return journey.home(function(*there, **chosen))
            finally:
                journey.bring_changes_home()

        return call


class Journey:
    """The arrays of one call, each copied to the device once."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.copies: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def out(self, value: Any) -> Any:
        """The device's counterpart of an array or a list of arrays; anything else as it is."""
        __tracebackhide__ = True
        if isinstance(value, list):
            return [self.out(item) for item in value]
        if type(value) is not np.ndarray or value.dtype.kind not in "fiub":
            return value
        if value.dtype.itemsize > 8:
            return value
        root = value
        while type(root.base) is np.ndarray:
            root = root.base
        if not self._same_memory(root, value):
            root = value
        if id(root) not in self.copies:
            self.copies[id(root)] = (root, self.module.to_device(root))
        copy = self.copies[id(root)][1]
        if root is not value:
            offset = value.__array_interface__["data"][0] - root.__array_interface__["data"][0]
            copy = np.ndarray(value.shape, value.dtype, copy, offset, value.strides)
        else:
            copy = copy[...]
        copy.flags.writeable = value.flags.writeable
        return copy

    @staticmethod
    def _same_memory(root: np.ndarray, view: np.ndarray) -> bool:
        """Whether the view can be taken of a dense copy of its root in the same way."""
        return (
            root.dtype == view.dtype
            and root.dtype.isnative
            and root.flags.c_contiguous
            and root.flags.aligned
            and root.dtype.kind in "fiub"
            and root.size > 0
        )

    def home(self, result: Any) -> Any:
        """The results on the host."""
        __tracebackhide__ = True
        if isinstance(result, tuple):
            return tuple(self.home(item) for item in result)
        if type(result) is np.ndarray:
            return self.module.to_host(result)
        return result

    def bring_changes_home(self) -> None:
        """Whatever the op wrote into arrays that it was given."""
        __tracebackhide__ = True
        for host, device in self.copies.values():
            now = self.module.to_host(device)
            native = np.ascontiguousarray(host.astype(host.dtype.newbyteorder("="), copy=False))
            if np.ascontiguousarray(now).tobytes() != native.tobytes():
                host[...] = now
