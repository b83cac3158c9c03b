"""The names of the data sets, without their code."""

from __future__ import annotations

from difflib import get_close_matches

NAMES = ("digits", "iris", "mnist", "fashion_mnist")


def check_name(name: str) -> str:
    """The known name, `-` and `_` being the same; raises `ValueError` with the nearest one.

    >>> check_name("Fashion-MNIST")
    'fashion_mnist'
    """
    key = name.replace("-", "_").lower()
    if key in NAMES:
        return key
    close = get_close_matches(key, NAMES, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"datasets: name must be one of {', '.join(NAMES)}, got {name!r}{hint}")
