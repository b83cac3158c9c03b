"""The PTX machine's arithmetic, bits, comparisons and moves of integers, on edge values.

What is expected is what the PTX ISA says, computed with Python's integers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from ptx_kernels import all_of, check, needs_nvcc, of_each

pytestmark = needs_nvcc

TYPES = {
    "s16": np.int16, "u16": np.uint16, "s32": np.int32, "u32": np.uint32, "s64": np.int64,
    "u64": np.uint64, "b16": np.uint16, "b32": np.uint32, "b64": np.uint64,
}  # fmt: skip
WIDTHS = (16, 32, 64)
NUMBERS = [f"{sign}{width}" for width in WIDTHS for sign in "su"]
BITS = [f"b{width}" for width in WIDTHS]


def edges(suffix: str) -> np.ndarray:
    """Extremes, their neighbours, signs, and patterns of bits."""
    dtype = np.dtype(TYPES[suffix])
    width = 8 * dtype.itemsize
    bits = [0, 1, 2, 3, 7, 1 << (width // 2), (1 << (width // 2)) - 1, 0x0F1E2D3C4B5A6978]
    bits += [~bit for bit in bits] + [1 << (width - 1), (1 << (width - 1)) - 1]
    return as_type(bits, suffix)


def as_type(values: list[int], suffix: str) -> np.ndarray:
    """The lowest bits of Python's integers."""
    dtype = np.dtype(TYPES[suffix])
    width = 8 * dtype.itemsize
    unsigned = np.array([value & ((1 << width) - 1) for value in values], f"u{dtype.itemsize}")
    return unsigned.view(dtype)


def each(function: Callable[..., int], suffix: str, *inputs: np.ndarray) -> np.ndarray:
    numbers = (array.tolist() for array in inputs)
    return as_type([function(*some) for some in zip(*numbers, strict=True)], suffix)


def towards_zero(a: int, b: int) -> int:
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


BINARY: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul.lo": lambda a, b: a * b,
    "div": towards_zero,
    "rem": lambda a, b: a - b * towards_zero(a, b),
    "min": min,
    "max": max,
}


@pytest.mark.parametrize("suffix", NUMBERS)
@pytest.mark.parametrize("name", BINARY)
def test_arithmetic(name: str, suffix: str) -> None:
    a, b = all_of(edges(suffix), edges(suffix))
    if name in ("div", "rem"):
        a, b = a[b != 0], b[b != 0]
    found = of_each(f"{name}.{suffix} d, a, b;", a, b, to=TYPES[suffix])
    check(found, each(BINARY[name], suffix, a, b), a, b)


@pytest.mark.parametrize("suffix", NUMBERS)
def test_upper_half_of_a_product(suffix: str) -> None:
    a, b = all_of(edges(suffix), edges(suffix))
    width = 8 * a.itemsize
    found = of_each(f"mul.hi.{suffix} d, a, b;", a, b, to=TYPES[suffix])
    check(found, each(lambda x, y: x * y >> width, suffix, a, b), a, b)


@pytest.mark.parametrize("suffix", NUMBERS)
def test_sum_of_a_product(suffix: str) -> None:
    values = edges(suffix)[::3]
    a, b, c = all_of(values, values, values)
    found = of_each(f"mad.lo.{suffix} d, a, b, c;", a, b, c, to=TYPES[suffix])
    check(found, each(lambda x, y, z: x * y + z, suffix, a, b, c), a, b, c)


@pytest.mark.parametrize(("suffix", "wide"), [*zip(NUMBERS[:4], NUMBERS[2:], strict=True)])
def test_wide_product(suffix: str, wide: str) -> None:
    a, b = all_of(edges(suffix), edges(suffix))
    found = of_each(f"mul.wide.{suffix} d, a, b;", a, b, to=TYPES[wide])
    check(found, each(lambda x, y: x * y, wide, a, b), a, b)


@pytest.mark.parametrize("suffix", ["s16", "s32", "s64"])
def test_signs(suffix: str) -> None:
    a = edges(suffix)
    for name, function in (("neg", lambda x: -x), ("abs", abs)):
        check(of_each(f"{name}.{suffix} d, a;", a, to=a.dtype), each(function, suffix, a), a)


@pytest.mark.parametrize("suffix", BITS)
def test_logic(suffix: str) -> None:
    a, b = all_of(edges(suffix), edges(suffix))
    for name, expected in (("and", a & b), ("or", a | b), ("xor", a ^ b)):
        check(of_each(f"{name}.{suffix} d, a, b;", a, b, to=a.dtype), expected, a, b)
    check(of_each(f"not.{suffix} d, a;", a, to=a.dtype), ~a, a)


