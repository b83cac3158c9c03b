"""The PTX machine's loads of tiles for several blocks of a cluster, by nvcc's words and by hand."""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emulated import ROOT
from ptx_kernels import check, machine, needs_nvcc, run
from test_ptx_machine_clusters import INIT, ORDERS, PAIR, RANK, TOGETHER, WAIT
from test_ptx_machine_tiles import straight

pytestmark = needs_nvcc

RANDOM = np.random.default_rng(5)

# Every block loads 8 lines of each step's tile for all blocks of its cluster; all of them read the
# whole tile, and tell all who load that they have. There are more steps than stages.
KERNEL = """
#include "cuda/ptx/cluster.cuh"
#include "cuda/ptx/tensor_load.cuh"

using namespace neurona;

constexpr int kStages = 2, kReaders = 64, kPartLines = 8, kPartBytes = kPartLines * kTileLineBytes;

extern "C" __global__ void kernel(const __grid_constant__ TensorMap map, uint32_t* found,
                                  int steps, int blocks) {
  extern __shared__ __align__(1024) unsigned char tiles[];
  __shared__ Barrier full[kStages], empty[kStages];
  const int rank = static_cast<int>(cluster_rank()), thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    for (int stage = 0; stage < kStages; ++stage) {
      init_barrier(full[stage], 1);
      init_barrier(empty[stage], static_cast<unsigned>(kReaders * blocks));
    }
    publish_barriers();
  }
  cluster_barrier();
  const int tile_bytes = blocks * kPartBytes;
  for (int step = 0; step < steps; ++step) {
    const int stage = step % kStages;
    const unsigned parity = step / kStages & 1;
    unsigned char* tile = tiles + stage * tile_bytes;
    if (thread == kReaders) {
      wait(empty[stage], parity ^ 1);
      arrive_expecting(full[stage], static_cast<unsigned>(tile_bytes));
      load_tile_for((1u << blocks) - 1, map, full[stage], tile + rank * kPartBytes, 0,
                    (step * blocks + rank) * kPartLines, static_cast<int>(blockIdx.x) / blocks);
    } else if (thread < kReaders) {
      wait(full[stage], parity);
      uint32_t* to = found + (blockIdx.x * steps + step) * (tile_bytes / 4);
      for (int i = thread; i < tile_bytes / 4; i += kReaders)
        to[i] = reinterpret_cast<const uint32_t*>(tile)[i];
      for (unsigned each = 0; each < static_cast<unsigned>(blocks); ++each)
        arrive_at(empty[stage], each);
    }
  }
  __syncwarp();
  cluster_barrier();
}
"""


@functools.cache
def compiled(source: str) -> str:
    """The PTX that nvcc makes of a kernel, from the words of csrc/cuda/ptx."""
    with tempfile.TemporaryDirectory() as folder:
        file, text = Path(folder, "kernel.cu"), Path(folder, "kernel.ptx")
        file.write_text(source)
        command = [os.environ.get("CUDACXX", "nvcc"), "-arch=compute_90a", "-std=c++20", "-ptx"]
        done = subprocess.run([*command, "-I", ROOT / "csrc", file, "-o", text],
                              capture_output=True, text=True)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return text.read_text()


def tiles_of(blocks: int, source: str = KERNEL) -> tuple[np.ndarray, np.ndarray]:
    """What the kernel finds with so many blocks in a cluster, and what it should."""
    clusters, steps, lines = 2, 7, 8 * blocks
    words = RANDOM.integers(1, 2**31, (clusters, steps * lines, 32), dtype=np.uint32)
    tensor = words.view(np.float32)
    tensor_map = machine().TensorMap.tiled(
        tensor, tensor.shape[::-1], list(tensor.strides[::-1][1:]), [32, 8, 1], [1, 1, 1]
    )
    found = np.zeros((clusters, blocks, steps, lines * 32), np.uint32)
    machine().run(
        compiled(source), "kernel", [tensor_map, found, steps, blocks],
        grid=(clusters * blocks, 1, 1), block=(96, 1, 1), dynamic_shared=2 * lines * 128,
        cluster=blocks,
    )  # fmt: skip
    expected = np.broadcast_to(words.reshape(clusters, 1, steps, -1), found.shape)
    return straight(found.reshape(-1)), expected.reshape(-1)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("blocks", [1, 2, 4])
