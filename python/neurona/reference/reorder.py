"""Images (N, C, H, W) from one memory order to the other."""

from __future__ import annotations

import numpy as np

from . import _checks as check


def reorder(x: np.ndarray, channels_last: bool) -> np.ndarray:
    """A copy of x in channels-last memory (N, H, W, C) or in C order; the shape stays.

    Raises TypeError for a wrong dtype or kind, ValueError for another number of axes.

    >>> reorder(np.zeros((2, 3, 4, 5)), True).strides[1] == 8
    True
    """
    x = check.array("reorder", "x", x, "(N, C, H, W)")
    if not isinstance(channels_last, bool | np.bool_):
        kind = type(channels_last).__name__
        raise TypeError(f"reorder: channels_last must be a bool, got {kind}")
    return x.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2) if channels_last else x.copy()