@pytest.mark.parametrize("suffix", [*NUMBERS, *BITS])
def test_shifts_as_far_as_the_width_and_further(suffix: str) -> None:
    width = int(suffix[1:])
    distances = np.array([0, 1, 7, width - 1, width, width + 1, 64, 65, 256, 2**32 - 1], np.uint32)
    a, by = all_of(edges(suffix), distances)
    found = of_each(f"shr.{suffix} d, a, b;", a, by, to=a.dtype)
    check(found, each(lambda x, y: x >> min(y, 100), suffix, a, by), a, by)
    if suffix.startswith("b"):
        found = of_each(f"shl.{suffix} d, a, b;", a, by, to=a.dtype)
        check(found, each(lambda x, y: x << min(y, 100), suffix, a, by), a, by)


def test_a_field_of_bits_is_put_in() -> None:
    """Positions and lengths count up to 255 and end at the register's last bit."""
    positions = np.array([0, 1, 8, 31, 32, 33, 255, 256, 264], np.uint32)
    lengths = np.array([0, 1, 7, 8, 31, 32, 33, 255, 256, 257], np.uint32)
    fields, ground = as_type([0x12345678, -1, 0], "u32"), as_type([0x0F1E2D3C, -1, 0], "u32")

    def inserted(field: int, into: int, position: int, length: int) -> int:
        bits = [into >> i & 1 for i in range(32)]
        first = position & 255
        for i in range(min(length & 255, 32 - min(first, 32))):
            bits[first + i] = field >> i & 1
        return sum(bit << i for i, bit in enumerate(bits))

    inputs = all_of(fields, ground, positions, lengths)
    found = of_each("bfi.b32 d, a, b, c, e;", *inputs, to=np.uint32)
    check(found, each(inserted, "u32", *inputs), *inputs)


def test_bytes_are_chosen_and_signs_spread() -> None:
    selectors = [0x3210, 0x7654, 0x0000, 0x7777, 0x0123, 0x4567, 0xFEDC, 0xBA98, 0x8888, 0x1F2E]
    # Bits above the four selectors are not looked at.
    selectors += [selector | 0xABCD0000 for selector in selectors]

    def chosen(a: int, b: int, selector: int) -> int:
        of = list(a.to_bytes(4, "little") + b.to_bytes(4, "little"))
        result = []
        for i in range(4):
            which = selector >> 4 * i & 15
            byte = of[which & 7]
            result.append((255 if byte >= 128 else 0) if which & 8 else byte)
        return int.from_bytes(bytes(result), "little")

    words = as_type([0x807F01FF, 0x12F45678, 0xDEADBEEF], "u32")
    inputs = all_of(words, words, as_type(selectors, "u32"))
    found = of_each("prmt.b32 d, a, b, c;", *inputs, to=np.uint32)
    check(found, each(chosen, "u32", *inputs), *inputs)


COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
    "lo": lambda a, b: a < b, "ls": lambda a, b: a <= b, "hi": lambda a, b: a > b,
    "hs": lambda a, b: a >= b,
}  # fmt: skip


@pytest.mark.parametrize("suffix", [*NUMBERS, *BITS])
def test_comparisons(suffix: str) -> None:
    a, b = all_of(edges(suffix), edges(suffix))
    names = {"s": 6, "u": 10, "b": 2}[suffix[0]]
    for name in itertools.islice(COMPARISONS, names):
        of = f"setp.{name}.{suffix} p0, a, b; selp.u32 d, 1, 0, p0;"
        check(of_each(of, a, b, to=np.uint32), each(COMPARISONS[name], "u32", a, b), a, b)


@pytest.mark.parametrize("suffix", [*NUMBERS, *BITS])
def test_selection_and_moves(suffix: str) -> None:
    a, b = all_of(edges(suffix), edges(suffix))
    less = each(lambda x, y: x if x != y and x & 1 else y, suffix, a, b)
    narrow = "cvt.u32.u16 r2, a;" if suffix.endswith("16") else "mov.b32 r2, r2;"
    if not suffix.endswith("16"):
        narrow = "mov.b32 r2, a;" if suffix.endswith("32") else "cvt.u32.u64 r2, a;"
    of = f"""{narrow} and.b32 r2, r2, 1; setp.ne.u32 p1, r2, 0; setp.ne.{suffix} p2, a, b;
        and.pred p3, p1, p2; selp.{suffix} d, a, b, p3; mov.{suffix} d, d;"""
    check(of_each(of, a, b, to=a.dtype), less, a, b)


