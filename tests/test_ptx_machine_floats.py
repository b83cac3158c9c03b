"""The PTX machine's arithmetic, comparisons and conversions of floats, on edge values.

What is expected is computed in fractions, or stands in the PTX ISA's tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import exact_floats
from ptx_kernels import all_of, check, fails, needs_nvcc, of_each

pytestmark = needs_nvcc

WAYS = ("rn", "rz", "rm", "rp")
INF, NAN = math.inf, math.nan


def edges(kind: str) -> np.ndarray:
    dtype = np.dtype(kind)
    about = np.finfo(dtype)
    values = [0.0, about.smallest_subnormal, about.tiny - about.smallest_subnormal, about.tiny]
    values += [about.tiny * 1.5, about.eps, 1 / 3, 0.5, 1.0, 1 + about.eps, 1.5, 2.5]
    values += [3.0, 2.0**31, 1 / about.eps + 1, about.max, INF]
    array = np.array(values, dtype)
    return np.concatenate([array, -array, np.array([NAN], dtype)])


def few(kind: str) -> np.ndarray:
    """So few that there may be triples of them."""
    return np.concatenate([edges(kind)[::4], np.array([0.0, -1.0, NAN], kind)])


def suffix_of(kind: str) -> str:
    return {"f4": "f32", "f8": "f64"}[kind]


def each(function: Callable[..., float], kind: str, *inputs: np.ndarray) -> np.ndarray:
    numbers = (array.tolist() for array in inputs)
    return np.array([function(*some) for some in zip(*numbers, strict=True)], kind)


ARITHMETIC: dict[str, Any] = {
    "add": exact_floats.add, "sub": exact_floats.subtract, "mul": exact_floats.multiply,
    "div": exact_floats.divide,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ARITHMETIC)
def test_arithmetic_in_every_direction(name: str, way: str, kind: str) -> None:
    a, b = all_of(edges(kind), edges(kind))
    expected = each(lambda x, y: ARITHMETIC[name](x, y, kind, way), kind, a, b)
    found = of_each(f"{name}.{way}.{suffix_of(kind)} d, a, b;", a, b, to=kind)
    check(found, expected, a, b)
    if way == "rn" and name != "div":
        check(of_each(f"{name}.{suffix_of(kind)} d, a, b;", a, b, to=kind), expected, a, b)


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("way", WAYS)
def test_fused_sum_of_a_product(way: str, kind: str) -> None:
    """Rounded once: of the product's digits none is lost before the sum."""
    a, b, c = all_of(few(kind), few(kind), few(kind))
    one = np.array(1, kind)
    eps = np.finfo(one.dtype).eps
    a, b = np.append(a, one + eps), np.append(b, one + eps)
    c = np.append(c, -(one + 2 * eps))  # all that is left is eps^2
    expected = each(lambda x, y, z: exact_floats.fma(x, y, z, kind, way), kind, a, b, c)
    check(of_each(f"fma.{way}.{suffix_of(kind)} d, a, b, c;", a, b, c, to=kind), expected, a, b, c)


def test_a_product_and_a_sum_are_not_contracted() -> None:
    a = np.array([1 + 2.0**-23], np.float32)
    c = np.array([-(1 + 2.0**-22)], np.float32)
    check(of_each("mul.f32 d, a, a; add.f32 d, d, b;", a, c, to="f4"), 0.0, a, c)
    check(of_each("fma.rn.f32 d, a, a, b;", a, c, to="f4"), 2.0**-46, a, c)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_roots_and_reciprocals(kind: str) -> None:
    a = np.concatenate([edges(kind), np.arange(1, 100).astype(kind)])
    roots = each(lambda x: exact_floats.square_root(x, kind), kind, a)
    check(of_each(f"sqrt.rn.{suffix_of(kind)} d, a;", a, to=kind), roots, a)
    inverse = each(lambda x: exact_floats.divide(1.0, x, kind, "rn"), kind, a)
    check(of_each(f"rcp.rn.{suffix_of(kind)} d, a;", a, to=kind), inverse, a)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_signs(kind: str) -> None:
    suffix = suffix_of(kind)
    a, b = all_of(edges(kind), edges(kind))
    check(of_each(f"neg.{suffix} d, a;", a, to=kind), -a, a)
    check(of_each(f"abs.{suffix} d, a;", a, to=kind), np.abs(a), a)
    # The sign of a, the magnitude of b.
    found = of_each(f"copysign.{suffix} d, a, b;", a, b, to=kind)
    check(found, np.copysign(b, a), a, b)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_extremes_pass_over_nan_and_know_the_sign_of_zero(kind: str) -> None:
    def smaller(a: float, b: float) -> float:
        if math.isnan(a) or math.isnan(b):
            return b if math.isnan(a) else a
        return min((a, b), key=lambda x: (x, math.copysign(1, x)))

    a, b = all_of(edges(kind), edges(kind))
    expected = each(smaller, kind, a, b)
    check(of_each(f"min.{suffix_of(kind)} d, a, b;", a, b, to=kind), expected, a, b)
    found = of_each(f"max.{suffix_of(kind)} d, a, b;", -a, -b, to=kind)
    check(found, -expected, -a, -b)


