"""Small PTX kernels for the tests of the PTX machine, and NumPy arrays to run them on.

Every kernel has the same registers: r of 32 bits, l of 64, h of 16, f for floats, p for predicates
and t for the thread's number. Argument i is in register a{i}: the address of an array or a tensor
map, or a number of 32 bits.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import emulated

HEADER = ".version 9.0\n.target sm_90a\n.address_size 64\n"
REGISTERS = """
.reg .b16 h<16>;
.reg .b32 r<64>, t;
.reg .b64 l<32>;
.reg .f32 f<160>;
.reg .f64 g<8>;
.reg .pred p<16>;
mov.u32 t, %tid.x;
"""

LEAST_CUDA = 13


def cuda_release() -> int:
    """The major number of the CUDA toolkit whose nvcc is found; 0 if none is."""
    nvcc = os.environ.get("CUDACXX") or shutil.which("nvcc")
    if not nvcc:
        return 0
    said = subprocess.run([nvcc, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"release (\d+)\.", said)
    return int(found.group(1)) if found else 0


needs_nvcc = pytest.mark.skipif(
    cuda_release() < LEAST_CUDA,
    reason=f"the PTX machine is built where nvcc is, of CUDA {LEAST_CUDA}, whose headers it needs",
)

# Suffixes that say how a kernel reads and writes elements, and its registers for them.
SUFFIXES = {
    "u1": "u8", "i1": "s8", "u2": "u16", "i2": "s16", "u4": "u32", "i4": "s32", "u8": "u64",
    "i8": "s64", "f4": "f32", "f8": "f64",
}  # fmt: skip
REGISTER_BITS = {"u8": "b16", "s8": "b16", "f32": "f32", "f64": "f64"}


@functools.cache
def machine() -> ModuleType:
    return emulated.load_of_ptx_machine("neurona_ptx_machine")


def ptx_of(body: str, arguments: tuple[Any, ...] = (), outside: str = "") -> str:
    """The text of a kernel that is called `kernel`."""
    parameters, loads = [], []
    for i, argument in enumerate(arguments):
        if isinstance(argument, np.ndarray):
            parameters.append(f".param .u64 argument{i}")
            loads.append(f".reg .b64 a{i}; ld.param.u64 a{i}, [argument{i}];")
            loads.append(f"cvta.to.global.u64 a{i}, a{i};")
        elif isinstance(argument, bytes):  # the kernel finds it by its name
            parameters.append(f".param .align 16 .b8 argument{i}[{len(argument)}]")
        elif isinstance(argument, int):
            parameters.append(f".param .u32 argument{i}")
            loads.append(f".reg .b32 a{i}; ld.param.u32 a{i}, [argument{i}];")
        else:
            parameters.append(f".param .align 64 .b8 argument{i}[128]")
            loads.append(f".reg .b64 a{i}; mov.b64 a{i}, argument{i};")
            loads.append(f"cvta.param.u64 a{i}, a{i};")
    return (
        f"{HEADER}{outside}\n.visible .entry kernel({', '.join(parameters)})\n{{{REGISTERS}"
        + "\n".join(loads)
        + f"\n{body}\nret;\n}}\n"
    )


def run(
    body: str,
    *arguments: Any,
    block: int | tuple[int, int, int] = 32,
    grid: int | tuple[int, int, int] = 1,
    outside: str = "",
    **options: Any,
) -> None:
    """Run a kernel of this body; what it writes is in the arrays afterwards."""
    machine().run(
        ptx_of(body, arguments, outside),
        "kernel",
        list(arguments),
        grid=(grid, 1, 1) if isinstance(grid, int) else grid,
        block=(block, 1, 1) if isinstance(block, int) else block,
        **options,
    )


def fails(match: str, body: str, *arguments: Any, **options: Any) -> None:
    """The kernel is stopped, or not taken at all, with these words."""
    with pytest.raises(RuntimeError, match=match):
        run(body, *arguments, **options)


def own_element(array: str, element_bytes: int, to: str = "l31") -> str:
    """The address of a thread's own element."""
    return f"mul.wide.u32 {to}, t, {element_bytes}; add.s64 {to}, {to}, {array};"


STORE_R0 = f"{own_element('a0', 4)} st.global.u32 [l31], r0;"


def result_of(body: str, block: int = 32, **options: Any) -> np.ndarray:
    """What each thread leaves in r0."""
    found = np.zeros(block, np.uint32)
    run(f"{body} {STORE_R0}", found, block=block, **options)
    return found


def of_each(instruction: str, *inputs: Any, to: Any) -> np.ndarray:
    """What an instruction makes of a, b and c, which are elements of the inputs.

    It leaves it in d. The last warp has fewer threads than 32 unless the inputs fill it.
    """
    arrays = [np.ascontiguousarray(each).reshape(-1) for each in np.broadcast_arrays(*inputs)]
    result = np.zeros(arrays[0].size, to)
    moves, declarations = [], []
    for i, (name, array) in enumerate(zip("dabce", [result, *arrays], strict=False)):
        suffix = SUFFIXES[array.dtype.str[1:]]
        bits = REGISTER_BITS.get(suffix, f"b{8 * array.dtype.itemsize}")
        declarations.append(f".reg .{bits} {name};")
        address = f"mul.wide.u32 l0, r0, {array.dtype.itemsize}; add.s64 l0, a{i}, l0;"
        access = f"st.global.{suffix} [l0], d;" if name == "d" else ""
        moves.append(f"{address} {access or f'ld.global.{suffix} {name}, [l0];'}")
    body = (
        "\n".join(declarations)
        + "\nmov.u32 r0, %ctaid.x; mov.u32 r1, %ntid.x; mad.lo.s32 r0, r0, r1, t;\n"
        + f"setp.ge.u32 p15, r0, {result.size};\n@p15 ret;\n"
        + "\n".join([*moves[1:], instruction, moves[0]])
    )
    run(body, result, *arrays, block=256, grid=-(-result.size // 256))
    return result


def all_of(*values: Any) -> tuple[np.ndarray, ...]:
    """Every combination of the values."""
    grids = np.meshgrid(*values, indexing="ij")
    return tuple(grid.reshape(-1) for grid in grids)


def check(found: np.ndarray, expected: Any, *inputs: np.ndarray) -> None:
    """Bit for bit, but for which NaN a NaN is."""
    wanted = np.broadcast_to(np.asarray(expected, found.dtype), found.shape)
    bits = f"u{found.dtype.itemsize}"
    differ = found.view(bits) != np.ascontiguousarray(wanted).view(bits)
    if found.dtype.kind == "f":
        differ &= ~(np.isnan(found) & np.isnan(wanted))
    if differ.any():
        i = int(np.flatnonzero(differ)[0])
        of = [array.reshape(-1)[i] for array in inputs]
        pytest.fail(f"{differ.sum()} differ; of {of}: {found[i]!r}, not {wanted[i]!r}")
