"""The PTX machine's loads, stores and atomics, and what it says of wrong addresses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptx_kernels import check, fails, needs_nvcc, own_element, run

pytestmark = needs_nvcc

MEMORY = np.random.default_rng(1).integers(0, 256, 32 * 8, dtype=np.uint8)
# How a thread comes to the address of its element, of so many bytes, behind one of four spaces.
SHARED = ".shared .align 16 .b8 table[512];"
ADDRESSES = {
    "global": "",
    "generic": "cvta.global.u64 l31, l31;",
    "shared": f"{SHARED} mov.u32 r1, table; mad.lo.s32 r1, t, {{bytes}}, r1;",
    "generic shared": f"""{SHARED} mov.u64 l30, table; cvta.shared.u64 l30, l30;
        mul.wide.u32 l31, t, {{bytes}}; add.s64 l31, l31, l30;""",
}
# An array's 512 bytes to the table: 16 of each thread.
TO_TABLE = """
    mul.wide.u32 l0, t, 16; add.s64 l1, l0, a1; ld.global.v4.u32 {r10, r11, r12, r13}, [l1];
    mov.u32 r0, table; mad.lo.s32 r0, t, 16, r0; st.shared.v4.u32 [r0], {r10, r11, r12, r13};
    bar.sync 0;"""


def at(space: str, element_bytes: int) -> tuple[str, str, str]:
    """What comes before an access, the state space in its opcode, and the address."""
    before = own_element("a1", element_bytes) + ADDRESSES[space].format(bytes=element_bytes)
    if space == "shared":
        return before, ".shared", "[r1]"
    return before, ".global" if space == "global" else "", "[l31]"


LOADS = ["s8", "u8", "b8", "s16", "u16", "b16", "s32", "u32", "b32", "f32", "s64", "u64", "f64"]


@pytest.mark.parametrize("space", ADDRESSES)
@pytest.mark.parametrize("suffix", LOADS)
def test_loads_extend_to_the_whole_register(suffix: str, space: str) -> None:
    width = int(suffix[1:])
    elements = MEMORY.view(f"{'i' if suffix[0] == 's' else 'u'}{width // 8}")[:32]
    memory = np.tile(MEMORY, 2)
    before, state_space, address = at(space, width // 8)
    fill = TO_TABLE if "shared" in space else ""
    for bits, register in ((16, "h0"), (32, "r5"), (64, "l5")):
        if bits < width or (suffix[0] == "f" and bits != width):
            continue
        found = np.zeros(32, f"u{bits // 8}")
        store = f"{own_element('a0', bits // 8)} st.global.b{bits} [l31], {register};"
        body = f"{before}{fill} ld{state_space}.{suffix} {register}, {address}; {store}"
        run(body, found, memory)
        check(found, elements.astype(f"i{bits // 8}" if suffix[0] == "s" else found.dtype))


@pytest.mark.parametrize("space", ADDRESSES)
@pytest.mark.parametrize("width", [8, 16, 32, 64])
def test_stores_take_the_lowest_bits(width: int, space: str) -> None:
    before, state_space, address = at(space, width // 8)
    values = MEMORY.view(np.uint64)
    back = (
        f"ld{state_space}.u{width} l6, {address}; {own_element('a0', 8)} st.global.u64 [l31], l6;"
    )
    for register, bits in (("h0", 16), ("r5", 32), ("l5", 64)):
        if bits < width:
            continue
        found = np.zeros(32, np.uint64)
        take = f"mul.wide.u32 l0, t, 8; add.s64 l0, l0, a2; ld.global.u{bits} {register}, [l0];"
        body = f"{before}{take} st{state_space}.b{width} {address}, {register}; {back}"
        run(body, found, np.zeros(512, np.uint8), values)
        check(found, values & np.uint64((1 << width) - 1))


VECTORS = ["v2.u8", "v4.u8", "v2.u16", "v4.u16", "v2.u32", "v4.u32", "v4.f32", "v2.u64", "v2.f64"]


@pytest.mark.parametrize("space", ADDRESSES)
@pytest.mark.parametrize("vector", VECTORS)
def test_vectors(vector: str, space: str) -> None:
    count, width = int(vector[1]), int(vector.split(".")[1][1:])
    whole = count * width // 8
    names = {"u8": "r", "u16": "h", "u32": "r", "f32": "f", "u64": "l", "f64": "g"}[vector[3:]]
    some = [f"{names}{i + 2}" for i in range(count)]
    before, state_space, address = at(space, whole)
    take = own_element("a2", whole, "l0") + f"ld.global.{vector} {{{', '.join(some)}}}, [l0];"
    there = f"st{state_space}.{vector} {address}, {{{', '.join(some)}}};"
    # Back in another order, and one of them not at all.
    back = f"ld{state_space}.{vector} {{{', '.join(['_', *some[:-1]])}}}, {address};"
    home = f"{own_element('a0', whole)} st.global.{vector} [l31], {{{', '.join(some)}}};"
    values = np.random.default_rng(2).integers(0, 256, 32 * whole, dtype=np.uint8)
    found = np.zeros_like(values)
    run(f"{before}{take}{there}{back}{home}", found, np.zeros(512, np.uint8), values)
    elements = values.reshape(32, count, width // 8)
    expected = np.concatenate([elements[:, 1:], elements[:, -1:]], axis=1)
    check(found, expected.reshape(-1))


def test_hints_change_nothing() -> None:
    found, values = np.zeros(128, np.float32), np.arange(128, dtype=np.float32)
    load = f"{own_element('a1', 16)} ld.global.cg.v4.f32 {{f0, f1, f2, f3}}, [l31];"
    run(load + f"{own_element('a0', 16)} st.global.wb.v4.f32 [l31], {{f0, f1, f2, f3}};",
        found, values)  # fmt: skip
    check(found, values)
    run(f"{own_element('a0', 4)} ld.volatile.global.f32 f0, [l31]; add.f32 f0, f0, f0;"
        "st.volatile.global.f32 [l31], f0; membar.gl; membar.sys;", found)  # fmt: skip
    check(found[:32], 2 * values[:32])


def test_addresses_with_offsets() -> None:
    """Also negative ones, and none but an offset, which then is a name's."""
    found, values = np.zeros(4, np.uint32), np.arange(1, 9, dtype=np.uint32)
    table = ".shared .align 4 .b8 other[8]; .shared .align 4 .b8 words[16];"
    run(table + """setp.ne.u32 p0, t, 0; @p0 ret;
        add.s64 l0, a1, 16; ld.global.u32 r0, [l0+-12]; ld.global.u32 r1, [l0+12];
        st.shared.u32 [words], r0; st.shared.u32 [words+8], r1; mov.u32 r2, words;
        ld.shared.u32 r3, [r2+8]; ld.shared.u32 r4, [words]; add.s32 r2, r2, 12;
        st.shared.u32 [r2], 77; ld.shared.u32 r5, [words+12];
        st.global.v4.u32 [a0], {r3, r4, r5, 9};""", found, values)  # fmt: skip
    check(found, [8, 2, 77, 9])


