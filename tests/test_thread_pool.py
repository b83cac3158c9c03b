"""The thread pool under stress, plain and under the thread sanitizer: a program of its own
(tests/cpu/thread_pool_stress.cpp), because a sanitizer does not fit into Python's process.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = [
    ROOT / "tests/cpu/thread_pool_stress.cpp",
    *(ROOT / "csrc/core" / name for name in ("thread_pool.cpp", "cpu.cpp", "denormals.cpp")),
]
# The sanitizer knows no fences and warns of them; the pool's only one orders atomics.
BUILDS = {
    "plain": ["-O2"],
    "thread sanitizer": ["-O1", "-g", "-fsanitize=thread", "-Wno-tsan"],
}
JOBS = {"plain": 300_000, "thread sanitizer": 20_000}


def launcher_of(program: Path) -> list[str] | None:
    """What `program`, which does nothing, needs before its name to run, or None if it does not.

    The sanitizer of older compilers fails where addresses are spread widely, unless that is off.
    """
    for launcher in (["setarch", "--addr-no-randomize"], []):
        if launcher and shutil.which(launcher[0]) is None:
            continue
        if subprocess.run([*launcher, str(program)], capture_output=True).returncode == 0:
            return launcher
    return None


@pytest.fixture(scope="module", params=BUILDS)
def stress(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The program as a command without its number of threads and jobs."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("stress")
    program = folder / "thread_pool_stress"
    flags = [*BUILDS[request.param], "-std=c++20", "-pthread", f"-I{ROOT / 'csrc'}"]
    if request.param != "plain":
        empty = folder / "empty.cpp"
        empty.write_text("int main() {}\n")
        probe = [compiler, *flags, str(empty), "-o", str(folder / "empty")]
        if subprocess.run(probe, capture_output=True).returncode != 0:
            pytest.skip("the compiler has no thread sanitizer")
        launcher = launcher_of(folder / "empty")
        if launcher is None:
            pytest.skip("programs with the thread sanitizer do not start here")
    else:
        launcher = []
    command = [compiler, *flags, *map(str, SOURCES), "-o", str(program)]
    subprocess.run(command, check=True)
    return [*launcher, str(program), str(JOBS[request.param])]


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_each_item_is_visited_once(stress: list[str], threads: int) -> None:
    *program, jobs = stress
    done = subprocess.run([*program, str(threads), jobs], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
