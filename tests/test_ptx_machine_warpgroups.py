"""The PTX machine's wgmma: products of tiles in shared memory by four warps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptx_kernels import check, fails, needs_nvcc, run

pytestmark = needs_nvcc

RANDOM = np.random.default_rng(5)
OUTSIDE = ".extern .shared .align 1024 .b8 tiles[];"

# All 128 threads bring a2's bytes to shared memory, 16 at a time; r21 is where they begin.
FILL = """mov.u32 r21, tiles; mul.wide.u32 l0, t, 16; add.s64 l0, l0, a2;
    mad.lo.s32 r22, t, 16, r21; mov.u32 r23, t; FILL: ld.global.v4.u32 {r24, r25, r26, r27}, [l0];
    st.shared.v4.u32 [r22], {r24, r25, r26, r27}; add.s32 r22, r22, 2048; add.s64 l0, l0, 2048;
    add.s32 r23, r23, 128; setp.lt.u32 p2, r23, %d; @p2 bra FILL;
    fence.proxy.async.shared::cta; bar.sync 0;"""
FENCE, COMMIT = "wgmma.fence.sync.aligned;", "wgmma.commit_group.sync.aligned;"
WAIT = "wgmma.wait_group.sync.aligned %d;"


def bits(values: np.ndarray, kind: str) -> np.ndarray:
    """Elements as tiles hold them, as bytes along the last axis."""
    as_float = values.astype(np.float32)
    of = as_float if kind == "tf32" else (as_float.view(np.uint32) >> 16).astype(np.uint16)
    return np.ascontiguousarray(of)[..., None].view(np.uint8)


def swizzled(lines: np.ndarray) -> np.ndarray:
    """Lines of 128 bytes, each with its groups of 16 bytes swapped by its number modulo 8."""
    groups = lines.reshape(-1, 8, 16)
    result = np.empty_like(groups)
    for i in range(groups.shape[0]):
        for group in range(8):
            result[i, group ^ (i % 8)] = groups[i, group]
    return result.reshape(-1)


def along(matrix: np.ndarray, kind: str) -> np.ndarray:
    """A line for each row: 128 bytes of its depth."""
    return swizzled(bits(matrix, kind).reshape(-1, 128))


def across(matrix: np.ndarray) -> np.ndarray:
    """A line for each element of the depth: 64 rows side by side, then the next 64 rows."""
    blocks = [matrix[i : i + 64].T for i in range(0, matrix.shape[0], 64)]
    return swizzled(bits(np.concatenate(blocks), "bf16").reshape(-1, 128))


def descriptor(register: str, first: str, leading: int, stride: int = 1024) -> str:
    """The ISA's matrix descriptor, all in units of 16 bytes, with the 128-byte swizzle."""
    rest = (leading >> 4) << 16 | (stride >> 4) << 32 | 1 << 62
    return f"""cvt.u64.u32 {register}, {first}; shr.u64 {register}, {register}, 4;
        and.b64 {register}, {register}, 0x3fff; or.b64 {register}, {register}, {rest};"""


