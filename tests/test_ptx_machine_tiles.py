"""The PTX machine's tiles: loads by the copy engine, matrices in fragments, products of tiles.

What is expected is computed with NumPy, from the layouts that the PTX ISA draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from ptx_kernels import check, fails, machine, needs_nvcc, own_element, run

pytestmark = needs_nvcc

RANDOM = np.random.default_rng(4)
TILE = ".extern .shared .align 1024 .b8 tile[];"
BARRIER = """.shared .align 8 .b8 barrier[8]; mov.u32 r20, barrier; setp.eq.u32 p0, t, 0;
    @p0 mbarrier.init.shared::cta.b64 [r20], 1; fence.mbarrier_init.release.cluster; bar.sync 0;
    mov.u32 r21, tile;"""
WAIT = "WAIT: mbarrier.try_wait.parity.shared::cta.b64 p1, [r20], 0; @!p1 bra WAIT;"
# All threads copy the tile to the first array, 16 bytes at a time.
SHOW = """mul.wide.u32 l0, t, 16; add.s64 l0, l0, a0; mad.lo.s32 r22, t, 16, r21; mov.u32 r23, t;
    COPY: ld.shared.v4.u32 {r24, r25, r26, r27}, [r22]; st.global.v4.u32 [l0], {r24, r25, r26, r27};
    add.s32 r22, r22, 512; add.s64 l0, l0, 512; add.s32 r23, r23, 32;
    setp.lt.u32 p2, r23, %d; @p2 bra COPY;"""
EXPECT = "mbarrier.arrive.expect_tx.shared::cta.b64 _, [r20], %d;"


def load_of(rank: int, kind: str, first: list[int], beside: list[int] | None = None) -> str:
    """A thread's load of a tile, of a1's map, to r21."""
    coordinates, offsets = enumerate(first), enumerate(beside or [])
    moves = [f"mov.u32 r{30 + i}, {number};" for i, number in coordinates]
    moves += [f"mov.u16 h{i}, {offset};" for i, offset in offsets]
    at = ", ".join(f"r{30 + i}" for i in range(len(first)))
    more = ", ".join(f"h{i}" for i in range(len(beside or [])))
    opcode = f"cp.async.bulk.tensor.{rank}d.shared::cluster.global.{kind}"
    opcode += ".mbarrier::complete_tx::bytes"
    operands = f"[r21], [a1, {{{at}}}], [r20]" + (f", {{{more}}}" if beside else "")
    return f"{' '.join(moves)} @p0 {opcode} {operands};"


def straight(tile: np.ndarray) -> np.ndarray:
    """Lines of 128 bytes whose groups of 16 bytes were swapped, each by its number modulo 8."""
    lines = tile.view(np.uint8).reshape(-1, 8, 16)
    result = np.empty_like(lines)
    for i in range(lines.shape[0]):
        for group in range(8):
            result[i, group] = lines[i, group ^ (i % 8)]
    return result.reshape(-1).view(tile.dtype)


def loaded(tensor_map: Any, load: str, count: int, dtype: Any) -> np.ndarray:
    """A tile of so many elements as it lies in shared memory."""
    found = np.zeros(-(-count * np.dtype(dtype).itemsize // 512) * 512, np.uint8)
    bytes_ = count * np.dtype(dtype).itemsize
    run(f"{BARRIER} @p0 {EXPECT % bytes_} {load} {WAIT} {SHOW % (found.size // 16)}",
        found, tensor_map, outside=TILE, dynamic_shared=found.size)  # fmt: skip
    assert (found[bytes_:] == 0xFF).all()
    return found[:bytes_].view(dtype)


def strides_of(array: np.ndarray) -> list[int]:
    """As the driver takes them: from the innermost axis on, and none for that one."""
    return list(array.strides[::-1][1:])


@pytest.mark.parametrize("dtype", ["f4", "u2"])
@pytest.mark.parametrize("first", [(0, 0, 0), (3, 2, 1), (-5, -3, 0), (20, 6, 2), (200, 0, 0)])
def test_boxes(first: tuple[int, int, int], dtype: str) -> None:
    """Zeros beyond the tensor on every side, however its lines are padded."""
    whole = RANDOM.integers(1, 1000, (3, 9, 48)).astype(dtype)
    tensor = whole[:, :, :37]
    line = 128 // whole.itemsize
    tensor_map = machine().TensorMap.tiled(
        whole, tensor.shape[::-1], strides_of(whole), [line, 6, 2], [1, 1, 1]
    )
    found = straight(loaded(tensor_map, load_of(3, "tile", list(first)), 2 * 6 * line, dtype))
    padded = np.zeros((300, 300, 600), dtype)
    padded[150:153, 150:159, 250:287] = tensor
    x, y, z = first[0] + 250, first[1] + 150, first[2] + 150
    check(found, padded[z : z + 2, y : y + 6, x : x + line].reshape(-1))


def test_boxes_of_short_lines() -> None:
    """The swizzle is that of addresses: two lines of 64 bytes are one of 128."""
    tensor = RANDOM.integers(1, 1000, (16, 32)).astype(np.float32)
    tensor_map = machine().TensorMap.tiled(tensor, [32, 16], [128], [16, 16], [1, 1])
    found = straight(loaded(tensor_map, load_of(2, "tile", [8, 0]), 256, np.float32))
    check(found, tensor[:, 8:24].reshape(-1))


def test_boxes_of_every_other_element() -> None:
    """Element strides: of a box's extent, as many elements as lie that far apart."""
    tensor = RANDOM.integers(1, 1000, (20, 32)).astype(np.float32)
    tensor_map = machine().TensorMap.tiled(tensor, [32, 20], [128], [32, 10], [1, 3])
    found = straight(loaded(tensor_map, load_of(2, "tile", [0, 1]), 4 * 32, np.float32))
    check(found, tensor[[1, 4, 7, 10]].reshape(-1))


