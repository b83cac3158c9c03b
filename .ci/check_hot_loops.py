"""The k-loops of the matrix tiles hold the expected multiply-adds and no spill; so does the probe.
What asks for memory ahead does so: compilers may leave out functions that do nothing else.

Disassembles the gemm object of each FMA ISA under BUILD_FOLDER, finds every innermost loop of the
tile functions, and fails when one moves a vector to or from the stack, or when the full tile's loop
is missing. The probe of the multiply-add peak must run exactly the multiply-adds that it counts.
"""

import platform
import re
import subprocess
import sys
from pathlib import Path

# ISA -> full tiles and the multiply-adds in one step of each.
FULL_TILES = {
    "avx2": {"columns_tile<6, 2, false>": 12, "strip_tile_of_width<6, 2>": 12},
    "avx512": {"columns_tile<14, 2, false>": 28, "strip_tile_of_width<8, 3>": 24},
}
# Objects of csrc/ops -> requests of the loops that ask ahead in them.
ASKING = {"winograd_convolution": 3, "conv2d_winograd_weight": 2, "conv2d_direct_weight": 2}
# Multiply-adds in one iteration of the probe, in either ISA.
PROBE_COUNT = 24


def innermost_loops(listing: str) -> list[list[str]]:
    """Instruction lists of loops that contain no other jump."""
    lines = [line.split(":\t", 1) for line in listing.splitlines() if ":\t" in line]
    index = {int(address, 16): i for i, (address, _) in enumerate(lines)}
    code = [instruction for _, instruction in lines]
    loops = []
    for end, instruction in enumerate(code):
        jump = re.match(r"j\w+\s+([0-9a-f]+)", instruction)
        start = index.get(int(jump.group(1), 16)) if jump else None
        if start is None or start >= end:
            continue
        body = code[start : end + 1]
        if not any(re.match(r"j\w+\s", line) for line in body[:-1]):
            loops.append(body)
    return loops


def check_tiles(isa: str, disassembly: str) -> list[str]:
    problems = []
    missing = dict(FULL_TILES[isa])
    for function in disassembly.split("\n\n"):
        header = re.match(r"\s*[0-9a-f]+ <(.*)>:", function.strip())
        if not header or "tile" not in header.group(1):
            continue
        for body in innermost_loops(function):
            count = sum("vfmadd" in line for line in body)
            spills = [
                line for line in body if re.search(r"[yz]mm", line) and re.search(r"%r[sb]p", line)
            ]
            if count and spills:
                problems.append(f"{isa}: {header.group(1)}: vector spill in a k-loop: {spills[0]}")
            for name in [name for name in missing if name in header.group(1)]:
                if count and count % missing[name] == 0:
                    del missing[name]
    problems += [f"{isa}: no loop of {n} multiply-adds in {name}" for name, n in missing.items()]
    return problems


def check_probe(isa: str, disassembly: str) -> list[str]:
    function = disassembly.partition("multiply_adds")[2].partition("\n\n")[0]
    counts = [sum("vfmadd" in line for line in body) for body in innermost_loops(function)]
    if counts == [PROBE_COUNT]:
        return []
    return [f"{isa}: the probe counts {PROBE_COUNT} multiply-adds, but its loops run {counts}"]


def check_requests(name: str, disassembly: str) -> list[str]:
    found = len(re.findall(r"\tprefetch", disassembly))
    return [f"{name}: expected {ASKING[name]} prefetches, found {found}"] * (found < ASKING[name])


def disassemble(path: Path) -> str:
    command = ["objdump", "-d", "-C", "--no-show-raw-insn", str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def main() -> int:
    problems, objects = [], 0
    for isa in FULL_TILES:
        for name, check in (("gemm", check_tiles), ("probe", check_probe)):
            for path in Path(sys.argv[1]).glob(f"**/kernels_{isa}.dir/**/{name}.isa.inl.o"):
                objects += 1
                problems += check(isa, disassemble(path))
    for name in ASKING if platform.machine() == "x86_64" else ():
        for path in Path(sys.argv[1]).glob(f"**/csrc/ops/{name}.cpp.o"):
            objects += 1
            problems += check_requests(name, disassemble(path))
    expected = 2 * len(FULL_TILES) + len(ASKING)
    if platform.machine() == "x86_64" and objects != expected:
        problems.append(f"expected {expected} objects, found {objects}")
    print(
        "\n".join(problems)
        or f"{objects} objects: full tiles, no spill, an honest probe, memory asked for ahead"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
