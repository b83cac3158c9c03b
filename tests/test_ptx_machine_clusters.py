"""The PTX machine's clusters: blocks that run at once, reach each other's barriers and wait for one
another; and their launches."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptx_kernels import check, fails, machine, needs_nvcc, ptx_of, run

pytestmark = needs_nvcc

ORDERS = ("forward", "reverse")


@pytest.mark.parametrize("order", ORDERS)
def test_ranks(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Along x, whatever else the grid is; a grid without clusters has clusters of one."""
    monkeypatch.setenv("NEURONA_PTX_MACHINE_ORDER", order)
    body = """setp.ne.u32 p0, t, 0; @p0 ret; mov.u32 r0, %ctaid.y; mov.u32 r1, %nctaid.x;
        mov.u32 r2, %ctaid.x; mad.lo.s32 r0, r0, r1, r2; mul.wide.u32 l0, r0, 8;
        add.s64 l0, l0, a0; mov.u32 r3, %cluster_ctarank; mov.u32 r4, %cluster_nctarank;
        st.global.v2.u32 [l0], {r3, r4};"""
    for blocks in (1, 2, 3, 6):
        found = np.zeros((2, 6, 2), np.uint32)
        run(body, found, grid=(6, 2, 1), cluster=blocks)
        assert (found[:, :, 0] == np.arange(6) % blocks).all() and (found[:, :, 1] == blocks).all()
    for blocks in (0, 4, 9):
        fails("no such clusters", body, found, grid=(6, 2, 1), cluster=blocks)


ARRIVES = "barrier.cluster.arrive.release.aligned;"
WAITS = "barrier.cluster.wait.acquire.aligned;"
TOGETHER = ARRIVES + WAITS
# p0: the first thread of each block; p2: that of block 0; p3: that of block 1.
RANK = """.shared .align 8 .b8 barriers[16]; mov.u32 r20, barriers; mov.u32 r10, %cluster_ctarank;
    xor.b32 r11, r10, 1; mad.lo.s32 r12, r10, 4096, t; setp.eq.u32 p0, t, 0;
    setp.eq.u32 p2, r12, 0; setp.eq.u32 p3, r12, 4096;"""
INIT = "@{} mbarrier.init.shared::cta.b64 [r20], {}; fence.mbarrier_init.release.cluster;"
MAP = "mapa.shared::cluster.u32 r21, r20, {};"
ARRIVE = "@{} mbarrier.arrive.release.cluster.shared::cluster.b64 _, [{}];"
WAIT = "WAIT: mbarrier.try_wait.parity.shared::cta.b64 p1, [r20], 0; @!p1 bra WAIT;"
PAIR: dict[str, Any] = {"grid": 2, "cluster": 2}
BOTH = RANK + INIT.format("p0", 1) + TOGETHER + MAP.format("r11")