@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (2, 3)])
@pytest.mark.parametrize("beside", [(0, 0), (1, 2)])
@pytest.mark.parametrize("start", [0, 3, 11])
def test_pixels(start: int, beside: tuple[int, int], stride: tuple[int, int]) -> None:
    """Along the rows of the bounding box, then to the next image, and zeros behind the last."""
    images, height, width, channels = 3, 5, 6, 40
    image = RANDOM.integers(1, 1000, (images, height, width, channels)).astype(np.float32)
    lower, upper = (-1, -2), (-1, 0)  # height, width
    tensor_map = machine().TensorMap.im2col(
        image, image.shape[::-1], strides_of(image), lower[::-1], upper[::-1], 32, 24,
        [1, stride[1], stride[0], 1],
    )  # fmt: skip

    def pixels() -> Iterator[tuple[int, int, int]]:
        for n in range(images + 9):
            for y in range(lower[0], height + upper[0], stride[0]):
                for x in range(lower[1], width + upper[1], stride[1]):
                    yield n, y, x

    places = list(pixels())[start : start + 24]
    n, y, x = places[0]
    load = load_of(4, "im2col", [16, x, y, n], [beside[1], beside[0]])
    found = straight(loaded(tensor_map, load, 24 * 32, np.float32)).reshape(24, 32)
    expected = np.zeros((24, 32), np.float32)
    for line, (n, y, x) in enumerate(places):
        y, x = y + beside[0], x + beside[1]
        if n < images and 0 <= y < height and 0 <= x < width:
            expected[line, :24] = image[n, y, x, 16:]
    check(found.reshape(-1), expected.reshape(-1))


def test_pixels_behind_the_last_image() -> None:
    image = RANDOM.integers(1, 1000, (2, 3, 3, 64)).astype(np.uint16)
    tensor_map = machine().TensorMap.im2col(
        image, image.shape[::-1], strides_of(image), [0, 0], [0, 0], 64, 16, [1, 1, 1, 1]
    )
    found = loaded(tensor_map, load_of(4, "im2col", [0, 1, 2, 1], [0, 0]), 16 * 64, np.uint16)
    expected = np.zeros((16, 64), np.uint16)
    expected[:2] = image[1, 2, 1:]
    check(straight(found), expected.reshape(-1))


@pytest.mark.parametrize(
    ("first", "is_right"), [((-1, -1), True), ((2, 1), True), ((3, 0), False), ((0, -2), False)]
)
def test_the_first_pixel_lies_in_the_bounding_box(first: tuple[int, int], is_right: bool) -> None:
    image = np.ones((2, 3, 4, 32), np.float32)
    tensor_map = machine().TensorMap.im2col(
        image, image.shape[::-1], strides_of(image), [-1, -1], [-1, -1], 32, 8, [1, 1, 1, 1]
    )
    load = load_of(4, "im2col", [0, *first, 0], [0, 0])
    if is_right:
        loaded(tensor_map, load, 8 * 32, np.float32)
    else:
        with pytest.raises(RuntimeError, match="outside of the bounding box"):
            loaded(tensor_map, load, 8 * 32, np.float32)