def test_parameters() -> None:
    """A structure passed by value, field by field: by its name, and by its address."""
    structure = bytes(range(120, 152))
    fields = np.frombuffer(structure, np.uint8)
    found = np.zeros(5, np.uint64)
    run("""setp.ne.u32 p0, t, 0; @p0 ret;
        ld.param.s8 l0, [argument1+9]; st.global.u64 [a0], l0;
        ld.param.u16 r0, [argument1+2]; cvt.u64.u32 l0, r0; st.global.u64 [a0+8], l0;
        ld.param.v2.u32 {r0, r1}, [argument1+24]; mov.b64 l0, {r1, r0}; st.global.u64 [a0+16], l0;
        mov.b64 l1, argument1; cvta.param.u64 l2, l1; ld.u64 l0, [l2+16];
        st.global.u64 [a0+24], l0; ld.param.b64 l0, [argument1]; st.global.u64 [a0+32], l0;""",
        found, structure)  # fmt: skip
    words = fields.view(np.uint32)
    expected = [fields[9].astype(np.int8).astype(np.int64).view(np.uint64)]
    expected += [fields[2:4].view(np.uint16)[0], int(words[6]) << 32 | int(words[7])]
    check(found, [*expected, fields[16:24].view(np.uint64)[0], fields[:8].view(np.uint64)[0]])


UPDATES: dict[str, tuple[Any, int]] = {
    "add": (lambda values, start: start + values.sum(), 5),
    "max": (lambda values, start: max(start, values.max()), 0),
    "min": (lambda values, start: min(start, values.min()), 3),
}


# The sum of s64 has no name of its own: it is that of u64.
NAMES = [(name, suffix) for name in UPDATES for suffix in ("u32", "s32", "u64", "s64")
         if (name, suffix) != ("add", "s64")]  # fmt: skip


