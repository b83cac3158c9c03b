"""The PTX machine's copies and products that run by themselves: nothing of them is there before it
was waited for."""

from __future__ import annotations

import numpy as np
import pytest

from ptx_kernels import check, fails, needs_nvcc, own_element, run

pytestmark = needs_nvcc

TABLE = ".shared .align 16 .b8 table[2048]; mov.u32 r1, table;"
UNDER_WAY = "under way"


def copied(bytes_: int, read: object, order: str, count: int = 1, way: str = "cg") -> np.ndarray:
    """What threads find in shared memory, 16 bytes each, when they have copied from 1, 2, 3 .."""
    found = np.zeros((32, 16 * count), np.uint8)
    source = np.arange(32 * 16 * count, dtype=np.uint16).astype(np.uint8) + np.uint8(1)
    reads = np.broadcast_to(np.asarray(read, np.uint32), 32).copy()
    copy = f"""cp.async.{way}.shared.global [r2], [l1], {bytes_}, r5;
        add.s32 r2, r2, 16; add.s64 l1, l1, 16;"""
    show = """ld.shared.v4.u32 {{r10, r11, r12, r13}}, [r3+{0}];
        st.global.v4.u32 [l2+{0}], {{r10, r11, r12, r13}};"""
    shows = [show.format(16 * i) for i in range(count)]
    order = order.format(*[copy] * count, show=" ".join(shows))
    run(f"""{TABLE} mad.lo.s32 r2, t, {16 * count}, r1; mov.u32 r3, r2;
        {own_element("a1", 16 * count, "l1")} {own_element("a0", 16 * count, "l2")}
        {own_element("a2", 4)} ld.global.u32 r5, [l31]; {order}""",
        found, source, reads)  # fmt: skip
    return found.reshape(32, count, 16)


SOURCE = (np.arange(32 * 64, dtype=np.uint16).astype(np.uint8) + np.uint8(1)).reshape(32, 4, 16)
WAIT_FOR_ALL = "cp.async.commit_group; cp.async.wait_group 0; {show}"


@pytest.mark.parametrize(("way", "bytes_"), [("cg", 16), ("ca", 16), ("ca", 8), ("ca", 4)])
def test_copies_fill_with_zeros(way: str, bytes_: int) -> None:
    """What a thread does not read is 0; what it does not copy stays as it is."""
    reads = np.arange(32) % (bytes_ + 1)
    found = copied(bytes_, reads, "{0}" + WAIT_FOR_ALL, way=way)[:, 0]
    expected = SOURCE.reshape(-1)[: 32 * 16].reshape(32, 16).copy()
    expected[np.arange(16) >= reads[:, None]] = 0
    expected[:, bytes_:] = 0xFF  # as nobody wrote it
    check(found.reshape(-1), expected.reshape(-1))


def test_a_copy_reads_no_more_than_it_was_told() -> None:
    """So that it may begin just before the end of an array."""
    source = np.arange(1, 25, dtype=np.uint8)
    found = np.zeros(16, np.uint8)
    body = (
        TABLE
        + """setp.ne.u32 p0, t, 0; @p0 ret; add.s64 l0, a1, 16;
        mov.u32 r2, {read}; cp.async.cg.shared.global [r1], [l0], 16, r2; cp.async.commit_group;
        cp.async.wait_group 0; ld.shared.v2.u64 {{l1, l2}}, [r1];
        st.global.v2.u64 [a0], {{l1, l2}};"""
    )
    run(body.format(read=8), found, source)
    check(found, [*range(17, 25), *[0] * 8])
    fails("outside of the device's memory", body.format(read=9), found, source)


@pytest.mark.parametrize(
    ("order", "arrived"),
    [
        ("{0} cp.async.commit_group; {1} cp.async.commit_group; cp.async.wait_group 1;", (1, 0, 0)),
        ("{0} cp.async.commit_group; {1} cp.async.commit_group; cp.async.wait_group 0;", (1, 1, 0)),
        ("{0} cp.async.commit_group; {1} {2} cp.async.commit_group; cp.async.wait_group 1;",
         (1, 0, 0)),
        ("{0} {1} cp.async.commit_group; {2} cp.async.wait_group 0;", (1, 1, 0)),
        ("{0} cp.async.commit_group; {1} cp.async.commit_group; cp.async.commit_group;"
         "cp.async.wait_group 1;", (1, 1, 0)),
        ("{0} cp.async.commit_group; {1} cp.async.commit_group; {2} cp.async.commit_group;"
         "cp.async.wait_group 2; cp.async.wait_group 2;", (1, 0, 0)),
        ("{0} cp.async.commit_group; {1} {2} cp.async.commit_group; bar.sync 0;", (0, 0, 0)),
    ],
)  # fmt: skip
def test_groups_of_copies(order: str, arrived: tuple[int, ...]) -> None:
    """All but the newest groups arrive; the rest is not there until it is waited for."""
    later = "cp.async.commit_group; cp.async.wait_group 0;"
    found = copied(16, 16, order + "{show}" + later, count=3)
    source = SOURCE.reshape(-1)[: 32 * 48].reshape(32, 3, 16)
    expected = np.where(np.array(arrived)[:, None] == 1, source, 0xFF)
    check(found.reshape(-1), expected.astype(np.uint8).reshape(-1))