def test_tiles_for_one_another(blocks: int, order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEURONA_PTX_MACHINE_ORDER", order)
    check(*tiles_of(blocks))


# What the machine says when, in the kernel, other words take the place of some.
FAULTS = {
    "the end is not waited for": ("has ended", [("__syncwarp();\n  cluster_barrier();", "")]),
    "barriers are not waited for": (
        "has made no barrier", [("}\n  cluster_barrier();", "}\n  __syncthreads();")]
    ),
    "the own readers are waited for": (
        "waits for ever",
        [("kReaders * blocks", "kReaders"),
         ("arrive_at(empty[stage], each)", "if (each == 0) arrive(empty[stage])")],
    ),
    "the own block is told": (
        "waits for ever", [("arrive_at(empty[stage], each)", "arrive(empty[stage])")]
    ),
    "the own part is announced": (
        "waits for ever", [("static_cast<unsigned>(tile_bytes)", "kPartBytes")]
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_show_in_one_order(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, said = KERNEL, ""
    words_of_error, changes = FAULTS[fault]
    for words, others in changes:
        assert words in source
        source = source.replace(words, others)
    for order in ORDERS:
        monkeypatch.setenv("NEURONA_PTX_MACHINE_ORDER", order)
        try:
            tiles_of(2, source)
        except RuntimeError as error:
            said += str(error)
    assert words_of_error in said


# A tile of 1 KiB, whose first half block 0 loads for the blocks of the mask h0, and block 1 the
# second; each block announces r26 bytes. The tile begins at r21.
OUTSIDE = ".extern .shared .align 1024 .b8 tile[];"
OPCODE = "cp.async.bulk.tensor.{}.mbarrier::complete_tx::bytes.multicast::cluster"
LOAD = (
    f"@{{}} {OPCODE.format('2d.shared::cluster.global.tile')} "
    "[r24], [a1, {{r22, r23}}], [r20], h0;"
)
EXPECT = "@{} mbarrier.arrive.expect_tx.shared::cta.b64 _, [r20], r26;"
SETUP = f"""{RANK} {INIT.format("p0", 1)} {TOGETHER} mov.u32 r21, tile; mov.u32 r22, 0;
    shl.b32 r23, r10, 2; shl.b32 r24, r10, 9; add.s32 r24, r24, r21; mov.u16 h0, 3;
    mov.u32 r26, 1024;"""
SHOW = """mul.wide.u32 l0, r10, 1024; add.s64 l0, l0, a0; mul.wide.u32 l1, t, 16;
    add.s64 l0, l0, l1; mad.lo.s32 r25, t, 16, r21; ld.shared.v4.u32 {r0, r1, r2, r3}, [r25];
    st.global.v4.u32 [l0], {r0, r1, r2, r3};"""
LOADS = EXPECT.format("p0") + LOAD.format("p0")


def halves() -> tuple[np.ndarray, Any]:
    tensor = RANDOM.integers(1, 1000, (8, 32)).astype(np.float32)
    return tensor, machine().TensorMap.tiled(tensor, [32, 8], [128], [32, 4], [1, 1])


def shown(body: str) -> np.ndarray:
    """The tile in each of the two blocks, for the tensor that it is of."""
    tensor, tensor_map = halves()
    found = np.zeros((2, 256), np.float32)
    run(body, found, tensor_map, block=64, outside=OUTSIDE, dynamic_shared=1024, **PAIR)
    swapped = straight(found.reshape(-1)).reshape(2, 8, 32)
    return np.where(np.isnan(swapped), -1, np.where(swapped == tensor, 1, 0))


@pytest.mark.parametrize("order", ORDERS)
def test_halves_for_both(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes from the other block may come before they are announced, and not before a test."""
    monkeypatch.setenv("NEURONA_PTX_MACHINE_ORDER", order)
    assert (shown(SETUP + LOADS + WAIT + SHOW + TOGETHER) == 1).all()
    test = "mbarrier.try_wait.parity.shared::cta.b64 p1, [r20], 0;"
    late = LOAD.format("p0") + TOGETHER + test + EXPECT.format("p0")
    assert (shown(SETUP + late + WAIT + SHOW + TOGETHER) == 1).all()
    assert (shown(SETUP + LOADS + SHOW + TOGETHER + WAIT + TOGETHER) == -1).all()


def test_loads_for_some() -> None:
    """A mask without the own block, and one with it alone."""
    only = SETUP.replace("r26, 1024", "r26, 512")
    crossed = "sub.s32 r12, 2, r10; cvt.u16.u32 h0, r12;"  # 2 in block 0, 1 in block 1
    found = shown(only + crossed + LOADS + WAIT + SHOW + TOGETHER)
    assert (found == [[[-1]] * 4 + [[1]] * 4, [[1]] * 4 + [[-1]] * 4]).all()
    own = "add.s32 r12, 1, r10; cvt.u16.u32 h0, r12;"
    found = shown(only + own + LOADS + WAIT + SHOW + TOGETHER)
    assert (found == [[[1]] * 4 + [[-1]] * 4, [[-1]] * 4 + [[1]] * 4]).all()


def test_loads_for_others_that_are_wrong() -> None:
    right = SETUP + LOADS + WAIT + TOGETHER
    shown(right)

    def wrong(match: str, body: str) -> None:
        with pytest.raises(RuntimeError, match=match):
            shown(body)

    wrong("kernel.*cluster has no block 2", right.replace("h0, 3", "h0, 4"))
    wrong("cluster has no block 15", right.replace("h0, 3", "h0, 0x8003"))
    wrong("for no block", right.replace("h0, 3", "h0, 0"))
    some = SETUP.replace(INIT.format("p0", 1), INIT.format("p2", 1))
    wrong("block 1 of the cluster has made no barrier", some + LOAD.format("p2") + TOGETHER)
    wrong("waits for ever", right.replace("r26, 1024", "r26, 512"))
    wrong("waits for ever", right.replace("r26, 1024", "r26, 1536"))
    ends = "setp.eq.u32 p4, r10, 1; @p4 ret;"
    wrong("block 1 of the cluster has ended", SETUP + ends + LOADS + WAIT)
    # Block 1 does not wait for what block 0 loads for it.
    leaves = "mov.u16 h0, 2;" + LOAD.format("p2") + TOGETHER
    wrong("a block ends while it is being copied to", SETUP + leaves)
    wrong("no barrier was made|made no barrier", right.replace("[r20], h0", "[r21], h0"))
    wrong("PTX line", right.replace("[r20], h0", "[r20]"))
    wrong("PTX line", right.replace("[r20], h0", "[r20], h0, l0"))
    wrong("PTX line", right.replace(".multicast::cluster", ""))
    wrong("PTX line", right.replace(".multicast::cluster", ".multicast::cluster.cta_group::2"))


def test_pixels_for_both() -> None:
    """The mask comes behind what lies beside the pixels."""
    image = RANDOM.integers(1, 1000, (1, 2, 4, 32)).astype(np.float32)
    tensor_map = machine().TensorMap.im2col(
        image, image.shape[::-1], list(image.strides[::-1][1:]), [0, 0], [0, 0], 32, 8, [1, 1, 1, 1]
    )
    load = f"""@p2 {OPCODE.format("4d.shared::cluster.global.im2col")}
        [r21], [a1, {{r22, r22, r22, r22}}], [r20], {{h1, h1}}, h0;"""
    found = np.zeros((2, 256), np.float32)
    run(SETUP + "mov.u16 h1, 0;" + EXPECT.format("p0") + load + WAIT + SHOW + TOGETHER, found,
        tensor_map, block=64, outside=OUTSIDE, dynamic_shared=1024, **PAIR)  # fmt: skip
    check(straight(found.reshape(-1)), np.tile(image.reshape(-1), 2))
