"""The comparisons of all tests: one with a bound that the caller must state, two exact ones.

A comparison reads `error <= bound`, so that NaN fails it; NaN is accepted only where NaN is
expected too, an infinity only where the same infinity is expected. `WORST` keeps the largest error
/ bound seen for each op, printed after a run.
"""

from __future__ import annotations

import numpy as np

WORST: dict[str, float] = {}


def _check_form(got: object, expected: np.ndarray, what: str) -> np.ndarray:
    assert isinstance(got, np.ndarray), f"{what}: expected an array, got {type(got).__name__}"
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    return got


def _fail(
    what: str, got: np.ndarray, expected: np.ndarray, wrong: np.ndarray, worst: int, rule: str
) -> None:
    """Raise, naming the worst element by its index."""
    index = tuple(int(i) for i in np.unravel_index(worst, expected.shape))
    raise AssertionError(
        f"{what}: {int(wrong.sum())} of {wrong.size} elements differ ({rule}), "
        f"shape {expected.shape}; worst at {index}: "
        f"got {got[index]!r}, expected {expected[index]!r}"
    )


def assert_close(
    got: np.ndarray, expected: np.ndarray, bound: np.ndarray | float, *, what: str
) -> None:
    """Fail unless abs(got - expected) <= bound for every element.

    `what` says op, case, seed and ISA. The name before the first blank of `what` is the key in
    WORST.
    """
    got = _check_form(got, expected, what)
    bound = np.broadcast_to(np.asarray(bound, dtype=np.float64), expected.shape)
    wide, truth = got.astype(np.float64), expected.astype(np.float64)
    with np.errstate(all="ignore"):
        error = np.abs(wide - truth)
        special = ~np.isfinite(truth)
        same = (wide == truth) | (np.isnan(wide) & np.isnan(truth))
        right = np.where(special, same, error <= bound)
        ratio = np.where(right, np.where(bound > 0, error / bound, 0), np.inf)
    if not right.all():
        distance = np.where(right, -1, np.where(np.isnan(error), np.inf, error))
        _fail(what, got, expected, ~right, int(np.argmax(distance)), "abs(got - expected) <= bound")
    assert not (truth.size > 8 and bound.any() and not truth.any()), (
        f"{what}: every expected element is zero, so the case proves nothing"
    )
    finite = ratio[~special]
    op = what.split()[0]
    WORST[op] = max(WORST.get(op, 0.0), float(finite.max()) if finite.size else 0.0)


def assert_exact(got: np.ndarray, expected: np.ndarray, *, what: str) -> None:
    """Fail unless all elements are equal as numbers, NaN matching NaN."""
    got = _check_form(got, expected, what)
    right = (got == expected) | ((got != got) & (expected != expected))
    if not right.all():
        _fail(what, got, expected, ~right, int(np.argmax(~right)), "got == expected")


def assert_same_bits(got: np.ndarray, expected: np.ndarray, *, what: str) -> None:
    """Fail unless dtype, shape and every bit of every element agree."""
    got = _check_form(got, expected, what)
    assert got.dtype == expected.dtype, f"{what}: dtype {got.dtype}, expected {expected.dtype}"
    item = (*expected.shape, expected.itemsize)
    # A copy in C order, because the bytes in memory follow the strides.
    raw = np.frombuffer(got.tobytes(), np.uint8).reshape(item)
    wanted = np.frombuffer(expected.tobytes(), np.uint8).reshape(item)
    right = (raw == wanted).all(axis=-1)
    if not right.all():
        _fail(what, got, expected, ~right, int(np.argmax(~right)), "same bits")