ORDERED: dict[str, Callable[[float, float], bool]] = {
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_comparisons_with_nan(kind: str) -> None:
    """False with a NaN; with a u behind, true with a NaN."""
    a, b = all_of(edges(kind), edges(kind))
    some = np.isnan(a) | np.isnan(b)
    expected = {"num": ~some, "nan": some}
    for name, compare in ORDERED.items():
        of_numbers = np.array([compare(x, y) for x, y in zip(a, b, strict=True)])
        expected[name] = of_numbers & ~some
        expected[f"{name}u"] = of_numbers | some
    for name, truth in expected.items():
        of = f"setp.{name}.{suffix_of(kind)} p0, a, b; selp.u32 d, 1, 0, p0;"
        check(of_each(of, a, b, to=np.uint32), truth, a, b)


INTEGERS = {"s16": "i2", "u16": "u2", "s32": "i4", "u32": "u4", "s64": "i8", "u64": "u8"}
WHOLE: dict[str, Callable[[float], int]] = {
    "rni": round, "rzi": math.trunc, "rmi": math.floor, "rpi": math.ceil,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("way", WHOLE)
@pytest.mark.parametrize("to", INTEGERS)
def test_floats_to_integers(to: str, way: str, kind: str) -> None:
    """What is out of range becomes the nearest integer that there is.

    Of a NaN the ISA says: 0, unless it has 64 bits or is to have them; then only the highest bit.
    """
    limits = np.iinfo(INTEGERS[to])
    ends = [float(end) for end in (limits.min, limits.max)]
    a = np.concatenate([edges(kind), np.array([0.5, 0.7, 1.5, 2.5, 3.5, 99.5, *ends], kind)])
    a = np.concatenate([a, -a, np.nextafter(a, np.array(0, kind))])

    def converted(x: float) -> int:
        if math.isnan(x):
            if kind == "f4" and not to.endswith("64"):
                return 0
            return limits.min if to.startswith("s") else limits.max // 2 + 1
        whole = WHOLE[way](x) if math.isfinite(x) else x
        return int(max(limits.min, min(limits.max, whole)))

    expected = np.array([converted(x) for x in a.tolist()], INTEGERS[to])
    found = of_each(f"cvt.{way}.{to}.{suffix_of(kind)} d, a;", a, to=INTEGERS[to])
    check(found, expected, a)


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("way", WHOLE)
def test_floats_to_whole_floats(way: str, kind: str) -> None:
    """The sign stays, of zeros too."""
    a = np.concatenate([edges(kind), np.array([0.5, 0.7, 1.5, 2.5, 3.5, 99.5], kind)])
    a = np.concatenate([a, -a])
    functions = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}
    found = of_each(f"cvt.{way}.{suffix_of(kind)}.{suffix_of(kind)} d, a;", a, to=kind)
    check(found, functions[way](a), a)


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("of", INTEGERS)
def test_integers_to_floats(of: str, kind: str) -> None:
    limits = np.iinfo(INTEGERS[of])
    values = [limits.min, limits.min + 1, limits.max, limits.max - 1, 0, 1, 3, limits.max // 3]
    values += [2**24 + 1, 2**24 + 3, 2**25 + 2, 2**25 + 6, 2**53 + 1, 2**53 + 3]
    a = np.array([x for x in values if x <= limits.max], INTEGERS[of])
    expected = each(lambda x: exact_floats.rounded(exact_floats.Fraction(x), kind, "rn"), kind, a)
    check(of_each(f"cvt.rn.{suffix_of(kind)}.{of} d, a;", a, to=kind), expected, a)


def test_floats_of_another_width() -> None:
    a = edges("f4")
    check(of_each("cvt.f64.f32 d, a;", a, to="f8"), a.astype("f8"), a)
    # Halfway between two floats, and just off it; beyond the largest; among the denormals.
    ties = [1 + 2.0**-24, 1 + 3 * 2.0**-24, 1 + 2.0**-24 + 2.0**-50, 2.0**128 - 2.0**103, 2.0**-150]
    b = np.concatenate([edges("f8"), np.array([*ties, 2.0**-149.5, 1.5 * 2.0**-149])])
    with np.errstate(over="ignore"):
        expected = b.astype("f4")
    check(of_each("cvt.rn.f32.f64 d, a;", b, to="f4"), expected, b)


def test_saturation() -> None:
    """Into [0, 1]; NaN and -0 to +0."""
    a = np.array([-INF, -1, -1e-45, -0.0, 0.0, 1e-45, 0.5, 1, 1 + 2.0**-23, 2, INF, NAN], "f4")
    expected = [0, 0, 0, 0, 0, 1e-45, 0.5, 1, 1, 1, 1, 0]
    check(of_each("cvt.sat.f32.f32 d, a;", a, to="f4"), expected, a)


def test_two_bfloat16() -> None:
    """The first operand in the upper half; to the nearest, ties to even; every NaN is 0x7fff."""
    of_bits = {
        0x3F800000: 0x3F80, 0x3F808000: 0x3F80, 0x3F818000: 0x3F82, 0x3F808001: 0x3F81,
        0x3F807FFF: 0x3F80, 0x7F7FFFFF: 0x7F80, 0x7F800000: 0x7F80, 0xFF800000: 0xFF80,
        0x80000000: 0x8000, 0x00000001: 0x0000, 0x00008001: 0x0001, 0x80018000: 0x8002,
        0x7FC00000: 0x7FFF, 0xFF800001: 0x7FFF, 0x3FFFFFFF: 0x4000,
    }  # fmt: skip
    upper, lower = all_of(*2 * [np.array(list(of_bits), np.uint32)])
    expected = [of_bits[a] << 16 | of_bits[b] for a in of_bits for b in of_bits]
    a, b = upper.view("f4"), lower.view("f4")
    found = of_each("cvt.rn.bf16x2.f32 d, a, b;", a, b, to=np.uint32)
    check(found, np.array(expected, np.uint32), upper, lower)


def test_tf32() -> None:
    """13 bits are rounded away, ties away from zero; the exponent may grow, up to infinity."""
    of_bits = {
        0x3F800000: 0x3F800000, 0x3F800FFF: 0x3F800000, 0x3F801000: 0x3F802000,
        0x3F803000: 0x3F804000, 0xBF801000: 0xBF802000, 0x3FFFF000: 0x40000000,
        0x7F7FFFFF: 0x7F800000, 0x7F800000: 0x7F800000, 0xFF800000: 0xFF800000,
        0x00001000: 0x00002000, 0x00000FFF: 0, 0x80000000: 0x80000000,
    }  # fmt: skip
    a = np.array(list(of_bits), np.uint32)
    found = of_each("cvt.rna.tf32.f32 d, a;", a.view("f4"), to=np.uint32)
    check(found, np.array(list(of_bits.values()), np.uint32), a)
    nan = of_each("cvt.rna.tf32.f32 d, a;", np.array([NAN], "f4"), to=np.uint32)
    assert np.isnan(nan.view("f4")).all()


def test_approximations() -> None:
    """As exact as the ISA promises; powers of two and the ends of the range are exact."""
    a = np.concatenate([np.linspace(-150, 128, 999), [0.0, -0.0, INF, -INF, NAN]]).astype("f4")
    with np.errstate(over="ignore"):
        powers = np.exp2(a.astype("f8")).astype("f4")
        whole_powers = np.exp2(np.rint(a).astype("f8")).astype("f4")
    found = of_each("ex2.approx.f32 d, a;", a, to="f4")
    np.testing.assert_allclose(found, powers, rtol=2.0**-22, atol=2.0**-149)
    check(of_each("ex2.approx.f32 d, a;", np.rint(a), to="f4"), whole_powers, a)
    b = edges("f4")
    with np.errstate(divide="ignore", over="ignore"):
        inverse = (1 / b.astype("f8")).astype("f4")
    np.testing.assert_allclose(of_each("rcp.approx.f32 d, a;", b, to="f4"), inverse, rtol=2.0**-23)


def test_flushing_approximations() -> None:
    """Denormals are zeros with a sign, among the operands and among the results."""
    tiny, denormal = 2.0**-126, 2.0**-127
    a = np.array([denormal, -denormal, 2.0**127, -(2.0**127), 2.0**126, tiny, INF, -INF], "f4")
    expected = [INF, -INF, 0.0, -0.0, tiny, 2.0**126, 0.0, -0.0]
    check(of_each("rcp.approx.ftz.f32 d, a;", a, to="f4"), expected, a)
    b = np.array([-127, -126, denormal, -INF, 127], "f4")
    check(of_each("ex2.approx.ftz.f32 d, a;", b, to="f4"), [0.0, tiny, 1.0, 0.0, 2.0**127], b)


def test_rough_reciprocal_of_doubles() -> None:
    """Of the upper 32 bits, in the upper 32 bits; denormals are zeros."""
    tiny = 2.0**-1022
    a = np.array([1.0, 2.0, -4.0, tiny / 2, -tiny / 2, 2.0**1023, -INF, 0.0, 1 + 2.0**-50], "f8")
    expected = [1.0, 0.5, -0.25, INF, -INF, 0.0, -0.0, INF, 1.0]
    check(of_each("rcp.approx.ftz.f64 d, a;", a, to="f8"), expected, a)
    b = np.array([3.0, 1e300, -7e-300, NAN], "f8")
    found = of_each("rcp.approx.ftz.f64 d, a;", b, to="f8")
    np.testing.assert_allclose(found, 1 / b, rtol=2.0**-20)
    assert (found.view("u8") & 0xFFFFFFFF == 0).all()


@pytest.mark.parametrize(
    "instruction",
    [
        "add.ftz.f32 f0, f1, f2", "add.sat.f32 f0, f1, f2", "mul.ftz.f32 f0, f1, f2",
        "fma.rn.sat.f32 f0, f1, f2, f3", "fma.rn.ftz.f32 f0, f1, f2, f3", "abs.ftz.f32 f0, f1",
        "div.approx.f32 f0, f1, f2", "div.full.f32 f0, f1, f2", "min.NaN.f32 f0, f1, f2",
        "min.xorsign.abs.f32 f0, f1, f2", "max.f32 f0, f1, f2, f3", "sqrt.rz.f32 f0, f1",
        "rcp.rm.f32 f0, f1", "sqrt.rp.f64 g0, g1", "rcp.rz.f64 g0, g1", "add.f16 h0, h1, h2",
        "fma.rn.f16 h0, h1, h2, h3", "ex2.approx.f16 h0, h1", "neg.bf16 h0, h1",
        "cvt.rz.bf16x2.f32 r0, f1, f2", "cvt.rn.relu.bf16x2.f32 r0, f1, f2",
        "cvt.rna.satfinite.tf32.f32 r0, f1", "cvt.ftz.f64.f32 g0, f0", "cvt.rz.f32.s32 f0, r0",
        "cvt.rz.f32.f64 f0, g0", "cvt.sat.f32.f64 f0, g0", "setp.lt.ftz.f32 p0, f0, f1",
        "sin.approx.f32 f0, f1", "fma.rn.relu.f32 f0, f1, f2, f3",
    ],
)  # fmt: skip
def test_unknown_forms_are_refused(instruction: str) -> None:
    """Rather than taken for the form without what is unknown."""
    fails(r"PTX line \d+: .*", f"{instruction};")
