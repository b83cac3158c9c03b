"""Wherever nvcc is found, it compiles every CUDA kernel: no warning, no spill, no stack frame.

A kernel that keeps an array in local memory reads and writes it through the caches, many times
slower than registers; so does one that has more values than registers. Where cuobjdump is found as
well, the machine code must hold the instructions that a kernel was written for, and a kernel that
waits for earlier ones must not touch the device's memory before.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pybind11

ROOT = Path(__file__).parents[1]
# Where the PTX machine's tests find their extension: what they interpret and what a GPU would run
# come of one compilation, which takes minutes.
BUILD = ROOT / "build" / "ptx_machine"
OBJECTS = BUILD / "CMakeFiles" / "_cuda.dir" / "csrc" / "cuda"
OPTIONS = {
    "NEURONA_CUDA": "ON",
    "NEURONA_PTX_MACHINE": "ON",
    "CMAKE_CUDA_ARCHITECTURES": "80-real;90a;120-real",
    "CMAKE_CUDA_FLAGS": "-Werror all-warnings -Xptxas -v",
    "CMAKE_CUDA_COMPILER_LAUNCHER": ROOT / ".ci" / "nvcc_said",
    "SKBUILD_PROJECT_NAME": "neurona",
    "SKBUILD_PROJECT_VERSION": "0",
    "pybind11_DIR": pybind11.get_cmake_dir(),
    "Python_EXECUTABLE": sys.executable,
}

ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(\S+)'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS = re.compile(r"Used (\d+) registers")
# ptxas makes such products wait for each other, or leaves registers where they are, and calls that
# information.
IGNORED = re.compile(r"wgmma.* serialized.*|.*setmaxnreg.*ignored.*")
# Registers that the threads of these kernels begin with, by the columns of a tile: all that their
# launch bounds allow, for their warpgroups then divide exactly these (packed_product.cuh).
DIVIDED = re.compile(r"packed_product_kernelILi(\d+)E")
FIRST_REGISTERS = {"64": "80", "128": "168", "256": "168"}
# What the machine code of a file must hold, and for which architecture.
INSTRUCTIONS = {
    "gemm.cu": ("90a", ["HGMMA", "UTMALDG.3D", "UTMALDG.3D.MULTICAST", "UCGABAR_WAIT", "HMMA"]),
    "conv2d_packed.cu": ("90a", ["HGMMA", "UTMALDG.3D.MULTICAST", "UTMALDG.4D.IM2COL"]),
}
ABSENT = "absent from the machine code: "
# griddepcontrol.wait, and what reads or writes memory that other kernels reach.
HOST_CALL = "calls a function of the device from the host: nvcc makes that call exit()"
FUNCTION, WAIT = re.compile(r"Function : (\S+)"), "ACQBULK"
ACCESS = re.compile(r"\b(LDG|STG|LD|ST|ATOM|ATOMG|RED|REDG|LDGSTS|UTMALDG|UTMASTG)\b")
EARLY = "touches memory before it waits for earlier kernels: "
# Fences that wait for all that a thread has under way in the device's memory, hundreds of cycles:
# one where blocks count themselves, two where clusters meet (when a block begins and when it ends),
# none in a loop.
FENCE = re.compile(r"\bMEMBAR\.\w+\.GPU\b")
TOO_MANY_FENCES = "waits too often for all of its memory accesses: "
FAULTS = (ABSENT, EARLY, HOST_CALL, TOO_MANY_FENCES)
SHARED = re.compile(r"(\d+) bytes smem")


def compile_all_architectures(objects: list[Path]) -> str:
    """Whatever the build says if it fails, else nothing."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    configure = ["cmake", "-G", "Ninja", "-S", ROOT, "-B", BUILD]
    configure += [f"-D{name}={value}" for name, value in OPTIONS.items()]
    targets = [str(file.relative_to(BUILD)) for file in objects]
    build = ["cmake", "--build", BUILD, f"-j{os.cpu_count()}", "--target", *targets, "--", "-k0"]
    for command in (configure, build):
        done = subprocess.run(
            [str(part) for part in command],
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode:
            lines = [line for line in done.stdout.splitlines() if "ptxas info" not in line]
            return "\n".join(lines[-80:])
    return ""


def faults_of_code(name: str, built: Path) -> list[str]:
    """What the host's code must not call, and what the machine code lacks or does too early.

    The latter is looked at where cuobjdump is found.
    """
    wanted_from_others = subprocess.run(
        ["nm", "-u", built], capture_output=True, text=True, check=True
    )
    host_faults = [HOST_CALL] if re.search(r"\bexit\b", wanted_from_others.stdout) else []
    if not shutil.which("cuobjdump"):
        return host_faults
    architecture, wanted = INSTRUCTIONS.get(name, ("90a", []))
    command = ["cuobjdump", "-sass", "-arch", f"sm_{architecture}", str(built)]
    code = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    faults = host_faults
    faults += [f"{ABSENT}{instruction}" for instruction in wanted if instruction not in code]
    _, *functions = FUNCTION.split(code)  # the name of each kernel and then its code
    for kernel, text in zip(functions[::2], functions[1::2], strict=True):
        before, waits, _ = text.partition(WAIT)
        if waits and ACCESS.search(before):
            faults.append(f"{EARLY}{demangled(kernel)}")
        fences, most = len(FENCE.findall(text)), 2 if DIVIDED.search(kernel) else 1
        if fences > most:
            faults.append(f"{TOO_MANY_FENCES}{fences}, at most {most} in {demangled(kernel)}")
    return faults


def demangled(name: str) -> str:
    if not shutil.which("c++filt"):
        return name
    return subprocess.run(["c++filt", name], capture_output=True, text=True).stdout.strip()


def examine(file: Path, output: str) -> list[str]:
    """Prints one line about the kernels of a file; returns what is wrong with them."""
    problems: list[str] = []
    kernels: set[str] = set()
    registers = shared = 0
    entry = architecture = ""
    for line in output.splitlines():
        if found := ENTRY.search(line):
            entry, architecture = found.groups()
            kernels.add(entry)
        elif found := STACK.search(line):
            # Functions that are not inlined are listed too; what they use counts for their kernels.
            if any(int(number) for number in found.groups()):
                where = f"{file.name}, {architecture}, {demangled(entry)}"
                problems.append(f"{where}: {found.group(0).strip()}")
        elif (found := IGNORED.search(line)) or line.startswith(FAULTS):
            problems.append(f"{file.name}: {found.group(0) if found else line}")
        elif found := REGISTERS.search(line):
            registers = max(registers, int(found.group(1)))
            divided = DIVIDED.search(entry) if architecture == "sm_90a" else None
            if divided and found.group(1) != FIRST_REGISTERS[divided.group(1)]:
                problems.append(f"{file.name}: {demangled(entry)} begins with {found.group(0)}")
            if found := SHARED.search(line):
                shared = max(shared, int(found.group(1)))
    name = file.relative_to(ROOT / "csrc" / "cuda")
    print(
        f"{name!s:28} {len(kernels):3} kernels, at most {registers:3} registers, "
        f"{shared:5} bytes of shared memory"
    )
    return problems


def main() -> int:
    if not shutil.which("nvcc"):
        print("nvcc was not found: the CUDA kernels are not compiled for a GPU")
        return 0
    folder = ROOT / "csrc" / "cuda"
    files = sorted([*folder.glob("*.cu"), *folder.glob("runtime/*.cu")])
    if sys.argv[1:]:
        files = [file for file in files if file.stem in sys.argv[1:]]
    objects = [OBJECTS / file.relative_to(folder).with_suffix(".cu.o") for file in files]
    if said := compile_all_architectures(objects):
        print(said)
        return 1
    problems: list[str] = []
    for file, built in zip(files, objects, strict=True):
        faults = faults_of_code(file.name, built)
        output = built.with_suffix(".o.said").read_text()
        problems += examine(file, output + "".join(f"{fault}\n" for fault in faults))
    print("\n".join(problems) or f"{len(files)} files: no warning, no spill, no stack frame")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