@pytest.mark.parametrize("order", ORDERS)
def test_arrivals_at_the_other_block(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the address that mapa makes; a plain one is the own block's."""
    monkeypatch.setenv("NEURONA_PTX_MACHINE_ORDER", order)
    own = RANK + INIT.format("p0", 1) + TOGETHER + MAP.format("r10")
    for body in (BOTH + ARRIVE.format("p0", "r21"), BOTH + ARRIVE.format("p0", "r20"),
                 own + ARRIVE.format("p0", "r21")):  # fmt: skip
        run(body + WAIT + TOGETHER, **PAIR)
    # Two arrivals for block 0, of which one announces bytes that nobody sends.
    twice = RANK + INIT.format("p0", 2) + TOGETHER + MAP.format("0") + ARRIVE.format("p0", "r21")
    run(f"{twice} setp.ne.u32 p4, r10, 0; @p4 bra DONE; {WAIT} DONE: {TOGETHER}", **PAIR)
    announced = ARRIVE.format("p3", "r21").replace("arrive.", "arrive.expect_tx.")
    announced = announced.replace("[r21]", "[r21], 16")
    some = twice.replace(ARRIVE.format("p0", "r21"), ARRIVE.format("p2", "r21") + announced)
    fails("waits for ever", f"{some} setp.ne.u32 p4, r10, 0; @p4 bra DONE; {WAIT} DONE:", **PAIR)


@pytest.mark.parametrize("order", ORDERS)
def test_blocks_wait_for_one_another(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through the device's memory: each block reads what its neighbour wrote in this round."""
    monkeypatch.setenv("NEURONA_PTX_MACHINE_ORDER", order)
    found, words = np.zeros((2, 5), np.uint32), np.zeros(2, np.uint32)
    body = f"""{RANK} mul.wide.u32 l0, r10, 4; add.s64 l0, l0, a1; mul.wide.u32 l1, r11, 4;
        add.s64 l1, l1, a1; mul.wide.u32 l2, r10, 20; add.s64 l2, l2, a0; mov.u32 r5, 0;
        ROUND: mad.lo.s32 r0, r5, 10, r10; setp.eq.u32 p1, t, 95; @p1 st.global.u32 [l0], r0;
        {TOGETHER} @p0 ld.global.u32 r1, [l1]; @p0 st.global.u32 [l2], r1; {TOGETHER}
        add.s64 l2, l2, 4; add.s32 r5, r5, 1; setp.lt.u32 p4, r5, 5; @p4 bra ROUND;"""
    run(body, found, words, block=96, **PAIR)
    check(found.reshape(-1), (np.arange(5) * 10 + [[1], [0]]).reshape(-1))


def test_who_has_ended_is_not_waited_for() -> None:
    """Threads, warps, a whole block; and arrivals that nobody waits behind."""
    run(f"{RANK} setp.lt.u32 p4, t, 40; @p4 ret; {TOGETHER} {TOGETHER}", block=96, **PAIR)
    run(f"{RANK} setp.eq.u32 p4, r10, 1; @p4 ret; {TOGETHER}", block=96, **PAIR)
    run(f"{RANK} {TOGETHER} {ARRIVES}", **PAIR)


def test_threads_come_one_by_one() -> None:
    """Without .aligned; with it a warp comes as a whole, or passes by as a whole."""
    half = "setp.lt.u32 p4, t, 16;"
    either = f"""{half} @p4 bra OTHERS; {TOGETHER} bra DONE;
        OTHERS: {TOGETHER} DONE: bar.warp.sync -1;"""
    run(RANK + either.replace(".aligned", ""), **PAIR)
    fails("different instructions", RANK + either, **PAIR)
    guarded = f"{half} @p4 {ARRIVES} @p4 {WAITS} @!p4 {ARRIVES} @!p4 {WAITS}"
    fails("pass by the cluster's barrier", RANK + guarded, **PAIR)
    fails("pass by the cluster's barrier", f"{half} {ARRIVES} @p4 {WAITS}", **PAIR)
    run(guarded.replace("t, 16", "t, 32"), **PAIR)
    run(guarded.replace("t, 16", "t, 0"), **PAIR)


def test_barriers_of_the_cluster_that_are_wrong() -> None:
    run(TOGETHER, **PAIR)
    fails("without having arrived", WAITS, **PAIR)
    fails("without having arrived", TOGETHER + WAITS, **PAIR)
    fails("again without having waited", ARRIVES + ARRIVES + WAITS, **PAIR)
    passes_by = "setp.eq.u32 p4, r10, 1; @p4 bra DONE; {} DONE:"
    stays = f"{WAIT} {TOGETHER}"
    fails(
        "waits for ever", RANK + INIT.format("p0", 1) + passes_by.format(TOGETHER) + stays, **PAIR
    )
    # Half of a block's warps wait for the block, the other half for the cluster.
    split = f"setp.lt.u32 p4, t, 32; @p4 bra OTHERS; {TOGETHER} OTHERS: bar.sync 0; {TOGETHER}"
    fails("waits for ever|without having", split, block=64, **PAIR)
    for unknown in ("barrier.cluster.arrive.relaxed.aligned;", "barrier.cluster.sync;",
                    "barrier.cluster.wait.release;", "barrier.cta.sync 0;", "barrier.sync 0;",
                    "barrier.cluster.arrive 0;", "barrier.cluster.aligned.arrive;"):  # fmt: skip
        fails("PTX line", unknown, **PAIR)


def test_other_blocks_that_cannot_be_reached() -> None:
    arrive = ARRIVE.format("p0", "r21")
    run(BOTH + arrive + WAIT + TOGETHER, **PAIR)
    rank = RANK + INIT.format("p0", 1) + TOGETHER
    fails("kernel.*cluster has no block 2", rank + MAP.format("2") + arrive, **PAIR)
    fails("cluster has no block 1", rank + MAP.format("1") + arrive, grid=2)
    one = RANK + INIT.format("p2", 1) + TOGETHER + MAP.format("1")
    fails("block 1 of the cluster has made no barrier", one + arrive, **PAIR)
    fails("more arrivals", BOTH + arrive.replace("mbarrier.arrive.", "mbarrier.arrive.expect_tx.")
          .replace("[r21]", "[r21], 16") + TOGETHER + arrive + TOGETHER, **PAIR)  # fmt: skip


@pytest.mark.parametrize("order", ORDERS)
def test_a_block_that_may_have_ended(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait for who still arrives at it: one of the orders lets it end before."""
    monkeypatch.setenv("NEURONA_PTX_MACHINE_ORDER", order)
    first = int(order == "forward")  # behind the cluster's barrier, at which it came last
    leaves = f"setp.eq.u32 p4, r10, {first}; @p4 ret;"
    body = RANK + INIT.format("p0", 1) + TOGETHER + MAP.format("r11") + leaves
    fails(f"block {first} of the cluster has ended", body + ARRIVE.format("p0", "r21"), **PAIR)


@pytest.mark.parametrize("order", ORDERS)
def test_a_barrier_that_may_not_be_there_yet(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that do not wait for one another behind their inits: one of them comes too early."""
    monkeypatch.setenv("NEURONA_PTX_MACHINE_ORDER", order)
    later = int(order == "forward")
    body = RANK + INIT.format("p0", 1) + "bar.sync 0;" + MAP.format("r11")
    fails(f"block {later} of the cluster has made no barrier",
          body + ARRIVE.format("p0", "r21") + WAIT + TOGETHER, **PAIR)  # fmt: skip


def test_mapped_addresses_are_for_arrivals_alone() -> None:
    word = ".shared .align 4 .b8 word[4]; mov.u32 r22, word; mapa.shared::cluster.u32 r23, r22, {};"
    for rank in (0, 1):
        for access in ("ld.shared.u32 r0, [r23];", "st.shared.u32 [r23], t;",
                       "atom.shared.add.u32 r0, [r23], 1;"):  # fmt: skip
            fails("outside of shared memory", word.format(rank) + access, **PAIR)
        generic = "cvt.u64.u32 l0, r23; cvta.shared.u64 l1, l0;"
        fails("generic address", word.format(rank) + generic, **PAIR)
        again = word.format(rank) + "mapa.shared::cluster.u32 r24, r23, 0;"
        fails("no address of this block", again, **PAIR)
        mapped = RANK + INIT.format("p0", 1) + TOGETHER + MAP.format(str(rank))
        for access in ("mbarrier.arrive.shared::cta.b64 _, [r21];",
                       "mbarrier.try_wait.parity.shared::cta.b64 p1, [r21], 0;"):  # fmt: skip
            fails("no barrier was made", mapped + access, **PAIR)
    for unknown in ("mapa.u64 l0, l0, 0;", "mapa.shared::cluster.u64 l0, l0, 0;",
                    "mapa.u32 r0, r0, 0;", "ld.shared::cluster.u32 r0, [r20];",
                    "mbarrier.try_wait.parity.shared::cluster.b64 p1, [r20], 0;",
                    "mbarrier.arrive.relaxed.cluster.shared::cluster.b64 _, [r20];"):  # fmt: skip
        fails("PTX line", unknown, **PAIR)


def test_a_header_that_demands_clusters_is_refused() -> None:
    """Nobody would hold a launch to it."""
    for demand in (".reqnctapercluster 2, 1, 1", ".explicitcluster", ".maxclusterrank 2"):
        text = ptx_of("").replace("\n{", f" {demand}\n{{", 1)
        with pytest.raises(RuntimeError, match=demand.split()[0]):
            machine().run(text, "kernel", [])


RANKS = """griddepcontrol.wait; mov.u32 r0, %ctaid.x; mov.u32 r1, %cluster_ctarank;
    mul.wide.u32 l0, r0, 4; add.s64 l0, l0, a0; st.global.u32 [l0], r1;"""
CLUSTER, OVERLAP = ("cluster", (2, 1, 1)), ("overlap", (1, 0, 0))


def launched(*attributes: Any, grid: int = 6, how: str = "directly") -> np.ndarray:
    """The ranks of a grid's blocks, by way of the runtime."""
    found = np.full(grid, 99, np.uint32)
    machine().launch(
        ptx_of(RANKS, (found,)), "kernel", found, grid=(grid, 1, 1), block=(32, 1, 1),
        attributes=list(attributes), how=how,
    )  # fmt: skip
    return found


@pytest.mark.parametrize("how", ["directly", "captured", "own"])
def test_launches(how: str) -> None:
    """The attribute alone and beside the other one, in either order; also in graphs, and kept by a
    kernel of a graph that gets other arguments and another grid.
    """
    for attributes in ([CLUSTER], [CLUSTER, OVERLAP], [OVERLAP, CLUSTER]):
        check(launched(*attributes, how=how), np.arange(6) % 2)
    for attributes in ([], [OVERLAP]):
        check(launched(*attributes, how=how), np.zeros(6))


@pytest.mark.parametrize("how", ["directly", "captured"])
def test_launches_that_are_refused(how: str) -> None:
    for shape, grid in (((4, 1, 1), 6), ((9, 1, 1), 18), ((0, 1, 1), 6), ((2, 0, 1), 6)):
        with pytest.raises(RuntimeError, match="cudaErrorInvalidClusterSize"):
            launched(("cluster", shape), grid=grid, how=how)
    for shape in ((1, 2, 1), (2, 1, 2)):
        with pytest.raises(RuntimeError, match="cudaErrorNotSupported"):
            launched(("cluster", shape), how=how)
    check(launched(CLUSTER, how=how), np.arange(6) % 2)


@pytest.mark.parametrize("how", ["other", "gone"])
def test_nodes_of_other_graphs_are_refused(how: str) -> None:
    with pytest.raises(RuntimeError, match="cudaErrorInvalidValue"):
        launched(CLUSTER, how=how)
    with pytest.raises(RuntimeError, match="cudaErrorInvalidClusterSize"):
        launched(CLUSTER, grid=5, how="own")


def test_devices_without_clusters() -> None:
    """Below compute capability 9.0."""
    script = "import test_ptx_machine_clusters as t; t.launched(t.CLUSTER)"
    environment = {**os.environ, "NEURONA_PTX_MACHINE_CAPABILITY": "80"}
    done = subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parent,
                          env=environment, capture_output=True, text=True)  # fmt: skip
    assert "cudaErrorNotSupported" in done.stderr