def test_threads_have_groups_of_their_own() -> None:
    """A thread that copied nothing since has a group less under way."""
    order = """{0} cp.async.commit_group; setp.lt.u32 p0, t, 16; @!p0 bra WAIT;
        cp.async.commit_group; WAIT: cp.async.wait_group 1; {show} cp.async.wait_group 0;"""
    found = copied(16, 16, order)
    source = SOURCE.reshape(-1)[: 32 * 16].reshape(32, 16)
    expected = np.where(np.arange(32)[:, None] < 16, source, 0xFF)
    check(found.reshape(-1), expected.astype(np.uint8).reshape(-1))


COPY = "mov.u32 r2, 16; cp.async.cg.shared.global [r1], [a0], 16, r2;"
ARRIVES = "cp.async.commit_group; cp.async.wait_group 0;"


def test_copies_that_are_wrong() -> None:
    words = np.zeros(8, np.uint32)
    run(TABLE + COPY + ARRIVES, words)
    for ends in ("", "cp.async.commit_group;", "cp.async.wait_group 0;",
                 "cp.async.commit_group; cp.async.wait_group 1;"):  # fmt: skip
        fails(UNDER_WAY, TABLE + COPY + ends, words)
    more = COPY.replace("r2, 16", "r2, 17")
    fails("reads more than it copies", TABLE + more + ARRIVES, words)
    for change, match in {
        "add.s32 r1, r1, 8;": "misaligned", "add.s64 a0, a0, 8;": "misaligned",
        "add.s32 r1, r1, 2048;": "outside of shared memory",
        "add.s64 a0, a0, 32;": "outside of the device's memory",
    }.items():  # fmt: skip
        fails(match, TABLE + change + COPY + ARRIVES, words)


def test_unknown_copies_are_refused() -> None:
    words = np.zeros(8, np.uint32)
    for unknown in ("cp.async.ca.shared.global [r1], [a0], 8, r2;", "cp.async.wait_all;",
                    "cp.async.cg.shared.global [r1], [a0], 4, r2;",
                    "cp.async.bulk.commit_group;"):  # fmt: skip
        fails("PTX line", f"{TABLE} {unknown}", words)


BARRIER = ".shared .align 8 .b8 barriers[16]; mov.u32 r20, barriers; add.s32 r21, r20, 8;"
INIT = """setp.eq.u32 p0, t, 0; @p0 mbarrier.init.shared::cta.b64 [r20], {};
    fence.mbarrier_init.release.cluster; fence.proxy.async.shared::cta; bar.sync 0;"""
TEST = "mbarrier.try_wait.parity.shared::cta.b64 p1, [r20], {}; selp.u32 r2, 1, 0, p1;"
NOTE = "add.s32 r0, r0, r0; add.s32 r0, r0, r2;"
ARRIVE = "mbarrier.arrive.shared::cta.b64 _, [r20];"


def test_phases_of_a_barrier() -> None:
    """Parity 1 has ended before the first phase; an arrival too few, and nothing ends."""
    both = TEST.format(0) + NOTE + TEST.format(1) + NOTE
    some = f"setp.ne.u32 p2, t, 31; @p2 {ARRIVE} {both} @!p2 {ARRIVE} bar.warp.sync -1; {both}"
    found = np.zeros(32, np.uint32)
    run(f"""{BARRIER} {INIT.format(32)} mov.u32 r0, 1; {both} {some} {some} {some}
        {own_element("a0", 4)} st.global.u32 [l31], r0;""", found)  # fmt: skip
    # Before the first phase, then before and behind the ends of three phases: (0 ended, 1 ended).
    digits = [(0, 1), (0, 1), (1, 0), (1, 0), (0, 1), (0, 1), (1, 0)]
    expected = int("1" + "".join(f"{a}{b}" for a, b in digits), 2)
    check(found, [expected] * 32)


WAIT = """{{ LOOP: mbarrier.try_wait.parity.shared::cta.b64 p1, [{}], {}; @!p1 bra LOOP; }}"""