@pytest.mark.parametrize("space", ["global", "shared", "generic"])
@pytest.mark.parametrize(("name", "suffix"), NAMES)
def test_atomics(name: str, suffix: str, space: str) -> None:
    """Every thread finds what some other one, or nobody yet, has left."""
    dtype = np.dtype(f"{'i' if suffix[0] == 's' else 'u'}{int(suffix[1:]) // 8}")
    function, start = UPDATES[name]
    values = np.random.default_rng(3).permutation(32).astype(dtype) + 1
    if suffix[0] == "s":
        values -= 16
    register, width = ("r", 32) if dtype.itemsize == 4 else ("l", 64)
    of, found, place = np.zeros(32, dtype), values.copy(), np.array([start], dtype)
    where = f".{space}" if space != "generic" else ""
    address = "[a2]"
    fill = ""
    if space != "global":
        fill = f"""{SHARED} mov.u64 l9, table; setp.ne.u32 p0, t, 0; ld.global.b{width}
            {register}8, [a2]; @!p0 st.shared.b{width} [table], {register}8; bar.sync 0;"""
        address = "[table]" if space == "shared" else "[l9]"
        fill += "cvta.shared.u64 l9, l9;" if space == "generic" else ""
    back = ""
    if space != "global":
        back = f"bar.sync 0; ld.shared.b{width} {register}8, [table];"
        back += f"st.global.b{width} [a2], {register}8;"
    run(f"""{fill}{own_element("a1", dtype.itemsize)} ld.global.b{width} {register}5, [l31];
        atom{where}.{name}.{suffix} {register}6, {address}, {register}5;
        {own_element("a0", dtype.itemsize)} st.global.b{width} [l31], {register}6; {back}""",
        of, found, place)  # fmt: skip
    assert place[0] == function(values, np.array(start, dtype))
    # In some order, each update of what the one before left gives what the next one finds.
    following = {
        "add": of + values, "max": np.maximum(of, values), "min": np.minimum(of, values),
    }[name]  # fmt: skip
    assert sorted([start, *following.tolist()]) == sorted([*of.tolist(), place[0]])


def test_atomic_counter_that_wraps() -> None:
    """atom.inc goes back to 0 behind its operand; no register is needed for what was there."""
    place, of = np.array([0, 9], np.uint32), np.zeros(32, np.uint32)
    run(f"""atom.global.inc.u32 r0, [a0], 6; atom.global.inc.u32 _, [a0+4], 6;
        {own_element("a1", 4)} st.global.u32 [l31], r0;""", place, of)  # fmt: skip
    # 9 is beyond 6, so that the first of 32 makes 0 of it.
    check(place, [32 % 7, 31 % 7])
    assert sorted(of.tolist()) == sorted(i % 7 for i in range(32))


WORDS = np.zeros(32, np.uint32)
FIRST = "setp.ne.u32 p0, t, 0; @p0 ret;"
OUTSIDE = "access outside of the device's memory"
OUTSIDE_SHARED = "access outside of shared memory"
MISALIGNED = "misaligned access"
LAST = "mov.u32 r0, table; mov.u64 l0, table;"

# Accesses that are right, each with what is wrong beside it.
ACCESSES = [
    ("ld.global.u32 r9, [a0+124];", "ld.global.u32 r9, [a0+128];", OUTSIDE),
    ("ld.global.u32 r9, [a0];", "ld.global.u32 r9, [a0+-4];", OUTSIDE),
    ("st.global.u32 [a0+124], r9;", "st.global.u32 [a0+128], r9;", OUTSIDE),
    ("st.global.u8 [a0+127], r9;", "st.global.u8 [a0+128], r9;", OUTSIDE),
    ("ld.global.v4.u32 {r9, r8, r7, r6}, [a0+112];",
     "ld.global.v2.u64 {l9, l8}, [a0+128];", OUTSIDE),
    ("ld.u32 r9, [a0];", "mov.u64 l0, 64; ld.u32 r9, [l0];", OUTSIDE),
    ("atom.global.add.u32 r9, [a0+124], 1;", "atom.global.add.u32 r9, [a0+128], 1;", OUTSIDE),
    ("ld.shared.u32 r9, [table+508];", "ld.shared.u32 r9, [table+512];", OUTSIDE_SHARED),
    ("st.shared.u32 [table+508], r9;", "st.shared.u32 [table+512], r9;", OUTSIDE_SHARED),
    ("ld.shared.u32 r9, [table];", "ld.shared.u32 r9, [table+-4];", OUTSIDE_SHARED),
    ("ld.shared.u32 r9, [l0];", "mov.u64 l0, -4; ld.shared.u32 r9, [l0];", OUTSIDE_SHARED),
    ("atom.shared.min.s32 r9, [r0+508], 1;", "atom.shared.min.s32 r9, [r0+512], 1;",
     OUTSIDE_SHARED),
    ("cvta.shared.u64 l0, l0; ld.u32 r9, [l0];", "ld.u32 r9, [l0];", OUTSIDE),
    ("cvta.shared.u64 l0, l0; ld.u32 r9, [l0+508];", "cvta.shared.u64 l0, l0; ld.u32 r9, [l0+512];",
     OUTSIDE),
    ("cvta.shared.u64 l0, l0; st.u32 [l0], r9;", "cvta.shared.u64 l0, l0; st.global.u32 [l0], r9;",
     OUTSIDE),
    ("ld.shared.u32 r9, [r0];", "cvta.shared.u64 l0, l0; ld.shared.u32 r9, [l0];", OUTSIDE_SHARED),
    ("cvta.shared.u64 l0, l0; cvta.to.shared.u64 l0, l0; ld.shared.u32 r9, [l0];",
     "cvta.to.shared.u64 l0, a0; ld.shared.u32 r9, [l0];", OUTSIDE_SHARED),
    ("ld.global.u16 r9, [a0+2];", "ld.global.u32 r9, [a0+2];", MISALIGNED),
    ("ld.global.v4.f32 {f0, f1, f2, f3}, [a0+16];", "ld.global.v4.f32 {f0, f1, f2, f3}, [a0+8];",
     MISALIGNED),
    ("st.global.v2.u32 [a0+8], {r9, r8};", "st.global.v2.u32 [a0+4], {r9, r8};", MISALIGNED),
    ("ld.shared.v2.u32 {r9, r8}, [r0+8];", "ld.shared.v2.u32 {r9, r8}, [r0+4];", MISALIGNED),
    ("cvta.shared.u64 l0, l0; ld.v4.u32 {r9, r8, r7, r6}, [l0+16];",
     "cvta.shared.u64 l0, l0; ld.v4.u32 {r9, r8, r7, r6}, [l0+8];", MISALIGNED),
    ("ld.param.u64 l9, [argument0];", "ld.param.u64 l9, [argument0+8];", "outside of the param"),
    ("ld.param.u32 r9, [argument0+4];", "ld.param.u32 r9, [argument0+-4];",
     "outside of the param"),
    ("mov.b64 l0, argument0; cvta.param.u64 l0, l0; ld.u32 r9, [l0];",
     "mov.b64 l0, argument0; cvta.param.u64 l0, l0; st.u32 [l0], r9;", "a parameter"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "match"), ACCESSES)