def test_logic_of_predicates_and_guards() -> None:
    """A guarded instruction leaves the result of other threads, predicates included."""
    a, b = all_of(np.arange(2, dtype=np.uint32), np.arange(2, dtype=np.uint32))
    a, b = np.tile(a, 24), np.tile(b, 24)
    cases = {
        "and.pred p2, p0, p1;": a & b,
        "or.pred p2, p0, p1;": a | b,
        "xor.pred p2, p0, p1;": a ^ b,
        "not.pred p2, p0;": 1 - a,
        "mov.pred p2, p0;": a,
        "mov.pred p2, 1;": a | 1,
        "mov.pred p2, p0; @p1 not.pred p2, p2;": a ^ b,
        "mov.pred p2, p0; @!p1 mov.pred p2, p1;": a & b,
        "mov.pred p2, p0; @p1 setp.ne.u32 p2, b, 1;": a & (1 - b),
    }
    for instructions, expected in cases.items():
        of = f"""setp.ne.u32 p0, a, 0; setp.ne.u32 p1, b, 0; {instructions} mov.u32 d, 0;
            @p2 add.s32 d, d, 1; @!p2 add.s32 d, d, 0;"""
        check(of_each(of, a, b, to=np.uint32), expected, a, b)


def test_registers_are_packed_and_unpacked() -> None:
    a, b = all_of(edges("u32"), edges("u32"))
    whole = a.astype(np.uint64) | b.astype(np.uint64) << np.uint64(32)
    check(of_each("mov.b64 d, {a, b};", a, b, to=np.uint64), whole, a, b)
    check(of_each("mov.b64 {d, r2}, a;", whole, to=np.uint32), a, whole)
    check(of_each("mov.b64 {r2, d}, a;", whole, to=np.uint32), b, whole)
    check(of_each("mov.b64 {_, d}, a;", whole, to=np.uint32), b, whole)
    halves = "mov.b32 {h0, h1}, a; mov.b32 d, {h1, h0};"
    check(of_each(halves, a, to=np.uint32), a << 16 | a >> 16, a)
    quarters = "mov.b64 {h0, h1, h2, h3}, a; mov.b64 d, {h3, h0, h1, h2};"
    check(of_each(quarters, whole, to=np.uint64), whole << 16 | whole >> 48, whole)


INTEGER_CONVERSIONS = [
    ("s16", "u32"), ("s32", "s16"), ("u32", "u16"), ("s64", "s16"), ("u64", "u16"), ("s64", "s32"),
    ("u64", "u32"), ("u16", "u32"), ("u16", "u64"), ("u32", "u64"), ("s32", "s64"), ("u64", "s32"),
]  # fmt: skip


@pytest.mark.parametrize(("to", "of"), INTEGER_CONVERSIONS)
def test_conversions_of_integers(to: str, of: str) -> None:
    a = edges(of)
    check(of_each(f"cvt.{to}.{of} d, a;", a, to=TYPES[to]), each(int, to, a), a)


def test_conversions_of_the_lowest_bits() -> None:
    """A register may be wider than what is converted, and keeps what it gets, extended."""
    a = edges("u32")
    low, low_byte = a & 0xFFFF, a & 0xFF
    signed, signed_byte = low.astype(np.uint16).view(np.int16), low_byte.astype(np.uint8)
    check(of_each("cvt.u32.u16 d, a;", a, to=np.uint32), low, a)
    check(of_each("cvt.s32.s16 d, a;", a, to=np.int32), signed, a)
    check(of_each("cvt.u32.u8 d, a;", a, to=np.uint32), low_byte, a)
    check(of_each("cvt.s32.s8 d, a;", a, to=np.int32), signed_byte.view(np.int8), a)
    check(of_each("cvt.s8.s32 d, a;", a, to=np.int32), signed_byte.view(np.int8), a)
    check(of_each("cvt.u8.u32 d, a;", a, to=np.uint32), low_byte, a)
    wide = edges("u64")
    check(of_each("cvt.s64.s32 d, a;", wide, to=np.int64), wide.astype(np.int32), wide)
    check(of_each("cvt.u64.u32 d, a;", wide, to=np.uint64), wide.astype(np.uint32), wide)
    check(of_each("cvt.u32.u16 d, a;", wide, to=np.uint32), wide.astype(np.uint16), wide)


def test_numbers_of_every_spelling() -> None:
    """Decimal, hexadecimal and octal, with a sign or U behind; floats by their bits."""
    spelled = {
        "10": 10, "-10": -10, "0x1F": 31, "-0x1F": -31, "017": 15, "0b101": 5, "7U": 7,
        "4294967295": -1, "0f3F800000": 0x3F800000,
    }  # fmt: skip
    nothing = np.zeros(1, np.uint32)
    for text, number in spelled.items():
        check(of_each(f"mov.b32 d, {text};", nothing, to=np.int32), as_type([number], "s32"))
    one = of_each("mov.f64 d, 0d3FF0000000000000;", nothing, to=np.float64)
    check(one, 1.0)
