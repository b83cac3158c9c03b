"""The order of warps and blocks on the PTX machine: barriers, races, kernels that overlap."""

from __future__ import annotations

import numpy as np
import pytest

from ptx_kernels import check, fails, needs_nvcc, result_of, run

pytestmark = needs_nvcc


EXCHANGE = """.shared .align 4 .b8 table[1024]; mov.u32 r1, table; mad.lo.s32 r2, t, 4, r1;
    mov.u32 r3, %ntid.x; sub.s32 r3, r3, 1; sub.s32 r3, r3, t; mad.lo.s32 r3, r3, 4, r1;"""


@pytest.mark.parametrize("order", ["forward", "reverse"])
def test_barriers_between_warps(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread reads what its mirror image wrote, and again in the next round."""
    monkeypatch.setenv("NEURONA_PTX_MACHINE_ORDER", order)
    body = f"""{EXCHANGE} mov.u32 r0, t; mov.u32 r5, 0;
        ROUND: st.shared.u32 [r2], r0; bar.sync 0; ld.shared.u32 r0, [r3]; add.s32 r0, r0, 1;
        bar.sync 0; add.s32 r5, r5, 1; setp.lt.u32 p0, r5, 5; @p0 bra ROUND;"""
    check(result_of(body, 200), 199 - np.arange(200) + 5)


def test_a_missing_barrier_shows_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A block's last warp comes first, or its first one."""
    body = EXCHANGE + "st.shared.u32 [r2], t; {} ld.shared.u32 r0, [r3];"
    found = {}
    for order in ("forward", "reverse"):
        monkeypatch.setenv("NEURONA_PTX_MACHINE_ORDER", order)
        check(result_of(body.format("bar.sync 0;"), 64), 63 - np.arange(64))
        found[order] = result_of(body.format(""), 64)
    nothing = np.full(32, 0xFFFFFFFF)
    mirrored = 63 - np.arange(64)
    check(found["forward"], np.concatenate([nothing, mirrored[32:]]))
    check(found["reverse"], np.concatenate([mirrored[:32], nothing]))


def test_blocks_that_race_show_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    body = """setp.ne.u32 p0, t, 0; @p0 ret; mov.u32 r0, %ctaid.x; mov.u32 r1, %nctaid.y;
        mov.u32 r2, %ctaid.y; mad.lo.s32 r0, r0, r1, r2; st.global.u32 [a0], r0;"""
    found = np.zeros(1, np.uint32)
    for order, last in (("forward", 2 * 4 + 3), ("reverse", 0)):
        monkeypatch.setenv("NEURONA_PTX_MACHINE_ORDER", order)
        run(body, found, grid=(3, 4, 1))
        assert found[0] == last
    monkeypatch.setenv("NEURONA_PTX_MACHINE_ORDER", "sideways")
    fails("forward or reverse", body, found)


SKIPPED = {
    "guard": ("setp.lt.u32 p0, t, {}; @p0 bar.sync 0;", "pass by a barrier"),
    "branch": (
        "setp.lt.u32 p0, t, {}; @!p0 bra DONE; bar.sync 0; DONE: bar.warp.sync -1;",
        "different instructions",
    ),
    "two": (
        "setp.lt.u32 p0, t, {}; @p0 bra A; bar.sync 0; bra DONE; A: bar.sync 0; DONE:",
        "different instructions",
    ),
}


@pytest.mark.parametrize("how", SKIPPED)
def test_a_barrier_that_some_threads_of_a_warp_skip(how: str) -> None:
    body, match = SKIPPED[how]
    run(body.format(32))
    fails(match, body.format(20))


def test_a_barrier_that_a_warp_skips() -> None:
    """Warps that have ended are not waited for; one that waits elsewhere for ever is noticed."""
    body = "setp.ge.u32 p0, t, 32; @p0 ret; bar.sync 0; mov.u32 r0, 1;"
    check(result_of(body, 64), [1] * 32 + [0] * 32)


def test_special_registers() -> None:
    """Threads are numbered along x first, and so are blocks."""
    found = np.zeros((2 * 3 * 2 * 30, 13), np.uint32)
    names = ["tid", "ntid", "ctaid", "nctaid"]
    reads = [f"mov.u32 r{10 + 3 * i + j}, %{name}.{axis};"
             for i, name in enumerate(names) for j, axis in enumerate("xyz")]  # fmt: skip
    stores = [f"st.global.u32 [l0+{4 * i}], r{10 + i};" for i in range(13)]
    body = f"""{" ".join(reads)} mov.u32 r22, %laneid;
        mad.lo.s32 r0, r18, r20, r17; mad.lo.s32 r0, r0, r19, r16;
        mad.lo.s32 r1, r12, r14, r11; mad.lo.s32 r1, r1, r13, r10; mad.lo.s32 r0, r0, 30, r1;
        mul.wide.u32 l0, r0, 52; add.s64 l0, l0, a0; {" ".join(stores)}"""
    run(body, found, grid=(2, 3, 2), block=(5, 3, 2))
    z, y, x = np.meshgrid(range(2), range(3), range(5), indexing="ij")
    threads = np.stack([x, y, z], -1).reshape(-1, 3)
    bz, by, bx = np.meshgrid(range(2), range(3), range(2), indexing="ij")
    blocks = np.stack([bx, by, bz], -1).reshape(-1, 3)
    expected = np.empty_like(found)
    expected[:, 0:3] = np.tile(threads, (12, 1))
    expected[:, 3:6], expected[:, 9:12] = (5, 3, 2), (2, 3, 2)
    expected[:, 6:9] = np.repeat(blocks, 30, 0)
    expected[:, 12] = np.tile(np.arange(30), 12)
    check(found.reshape(-1), expected.reshape(-1))


OVERLAPPING = {
    "load": "ld.global.u32 r0, [a0];",
    "store": "st.global.u32 [a0], t;",
    "generic": "mov.b64 l0, a0; ld.u32 r0, [l0];",
    "atomic": "atom.global.add.u32 r0, [a0], 1;",
    "copy": """.shared .align 4 .b8 table[4]; mov.u32 r1, table; mov.u32 r2, 4;
        cp.async.ca.shared.global [r1], [a0], 4, r2; cp.async.commit_group;
        cp.async.wait_group 0;""",
}


@pytest.mark.parametrize("what", OVERLAPPING)
def test_memory_of_earlier_kernels_is_waited_for(what: str) -> None:
    """By a kernel that may begin before they end; others need not, but may."""
    body, words = OVERLAPPING[what], np.zeros(1, np.uint32)
    own = "griddepcontrol.launch_dependents; .shared .align 4 .b8 own[4]; st.shared.u32 [own], t;"
    run(f"{own} griddepcontrol.wait; {body}", words, overlaps=True)
    run(body, words)
    fails("before it waits for earlier kernels", f"{body} griddepcontrol.wait;", words,
          overlaps=True)  # fmt: skip
    fails("ends without having waited", "mov.u32 r0, 0;", words, overlaps=True)
    some = "setp.eq.u32 p0, t, 3; @!p0 griddepcontrol.wait;"
    fails("before it waits|without having waited", f"{some} {body}", words, overlaps=True)