def tile_map(**changes: Any) -> Any:
    arguments = {
        "array": np.ones((16, 32), np.float32), "extents": [32, 16], "stride_bytes": [128],
        "box": [32, 8], "steps": [1, 1],
    }  # fmt: skip
    return machine().TensorMap.tiled(**{**arguments, **changes})


def test_loads_that_are_wrong() -> None:
    found = np.zeros(1024, np.uint8)
    load = load_of(2, "tile", [0, 0])
    options: dict[str, Any] = {"outside": TILE, "dynamic_shared": 1024}
    right = f"{BARRIER} @p0 {EXPECT % 1024} {load} {WAIT}"
    run(right, found, tile_map(), **options)

    def wrong(match: str, body: str, tensor_map: Any = None, **others: Any) -> None:
        fails(match, body, found, tensor_map or tile_map(), **{**options, **others})

    wrong("ends while it is being copied to", right.replace(WAIT, ""))
    wrong("waits for ever", f"{BARRIER} @p0 {EXPECT % 2048} {load} {WAIT}")
    wrong("waits for ever", f"{BARRIER} @p0 {EXPECT % 512} {load} {WAIT}")
    wrong("waits for ever", f"{BARRIER} @p0 {EXPECT % 1024} {WAIT}")
    wrong("outside of shared memory", right, dynamic_shared=512)
    wrong("multiple of 128", right.replace("r21, tile;", "r21, tile; add.s32 r21, r21, 64;"))
    wrong("another kind", right.replace("{r30, r31}", "{r30, r31, r30}"))
    wrong("another kind", right.replace(load, load_of(2, "im2col", [0, 0], [0])))
    wrong("no tensor map", BARRIER + "mov.b64 l5, argument0; cvta.param.u64 l5, l5;"
          + right.removeprefix(BARRIER).replace("[a1,", "[l5,"))  # fmt: skip
    wrong("before it waits for earlier kernels", right + "griddepcontrol.wait;", overlaps=True)
    run("griddepcontrol.wait;" + right, found, tile_map(), overlaps=True, **options)
    wrong("no such load", right.replace(".global.tile", ".global"))
    wrong("swizzle", right, tile_map(swizzle=64, box=[16, 8]))
    wrong("NaN", right, tile_map(fills_with_nan=True))
    wrong("PTX line", right.replace("complete_tx::bytes", "complete_tx::bytes.multicast::cluster"))
    wrong("PTX line", right.replace(".global.tile", ".global.tile::gather4"))


