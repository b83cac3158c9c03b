"""Arithmetic of floats in fractions, rounded once, in any direction: what a device promises."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

# Bits of a significand, and the exponent of the least normal number.
FORMATS = {"f4": (24, -126), "f8": (53, -1022)}


def rounded(exact: Fraction, kind: str, way: str) -> float:
    """To the nearest, ties to even ("rn"), towards zero ("rz"), down ("rm") or up ("rp")."""
    digits, least = FORMATS[kind]
    if exact == 0:
        return 0.0
    exponent = exact.numerator.bit_length() if exact > 0 else (-exact.numerator).bit_length()
    exponent -= exact.denominator.bit_length()
    if abs(exact) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (max(exponent, least) - digits + 1)
    below = math.floor(exact / unit)
    rest = exact / unit - below
    if way == "rn":
        upwards = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and below % 2 == 1)
    else:
        upwards = rest > 0 and (way == "rp" or (way == "rz" and exact < 0))
    found = (below + upwards) * unit
    sign = 1.0 if exact > 0 else -1.0
    largest = (2 - Fraction(2) ** (1 - digits)) * Fraction(2) ** (1 - least)
    if abs(found) > largest:
        stays = way == "rz" or way == ("rm" if exact > 0 else "rp")
        return math.copysign(float(largest) if stays else math.inf, sign)
    return math.copysign(float(found), sign)


def signed_zero(value: float, is_negative: bool) -> float:
    return -0.0 if value == 0 and is_negative else value


def is_negative(value: float) -> bool:
    return math.copysign(1.0, value) < 0


def fma(a: float, b: float, c: float, kind: str, way: str) -> float:
    if not (math.isfinite(a) and math.isfinite(b)):
        with np.errstate(invalid="ignore"):
            return float(np.float64(a) * np.float64(b) + np.float64(c))
    if not math.isfinite(c):
        return c
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact != 0:
        return rounded(exact, kind, way)
    product_is_negative = is_negative(a) != is_negative(b)
    if a * b == 0 and c == 0 and (a == 0 or b == 0) and product_is_negative == is_negative(c):
        return c
    return -0.0 if way == "rm" else 0.0


def add(a: float, b: float, kind: str, way: str) -> float:
    return fma(a, 1.0, b, kind, way)


def subtract(a: float, b: float, kind: str, way: str) -> float:
    return fma(a, 1.0, -b, kind, way)


def multiply(a: float, b: float, kind: str, way: str) -> float:
    if not (math.isfinite(a) and math.isfinite(b)):
        return fma(a, b, 0.0, kind, way)
    value = rounded(Fraction(a) * Fraction(b), kind, way)
    return signed_zero(value, is_negative(a) != is_negative(b))


def divide(a: float, b: float, kind: str, way: str) -> float:
    if not (math.isfinite(a) and math.isfinite(b)) or b == 0:
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(np.float64(a) / np.float64(b))
    value = rounded(Fraction(a) / Fraction(b), kind, way)
    return signed_zero(value, is_negative(a) != is_negative(b))


def square_root(a: float, kind: str) -> float:
    """To the nearest. A root is never halfway between two floats of its operand's format."""
    if not math.isfinite(a) or a <= 0:
        with np.errstate(invalid="ignore"):
            return float(np.sqrt(np.float64(a)))
    # Far more digits than the format has, and an even exponent.
    shift = 400 if kind == "f4" else 2400
    root = math.isqrt(int(Fraction(a) * Fraction(2) ** shift))
    is_exact = Fraction(root) ** 2 == Fraction(a) * Fraction(2) ** shift
    return rounded(
        (root + (0 if is_exact else Fraction(1, 2))) / Fraction(2) ** (shift // 2), kind, "rn"
    )