def product(kind: str, columns: int, depth: int, options: str, add: str = "p3", first: int = 0,
            tiles: str = "l10, l11") -> str:  # fmt: skip
    sums = ", ".join(f"f{first + i}" for i in range(columns // 2))
    opcode = f"wgmma.mma_async.sync.aligned.m64n{columns}k{depth}.f32.{kind}.{kind}"
    return f"{opcode} {{{sums}}}, {tiles}, {add}, {options};"


def store(count: int, first: int = 0) -> str:
    """A thread's sums to its line of a0."""
    lines = [f"mul.wide.u32 l20, t, {4 * count}; add.s64 l20, l20, a0;"]
    lines += [f"st.global.f32 [l20+{4 * i}], f{first + i};" for i in range(count)]
    return "\n".join(lines)


def start(count: int, value: str = "0f00000000") -> str:
    return "\n".join(f"mov.f32 f{i}, {value};" for i in range(count))


def in_fragments(sums: np.ndarray) -> np.ndarray:
    """The ISA's layout of D: a line for each of the 128 threads."""
    t, i = np.meshgrid(np.arange(128), np.arange(sums.shape[1] // 2), indexing="ij")
    rows = 16 * (t // 32) + t % 32 // 4 + 8 * (i // 2 % 2)
    return sums[rows, 8 * (i // 4) + t % 4 * 2 + i % 2].astype(np.float32)


def multiplied(body: str, a: np.ndarray, b: np.ndarray, count: int) -> np.ndarray:
    """The sums that are stored; p3 is true, p5 is not."""
    found = np.zeros((128, count), np.float32)
    memory = np.concatenate([a, b])
    assert memory.size % 2048 == 0
    body = f"setp.eq.u32 p3, t, t; not.pred p5, p3; {FILL % (memory.size // 16)} {body}"
    options: dict[str, Any] = {"outside": OUTSIDE, "block": 128, "dynamic_shared": memory.size}
    run(body, found, a.size, memory, **options)
    return found


def operands(kind: str, columns: int, depth: int) -> tuple[np.ndarray, np.ndarray]:
    return RANDOM.integers(-9, 10, (64, depth)), RANDOM.integers(-9, 10, (columns, depth))


AT_TILES = descriptor("l10", "r21", 16) + "add.s32 r28, r21, a1;" + descriptor("l11", "r28", 16)


@pytest.mark.parametrize("columns", [64, 128, 256])
@pytest.mark.parametrize("kind", ["bf16", "tf32"])
def test_tiles_along_the_depth(kind: str, columns: int) -> None:
    """The first product sets the sums, three more add to them, each 32 bytes further on."""
    depth = 16 if kind == "bf16" else 8
    a, b = operands(kind, columns, 4 * depth)
    options = "1, 1, 0, 0" if kind == "bf16" else "1, 1"
    one = product(kind, columns, depth, options)
    next_ = "add.s64 l10, l10, 2; add.s64 l11, l11, 2;"
    body = f"""{AT_TILES} {start(columns // 2, "0f7FC00000")} {FENCE}
        {one.replace("p3", "p5")} {next_} {one} {next_} {one} {next_} {one} {COMMIT} {WAIT % 0}
        {store(columns // 2)}"""
    found = multiplied(body, along(a, kind), along(b, kind), columns // 2)
    check(found.reshape(-1), in_fragments(a @ b.T).reshape(-1))


@pytest.mark.parametrize("columns", [64, 128, 256])
def test_tiles_across_the_depth(columns: int) -> None:
    """Both operands, each alone, and the next product's 16 lines further on."""
    a, b = operands("bf16", columns, 64)
    leading = 64 * 128
    for a_across, b_across in ((1, 1), (1, 0), (0, 1)):
        one = product("bf16", columns, 16, f"1, 1, {a_across}, {b_across}")
        next_ = f"add.s64 l10, l10, {128 if a_across else 2};"
        next_ += f"add.s64 l11, l11, {128 if b_across else 2};"
        tiles = descriptor("l10", "r21", leading) + "add.s32 r28, r21, a1;"
        tiles += descriptor("l11", "r28", leading)
        body = f"""{tiles} {start(columns // 2, "0f3F800000")} {FENCE}
            {one} {next_} {one} {next_} {one} {next_} {one} {COMMIT} {WAIT % 0}
            {store(columns // 2)}"""
        of_a = across(a) if a_across else along(a, "bf16")
        of_b = across(b) if b_across else along(b, "bf16")
        found = multiplied(body, of_a, of_b, columns // 2)
        check(found.reshape(-1), in_fragments(a @ b.T + 1).reshape(-1))


def test_groups_of_products() -> None:
    """The older group is done, the newer is not, and is not seen."""
    a, b = operands("bf16", 64, 64)
    first = product("bf16", 64, 16, "1, 1, 0, 0")
    second = product("bf16", 64, 16, "1, 1, 0, 0", first=32, tiles="l12, l13")
    begin = f"""{AT_TILES} add.s64 l12, l10, 2; add.s64 l13, l11, 2; {start(64)} {FENCE}
        {first} {COMMIT} {second} {COMMIT}"""
    tiles = along(a, "bf16"), along(b, "bf16")
    early = multiplied(f"{begin} {WAIT % 1} {store(64)} {WAIT % 0}", *tiles, 64)
    older = in_fragments(a[:, :16] @ b[:, :16].T)
    newer = in_fragments(a[:, 16:32] @ b[:, 16:32].T)
    check(early, np.concatenate([older, np.zeros((128, 32), np.float32)], 1))
    late = multiplied(f"{begin} {WAIT % 1} {WAIT % 0} {store(64)}", *tiles, 64)
    check(late, np.concatenate([older, newer], 1))


ONE = product("bf16", 64, 16, "1, 1, 0, 0")
RIGHT = f"{AT_TILES} {start(32)} {FENCE} {ONE} {COMMIT} {WAIT % 0}"


@pytest.fixture(scope="module")
def tiles() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two tiles and their product."""
    a, b = operands("bf16", 64, 64)
    return along(a, "bf16"), along(b, "bf16"), in_fragments(a[:, :16] @ b[:, :16].T)


def test_sums_and_tiles_are_in_use_until_the_wait(
    tiles: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    """Whoever reads the sums, or writes to a tile, too early gets something else."""
    of_a, of_b, expected = tiles
    check(multiplied(RIGHT + store(32), of_a, of_b, 32).reshape(-1), expected.reshape(-1))
    early = RIGHT.replace(WAIT % 0, store(32)) + WAIT % 0
    check(multiplied(early, of_a, of_b, 32).reshape(-1), 0.0)
    overwritten = RIGHT.replace(WAIT % 0, "st.shared.u32 [r21], 0; bar.sync 0;" + WAIT % 0)
    assert (multiplied(overwritten + store(32), of_a, of_b, 32) != expected).any()


def test_products_that_are_wrong(tiles: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    of_a, of_b, _ = tiles
    multiplied(RIGHT, of_a, of_b, 32)

    def wrong(match: str, before: str, after: str) -> None:
        assert before in RIGHT
        with pytest.raises(RuntimeError, match=match):
            multiplied(RIGHT.replace(before, after), of_a, of_b, 32)

    wrong("under way", WAIT % 0, "")
    wrong("under way", COMMIT, "")
    wrong("under way", WAIT % 0, WAIT % 1)
    wrong("disagree whether to add", FENCE, f"setp.lt.u32 p3, t, 5; {FENCE}")
    wrong("different descriptors", FENCE, f"cvt.u64.u32 l9, t; add.s64 l10, l10, l9; {FENCE}")
    wrong("only the swizzle of 128", FENCE, f"xor.b64 l10, l10, 0xC000000000000000; {FENCE}")
    wrong("base offset", FENCE, f"or.b64 l10, l10, 0x2000000000000; {FENCE}")
    wrong("outside of shared memory", FENCE, f"add.s64 l11, l11, 2048; {FENCE}")
    wrong("missing|wait for each other", ONE, f"setp.lt.u32 p6, t, 20; @p6 {ONE}")
    wrong("four warps", ONE, f"setp.ge.u32 p6, t, 96; @p6 bra PAST; {ONE} PAST:")


@pytest.mark.parametrize(
    "form",
    [
        ONE.replace("1, 1, 0, 0", "-1, 1, 0, 0"), ONE.replace("1, 1, 0, 0", "1, -1, 0, 0"),
        ONE.replace("m64n64k16", "m64n128k16"), ONE.replace("m64n64k16", "m64n64k8"),
        ONE.replace(".bf16.bf16", ".f16.f16"), ONE.replace(".f32.", ".f16."),
        ONE.replace("mma_async", "mma_async.sp"), ONE.replace("l10,", "{r0, r1, r2, r3},"),
        product("tf32", 64, 8, "1, 1, 0, 0"), ONE.replace("1, 1, 0, 0", "1, 1"),
    ],
)  # fmt: skip
def test_unknown_products_are_refused(form: str) -> None:
    fails(r"PTX line \d+: .*", form, block=128)


def test_registers_change_hands() -> None:
    """Of warps as a whole; there are as many as anybody wants."""
    body = "setmaxnreg.dec.sync.aligned.u32 40; setmaxnreg.inc.sync.aligned.u32 232;"
    run(body, block=128)
    fails("missing", f"setp.lt.u32 p0, t, 20; @p0 {body}", block=128)


def test_block_sizes() -> None:
    """A warpgroup's four warps, of which the first has a multiple of 4 for its number."""
    fails("four warps", RIGHT.replace("a1", "0"), block=96, outside=OUTSIDE, dynamic_shared=16384)