def test_a_tile_is_not_there_before_the_wait() -> None:
    found = np.zeros(1024, np.uint8)
    body = f"{BARRIER} @p0 {EXPECT % 1024} {load_of(2, 'tile', [0, 0])} {SHOW % 64} {WAIT}"
    run(body, found, tile_map(), outside=TILE, dynamic_shared=1024)
    assert (found == 0xFF).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"box": [64, 8]}, "longer than the swizzle"), ({"box": [32, 0]}, "1 to 256"),
        ({"box": [3, 8]}, "multiple of 16 bytes"), ({"stride_bytes": [120]}, "multiples of 16"),
        ({"steps": [1, 9]}, "1 to 8"), ({"extents": [32, 0]}, "1 to 2"),
    ],
)  # fmt: skip
def test_maps_that_are_wrong(
    changes: dict[str, Any], words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    fails("the tensor map is refused", "", tile_map(**changes))
    assert words in capfd.readouterr().err


LANES = np.arange(32)
GROUP, WITHIN = LANES // 4, LANES % 4


def bfloat16(values: np.ndarray) -> np.ndarray:
    """Bits of whole numbers that are small enough to be exact."""
    return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


def words(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(np.uint32)


@pytest.mark.parametrize("is_in_place", [False, True])
def test_four_matrices_in_fragments(is_in_place: bool) -> None:
    """Lane 8 i + r names row r of matrix i; lane 4 r + c gets words c of rows r."""
    rows = RANDOM.integers(0, 2**32, (32, 4), dtype=np.uint32)
    at = RANDOM.permutation(32).astype(np.uint32)
    found = np.zeros((32, 4), np.uint32)
    first = "r10" if is_in_place else "r2"
    run(f""".shared .align 16 .b8 table[512]; mov.u32 r1, table;
        {own_element("a1", 16)} ld.global.v4.u32 {{r10, r11, r12, r13}}, [l31];
        {own_element("a2", 4)} ld.global.u32 r2, [l31]; mad.lo.s32 r2, r2, 16, r1;
        st.shared.v4.u32 [r2], {{r10, r11, r12, r13}}; mov.u32 {first}, r2; bar.warp.sync -1;
        ldmatrix.sync.aligned.m8n8.x4.shared.b16 {{r10, r11, r12, r13}}, [{first}];
        {own_element("a0", 16)} st.global.v4.u32 [l31], {{r10, r11, r12, r13}};""",
        found, rows, at)  # fmt: skip
    matrices = rows.reshape(4, 8, 4)
    check(found.reshape(-1), matrices[:, GROUP, WITHIN].T.reshape(-1))


def test_matrices_that_are_wrong() -> None:
    body = """.shared .align 16 .b8 table[512]; mov.u32 r1, table; mad.lo.s32 r1, t, {}, r1;
        ldmatrix.sync.aligned.m8n8.{}.shared.b16 {{r2, r3, r4, r5}}, [r1{}];"""
    run(body.format(16, "x4", ""))
    fails("misaligned", body.format(8, "x4", ""))
    fails("outside of shared memory", body.format(16, "x4", "+16"))
    fails("PTX line", body.format(16, "x4.trans", ""))
    fails("PTX line", body.format(16, "x2", "").replace(", r4, r5", ""))
    fails("PTX line", body.format(16, "x4", "").replace(", r5", ""))


MULTIPLY = """{loads} mma.sync.aligned.{shape}.row.col.f32.{type}.{type}.f32
    {{{to}}}, {{r0, r1, r2, r3}}, {{r4, r5}}, {{f0, f1, f2, f3}};
    {store} st.global.v4.f32 [l31], {{{to}}};"""


@pytest.mark.parametrize("to", ["f4, f5, f6, f7", "f0, f1, f2, f3", "f3, f2, f1, f0"])
@pytest.mark.parametrize("kind", ["tf32", "bf16"])
def test_product_of_fragments(kind: str, to: str) -> None:
    """Also into the registers of the sums, in their order or another one."""
    depth = 8 if kind == "tf32" else 16
    a, b = RANDOM.integers(-9, 10, (16, depth)), RANDOM.integers(-9, 10, (depth, 8))
    c = RANDOM.integers(-99, 100, (16, 8)).astype(np.float32)
    if kind == "tf32":
        of_a = np.stack([a[GROUP + 8 * (i % 2), WITHIN + 4 * (i // 2)] for i in range(4)], 1)
        of_b = np.stack([b[WITHIN + 4 * i, GROUP] for i in range(2)], 1)
        of_a, of_b = words(of_a.astype(np.float32)), words(of_b.astype(np.float32))
    else:
        rows = [GROUP + 8 * (i // 2 % 2) for i in range(8)]
        of_a = np.stack([a[rows[i], 2 * WITHIN + i % 2 + 8 * (i // 4)] for i in range(8)], 1)
        of_b = np.stack([b[2 * WITHIN + i % 2 + 8 * (i // 2), GROUP] for i in range(4)], 1)
        of_a, of_b = words(bfloat16(of_a)), words(bfloat16(of_b))

    def in_fragments(sums: np.ndarray) -> np.ndarray:
        return np.stack([sums[GROUP + 8 * (i // 2), 2 * WITHIN + i % 2] for i in range(4)], 1)

    found = np.zeros((32, 4), np.float32)
    loads = f"""{own_element("a1", 16)} ld.global.v4.u32 {{r0, r1, r2, r3}}, [l31];
        {own_element("a2", 8)} ld.global.v2.u32 {{r4, r5}}, [l31];
        {own_element("a3", 16)} ld.global.v4.f32 {{f0, f1, f2, f3}}, [l31];"""
    shape = f"m16n8k{depth}"
    body = MULTIPLY.format(loads=loads, shape=shape, type=kind, to=to, store=own_element("a0", 16))
    run(body, found, of_a, of_b, in_fragments(c))
    check(found.reshape(-1), in_fragments((a @ b + c).astype(np.float32)).reshape(-1))


def test_products_that_are_not_known() -> None:
    body = MULTIPLY.format(loads="", shape="m16n8k8", type="tf32", to="f0, f1, f2, f3", store="")
    body = body.partition("st.global")[0]
    run(body)
    for change in (("m16n8k8", "m16n8k4"), ("row.col", "col.row"), ("tf32", "f16"),
                   ("r2, r3", "r2"), ("m16n8k8", "m16n8k16")):  # fmt: skip
        fails("PTX line", body.replace(*change))
    fails("from|missing|threads", "setp.lt.u32 p0, t, 9; @p0 ret;" + body)