@pytest.mark.parametrize("order", ["forward", "reverse"])
def test_producers_and_consumers(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word at a time goes from one warp to another, for as many rounds that parities repeat."""
    monkeypatch.setenv("NEURONA_PTX_MACHINE_ORDER", order)
    found = np.zeros((6, 32), np.uint32)
    produce = f"""{WAIT.format("r21", "r6")} mad.lo.s32 r0, r5, 100, t; st.shared.u32 [r9], r0;
        mbarrier.arrive.shared::cta.b64 _, [r20];"""
    consume = f"""{WAIT.format("r20", "r7")} ld.shared.u32 r0, [r9]; st.global.u32 [l31], r0;
        add.s64 l31, l31, 128; mbarrier.arrive.shared::cta.b64 _, [r21];"""
    run(f"""{BARRIER} {TABLE} {own_element("a0", 4)} setp.eq.u32 p0, t, 0;
        @p0 mbarrier.init.shared::cta.b64 [r20], 32; @p0 mbarrier.init.shared::cta.b64 [r21], 32;
        bar.sync 0; setp.ge.u32 p2, t, 32; and.b32 r8, t, 31; mad.lo.s32 r9, r8, 4, r1;
        mov.u32 r5, 0; @p2 sub.s64 l31, l31, 128;
        ROUND: and.b32 r7, r5, 1; xor.b32 r6, r7, 1;
        @p2 bra CONSUME; {produce} bra NEXT; CONSUME: {consume}
        NEXT: add.s32 r5, r5, 1; setp.lt.u32 p3, r5, 6; @p3 bra ROUND;""",
        found, block=64)  # fmt: skip
    check(found.reshape(-1), (np.arange(6)[:, None] * 100 + np.arange(32)).reshape(-1))


def test_threads_of_a_warp_wait_for_one_another() -> None:
    """One thread waits in a loop for what the others do behind it."""
    run(f"""{BARRIER} {INIT.format(31)} setp.ne.u32 p2, t, 5; @p2 bra ARRIVES;
        {WAIT.format("r20", 0)} bra DONE; ARRIVES: {ARRIVE} DONE:""")
    run(f"""{BARRIER} {INIT.format(31)} setp.eq.u32 p2, t, 5; @p2 bra WAITS;
        {ARRIVE} bra DONE; WAITS: {WAIT.format("r20", 0)} DONE:""")


def test_barriers_that_are_wrong() -> None:
    waits = WAIT.format("r20", 0)
    run(f"{BARRIER} {INIT.format(32)} {ARRIVE} {waits}")
    fails("waits for ever", f"{BARRIER} {INIT.format(33)} {ARRIVE} {waits}")
    fails("waits for ever", f"{BARRIER} {INIT.format(32)} {ARRIVE} {WAIT.format('r20', 1)}")
    some = "setp.lt.u32 p0, t, {};"
    run(f"{BARRIER} {INIT.format(31)} {some.format(31)} @p0 {ARRIVE}")
    fails("no barrier was made", f"{BARRIER} {ARRIVE}")
    fails("no barrier was made", f"{BARRIER} {INIT.format(32)} add.s32 r20, r20, 8; {ARRIVE}")
    fails("misaligned", f"{BARRIER} add.s32 r20, r20, 4; {INIT.format(1)}")
    fails("no arrival", f"{BARRIER} {INIT.format(0)}")
    expecting = "mbarrier.arrive.expect_tx.shared::cta.b64 _, [r20], 16;"
    fails("waits for ever", f"{BARRIER} {INIT.format(1)} @p0 {expecting} {waits}")
    for unknown in ("mbarrier.arrive.shared::cta.b64 l0, [r20];",
                    "mbarrier.arrive.shared::cta.b64 _, [r20], 2;",
                    "mbarrier.test_wait.parity.shared::cta.b64 p0, [r20], 0;",
                    "mbarrier.inval.shared::cta.b64 [r20];",
                    "mbarrier.arrive_drop.shared::cta.b64 _, [r20];"):  # fmt: skip
        fails("PTX line", f"{BARRIER} {INIT.format(32)} {unknown}")


def test_too_many_arrivals() -> None:
    """More than the phase counts begin the next one; a phase that misses bytes takes no more."""
    run(f"{BARRIER} {INIT.format(16)} {ARRIVE}")
    announced = "@p0 mbarrier.arrive.expect_tx.shared::cta.b64 _, [r20], 16;"
    fails("more arrivals", f"{BARRIER} {INIT.format(1)} {announced} @p0 {ARRIVE}")
