"""How the PTX machine leads the threads of a warp: branches, calls, shuffles."""

from __future__ import annotations

import numpy as np
import pytest

from ptx_kernels import STORE_R0, check, fails, machine, needs_nvcc, ptx_of, result_of, run

pytestmark = needs_nvcc

LANES = np.arange(32)


def test_threads_leave_a_loop_one_by_one() -> None:
    body = """mov.u32 r0, 0; add.s32 r1, t, 1;
        AGAIN: setp.eq.s32 p0, r1, 1; @p0 bra DONE; and.b32 r2, r1, 1; setp.eq.u32 p1, r2, 0;
        @p1 shr.u32 r1, r1, 1; @!p1 mad.lo.s32 r1, r1, 3, 1; add.s32 r0, r0, 1; bra.uni AGAIN;
        DONE:"""

    def steps(number: int) -> int:
        return 0 if number == 1 else 1 + steps(number // 2 if number % 2 == 0 else 3 * number + 1)

    check(result_of(body, 70), [steps(i + 1) for i in range(70)])


def test_nested_branches_and_loops() -> None:
    """Branches within a branch within a loop, whose ends some threads jump over."""
    body = """mov.u32 r0, 0; mov.u32 r1, 0;
        OUTER: setp.ge.u32 p0, r1, t; @p0 bra DONE; and.b32 r2, r1, 3; setp.eq.u32 p1, r2, 0;
        @p1 bra FOURTH; setp.eq.u32 p2, r2, 1; @!p2 bra ELSE; add.s32 r0, r0, 10; bra NEXT;
        ELSE: and.b32 r3, t, 1; setp.eq.u32 p3, r3, 1; @p3 bra NEXT; add.s32 r0, r0, 100; bra NEXT;
        FOURTH: add.s32 r0, r0, 1;
        NEXT: add.s32 r1, r1, 1; bra OUTER;
        DONE:"""

    def value(t: int) -> int:
        kinds = [i & 3 for i in range(t)]
        rest = 0 if t & 1 else 100 * sum(kind >= 2 for kind in kinds)
        return kinds.count(0) + 10 * kinds.count(1) + rest

    check(result_of(body), [value(t) for t in range(32)])


def test_blocks_of_statements_have_their_own_names() -> None:
    body = """mov.u32 r0, 1;
        { .reg .b32 r0, own; mov.u32 own, 5; mov.u32 r0, own; { .reg .b32 own; mov.u32 own, 7; } }
        { .reg .b32 own; mov.u32 own, t; add.s32 r0, r0, own; }"""
    check(result_of(body), LANES + 1)


def test_threads_end_early() -> None:
    """They leave the rest to itself, which needs not wait for them."""
    found = np.zeros(32, np.uint32)
    body = """mov.u32 r0, t; setp.lt.u32 p0, t, 20; @p0 bra GO_ON; ret;
        GO_ON: setp.ge.u32 p1, t, 16; @p1 exit;
        shfl.sync.bfly.b32 r0, r0, 1, 0x1f, 0xffff; bar.sync 0;"""
    run(f"{body} {STORE_R0}", found)
    check(found, np.where(LANES < 16, LANES ^ 1, 0))


FUNCTIONS = """
.func (.param .b32 result) triangle(.param .b32 number) {
  .reg .b32 n, sum; .reg .pred p0;
  ld.param.b32 n, [number]; mov.u32 sum, 0;
  setp.gt.u32 p0, n, 20; @p0 bra LARGE;
  LOOP: setp.eq.u32 p0, n, 0; @p0 bra DONE; add.s32 sum, sum, n; sub.s32 n, n, 1; bra LOOP;
  LARGE: st.param.b32 [result], 1000; ret;
  DONE: st.param.b32 [result], sum; ret;
}
.func (.param .b64 result) twice_triangle(.param .b32 number) {
  .reg .b32 n; .reg .b64 sum;
  ld.param.b32 n, [number];
  { .param .b32 own; .param .b32 back; st.param.b32 [own], n;
    call.uni (back), triangle, (own); ld.param.b32 n, [back]; }
  mul.wide.u32 sum, n, 2; st.param.b64 [result], sum; ret;
}
.func (.param .b32 result) ends(.param .b32 number) {
  .reg .b32 n; .reg .pred p0; ld.param.b32 n, [number];
  setp.gt.u32 p0, n, 15; @p0 exit; st.param.b32 [result], n; ret;
}
"""
CALL = """{{ .param .b32 number; .param .b{bits} back; st.param.b32 [number], {of};
    call.uni (back), {name}, (number); ld.param.b{bits} {to}, [back]; }}"""


def called(name: str, of: str = "t", to: str = "r0", bits: int = 32) -> str:
    return CALL.format(name=name, of=of, to=to, bits=bits)


def test_calls() -> None:
    """Twice in a kernel, from a branch, of one another; each thread returns where it pleases."""
    sums = np.where(LANES > 20, 1000, LANES * (LANES + 1) // 2)
    check(result_of(called("triangle"), outside=FUNCTIONS), sums)
    twice = called("triangle", to="r1") + called("triangle", of="3") + "add.s32 r0, r0, r1;"
    check(result_of(twice, outside=FUNCTIONS), sums + 6)
    nested = called("twice_triangle", to="l0", bits=64) + "cvt.u32.u64 r0, l0;"
    check(result_of(nested, outside=FUNCTIONS), 2 * sums)
    branch = f"""mov.u32 r0, 7; and.b32 r1, t, 1; setp.ne.u32 p0, r1, 0; @p0 bra PAST;
        {called("triangle")} PAST:"""
    check(result_of(branch, outside=FUNCTIONS), np.where(LANES % 2 == 1, 7, sums))


def test_exit_in_a_function_ends_the_thread() -> None:
    body = called("ends") + "add.s32 r0, r0, 9;"
    check(result_of(body, outside=FUNCTIONS), np.where(LANES > 15, 0, LANES + 9))


def test_calls_that_are_not_understood() -> None:
    call = called("triangle").replace("call.uni", "@p0 call")
    fails("PTX line", f"setp.eq.u32 p0, t, 0; {call}", outside=FUNCTIONS)
    fails("PTX line", called("square"), outside=FUNCTIONS)
    parts = """{ .param .align 8 .b8 number[8]; .param .b32 back;
        st.param.b32 [number], t; st.param.b32 [number+4], 1;
        call.uni (back), triangle, (number); }"""
    fails("PTX line", parts, outside=FUNCTIONS)


def test_narrow_parameters_are_cut_off_and_extended() -> None:
    narrow = """.func (.param .b32 result) extended(.param .b8 number) {
        .reg .b32 n; ld.param.s8 n, [number]; st.param.b32 [result], n; ret; }"""
    body = """{ .param .b8 number; .param .b32 back; add.s32 r1, t, 496; st.param.b8 [number], r1;
        call.uni (back), extended, (number); ld.param.b32 r0, [back]; }"""
    check(result_of(body, outside=narrow), (LANES - 16).astype(np.int32).view(np.uint32))


def test_labels_belong_to_their_block() -> None:
    """Such as those of inline assembly, which may stand in a kernel twice."""
    loop = "{{ AGAIN: add.s32 r0, r0, {0}; setp.lt.u32 p0, r0, {1}; {{ @p0 bra AGAIN; }} }}"
    body = "mov.u32 r0, 0;" + loop.format(1, 3) + loop.format(10, 30)
    check(result_of(body), [33] * 32)
    fails("AGAIN", f"{body} bra AGAIN;")
    fails("AGAIN", "AGAIN: mov.u32 r0, 0; AGAIN: mov.u32 r1, 0;")


def shuffled(way: str, value: int, clamp: int) -> tuple[np.ndarray, np.ndarray]:
    """The ISA's words: which lane each lane reads, and whether it lies in its segment."""
    end, mask = clamp & 31, clamp >> 8 & 31
    sources, inside = np.empty(32, np.int64), np.empty(32, bool)
    for lane in range(32):
        least, most = lane & mask, (lane & mask) | (end & ~mask)
        j = {
            "up": lane - value, "down": lane + value, "bfly": lane ^ value,
            "idx": least | (value & ~mask),
        }[way]  # fmt: skip
        inside[lane] = j >= most if way == "up" else j <= most
        sources[lane] = j if inside[lane] else lane
    return sources, inside


@pytest.mark.parametrize("way", ["up", "down", "bfly", "idx"])
@pytest.mark.parametrize("width", [32, 16, 8, 1])
def test_shuffles_in_segments(way: str, width: int) -> None:
    clamp = (32 - width) << 8 | (0 if way == "up" else 31)
    for value in (0, 1, 3, 8, 17, 31):
        sources, inside = shuffled(way, value, clamp)
        body = f"""mul.lo.s32 r1, t, 7; mov.u32 r3, {value};
            shfl.sync.{way}.b32 r0|p0, r1, r3, {clamp}, 0xffffffff; @p0 add.s32 r0, r0, 1000;"""
        check(result_of(body), 7 * sources + 1000 * inside)
    # Only the lowest five bits of the distance count.
    sources, _ = shuffled(way, 1, clamp)
    check(result_of(f"shfl.sync.{way}.b32 r0, t, 33, {clamp}, -1;"), sources)


def test_shuffles_with_an_end_within_the_warp() -> None:
    for way in ("down", "bfly", "idx"):
        sources, inside = shuffled(way, 5, 11)
        body = f"shfl.sync.{way}.b32 r0|p0, t, 5, 11, -1; @p0 add.s32 r0, r0, 100;"
        check(result_of(body), sources + 100 * inside)


def test_each_lane_has_its_own_source() -> None:
    body = "xor.b32 r1, t, 21; mul.lo.s32 r2, t, t; shfl.sync.idx.b32 r0, r2, r1, 31, -1;"
    check(result_of(body), (LANES ^ 21) ** 2)
    check(result_of("mov.u32 r0, t; shfl.sync.down.b32 r0, r0, 1, 31, -1;"), [*range(1, 32), 31])


def test_threads_meet_again_before_a_shuffle() -> None:
    """Behind two ways of different lengths, and where it stands at the end of one of them."""
    meet = """and.b32 r1, t, 1; setp.eq.u32 p0, r1, 0; @p0 bra EVEN;
        mul.lo.s32 r2, t, 3; bra BOTH; EVEN: mov.u32 r2, t; add.s32 r2, r2, 0;
        BOTH: shfl.sync.bfly.b32 r0, r2, 1, 31, 0xffffffff;"""
    values = np.where(LANES % 2 == 1, 3 * LANES, LANES)
    check(result_of(meet), values[LANES ^ 1])
    halves = """setp.lt.u32 p0, t, 16; @!p0 bra UPPER;
        shfl.sync.idx.b32 r0, t, 3, 31, 0xffff; bra DONE;
        UPPER: shfl.sync.idx.b32 r0, t, 20, 31, 0xffff0000;
        DONE: bar.warp.sync -1;"""
    check(result_of(halves), np.where(LANES < 16, 3, 20))


def test_shuffles_that_cannot_be() -> None:
    absent = "shfl.sync.idx.b32 r0, t, %d, 31, -1;"
    check(result_of(absent % 10, 20), 10)
    fails("from a thread that is not there", absent % 25 + STORE_R0, np.zeros(20, "u4"), block=20)
    guarded = "setp.lt.u32 p0, t, 16; @p0 shfl.sync.bfly.b32 r0, t, {}, 31, 0xffff;"
    run(guarded.format(8))
    fails("from a thread that is not there", guarded.format(16))
    # Threads that name one another are at two instructions, of which neither comes first.
    apart = """setp.lt.u32 p0, t, 16; @p0 bra LOWER; shfl.sync.bfly.b32 r0, t, 16, 31, -1;
        bra DONE; LOWER: shfl.sync.bfly.b32 r0, t, 16, 31, -1; DONE:"""
    fails("wait for each other at different instructions", apart)
    uninvited = "shfl.sync.bfly.b32 r0, t, 1, 31, {};"
    run(uninvited.format(-1))
    fails("not among the threads", uninvited.format("0xffff"))


TEXT = """// A comment { with a brace;
.version 9.0
.target sm_90a
.address_size 64
.extern .func (.param .b32 back) elsewhere(.param .b32 number);
.visible .entry longer_name(.param .u64 to) .maxntid 64, 1, 1 .minnctapersm 2
{ .reg .b32 %r<3>; .reg .b64 %rd<2>; // another one: mov.u32 %r1, 5;
  ld.param.u64 %rd1, [to];
\tmov.u32 %r1, 7;
  st.global.u32 [%rd1], %r1; ret; }
.weak .entry longer() { ret; }
"""


def test_texts() -> None:
    """Comments, what is declared and not there, bounds, and kernels by their whole names."""
    found = np.zeros(1, np.uint32)
    machine().run(TEXT, "longer_name", [found], block=(32, 2, 1))
    assert found[0] == 7
    machine().run(TEXT, "longer", [])
    for text, name, block, match in (
        (TEXT, "long", 32, "no kernel is called long"),
        (TEXT, "longer_name", 65, "more threads than the kernel's bounds"),
        (TEXT + ".global .align 4 .b8 table[16];", "longer", 32, "not understood: .global"),
        (TEXT + ".entry open() { {", "open", 32, "does not end"),
        (TEXT.replace(".maxntid", ".reqntid"), "longer_name", 32, "reqntid"),
    ):
        arguments = [found] if name == "longer_name" else []
        with pytest.raises(RuntimeError, match=match):
            machine().run(text, name, arguments, block=(block, 1, 1))


def test_division_by_zero() -> None:
    for of in ("div.s32", "div.u32", "rem.s32"):
        run(f"mov.u32 r1, 3; {of} r0, t, r1;")
        fails("PTX line .*division by zero", f"{of} r0, 5, t;")


def test_what_is_not_known_is_named_with_its_line() -> None:
    body = "mov.u32 r0, 1;\npopc.b32 r0, r1;"
    lines = ptx_of(body).split("\n")
    line = 1 + next(i for i, text in enumerate(lines) if "popc" in text)
    fails(rf"PTX line {line}: no such instruction: popc\.b32 r0, r1", body)
    fails(r"PTX line \d+: nothing is called r99", "mov.u32 r99, 1;")
    fails("no label NOWHERE", "bra NOWHERE;")


@pytest.mark.parametrize(
    "instruction",
    [
        "add.sat.s32 r0, r1, r2", "add.cc.u32 r0, r1, r2", "mad.hi.s32 r0, r1, r2, r3",
        "mad.wide.s32 l0, r1, r2, l1", "mul24.lo.s32 r0, r1, r2", "min.relu.s32 r0, r1, r2",
        "setp.lt.s32 p0|p1, r0, r1", "setp.lt.and.s32 p0, r0, r1, p1", "bfi.b64 l0, l1, l2, r0, r1",
        "prmt.b32.f4e r0, r1, r2, r3", "bar.sync 1", "bar.sync 0, 64", "bar.arrive 0, 64",
        "bar.red.popc.u32 r0, 0, p0", "shfl.idx.b32 r0, r1, r2, r3", "cvt.sat.u8.s32 r0, r1",
        "vote.sync.any.pred p0, p1, -1", "shf.l.wrap.b32 r0, r1, r2, r3", "trap", "mov.b64 l0, r0",
        "lop3.b32 r0, r1, r2, r3, 6", "mul.lo.u32 r0, r1", "add.s64 l0, r0, l1",
        "add.s32 r0, r1, !r2", "cvt.rni.sat.f32.f32 f0, f1",
    ],
)  # fmt: skip
def test_unknown_forms_are_refused(instruction: str) -> None:
    fails(r"PTX line \d+: .*", f"{instruction};")