def test_wrong_addresses(right: str, wrong: str, match: str) -> None:
    run(SHARED + LAST + FIRST + right, WORDS)
    fails(match, SHARED + LAST + FIRST + wrong, WORDS)


def test_an_error_names_the_place() -> None:
    body = "\n".join([SHARED, "setp.ne.u32 p0, t, 70;", "@p0 ret;", "ld.global.u32 r9, [a0+256];"])
    with pytest.raises(RuntimeError) as error:
        run(body, WORDS, block=96)
    for words in (r"kernel, block (0, 0, 0), warp 2, PTX line ", OUTSIDE, "of 4 bytes at address"):
        assert words in str(error.value)


def test_memory_that_nobody_wrote_is_no_number() -> None:
    found = np.zeros(32, np.float32)
    run(f"{SHARED} {own_element('a0', 4)} mov.u32 r0, table; mad.lo.s32 r0, t, 4, r0;"
        "ld.shared.f32 f0, [r0]; st.global.f32 [l31], f0;", found)  # fmt: skip
    assert np.isnan(found).all()


def test_shared_memory_has_its_limits() -> None:
    """The static part counts; what a launch adds lies behind it, aligned."""
    outside = ".extern .shared .align 16 .b8 rest[];"
    body = """.shared .align 4 .b8 first[4]; setp.ne.u32 p0, t, 0; @p0 ret; mov.u32 r0, first;
        mov.u32 r1, rest; sub.s32 r2, r1, r0; st.global.v2.u32 [a0], {r2, r1};
        ld.shared.u32 r3, [rest+%d];"""
    found = np.zeros(2, np.uint32)
    most = 227 * 1024 - 16
    run(body % (most - 4), found, outside=outside, dynamic_shared=most)
    assert found[0] == 16 and found[1] % 16 == 0
    fails("too much shared memory", body % 0, found, outside=outside, dynamic_shared=most + 4)
    fails(OUTSIDE_SHARED, body % 64, found, outside=outside, dynamic_shared=64)


@pytest.mark.parametrize(
    "instruction",
    [
        "ld.local.u32 r0, [l0]", "ld.const.u32 r0, [l0]", "atom.global.cas.b32 r0, [l0], r1, r2",
        "atom.global.exch.b32 r0, [l0], r1", "atom.global.add.f32 f0, [l0], f1",
        "red.global.add.u32 [l0], r1", "st.async.weak.b32 [r0], r1, [r2]", "st.local.u32 [l0], r0",
        "ld.global.b128 l0, [l1]", "atom.global.and.b32 r0, [l0], r1",
        "atom.add.noftz.f16 h0, [l0], h1",
    ],
)  # fmt: skip
def test_unknown_accesses_are_refused(instruction: str) -> None:
    fails(r"PTX line \d+: .*", f"{instruction};", WORDS)
