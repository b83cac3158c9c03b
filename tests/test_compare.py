"""The comparison itself: NaN, infinities, swapped axes and zeroed outputs must fail it."""

from __future__ import annotations

import numpy as np
import pytest

from compare import assert_close, assert_exact, assert_same_bits

EXPECTED = np.arange(1.0, 13.0).reshape(3, 4)


def spoiled(index: tuple[int, int], value: float) -> np.ndarray:
    """A copy of EXPECTED with one element changed."""
    copy = EXPECTED.copy()
    copy[index] = value
    return copy


WRONG = {
    "nan": spoiled((1, 2), np.nan),
    "inf": spoiled((2, 3), np.inf),
    "minus inf": spoiled((0, 0), -np.inf),
    "zeroed": np.zeros_like(EXPECTED),
    "rows swapped": EXPECTED[[1, 0, 2]],
    "one off": spoiled((2, 0), EXPECTED[2, 0] + 0.2),
    "axes swapped": EXPECTED.T,
    "fewer rows": EXPECTED[:2],
    "extra axis": EXPECTED[None],
    "broadcastable": EXPECTED[:1],
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_results_fail(name: str) -> None:
    """Each kind of wrong result fails each comparison."""
    with pytest.raises(AssertionError):
        assert_close(WRONG[name], EXPECTED, 0.1, what="compare")
    with pytest.raises(AssertionError):
        assert_exact(WRONG[name], EXPECTED, what="compare")
    with pytest.raises(AssertionError):
        assert_same_bits(WRONG[name], EXPECTED, what="compare")


def test_a_bound_of_nan_or_infinite_error_fails() -> None:
    """A bound that became NaN accepts nothing."""
    with pytest.raises(AssertionError):
        assert_close(EXPECTED, EXPECTED, np.nan, what="compare")


def test_right_results_pass() -> None:
    """Equal arrays pass, also with NaN and infinities at the same places."""
    assert_close(EXPECTED + 0.05, EXPECTED, 0.1, what="compare")
    special = np.array([np.nan, np.inf, -np.inf, 0.0])
    assert_close(special.copy(), special, 0.0, what="compare")
    assert_exact(special.copy(), special, what="compare")
    assert_same_bits(special.copy(), special, what="compare")


def test_square_transpose_fails() -> None:
    """A square result with its axes swapped has the right shape and must fail all the same."""
    square = np.arange(9.0).reshape(3, 3)
    with pytest.raises(AssertionError, match=r"worst at \(0, 2\)"):
        assert_close(square.T, square, 1e-3, what="compare")


def test_special_values_must_match_exactly() -> None:
    """NaN for infinity, the other infinity, or a number for NaN all fail, whatever the bound."""
    for got, expected in ((np.nan, np.inf), (-np.inf, np.inf), (0.0, np.nan)):
        with pytest.raises(AssertionError):
            assert_close(np.array([got]), np.array([expected]), np.inf, what="compare")


def test_bits_tell_apart_what_numbers_do_not() -> None:
    """Zeros of different sign and different dtypes are equal numbers with different bits."""
    assert_exact(np.array([-0.0]), np.array([0.0]), what="compare")
    with pytest.raises(AssertionError):
        assert_same_bits(np.array([-0.0]), np.array([0.0]), what="compare")
    with pytest.raises(AssertionError, match="dtype"):
        assert_same_bits(np.zeros(2, np.float32), np.zeros(2, np.float64), what="compare")


def test_the_message_says_what_and_where() -> None:
    """The failure names the case, the shape, the worst index and both values."""
    with pytest.raises(AssertionError) as failure:
        assert_close(spoiled((1, 2), 9.0), EXPECTED, 0.1, what="conv2d (N=1) seed=7 on avx2")
    for token in ("conv2d (N=1) seed=7 on avx2", "shape (3, 4)", "(1, 2)", "9.0", "7.0"):
        assert token in str(failure.value)


def test_all_zero_expectations_prove_nothing() -> None:
    """A case whose every expected element is zero is refused, unless zero is demanded exactly."""
    zeros = np.zeros((4, 4))
    with pytest.raises(AssertionError, match="proves nothing"):
        assert_close(zeros, zeros, 1.0, what="compare")
    assert_close(zeros, zeros, 0.0, what="compare")
